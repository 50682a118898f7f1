//! What parsers of the trusted core and of the gateway's wire must hold for any bytes: no panic, and one form of each thing.
//!
//! `fuzz/` calls the same functions with a coverage-guided fuzzer; the tests here replay what it kept.

// Included from elsewhere too, where a module's own folder would be another one.
#[path = "connecting.rs"]
mod connecting;
#[path = "crossing.rs"]
mod crossing;
#[path = "keeping.rs"]
mod keeping;

use sallyport_gateway::transport::frame;
use sallyport_ledger::witness::{Submission, judge};
use sallyport_ledger::{Checkpoint, Cosigner, Entry, Note, Signer, TileId, Verifier, WitnessKey};
use sallyport_ledger::{bundle, keys, proof, tiles};
use sallyport_model::agent::{By, Outcome, Signature};
use sallyport_model::authority::{self, Down, Up};
use sallyport_model::company::{Change, Company, Guest, Part};
use sallyport_model::name::{Address, Label};
use sallyport_model::steering::{Pause, Steering};
use sallyport_model::way::Stop;
use sallyport_model::{AccountName, ClusterId, EntryId, Env, Handle, SessionId, TargetName, Timestamp};
use sallyport_model::{CallId, GatewayId, IdentityId, Secret, WatchId};
use sallyport_policy::PolicySet;
use sallyport_recording::{DataKey, Header, container, event};
use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

/// A parser: what it must hold, and inputs to begin with, made by what writes them.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Panics where something does not hold.
    pub run: fn(&[u8]),
    /// Genuine inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every parser.
pub const TARGETS: [Target; if cfg!(fuzzing) { 28 } else { 23 }] = [
    Target { name: "address", run: address, seeds: address_seeds },
    Target { name: "message", run: message, seeds: message_seeds },
    Target { name: "frame", run: framed, seeds: frame_seeds },
    Target { name: "entry", run: entry, seeds: entry_seeds },
    Target { name: "note", run: note, seeds: note_seeds },
    Target { name: "tile", run: tile, seeds: tile_seeds },
    Target { name: "proof", run: text_proof, seeds: proof_seeds },
    Target { name: "bundle", run: evidence, seeds: bundle_seeds },
    Target { name: "submission", run: submission, seeds: submission_seeds },
    Target { name: "container", run: recording, seeds: container_seeds },
    Target { name: "event", run: events, seeds: event_seeds },
    Target { name: "vault", run: keeping::vault, seeds: keeping::vault_seeds },
    Target { name: "key", run: keeping::key_files, seeds: keeping::key_seeds },
    Target { name: "policy", run: policy, seeds: policy_seeds },
    Target { name: "ssh", run: connecting::ssh, seeds: connecting::ssh_seeds },
    Target { name: "ssh_groups", run: connecting::groups, seeds: connecting::group_seeds },
    Target { name: "ssh_hybrids", run: connecting::hybrids, seeds: connecting::hybrid_seeds },
    Target { name: "ssh_channels", run: connecting::channels, seeds: connecting::channel_seeds },
    Target { name: "certificate", run: connecting::certificates, seeds: connecting::certificate_seeds },
    Target { name: "shell", run: crossing::shell, seeds: crossing::shell_seeds },
    Target { name: "sftp", run: crossing::sftp, seeds: crossing::sftp_seeds },
    Target { name: "scp", run: crossing::scp, seeds: crossing::scp_seeds },
    Target { name: "device", run: crossing::device, seeds: crossing::device_seeds },
    // What is nobody's to call from outside: the tests of its own crate replay what is kept.
    #[cfg(fuzzing)]
    Target { name: "replies", run: sallyport_ssh::walk::replies, seeds: sallyport_ssh::walk::reply_seeds },
    #[cfg(fuzzing)]
    Target { name: "agent", run: sallyport_ssh::walk::agent, seeds: sallyport_ssh::walk::agent_seeds },
    #[cfg(fuzzing)]
    Target { name: "gate", run: sallyport_ssh::walk::gate, seeds: sallyport_ssh::walk::gate_seeds },
    #[cfg(fuzzing)]
    Target {
        name: "echo",
        run: sallyport_gateway::observe::walk::echo,
        seeds: sallyport_gateway::observe::walk::seeds,
    },
    #[cfg(fuzzing)]
    Target {
        name: "line",
        run: sallyport_gateway::observe::walk::line,
        seeds: sallyport_gateway::observe::walk::seeds,
    },
];

const ORIGIN: &str = "sallyport.example/ledger";

