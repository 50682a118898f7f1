//! Evidence out of the house: ledger pages, playback, bundles. Each release is itself an entry first.

use crate::AnchorLine;
use crate::control::{Open, in_session};
use crate::{Control, Error, Op};
use sallyport_ledger::bundle::{self, Attachment, Bundle, Manifest, Proven};
use sallyport_ledger::{Checkpoint, proof};
use sallyport_model::{RecordingId, SessionId};
use sallyport_policy::Right;
use sallyport_recording::container;
use sallyport_recording::{DataKey, Header, WhatRef};
use sallyport_store::{Change, EntryRow, Filter, Nodes, Store};
use std::time::Duration;

/// A recording, opened for somebody who may see it.
pub struct Playback {
    /// The header.
    pub header: Header,
    /// Events in the recording's encoding.
    pub events: Vec<u8>,
    /// How it ends: `complete`, `truncated`, `unfinished`.
    pub ending: &'static str,
}

/// An entry with what proves it.
pub struct EntryProof {
    /// The entry, as it was hashed.
    pub entry: Vec<u8>,
    /// Its ledger index.
    pub index: u64,
    /// Entries of the checkpoint.
    pub size: u64,
    /// Hashes of the inclusion proof (RFC 9162 section 2.1.3).
    pub proof: Vec<[u8; 32]>,
    /// The checkpoint, a signed note.
    pub checkpoint: String,
}

/// Which part of the ledger is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only entries before this index.
    pub before: Option<u64>,
    /// Only entries from this index on.
    pub from: u64,
    /// Only these actions.
    pub actions: Vec<String>,
    /// Only this session.
    pub session: Option<SessionId>,
    /// Newest first.
    pub newest_first: bool,
    /// At most.
    pub limit: u32,
}

/// Name of the recording container inside a bundle.
const CONTAINER: &str = "recording.sprec";
/// How long a bundle waits for the witnesses to cosign a checkpoint that covers it.
const COSIGNED: Duration = Duration::from_secs(4);
/// Name of its data key inside a bundle.
const KEY: &str = "recording.key";

impl Control {
    /// A page of the ledger.
    ///
    /// # Errors
    /// When the actor lacks the right or the database fails.
    pub async fn ledger(&self, op: &Op, wanted: &Wanted) -> Result<Vec<EntryRow>, Error> {
        self.require(op, Right::LedgerRead)?;
        let filter = Filter {
            from: wanted.from,
            before: wanted.before,
            actions: wanted.actions.clone(),
            session: wanted.session,
            actor: None,
            newest_first: wanted.newest_first,
            limit: wanted.limit,
        };
        Ok(self.opened()?.store.entries(&filter).await?)
    }

    /// The newest checkpoint and the key that signed it.
    ///
    /// # Errors
    /// When the actor lacks the right or the vault is sealed.
    pub fn checkpoint(&self, op: &Op) -> Result<(String, String), Error> {
        self.require(op, Right::LedgerRead)?;
        let open = self.opened()?;
        Ok((open.store.head().to_string(), open.key.clone()))
    }

