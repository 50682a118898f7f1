//! The evidence bundle of a session: its entries, and the recording that they speak of.

use super::Report;
use super::said::{Said, Sayings};
use crate::Fail;
use crate::output::harmless;
use sallyport_ledger::bundle::{self, Verified};
use sallyport_ledger::{Verifier, WitnessKey};
use sallyport_model::{Secret, SessionId, Timestamp};
use sallyport_recording::verify::{Report as Recording, Verdict};
use sallyport_recording::{DataKey, Event, Facts, container};

/// Name of the recording in a bundle.
const CONTAINER: &str = "recording.sprec";
/// Name of its data key, 32 bytes.
const KEY: &str = "recording.key";

/// A bundle whose signature, proofs and entries hold.
pub(crate) struct Evidence {
    verified: Verified,
    session: SessionId,
    said: Said,
    key: DataKey,
}

impl Evidence {
    /// Reads a bundle. The recording is not looked at yet.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn open(bytes: &[u8], trust: Option<&Verifier>) -> Result<Self, Fail> {
        let verified = bundle::verify(bytes, trust).map_err(Fail::failed)?;
        let what = verified.manifest.what.as_str();
        let session = what.strip_prefix("session ").and_then(|id| id.parse().ok());
        let session =
            session.ok_or_else(|| Fail::failed("it is of no session: a newer version may know what it is"))?;
        let said = entries(&verified, session)?;
        let names: Vec<_> = verified.attachments.iter().map(|a| a.name.as_str()).collect();
        if names != [KEY, CONTAINER] {
            let names = harmless(&names.join(", "));
            return Err(Fail::failed(format!("a session's bundle holds {KEY} and {CONTAINER}, and this one: {names}")));
        }
        let key = Secret::new(verified.attachment(KEY).unwrap_or_default().to_vec());
        let key = DataKey::from_bytes(key).map_err(Fail::failed)?;
        Ok(Self { verified, session, said, key })
    }

    /// Checks that each of these witnesses cosigned the checkpoint; when each did.
    ///
    /// # Errors
    /// Names the first that did not.
    pub(crate) fn check_witnesses(&self, wanted: &[WitnessKey]) -> Result<Vec<(String, Timestamp)>, Fail> {
        let times = wanted.iter().map(|key| match key.cosigned(&self.verified.note) {
            Ok(seconds) => {
                let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
                Ok((key.name().to_owned(), Timestamp(micros)))
            }
            Err(_) => Err(Fail::failed(format!(
                "the checkpoint carries no cosignature of the witness {} that holds: export the bundle again when the server reaches it",
                harmless(key.name())
            ))),
        });
        times.collect()
    }

    /// Decrypts the whole recording and compares it with what the entries say: header, data key, anchors, end.
    ///
    /// # Errors
    /// The first thing that is wrong. A recording whose end is not in the ledger is wrong.
    pub(crate) fn check_recording(&self) -> Result<Recording, Fail> {
        let report =
            sallyport_recording::verify(self.container(), &self.key, self.said.expect()).map_err(Fail::failed)?;
        let facts = self.facts()?;
        let same = facts.recording == self.said.recording
            && facts.session == self.session
            && facts.cluster == self.verified.manifest.cluster;
        if !same {
            return Err(Fail::failed("the recording's header names another session, recording or installation"));
        }
        if !report.attested {
            return Err(Fail::failed("no entry closes the session: export the bundle again after its end"));
        }
        Ok(report)
    }

    /// What the recording is of.
    pub(crate) fn facts(&self) -> Result<Facts, Fail> {
        Ok(container::parse(self.container()).map_err(Fail::failed)?.header.facts)
    }

    /// What happened in the session.
    pub(crate) fn events(&self) -> Result<Vec<Event>, Fail> {
        let replay = sallyport_recording::replay(self.container(), &self.key).map_err(Fail::failed)?;
        replay.collect::<Result<_, _>>().map_err(Fail::failed)
    }

    /// What people compare of the key that signed.
    pub(crate) fn fingerprint(&self) -> String {
        self.verified.signer.fingerprint()
    }

    fn container(&self) -> &[u8] {
        self.verified.attachment(CONTAINER).unwrap_or_default()
    }

    pub(super) fn report(&self, recording: &Recording, witnesses: &[(String, Timestamp)]) -> Report {
        let Verified { manifest, checkpoint, entries, signer, pinned, .. } = &self.verified;
        let mut report = Report::of(signer, *pinned, checkpoint.size);
        report.what = manifest.what.clone();
        report.entries = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        report.recordings = 1;
        let end = match &recording.verdict {
            Verdict::Complete => "complete to its end".to_owned(),
            Verdict::Truncated(record) => format!("truncated, as {} attested at {}", record.by, record.at),
        };
        report.checked = vec![
            "the signature over every byte of the bundle".to_owned(),
            format!("{} entries, each by its proof, in the signed ledger of {}", entries.len(), checkpoint.size),
            format!(
                "the recording, decrypted: header, data key, {} segments, {} events over {} s, {} anchors, {end}",
                recording.segments,
                recording.events,
                recording.duration / 1_000_000,
                self.said.anchors.len(),
            ),
        ];
        if recording.verdict != Verdict::Complete {
            report.unchecked.push("what happened after the recording was truncated: it was not stored".to_owned());
        }
        report
            .unchecked
            .push("that no entry was left out: proofs show what the ledger has, not what it has not".to_owned());
        for (name, at) in witnesses {
            report.checked.push(format!("the cosignature of the witness {} at {at}", harmless(name)));
        }
        let given = |name: &str| witnesses.iter().any(|(known, _)| known == name) || name == manifest.origin;
        for name in self.verified.note.names().filter(|name| !given(name)) {
            report
                .unchecked
                .push(format!("the cosignature in the name of {}: give its key as --witness", harmless(name)));
        }
        if witnesses.is_empty() {
            report
                .unchecked
                .push("that others see the same ledger: compare its checkpoint with one kept elsewhere".to_owned());
        }
        report
    }
}

/// What the entries say, where they are the founding's and the session's, and no others.
fn entries(verified: &Verified, session: SessionId) -> Result<Said, Fail> {
    let mut sayings = Sayings::default();
    let mut founded = false;
    for (index, entry) in &verified.entries {
        if entry.action == "system.founded" {
            if *index != 0 || entry.object != verified.manifest.cluster.to_string() {
                return Err(Fail::failed(format!("entry {index} founds another installation")));
            }
            founded = true;
        } else if entry.session != Some(session) {
            return Err(Fail::failed(format!("entry {index} is of another session")));
        }
        sayings.take(*index, entry)?;
    }
    if !founded {
        return Err(Fail::failed("the entry that founds the installation is not in the bundle"));
    }
    sayings.0.remove(&session).ok_or_else(|| Fail::failed("no entry opens the session"))
}
