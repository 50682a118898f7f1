use super::*;
use proptest::prelude::*;

#[test]
fn round_trip() {
    let key = KeyFile::generate(&Env::system());
    let text = key.encode();
    assert_eq!(text.expose().len(), LENGTH);
    assert_eq!(KeyFile::parse(text.expose().as_bytes()).ok().unwrap().key().expose(), key.key().expose());
}

#[test]
fn names_what_is_wrong() {
    let text = KeyFile::generate(&Env::system()).encode();
    let text = text.expose();
    let fails = |bytes: &[u8]| KeyFile::parse(bytes).err().unwrap();
    assert_eq!(fails(b""), KeyFileError::NotAKeyFile);
    assert_eq!(fails(b"-----BEGIN OPENSSH PRIVATE KEY-----\n"), KeyFileError::NotAKeyFile);
    assert_eq!(fails(text.replace("v1", "v2").as_bytes()), KeyFileError::OtherVersion);
    assert_eq!(fails(text.trim_end().as_bytes()), KeyFileError::Corrupt);
    assert_eq!(fails(format!("{text}\n").as_bytes()), KeyFileError::Corrupt);
    assert_eq!(fails(text.to_uppercase().replace("SALLYPORT-KEY-FILE V1", MAGIC).as_bytes()), KeyFileError::Corrupt);
}

#[test]
fn every_flipped_bit_is_found() {
    let text = KeyFile::generate(&Env::system()).encode();
    for bit in 0..text.expose().len() * 8 {
        let mut bytes = text.expose().clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(KeyFile::parse(&bytes).is_err(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        let _ = KeyFile::parse(&bytes);
        let mut after_magic = format!("{MAGIC}\n").into_bytes();
        after_magic.extend(bytes);
        let _ = KeyFile::parse(&after_magic);
    }
}