fn signer() -> Signer {
    Signer::new(ORIGIN, &Secret::new(vec![1; 32])).unwrap()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

// --- names ---

fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse::<Address>().unwrap(), address, "{text:?}");
    }
    for same in [
        text.parse::<Handle>().ok().map(|n| n.as_str() == text),
        text.parse::<TargetName>().ok().map(|n| n.as_str() == text),
        text.parse::<AccountName>().ok().map(|n| n.as_str() == text),
        text.parse::<Label>().ok().map(|n| n.as_str() == text),
    ] {
        assert_ne!(same, Some(false), "a name is read as another: {text:?}");
    }
}

fn address_seeds() -> Vec<Vec<u8>> {
    texts(&["ada+root@web-1", "root@db.example", "ada+", "", "a%2Bb%40c+d@e", "ada+CORP%5Croot@x", "%zz@x", "a+b@@c"])
}

// --- the Authority ---

fn message(bytes: &[u8]) {
    if let Ok(message) = authority::decode::<Up>(bytes) {
        let once = authority::encode(&message).unwrap();
        assert_eq!(authority::encode(&authority::decode::<Up>(&once).unwrap()).unwrap(), once);
    }
    if let Ok(message) = authority::decode::<Down>(bytes) {
        let once = authority::encode(&message).unwrap();
        assert_eq!(authority::encode(&authority::decode::<Down>(&once).unwrap()).unwrap(), once);
    }
}

fn messages() -> (Vec<Up>, Vec<Down>) {
    let (session, gateway) = (SessionId::from_bytes([2; 16]), GatewayId::from_bytes([3; 16]));
    let hello = authority::Hello { version: 1, gateway, zone: "default".parse().unwrap(), open: vec![session] };
    let view = authority::View { watch: WatchId::from_bytes([4; 16]), events: vec![1, 2, 3], last: true };
    let call = CallId::from_bytes([5; 16]);
    let company = Company {
        session,
        change: Change::Came,
        whom: Some(guest()),
        why: String::new(),
        guests: vec![guest()],
        waits: true,
    };
    let signature = Signature {
        session,
        outcome: Outcome::Refused,
        by: By::Gateway,
        what: "lock it".into(),
        key: String::new(),
        why: "it is not carried".into(),
        times: 7,
    };
    let calls = [
        authority::Call::Password(session, Stop::Hop(1)),
        authority::Call::Company(company),
        authority::Call::Signature(signature),
    ];
    let mut ups = vec![Up::Hello(hello), Up::View(view)];
    ups.extend(calls.map(|message| Up::Call(call, message)));
    let downs = vec![
        Down::Kill(session, "drill".into()),
        Down::Watch(session, guest()),
        Down::Steer(session, steering()),
        Down::Beat,
        Down::Seal,
        Down::Reply(call, authority::Reply::Done(7)),
    ];
    (ups, downs)
}

fn guest() -> Guest {
    let (id, identity) = (WatchId::from_bytes([4; 16]), IdentityId::from_bytes([6; 16]));
    Guest { id, identity, handle: "carol".parse().unwrap(), part: Part::Peer }
}

fn steering() -> Steering {
    let mut steering = Steering::default();
    steering.say("carol".parse().unwrap(), "save your work".into());
    steering.dismiss(WatchId::from_bytes([4; 16]));
    steering.pause(Some(Pause { by: "carol".parse().unwrap(), reason: "drill".into(), since: Timestamp(7) }));
    steering
}

fn message_seeds() -> Vec<Vec<u8>> {
    let (ups, downs) = messages();
    let ups = ups.iter().map(|up| authority::encode(up).unwrap());
    ups.chain(downs.iter().map(|down| authority::encode(down).unwrap())).collect()
}

fn framed(bytes: &[u8]) {
    let mut rest = bytes;
    let read = std::pin::pin!(async {
        while let Ok(Some(message)) = frame::read::<Up, _>(&mut rest).await {
            assert!(frame::seal(&message).is_ok());
        }
    });
    let done = read.poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(done, Poll::Ready(())), "bytes that are there are never waited for");
}

fn frame_seeds() -> Vec<Vec<u8>> {
    let (ups, _) = messages();
    let frames: Vec<Vec<u8>> = ups.iter().map(|up| frame::seal(up).unwrap().to_vec()).collect();
    let mut all = vec![frames.concat(), vec![0, 0, 0, 0], vec![0xff; 8]];
    all.extend(frames);
    all
}

// --- the ledger ---

fn entry(bytes: &[u8]) {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode().unwrap(), bytes, "an entry has one encoding");
        assert!(!entry.sentence().chars().any(char::is_control), "a sentence steers no terminal");
    }
}

fn sample_entry(n: u8) -> Entry {
    Entry {
        id: EntryId::from_bytes([n; 16]),
        at: Timestamp(1_767_225_600_000_000),
        node: "node-1".into(),
        actor: "ada".into(),
        action: if n == 0 { "system.founded" } else { "session.opened" }.into(),
        object: "root@web-1".into(),
        session: (n > 1).then(|| SessionId::from_bytes([n; 16])),
        facts: BTreeMap::from([("from".into(), "192.0.2.7".into()), ("reason".into(), "a\u{1b}[2Jb".into())]),
    }
}

