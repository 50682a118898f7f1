//! The control plane as one value: sealed or open, and what is live in it.

use crate::anchors::{Anchor, Anchors, Keeping};
use crate::directory::{Directory, kinds, load};
use crate::follow::Follow;
use crate::gathering::Gathering;
use crate::metrics::Metrics;
use crate::places::Kept;
use crate::quarantine::Heal;
use crate::recovery::lent;
use crate::sessions::{Live, SessionBody};
use crate::sign_in::{Answers, SignIn, SignInRules, dangerous};
use crate::space::SpaceState;
use crate::token::{Token, TokenConfig};
use crate::transfers::Transfers;
use crate::{Actor, Error, Op};
use sallyport_ledger::Signer;
use sallyport_model::access::Denial;
use sallyport_model::authority::Down;
use sallyport_model::door::Door;
use sallyport_model::inventory::Identity;
use sallyport_model::relay::Nodes;
use sallyport_model::{ClusterId, EntryId, Env, Handle, IdentityId, Kind, Secret, SessionId};
use sallyport_policy::{Act, Decision, Demand, PolicySet, Right};
use sallyport_store::{Change, Committed, Connected, DocId, Document, Draft, Finding, NodeKeys, Place, Put, Store};
use sallyport_vault::Vault;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Fixed ids of documents of which there is one.
pub(crate) const KEYRING: &str = "keyring";
pub(crate) const POLICY: &str = "policy";
pub(crate) const CLUSTER: &str = "cluster";

/// The file of the store in the data directory, where it is not on a server.
pub(crate) const DATABASE: &str = "sallyport.db";

/// The installation, as a document.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) cluster: ClusterId,
    #[serde(flatten)]
    pub(crate) rest: sallyport_model::inventory::Rest,
}

/// The enforced policy set, as a document.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PolicyBody {
    pub(crate) files: Vec<(String, String)>,
    #[serde(flatten)]
    pub(crate) rest: sallyport_model::inventory::Rest,
}

/// How often it is looked whether the vault was opened or sealed meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// Everything that exists only while the vault is open.
pub(crate) struct Open {
    pub(crate) cluster: ClusterId,
    pub(crate) store: Store,
    pub(crate) vault: Arc<RwLock<Vault>>,
    /// Set when another node has replaced the root key: only opening the vault anew finds it.
    outdated: watch::Receiver<bool>,
    pub(crate) policy: Arc<RwLock<Arc<PolicySet>>>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) key: String,
    /// How the vault was opened.
    pub(crate) opened: &'static str,
    /// The clock by which rights end.
    pub(crate) env: Env,
    keeping: Keeping,
    pub(crate) places: Kept,
    /// Ledger keys of other nodes that this one has vouched for.
    pub(crate) vouched: tokio::sync::Mutex<BTreeSet<String>>,
}

