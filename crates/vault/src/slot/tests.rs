use super::*;

fn root(env: &Env) -> Key {
    crypto::fresh_key(env)
}

fn passphrase(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[test]
fn argon2id_matches_rfc_9106() {
    // RFC 9106, section 5.3, through the same crate; secret and associated data are not used by slots.
    let params = argon2::ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
        .build()
        .unwrap();
    let mut out = [0; 32];
    Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
        .unwrap()
        .hash_password_into(&[1; 32], &[2; 16], &mut out)
        .unwrap();
    let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    assert_eq!(data_encoding::HEXLOWER.encode(&out), expected);
}

#[test]
fn key_file_slots_open_with_their_key_alone() {
    let env = Env::system();
    let (cluster, root) = (ClusterId::new(&env), root(&env));
    let (key, other) = (KeyFile::generate(&env), KeyFile::generate(&env));
    let new = NewSlot::KeyFile { key: &key, label: "host", offline: false };
    let slot = SlotBody::create(&env, cluster, &new, &root, 1).unwrap();
    let opened = slot.open(&Unlock::KeyFile(&key)).ok().flatten().unwrap();
    assert_eq!(opened.expose(), root.expose());
    assert!(slot.open(&Unlock::KeyFile(&other)).ok().unwrap().is_none());
    assert!(slot.open(&Unlock::Passphrase(&passphrase("correct horse battery"))).ok().unwrap().is_none());
}

#[test]
fn passphrase_slots_open_with_their_passphrase_alone() {
    let env = Env::system();
    let (cluster, root) = (ClusterId::new(&env), root(&env));
    let right = passphrase("correct horse battery");
    let new = NewSlot::Passphrase { passphrase: &right, argon: Argon::cheapest(), label: "paper", offline: true };
    let slot = SlotBody::create(&env, cluster, &new, &root, 1).unwrap();
    let opened = slot.open(&Unlock::Passphrase(&right)).ok().flatten().unwrap();
    assert_eq!(opened.expose(), root.expose());
    assert!(slot.open(&Unlock::Passphrase(&passphrase("correct horse batterz"))).ok().unwrap().is_none());

    let short = passphrase("eleven char");
    let new = NewSlot::Passphrase { passphrase: &short, argon: Argon::cheapest(), label: "paper", offline: true };
    assert!(matches!(SlotBody::create(&env, cluster, &new, &root, 1), Err(VaultError::Refused(_))));
}

#[test]
fn inflated_and_lowered_costs_are_refused_before_they_cost() {
    let env = Env::system();
    let right = passphrase("correct horse battery");
    let new = NewSlot::Passphrase { passphrase: &right, argon: Argon::cheapest(), label: "paper", offline: true };
    let slot = SlotBody::create(&env, ClusterId::new(&env), &new, &root(&env), 1).unwrap();
    let text = serde_json::to_string(&slot).unwrap();
    let written = r#""m_kib":8192,"t":1,"p":1"#;
    assert!(text.contains(written));
    for changed in [
        r#""m_kib":67108864,"t":1,"p":1"#,
        r#""m_kib":8191,"t":1,"p":1"#,
        r#""m_kib":0,"t":1,"p":1"#,
        r#""m_kib":8192,"t":4000000000,"p":1"#,
        r#""m_kib":8192,"t":0,"p":1"#,
        r#""m_kib":8192,"t":1,"p":17"#,
        r#""m_kib":8192,"t":1,"p":0"#,
    ] {
        let slot: SlotBody = serde_json::from_str(&text.replace(written, changed)).unwrap();
        assert!(matches!(slot.open(&Unlock::Passphrase(&right)), Err(VaultError::Refused(_))), "{changed}");
    }
    // Within the bounds another cost is simply another key.
    let slot: SlotBody = serde_json::from_str(&text.replace(written, r#""m_kib":8192,"t":2,"p":1"#)).unwrap();
    assert!(slot.open(&Unlock::Passphrase(&right)).ok().unwrap().is_none());
    assert!(Argon::new(4096, 3, 4).is_err());
    assert!(Argon::new(64 * 1024, 3, 4).is_ok());
}

#[test]
fn every_flipped_bit_of_a_slot_is_found() {
    let env = Env::system();
    let key = KeyFile::generate(&env);
    let root = root(&env);
    let new = NewSlot::KeyFile { key: &key, label: "", offline: false };
    let slot = SlotBody::create(&env, ClusterId::new(&env), &new, &root, 1).unwrap();
    let text = serde_json::to_vec(&slot).unwrap();
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(altered) = serde_json::from_slice::<SlotBody>(&bytes) else { continue };
        // What the slot's own cryptography does not cover, the document's MAC does.
        if (&altered.label, altered.offline) != (&slot.label, slot.offline) {
            continue;
        }
        let opened = altered.open(&Unlock::KeyFile(&key));
        assert!(!matches!(opened, Ok(Some(_))), "bit {bit}");
    }
}

#[test]
fn unknown_fields_are_kept() {
    let env = Env::system();
    let key = KeyFile::generate(&env);
    let new = NewSlot::KeyFile { key: &key, label: "host", offline: false };
    let slot = SlotBody::create(&env, ClusterId::new(&env), &new, &root(&env), 1).unwrap();
    let text = serde_json::to_string(&slot).unwrap().replacen('{', r#"{"newer":7,"#, 1);
    let slot: SlotBody = serde_json::from_str(&text).unwrap();
    assert!(serde_json::to_string(&slot).unwrap().contains(r#""newer":7"#));
    assert!(slot.open(&Unlock::KeyFile(&key)).ok().flatten().is_some());
}
