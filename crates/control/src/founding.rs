//! The founding of an installation: keys, slots, the first administrator.

use crate::control::{CLUSTER, Cluster, DATABASE, KEYRING, POLICY, PolicyBody, put};
use crate::directory::kinds;
use crate::sign_in::{HOST_LINK, NewLink, SignInRules};
use crate::unseal::Stored;
use crate::users::SOLO;
use crate::{Actor, Control, Error};
use sallyport_ledger::Verifier;
use sallyport_model::inventory::{Identity, IdentityKind, Rest};
use sallyport_model::{ClusterId, Env, Handle, IdentityId, Secret};
use sallyport_store::{Change, Connected, Nodes, Place};
use sallyport_vault::generate::Minima;
use sallyport_vault::{Argon, KeyFile, NewSlot, Opener, Rules, Unlock, Vault, generate};
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
    /// Where the store is kept; a file in the data directory where it says nothing.
    pub place: Option<Place>,
    /// Whether one person is to administer it.
    pub solo: bool,
    /// How people sign in with browsers; the link of the first administrator is to its site.
    pub sign_in: SignInRules,
}

/// What the founder must keep.
pub struct Founded {
    /// The installation.
    pub cluster: ClusterId,
    /// Opens the vault when the key file is lost. Shown once.
    pub recovery: Secret<String>,
    /// Signs the first administrator in. Shown once.
    pub token: Secret<String>,
    /// Lets the first administrator set a password and a factor with a browser, within an hour. Shown once.
    pub link: NewLink,
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
    vacant(data)?;
    directories(data)?;
    let place = founding.place.clone().unwrap_or_else(|| Place::file(&data.join(DATABASE)));
    let mut connected = Connected::open(&place, true).await?;
    if connected.is_founded().await? {
        let text =
            format!("{place} holds an installation already: `sallyport init --join` makes this host a node of it");
        return Err(Error::usage(text));
    }
    let cluster = ClusterId::new(env);
    let key_file = KeyFile::generate(env);
    let key_path = data.join("keys/vault.key");
    write_private(&key_path, key_file.encode().expose().as_bytes())?;
    ledger_key(env, data)?;
    let recovery = passphrase(env)?;
    let slots = [
        NewSlot { label: "key file of this host", offline: false, opener: Opener::KeyFile(&key_file) },
        NewSlot {
            label: "recovery passphrase on paper",
            offline: true,
            opener: Opener::Passphrase(&recovery, founding.argon),
        },
    ];
    let (vault, slots, keyring) = Vault::create(env, cluster, &slots, false)?;

    let control = Control::new(env.clone(), data, node).at(place).with_sign_in(founding.sign_in.clone());
    control.publish(control.prepare(connected, vault, cluster, Control::FOUNDING).await?);
    let open = control.opened()?;
    let nodes = Nodes::default().with(node, &Verifier::parse(&open.key).map_err(Error::failed)?)?;
    let solo = founding.solo.to_string();
    let facts = [("ledger_key", open.key.as_str()), ("node", node), ("solo", solo.as_str())];
    let draft = control.draft(&Actor::Host, "system.founded", cluster, &facts);
    let mut change = Change::entry(draft)
        .put(put(CLUSTER, 0, kinds::SETTING, &Cluster { cluster, rest: Rest::new() })?)
        .put(put(KEYRING, 0, kinds::KEYRING, &keyring)?)
        .put(put(POLICY, 0, kinds::POLICY, &PolicyBody::default())?)
        .put(nodes.put(0));
    if founding.solo {
        change = change.put(put(SOLO, 0, kinds::SETTING, &Rest::new())?);
    }
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
    let link = control.make_link(&Actor::Host, &admin, HOST_LINK).await?;
    let trust = public_key(data, &open.key)?;
    drop(open);
    control.close().await;
    Ok(Founded { cluster, recovery, token: token.text, link, key_file: key_path, trust })
}