impl Open {
    pub(crate) fn vault(&self) -> RwLockReadGuard<'_, Vault> {
        self.vault.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when the keys in memory are not the stored ones and cannot become them.
    async fn outdated(&self) {
        if self.outdated.clone().wait_for(|outdated| *outdated).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn policy(&self) -> Arc<PolicySet> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The control plane.
pub struct Control {
    pub(crate) env: Env,
    pub(crate) data: PathBuf,
    pub(crate) live: Live,
    pub(crate) anchors: Arc<Anchors>,
    /// Size and root of the head that is to be accepted against its anchors.
    pub(crate) accepting: Option<(u64, String)>,
    pub(crate) heal: Option<Heal>,
    pub(crate) space: SpaceState,
    pub(crate) quarantined: RwLock<Option<Arc<Vec<Finding>>>>,
    place: Place,
    node: String,
    open: RwLock<Option<Arc<Open>>>,
    /// One attempt to unseal at a time; holds how many in a row have failed.
    pub(crate) unsealing: tokio::sync::Mutex<u32>,
    /// Shares that were presented so far.
    pub(crate) gathering: Gathering,
    /// Told when keys may have to be looked after.
    pub(crate) keys_due: Arc<Notify>,
    /// Told when a login may have been answered that waits for that.
    pub(crate) answers: Arc<Answers>,
    token: Option<Arc<TokenConfig>>,
    pub(crate) door: Option<Arc<dyn Door>>,
    pub(crate) nodes: Option<Arc<dyn Nodes>>,
    pub(crate) transfers: Transfers,
    pub(crate) sign_in: SignIn,
    /// The host that SSH clients are told to connect to.
    pub(crate) ssh_host: Option<String>,
    pub(crate) metrics: Metrics,
}

impl Control {
    /// The control plane over a data directory, still sealed.
    #[must_use]
    pub fn new(env: Env, data: &Path, node: &str) -> Self {
        let metrics = Metrics::default();
        Self {
            env,
            data: data.to_owned(),
            live: Live::default(),
            anchors: Arc::default(),
            accepting: None,
            heal: None,
            space: SpaceState::default(),
            quarantined: RwLock::default(),
            place: Place::file(&data.join(DATABASE)),
            node: node.to_owned(),
            open: RwLock::new(None),
            unsealing: tokio::sync::Mutex::default(),
            gathering: Gathering::default(),
            keys_due: Arc::default(),
            answers: Arc::default(),
            token: None,
            door: None,
            nodes: None,
            transfers: Transfers::new(metrics.clone()),
            sign_in: SignIn::default(),
            ssh_host: None,
            metrics,
        }
    }

    /// The same with other rules of signing in.
    #[must_use]
    pub fn with_sign_in(self, rules: SignInRules) -> Self {
        Self { sign_in: SignIn::new(rules), ..self }
    }

    /// The same with this host named to SSH clients, by which its gateway is certified too.
    #[must_use]
    pub fn with_ssh_host(self, host: String) -> Self {
        Self { ssh_host: Some(host), ..self }
    }

    /// The same with its store elsewhere than in the data directory.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// Gives it the places where checkpoints go.
    #[must_use]
    pub fn with_anchors(mut self, anchors: Vec<Arc<dyn Anchor>>) -> Self {
        self.anchors = Arc::new(Anchors::new(anchors));
        self
    }

    /// With a token that keeps keys of seal slots.
    #[must_use]
    pub fn with_token(self, config: TokenConfig) -> Self {
        Self { token: Some(Arc::new(config)), ..self }
    }

    /// The token of this node.
    pub(crate) fn token(&self, cluster: ClusterId) -> Result<Token, Error> {
        let config = self.token.clone().ok_or_else(|| {
            Error::usage("this node has no token: set `[seal.pkcs11]` in its configuration and start it again")
        })?;
        Ok(Token { config, cluster })
    }

    /// A connection of its own to the database, of which nothing is believed yet.
    pub(crate) async fn connect(&self) -> Result<Connected, Error> {
        Ok(Connected::open(&self.place, false).await?)
    }

    /// Whether other nodes write to the same store.
    pub(crate) const fn is_shared(&self) -> bool {
        self.place.shared()
    }

    /// How a vault was opened by a quorum of shares.
    pub(crate) const BY_SHARES: &'static str = "shares";
    /// How the vault is opened that a node has just founded.
    pub(crate) const FOUNDING: &'static str = "founding";
    /// How the vault is opened by a node that is about to join.
    pub(crate) const JOINING: &'static str = "joining";

    /// Starts the store under a vault that was opened this way. Nobody is served yet: that is what `publish` is for.
    pub(crate) async fn prepare(
        &self,
        mut connected: Connected,
        vault: Vault,
        cluster: ClusterId,
        opened: &'static str,
    ) -> Result<Open, Error> {
        let joining = opened == Self::JOINING;
        let keys = NodeKeys { joining, ..self.node_keys(cluster)? };
        let key = keys.signer.verifier().clone();
        let documents = vault.document_key();
        let follow = Arc::new(Follow {
            directory: Arc::default(),
            vault: Arc::new(RwLock::new(vault)),
            policy: Arc::new(RwLock::new(Arc::new(PolicySet::load(&[]).map_err(Error::failed)?))),
            live: self.live.clone(),
            keys_due: self.keys_due.clone(),
            answers: self.answers.clone(),
            broken: Mutex::default(),
            outdated: watch::Sender::new(false),
        });
        let outdated = follow.outdated.subscribe();
        let follower = {
            let follow = follow.clone();
            Arc::new(move |id: &DocId, document: Option<&Document>| follow.hear(id, document))
        };
        self.heal_first(&mut connected, &documents, cluster, opened).await?;
        let started = connected.start(self.env.clone(), documents.clone(), keys, follower).await;
        let (store, report) = match started {
            Ok(started) => started,
            Err(error) => return Err(self.put_in_quarantine(error, &documents, cluster).await),
        };
        // Nothing is written and nobody is answered before the head has stood against its anchors.
        let broken = follow.broken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let keeping = match broken {
            Some(error) => Err(Error::failed(format!("the stored policies do not load: {error}"))),
            None => self.anchored(&store, &key, opened).await,
        };
        let keeping = match keeping {
            Ok(keeping) => keeping,
            Err(error) => {
                store.close().await;
                return Err(error);
            }
        };
        let (vault, policy, directory) = (follow.vault.clone(), follow.policy.clone(), follow.directory.clone());
        tracing::info!(
            entries = report.size,
            documents = report.documents,
            policy = policy.read().unwrap_or_else(PoisonError::into_inner).hash(),
            "The vault is open"
        );
        Ok(Open {
            cluster,
            store,
            vault,
            outdated,
            policy,
            directory,
            key: key.to_string(),
            opened,
            env: self.env.clone(),
            keeping,
            places: Kept::default(),
            vouched: tokio::sync::Mutex::default(),
        })
    }

    /// Serves what was prepared.
    pub(crate) fn publish(&self, open: Open) {
        *self.quarantined.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(open));
        self.keys_due.notify_one();
    }

    /// The node's ledger key, from its file.
    pub(crate) fn node_keys(&self, cluster: ClusterId) -> Result<NodeKeys, Error> {
        let path = self.data.join("keys/ledger.key");
        let text = std::fs::read_to_string(&path)
            .map_err(|e| Error::failed(format!("cannot read the ledger key `{}`: {e}", path.display())))?;
        let seed =
            hex::decode(text.trim()).map_err(|_| Error::failed(format!("`{}` is no ledger key", path.display())))?;
        let origin = format!("sallyport/{cluster}");
        let signer = Signer::new(&origin, &Secret::new(seed)).map_err(Error::failed)?;
        Ok(NodeKeys { signer, origin, node: self.node.clone(), joining: false })
    }

    /// Whether a session was opened through another node; its gateway is connected there.
    pub(crate) fn elsewhere(&self, session: &SessionBody) -> bool {
        !session.node.is_empty() && session.node != self.node
    }

    /// Name of this node in entries.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Seals: what needs the vault stops, live sessions go on within their grace.
    ///
    /// # Errors
    /// When the actor has no right to, or the entry cannot be written.
    pub async fn seal(&self, op: &Op) -> Result<(), Error> {
        self.require(op, Right::VaultSeal)?;
        self.note(op.actor.clone(), "vault.sealed", "vault", &[]).await?;
        self.gathering.clear();
        self.live.broadcast(|| Down::Seal);
        self.close().await;
        Ok(())
    }

    /// Stops writing in good order.
    pub async fn close(&self) {
        let open = self.open.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(open) = open {
            open.keeping.finish().await;
            open.store.close().await;
        }
    }

    /// Resolves when the store may write nothing more: the process must be replaced.
    pub async fn failed(&self) {
        loop {
            match self.opened() {
                Ok(open) => tokio::select! {
                    () = open.store.failed() => return,
                    () = open.outdated() => return,
                    () = tokio::time::sleep(LOOK) => {}
                },
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    pub(crate) fn opened(&self) -> Result<Arc<Open>, Error> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner).clone();
        open.ok_or_else(|| self.quarantine().map_or(Error::Sealed, |found| Error::Quarantined(found.len())))
    }

    /// The acting identity, if it may act at all.
    pub(crate) fn acting(&self, op: &Op) -> Result<Identity, Error> {
        let open = self.opened()?;
        let id = op.identity().ok_or_else(|| Denial::new(Kind::Denied, "only an identity may do this"))?;
        self.demand_signed_in(&open, op)?;
        identity(&open, id)
            .ok_or_else(|| Denial::new(Kind::Denied, "this identity may do nothing: it is disabled or gone").into())
    }

    /// Asks policy whether the actor has a product right.
    pub(crate) fn require(&self, op: &Op, right: Right) -> Result<(), Error> {
        match op.actor {
            Actor::Host | Actor::System(_) => return Ok(()),
            Actor::Gateway(_) => return Err(Denial::new(Kind::Denied, "a gateway has no product rights").into()),
            Actor::Identity(..) => {}
        }
        let identity = self.acting(op)?;
        if dangerous(right) {
            self.demand_fresh_factor(op)?;
        }
        let policy = self.opened()?.policy();
        let decision = sallyport_policy::decide(&policy, &self.facts(op, &identity), Act::Right(right));
        self.metrics.decided(Act::Right(right), &decision);
        match decision {
            Decision::Permit { .. } => Ok(()),
            Decision::Needs { demands, .. } if demands == [Demand::StepUp] && op.device.is_some() => Err(Error::StepUp),
            _ => {
                let right = Act::Right(right).action();
                let text =
                    format!("{} may not do this: it needs the right `{right}`; ask an administrator", identity.handle);
                Err(Denial::new(Kind::Denied, text).into())
            }
        }
    }

    /// A draft of an entry.
    pub(crate) fn draft(
        &self,
        actor: &Actor,
        action: &'static str,
        object: impl ToString,
        facts: &[(&str, &str)],
    ) -> Draft {
        Draft {
            id: EntryId::new(&self.env),
            actor: actor.to_string(),
            action,
            object: object.to_string(),
            session: None,
            facts: facts.iter().map(|(k, v)| ((*k).to_owned(), clip(v))).collect::<BTreeMap<_, _>>(),
        }
    }

    /// Writes an entry that changes nothing else.
    pub(crate) async fn note(
        &self,
        actor: Actor,
        action: &'static str,
        object: impl ToString,
        facts: &[(&str, &str)],
    ) -> Result<Committed, Error> {
        let draft = self.draft(&actor, action, object, facts);
        Ok(self.opened()?.store.commit(Change::entry(draft)).await?)
    }
}

/// An identity that may act, by id, with the rights that are lent to it in this moment.
pub(crate) fn identity(open: &Open, id: IdentityId) -> Option<Identity> {
    let found = load::<Identity>(&open.store, &DocId::new(id), kinds::IDENTITY)?.value;
    (!found.disabled).then(|| lent(open, found))
}

/// An identity by handle, enabled or not.
pub(crate) fn identity_of(open: &Open, handle: &Handle) -> Option<Identity> {
    let id = open.directory.identity(handle)?;
    Some(load::<Identity>(&open.store, &DocId::new(id), kinds::IDENTITY)?.value)
}

/// A document to write.
pub(crate) fn put<T: Serialize>(
    id: impl std::fmt::Display,
    was: u64,
    kind: &'static str,
    body: &T,
) -> Result<Put, Error> {
    Ok(Put { id: DocId::new(id), was, kind, schema: 1, body: serde_json::to_vec(body).map_err(Error::failed)? })
}

/// A fact short enough for an entry.
pub(crate) fn clip(text: &str) -> String {
    const MOST: usize = 2048;
    if text.len() <= MOST {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MOST / 4).collect();
    short.push_str("... (cut)");
    short
}

/// An act of the product itself.
#[must_use]
pub(crate) fn system(name: &'static str) -> Op {
    Op { actor: Actor::System(name), ..Op::host() }
}

/// Adds the session to a draft.
pub(crate) fn in_session(mut draft: Draft, session: SessionId) -> Draft {
    draft.session = Some(session);
    draft
}
