use super::*;
use crate::{Argon, KeyFile, SecretKind};
use sallyport_model::SecretId;

struct Fixture {
    env: Env,
    cluster: ClusterId,
    key: KeyFile,
    passphrase: Secret<String>,
    vault: Vault,
    slots: Vec<SlotBody>,
    keyring: KeyringBody,
}

fn fixture() -> Fixture {
    let env = Env::system();
    let cluster = ClusterId::new(&env);
    let key = KeyFile::generate(&env);
    let passphrase = Secret::new("correct horse battery".to_owned());
    let new = [
        NewSlot::KeyFile { key: &key, label: "host", offline: false },
        NewSlot::Passphrase { passphrase: &passphrase, argon: Argon::cheapest(), label: "paper", offline: true },
    ];
    let (vault, slots, keyring) = Vault::create(&env, cluster, &new, false).ok().unwrap();
    Fixture { env, cluster, key, passphrase, vault, slots, keyring }
}

#[test]
fn every_slot_opens_the_same_vault() {
    let f = fixture();
    let mac = f.vault.document_mac("target", 1, "tgt_1", 7, b"{}");
    for unlock in [Unlock::KeyFile(&f.key), Unlock::Passphrase(&f.passphrase)] {
        let vault = Vault::unseal(f.cluster, &f.slots, &f.keyring, &unlock).ok().unwrap();
        assert_eq!(vault.document_mac("target", 1, "tgt_1", 7, b"{}"), mac);
        assert_eq!(vault.recording_key().unwrap(), f.vault.recording_key().unwrap());
    }
}

#[test]
fn names_what_is_wrong_with_the_key() {
    let f = fixture();
    let fails = |slots: &[SlotBody], unlock: &Unlock<'_>| Vault::unseal(f.cluster, slots, &f.keyring, unlock).err();
    let other = KeyFile::generate(&f.env);
    assert_eq!(fails(&f.slots, &Unlock::KeyFile(&other)), Some(VaultError::WrongKeyFile));
    let wrong = Secret::new("incorrect horse battery".to_owned());
    assert_eq!(fails(&f.slots, &Unlock::Passphrase(&wrong)), Some(VaultError::WrongPassphrase));
    assert_eq!(fails(&f.slots[..1], &Unlock::Passphrase(&wrong)), Some(VaultError::NoSlot("passphrase")));
    assert_eq!(fails(&[], &Unlock::KeyFile(&f.key)), Some(VaultError::NoSlot("key file")));
    let many = vec![f.slots[0].clone(); 17];
    assert!(matches!(fails(&many, &Unlock::KeyFile(&f.key)), Some(VaultError::Refused(_))));

    let elsewhere = ClusterId::new(&f.env);
    let foreign = Vault::unseal(elsewhere, &f.slots, &f.keyring, &Unlock::KeyFile(&f.key)).err();
    assert_eq!(foreign, Some(VaultError::ForeignCluster { what: "keyring" }));
    let stranger = fixture();
    let mixed = Vault::unseal(f.cluster, &stranger.slots, &f.keyring, &Unlock::KeyFile(&stranger.key)).err();
    assert_eq!(mixed, Some(VaultError::ForeignCluster { what: "seal slot" }));
}

#[test]
fn a_slot_of_another_root_key_does_not_open_the_keyring() {
    let (f, stranger) = (fixture(), fixture());
    let mut relabelled = stranger.slots;
    relabelled.iter_mut().for_each(|slot| slot.cluster = f.cluster);
    assert!(Vault::unseal(f.cluster, &relabelled, &f.keyring, &Unlock::KeyFile(&stranger.key)).is_err());
}

