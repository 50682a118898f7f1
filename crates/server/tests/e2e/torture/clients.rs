//! Clients that go on whatever happens: writers, people with the stock client, and somebody who keeps every checkpoint.

use sallyport_testkit::faults::Chance;
use sallyport_testkit::history::{Asked, Seen, Told};
use sallyport_testkit::sshd::ACCOUNT;
use sallyport_testkit::waiting::{nap, now};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long an answer may take before its client no longer waits for it.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a session may take before its client is killed.
const SESSION: Duration = Duration::from_secs(25);

/// How a client reaches a node.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) node: &'static str,
    pub(super) url: String,
    pub(super) ssh: SocketAddr,
    pub(super) key: PathBuf,
    /// Where the node's checkpoints lie.
    pub(super) anchors: Vec<PathBuf>,
    pub(super) scratch: PathBuf,
    pub(super) admin: String,
    /// The policy, which every apply brings: what no file names of it is gone.
    pub(super) policy: String,
}

impl Way {
    /// A checkout with this inventory.
    pub(super) fn desired(&self, inventory: &str) -> Value {
        let file = |name: &str, text: &str| json!({ "name": name, "text": text });
        json!({ "files": [file("made.toml", inventory), file("ops.cedar", &self.policy)] })
    }
}

/// What the clients wrote down.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) asked: Vec<Asked>,
    pub(super) seen: Vec<Seen>,
    /// Signed checkpoints, and where they were seen first.
    pub(super) heads: BTreeMap<String, String>,
    /// Identities whose creation was acknowledged.
    pub(super) made: BTreeSet<String>,
    /// Sessions that were tried.
    pub(super) tried: u64,
    /// What should not have been seen by a client at all.
    pub(super) wrong: Vec<String>,
}

impl Notes {
    fn shown(&mut self, note: &str, seen: &str) {
        self.heads.entry(note.to_owned()).or_insert_with(|| seen.to_owned());
    }
}

/// What all clients share: their notes, and whether they go on.
#[derive(Clone, Default)]
pub(super) struct Desk {
    pub(super) notes: Arc<Mutex<Notes>>,
    pub(super) over: Arc<AtomicBool>,
}

impl Desk {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }

    pub(super) fn note<T>(&self, act: impl FnOnce(&mut Notes) -> T) -> T {
        act(&mut self.notes.lock().unwrap())
    }
}

/// A client of the API, which waits for one answer at a time.
pub(super) struct Api {
    runtime: Runtime,
    client: reqwest::Client,
    url: String,
}

impl Api {
    pub(super) fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { runtime, client, url: format!("{url}/api/v1") }
    }

    /// Status and body; nothing where no answer came.
    pub(super) fn send(&self, token: &str, path: &str, body: Option<&Value>) -> Option<(u16, Vec<u8>)> {
        self.answer(token, path, body).map(|(status, _, body)| (status, body))
    }

    /// Body of a recording, and how it says that it ends.
    pub(super) fn recording(&self, token: &str, session: &str) -> Option<(String, Vec<u8>)> {
        let (status, ending, body) = self.answer(token, &format!("/sessions/{session}/recording"), None)?;
        (status == 200).then_some((ending, body))
    }

    fn answer(&self, token: &str, path: &str, body: Option<&Value>) -> Option<(u16, String, Vec<u8>)> {
        self.runtime.block_on(async {
            let url = format!("{}{path}", self.url);
            let request = match body {
                Some(body) => self.client.post(url).json(body),
                None => self.client.get(url),
            };
            let answer = request.bearer_auth(token).send().await.ok()?;
            let status = answer.status().as_u16();
            let ending = answer.headers().get("x-recording-ending").and_then(|value| value.to_str().ok());
            let ending = ending.unwrap_or_default().to_owned();
            Some((status, ending, answer.bytes().await.ok()?.to_vec()))
        })
    }
}

/// Makes tokens for itself, one after another. The id that it is told names the change in the ledger.
pub(super) fn writer(way: &Way, (handle, token): &(String, String), desk: &Desk) {
    let api = Api::new(&way.url);
    let ask = json!({ "seconds": 600_000, "label": "torture" });
    while desk.goes_on() {
        let (mark, told) = match api.send(token, "/tokens", Some(&ask)) {
            Some((200, body)) => {
                let said: Value = serde_json::from_slice(&body).unwrap_or_default();
                (said["id"].as_str().unwrap_or_default().to_owned(), Told::Acknowledged)
            }
            Some((status, _)) if status < 500 => (String::new(), Told::Refused),
            _ => (String::new(), Told::Unknown),
        };
        let rest = if told == Told::Acknowledged { 20 } else { 200 };
        desk.note(|notes| notes.asked.push(Asked { who: handle.clone(), mark, told }));
        nap(Duration::from_millis(rest));
    }
}

