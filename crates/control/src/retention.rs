//! Retention: recordings that are over their time go by the rule, each with its entry first; the ledger stays.

use crate::control::{Open, in_session};
use crate::directory::{kinds, load};
use crate::space::Leaving;
use crate::{Actor, Control, Error};
use sallyport_ledger::Entry;
use sallyport_model::inventory::{Target, Tier};
use sallyport_model::{RecordingId, SessionId, TargetId, Timestamp};
use sallyport_recording::container;
use sallyport_store::{Change, DocId, EntryRow, Filter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What the ledger says of the session of a recording.
struct Known {
    /// When its session ended.
    closed: Timestamp,
    header: String,
    segments: String,
    chain: String,
    target: Option<TargetId>,
    /// Whether the ledger has let go of it already.
    expired: bool,
}

impl Control {
    /// Lets go of every recording of this node that is over its time; how many went. Recordings of sessions that are not
    /// closed stay, and so does whatever the ledger does not know.
    ///
    /// # Errors
    /// When the directory, the database or a file fails.
    pub async fn expire(&self) -> Result<u64, Error> {
        let shortest = self.space.rules.keep.iter().flatten().min().copied();
        let (Some(shortest), open) = (shortest, self.opened()?) else { return Ok(0) };
        let directory = self.data.join("recordings");
        let (mut gone, mut failed) = (0_u64, None);
        let now = self.env.now();
        // Nothing goes before the shortest time since its session began.
        let old_enough = |recording: &RecordingId| began(*recording).plus(shortest);
        let (old, young): (Vec<_>, Vec<_>) = listed(&directory)?.into_iter().partition(|id| old_enough(id) <= now);
        let next = young.iter().map(old_enough).min();
        *self.space.old_enough.lock().unwrap_or_else(PoisonError::into_inner) = next;
        for recording in old {
            match self.expire_one(&open, &directory, recording).await {
                Ok(went) => gone = gone.saturating_add(u64::from(went)),
                // What is wrong with one keeps no other.
                Err(error) => {
                    tracing::warn!(%recording, %error, "A recording cannot be looked at");
                    failed = Some(error);
                }
            }
        }
        if gone > 0 {
            tracing::info!(gone, "Recordings that were over their time went by the rule");
            self.measure_space().await?;
        }
        failed.map_or(Ok(gone), Err)
    }

    /// Lets go of a recording if it is over its time.
    async fn expire_one(&self, open: &Arc<Open>, directory: &Path, recording: RecordingId) -> Result<bool, Error> {
        match self.leaving(open, directory, recording).await? {
            Some(leaving) if leaving.due <= self.env.now() => self.let_go(open, directory, &leaving).await,
            _ => Ok(false),
        }
    }

    /// When a recording goes, from memory or from its header and the ledger; none where it does not.
    async fn leaving(
        &self,
        open: &Arc<Open>,
        directory: &Path,
        recording: RecordingId,
    ) -> Result<Option<Leaving>, Error> {
        let kept = self.space.leaving.lock().unwrap_or_else(PoisonError::into_inner).get(&recording).cloned();
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let path = place(directory, recording);
        let bytes = tokio::fs::read(&path).await.map_err(|e| cannot(&path, &e))?;
        let Ok(container) = container::parse(&bytes) else { return Ok(None) };
        let session = container.header.facts.session;
        let Some(known) = said(&rows(open, session).await?, recording) else { return Ok(None) };
        let found = self.time(open, known.target).map(|(_, keep)| Leaving {
            recording,
            session,
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            due: known.closed.plus(keep),
        });
        self.space.leaving.lock().unwrap_or_else(PoisonError::into_inner).insert(recording, found.clone());
        Ok(found)
    }

    /// How long recordings of a target are kept, and by which rule; none for ever. Of a target that is gone nobody knows the
    /// tier any more: the longest time of all holds.
    fn time(&self, open: &Open, target: Option<TargetId>) -> Option<(String, Duration)> {
        let [zero, one, two] = self.space.rules.keep;
        let target = target.and_then(|id| load::<Target>(&open.store, &DocId::new(id), kinds::TARGET));
        let (rule, keep) = match target.map(|target| target.value.tier) {
            Some(Tier::Zero) => ("tier 0", zero),
            Some(Tier::One) => ("tier 1", one),
            Some(Tier::Two) => ("tier 2", two),
            None => {
                ("the longest, of a target that is gone", zero.zip(one).zip(two).map(|((a, b), c)| a.max(b).max(c)))
            }
        };
        let keep = keep?;
        Some((format!("{rule}: {} s", keep.as_secs()), keep))
    }

    /// The entry first, then the file: a crash in between leaves a file that the next look deletes.
    async fn let_go(&self, open: &Open, directory: &Path, leaving: &Leaving) -> Result<bool, Error> {
        let rows = rows(open, leaving.session).await?;
        let Some(known) = said(&rows, leaving.recording) else { return Ok(false) };
        // A target may have changed its tier since it was remembered.
        let Some((rule, keep)) = self.time(open, known.target) else { return Ok(false) };
        let path = place(directory, leaving.recording);
        if !known.expired {
            if known.closed.plus(keep) > self.env.now() {
                self.space.leaving.lock().unwrap_or_else(PoisonError::into_inner).remove(&leaving.recording);
                return Ok(false);
            }
            let facts = [
                ("rule", rule),
                ("closed", known.closed.to_string()),
                ("bytes", leaving.bytes.to_string()),
                ("header", known.header),
                ("segments", known.segments),
                ("chain", known.chain),
            ];
            let facts = facts.each_ref().map(|(k, v)| (*k, v.as_str()));
            let draft = self.draft(&Actor::System("retention"), "recording.expired", leaving.recording, &facts);
            open.store.commit(Change::entry(in_session(draft, leaving.session))).await?;
        }
        tokio::fs::remove_file(&path).await.map_err(|e| cannot(&path, &e))?;
        self.space.leaving.lock().unwrap_or_else(PoisonError::into_inner).remove(&leaving.recording);
        Ok(true)
    }

    /// Why a recording is not here, where the ledger says it: it went by the rule.
    pub(crate) async fn expired(&self, session: SessionId) -> Result<Option<String>, Error> {
        let rows = rows(&*self.opened()?, session).await?;
        let found = rows.iter().find(|row| row.entry.action == "recording.expired");
        Ok(found.map(|row| format!("expired by rule ({}) at {}", row.entry.fact("rule"), row.entry.at)))
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("`{}`: {error}", path.display()))
}

fn place(directory: &Path, recording: RecordingId) -> PathBuf {
    directory.join(format!("{recording}.sprec"))
}

fn listed(directory: &Path) -> Result<Vec<RecordingId>, Error> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|e| cannot(directory, &e))? {
        let name = entry.map_err(|e| cannot(directory, &e))?.file_name();
        found.extend(
            name.to_str().and_then(|name| name.strip_suffix(".sprec")).and_then(|id| id.parse::<RecordingId>().ok()),
        );
    }
    Ok(found)
}

