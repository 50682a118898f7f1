//! Content that crosses for an errand: many requests in flight, bytes in order, and never a file that only looks whole.

use super::super::Session;
use super::talk::{Failed, Talk, done, no};
use super::unusable;
use crate::files::sftp::speak::{Attributes, EOF, FAILURE, Request, Says, room};
use crate::files::{Deed, Event, Outcome, StandIn, Way};
use bytes::Bytes;
use sallyport_gateway::observe::WhatRef;
use sallyport_gateway::spine::{Errand, Piece};
use sallyport_model::Kind;
use sallyport_model::errand::{FilePath, Put, Told};
use std::collections::VecDeque;

/// Requests in flight, and bytes of content in each: what OpenSSH's own client has.
const FLIGHT: usize = 64;
const PIECE: u32 = 32 << 10;
/// A target with less room than this, in bytes, is full.
const FULL: u64 = 1 << 20;

/// Judges a file before it crosses. What is refused is recorded like what any client is refused.
async fn judge(session: &Session, way: Way, path: &[u8], size: Option<u64>) -> Result<(), Failed> {
    let path = String::from_utf8_lossy(path).into_owned();
    let gate = &session.errands.gate;
    let verdict = gate.open(way, &path).and_then(|()| gate.size(way, &path, size.unwrap_or(0)));
    let Err(why) = verdict else { return Ok(()) };
    let deed = if way == Way::Up { Deed::Put } else { Deed::Get };
    let line = Event::plain(deed, path, None, Outcome::Refused(why.clone())).line();
    let _ = session.live.tap().note(0, WhatRef::Mark { kind: "file", text: &line }).await;
    Err(Failed::because(Kind::Denied, why))
}

/// A part of a file that was asked for.
struct Part {
    id: u32,
    offset: u64,
    length: u32,
    bytes: Option<Bytes>,
}

/// Parts of a file in flight, in the order in which they lie in it.
struct Flight<'a> {
    handle: &'a [u8],
    parts: VecDeque<Part>,
    /// Where the next part begins that nobody has asked for.
    next: u64,
    /// Where the file ends: as it was when it was opened, or as it is found while it is read.
    end: Option<u64>,
}

impl Flight<'_> {
    async fn ask(&mut self, talk: &mut Talk, offset: u64, length: u32) -> Result<Part, Failed> {
        let id = talk.request(&Request::Read { handle: self.handle, offset, length }).await?;
        Ok(Part { id, offset, length, bytes: None })
    }

    /// Asks for as much as may be in flight.
    async fn fill(&mut self, talk: &mut Talk) -> Result<(), Failed> {
        while self.parts.len() < FLIGHT && self.end.is_none_or(|end| self.next < end) {
            let left = self.end.map_or(u64::MAX, |end| end.saturating_sub(self.next));
            let length = u32::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let part = self.ask(talk, self.next, length).await?;
            self.next = self.next.saturating_add(length.into());
            self.parts.push_back(part);
        }
        Ok(())
    }

    /// Takes in a reply.
    fn took(&mut self, id: u32, says: Says) -> Result<(), Failed> {
        let Some(part) = self.parts.iter_mut().find(|part| part.id == id) else { return Ok(()) };
        match says {
            Says::Data(bytes) if !bytes.is_empty() && bytes.len() <= usize::try_from(part.length).unwrap_or(0) => {
                part.bytes = Some(bytes);
                Ok(())
            }
            Says::Status(EOF, _) => {
                let at = part.offset;
                self.end = Some(self.end.map_or(at, |end| end.min(at)));
                self.parts.retain(|part| part.offset < at);
                Ok(())
            }
            other => Err(no(other)),
        }
    }

    /// The bytes that come next in the file, if they are there. What came short of what was asked is asked for again.
    async fn ready(&mut self, talk: &mut Talk) -> Result<Option<Bytes>, Failed> {
        let Some(part) = self.parts.front_mut() else { return Ok(None) };
        let Some(bytes) = part.bytes.take() else { return Ok(None) };
        let came = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (offset, missing) = (part.offset.saturating_add(came.into()), part.length.saturating_sub(came));
        self.parts.pop_front();
        if missing > 0 && self.end.is_none_or(|end| offset < end) {
            let rest = self.ask(talk, offset, missing).await?;
            self.parts.push_front(rest);
        }
        Ok(Some(bytes))
    }
}

/// Brings the content of a file to whoever wants it.
pub(super) async fn get(
    talk: &mut Talk,
    errand: &mut Errand,
    (path, session): (&FilePath, &Session),
) -> Result<(), Failed> {
    judge(session, Way::Down, path.bytes(), None).await?;
    let known = talk.known(&Request::Stat(path.bytes())).await?;
    let known = known.ok_or_else(|| Failed::because(Kind::NotFound, "there is no such file on the target"))?;
    if !known.is_file() {
        return Err(Failed::because(Kind::Conflict, "this is no file: only files can be downloaded"));
    }
    let handle = talk.handle(&Request::Open(path.bytes())).await?;
    // As it is now that it is open. What has no size, as files of the kernel have none, is read to its end.
    let known = talk.known(&Request::HandleStat(&handle)).await?.unwrap_or_default();
    let size = known.size.filter(|size| *size > 0);
    judge(session, Way::Down, path.bytes(), size).await?;
    errand.tell(Told::Gives(size)).await?;
    let mut flight = Flight { handle: &handle, parts: VecDeque::new(), next: 0, end: size };
    let mut given = 0_u64;
    loop {
        flight.fill(talk).await?;
        if let Some(bytes) = flight.ready(talk).await? {
            given = given.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
            errand.give(&bytes).await?;
            continue;
        }
        if flight.parts.is_empty() {
            break;
        }
        tokio::select! {
            reply = talk.reply() => {
                let reply = reply?;
                flight.took(reply.id, reply.says)?;
            }
            // Nothing comes with it but that nobody waits any more.
            left = errand.next() => drop(left?),
        }
    }
    if size.is_some_and(|size| given < size) {
        let text = format!("the file became shorter while it was read: {given} bytes of it came");
        return Err(Failed::because(Kind::Conflict, text));
    }
    talk.done(&Request::Close(&handle)).await?;
    errand.tell(Told::Whole(given)).await?;
    Ok(())
}