/// What a host that has joined must know.
pub struct Joined {
    /// The installation.
    pub cluster: ClusterId,
    /// Public key of this node: evidence that it exports is signed with it.
    pub trust: PathBuf,
    /// Names of all nodes, this one among them.
    pub nodes: Vec<String>,
}

/// Makes a host with an empty data directory a further node of an installation whose store is on a server.
/// Whoever may open the vault and is on this host may do this; the ledger says so.
///
/// # Errors
/// When there is no installation, the key file does not open its vault, or a node of this name is listed.
pub async fn join(env: &Env, data: &Path, node: &str, place: &Place, key_file: &[u8]) -> Result<Joined, Error> {
    if !place.shared() {
        return Err(Error::usage("a file holds one node only: name a PostgreSQL database in `[store] url` to join"));
    }
    vacant(data)?;
    let key = KeyFile::parse(key_file).map_err(Error::usage)?;
    let mut connected = Connected::open(place, false).await?;
    if !connected.is_founded().await? {
        return Err(Error::usage(format!("{place} holds no installation: run `sallyport init` without `--join`")));
    }
    let stored = Stored::read(&mut connected).await?;
    let cluster = stored.cluster;
    let vault = stored.unlocked(move |stored| stored.open(&Unlock::KeyFile(&key))).await?;
    directories(data)?;
    ledger_key(env, data)?;
    let joined = list(env, data, node, place, (connected, vault, cluster)).await;
    if joined.is_err() {
        // Nothing was joined: the next attempt finds an empty directory again.
        let _ = std::fs::remove_file(data.join(LEDGER_KEY));
    } else {
        write_private(&data.join("keys/vault.key"), key_file)?;
    }
    joined
}

/// Starts the store as a node that joins, and lists it.
async fn list(
    env: &Env,
    data: &Path,
    node: &str,
    place: &Place,
    (connected, vault, cluster): (Connected, Vault, ClusterId),
) -> Result<Joined, Error> {
    let control = Control::new(env.clone(), data, node).at(place.clone());
    control.publish(control.prepare(connected, vault, cluster, Control::JOINING).await?);
    let open = control.opened()?;
    let (nodes, was) = open.store.working(Nodes::of)?;
    let nodes = nodes.with(node, &Verifier::parse(&open.key).map_err(Error::failed)?)?;
    let draft = control.draft(&Actor::Host, "node.joined", node, &[("ledger_key", &open.key)]);
    open.store.commit(Change::entry(draft).put(nodes.put(was))).await?;
    let trust = public_key(data, &open.key)?;
    drop(open);
    control.close().await;
    Ok(Joined { cluster, trust, nodes: nodes.iter().map(|(name, _)| name.to_owned()).collect() })
}

/// The node's key of the ledger, in the data directory.
const LEDGER_KEY: &str = "keys/ledger.key";

/// Refuses a directory that holds an installation, or is a node of one.
fn vacant(data: &Path) -> Result<(), Error> {
    if data.join(DATABASE).exists() || data.join(LEDGER_KEY).exists() {
        return Err(Error::usage(format!("`{}` holds an installation already", data.display())));
    }
    Ok(())
}

fn cannot(what: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot write `{}`: {error}", what.display()))
}

pub(crate) fn directories(data: &Path) -> Result<(), Error> {
    for dir in [data.to_owned(), data.join("keys"), data.join("recordings"), data.join("journal")] {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|e| cannot(&dir, &e))?;
    }
    Ok(())
}

fn ledger_key(env: &Env, data: &Path) -> Result<(), Error> {
    write_private(&data.join(LEDGER_KEY), hex::encode(env.random::<32>()).as_bytes())
}

fn public_key(data: &Path, key: &str) -> Result<PathBuf, Error> {
    let path = data.join("ledger.pub");
    std::fs::write(&path, format!("{key}\n")).map_err(|e| cannot(&path, &e))?;
    Ok(path)
}

/// Writes a file that only its owner reads.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let written =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
    written.map_err(|e| cannot(path, &e))
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