/// Applies identities that nobody had before, one file at a time.
pub(super) fn applier(way: &Way, round: usize, desk: &Desk) {
    let api = Api::new(&way.url);
    let mut count = 0;
    while desk.goes_on() {
        count += 1;
        let handle = format!("made-{}-{round}-{count}", way.node);
        let desired = way.desired(&format!("[[identity]]\nhandle = \"{handle}\"\n"));
        if let Some((200, _)) = api.send(&way.admin, "/apply", Some(&desired)) {
            desk.note(|notes| notes.made.insert(handle));
        }
        nap(Duration::from_millis(400));
    }
}

/// Keeps every checkpoint that the node shows, over its API and at its anchors.
pub(super) fn watcher(way: &Way, desk: &Desk) {
    let api = Api::new(&way.url);
    while desk.goes_on() {
        if let Some((200, body)) = api.send(&way.admin, "/ledger/head", None) {
            let said: Value = serde_json::from_slice(&body).unwrap_or_default();
            if let Some(note) = said["note"].as_str() {
                let seen = format!("the API of {}", way.node);
                desk.note(|notes| notes.shown(note, &seen));
            }
        }
        for path in &way.anchors {
            if let Ok(note) = std::fs::read_to_string(path) {
                let seen = path.display().to_string();
                desk.note(|notes| notes.shown(&note, &seen));
            }
        }
        nap(Duration::from_millis(100));
    }
}

/// Runs commands on the target through the gateway, one session after another.
pub(super) fn person(way: &Way, name: &str, mut chance: Chance, desk: &Desk) {
    let mut count = 0;
    while desk.goes_on() {
        count += 1;
        let mark = format!("{name}.{count}");
        // Most sessions take their time, some are bulk, some are over at once.
        let (lines, pause) = match chance.between(0, 9) {
            0 | 1 => (1, "0"),
            2 => (3000, "0"),
            _ => (chance.between(10, 120), "0.05"),
        };
        desk.note(|notes| notes.tried += 1);
        let seen = session(way, &mark, lines, pause);
        let ended = match seen {
            Ok(seen) => {
                let ended = seen.ended;
                desk.note(|notes| notes.seen.push(seen));
                ended
            }
            Err(wrong) => {
                desk.note(|notes| notes.wrong.push(wrong));
                false
            }
        };
        nap(Duration::from_millis(if ended { chance.between(0, 100) } else { 300 }));
    }
}

/// One session: its command says on the target that it begins, then tells numbered lines with the target's clock.
fn session(way: &Way, mark: &str, lines: u64, pause: &str) -> Result<Seen, String> {
    let script = format!(
        "mark={mark} lines={lines}; echo \"$mark begin ${{EPOCHREALTIME/./}}\" >> {}/effects; i=0; \
         while [ $i -lt $lines ]; do i=$((i+1)); echo \"$mark $i ${{EPOCHREALTIME/./}}\"; [ {pause} = 0 ] || sleep {pause}; done; \
         echo \"$mark end\"",
        way.scratch.display()
    );
    let mut client = Command::new("ssh");
    client
        .args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
        .args(["-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"])
        .args(["-p", &way.ssh.port().to_string(), "-l", &format!("ada+{ACCOUNT}@web-1"), "-i"])
        .arg(&way.key)
        .args(["127.0.0.1", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = client.spawn().map_err(|error| format!("ssh: {error}"))?;
    let output = child.stdout.take().unwrap();
    let name = mark.to_owned();
    let reader = std::thread::spawn(move || read(&name, BufReader::new(output)));
    let until = now() + SESSION;
    while !reader.is_finished() && now() < until {
        nap(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    reader.join().map_err(|_| "a reader panicked".to_owned())?
}

/// Numbered lines without a gap: whatever else comes is not what the target sent.
fn read(mark: &str, output: impl BufRead) -> Result<Seen, String> {
    let mut seen = Seen { mark: mark.to_owned(), ..Seen::default() };
    for line in output.split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some(name), Some("end"), None) if name == mark => seen.ended = true,
            (Some(name), Some(number), Some(at)) if name == mark && number.parse() == Ok(seen.lines + 1) => {
                // The last line may be cut off within its time.
                if let (16, Ok(at)) = (at.len(), at.parse()) {
                    seen.lines += 1;
                    seen.last = at;
                }
            }
            _ if line.len() < 40
                && format!("{mark} ").starts_with(line.get(..line.len().min(mark.len())).unwrap_or("?")) => {}
            _ => return Err(format!("{mark}: the client saw {line:?} behind line {}", seen.lines)),
        }
    }
    Ok(seen)
}
