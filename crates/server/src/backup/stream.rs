//! What is inside a backup: frames in a fixed order, hashed as they pass, and a signed word at the end.
//!
//! `u8 kind | u32 length | body`, numbers in network order: head, documents, entries, files with their data, the index of
//! the files, the seal. The seal signs the hash of everything before it with the node's ledger key, because everybody can
//! write to an age recipient.

use aws_lc_rs::digest;
use sallyport_cli::Fail;
use sallyport_ledger::Checkpoint;
use sallyport_store::{DocId, Document};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read, Write};

/// The form that this release writes, and the only one that it reads.
pub(super) const FORMAT: u32 = 1;
/// First line of the seal.
const SEAL: &str = "sallyport backup";
/// Longest frame, in bytes. No document, entry or piece of a file is longer.
const LONGEST: usize = 64 << 20;
/// Bytes of a file in one frame.
pub(super) const PIECE: usize = 256 << 10;

/// The first frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) format: u32,
    /// Version of the program that wrote it.
    pub(super) version: String,
    pub(super) created: String,
    pub(super) cluster: String,
    pub(super) node: String,
    /// The signed head of the ledger at the moment of the snapshot.
    pub(super) note: String,
}

/// A file in the index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Indexed {
    /// Where it goes, within the data directory.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// What a frame holds.
pub(super) enum Frame {
    Head(Head),
    Document(DocId, Document),
    Entry(Vec<u8>),
    /// A file begins at this path.
    File(String),
    Data(Vec<u8>),
    Index(Vec<Indexed>),
    /// The signed note of the seal. The hash before it was right.
    Seal(String),
}

const HEAD: u8 = 1;
const DOCUMENT: u8 = 2;
const ENTRY: u8 = 3;
const FILE: u8 = 4;
const DATA: u8 = 5;
const INDEX: u8 = 6;
const END: u8 = 7;

/// A document as it was stored.
#[derive(minicbor::Encode, minicbor::Decode)]
struct Row {
    #[n(0)]
    id: String,
    #[n(1)]
    kind: String,
    #[n(2)]
    schema: u32,
    #[n(3)]
    version: u64,
    #[cbor(n(4), with = "minicbor::bytes")]
    body: Vec<u8>,
    #[cbor(n(5), with = "minicbor::bytes")]
    mac: Vec<u8>,
}

/// What a signed head says, whoever signed it: that is for the restore to prove.
pub(super) fn claimed(note: &str) -> Result<Checkpoint, Fail> {
    let text = note.rsplit_once("\n\n").map(|(text, _)| format!("{text}\n"));
    Checkpoint::parse(&text.unwrap_or_default()).map_err(Fail::failed)
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// Writes frames, and hashes them.
pub(super) struct Writer<W> {
    out: W,
    hash: digest::Context,
    files: Vec<Indexed>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, hash: digest::Context::new(&digest::SHA256), files: Vec::new() }
    }

    fn frame(&mut self, kind: u8, body: &[u8]) -> Result<(), Fail> {
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= LONGEST);
        let length = length.ok_or_else(|| Fail::failed(format!("a part of {} bytes is too long", body.len())))?;
        for part in [&[kind][..], &length.to_be_bytes(), body] {
            self.hash.update(part);
            self.out.write_all(part).map_err(cannot_write)?;
        }
        Ok(())
    }

    fn json(&mut self, kind: u8, value: &impl Serialize) -> Result<(), Fail> {
        self.frame(kind, &serde_json::to_vec(value).map_err(Fail::failed)?)
    }

    pub(super) fn head(&mut self, head: &Head) -> Result<(), Fail> {
        self.json(HEAD, head)
    }

    pub(super) fn document(&mut self, id: &DocId, document: &Document) -> Result<(), Fail> {
        let row = Row {
            id: id.to_string(),
            kind: document.kind.to_string(),
            schema: document.schema,
            version: document.version,
            body: document.body.to_vec(),
            mac: document.mac.to_vec(),
        };
        self.frame(DOCUMENT, &minicbor::to_vec(&row).map_err(Fail::failed)?)
    }

    pub(super) fn entry(&mut self, body: &[u8]) -> Result<(), Fail> {
        self.frame(ENTRY, body)
    }

    /// Copies a file in, to be put back at `path`; its length.
    pub(super) fn file(&mut self, path: &str, from: &mut impl Read) -> Result<u64, Fail> {
        self.frame(FILE, path.as_bytes())?;
        let (mut hash, mut bytes) = (digest::Context::new(&digest::SHA256), 0_u64);
        let mut piece = vec![0; PIECE];
        loop {
            let read = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fail::failed(format!("cannot read `{path}`: {error}"))),
            };
            let part = piece.get(..read).unwrap_or_default();
            hash.update(part);
            bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            self.frame(DATA, part)?;
        }
        self.files.push(Indexed { path: path.to_owned(), bytes, sha256: hex::encode(hash.finish()) });
        Ok(bytes)
    }

    /// Writes the index and the seal; what is below, still to be finished.
    pub(super) fn seal(mut self, sign: impl FnOnce(String) -> Result<String, Fail>) -> Result<W, Fail> {
        let files = std::mem::take(&mut self.files);
        self.json(INDEX, &files)?;
        let note = sign(format!("{SEAL}\n{}\n", hex::encode(self.hash.clone().finish())))?;
        self.frame(END, note.as_bytes())?;
        Ok(self.out)
    }
}

