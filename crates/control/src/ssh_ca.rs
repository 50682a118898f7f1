//! The certificate authorities of SSH: keys in the vault, which sign what is shown for minutes, and are rotated with an overlap.
//!
//! ```text
//! begin     a next key is made and shown, so that whoever believes this authority can be told of both
//! activate  the next key signs from here on, and the former one is still to be believed
//! finish    the former key is gone
//! ```

use crate::control::{Open, put};
use crate::directory::{Versioned, kinds, load};
use crate::host_key::{open_seed, place};
use crate::lease::{signature, version_id};
use crate::slots::borrowed;
use crate::{Actor, Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::inventory::Rest;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{Kind, SecretId, Timestamp};
use sallyport_policy::Right;
use sallyport_ssh_transport::certificate::{Contents, signed};
use sallyport_ssh_transport::key;
use sallyport_store::{Change, DocId};
use sallyport_vault::{SshKey, fingerprint};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

const ACTOR: Actor = Actor::System("ssh_ca");

/// Which authority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SshCa {
    /// Whose certificates open accounts on targets.
    Targets,
    /// Whose certificates sign people in at gateways.
    People,
    /// Whose certificates say of a gateway that it is one of this installation.
    Gateways,
}

impl SshCa {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Targets, Self::People, Self::Gateways];

    /// Stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Targets => "targets",
            Self::People => "people",
            Self::Gateways => "gateways",
        }
    }

    fn document(self) -> String {
        format!("ssh_ca.{}", self.word())
    }
}

impl FromStr for SshCa {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let names = || Self::ALL.map(Self::word).join(", ");
        let found = Self::ALL.into_iter().find(|ca| ca.word() == word);
        found.ok_or_else(|| Error::NotFound(format!("there is no SSH authority `{word}`: there are {}", names())))
    }
}

/// A step of a rotation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CaStep {
    /// Makes the next key.
    Begin,
    /// Lets it sign.
    Activate,
    /// Lets go of the former one.
    Finish,
}

impl FromStr for CaStep {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        match word {
            "begin" => Ok(Self::Begin),
            "activate" => Ok(Self::Activate),
            "finish" => Ok(Self::Finish),
            _ => Err(Error::usage("a step of a rotation is `begin`, `activate` or `finish`")),
        }
    }
}

/// What a key of an authority is there for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CaKeyState {
    /// It is to sign soon: tell whoever believes the authority.
    Next,
    /// It signs.
    Signs,
    /// It has signed, and signs no more.
    Former,
}

impl CaKeyState {
    /// Stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Signs => "signs",
            Self::Former => "former",
        }
    }
}

/// A key of an authority, without its private half.
#[derive(Clone, Debug)]
pub struct CaKeyLine {
    /// Counts the keys of its authority, from 1.
    pub version: u64,
    /// Algorithm and base64.
    pub public: String,
    /// What it is there for.
    pub state: CaKeyState,
    /// When it was made.
    pub made: Timestamp,
}

/// An authority.
#[derive(Clone, Debug)]
pub struct CaLine {
    /// Which.
    pub ca: SshCa,
    /// Its keys, the oldest first. All of them are to be believed.
    pub keys: Vec<CaKeyLine>,
}

/// What is known of an authority without opening its keys.
#[derive(Clone, Serialize, Deserialize)]
struct CaBody {
    secret: SecretId,
    /// Version of the key that signs.
    signs: u64,
    keys: Vec<CaKey>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Clone, Serialize, Deserialize)]
struct CaKey {
    version: u64,
    public: String,
    made: Timestamp,
}

impl CaBody {
    fn line(&self, ca: SshCa) -> CaLine {
        let state = |version: u64| match version.cmp(&self.signs) {
            std::cmp::Ordering::Less => CaKeyState::Former,
            std::cmp::Ordering::Equal => CaKeyState::Signs,
            std::cmp::Ordering::Greater => CaKeyState::Next,
        };
        let line = |key: &CaKey| CaKeyLine {
            version: key.version,
            public: key.public.clone(),
            state: state(key.version),
            made: key.made,
        };
        CaLine { ca, keys: self.keys.iter().map(line).collect() }
    }

