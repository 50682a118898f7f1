//! Evidence for the tests of this crate, made as the server makes it.

use sallyport_ledger::bundle::{self, Attachment, Bundle, Manifest, Proven};
use sallyport_ledger::{Appender, Checkpoint, Entry, Signer, TileId, leaf_hash, proof};
use sallyport_model::access::Channel;
use sallyport_model::authority::RecordingKey;
use sallyport_model::sealed::PrivateKey;
use sallyport_model::{ClusterId, EntryId, Env, RecordingId, Secret, SessionId, Timestamp};
use sallyport_recording::container::begin;
use sallyport_recording::event::encode;
use sallyport_recording::{DataKey, Facts, Hash, Header, Kind, Sealer, Segment, Truncated, WhatRef};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const ORIGIN: &str = "sallyport.example/ledger";

pub(crate) fn key(seed: u8) -> Signer {
    Signer::new(ORIGIN, &Secret::new(vec![seed; 32])).unwrap()
}

/// A recording of three segments, and the entries of its session.
pub(crate) struct Sample {
    pub(crate) env: Env,
    pub(crate) header: Header,
    pub(crate) key: DataKey,
    pub(crate) segments: Vec<Segment>,
    /// Of the whole ledger; those of the session go into its bundle.
    pub(crate) entries: Vec<Entry>,
    pub(crate) file: Vec<u8>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let env = Env::system();
        let (_, public) = PrivateKey::generate(&env).unwrap();
        let facts = Facts {
            recording: RecordingId::new(&env),
            session: SessionId::new(&env),
            cluster: ClusterId::new(&env),
            started: Timestamp(1_767_225_600_000_000),
            handle: "anna".parse().unwrap(),
            target: "web-1".parse().unwrap(),
            account: "root".parse().unwrap(),
            protocol: "ssh".into(),
            size: Some((80, 24)),
        };
        let (header, key) = Header::seal(&env, facts, &RecordingKey { epoch: 1, key: public }).unwrap();
        let mut sealer = Sealer::new(&key, &header).unwrap();
        let segments: Vec<_> = (0..3)
            .map(|n| sealer.seal(&env, &events(n), if n == 2 { Kind::Final } else { Kind::Data }).unwrap())
            .collect();
        let mut sample = Self { env, header, key, segments, entries: Vec::new(), file: Vec::new() };
        sample.file = sample.container(3);
        sample.entries = sample.story();
        sample
    }

    /// The file with its first segments.
    pub(crate) fn container(&self, segments: usize) -> Vec<u8> {
        self.segments[..segments].iter().fold(begin(&self.header).unwrap(), |mut file, segment| {
            file.extend_from_slice(&segment.bytes);
            file
        })
    }

    /// Cuts the recording after two segments, as a recovery attests it.
    pub(crate) fn truncate(&mut self) {
        let record = Truncated { segments: 2, chain: self.segments[1].chain, by: "node-1".into(), at: Timestamp(9) };
        self.file = [self.container(2), record.frame().unwrap()].concat();
        let chain = hex::encode(record.chain_after().unwrap());
        self.change("session.closed", &[("segments", "2"), ("chain", &chain), ("complete", "false")]);
        // The anchor that the lost segment had was never written.
        self.entries.retain(|entry| entry.action != "recording.anchor" || entry.fact("segments") != "3");
    }

    /// Sets facts of the last entry with this action.
    pub(crate) fn change(&mut self, action: &str, facts: &[(&str, &str)]) {
        let entry = self.entries.iter_mut().rfind(|entry| entry.action == action).unwrap();
        entry.facts.extend(facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }

    pub(crate) fn entry(&self, action: &str, object: &str, facts: &[(&str, String)]) -> Entry {
        Entry {
            id: EntryId::new(&self.env),
            at: Timestamp(1_767_225_600_000_000),
            node: "node-1".into(),
            actor: "anna".into(),
            action: action.into(),
            object: object.into(),
            session: (action != "system.founded" && action != "policy.applied").then_some(self.header.facts.session),
            facts: facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        }
    }

    fn story(&self) -> Vec<Entry> {
        let recording = self.header.facts.recording.to_string();
        let cluster = self.header.facts.cluster.to_string();
        let chain = |n: usize| hex::encode(self.segments[n].chain);
        let anchor = |segments: usize| {
            let facts = [("segments", segments.to_string()), ("chain", chain(segments - 1))];
            self.entry("recording.anchor", &recording, &facts)
        };
        let header: Hash = self.header.hash();
        let opened = [("recording", recording.clone()), ("header", hex::encode(header))];
        let closed = [
            ("recording", recording.clone()),
            ("segments", "3".into()),
            ("chain", chain(2)),
            ("complete", "true".into()),
        ];
        vec![
            self.entry("system.founded", &cluster, &[("ledger_key", key(1).verifier().to_string())]),
            self.entry("policy.applied", "abc", &[]),
            self.entry("session.opened", "root@web-1", &opened),
            self.entry("channel.opened", "root@web-1", &[]),
            anchor(1),
            anchor(3),
            self.entry("session.closed", "root@web-1", &closed),
            self.entry("recording.exported", "root@web-1", &[]),
        ]
    }
}

