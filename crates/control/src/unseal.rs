//! Unsealing: one attempt at a time, failures cost time and are kept until the ledger can take them.

use crate::control::{CLUSTER, Cluster, Open};
use crate::directory::{kinds, parse};
use crate::gathering::Progress;
use crate::spool::{Attempt, Spool};
use crate::steps::reached;
use crate::{Actor, Control, Error};
use sallyport_model::access::Denial;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{ClusterId, EntryId, Kind, Secret, SlotId};
use sallyport_store::{Change, DocId, Document};
use sallyport_vault::{KeyFile, KeyringBody, Share, SlotBody, TokenPlace, Unlock, Vault, VaultError};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// What the first failed attempt to unseal costs; each further one costs double, up to 64 times.
const PENALTY: Duration = Duration::from_millis(250);

/// What the vault is opened with.
pub enum Opening {
    /// The text of a key file.
    KeyFile(Secret<String>),
    /// A passphrase.
    Passphrase(Secret<String>),
    /// One share of a quorum, as it was typed.
    Share(Secret<String>),
    /// The key that this node's token keeps, with the token's PIN. It is presented: the configuration's own PIN proves
    /// nothing about who asks.
    Token(Secret<String>),
}

impl Opening {
    const fn word(&self) -> &'static str {
        match self {
            Self::KeyFile(_) => "key file",
            Self::Passphrase(_) => "passphrase",
            Self::Share(_) => Control::BY_SHARES,
            Self::Token(_) => "token",
        }
    }
}

/// What the store holds of a sealed vault. Nothing of it is believed: the vault checks it itself.
pub(crate) struct Stored {
    pub(crate) cluster: ClusterId,
    keyring: KeyringBody,
    slots: Vec<SlotBody>,
}

impl Control {
    /// Opens the vault with the key file of this host, at the start.
    ///
    /// # Errors
    /// Says whether the key is wrong, or what in the data directory is not right.
    pub async fn unseal_with_key_file(&self, bytes: &[u8]) -> Result<(), Error> {
        let key = KeyFile::parse(bytes).map_err(Error::usage)?;
        let outcome = self.open_with("key file", move |stored| stored.open(&Unlock::KeyFile(&key))).await;
        if let Err(error) = &outcome {
            self.remember_failure("key file", IpAddr::V4(Ipv4Addr::LOCALHOST), error).await;
        }
        outcome
    }

    /// Opens the vault with the token of this host and the PIN of its configuration, at the start. Nobody presents
    /// anything here, so this is never a caller's to ask for.
    ///
    /// # Errors
    /// Says what is wrong with token or PIN, or what in the data directory is not right.
    pub async fn unseal_with_token(&self) -> Result<(), Error> {
        self.attempt(IpAddr::V4(Ipv4Addr::LOCALHOST), "token", self.open_by_token(None)).await
    }

    async fn open_by_token(&self, pin: Option<Secret<String>>) -> Result<(), Error> {
        self.must_be_sealed()?;
        let (id, secret) = self.unwrapped_by_token(pin).await?;
        self.open_with("token", move |stored| stored.open(&Unlock::Token(id, &secret))).await
    }

    /// One attempt to open the vault, or one share more towards it: `None` says that the vault is open. What is
    /// presented is the authentication: while the vault is sealed nobody can be known.
    ///
    /// # Errors
    /// Says what is wrong with what was presented; a wrong share is named, and the others stay. Each failure costs
    /// time, which nobody can spend side by side.
    pub async fn unseal(&self, from: IpAddr, with: Opening) -> Result<Option<Progress>, Error> {
        let how = with.word();
        self.attempt(from, how, async {
            match with {
                Opening::KeyFile(text) => {
                    let key = KeyFile::parse(text.expose().as_bytes()).map_err(Error::usage)?;
                    self.open_with(how, move |stored| stored.open(&Unlock::KeyFile(&key))).await?;
                }
                Opening::Passphrase(passphrase) => {
                    self.open_with(how, move |stored| stored.open(&Unlock::Passphrase(&passphrase))).await?;
                }
                Opening::Share(text) => return self.present(&text).await,
                Opening::Token(pin) => self.open_by_token(Some(pin)).await?,
            }
            Ok(None)
        })
        .await
    }

