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
        NewSlot { label: "host", offline: false, opener: Opener::KeyFile(&key) },
        NewSlot { label: "paper", offline: true, opener: Opener::Passphrase(&passphrase, Argon::cheapest()) },
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
    let online = |key| NewSlot { label: "k", offline: false, opener: Opener::KeyFile(key) };
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
    assert!(verifier.starts_with("1:") && verifier.len() == 66, "{verifier}");
    assert_eq!(verifier, f.vault.token_verifier(&token).unwrap());
    assert_ne!(verifier, other.vault.token_verifier(&token).unwrap());
    assert_ne!(verifier, f.vault.token_verifier(&Secret::new("sp_tokem".to_owned())).unwrap());
}

fn unseals(f: &Fixture, slots: &[SlotBody], keyring: &KeyringBody, unlock: &Unlock<'_>) -> Result<Vault, VaultError> {
    Vault::unseal(f.cluster, slots, keyring, unlock)
}

#[test]
fn a_new_root_key_is_sealed_to_every_slot_and_the_old_one_opens_nothing_new() {
    let mut f = fixture();
    let board = NewSlot { label: "board", offline: true, opener: Opener::Shamir { k: 2, n: 3 } };
    let prepared = || PreparedSlot::new(&f.env, f.cluster, &board).ok().unwrap();
    let (first, second) = (prepared(), prepared());
    let (slot, shares) = (f.vault.new_slot(&f.slots, &first).unwrap(), first.shares);
    let mut quorum = Quorum::default();
    shares.into_iter().take(2).for_each(|share| quorum.add(&slot, share).unwrap());
    f.slots.push(f.vault.confirm_slot(&slot, &quorum).unwrap());
    f.slots.push(f.vault.new_slot(&f.slots, &second).unwrap());

    let mac = f.vault.document_mac("target", 1, "tgt_1", 7, b"{}");
    let documents = f.vault.document_key();
    let (keyring, slots) = f.vault.replace_root(&f.env, &f.slots, false).ok().unwrap();
    assert_eq!((keyring.root_version, keyring.version), (2, 2));
    assert!(!slots[3].confirmed(), "an unconfirmed slot gets no root key");
    // Nothing counts before it is committed and adopted.
    assert!(unseals(&f, &f.slots, &f.keyring, &Unlock::KeyFile(&f.key)).is_ok());
    for unlock in [Unlock::KeyFile(&f.key), Unlock::Passphrase(&f.passphrase), Unlock::Shares(&quorum)] {
        let vault = unseals(&f, &slots, &keyring, &unlock).ok().unwrap();
        assert_eq!(vault.document_mac("target", 1, "tgt_1", 7, b"{}"), mac);
        // Half of the change opens nothing.
        assert!(unseals(&f, &f.slots, &keyring, &unlock).is_err());
        assert!(unseals(&f, &slots, &f.keyring, &unlock).is_err());
    }
    f.vault.adopt(&keyring).unwrap();
    f.vault.check_slots(&slots).unwrap();
    assert!(f.vault.check_slots(&f.slots[..1]).is_err(), "a slot of before is not one of now");
    assert_eq!(documents.mac("target", 1, "tgt_1", 7, b"{}"), mac);

    // Another node that holds the old root key learns that it must open anew.
    let mut elsewhere = unseals(&f, &f.slots, &f.keyring, &Unlock::KeyFile(&f.key)).ok().unwrap();
    assert_eq!(elsewhere.adopt(&keyring), Err(VaultError::RootReplaced));
}

#[test]
fn a_foreign_slot_never_gets_the_root_key() {
    let (f, mut stranger) = (fixture(), fixture());
    // A sound slot with another's public key, relabelled to this installation.
    let mut foreign = stranger.slots.remove(0);
    foreign.cluster = f.cluster;
    let planted: Vec<_> = f.slots.iter().cloned().chain([foreign.clone()]).collect();
    assert_eq!(f.vault.replace_root(&f.env, &planted, false).err(), Some(VaultError::ForeignSlot(foreign.id)));
    assert_eq!(f.vault.confirm_slot(&foreign, &Quorum::default()).err(), Some(VaultError::ForeignSlot(foreign.id)));
    // Nor do slots that break the rule: the new key would hang on one thing.
    for few in [&f.slots[..1], &[f.slots[0].clone(), f.slots[0].clone()]] {
        assert!(matches!(f.vault.replace_root(&f.env, few, false), Err(VaultError::Refused(_))));
    }
    assert!(f.vault.replace_root(&f.env, &f.slots[..1], true).is_ok());
}

