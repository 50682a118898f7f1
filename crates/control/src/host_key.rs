//! The host key of the SSH listeners: kept in the vault, so that every node shows the same one, and so does a host that is
//! installed anew; and its certificate.

use crate::control::{Open, put};
use crate::directory::{kinds, load};
use crate::durable;
use crate::lease::{SKEW, seconds, version_id};
use crate::ssh_ca::SshCa;
use crate::{Actor, Control, Error, Op};
use sallyport_model::inventory::Rest;
use sallyport_model::name::Label;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{Secret, SecretId, Timestamp};
use sallyport_ssh_transport::certificate::{self, Contents, Holder};
use sallyport_ssh_transport::key;
use sallyport_store::{Change, DocId};
use sallyport_vault::{SecretKind, SshKey, VersionBody, Where};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Where a host's gateway finds the key, below its data directory: the 32-byte seed of an Ed25519 key (RFC 8032).
pub const HOST_KEY: &str = "gateway/ssh_host_ed25519";
const SEED: usize = 32;
/// Where it finds the key's certificate: a line as OpenSSH writes it.
pub const HOST_CERTIFICATE: &str = "gateway/ssh_host_ed25519-cert.pub";
const CERTIFICATE: usize = 16 * 1024;
/// The name of every gateway, as `sallyport config ssh` has clients call it; another is the installation's own.
const ALIAS: &str = "sallyport";
/// How long a certificate is good, and how long before its end there is another.
const CERTIFIED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
const RENEWED: Duration = Duration::from_secs(20 * 24 * 3600);

/// Its document, and the key domain that its seed is sealed in.
const DOCUMENT: &str = "gateway.host_key";
const DOMAIN: &str = "gateway";
const ACTOR: Actor = Actor::System("gateway");

/// What is known of the key without opening it.
#[derive(Serialize, Deserialize)]
struct HostKeyBody {
    secret: SecretId,
    version: u64,
    public: String,
    #[serde(flatten)]
    rest: Rest,
}

/// Where keys of the gateways lie in the vault.
pub(crate) fn place(secret: SecretId, version: u64) -> Result<Where, Error> {
    let environment: Label = DOMAIN.parse().map_err(Error::failed)?;
    Ok(Where { environment, secret, version, kind: SecretKind::SshEd25519 })
}

fn host_key(open: &Open) -> Option<HostKeyBody> {
    load::<HostKeyBody>(&open.store, &DocId::new(DOCUMENT), kinds::SETTING).map(|found| found.value)
}

/// The seed of such a key.
pub(crate) fn open_seed(open: &Open, secret: SecretId, version: u64) -> Result<SecretBytes, Error> {
    let sealed = load::<VersionBody>(&open.store, &DocId::new(version_id(secret, version)), kinds::VERSION);
    let sealed = sealed.ok_or_else(|| Error::failed("a key of the gateways is gone from the vault"))?;
    Ok(open.vault().open_secret(&place(secret, version)?, &sealed.value)?)
}

/// Whether a certificate still says what it should, of these names and by this key of the authority, and will for a while.
fn holds(line: &str, names: &[String], authority: &str, now: Timestamp) -> bool {
    let read = key::parse(line).and_then(|blob| certificate::read(&blob));
    read.is_ok_and(|found| {
        let by = key::print(&found.authority).is_ok_and(|key| key == authority);
        by && found.contents.principals == names && found.contents.before > seconds(now.plus(RENEWED))
    })
}

/// By what clients know the gateways.
#[derive(Clone, Debug)]
pub struct HostKeyLine {
    /// The names that the certificate of this host's gateway is good for.
    pub names: Vec<String>,
    /// The host key of every gateway: algorithm and base64.
    pub public: String,
    /// The keys of the authority of gateways, all of which are to be believed.
    pub authority: Vec<String>,
}

impl Control {
    /// The host key of the gateways, and their authority. Whoever is signed in may see them: they are there to be believed.
    ///
    /// # Errors
    /// When nobody is signed in, the vault is sealed, or there is no key yet.
    pub fn host_key(&self, op: &Op) -> Result<HostKeyLine, Error> {
        let authority = self.ssh_cas(op)?.into_iter().filter(|line| line.ca == SshCa::Gateways);
        let authority = authority.flat_map(|line| line.keys).map(|key| key.public).collect();
        let none = || Error::NotFound("the gateways have no host key yet: see the server's log".into());
        let public = host_key(&*self.opened()?).ok_or_else(none)?.public;
        Ok(HostKeyLine { names: self.host_names(), public, authority })
    }

