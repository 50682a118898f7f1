use super::*;

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[test]
fn a_password_matches_its_own_verifier_and_no_other() {
    let env = Env::system();
    let verifier = PasswordVerifier::new(&env, &secret("correct horse")).unwrap();
    let again = PasswordVerifier::decode(&verifier.encode().unwrap()).unwrap();
    assert!(again.matches(&secret("correct horse")).unwrap());
    assert!(!again.matches(&secret("correct hors")).unwrap());
    assert!(!PasswordVerifier::of_nobody().matches(&secret("")).unwrap());
    let other = PasswordVerifier::new(&env, &secret("correct horse")).unwrap();
    assert_ne!(verifier.hash.0, other.hash.0, "each has a salt of its own");
}

#[test]
fn a_cost_that_is_not_of_the_table_is_refused_before_it_is_paid() {
    let cheap = PasswordVerifier { cost: 0, ..PasswordVerifier::of_nobody() };
    assert!(matches!(cheap.matches(&secret("x")), Err(VaultError::Refused(_))));
    let dear = PasswordVerifier { cost: 255, ..cheap };
    assert!(matches!(dear.matches(&secret("x")), Err(VaultError::Refused(_))));
    for (_, memory, passes, lanes) in COSTS {
        assert!(memory >= 19 * 1024 && passes >= 2 && lanes >= 1, "the floor of the table");
        Argon::new(memory, passes, lanes).unwrap();
    }
}

#[test]
fn each_recovery_code_is_good_once_however_it_is_typed() {
    let env = Env::system();
    let (mut codes, texts) = RecoveryCodes::generate(&env);
    assert_eq!((codes.left(), texts.len()), (10, 10));
    assert!(codes.without(&secret("aaaa-bbbb-cccc-dddd")).is_none());
    for (at, text) in texts.iter().enumerate() {
        let typed = if at % 2 == 0 { text.expose().to_uppercase() } else { text.expose().replace('-', " ") };
        let rest = codes.without(&secret(&typed)).unwrap();
        assert!(rest.without(text).is_none(), "a code was good twice");
        codes = RecoveryCodes::decode(&rest.encode().unwrap()).unwrap();
    }
    assert_eq!(codes.left(), 0);
}

#[test]
fn no_bytes_make_the_decoders_panic() {
    for length in 0..64_u8 {
        let bytes = Secret::new((0..length).map(|n| n.wrapping_mul(37)).collect::<Vec<_>>());
        let _ = PasswordVerifier::decode(&bytes);
        let _ = RecoveryCodes::decode(&bytes);
    }
}