#[test]
fn an_epoch_goes_from_pending_to_destroyed_and_old_ciphertexts_open_meanwhile() {
    let mut f = fixture();
    let environment: Label = "prod".parse().unwrap();
    let body = f.vault.ensure_domain(&f.env, &environment).unwrap().unwrap();
    f.vault.adopt(&body).unwrap();
    let place = Where { environment, secret: SecretId::new(&f.env), version: 1, kind: SecretKind::Password };
    let value = Secret::new(b"hunter2 hunter2".to_vec());
    let old = f.vault.seal_secret(&f.env, &place, &value).unwrap();
    let opens =
        |vault: &Vault, body: &VersionBody| vault.open_secret(&place, body).is_ok_and(|v| v.expose() == value.expose());

    let pending = f.vault.begin_epoch(&f.env, Some("secrets/prod")).unwrap().unwrap();
    f.vault.adopt(&pending).unwrap();
    assert!(f.vault.begin_epoch(&f.env, Some("secrets/prod")).unwrap().is_none(), "one is pending already");
    assert_eq!(f.vault.seal_secret(&f.env, &place, &value).unwrap().epoch(), Some(1), "a pending epoch seals nothing");
    assert!(f.vault.rewrap(&f.env, &old).unwrap().is_none());
    let active = f.vault.activate_epochs().unwrap().unwrap();
    f.vault.adopt(&active).unwrap();
    assert!(f.vault.activate_epochs().unwrap().is_none());
    assert!(opens(&f.vault, &old));
    assert_eq!(f.vault.seal_secret(&f.env, &place, &value).unwrap().epoch(), Some(2));

    let new = f.vault.rewrap(&f.env, &old).unwrap().unwrap();
    assert_eq!((old.epoch(), new.epoch()), (Some(1), Some(2)));
    assert!(opens(&f.vault, &old) && opens(&f.vault, &new));
    let secrets = |epoch| vec![("secrets/prod".to_owned(), epoch)];
    assert!(matches!(f.vault.destroy_epochs(&secrets(2)), Err(VaultError::Refused(_))), "the active one stays");
    assert!(matches!(f.vault.destroy_epochs(&secrets(9)), Err(VaultError::Refused(_))));
    let destroyed = f.vault.destroy_epochs(&secrets(1)).unwrap();
    f.vault.adopt(&destroyed).unwrap();
    assert!(opens(&f.vault, &new) && !opens(&f.vault, &old));
    let states: Vec<_> = destroyed.epochs().filter(|(name, ..)| *name == "secrets/prod").map(|e| e.2).collect();
    assert_eq!(states, [EpochState::Destroyed, EpochState::Active]);
    assert!(matches!(f.vault.begin_epoch(&f.env, Some("secrets/none")), Err(VaultError::NoDomain(_))));
    // The root key goes on with every epoch that lives.
    let (keyring, slots) = f.vault.replace_root(&f.env, &f.slots, false).ok().unwrap();
    let vault = unseals(&f, &slots, &keyring, &Unlock::KeyFile(&f.key)).ok().unwrap();
    assert!(opens(&vault, &new));
}

#[test]
fn a_damaged_envelope_is_not_carried_into_a_new_epoch() {
    let mut f = fixture();
    let environment: Label = "prod".parse().unwrap();
    let body = f.vault.ensure_domain(&f.env, &environment).unwrap().unwrap();
    f.vault.adopt(&body).unwrap();
    let place = Where { environment, secret: SecretId::new(&f.env), version: 1, kind: SecretKind::Password };
    let sealed = f.vault.seal_secret(&f.env, &place, &Secret::new(b"value".to_vec())).unwrap();
    let pending = f.vault.begin_epoch(&f.env, None).unwrap().unwrap();
    f.vault.adopt(&pending).unwrap();
    let active = f.vault.activate_epochs().unwrap().unwrap();
    f.vault.adopt(&active).unwrap();
    let mut moved = sealed.clone();
    moved.version = 2;
    assert!(f.vault.rewrap(&f.env, &moved).is_err(), "another place");
    let text = serde_json::to_string(&sealed).unwrap();
    let start = text.find("\"sealed\":\"").unwrap() + 10;
    // Everything before the value itself: header, wrapped data key and commitment (136 bytes).
    for at in start..start + 181 {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let Ok(altered) = serde_json::from_slice::<VersionBody>(&bytes) else { continue };
        assert!(f.vault.rewrap(&f.env, &altered).is_err(), "at {at}");
    }
}

#[test]
fn every_domain_gets_a_new_epoch_and_what_hangs_on_the_old_ones_still_holds() {
    let mut f = fixture();
    let documents = f.vault.document_key();
    let mac = documents.mac("target", 1, "tgt_1", 7, b"{}");
    let token = Secret::new("sp_token".to_owned());
    let verifier = f.vault.token_verifier(&token).unwrap();
    let recording = f.vault.recording_key().unwrap();
    let sealed = recording.key.seal(b"info", b"aad", b"data key").unwrap();
    let pending = f.vault.begin_epoch(&f.env, None).unwrap().unwrap();
    f.vault.adopt(&pending).unwrap();
    let active = f.vault.activate_epochs().unwrap().unwrap();
    f.vault.adopt(&active).unwrap();
    assert!(documents.check("target", 1, "tgt_1", 7, b"{}", &mac), "a clone follows, and still knows the old epoch");
    assert_ne!(documents.mac("target", 1, "tgt_1", 7, b"{}"), mac);
    let verifiers = f.vault.token_verifiers(&token);
    assert!(verifiers.len() == 2 && verifiers[0].starts_with("2:") && verifiers[1] == verifier);
    assert_eq!(f.vault.recording_key().unwrap().epoch, 2);
    assert!(f.vault.recording_private(1).unwrap().open(b"info", b"aad", &sealed).is_ok());
    let gone = [("documents".to_owned(), 1), ("authn".to_owned(), 1)];
    let body = f.vault.destroy_epochs(&gone).unwrap();
    f.vault.adopt(&body).unwrap();
    assert!(!documents.check("target", 1, "tgt_1", 7, b"{}", &mac));
    assert_eq!(f.vault.token_verifiers(&token).len(), 1);
}

#[test]
fn slots_with_shares_come_after_the_founding_and_there_are_sixteen_at_most() {
    let f = fixture();
    let board = || NewSlot { label: "board", offline: true, opener: Opener::Shamir { k: 2, n: 3 } };
    let founded = Vault::create(&f.env, f.cluster, &[board(), board()], false);
    assert!(matches!(founded, Err(VaultError::Refused(_))));
    let full = vec![f.slots[0].clone(); 16];
    let prepared = PreparedSlot::new(&f.env, f.cluster, &board()).ok().unwrap();
    assert!(matches!(f.vault.new_slot(&full, &prepared), Err(VaultError::Refused(_))));
}
