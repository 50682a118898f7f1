//! A recording in hand: from a server, or from an evidence bundle.

use crate::client::Client;
use crate::output::remark;
use crate::verify::Evidence;
use crate::{Fail, play::Decoder};
use reqwest::Method;
use sallyport_model::SessionId;
use sallyport_recording::verify::Verdict;
use sallyport_recording::{Event, Facts, Header};
use std::path::Path;

/// Name of the header in which the server says how a recording ends.
const ENDING: &str = "x-recording-ending";

/// What a recording holds, opened.
pub(super) struct Tape {
    /// What it is of.
    pub(super) facts: Facts,
    /// What happened.
    pub(super) events: Vec<Event>,
    /// Whether it ends in good order.
    pub(super) complete: bool,
}

impl Tape {
    /// From a server, which ledgers that it was asked.
    pub(super) async fn fetch(client: &Client, session: &str) -> Result<Self, Fail> {
        let session = session_id(session)?;
        let response = client.send(Method::GET, &format!("/sessions/{session}/recording"), &[], None::<&()>).await?;
        let complete = response.headers().get(ENDING).is_some_and(|ending| ending == "complete");
        let body = response.bytes().await.map_err(Fail::failed)?;
        Self::decode(&body, complete)
    }

    /// From the server's answer: a length, the header, events.
    pub(super) fn decode(body: &[u8], complete: bool) -> Result<Self, Fail> {
        let wrong = || Fail::failed("the server's answer is no recording: is it of another version?");
        let (length, rest) = body.split_first_chunk::<4>().ok_or_else(wrong)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| wrong())?;
        let (header, events) = rest.split_at_checked(length).ok_or_else(wrong)?;
        let facts = Header::decode(header).map_err(Fail::failed)?.facts;
        let mut decoder = Decoder::default();
        let events = decoder.push(events)?;
        decoder.finish()?;
        Ok(Self { facts, events, complete })
    }

    /// From a bundle. One that does not agree with itself is not played.
    pub(super) fn open(path: &Path) -> Result<Self, Fail> {
        let bytes = std::fs::read(path).map_err(|e| Fail::usage(format!("cannot read `{}`: {e}", path.display())))?;
        let evidence = Evidence::open(&bytes, None)?;
        let report = evidence.check_recording()?;
        remark(&format!("The bundle agrees with itself and is signed by {}.", evidence.fingerprint()));
        remark("Whether that is your ledger's key, `sallyport verify --trust` says.");
        let events = evidence.events()?;
        Ok(Self { facts: evidence.facts()?, events, complete: report.verdict == Verdict::Complete })
    }

    /// What a viewer must know of the end.
    pub(super) fn remark_ending(&self) {
        if !self.complete {
            remark("This recording is truncated: what its writer had not stored when it died is not in it.");
        }
    }
}

/// The id of a session, and nothing that could be another path of the API.
pub(crate) fn session_id(text: &str) -> Result<SessionId, Fail> {
    text.parse().map_err(|_| Fail::usage(format!("`{text}` is no session id: `sallyport sessions` lists them")))
}