    /// Forgets the shares that were presented. Only the holder of a share of the same set may do so: otherwise
    /// anybody could keep the vault sealed.
    ///
    /// # Errors
    /// When the share is none of a set, or none was presented.
    pub async fn cancel_unseal(&self, from: IpAddr, share: Secret<String>) -> Result<(), Error> {
        self.attempt(from, "shares", async {
            let share = Share::parse(&share).map_err(VaultError::from)?;
            let stored = self.stored().await?;
            let slot = stored.slot_of(&share)?;
            slot.check_share(&share)?;
            if self.gathering.drop_slot(self.env.now(), slot.id) {
                tracing::warn!(share = share.number(), "The shares that were presented are dropped");
                return Ok(());
            }
            Err(Error::usage("no share waits: there is nothing to cancel"))
        })
        .await
    }

    /// What the token unwraps of the slot that was made with it.
    async fn unwrapped_by_token(&self, pin: Option<Secret<String>>) -> Result<(SlotId, SecretBytes), Error> {
        let stored = self.stored().await?;
        let token = self.token(stored.cluster)?;
        let ours = |slot: &&SlotBody| {
            let named = |(place, _): (&TokenPlace, &[u8])| {
                (&place.token, &place.key) == (&token.config.token, &token.config.key)
            };
            slot.confirmed() && slot.token().is_some_and(named)
        };
        let pin = pin.map(Arc::new);
        let mut failure = Error::from(VaultError::NoSlot("key of this token"));
        for slot in stored.slots.iter().filter(ours) {
            let wrapped = slot.token().map_or(Vec::new(), |(_, wrapped)| wrapped.to_vec());
            match token.unwrap(&wrapped, pin.clone()).await {
                Ok(secret) => return Ok((slot.id, secret)),
                // A token whose key was made anew opens the slot that was made after that.
                Err(error @ Error::Vault(VaultError::WrongToken)) => failure = error,
                Err(error) => return Err(error),
            }
        }
        Err(failure)
    }

    /// Takes a share in, and opens the vault once they are enough.
    async fn present(&self, text: &Secret<String>) -> Result<Option<Progress>, Error> {
        let share = Share::parse(text).map_err(VaultError::from)?;
        self.must_be_sealed()?;
        let stored = self.stored().await?;
        let slot = stored.slot_of(&share)?;
        if !slot.confirmed() {
            return Err(Error::usage(
                "this set of shares was never confirmed, so it opens nothing: use another slot, then add the set anew",
            ));
        }
        let progress = self.gathering.present(self.env.now(), slot, share)?;
        if !progress.complete() {
            return Ok(Some(progress));
        }
        let quorum = self.gathering.quorum(self.env.now(), slot.id).ok_or(VaultError::NoQuorum)?;
        self.open_with(Self::BY_SHARES, move |stored| stored.open(&Unlock::Shares(&quorum))).await?;
        Ok(None)
    }

    /// One attempt at a time; a failed one is remembered and costs time.
    async fn attempt<T>(
        &self,
        from: IpAddr,
        how: &'static str,
        act: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut failed = self.unsealing.try_lock().map_err(|_| {
            Denial::new(Kind::Unavailable, "another attempt to unseal is running: try again in a moment")
        })?;
        let outcome = act.await;
        match &outcome {
            // A share among others is no success yet.
            Ok(_) if self.opened().is_ok() => *failed = 0,
            Ok(_) => {}
            // What was mistyped, or came at the wrong moment, is no guess.
            Err(error) if matches!(error.kind(), Kind::Usage | Kind::Conflict | Kind::Unavailable) => {}
            Err(error) => {
                // The lock is held while the failure is paid for, so that guesses do not run side by side.
                *failed = failed.saturating_add(1);
                tracing::warn!(failed = *failed, %error, "An attempt to unseal has failed");
                self.remember_failure(how, from, error).await;
                tokio::time::sleep(PENALTY.saturating_mul(1 << (*failed).min(6))).await;
            }
        }
        outcome
    }

    async fn open_with(
        &self,
        how: &'static str,
        unlock: impl FnOnce(&Stored) -> Result<Vault, VaultError> + Send + 'static,
    ) -> Result<(), Error> {
        self.must_be_sealed()?;
        let mut connected = self.connect().await?;
        let stored = match Stored::read(&mut connected).await {
            Ok(stored) => stored,
            Err(error) => return Err(self.unreadable(&mut connected, error).await),
        };
        let cluster = stored.cluster;
        let vault = stored.unlocked(unlock).await?;
        let open = self.prepare(connected, vault, cluster, how).await?;
        if let Err(error) = self.first_entries(&open, how).await {
            open.store.close().await;
            return Err(error);
        }
        self.publish(open);
        self.gathering.clear();
        // What was decided just before a crash may not have reached the sessions that it ends.
        let open = self.opened()?;
        self.redecide(&open).await?;
        // A gateway that has a key already can serve; one that has none waits for it, and the log says why.
        if let Err(error) = self.provide_host_key().await {
            tracing::error!(%error, "The gateway is not given its host key");
        }
        if let Err(error) = self.provide_ssh_cas().await {
            tracing::error!(%error, "The authorities of SSH certificates are not made");
        }
        if let Err(error) = self.provide_host_certificate().await {
            tracing::error!(%error, "The gateway is not given a certificate of its host key");
        }
        Ok(())
    }