    /// The places that hold the newest checkpoint, and how late each is.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub fn anchors(&self, op: &Op) -> Result<Vec<AnchorLine>, Error> {
        self.require(op, Right::LedgerRead)?;
        Ok(self.anchors.lines())
    }

    /// The newest checkpoint, read.
    fn newest(&self, open: &Open) -> Result<(String, Checkpoint), Error> {
        let note = open.store.head().to_string();
        let checkpoint = self.read_checkpoint(open, &note)?;
        Ok((note, checkpoint))
    }

    fn read_checkpoint(&self, open: &Open, note: &str) -> Result<Checkpoint, Error> {
        let keys = self.node_keys(open.cluster)?;
        // Another node may have signed it.
        let (nodes, _) = open.store.working(Nodes::of)?;
        let signers: Vec<_> = nodes.iter().map(|(_, key)| key).collect();
        Checkpoint::open(note, &keys.origin, &signers).map_err(Error::failed)
    }

    /// One entry as it was hashed, with what proves that it is in the newest checkpoint.
    ///
    /// # Errors
    /// When the actor lacks the right, or there is no such entry.
    pub async fn entry_proof(&self, op: &Op, index: u64) -> Result<EntryProof, Error> {
        self.require(op, Right::LedgerRead)?;
        let open = self.opened()?;
        let (note, Checkpoint { size, .. }) = self.newest(&open)?;
        let unknown =
            || Error::NotFound(format!("there is no entry {index} among the {size} of the newest checkpoint"));
        if index >= size {
            return Err(unknown());
        }
        let found = open.store.bodies(index, 1).await?.into_iter().next();
        let (_, entry) = found.filter(|(at, _)| *at == index).ok_or_else(unknown)?;
        let proof = inclusion(&open.store, index, size).await?;
        Ok(EntryProof { entry, index, size, proof, checkpoint: note })
    }

    /// What proves that the ledger of `to` entries continues the one of `from`.
    ///
    /// # Errors
    /// When the actor lacks the right, or there are no such checkpoints.
    pub async fn consistency(&self, op: &Op, from: u64, to: u64) -> Result<Vec<[u8; 32]>, Error> {
        self.require(op, Right::LedgerRead)?;
        let open = self.opened()?;
        let (_, Checkpoint { size, .. }) = self.newest(&open)?;
        if from == 0 || from > to || to > size {
            return Err(Error::usage(format!("give `from` and `to` with 1 <= from <= to <= {size}")));
        }
        let tiles = open.store.tiles(proof::needed_for_consistency(from, to).map_err(Error::failed)?).await?;
        proof::prove_consistency(from, to, &tiles).map_err(Error::failed)
    }

    /// Opens a recording for playback.
    ///
    /// # Errors
    /// When the actor lacks the right, or the recording does not verify.
    pub async fn play(&self, op: &Op, session: SessionId) -> Result<Playback, Error> {
        self.require(op, Right::RecordingPlay)?;
        let recording = self.recording_of(session).await?;
        self.release(op, session, "recording.played").await?;
        let (bytes, key) = self.open_recording(session, recording).await?;
        let container = container::parse(&bytes).map_err(Error::failed)?;
        let replay = sallyport_recording::replay(&bytes, &key).map_err(Error::failed)?;
        let mut events = Vec::new();
        for event in replay {
            let event = event.map_err(Error::failed)?;
            let event = event.as_ref();
            // Content of files is taken out file by file.
            if matches!(event.what, WhatRef::Content { .. }) {
                continue;
            }
            sallyport_recording::event::encode(event.at, event.channel, event.what, &mut events);
        }
        let ending = match container.ending {
            container::Ending::Final => "complete",
            container::Ending::Truncated(_) => "truncated",
            container::Ending::Unfinished => "unfinished",
        };
        Ok(Playback { header: container.header, events, ending })
    }

    /// A bundle that an auditor verifies offline: the session's entries with proofs, its recording,
    /// and the recording's data key.
    ///
    /// # Errors
    /// When the actor lacks the right, or the session is unknown.
    pub async fn bundle(&self, op: &Op, session: SessionId) -> Result<Vec<u8>, Error> {
        self.require(op, Right::RecordingExport)?;
        let recording = self.recording_of(session).await?;
        self.release(op, session, "recording.exported").await?;
        let open = self.opened()?;
        let keys = self.node_keys(open.cluster)?;
        let (note, checkpoint) = self.newest(&open)?;
        let note = self.anchors.cosigned(checkpoint.size, COSIGNED).await.map_or(note, |cosigned| cosigned.to_string());
        let checkpoint = self.read_checkpoint(&open, &note)?;
        let mut rows = open
            .store
            .entries(&Filter { actions: vec!["system.founded".into()], limit: 1, ..Filter::default() })
            .await?;
        rows.extend(open.store.entries(&Filter { session: Some(session), limit: 100_000, ..Filter::default() }).await?);
        let mut items = Vec::with_capacity(rows.len());
        for row in rows.into_iter().filter(|row| row.index < checkpoint.size) {
            let proof = inclusion(&open.store, row.index, checkpoint.size).await?;
            items.push(Proven::new(row.index, row.body, &proof));
        }
        let (bytes, key) = self.open_recording(session, recording).await?;
        let bundle = Bundle {
            manifest: Manifest {
                cluster: open.cluster,
                created: self.env.now(),
                what: format!("session {session}"),
                origin: keys.origin.clone(),
            },
            checkpoint: note,
            keys: self.vouchers(&open).await?,
            entries: items,
            attachments: vec![
                Attachment { name: KEY.into(), bytes: key.bytes().expose().clone() },
                Attachment { name: CONTAINER.into(), bytes },
            ],
        };
        bundle::write(bundle, &keys.signer).map_err(Error::failed)
    }

    async fn release(&self, op: &Op, session: SessionId, action: &'static str) -> Result<(), Error> {
        let draft = self.draft(&op.actor, action, session, &[]);
        self.opened()?.store.commit(Change::entry(in_session(draft, session))).await?;
        Ok(())
    }

    pub(crate) async fn recording_of(&self, session: SessionId) -> Result<RecordingId, Error> {
        let filter =
            Filter { session: Some(session), actions: vec!["session.opened".into()], limit: 1, ..Filter::default() };
        let rows = self.opened()?.store.entries(&filter).await?;
        rows.first()
            .and_then(|row| row.entry.facts.get("recording"))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::NotFound(format!("there is no session {session} with a recording")))
    }

    pub(crate) async fn open_recording(
        &self,
        session: SessionId,
        recording: RecordingId,
    ) -> Result<(Vec<u8>, DataKey), Error> {
        let path = self.data.join("recordings").join(format!("{recording}.sprec"));
        let Ok(bytes) = tokio::fs::read(&path).await else {
            let why = self.expired(session).await?;
            let why = why.unwrap_or_else(|| "is not stored here yet: its session must end first".into());
            return Err(Error::NotFound(format!("recording {recording} {why}")));
        };
        let container = container::parse(&bytes).map_err(Error::failed)?;
        let open = self.opened()?;
        let vault = open.vault();
        let private = vault
            .recording_private(container.header.key_epoch)
            .ok_or_else(|| Error::failed("the key epoch of this recording is gone"))?;
        let key = container.header.open(private).map_err(Error::failed)?;
        drop(vault);
        Ok((bytes, key))
    }
}

/// Inclusion proof of an entry in the tree of `size`.
async fn inclusion(store: &Store, index: u64, size: u64) -> Result<Vec<[u8; 32]>, Error> {
    let tiles = store.tiles(proof::needed_for_inclusion(index, size).map_err(Error::failed)?).await?;
    proof::prove_inclusion(index, size, &tiles).map_err(Error::failed)
}
