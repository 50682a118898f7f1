use super::*;

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

/// RFC 5869, appendix A.1, through the same library calls; `derive` cuts at 32 bytes.
#[test]
fn hkdf_matches_rfc_5869() {
    let ikm = [0x0b; 22];
    let salt = hex("000102030405060708090a0b0c");
    let info = Context(hex("f0f1f2f3f4f5f6f7f8f9"));
    let okm = derive(&ikm, &salt, &info).unwrap();
    assert_eq!(okm.expose().as_slice(), hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
}

#[test]
fn contexts_do_not_run_together() {
    let a = Context::new("p").text("ab").text("c");
    let b = Context::new("p").text("a").text("bc");
    assert_ne!(a.as_bytes(), b.as_bytes());
}

#[test]
fn wrapped_bytes_open_with_their_key_and_context_alone() {
    let env = Env::system();
    let (key, other) = (fresh_key(&env), fresh_key(&env));
    let context = || Context::new("test").number(1);
    let wrapped = wrap(&env, &key, &context(), b"bytes").unwrap();
    assert_eq!(wrapped.len(), 5 + WRAP);
    assert_eq!(unwrap(&key, &context(), &wrapped).unwrap().expose(), b"bytes");
    assert!(unwrap(&other, &context(), &wrapped).is_none());
    assert!(unwrap(&key, &Context::new("test").number(2), &wrapped).is_none());
    for length in 0..wrapped.len() {
        assert!(unwrap(&key, &context(), &wrapped[..length]).is_none());
    }
    assert_ne!(wrap(&env, &key, &context(), b"bytes").unwrap(), wrapped, "two wraps never look alike");
}

#[test]
fn commitments_bind_key_and_context() {
    let env = Env::system();
    let (key, other) = (fresh_key(&env), fresh_key(&env));
    let first = commitment(&key, &Context::new("a")).unwrap();
    assert!(equal(&first, &commitment(&key, &Context::new("a")).unwrap()));
    assert!(!equal(&first, &commitment(&key, &Context::new("b")).unwrap()));
    assert!(!equal(&first, &commitment(&other, &Context::new("a")).unwrap()));
}
