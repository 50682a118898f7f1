//! Acts on the vault: store, generate, list. A value goes in and is never shown again.

use crate::control::{KEYRING, Open, put};
use crate::directory::{all, kinds, load};
use crate::found::{Found, find};
use crate::lease::{SecretBody, version_id};
use crate::sign_in::dangerous;
use crate::slots::{SlotLine, TRIES, borrowed, busy, slots};
use crate::{Actor, Control, Error, Op};
use sallyport_model::access::{Ask, Denial, From};
use sallyport_model::inventory::{Rest, Target};
use sallyport_model::name::Label;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{Address, Secret, SecretId, Timestamp};
use sallyport_policy::{Act, Place, Right, decide};
use sallyport_store::{Change, DocId};
use sallyport_vault::{Rules, SecretKind, SshKey, Where, generate};

/// A credential to be stored.
pub enum NewSecret {
    /// A password made here.
    GeneratePassword,
    /// An Ed25519 key made here.
    GenerateSshKey,
    /// A password that exists already.
    Password(SecretBytes),
    /// An OpenSSH private key file, unencrypted Ed25519.
    SshKey(SecretBytes),
}

/// A secret without its value.
#[derive(Clone, Debug)]
pub struct SecretLine {
    /// The secret.
    pub id: SecretId,
    /// `account@target`.
    pub address: String,
    /// `password`, `ssh_ed25519`.
    pub kind: &'static str,
    /// Environment: its key domain.
    pub environment: String,
    /// Current version.
    pub version: u64,
    /// When it was stored.
    pub stored: Timestamp,
    /// The public half of a key.
    pub public: Option<String>,
}

impl Control {
    /// Stores the credential of an account as a new version.
    ///
    /// # Errors
    /// When the actor lacks the right for this tier, the account is unknown, or the value unusable.
    pub async fn put_secret(&self, op: &Op, address: &Address, new: NewSecret) -> Result<SecretLine, Error> {
        let open = self.opened()?;
        let found = place(&open, address)
            .and_then(|found| self.require_at(op, Right::VaultWrite, &found.target).map(|()| found));
        let found = self.unless_unseen(op, found)?;
        let (kind, value, public, how) = material(&self.env, &found, new)?;
        self.ensure_environment(&op.actor, &open, &found.target.environment).await?;

        let account =
            load::<sallyport_model::inventory::Account>(&open.store, &DocId::new(found.account.id), kinds::ACCOUNT)
                .ok_or_else(|| Error::NotFound("the account is gone".into()))?;
        let known = account.value.secret.and_then(|id| load::<SecretBody>(&open.store, &DocId::new(id), kinds::SECRET));
        let id = known.as_ref().map_or_else(|| SecretId::new(&self.env), |k| k.value.id);
        let version = known.as_ref().map_or(0, |k| k.value.version) + 1;
        let environment = found.target.environment.clone();
        let place = Where { environment: environment.clone(), secret: id, version, kind };
        let body = SecretBody {
            id,
            account: found.account.id,
            environment,
            kind,
            version,
            stored: self.env.now(),
            public,
            rest: Rest::new(),
        };
        let facts = [
            ("secret", id.to_string()),
            ("version", version.to_string()),
            ("kind", kind.word().into()),
            ("how", how.into()),
        ];
        let name = format!("{}@{}", found.account.name, found.target.name);
        let was = known.map_or(0, |k| k.version);
        self.under_keys(&open, |vault| {
            let sealed = vault.seal_secret(&self.env, &place, &value)?;
            let mut change = Change::entry(self.draft(&op.actor, "secret.stored", &name, &borrowed(&facts)))
                .put(put(id, was, kinds::SECRET, &body)?)
                .put(put(version_id(id, version), 0, kinds::VERSION, &sealed)?);
            if account.value.secret != Some(id) {
                let updated = sallyport_model::inventory::Account { secret: Some(id), ..account.value.clone() };
                change = change.put(put(updated.id, account.version, kinds::ACCOUNT, &updated)?);
            }
            Ok((change, ()))
        })
        .await?;
        Ok(line(&body, name))
    }