    fn must_be_sealed(&self) -> Result<(), Error> {
        match self.opened() {
            Ok(_) => Err(Error::usage("the vault is open already")),
            Err(_) => Ok(()),
        }
    }

    async fn stored(&self) -> Result<Stored, Error> {
        Stored::read(&mut self.connect().await?).await
    }

    /// The first act after unsealing, before anybody is served: what failed while the vault was sealed, then this.
    ///
    /// INVARIANT: what a process that was killed has left pending at a server is in the ledger or never will be, once this
    /// entry is: that transaction holds the lock that this one waits for, and without its client none begins anew. So
    /// the orphans that a gateway is told of are all there are.
    async fn first_entries(&self, open: &Open, how: &'static str) -> Result<(), Error> {
        self.tell_restored(open).await?;
        let spool = self.spool(open.cluster)?;
        for change in spool.changes(|draft| Change::entry(draft).repeatable())? {
            open.store.commit(change).await?;
        }
        let draft = self.draft(&Actor::System("vault"), "vault.unsealed", "vault", &[("how", how)]);
        open.store.commit(Change::entry(draft)).await?;
        reached("unseal.after_ledger");
        spool.clear()
    }

    /// Keeps a failed attempt for the ledger. What cannot be kept is said in the log; the attempt has failed anyhow.
    async fn remember_failure(&self, how: &'static str, from: IpAddr, error: &Error) {
        // Mistyped input is no attempt on the vault, and neither is trouble of our own.
        if error.kind() != Kind::Denied {
            return;
        }
        let attempt = Attempt { id: EntryId::new(&self.env), at: self.env.now(), how, why: error.to_string(), from };
        let kept = match self.stored().await.and_then(|stored| self.spool(stored.cluster)) {
            Ok(spool) => tokio::task::spawn_blocking(move || spool.add(&attempt)).await.map_err(Error::failed),
            Err(error) => Err(error),
        };
        if let Err(error) | Ok(Err(error)) = kept {
            tracing::error!(%error, "A failed attempt to unseal could not be kept for the ledger");
        }
    }

    fn spool(&self, cluster: ClusterId) -> Result<Spool, Error> {
        Ok(Spool::new(&self.data, Arc::new(self.node_keys(cluster)?.signer)))
    }
}

impl Stored {
    pub(crate) async fn read(connected: &mut sallyport_store::Connected) -> Result<Self, Error> {
        let find =
            |rows: Vec<(DocId, Document)>, id: &str| rows.into_iter().find(|row| row.0.as_str() == id).map(|r| r.1);
        let missing = || Error::failed("this data directory holds no installation: run `sallyport init` first");
        let settings = connected.raw(kinds::SETTING).await?;
        let cluster: Cluster = find(settings, CLUSTER).as_ref().and_then(parse).ok_or_else(missing)?;
        let rows = connected.raw(kinds::KEYRING).await?;
        let keyring = find(rows, crate::control::KEYRING).as_ref().and_then(parse).ok_or_else(missing)?;
        let slots = connected.raw(kinds::SLOT).await?.iter().filter_map(|(_, document)| parse(document)).collect();
        Ok(Self { cluster: cluster.cluster, keyring, slots })
    }

    /// Opens the vault, off the runtime's threads: a passphrase is slow on purpose.
    pub(crate) async fn unlocked(
        self,
        unlock: impl FnOnce(&Self) -> Result<Vault, VaultError> + Send + 'static,
    ) -> Result<Vault, Error> {
        Ok(tokio::task::spawn_blocking(move || unlock(&self)).await.map_err(Error::failed)??)
    }

    pub(crate) fn open(&self, unlock: &Unlock<'_>) -> Result<Vault, VaultError> {
        Vault::unseal(self.cluster, &self.slots, &self.keyring, unlock)
    }

    /// The slot that a share says it is of.
    pub(crate) fn slot_of(&self, share: &Share) -> Result<&SlotBody, VaultError> {
        if !share.is_of_cluster(self.cluster) {
            return Err(VaultError::ForeignCluster { what: "share" });
        }
        let of_set = |slot: &&SlotBody| slot.rule().is_some() && share.is_of_set(slot.id);
        self.slots.iter().find(of_set).ok_or(VaultError::ForeignShare)
    }
}
