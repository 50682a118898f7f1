use super::*;

#[test]
fn opens_only_with_its_key_context_and_bytes() {
    let env = Env::system();
    let (private, public) = PrivateKey::generate(&env).unwrap();
    let (stranger, _) = PrivateKey::generate(&env).unwrap();
    let sealed = public.seal(b"info", b"aad", b"open sesame").unwrap();
    assert_eq!(private.open(b"info", b"aad", &sealed).unwrap().expose(), b"open sesame");
    assert!(stranger.open(b"info", b"aad", &sealed).is_err());
    assert!(private.open(b"infO", b"aad", &sealed).is_err());
    assert!(private.open(b"info", b"aaD", &sealed).is_err());
    for bit in 0..sealed.ciphertext.len() * 8 {
        let mut altered = sealed.clone();
        altered.ciphertext[bit / 8] ^= 1 << (bit % 8);
        assert!(private.open(b"info", b"aad", &altered).is_err(), "bit {bit}");
    }
}
