//! Checkpoints to a witness (c2sp.org/tlog-witness): it cosigns what continues all it has seen, and nothing else.

use sallyport_control::{Anchor, AnchorPolicy, Head, Missed, Receipt, Seen};
use sallyport_ledger::witness::Submission;
use sallyport_ledger::{Note, WitnessKey};
use sallyport_model::authority::Boxed;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;
/// Submissions per head: with our idea of the witness's size, with its own, and once more.
const TRIES: usize = 3;

/// A witness, as a client of it.
pub(super) struct Witness {
    name: String,
    url: String,
    key: WitnessKey,
    policy: AnchorPolicy,
    http: reqwest::Client,
    /// Entries of the checkpoint that it cosigned last, as far as we know. It tells when that is wrong.
    size: AtomicU64,
}

impl Witness {
    pub(super) fn new(name: &str, url: &str, key: &str, policy: AnchorPolicy) -> Result<Self, String> {
        let key = WitnessKey::parse(key.trim())
            .map_err(|_| "`key` is no witness's public key; `sallyport witness init` prints it")?;
        crate::config::https_or_here("witness", url)?;
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| e.to_string())?;
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        Ok(Self { name: name.to_owned(), url, key, policy, http, size: AtomicU64::new(0) })
    }

    fn contradicts(&self, size: u64) -> Missed {
        Missed::Contradicts(Seen { anchor: self.name.clone(), size, root: String::new() })
    }

    async fn submit(&self, head: &Head) -> Result<Receipt, Missed> {
        let unreachable = |what: String| Missed::Unreachable(what);
        let ours = head.checkpoint().size;
        for _ in 0..TRIES {
            let old = self.size.load(Ordering::Relaxed);
            if old > ours {
                return Err(self.contradicts(old));
            }
            let proof = head.proof(old).await.map_err(unreachable)?;
            let body = Submission { old, proof, note: head.note().to_owned() }.to_string();
            let (status, answer) = self.post(body).await.map_err(unreachable)?;
            match status {
                200 => {
                    let line = self.cosignature(head, &answer).map_err(unreachable)?;
                    self.size.store(ours, Ordering::Relaxed);
                    return Ok(Receipt { cosignature: Some((line, self.key.clone())), forged: None });
                }
                409 => {
                    let theirs = answer.trim_end_matches('\n').parse().map_err(|_| {
                        unreachable(
                            "it answered 409 without its size: this is no witness of c2sp.org/tlog-witness".into(),
                        )
                    })?;
                    if theirs > ours || theirs == old {
                        return Err(self.contradicts(theirs));
                    }
                    self.size.store(theirs, Ordering::Relaxed);
                }
                422 => return Err(self.contradicts(old)),
                404 => return Err(unreachable("it does not serve this ledger: give its operator `ledger.pub`".into())),
                403 => {
                    return Err(unreachable(
                        "it knows this ledger under another key: give its operator `ledger.pub`".into(),
                    ));
                }
                other => return Err(unreachable(format!("it answered {other}"))),
            }
        }
        Err(unreachable("its size changes with every answer: does another server submit to it?".into()))
    }

    async fn post(&self, body: String) -> Result<(u16, String), String> {
        let told = |e: reqwest::Error| if e.is_connect() { "nobody answers there".to_owned() } else { e.to_string() };
        let mut response = self.http.post(&self.url).body(body).send().await.map_err(told)?;
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            answer.extend_from_slice(&chunk);
            if answer.len() > MAX_ANSWER {
                return Err("its answer is too long".into());
            }
        }
        Ok((status, String::from_utf8(answer).map_err(|_| "its answer is no text".to_owned())?))
    }

    /// The line of its own key among those that it gave; lines of other keys are ignored.
    fn cosignature(&self, head: &Head, answer: &str) -> Result<String, String> {
        let note = Note::parse(head.note()).map_err(|e| e.to_string())?;
        answer
            .split_inclusive('\n')
            .find(|line| {
                let mut with = note.clone();
                with.add(line).is_ok() && self.key.cosigned(&with).is_ok()
            })
            .map(str::to_owned)
            .ok_or_else(|| "it gave no cosignature that holds under its `key`".to_owned())
    }
}

impl Anchor for Witness {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "witness"
    }

    fn policy(&self) -> AnchorPolicy {
        self.policy
    }

    fn publish<'a>(&'a self, head: &'a Head) -> Boxed<'a, Result<Receipt, Missed>> {
        Box::pin(self.submit(head))
    }
}
