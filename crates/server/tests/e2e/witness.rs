//! The witness as it is shipped: each answer of the protocol, what it never does, and what it is to the product.

use crate::anchors::copy;
use crate::{binary, product};
use sallyport_ledger::proof::prove_consistency;
use sallyport_ledger::witness::Submission;
use sallyport_ledger::{Appender, Checkpoint, Hash, Note, Signer, TileId, WitnessKey, leaf_hash};
use sallyport_model::Secret;
use sallyport_testkit::product::{json, outcome, wait_for};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::runtime::Runtime;

const ORIGIN: &str = "log.example/test";

/// A witness process in a directory of its own.
struct Witness {
    directory: PathBuf,
    url: String,
    key: String,
    child: Option<Child>,
    runtime: Runtime,
}

impl Witness {
    /// Makes a witness that serves these logs, and starts it.
    fn start(directory: &Path, logs: &[String]) -> Self {
        fs::create_dir_all(directory).unwrap();
        let port = sallyport_testkit::product::free_port().unwrap();
        let config = format!(
            "[witness]\nname = \"witness.example/w1\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"{}\"\nlogs = {logs:?}\n",
            directory.join("state").display()
        );
        fs::write(directory.join("witness.toml"), config).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut witness = Self { directory: directory.to_owned(), url, key: String::new(), child: None, runtime };
        let (code, _, key) = outcome(witness.command("init").output().unwrap());
        assert_eq!(code, 0, "{key}");
        key.trim().clone_into(&mut witness.key);
        witness.serve();
        witness
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(binary());
        command.arg("--config").arg(self.directory.join("witness.toml")).args(["witness", what]).stdin(Stdio::null());
        command
    }

    fn serve(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.directory.join("log")).unwrap();
        self.child = Some(self.command("serve").stderr(log).spawn().unwrap());
        wait_for("the witness", 20, || self.post("").ok()).unwrap();
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Status, content type, body.
    fn post(&self, body: &str) -> Result<(u16, String, String), reqwest::Error> {
        self.runtime.block_on(async {
            let url = format!("{}/add-checkpoint", self.url);
            let answer = reqwest::Client::new().post(url).body(body.to_owned()).send().await?;
            let kind = answer.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
            Ok((answer.status().as_u16(), kind, answer.text().await?))
        })
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill();
    }
}

fn signer(seed: u8) -> Signer {
    Signer::new(ORIGIN, &Secret::new(vec![seed; 32])).unwrap()
}

/// A log whose entries are told apart by a letter.
struct Log {
    leaves: Vec<Hash>,
    tiles: BTreeMap<TileId, Vec<u8>>,
    appender: Appender,
}

impl Log {
    fn new() -> Self {
        Self { leaves: Vec::new(), tiles: BTreeMap::new(), appender: Appender::new() }
    }

    fn grow(&mut self, letter: char) -> &mut Self {
        let leaf = leaf_hash(format!("{letter} {}", self.leaves.len()).as_bytes());
        self.leaves.push(leaf);
        self.tiles.extend(self.appender.append(&[leaf]).tiles.into_iter().map(|t| (t.id, t.bytes)));
        self
    }

    fn submission(&self, old: u64) -> String {
        let (size, root) = (self.appender.size(), self.appender.root());
        let note = Checkpoint::new(ORIGIN, size, root).sign(&[&signer(1)]).unwrap();
        Submission { old, proof: prove_consistency(old, size, &self.tiles).unwrap(), note }.to_string()
    }
}

/// The text of a submission's checkpoint with the answered line.
fn cosigned(key: &str, submission: &str, line: &str) -> bool {
    let note = submission.split_once("\n\n").unwrap().1;
    let mut note = Note::parse(note).unwrap();
    note.add(line).is_ok() && WitnessKey::parse(key).unwrap().cosigned(&note).is_ok()
}

#[test]
fn each_answer_of_the_protocol_and_a_fork_is_never_cosigned() {
    let place = tempfile::tempdir().unwrap();
    let mut witness = Witness::start(place.path(), &[signer(1).verifier().to_string()]);
    let mut log = Log::new();
    log.grow('a').grow('a').grow('a');
    let first = log.submission(0);
    let (status, _, line) = witness.post(&first).unwrap();
    assert_eq!(status, 200);
    assert!(cosigned(&witness.key, &first, &line), "{line}");
    assert_eq!(witness.post(&log.submission(3)).unwrap().0, 200, "the same again");
    // 409: it tells its size, in the type of the specification.
    let stale = witness.post(&first).unwrap();
    assert_eq!(stale, (409, "text/x.tlog.size".into(), "3\n".into()));
    // 409 and 422: another tree of the same size, and one that does not continue.
    let mut fork = Log::new();
    fork.grow('b').grow('b').grow('b');
    assert_eq!(witness.post(&fork.submission(3)).unwrap(), (409, "text/x.tlog.size".into(), "3\n".into()));
    fork.grow('b');
    assert_eq!(witness.post(&fork.submission(3)).unwrap().0, 422);
    // 400, 403, 404, and another method.
    assert_eq!(witness.post("nonsense").unwrap().0, 400);
    assert_eq!(witness.post(&first.replace("old 0", "old 4")).unwrap().0, 400);
    let root = log.appender.root();
    let strange = |note: String| Submission { old: 3, proof: Vec::new(), note }.to_string();
    let stranger = Checkpoint::new(ORIGIN, 3, root).sign(&[&signer(2)]).unwrap();
    assert_eq!(witness.post(&strange(stranger)).unwrap().0, 403);
    let other = Signer::new("log.example/other", &Secret::new(vec![1; 32])).unwrap();
    let other = Checkpoint::new("log.example/other", 3, root).sign(&[&other]).unwrap();
    assert_eq!(witness.post(&strange(other)).unwrap().0, 404);
    // It goes on where it was after kill -9, and a lost state is no new beginning.
    witness.kill();
    witness.serve();
    assert_eq!(witness.post(&first).unwrap(), stale);
    let (code, _, err) = outcome(witness.command("serve").output().unwrap());
    assert!(code == 1 && err.contains("another witness runs"), "{err}");
    witness.kill();
    fs::remove_file(place.path().join("state/seen.json")).unwrap();
    let (code, _, err) = outcome(witness.command("serve").output().unwrap());
    assert!(code == 2 && err.contains("forgotten"), "{err}");
    let (code, _, err) = outcome(witness.command("init").output().unwrap());
    assert!(code == 2 && err.contains("holds a witness already"), "{err}");
}

