//! An agent that is lent to a target, through the whole product: asked for, signed, entered, recorded and counted.

use crate::company::calm;
use crate::metrics::figures;
use sallyport_testkit::product::{Product, outcome};
use sallyport_testkit::sshd::{ACCOUNT, keygen, public};
use sallyport_testkit::terminal::Terminal;
use sallyport_testkit::waiting::wait_for;
use std::path::Path;
use std::process::{Child, Command, Stdio};

on_both!(each_signature_of_a_lent_agent_is_asked_for_and_is_an_entry);

/// Permits the agent to be lent, under what else this says.
fn lend(product: &Product, policy: &str) {
    let permit = "permit (principal in Group::\"ops\", action == Action::\"channel:agent\", resource);\n";
    product.write_checkout(&format!("{permit}{policy}")).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
}

/// A real agent; it ends with this.
struct Agent(Child);

impl Agent {
    fn start(socket: &Path, key: &Path) -> Self {
        let agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(socket).stdout(Stdio::null()).spawn().unwrap();
        let agent = Self(agent);
        // Its socket is there a moment before it listens.
        let add = || Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", socket).status();
        wait_for("the agent to take the key", 15, || add().ok()?.success().then_some(())).unwrap();
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn each_signature_of_a_lent_agent_is_asked_for_and_is_an_entry(product: &mut Product) {
    lend(product, "");
    let (socket, key) = (product.at("agent.sock"), product.at("mine"));
    keygen(&key).unwrap();
    let _agent = Agent::start(&socket, &key);
    let known = public(&key.with_extension("pub")).unwrap();
    let (_, print, _) = outcome(Command::new("ssh-keygen").arg("-lf").arg(key.with_extension("pub")).output().unwrap());
    let print = print.split(' ').nth(1).unwrap().to_owned();
    let file = product.target.scratch().unwrap().join("mine.pub");
    std::fs::write(&file, format!("{known}\n")).unwrap();
    let sign = format!("echo text | ssh-keygen -q -Y sign -n git -f {}", file.display());

    let mut ada = Terminal::run(product.ssh("ada").args(["-A", "-tt"]).env("SSH_AUTH_SOCK", &socket)).unwrap();
    ada.until_shown("$ ").unwrap();
    for (key, shown) in [("n", "agent refused operation"), ("y", "END SSH SIGNATURE")] {
        ada.type_in(&format!("{sign}\r")).unwrap();
        let question = format!("web-1 wants to sign a message for `git` with your key {print} (ED25519)");
        ada.until_shown(&question).unwrap();
        calm();
        ada.type_in(key).unwrap();
        ada.until_shown(shown).unwrap();
    }
    ada.type_in("exit\r").unwrap();
    ada.ended().unwrap();
    product.idle().unwrap();
    let session = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    // Nobody is there to be asked.
    let run = |product: &Product| {
        outcome(product.ssh("ada").arg("-A").arg(&sign).env("SSH_AUTH_SOCK", &socket).output().unwrap())
    };
    let (code, out, err) = run(product);
    assert!(code != 0 && out.is_empty(), "{code} {out} {err}");
    lend(product, "@limit @agent(\"unattended\") permit (principal, action == Action::\"connect\", resource);\n");
    let (code, out, err) = run(product);
    assert!(code == 0 && out.contains("END SSH SIGNATURE"), "{code} {out} {err}");
    product.idle().unwrap();

    let told = product
        .ok(&["ledger", "list", "--actions", "agent.allowed,agent.signed,agent.refused,agent.failed", "--limit", "50"])
        .unwrap();
    let (at, with) = (format!("{ACCOUNT}@web-1"), format!("with the key {print} (ED25519)"));
    for (sentence, times) in [
        (format!("{at} may not have the agent of ada sign a message for `git`, {with}: the user said no"), 1),
        (format!("ada let {at} have their agent sign a message for `git`, {with}"), 1),
        (format!("the agent of ada signed for {at}, to sign a message for `git`, {with}"), 2),
        (format!("policy let {at} have the agent of ada sign a message for `git`, {with}"), 1),
    ] {
        assert_eq!(told.matches(&sentence).count(), times, "{sentence}: {told}");
    }
    assert!(told.contains("there is no terminal in which the user could be asked"), "{told}");
    let marks = product.as_carol(&["play", &session, "--index"]).unwrap();
    for mark in ["asked to sign a message for `git`", "allowed by the user: to", "the user said no"] {
        assert!(marks.contains(mark), "{mark}: {marks}");
    }
    let why = product.ok(&["why", &format!("ada+{at}"), "connect"]).unwrap();
    assert!(why.contains("agent") && why.contains("unattended"), "{why}");
    let figures = figures(product);
    for line in [
        "sallyport_agent_requests_total{outcome=\"signed\",by=\"user\"} 1\n",
        "sallyport_agent_requests_total{outcome=\"signed\",by=\"policy\"} 1\n",
        "sallyport_agent_requests_total{outcome=\"refused\",by=\"user\"} 1\n",
    ] {
        assert!(figures.contains(line), "{line}: {figures}");
    }
}