/// Reads frames, and hashes them.
pub(super) struct Reader<R> {
    input: R,
    hash: digest::Context,
    ended: bool,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, hash: digest::Context::new(&digest::SHA256), ended: false }
    }

    /// The next frame; none behind the seal.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Fail> {
        if self.ended {
            return match self.input.read(&mut [0]) {
                Ok(0) => Ok(None),
                Ok(_) => Err(Fail::failed("the backup goes on behind its seal: it was altered")),
                Err(error) => Err(altered(&error)),
            };
        }
        let mut front = [0; 5];
        self.input.read_exact(&mut front).map_err(|e| altered(&e))?;
        let [kind, a, b, c, d] = front;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok().filter(|length| *length <= LONGEST);
        let mut body = vec![0; length.ok_or_else(|| wrong("a part of it is too long"))?];
        self.input.read_exact(&mut body).map_err(|e| altered(&e))?;
        let before = self.hash.clone();
        self.hash.update(&front);
        self.hash.update(&body);
        Ok(Some(match kind {
            HEAD => Frame::Head(json(&body)?),
            DOCUMENT => document(&body)?,
            ENTRY => Frame::Entry(body),
            FILE => Frame::File(text(body)?),
            DATA => Frame::Data(body),
            INDEX => Frame::Index(json(&body)?),
            END => {
                self.ended = true;
                let note = text(body)?;
                if !note.starts_with(&format!("{SEAL}\n{}\n", hex::encode(before.finish()))) {
                    return Err(wrong("its seal is of other bytes"));
                }
                Frame::Seal(note)
            }
            other => return Err(wrong(&format!("it has a part of kind {other}, which a newer version may know"))),
        }))
    }
}

fn document(body: &[u8]) -> Result<Frame, Fail> {
    let row: Row = minicbor::decode(body).map_err(|e| wrong(&format!("a document does not read: {e}")))?;
    let mac = row.mac.try_into().map_err(|_| wrong("a document has no seal"))?;
    let document =
        Document { kind: row.kind.into(), schema: row.schema, version: row.version, body: row.body.into(), mac };
    Ok(Frame::Document(DocId::new(row.id), document))
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fail> {
    serde_json::from_slice(body).map_err(|e| wrong(&e.to_string()))
}

fn text(body: Vec<u8>) -> Result<String, Fail> {
    String::from_utf8(body).map_err(|_| wrong("a text in it is none"))
}

fn wrong(what: &str) -> Fail {
    Fail::failed(format!("the backup does not read ({what}): get another copy, or the version that wrote it"))
}

/// What age says of bytes that are not those that were written.
fn altered(error: &std::io::Error) -> Fail {
    match error.kind() {
        ErrorKind::UnexpectedEof => Fail::failed("the backup is cut off: get another copy"),
        ErrorKind::InvalidData => Fail::failed("the backup was altered or is cut off: get another copy"),
        _ => Fail::failed(format!("cannot read the backup: {error}")),
    }
}

pub(super) fn cannot_write(error: std::io::Error) -> Fail {
    let advice = if error.kind() == ErrorKind::StorageFull { "; make room, nothing is left of it" } else { "" };
    Fail::failed(format!("cannot write: {error}{advice}"))
}