/// Where a file that comes goes to.
struct Place {
    /// Its path, where links lead to.
    path: FilePath,
    /// What is there already.
    there: Option<Attributes>,
    /// What it is written to until all of it has come.
    stand_in: FilePath,
    _standing: StandIn,
}

async fn place(talk: &mut Talk, put: &Put, session: &Session) -> Result<Place, Failed> {
    put.path.file().map_err(unusable)?;
    judge(session, Way::Up, put.path.bytes(), put.size).await?;
    let mut path = put.path.clone();
    let mut there = talk.known(&Request::LinkStat(path.bytes())).await?;
    if there.is_some_and(Attributes::is_link) {
        let real = talk.real_path(path.bytes()).await?;
        path = FilePath::new(&real).map_err(unusable)?;
        judge(session, Way::Up, path.bytes(), put.size).await?;
        there = talk.known(&Request::LinkStat(path.bytes())).await?;
    }
    match there {
        Some(known) if !known.is_file() => {
            return Err(Failed::because(Kind::Conflict, "what is there under this name is no file"));
        }
        Some(_) if !put.replace => {
            return Err(Failed::because(Kind::Conflict, "a file of this name is there already: ask to replace it"));
        }
        _ => {}
    }
    let mut random = [0; 8];
    session.errands.random(&mut random);
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let (directory, _) = path.file().map_err(unusable)?;
    let stand_in =
        FilePath::new(&[directory, format!(".sallyport-{name}.part").as_bytes()].concat()).map_err(unusable)?;
    let text = |path: &FilePath| String::from_utf8_lossy(path.bytes()).into_owned();
    let standing = session.errands.stand_ins.begin(text(&stand_in), text(&path));
    Ok(Place { path, there, stand_in, _standing: standing })
}

/// Takes new content of a file in. Until all of it has come it stands under another name; what does not come whole is removed.
pub(super) async fn put(talk: &mut Talk, errand: &mut Errand, (put, session): (&Put, &Session)) -> Result<(), Failed> {
    let place = place(talk, put, session).await?;
    let rights = place.there.and_then(Attributes::rights);
    let handle = talk.handle(&Request::Create(place.stand_in.bytes(), rights)).await?;
    let came = match errand.tell(Told::Takes).await {
        Ok(()) => write(talk, errand, (&handle, put.size)).await,
        Err(left) => Err(left.into()),
    };
    let closed = talk.done(&Request::Close(&handle)).await;
    let whole = match came.and_then(|came| closed.map(|()| came)) {
        Ok(whole) => settle(talk, &place).await.map(|()| whole),
        Err(failed) => Err(explained(talk, &place, failed).await),
    };
    match whole {
        Ok(whole) => Ok(errand.tell(Told::Whole(whole)).await?),
        Err(failed) => {
            // Where the channel is over, the part stays under a name that says what it is.
            let _ = talk.done(&Request::Remove(place.stand_in.bytes())).await;
            Err(failed)
        }
    }
}

/// Writes what comes; how many bytes it was.
async fn write(talk: &mut Talk, errand: &mut Errand, (handle, size): (&[u8], Option<u64>)) -> Result<u64, Failed> {
    let (mut offset, mut flying, mut whole) = (0_u64, 0_usize, false);
    while !whole || flying > 0 {
        tokio::select! {
            biased;
            reply = talk.reply(), if flying > 0 => {
                done(reply?.says)?;
                flying = flying.saturating_sub(1);
            }
            piece = errand.next(), if !whole && flying < FLIGHT => match piece? {
                Piece::Whole => whole = true,
                Piece::Bytes(bytes) => {
                    talk.request(&Request::Write { handle, offset, bytes: &bytes }).await?;
                    offset = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
                    flying = flying.saturating_add(1);
                }
            },
        }
    }
    match size {
        Some(size) if size != offset => {
            Err(Failed::because(Kind::Usage, format!("{size} bytes were announced, and {offset} came")))
        }
        _ => Ok(offset),
    }
}

/// Gives what has come its name.
async fn settle(talk: &mut Talk, place: &Place) -> Result<(), Failed> {
    let (from, to) = (place.stand_in.bytes(), place.path.bytes());
    if place.there.is_some() {
        return talk.done(&Request::Replace(from, to)).await;
    }
    let failed = match talk.done(&Request::Rename(from, to)).await {
        Err(failed @ Failed::Status(FAILURE, _)) => failed,
        other => return other,
    };
    match talk.known(&Request::LinkStat(to)).await? {
        Some(_) => {
            Err(Failed::because(Kind::Conflict, "a file of this name has come there meanwhile: ask to replace it"))
        }
        None => Err(failed),
    }
}

/// Says of a failure that the target is full, where that is why: servers have no word for it.
async fn explained(talk: &mut Talk, place: &Place, failed: Failed) -> Failed {
    if !matches!(failed, Failed::Status(FAILURE, _)) {
        return failed;
    }
    match talk.ask(&Request::Room(place.stand_in.bytes())).await {
        Ok(Says::Extended(reply)) if room(&reply).is_some_and(|room| room < FULL) => {
            Failed::because(Kind::Conflict, "the target has no room left: nothing of the file was kept there")
        }
        _ => failed,
    }
}