#[test]
fn two_slots_one_offline_outside_dev() {
    let env = Env::system();
    let cluster = ClusterId::new(&env);
    let (a, b) = (KeyFile::generate(&env), KeyFile::generate(&env));
    let online = |key| NewSlot::KeyFile { key, label: "k", offline: false };
    let refused =
        |slots: &[NewSlot<'_>], dev| matches!(Vault::create(&env, cluster, slots, dev), Err(VaultError::Refused(_)));
    assert!(refused(&[], true));
    assert!(refused(&[online(&a)], false));
    assert!(refused(&[online(&a), online(&b)], false));
    assert!(!refused(&[online(&a)], true));
}

#[test]
fn environments_get_their_domain_on_demand() {
    let mut f = fixture();
    let environment: Label = "prod".parse().unwrap();
    let place = Where {
        environment: environment.clone(),
        secret: SecretId::new(&f.env),
        version: 1,
        kind: SecretKind::Password,
    };
    let value = Secret::new(b"hunter2 hunter2".to_vec());
    assert!(matches!(f.vault.seal_secret(&f.env, &place, &value), Err(VaultError::NoDomain(_))));
    let body = f.vault.ensure_domain(&f.env, &environment).unwrap().unwrap();
    assert!(f.vault.seal_secret(&f.env, &place, &value).is_err(), "nothing changes before it is committed");
    f.vault.adopt(&body).unwrap();
    assert!(f.vault.ensure_domain(&f.env, &environment).unwrap().is_none());
    let sealed = f.vault.seal_secret(&f.env, &place, &value).unwrap();
    assert!(f.vault.adopt(&f.keyring).is_err(), "an older keyring is not taken back");

    let vault = Vault::unseal(f.cluster, &f.slots, &body, &Unlock::KeyFile(&f.key)).ok().unwrap();
    assert_eq!(vault.open_secret(&place, &sealed).ok().unwrap().expose(), value.expose());
    let elsewhere = Where { version: 2, ..place };
    assert_eq!(vault.open_secret(&elsewhere, &sealed).err(), Some(VaultError::WrongPlace));
}

#[test]
fn document_macs_bind_every_part() {
    let f = fixture();
    let key = f.vault.document_key();
    let mac = key.mac("target", 1, "tgt_1", 7, b"body");
    assert!(key.check("target", 1, "tgt_1", 7, b"body", &mac));
    for (kind, schema, id, version, body) in [
        ("targe", 1, "tgt_1", 7, b"body"),
        ("target", 2, "tgt_1", 7, b"body"),
        ("target", 1, "tgt_2", 7, b"body"),
        ("target", 1, "tgt_1", 8, b"body"),
        ("target", 1, "tgt_1", 7, b"bodz"),
    ] {
        assert!(!key.check(kind, schema, id, version, body, &mac));
    }
    assert!(!key.check("target", 1, "tgt_1", 7, b"body", &mac[..31]));
    assert!(!key.check("target", 1, "tgt_1", 7, b"body", &[]));
    assert!(!fixture().vault.document_key().check("target", 1, "tgt_1", 7, b"body", &mac), "another vault's");
}

#[test]
fn recordings_open_with_the_private_half_alone() {
    let f = fixture();
    let public = f.vault.recording_key().unwrap();
    let sealed = public.key.seal(b"info", b"aad", b"data key").unwrap();
    let private = f.vault.recording_private(public.epoch).unwrap();
    assert_eq!(private.open(b"info", b"aad", &sealed).unwrap().expose(), b"data key");
    assert!(f.vault.recording_private(9).is_none());
}

#[test]
fn token_verifiers_are_keyed() {
    let (f, other) = (fixture(), fixture());
    let token = Secret::new("sp_token".to_owned());
    let verifier = f.vault.token_verifier(&token).unwrap();
    assert_eq!(verifier.len(), 64);
    assert_eq!(verifier, f.vault.token_verifier(&token).unwrap());
    assert_ne!(verifier, other.vault.token_verifier(&token).unwrap());
    assert_ne!(verifier, f.vault.token_verifier(&Secret::new("sp_tokem".to_owned())).unwrap());
}