/// When a recording began: the first 48 bits of its id are milliseconds (RFC 9562 section 5.7).
fn began(recording: RecordingId) -> Timestamp {
    let [a, b, c, d, e, f, ..] = *recording.as_bytes();
    let millis = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    Timestamp(i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1000))
}

async fn rows(open: &Open, session: SessionId) -> Result<Vec<EntryRow>, Error> {
    let actions = ["session.opened", "session.closed", "recording.expired"].map(str::to_owned).to_vec();
    Ok(open.store.entries(&Filter { session: Some(session), actions, limit: 10, ..Filter::default() }).await?)
}

/// What these entries say of a recording; none before its session is closed.
fn said(rows: &[EntryRow], recording: RecordingId) -> Option<Known> {
    let find = |action: &str| rows.iter().map(|row| &row.entry).find(|entry: &&Entry| entry.action == action);
    let (opened, closed) = (find("session.opened")?, find("session.closed")?);
    let id = recording.to_string();
    (opened.fact("recording") == id && closed.fact("recording") == id).then(|| Known {
        closed: closed.at,
        header: opened.fact("header").to_owned(),
        segments: closed.fact("segments").to_owned(),
        chain: closed.fact("chain").to_owned(),
        target: opened.fact("target").parse().ok(),
        expired: find("recording.expired").is_some(),
    })
}
