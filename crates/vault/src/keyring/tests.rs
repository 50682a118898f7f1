use super::*;

fn fixture() -> (Env, ClusterId, Key, KeyringBody) {
    let env = Env::system();
    let cluster = ClusterId::new(&env);
    let root = crypto::fresh_key(&env);
    let body = KeyringBody::create(&env, cluster, &root).unwrap();
    (env, cluster, root, body)
}

#[test]
fn opens_under_its_root_key_and_cluster_alone() {
    let (env, cluster, root, body) = fixture();
    let text = serde_json::to_string(&body).unwrap();
    let body: KeyringBody = serde_json::from_str(&text).unwrap();
    assert!(body.open(cluster, &root).is_ok());
    assert_eq!(body.open(cluster, &crypto::fresh_key(&env)).err(), Some(DAMAGED));
    let foreign = body.open(ClusterId::new(&env), &root).err();
    assert_eq!(foreign, Some(VaultError::ForeignCluster { what: "keyring" }));
}

#[test]
fn a_domain_more_grows_the_version_and_keeps_the_others() {
    let (env, cluster, root, body) = fixture();
    let label: Label = "prod".parse().unwrap();
    let name = secrets_domain(&label);
    let more = body.with_domain(&env, &root, &name).unwrap();
    assert_eq!((body.version, more.version), (1, 2));
    assert!(more.has(&name) && !body.has(&name));
    let (old, new) = (body.open(cluster, &root).ok().unwrap(), more.open(cluster, &root).ok().unwrap());
    assert_eq!(old.symmetric(AUTHN)[0].1.expose(), new.symmetric(AUTHN)[0].1.expose());
    assert!(matches!(new.active(&name), Some((1, EpochKey::Symmetric(_)))));
}

#[test]
fn every_flipped_bit_is_found() {
    let (_, cluster, root, body) = fixture();
    let text = serde_json::to_vec(&body).unwrap();
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(altered) = serde_json::from_slice::<KeyringBody>(&bytes) else { continue };
        assert!(altered.open(cluster, &root).is_err(), "bit {bit}");
    }
}

#[test]
fn states_epochs_and_domains_cannot_be_edited() {
    let (_, cluster, root, body) = fixture();
    let text = serde_json::to_string(&body).unwrap();
    for (from, to) in [
        (r#""state":"active""#, r#""state":"decrypt_only""#),
        (r#""state":"active""#, r#""state":"destroyed""#),
        (r#""epoch":1"#, r#""epoch":2"#),
        (r#""authn""#, r#""secrets/prod""#),
        (r#""version":1"#, r#""version":2"#),
        (r#""root_version":1"#, r#""root_version":2"#),
    ] {
        assert!(text.contains(from), "{from}");
        let altered: KeyringBody = serde_json::from_str(&text.replace(from, to)).unwrap();
        assert_eq!(altered.open(cluster, &root).err(), Some(DAMAGED), "{from}");
    }
}

#[test]
fn wrapped_keys_cannot_move_between_domains_even_under_a_sound_mac() {
    let (_, cluster, root, mut body) = fixture();
    let stolen = body.domains[AUTHN][0].wrapped.clone();
    body.domains.get_mut(DOCUMENTS).unwrap()[0].wrapped = stolen;
    body.seal(&root).unwrap();
    assert_eq!(body.open(cluster, &root).err(), Some(DAMAGED));
}

#[test]
fn older_epochs_open_and_the_active_one_comes_first() {
    let (env, cluster, root, mut body) = fixture();
    let first = body.domains[DOCUMENTS][0].clone();
    let key = crypto::fresh_key(&env);
    let ring_key = body.ring_key(&root).unwrap();
    let wrapped = crypto::wrap(&env, &ring_key, &body.context(DOCUMENTS, 2, None), key.expose()).unwrap();
    let second = EpochBody { epoch: 2, wrapped: Some(Base64(wrapped)), ..first.clone() };
    let retired = EpochBody { state: EpochState::DecryptOnly, ..first.clone() };
    body.domains.insert(DOCUMENTS.into(), vec![retired, second.clone()]);
    body.seal(&root).unwrap();
    let ring = body.open(cluster, &root).ok().unwrap();
    assert_eq!(ring.symmetric(DOCUMENTS).len(), 2);
    assert_eq!(ring.symmetric(DOCUMENTS)[0].1.expose(), key.expose());
    assert_eq!(body.epochs().filter(|(name, ..)| *name == DOCUMENTS).count(), 2);
    // Two active epochs are no state that a keyring can be in.
    body.domains.insert(DOCUMENTS.into(), vec![first, second]);
    body.seal(&root).unwrap();
    assert_eq!(body.open(cluster, &root).err(), Some(DAMAGED));
}

#[test]
fn unknown_fields_are_kept_and_covered_in_any_order() {
    let (_, cluster, root, mut body) = fixture();
    body.rest.insert("b_newer".into(), 1.into());
    body.rest.insert("a_newer".into(), 2.into());
    body.seal(&root).unwrap();
    let text = serde_json::to_string(&body).unwrap();
    let body: KeyringBody = serde_json::from_str(&text).unwrap();
    assert!(body.open(cluster, &root).is_ok());
    let body: KeyringBody = serde_json::from_str(&text.replace(r#""a_newer":2"#, r#""a_newer":3"#)).unwrap();
    assert_eq!(body.open(cluster, &root).err(), Some(DAMAGED));
}