/// The events of segment `n`.
fn events(n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if n == 0 {
        encode(0, 1, WhatRef::Open { kind: Channel::Shell, detail: "" }, &mut out);
    }
    encode(1_000 * n + 10, 1, WhatRef::Input(b"ls\r"), &mut out);
    encode(1_000 * n + 20, 1, WhatRef::Output(b"bin  etc\r\n"), &mut out);
    if n == 2 {
        encode(3_000, 1, WhatRef::Close { exit: Some(0), signal: None }, &mut out);
    }
    out
}

/// A ledger as it is stored.
pub(crate) struct Ledger {
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) tiles: BTreeMap<TileId, Vec<u8>>,
    pub(crate) note: String,
}

pub(crate) fn ledger(entries: &[Entry], signer: &Signer) -> Ledger {
    let entries: Vec<_> = entries.iter().map(|entry| entry.encode().unwrap()).collect();
    let leaves: Vec<_> = entries.iter().map(|bytes| leaf_hash(bytes)).collect();
    let growth = Appender::new().append(&leaves);
    let note = Checkpoint::new(ORIGIN, growth.size, growth.root).sign(&[signer]).unwrap();
    let tiles = growth.tiles.into_iter().map(|tile| (tile.id, tile.bytes)).collect();
    Ledger { entries, tiles, note }
}

/// The evidence bundle of a sample, signed by this key.
pub(crate) fn bundled(sample: &Sample, signer: &Signer) -> Vec<u8> {
    bundle::write(bundle(sample, signer), signer).unwrap()
}

pub(crate) fn bundle(sample: &Sample, signer: &Signer) -> Bundle {
    let ledger = ledger(&sample.entries, signer);
    let size = u64::try_from(ledger.entries.len()).unwrap();
    let proven = (0..).zip(&sample.entries).zip(ledger.entries).filter_map(|((index, entry), bytes)| {
        let wanted = entry.action == "system.founded" || entry.session.is_some();
        wanted.then(|| Proven::new(index, bytes, &proof::prove_inclusion(index, size, &ledger.tiles).unwrap()))
    });
    let session = sample.header.facts.session;
    Bundle {
        manifest: Manifest {
            cluster: sample.header.facts.cluster,
            created: Timestamp(9),
            what: format!("session {session}"),
            origin: ORIGIN.into(),
        },
        checkpoint: ledger.note,
        keys: Vec::new(),
        entries: proven.collect(),
        attachments: vec![
            Attachment { name: "recording.key".into(), bytes: sample.key.bytes().expose().clone() },
            Attachment { name: "recording.sprec".into(), bytes: sample.file.clone() },
        ],
    }
}

/// A server that gives canned answers and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) url: String,
    /// Request line, `Authorization`, body.
    pub(crate) asked: Arc<Mutex<Vec<(String, String, String)>>>,
}

/// An answer: method and path, status, further header lines, body.
pub(crate) type Answer = (&'static str, u16, &'static str, Vec<u8>);

/// Serves these answers, and 404 without a problem document to everything else.
pub(crate) async fn serve(answers: Vec<Answer>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream, &answers, &seen).await;
        }
    });
    Server { url, asked }
}

async fn answer(mut stream: TcpStream, answers: &[Answer], seen: &Mutex<Vec<(String, String, String)>>) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return;
        }
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = field(head, "content-length").parse().unwrap_or(0);
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        }
    };
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let found = answers.iter().find(|(route, ..)| *route == line);
    seen.lock().unwrap().push((line, field(&head, "authorization"), body));
    let (status, headers, body) =
        found.map_or((404, "", b"".as_slice()), |(_, status, headers, body)| (*status, headers, body));
    let head = format!("HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
}

fn field(head: &str, name: &str) -> String {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).unwrap_or_default()
}