#[test]
fn killed_at_any_moment_it_never_cosigns_two_trees_of_one_size() {
    let place = tempfile::tempdir().unwrap();
    let mut witness = Witness::start(place.path(), &[signer(1).verifier().to_string()]);
    let (mut one, mut two) = (Log::new(), Log::new());
    let mut cosigned_roots: BTreeMap<u64, Hash> = BTreeMap::new();
    let mut size = 0;
    for round in 0..12_u64 {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(witness.child.as_ref().unwrap().id()).unwrap());
        let killer = std::thread::spawn(move || {
            let mut looks = 0;
            // Another moment in every round: between two looks lie 20 ms, and within that the kernel decides.
            let _ = wait_for("the moment", 5, || {
                looks += 1;
                (looks > round % 4).then_some(())
            });
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        });
        // Two histories that contradict each other are submitted in turn, until the witness dies.
        'alive: loop {
            one.grow('a');
            two.grow('b');
            for log in [&one, &two] {
                let submission = log.submission(size);
                match witness.post(&submission) {
                    Ok((200, _, line)) => {
                        assert!(cosigned(&witness.key, &submission, &line));
                        size = log.appender.size();
                        let root = log.appender.root();
                        assert_eq!(*cosigned_roots.entry(size).or_insert(root), root, "two trees of {size} entries");
                    }
                    Ok((409, _, told)) => size = told.trim().parse().unwrap(),
                    Ok((422, ..)) => {}
                    Ok((status, _, text)) => panic!("{status} {text}"),
                    Err(_) => break 'alive,
                }
            }
        }
        killer.join().unwrap();
        witness.kill();
        witness.serve();
    }
    assert!(!cosigned_roots.is_empty());
    let histories = cosigned_roots.values().filter(|root| **root == one.appender.root()).count();
    assert!(histories <= 1);
}

#[test]
fn the_product_is_cosigned_its_bundles_show_it_and_an_older_directory_is_refused() {
    let mut product = product();
    product.stop().unwrap();
    let log = fs::read_to_string(product.data().join("ledger.pub")).unwrap().trim().to_owned();
    let witness = Witness::start(&product.at("witness"), &[log]);
    let anchor = format!("[[anchors]]\nname = \"soc\"\nwitness = \"{}\"\nkey = \"{}\"", witness.url, witness.key);
    product.configure(&anchor).unwrap();
    let (data, old) = (product.data(), product.at("old"));
    copy(&data, &old);
    product.serve().unwrap();
    assert_eq!(outcome(product.ssh("ada").arg("echo hi").output().unwrap()).0, 0);
    product.idle().unwrap();
    let id = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    let bundle = product.at("a.spb").display().to_string();
    product.as_carol(&["export", &id, &bundle]).unwrap();
    let trust = product.data().join("ledger.pub").display().to_string();
    let said = product.ok(&["verify", &bundle, "--trust", &trust, "--witness", &witness.key]).unwrap();
    assert!(said.contains("the cosignature of the witness witness.example/w1 at 20"), "{said}");
    let unchecked = product.ok(&["verify", &bundle, "--trust", &trust]).unwrap();
    assert!(unchecked.contains("the cosignature in the name of witness.example/w1: give its key"), "{unchecked}");
    let stranger = sallyport_ledger::Cosigner::new("witness.example/w1", &Secret::new(vec![9; 32])).unwrap();
    let (code, _, err) =
        product.run(&["verify", &bundle, "--trust", &trust, "--witness", &stranger.key().to_string()]).unwrap();
    assert!(code == 1 && err.contains("no cosignature of the witness"), "{err}");
    let anchors = json(&product.ok(&["ledger", "anchors", "--output", "json"]).unwrap()).unwrap();
    assert!(anchors.as_array().unwrap().iter().all(|a| a["late"] == false), "{anchors}");

    product.stop().unwrap();
    copy(&old, &data);
    let (code, _, err) = product.run_local(&["serve"]).unwrap();
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("`soc`") && err.contains("rollback accept"), "{err}");
    // Where the witness cannot be reached, it holds nobody up; it is late.
    drop(witness);
    product.serve().unwrap();
}
