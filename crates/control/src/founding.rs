//! The founding of an installation: keys, slots, the first administrator.

use crate::control::{CLUSTER, Cluster, KEYRING, POLICY, PolicyBody, put};
use crate::directory::kinds;
use crate::{Actor, Control, Error};
use sallyport_model::inventory::{Identity, IdentityKind, Rest};
use sallyport_model::{ClusterId, Env, Handle, IdentityId, Secret};
use sallyport_store::{Change, Connected};
use sallyport_vault::generate::Minima;
use sallyport_vault::{Argon, KeyFile, NewSlot, Rules, Vault, generate};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the founder chooses.
pub struct Founding {
    /// Handle of the first administrator.
    pub admin: Handle,
    /// SSH public keys of the first administrator, algorithm and base64.
    pub ssh_keys: Vec<String>,
    /// Seconds that the first token lives.
    pub token_seconds: u32,
    /// Cost of the recovery passphrase's derivation.
    pub argon: Argon,
}

/// What the founder must keep.
pub struct Founded {
    /// The installation.
    pub cluster: ClusterId,
    /// Opens the vault when the key file is lost. Shown once.
    pub recovery: Secret<String>,
    /// Signs the first administrator in. Shown once.
    pub token: Secret<String>,
    /// The key file of the vault.
    pub key_file: PathBuf,
    /// Public key that verifies the ledger: give it to the auditor.
    pub trust: PathBuf,
}

/// Makes an installation in an empty directory.
///
/// # Errors
/// When the directory holds an installation already, or cannot be written.
pub async fn found(env: &Env, data: &Path, node: &str, founding: &Founding) -> Result<Founded, Error> {
    let io = |what: &Path, e: std::io::Error| Error::failed(format!("cannot write `{}`: {e}", what.display()));
    if data.join("sallyport.db").exists() {
        return Err(Error::usage(format!("`{}` holds an installation already", data.display())));
    }
    for dir in [data.to_owned(), data.join("keys"), data.join("recordings"), data.join("journal")] {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|e| io(&dir, e))?;
    }
    let cluster = ClusterId::new(env);
    let key_file = KeyFile::generate(env);
    let key_path = data.join("keys/vault.key");
    write_private(&key_path, key_file.encode().expose().as_bytes()).map_err(|e| io(&key_path, e))?;
    let seed = data.join("keys/ledger.key");
    write_private(&seed, hex::encode(env.random::<32>()).as_bytes()).map_err(|e| io(&seed, e))?;
    let recovery = passphrase(env)?;
    let slots = [
        NewSlot::KeyFile { key: &key_file, label: "key file of this host", offline: false },
        NewSlot::Passphrase {
            passphrase: &recovery,
            argon: founding.argon,
            label: "recovery passphrase on paper",
            offline: true,
        },
    ];
    let (vault, slots, keyring) = Vault::create(env, cluster, &slots, false)?;

    let control = Control::new(env.clone(), data, node);
    let connected = Connected::open(&data.join("sallyport.db"), true).await?;
    control.start(connected, vault, cluster).await?;
    let open = control.opened()?;
    let draft = control.draft(&Actor::Host, "system.founded", cluster, &[("ledger_key", &open.key), ("node", node)]);
    let mut change = Change::entry(draft)
        .put(put(CLUSTER, 0, kinds::SETTING, &Cluster { cluster, rest: Rest::new() })?)
        .put(put(KEYRING, 0, kinds::KEYRING, &keyring)?)
        .put(put(POLICY, 0, kinds::POLICY, &PolicyBody::default())?);
    for slot in &slots {
        change = change.put(put(slot.id, 0, kinds::SLOT, slot)?);
    }
    let admin = Identity {
        id: IdentityId::new(env),
        handle: founding.admin.clone(),
        kind: IdentityKind::User,
        groups: ["sallyport:admin", "tier0-admin"]
            .iter()
            .map(|g| g.parse())
            .collect::<Result<_, _>>()
            .map_err(Error::failed)?,
        ssh_keys: founding.ssh_keys.clone(),
        disabled: false,
        retired: false,
        rest: Rest::new(),
    };
    change = change.put(put(admin.id, 0, kinds::IDENTITY, &admin)?);
    open.store.commit(change).await?;
    let life = Duration::from_secs(founding.token_seconds.into());
    let token = control.mint(&Actor::Host, &admin, life, "first sign-in").await?;
    let trust = data.join("ledger.pub");
    std::fs::write(&trust, format!("{}\n", open.key)).map_err(|e| io(&trust, e))?;
    drop(open);
    control.close().await;
    Ok(Founded { cluster, recovery, token: token.text, key_file: key_path, trust })
}

/// Writes a file that only its owner reads.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Six groups of five letters and digits: 150 bits, without characters that look alike.
fn passphrase(env: &Env) -> Result<Secret<String>, Error> {
    let rules = Rules {
        length: 30,
        min: Minima { lower: 1, upper: 0, digit: 1, symbol: 0 },
        symbols: String::new(),
        forbidden: "ABCDEFGHIJKLMNOPQRSTUVWXYZ01lo".into(),
        ..Rules::house()
    };
    let plain = generate(env, &rules).map_err(Error::failed)?;
    let mut text = String::with_capacity(36);
    for (at, c) in plain.expose().chars().enumerate() {
        if at > 0 && at % 5 == 0 {
            text.push('-');
        }
        text.push(c);
    }
    Ok(Secret::new(text))
}