    fn newest(&self) -> u64 {
        self.keys.iter().map(|key| key.version).max().unwrap_or(self.signs)
    }
}

fn body(open: &Open, ca: SshCa) -> Option<Versioned<CaBody>> {
    load(&open.store, &DocId::new(ca.document()), kinds::SETTING)
}

fn missing(ca: SshCa) -> Error {
    Error::failed(format!("the SSH authority of {} has no key yet: unseal the vault again, and see the log", ca.word()))
}

/// Facts of an entry.
type Told = Vec<(&'static str, String)>;

/// What signs for an authority.
pub(crate) struct Signer {
    seed: SecretBytes,
    public: Vec<u8>,
    /// Which of its keys.
    pub(crate) version: u64,
}

impl Signer {
    /// Its public key, algorithm and base64.
    pub(crate) fn public(&self) -> Result<String, sallyport_ssh_transport::Error> {
        key::print(&self.public)
    }

    /// The certificate that says this.
    pub(crate) fn certify(&self, contents: &Contents, nonce: &[u8; 32]) -> Result<Vec<u8>, Error> {
        let unsigned = contents.unsigned(nonce, &self.public).map_err(Error::failed)?;
        let signature = signature(&self.seed, &unsigned)?;
        Ok(signed(unsigned, &signature))
    }
}

impl Control {
    /// The authorities with their public keys. Whoever is signed in may see them: they are there to be believed.
    ///
    /// # Errors
    /// When nobody is signed in, or the vault is sealed.
    pub fn ssh_cas(&self, op: &Op) -> Result<Vec<CaLine>, Error> {
        self.acting(op)?;
        let open = self.opened()?;
        Ok(SshCa::ALL.into_iter().filter_map(|ca| Some(body(&open, ca)?.value.line(ca))).collect())
    }

    /// One step of the rotation of an authority's key.
    ///
    /// # Errors
    /// When the actor lacks the right, or it is not this step's turn.
    pub async fn rotate_ssh_ca(&self, op: &Op, ca: SshCa, step: CaStep) -> Result<CaLine, Error> {
        self.require(op, Right::VaultRotate)?;
        let open = self.opened()?;
        let known = body(&open, ca).ok_or_else(|| missing(ca))?;
        let made = match step {
            CaStep::Begin => Some(SshKey::generate(&self.env).map_err(Error::failed)?),
            CaStep::Activate | CaStep::Finish => None,
        };
        let (after, told) = self.stepped(&known.value, step, made.as_ref())?;
        let gone = known.value.keys.iter().filter(|key| after.keys.iter().all(|kept| kept.version != key.version));
        let gone: Vec<DocId> = gone.map(|key| DocId::new(version_id(after.secret, key.version))).collect();
        let action = match step {
            CaStep::Begin => "ssh_ca.begun",
            CaStep::Activate => "ssh_ca.activated",
            CaStep::Finish => "ssh_ca.finished",
        };
        self.under_keys(&open, |vault| {
            let draft = self.draft(&op.actor, action, ca.word(), &borrowed(&told));
            let mut change = Change::entry(draft).put(put(ca.document(), known.version, kinds::SETTING, &after)?);
            if let Some(key) = &made {
                let place = place(after.secret, after.newest())?;
                let sealed = vault.seal_secret(&self.env, &place, &key.seed)?;
                change = change.put(put(version_id(place.secret, place.version), 0, kinds::VERSION, &sealed)?);
            }
            for id in &gone {
                let version = open.store.working(|set| set.version(id));
                change = change.delete(id.clone(), version);
            }
            Ok((change, ()))
        })
        .await?;
        if ca == SshCa::Gateways {
            self.provide_host_certificate().await?;
        }
        Ok(after.line(ca))
    }

    /// What an authority is after a step, and what the entry says of it.
    fn stepped(&self, known: &CaBody, step: CaStep, made: Option<&SshKey>) -> Result<(CaBody, Told), Error> {
        let not_now = |text: &str| Error::from(Denial::new(Kind::Conflict, text));
        let mut after = known.clone();
        let newest = known.newest();
        let told = match step {
            CaStep::Begin => {
                let key = made.ok_or_else(|| Error::failed("no key was made"))?;
                if known.keys.len() > 1 {
                    return Err(not_now(
                        "a rotation is under way: activate the next key, or finish with the former one",
                    ));
                }
                let version = newest.saturating_add(1);
                after.keys.push(CaKey { version, public: key.public.clone(), made: self.env.now() });
                vec![("public", key.public.clone()), ("fingerprint", fingerprint(&key.public))]
            }
            CaStep::Activate => {
                if newest == known.signs {
                    return Err(not_now("no next key waits: begin a rotation first"));
                }
                after.signs = newest;
                let public = after.keys.iter().find(|key| key.version == newest).map(|key| key.public.as_str());
                vec![("fingerprint", fingerprint(public.unwrap_or_default()))]
            }
            CaStep::Finish => {
                if known.keys.iter().all(|key| key.version >= known.signs) {
                    return Err(not_now("there is no former key: activate the next one first"));
                }
                after.keys.retain(|key| key.version >= known.signs);
                let gone = known.keys.iter().filter(|key| key.version < known.signs);
                vec![("fingerprint", gone.map(|key| fingerprint(&key.public)).collect::<Vec<_>>().join(", "))]
            }
        };
        Ok((after, told))
    }

    /// Authorities whose next key waits to be activated.
    pub(crate) fn waiting_ssh_cas(&self, open: &Open) -> usize {
        let waits = |ca: &SshCa| body(open, *ca).is_some_and(|found| found.value.newest() > found.value.signs);
        SshCa::ALL.iter().filter(|ca| waits(ca)).count()
    }

    /// The public keys of an authority that are to be believed: those that sign or have signed, and none that waits.
    pub(crate) fn believed(&self, open: &Open, ca: SshCa) -> Vec<String> {
        let Some(body) = body(open, ca).map(|found| found.value) else { return Vec::new() };
        body.keys.into_iter().filter(|key| key.version <= body.signs).map(|key| key.public).collect()
    }

    /// What signs for an authority now.
    pub(crate) fn signer(&self, open: &Open, ca: SshCa) -> Result<Signer, Error> {
        let body = body(open, ca).ok_or_else(|| missing(ca))?.value;
        let key = body.keys.iter().find(|key| key.version == body.signs).ok_or_else(|| missing(ca))?;
        let seed = open_seed(open, body.secret, key.version)?;
        Ok(Signer { seed, public: key::parse(&key.public).map_err(Error::failed)?, version: key.version })
    }

    /// Makes the authorities that there are not yet. Another node may be first: then its key is the key.
    pub(crate) async fn provide_ssh_cas(&self) -> Result<(), Error> {
        let open = self.opened()?;
        for ca in SshCa::ALL {
            if body(&open, ca).is_none() {
                self.make_ssh_ca(&open, ca).await?;
            }
        }
        Ok(())
    }

    async fn make_ssh_ca(&self, open: &Open, ca: SshCa) -> Result<(), Error> {
        let key = SshKey::generate(&self.env).map_err(Error::failed)?;
        let place = place(SecretId::new(&self.env), 1)?;
        self.ensure_environment(&ACTOR, open, &place.environment).await?;
        let first = CaKey { version: 1, public: key.public.clone(), made: self.env.now() };
        let body = CaBody { secret: place.secret, signs: 1, keys: vec![first], rest: Rest::new() };
        let made = self
            .under_keys(open, |vault| {
                let sealed = vault.seal_secret(&self.env, &place, &key.seed)?;
                let fingerprint = fingerprint(&key.public);
                let facts = [("public", key.public.as_str()), ("fingerprint", fingerprint.as_str())];
                let change = Change::entry(self.draft(&ACTOR, "ssh_ca.made", ca.word(), &facts))
                    .put(put(ca.document(), 0, kinds::SETTING, &body)?)
                    .put(put(version_id(place.secret, 1), 0, kinds::VERSION, &sealed)?);
                Ok((change, ()))
            })
            .await;
        match made {
            Err(Error::Store(sallyport_store::Error::Conflict(id))) if id.as_str() == ca.document() => Ok(()),
            made => made,
        }
    }
}
