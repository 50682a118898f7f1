use super::*;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use proptest::prelude::*;

/// Made by ssh-keygen of OpenSSH 9.2 for these tests.
const PLAIN: &[u8] = include_bytes!("../../testdata/ed25519");
const PUBLIC: &str = include_str!("../../testdata/ed25519.pub");
const ENCRYPTED: &[u8] = include_bytes!("../../testdata/ed25519-encrypted");
const ECDSA: &[u8] = include_bytes!("../../testdata/ecdsa");

fn read(bytes: &[u8]) -> Result<SshKey, SshKeyError> {
    SshKey::parse_openssh(&Secret::new(bytes.to_vec()))
}

#[test]
fn reads_what_ssh_keygen_writes() {
    let key = read(PLAIN).ok().unwrap();
    assert_eq!(format!("{} ada@web\n", key.public), PUBLIC);
    assert_eq!(read(ENCRYPTED).err(), Some(SshKeyError::Encrypted));
    assert_eq!(read(ECDSA).err(), Some(SshKeyError::OtherAlgorithm));
    assert_eq!(read(b"-----BEGIN RSA PRIVATE KEY-----\n").err(), Some(SshKeyError::NotOpenSsh));
}

#[test]
fn signatures_verify_and_the_rfc_vector_holds() {
    // RFC 8032, section 7.1, test 2.
    let hex = |t: &str| data_encoding::HEXLOWER.decode(t.as_bytes()).unwrap();
    let seed = Secret::new(hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
    let signature = sign_ed25519(&seed, &[0x72]).unwrap();
    assert!(data_encoding::HEXLOWER.encode(&signature).starts_with("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8f"));
    let key = SshKey::generate(&Env::system()).ok().unwrap();
    let signature = sign_ed25519(&key.seed, b"challenge").unwrap();
    let blob = BASE64.decode(key.public.split_once(' ').unwrap().1.as_bytes()).unwrap();
    UnparsedPublicKey::new(&ED25519, &blob[19..]).verify(b"challenge", &signature).unwrap();
    assert_eq!(sign_ed25519(&Secret::new(vec![1; 31]), b"x").err(), Some(SshKeyError::Seed));
}

#[test]
fn cut_padded_and_flipped_files_are_refused_or_the_same_key() {
    let whole = read(PLAIN).ok().unwrap();
    for length in 0..PLAIN.len() {
        assert!(read(&PLAIN[..length]).is_err(), "cut at {length}");
    }
    let mut longer = PLAIN.to_vec();
    longer.push(b'\n');
    assert!(read(&longer).is_err());
    for bit in 0..PLAIN.len() * 8 {
        let mut bytes = PLAIN.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // The comment and the check numbers are the only bits that say nothing of the key.
        if let Ok(key) = read(&bytes) {
            assert_eq!(key.seed.expose(), whole.seed.expose(), "bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let mut inner = MAGIC.to_vec();
        inner.extend(bytes);
        let _ = parse(&inner);
    }
}
