//! Keys by which people sign in: every sort that `ssh-keygen` makes, security keys, and names that change between two steps.

use crate::rig::{Rig, finish, text};
use crate::scripted::{Wire, knock, name, soon};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use sallyport_gateway::conformance::bench::{TOKEN, until};
use sallyport_gateway::conformance::desk::{CODE, PASSWORD_TYPED};
use sallyport_ssh_transport::wire::Put as _;
use sallyport_ssh_transport::{auth, key};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);
/// What somebody is asked whose user name has a handle.
const ASKED: &str = "Password or token, or Enter alone to sign in with a browser: ";

fn made(rig: &Rig, sort: &str, bits: &str) -> PathBuf {
    let path = rig.fixed.home().join(format!("{sort}-{bits}"));
    let mut command = Command::new("ssh-keygen");
    let made = command.args(["-q", "-t", sort, "-b", bits, "-N", "", "-C", "", "-f"]).arg(&path).status().unwrap();
    assert!(made.success());
    path
}

fn public(path: &Path) -> String {
    sallyport_testkit::sshd::public(&path.with_extension("pub")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sort_of_key_that_ssh_keygen_makes_signs_in_by_its_own_algorithms() {
    let rig = Rig::new().await;
    let sorts = [
        ("ecdsa", "256", "ecdsa-sha2-nistp256"),
        ("ecdsa", "384", "ecdsa-sha2-nistp384"),
        ("ecdsa", "521", "ecdsa-sha2-nistp521"),
        ("rsa", "2048", "rsa-sha2-256"),
        ("rsa", "2048", "rsa-sha2-512"),
        ("rsa", "1024", "rsa-sha2-512"),
    ];
    for (sort, bits, algorithm) in sorts {
        let path = rig.fixed.home().join(format!("{sort}-{bits}"));
        let path = if path.exists() { path } else { made(&rig, sort, bits) };
        rig.bench.desk.person(&"bob".parse().unwrap(), "bob-token", &[public(&path)]);
        let mut ssh = tokio::process::Command::new("ssh");
        // OpenSSH takes the first value of an option.
        ssh.args(["-v", "-o", "PreferredAuthentications=publickey", "-o", "IdentitiesOnly=yes", "-i"]).arg(&path);
        ssh.args(["-o", &format!("PubkeyAcceptedAlgorithms={algorithm}")]);
        rig.fixed.options(&mut ssh, rig.bench.address);
        ssh.arg(format!("bob+ops@{}@127.0.0.1", rig.name)).arg("echo hello");
        let output = finish(ssh.spawn().unwrap()).await;
        let said = text(&output.stderr);
        if bits == "1024" {
            assert_eq!(output.status.code(), Some(255), "a key that is too short: {said}");
            continue;
        }
        assert_eq!(text(&output.stdout), "hello\n", "{algorithm}: {said}");
        assert!(said.contains("Authenticated to 127.0.0.1") && said.contains("using \"publickey\""), "{said}");
    }
}

type Sign = dyn Fn(&[u8]) -> Vec<u8>;

/// A security key, by what it signs with.
struct Token {
    algorithm: &'static str,
    public: Vec<u8>,
    sign: Box<Sign>,
}

const APPLICATION: &[u8] = b"ssh:";

fn tokens() -> [Token; 2] {
    let (ed, p256) = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com");
    let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
    let mut public = Vec::new();
    [ed.as_bytes(), pair.public_key().as_ref(), APPLICATION].into_iter().for_each(|part| public.string(part));
    let first = Token { algorithm: ed, public, sign: Box::new(move |message| pair.sign(message).as_ref().to_vec()) };
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let mut public = Vec::new();
    [p256.as_bytes(), b"nistp256", pair.public_key().as_ref(), APPLICATION]
        .into_iter()
        .for_each(|part| public.string(part));
    let sign = move |message: &[u8]| {
        let both = pair.sign(&SystemRandom::new(), message).unwrap();
        let mut out = Vec::new();
        both.as_ref().chunks(32).for_each(|number| out.unsigned(number));
        out
    };
    [first, Token { algorithm: p256, public, sign: Box::new(sign) }]
}

impl Token {
    /// What it makes of a message (OpenSSH's PROTOCOL.u2f) with these flags, of which 1 says that it was touched.
    fn touched(&self, flags: u8, message: &[u8]) -> Vec<u8> {
        let mut signed = digest(&SHA256, APPLICATION).as_ref().to_vec();
        signed.byte(flags);
        signed.uint32(9);
        signed.bytes(digest(&SHA256, message).as_ref());
        let mut out = Vec::new();
        out.string(self.algorithm.as_bytes());
        out.string(&(self.sign)(&signed));
        out.byte(flags);
        out.uint32(9);
        out
    }

    /// Shows a proof of it; whether it was let in.
    async fn signs_in(&self, leg: &mut Wire, user: &str, flags: u8) -> bool {
        let session = leg.transport().session().unwrap().to_vec();
        let message = auth::proof(&session, user, self.algorithm, &self.public);
        let request = auth::with_key(user, self.algorithm, &self.public, &self.touched(flags, &message));
        answered(leg, &request).await == auth::SUCCESS
    }
}

/// The number of the answer to a request.
async fn answered(leg: &mut Wire, request: &[u8]) -> u8 {
    leg.send(|out| out.bytes(request)).unwrap();
    soon(leg.receive()).await.unwrap()[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_security_key_signs_in_where_somebody_touched_it() {
    let rig = Rig::new().await;
    let user = name(&rig, "bob+ops");
    for token in tokens() {
        rig.bench.desk.person(&"bob".parse().unwrap(), "bob-token", &[key::print(&token.public).unwrap()]);
        let mut leg = knock(&rig).await;
        assert!(!token.signs_in(&mut leg, &user, 0).await, "{}: nobody touched it", token.algorithm);
        assert!(!token.signs_in(&mut leg, &user, 4).await, "{}: known, and not touched", token.algorithm);
        assert!(token.signs_in(&mut leg, &user, 5).await, "{}", token.algorithm);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_asked_for_and_proven_under_one_name() {
    let rig = Rig::new().await;
    let [token, _] = tokens();
    let (ada, bob) = (name(&rig, "ada+ops"), name(&rig, "bob+ops"));
    rig.bench.desk.person(&"bob".parse().unwrap(), "bob-token", &[]);
    rig.bench.desk.person(&"ada".parse().unwrap(), "ada-token", &[key::print(&token.public).unwrap()]);
    let mut offer = Vec::new();
    offer.byte(auth::REQUEST);
    [ada.as_bytes(), b"ssh-connection", b"publickey"].into_iter().for_each(|part| offer.string(part));
    offer.boolean(false);
    offer.string(token.algorithm.as_bytes());
    offer.string(&token.public);
    let mut leg = knock(&rig).await;
    assert_eq!(answered(&mut leg, &offer).await, auth::MORE);
    assert!(!token.signs_in(&mut leg, &bob, 1).await, "a key of ada's, proven under bob's name");
    let session = leg.transport().session().unwrap().to_vec();
    let message = auth::proof(&session, &ada, token.algorithm, &token.public);
    let other = auth::with_key(&bob, token.algorithm, &token.public, &token.touched(1, &message));
    assert_eq!(answered(&mut leg, &other).await, auth::FAILURE, "proven under ada's name, and shown under bob's");
    assert!(token.signs_in(&mut leg, &ada, 1).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_counts_for_the_name_whose_password_was_right_and_for_no_other() {
    let rig = Rig::new().await;
    rig.bench.desk.person(&"bob".parse().unwrap(), "bob-token", &[]);
    let (ada, bob) = (name(&rig, "ada+ops"), name(&rig, "bob+ops"));
    for by_questions in [true, false] {
        let mut leg = knock(&rig).await;
        password(&mut leg, &ada, by_questions).await;
        // The name changes: nothing of what was shown counts any more (RFC 4252 section 5).
        ask(&mut leg, &bob, ASKED).await;
        assert_eq!(answer(&mut leg, CODE).await, auth::FAILURE);
        // Not even for the first name, once another was said.
        ask(&mut leg, &ada, ASKED).await;
        assert_eq!(answer(&mut leg, CODE).await, auth::FAILURE);
        password(&mut leg, &ada, by_questions).await;
        if !by_questions {
            ask(&mut leg, &ada, "Code: ").await;
        }
        assert_eq!(answer(&mut leg, CODE).await, auth::SUCCESS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_waits_for_a_browser_asks_control_once_and_hears_what_its_client_says() {
    let rig = Rig::new().await;
    rig.bench.desk.give_codes();
    let ada = name(&rig, "ada+ops");
    let mut leg = knock(&rig).await;
    ask(&mut leg, &ada, ASKED).await;
    // Enter alone, for a code; and Enter once it is entered in a browser, which shows a line and asks for nothing.
    assert_eq!(answer(&mut leg, b"").await, auth::MORE);
    assert_eq!(answer(&mut leg, b"").await, auth::MORE);
    leg.send(|out| auth::answer(out, &[])).unwrap();
    leg.flush().await.unwrap();
    until(SOON, || rig.bench.desk.asked() == 2).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(2), leg.receive()).await.is_err(), "it does not wait");
    assert_eq!(rig.bench.desk.asked(), 2, "control is asked again before its answer can be there");
    // Whoever has a password after all need not wait for that.
    leg.send(|out| auth::with_password(out, &ada, TOKEN.as_bytes())).unwrap();
    assert_eq!(soon(leg.receive()).await.unwrap()[0], auth::SUCCESS);
}

/// Shows a password that is right and not enough.
async fn password(leg: &mut Wire, user: &str, by_questions: bool) {
    if by_questions {
        ask(leg, user, ASKED).await;
        assert_eq!(answer(leg, PASSWORD_TYPED).await, auth::MORE);
        return;
    }
    leg.send(|out| auth::with_password(out, user, PASSWORD_TYPED)).unwrap();
    let payload = soon(leg.receive()).await.unwrap();
    assert_eq!(auth::refused(&payload).unwrap(), ("keyboard-interactive", true));
}

/// Wants to be asked, and is asked this.
async fn ask(leg: &mut Wire, user: &str, question: &str) {
    leg.send(|out| auth::to_be_asked(out, user)).unwrap();
    let payload = soon(leg.receive()).await.unwrap();
    assert_eq!(auth::asked(&payload).unwrap(), [(question.to_owned(), false)]);
}

async fn answer(leg: &mut Wire, text: &[u8]) -> u8 {
    leg.send(|out| auth::answer(out, &[text])).unwrap();
    soon(leg.receive()).await.unwrap()[0]
}