    /// The names of this host's gateway: one that all gateways have, that of the site, and where SSH clients are told to go.
    fn host_names(&self) -> Vec<String> {
        let mut names = vec![ALIAS.to_owned()];
        for name in self.site().host().into_iter().chain(self.ssh_host.clone()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Puts a certificate of the host key where this host's gateway finds it, unless there is one that holds.
    pub(crate) async fn provide_host_certificate(&self) -> Result<(), Error> {
        let open = self.opened()?;
        let Some(HostKeyBody { public, .. }) = host_key(&open) else { return Ok(()) };
        let path = self.data.join(HOST_CERTIFICATE);
        let signer = self.signer(&open, SshCa::Gateways)?;
        let names = self.host_names();
        let there = durable::read(&path, CERTIFICATE).map_err(Error::failed)?.unwrap_or_default();
        let (there, now) = (String::from_utf8_lossy(&there), self.env.now());
        let authority = signer.public().map_err(Error::failed)?;
        let own = || key::parse(&there).and_then(|blob| certificate::read(&blob)).map(|found| found.contents.key);
        let key = key::parse(&public).map_err(Error::failed)?;
        if holds(&there, &names, &authority, now) && own().is_ok_and(|own| own == key) {
            return Ok(());
        }
        let contents = Contents {
            key,
            serial: u64::from_be_bytes(self.env.random()),
            holder: Holder::Host,
            id: format!("sallyport gateway of {}", self.node()),
            principals: names,
            after: seconds(now.minus(SKEW)),
            before: seconds(now.plus(CERTIFIED_FOR)),
            critical: Vec::new(),
            extensions: Vec::new(),
        };
        let line = key::print(&signer.certify(&contents, &self.env.random())?).map_err(Error::failed)?;
        let until = now.plus(CERTIFIED_FOR).to_string();
        let facts = [("until", until.as_str()), ("names", &contents.principals.join(", ")), ("public", &public)];
        self.note(ACTOR, "gateway.host_certificate", self.node(), &facts).await?;
        durable::replace(&path, line.as_bytes()).map_err(Error::failed)?;
        self.metrics.certificate_issued(SshCa::Gateways);
        Ok(())
    }

    /// When the certificate that this host's gateway shows ends, where it is in the last third of its life: it should
    /// have been renewed by then.
    pub(crate) fn late_host_certificate(&self) -> Option<Timestamp> {
        let there = durable::read(&self.data.join(HOST_CERTIFICATE), CERTIFICATE).ok().flatten()?;
        let read = key::parse(&String::from_utf8_lossy(&there)).and_then(|blob| certificate::read(&blob)).ok()?;
        let before = read.contents.before;
        let ends = Timestamp(i64::try_from(before).ok()?.checked_mul(1_000_000)?);
        (before < seconds(self.env.now().plus(CERTIFIED_FOR / 3))).then_some(ends)
    }

    /// Puts the key where this host's gateway finds it. The first time there is none in the vault: then it is the one that
    /// the host has, since clients know that one, or a new one.
    pub(crate) async fn provide_host_key(&self) -> Result<(), Error> {
        let path = self.host_key_path();
        let mut there = durable::read(&path, SEED).map_err(Error::failed)?.map(Secret::new);
        let kept = match self.kept_host_key()? {
            Some(kept) => kept,
            None => {
                self.keep_host_key(there.take()).await?;
                self.kept_host_key()?.ok_or_else(|| Error::failed("the host key was kept and is not there"))?
            }
        };
        if there.as_ref().is_none_or(|there| there.expose() != kept.expose()) {
            let directory = path.parent().ok_or_else(|| Error::failed("the data directory has no name"))?;
            std::fs::create_dir_all(directory).map_err(Error::failed)?;
            durable::replace(&path, kept.expose()).map_err(Error::failed)?;
        }
        Ok(())
    }

    fn host_key_path(&self) -> PathBuf {
        self.data.join(HOST_KEY)
    }

    fn kept_host_key(&self) -> Result<Option<SecretBytes>, Error> {
        let open = self.opened()?;
        let Some(HostKeyBody { secret, version, .. }) = host_key(&open) else { return Ok(None) };
        Ok(Some(open_seed(&open, secret, version)?))
    }

    /// Keeps a key, unless another node was first: then that one's is the key.
    async fn keep_host_key(&self, seed: Option<SecretBytes>) -> Result<(), Error> {
        let open = self.opened()?;
        let how = if seed.is_some() { "taken over" } else { "made" };
        let key = match seed {
            Some(seed) => SshKey::from_seed(seed),
            None => SshKey::generate(&self.env),
        };
        let key = key.map_err(|e| Error::failed(format!("`{}`: {e}; delete it", self.host_key_path().display())))?;
        let place = place(SecretId::new(&self.env), 1)?;
        self.ensure_environment(&ACTOR, &open, &place.environment).await?;
        let body = HostKeyBody { secret: place.secret, version: 1, public: key.public.clone(), rest: Rest::new() };
        let kept = self
            .under_keys(&open, |vault| {
                let sealed = vault.seal_secret(&self.env, &place, &key.seed)?;
                let facts = [("public", key.public.as_str()), ("how", how)];
                let change = Change::entry(self.draft(&ACTOR, "gateway.host_key", "host key", &facts))
                    .put(put(DOCUMENT, 0, kinds::SETTING, &body)?)
                    .put(put(version_id(place.secret, 1), 0, kinds::VERSION, &sealed)?);
                Ok((change, ()))
            })
            .await;
        match kept {
            Err(Error::Store(sallyport_store::Error::Conflict(id))) if id.as_str() == DOCUMENT => Ok(()),
            kept => kept,
        }
    }
}