    /// Whether the vault is sealed, its slots and its secrets.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub fn vault_status(&self, op: &Op) -> Result<(Vec<SlotLine>, Vec<SecretLine>), Error> {
        self.require(op, Right::VaultStatus)?;
        let open = self.opened()?;
        let slots = slots(&open).iter().map(|(_, slot)| SlotLine::of(slot)).collect();
        let secrets = all::<SecretBody>(&open.store, kinds::SECRET)
            .into_iter()
            .map(|(_, secret)| {
                let account = load::<sallyport_model::inventory::Account>(
                    &open.store,
                    &DocId::new(secret.value.account),
                    kinds::ACCOUNT,
                );
                let target = account.as_ref().and_then(|a| {
                    load::<sallyport_model::inventory::Target>(&open.store, &DocId::new(a.value.target), kinds::TARGET)
                });
                let name = match (account, target) {
                    (Some(account), Some(target)) => format!("{}@{}", account.value.name, target.value.name),
                    _ => "an account that is gone".into(),
                };
                line(&secret.value, name)
            })
            .collect();
        Ok((slots, secrets))
    }

    /// A product right over one target: the tier rule applies.
    pub(crate) fn require_at(&self, op: &Op, right: Right, target: &Target) -> Result<(), Error> {
        if matches!(op.actor, Actor::Host | Actor::System(_)) {
            return Ok(());
        }
        let who = self.acting(op)?;
        if dangerous(right) {
            self.demand_fresh_factor(op)?;
        }
        let policy = self.opened()?.policy();
        let facts = self.facts(op, &who).at(Place::Target(target));
        match decide(&policy, &facts, Act::Right(right)).denial() {
            None => Ok(()),
            Some(denial) => {
                let text = format!("you may not do this at {}: {}", target.name, denial.message);
                Err(Denial::new(denial.kind, text).into())
            }
        }
    }

    /// To somebody who may not see the inventory, what is not theirs and what is not there are one answer: no name is found
    /// out by trying to change it.
    pub(crate) fn unless_unseen<T>(&self, op: &Op, outcome: Result<T, Error>) -> Result<T, Error> {
        match outcome {
            Err(Error::NotFound(_) | Error::Denied(_)) if self.require(op, Right::InventoryRead).is_err() => {
                Err(Error::NotFound("there is no such target or account, or it is not yours to change".into()))
            }
            other => other,
        }
    }

    /// Makes the environment's key domain, once.
    pub(crate) async fn ensure_environment(&self, actor: &Actor, open: &Open, name: &Label) -> Result<(), Error> {
        for _ in 0..TRIES {
            let change = {
                let vault = open.vault();
                let Some(body) = vault.ensure_domain(&self.env, name)? else { return Ok(()) };
                let draft = self.draft(actor, "vault.domain_created", name, &[]);
                Change::entry(draft).put(put(KEYRING, vault.keyring().version, kinds::KEYRING, &body)?)
            };
            match open.store.commit(change).await {
                Ok(_) => return Ok(()),
                // Somebody else has changed the keyring, perhaps by this very domain.
                Err(sallyport_store::Error::Conflict(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(busy())
    }
}

/// The place that an address names.
pub(crate) fn place(open: &Open, address: &Address) -> Result<Found, Error> {
    let Address::Place { account, target, .. } = address else {
        return Err(Error::usage("write the account as `account@target`"));
    };
    let ask = Ask {
        account: account.clone(),
        target: target.clone(),
        protocol: String::new(),
        from: From(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        reason: String::new(),
    };
    find(open, &ask).ok_or_else(|| Error::NotFound(format!("there is no `{account}@{target}`: apply it first")))
}

type Material = (SecretKind, SecretBytes, Option<String>, &'static str);

pub(crate) fn material(env: &sallyport_model::Env, found: &Found, new: NewSecret) -> Result<Material, Error> {
    Ok(match new {
        NewSecret::Password(value) => (SecretKind::Password, value, None, "brought"),
        NewSecret::GeneratePassword => {
            let platform =
                if found.target.protocol.as_str() == "ssh" { "linux" } else { found.target.protocol.as_str() };
            let made = generate(env, &Rules::platform(platform)).map_err(Error::failed)?;
            (SecretKind::Password, Secret::new(made.expose().as_bytes().to_vec()), None, "generated")
        }
        NewSecret::SshKey(file) => {
            let key = SshKey::parse_openssh(&file).map_err(|bad| Error::usage(bad).of_field("credential"))?;
            (SecretKind::SshEd25519, key.seed, Some(key.public), "brought")
        }
        NewSecret::GenerateSshKey => {
            let key = SshKey::generate(env).map_err(Error::failed)?;
            (SecretKind::SshEd25519, key.seed, Some(key.public), "generated")
        }
    })
}

fn line(body: &SecretBody, address: String) -> SecretLine {
    SecretLine {
        id: body.id,
        address,
        kind: body.kind.word(),
        environment: body.environment.to_string(),
        version: body.version,
        stored: body.stored,
        public: body.public.clone(),
    }
}