fn entry_seeds() -> Vec<Vec<u8>> {
    (0..3).map(|n| sample_entry(n).encode().unwrap()).collect()
}

fn note(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_string(), text, "a note has one form");
        let _ = note.verify(&[signer().verifier()]);
        let _ = witness().key().cosigned(&note);
    }
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_string(), text, "a checkpoint has one form");
    }
    if let Ok(key) = Verifier::parse(text) {
        assert_eq!(key.to_string(), text, "a key has one form");
    }
    if let Ok(key) = WitnessKey::parse(text) {
        assert_eq!(key.to_string(), text, "a witness's key has one form");
    }
    let _ = keys::KeySet::open(text, ORIGIN, &[signer().verifier()]);
}

fn witness() -> Cosigner {
    Cosigner::new("witness.example/w1", &Secret::new(vec![2; 32])).unwrap()
}

fn note_seeds() -> Vec<Vec<u8>> {
    let checkpoint = Checkpoint::new(ORIGIN, 3, [9; 32]);
    let text = checkpoint.sign(&[&signer()]).unwrap();
    let mut cosigned = Note::parse(&text).unwrap();
    cosigned.add(&witness().cosign(&cosigned, 1_679_315_147)).unwrap();
    let set = keys::KeySet { origin: ORIGIN.into(), keys: vec![signer().verifier().clone()] };
    [
        text,
        cosigned.to_string(),
        checkpoint.to_string(),
        signer().verifier().to_string(),
        witness().key().to_string(),
        set.sign(&signer()).unwrap(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

fn tile(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(id) = TileId::parse(text)
    {
        assert_eq!(id.to_string(), text, "a tile has one name");
    }
    if let Some((width, rest)) = bytes.split_first()
        && let Ok(entries) = tiles::entries::unpack(rest, u16::from(*width) + 1)
    {
        assert_eq!(tiles::entries::pack(entries).unwrap(), rest, "a bundle of entries has one encoding");
    }
}

fn tile_seeds() -> Vec<Vec<u8>> {
    let packed = tiles::entries::pack([b"one".as_slice(), b"two"]).unwrap();
    let mut seeds = texts(&["tile/0/x001/x234/067.p/8", "tile/1/000", "tile/63/999", "tile/entries/000"]);
    seeds.push([[1].as_slice(), &packed].concat());
    seeds
}

fn text_proof(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(proof) = proof::text::TextProof::parse(text) {
        assert_eq!(proof.to_string(), text, "a proof has one form");
        let _ = proof.verify(b"entry", ORIGIN, &[signer().verifier()]);
    }
}

/// A ledger of these entries: its checkpoint, and the proof of each.
fn ledger(entries: &[Vec<u8>]) -> (String, Vec<Vec<[u8; 32]>>) {
    let leaves: Vec<_> = entries.iter().map(|entry| sallyport_ledger::leaf_hash(entry)).collect();
    let growth = sallyport_ledger::Appender::new().append(&leaves);
    let tiles: BTreeMap<_, _> = growth.tiles.into_iter().map(|tile| (tile.id, tile.bytes)).collect();
    let note = Checkpoint::new(ORIGIN, growth.size, growth.root).sign(&[&signer()]).unwrap();
    let proofs = (0..growth.size).map(|index| proof::prove_inclusion(index, growth.size, &tiles).unwrap());
    (note, proofs.collect())
}

fn proof_seeds() -> Vec<Vec<u8>> {
    let (checkpoint, proofs) = ledger(&entry_seeds());
    let text = |extra: Option<Vec<u8>>| {
        let proof =
            proof::text::TextProof { extra, index: 1, hashes: proofs[1].clone(), checkpoint: checkpoint.clone() };
        proof.to_string().into_bytes()
    };
    vec![text(None), text(Some(vec![1, 2, 3]))]
}

fn evidence(bytes: &[u8]) {
    let _ = bundle::verify(bytes, None);
    let _ = bundle::verify(bytes, Some(signer().verifier()));
}

fn bundle_seeds() -> Vec<Vec<u8>> {
    let entries = entry_seeds();
    let (checkpoint, proofs) = ledger(&entries);
    let proven =
        (0..).zip(entries).zip(proofs).map(|((index, entry), proof)| bundle::Proven::new(index, entry, &proof));
    let manifest = bundle::Manifest {
        cluster: ClusterId::from_bytes([7; 16]),
        created: Timestamp(9),
        what: "session".into(),
        origin: ORIGIN.into(),
    };
    let attachments = vec![bundle::Attachment { name: "a".into(), bytes: vec![1, 2, 3] }];
    let bundle = bundle::Bundle { manifest, checkpoint, keys: Vec::new(), entries: proven.collect(), attachments };
    vec![bundle::write(bundle, &signer()).unwrap()]
}

fn submission(bytes: &[u8]) {
    if let Ok(submission) = Submission::parse(bytes) {
        assert_eq!(submission.to_string().as_bytes(), bytes, "a submission has one form");
        let seen = Checkpoint::new(ORIGIN, 2, [9; 32]);
        let judged = judge(&submission, &[signer().verifier().clone()], |_| Some(seen));
        assert!(judged.is_err(), "nothing continues a tree that never was");
        let _ = judge(&submission, &[signer().verifier().clone()], |_| None);
    }
}

fn submission_seeds() -> Vec<Vec<u8>> {
    let (note, _) = ledger(&entry_seeds());
    [(0, Vec::new()), (2, vec![[3; 32], [4; 32]]), (3, Vec::new())]
        .map(|(old, proof)| Submission { old, proof, note: note.clone() }.to_string().into_bytes())
        .to_vec()
}

// --- recordings ---

fn data_key() -> DataKey {
    DataKey::from_bytes(Secret::new(vec![5; 32])).unwrap()
}

fn recording(bytes: &[u8]) {
    if let Ok(header) = Header::decode(bytes) {
        assert_eq!(header.encode(), bytes, "a header has one encoding");
    }
    if let Ok(container) = container::parse(bytes) {
        let frames: usize = container.frames().map(<[u8]>::len).sum();
        assert!(frames <= bytes.len());
    }
    let _ = container::recover(bytes);
    if let Ok(replay) = sallyport_recording::replay(bytes, &data_key()) {
        assert!(replay.take_while(Result::is_ok).count() <= bytes.len());
    }
}

fn container_seeds() -> Vec<Vec<u8>> {
    let env = Env::system();
    let (_, public) = sallyport_model::sealed::PrivateKey::generate(&env).unwrap();
    let facts = sallyport_recording::Facts {
        recording: sallyport_model::RecordingId::from_bytes([1; 16]),
        session: SessionId::from_bytes([2; 16]),
        cluster: ClusterId::from_bytes([3; 16]),
        started: Timestamp(1_767_225_600_000_000),
        handle: "ada".parse().unwrap(),
        target: "web-1".parse().unwrap(),
        account: "root".parse().unwrap(),
        protocol: "ssh".into(),
        size: Some((80, 24)),
    };
    let key = authority::RecordingKey { epoch: 1, key: public };
    let (header, key) = Header::seal(&env, facts, &key).unwrap();
    let mut sealer = sallyport_recording::Sealer::new(&key, &header).unwrap();
    let mut file = container::begin(&header).unwrap();
    for kind in [sallyport_recording::Kind::Data, sallyport_recording::Kind::Final] {
        file.extend_from_slice(&sealer.seal(&env, &event_seeds()[0], kind).unwrap().bytes);
    }
    vec![file, header.encode()]
}

fn events(bytes: &[u8]) {
    for read in event::events(bytes).take(bytes.len() + 1) {
        let Ok(read) = read else { return };
        let mut out = Vec::new();
        event::encode(read.at, read.channel, read.what, &mut out);
        assert!(event::events(&out).next().is_some_and(|again| again.is_ok()));
    }
}

fn event_seeds() -> Vec<Vec<u8>> {
    use sallyport_recording::{FileRef, WhatRef};
    let mut out = Vec::new();
    event::encode(0, 1, WhatRef::Open { kind: sallyport_model::access::Channel::Shell, detail: "" }, &mut out);
    event::encode(10, 1, WhatRef::Input(b"ls\r"), &mut out);
    event::encode(12, 1, WhatRef::Hidden(300), &mut out);
    event::encode(14, 1, WhatRef::Content { file: 2, bytes: b"content" }, &mut out);
    let path = "/tmp/x";
    let file = FileRef { number: 2, up: true, size: 9, kept: 7, sum: Some(&[7; 32]), path };
    event::encode(16, 1, WhatRef::Kept(file), &mut out);
    event::encode(20, 1, WhatRef::Output(b"bin  etc\r\n"), &mut out);
    event::encode(30, 1, WhatRef::Close { exit: Some(0), signal: None }, &mut out);
    vec![out]
}

// --- policies ---

fn policy(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = PolicySet::load(&[("a.cedar".into(), text.into())]);
    }
}

fn policy_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "@id(\"a\") @max_duration(\"1h\") permit (principal in Group::\"ops\", action in [Action::\"see\", Action::\"connect\"], resource) when { resource.tags.contains(\"web\") };",
        "forbid (principal, action == Action::\"connect\", resource) unless { context.met.contains(\"approval\") };",
    ])
}
