//! Documents of the vault and key files: what is altered opens nothing.

use super::texts;
use sallyport_model::{ClusterId, Env, Secret, SecretId};
use sallyport_vault::{
    Argon, KeyFile, KeyringBody, NewSlot, Opener, SecretKind, SlotBody, SshKey, Unlock, Vault, VersionBody, Where,
};
use std::sync::OnceLock;

struct Sealed {
    vault: Vault,
    slots: Vec<SlotBody>,
    keyring: KeyringBody,
    key: KeyFile,
    place: Where,
}

const CLUSTER: [u8; 16] = [8; 16];

/// One vault for all runs: whoever alters its documents has none of its keys.
fn sealed() -> &'static Sealed {
    static SEALED: OnceLock<Sealed> = OnceLock::new();
    SEALED.get_or_init(|| {
        let env = Env::system();
        let key = KeyFile::generate(&env);
        let passphrase = Secret::new("correct horse battery staple".to_owned());
        let slots = [
            NewSlot { label: "key file", offline: false, opener: Opener::KeyFile(&key) },
            NewSlot { label: "paper", offline: true, opener: Opener::Passphrase(&passphrase, Argon::cheapest()) },
        ];
        let (mut vault, slots, mut keyring) =
            Vault::create(&env, ClusterId::from_bytes(CLUSTER), &slots, false).unwrap();
        let place = Where {
            environment: "demo".parse().unwrap(),
            secret: SecretId::from_bytes([9; 16]),
            version: 1,
            kind: SecretKind::Password,
        };
        if let Some(grown) = vault.ensure_domain(&env, &place.environment).unwrap() {
            vault.adopt(&grown).unwrap();
            keyring = grown;
        }
        Sealed { vault, slots, keyring, key, place }
    })
}

pub(super) fn vault(bytes: &[u8]) {
    let sealed = sealed();
    let cluster = ClusterId::from_bytes(CLUSTER);
    if let Ok(slot) = serde_json::from_slice::<SlotBody>(bytes) {
        let opened =
            Vault::unseal(cluster, std::slice::from_ref(&slot), &sealed.keyring, &Unlock::KeyFile(&sealed.key));
        // What people call a slot is under the document's MAC alone.
        let same = |own: &SlotBody| {
            let mut named = slot.clone();
            (named.label, named.offline, named.rest) = (own.label.clone(), own.offline, own.rest.clone());
            named == *own
        };
        assert!(opened.is_err() || sealed.slots.iter().any(same), "an altered slot opens the vault");
    }
    if let Ok(keyring) = serde_json::from_slice::<KeyringBody>(bytes) {
        let opened = Vault::unseal(cluster, &sealed.slots, &keyring, &Unlock::KeyFile(&sealed.key));
        assert!(opened.is_err() || keyring == sealed.keyring, "an altered keyring opens");
    }
    if let Ok(body) = serde_json::from_slice::<VersionBody>(bytes) {
        let _ = sealed.vault.open_secret(&sealed.place, &body);
    }
}

pub(super) fn vault_seeds() -> Vec<Vec<u8>> {
    let sealed = sealed();
    let value = Secret::new(b"hunter2".to_vec());
    let secret = sealed.vault.seal_secret(&Env::system(), &sealed.place, &value).unwrap();
    let slots = sealed.slots.iter().map(|slot| serde_json::to_vec(slot).unwrap());
    slots.chain([serde_json::to_vec(&sealed.keyring).unwrap(), serde_json::to_vec(&secret).unwrap()]).collect()
}

pub(super) fn key_files(bytes: &[u8]) {
    if let Ok(key) = KeyFile::parse(bytes) {
        assert_eq!(key.encode().expose().trim().as_bytes(), bytes.trim_ascii(), "a key file has one form");
    }
    let _ = SshKey::parse_openssh(&Secret::new(bytes.to_vec()));
}

pub(super) fn key_seeds() -> Vec<Vec<u8>> {
    let file = KeyFile::generate(&Env::system()).encode();
    let mut seeds = texts(&["-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"]);
    seeds.push(file.expose().clone().into_bytes());
    seeds
}
