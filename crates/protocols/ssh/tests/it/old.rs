//! Targets that speak nothing new, and targets whose host keys somebody has certified.

use crate::rig::{Rig, finish, key, text};
use sallyport_model::access::EndReason;
use sallyport_model::way::Accepts;
use sallyport_testkit::sshd::{keygen, public};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SOON: Duration = Duration::from_secs(20);

/// A target whose sshd has these lines, which accepts this, opened with a key.
async fn rig(lines: &str, host_key: Option<&str>, accepts: Accepts) -> Rig {
    Rig::configured(lines, |known, sshd| {
        known.credential = key(sshd);
        known.accepts = accepts;
        if let Some(host_key) = host_key {
            known.host_keys = vec![host_key.to_owned()];
        }
    })
    .await
}

/// What a session that cannot begin tells its client.
async fn refused(rig: &Rig) -> String {
    let output = rig.run(&[], "true").await;
    assert_ne!(output.status.code(), Some(0));
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.closes()[0].reason, EndReason::DialFail);
    assert!(rig.bench.desk.entries_of("credential.lent").is_empty(), "no credential was asked for");
    text(&output.stderr)
}

/// More both ways than one set of keys carries.
async fn carried(rig: &Rig) {
    let size = 3 << 20;
    let mut child = rig.ssh(&[], "cat").stdin(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let sending = tokio::spawn(async move { input.write_all(&vec![b'z'; size]).await });
    let mut all = Vec::new();
    tokio::time::timeout(SOON, output.read_to_end(&mut all)).await.expect("it stalls").unwrap();
    sending.await.unwrap().unwrap();
    let ended = finish(child).await;
    assert!(all.len() == size && ended.status.success(), "{} bytes, {}", all.len(), text(&ended.stderr));
}

fn excepting(names: &[&str]) -> Accepts {
    Accepts { exceptions: names.iter().map(|name| (*name).to_owned()).collect(), ..Accepts::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_targets_are_refused_with_what_to_write_and_reached_by_exception() {
    let directory = tempfile::tempdir().unwrap();
    let rsa = directory.path().join("rsa");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"]).arg(&rsa).status();
    assert!(made.unwrap().success());
    let rsa_key = public(&rsa.with_extension("pub")).unwrap();
    let (modern, etm) = ("ssh-ed25519", "hmac-sha2-256-etm@openssh.com");
    for (method, host_key, cipher, mac) in [
        ("ecdh-sha2-nistp256", modern, "aes256-cbc", "hmac-sha2-512"),
        ("ecdh-sha2-nistp384", modern, "aes128-cbc", etm),
        ("ecdh-sha2-nistp521", modern, "aes256-ctr", "hmac-sha1"),
        ("diffie-hellman-group16-sha512", modern, "aes256-cbc", "hmac-sha1"),
        ("diffie-hellman-group-exchange-sha256", modern, "aes128-cbc", "hmac-sha2-256"),
        ("diffie-hellman-group14-sha256", modern, "aes128-ctr", "hmac-sha2-256"),
        ("diffie-hellman-group14-sha1", "ssh-rsa", "aes128-cbc", "hmac-sha1"),
    ] {
        let mut lines = format!(
            "KexAlgorithms {method}\nHostKeyAlgorithms {host_key}\nCiphers {cipher}\nMACs {mac}\nRekeyLimit 1M\n"
        );
        let pinned = (host_key == "ssh-rsa").then_some(rsa_key.as_str());
        if pinned.is_some() {
            lines.push_str(&format!("HostKey {}\n", rsa.display()));
        }
        let mut names = [method, host_key, cipher, mac].to_vec();
        names.retain(|name| sallyport_ssh_transport::old::names().contains(name));
        names.sort_unstable();

        let without = rig(&lines, pinned, Accepts::default()).await;
        let told = refused(&without).await;
        assert!(told.contains(&format!("key exchange (the peer has {method}")), "{told}");
        let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let advice = format!("exceptions = {{ algorithms = [{}], reason", quoted.join(", "));
        assert!(told.contains(&advice), "{advice}: {told}");

        let with = rig(&lines, pinned, excepting(&names)).await;
        carried(&with).await;
        with.bench.returned(SOON).await.unwrap();
        let exchanges = with.bench.desk.closes().remove(0).exchanges;
        let legs: Vec<_> = exchanges.iter().map(|exchange| exchange.leg.as_str()).collect();
        assert_eq!(legs, ["target", "client"]);
        assert_eq!(exchanges[0].exceptions, names);
        assert!(exchanges[1].exceptions.is_empty(), "{exchanges:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exception_that_ended_is_told_of_and_what_is_not_safe_has_none() {
    let ended = Accepts { ended: Some(sallyport_model::Timestamp(0)), ..Accepts::default() };
    let rig_ended = rig("KexAlgorithms diffie-hellman-group14-sha1\n", None, ended).await;
    let told = refused(&rig_ended).await;
    assert!(told.contains("Its exception ended on 1970-01-01"), "{told}");
    let none = rig("KexAlgorithms diffie-hellman-group1-sha1\n", None, Accepts::default()).await;
    let told = refused(&none).await;
    assert!(told.contains("No exception helps"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_post_quantum_exchange_is_demanded_no_other_is_made() {
    let accepts = Accepts { post_quantum: true, ..Accepts::default() };
    let old = rig("KexAlgorithms curve25519-sha256\n", None, accepts.clone()).await;
    let told = refused(&old).await;
    assert!(
        told.contains("did not agree with us: no algorithm in common: key exchange (the peer has curve25519"),
        "{told}"
    );
    assert!(told.contains("A post-quantum exchange is demanded of it") && told.contains("OpenSSH 9.0"), "{told}");

    // One that is asked for new keys at every mebibyte.
    let new = rig("RekeyLimit 1M\n", None, accepts).await;
    carried(&new).await;
    new.bench.returned(SOON).await.unwrap();
    let exchanges = new.bench.desk.closes().remove(0).exchanges;
    let target = exchanges.iter().find(|exchange| exchange.leg == "target").unwrap();
    let stock = ["mlkem768x25519-sha256", "sntrup761x25519-sha512"];
    assert!(stock.iter().any(|name| target.algorithms.starts_with(name)), "{target:?}");
}

/// A host key with a certificate of it, by this authority; and the lines of a configuration that have both.
fn certified(directory: &Path, authority: &Path, name: &str, arguments: &[&str]) -> String {
    let host = directory.join(name);
    keygen(&host).unwrap();
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-s"]).arg(authority).args(["-I", name]).args(arguments).arg(host.with_extension("pub"));
    assert!(sign.output().unwrap().status.success());
    format!("HostKey {}\nHostCertificate {}-cert.pub\n", host.display(), host.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certified_host_key_is_as_good_as_a_pinned_one_and_every_other_certificate_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for authority in ["authority", "stranger"] {
        keygen(&at(authority)).unwrap();
    }
    let accepts = || Accepts {
        authorities: vec![public(&at("authority.pub")).unwrap()],
        names: vec!["127.0.0.1".into(), "web-1.example.org".into()],
        ..Accepts::default()
    };
    let target = async |name: &str, by: &str, arguments: &[&str]| {
        let lines = certified(directory.path(), &at(by), name, arguments);
        let rig = Rig::configured(&lines, |known, sshd| {
            known.credential = key(sshd);
            known.host_keys.clear();
            known.accepts = accepts();
        });
        rig.await
    };
    for (name, principals) in [("address", "127.0.0.1"), ("alias", "elsewhere,WEB-1.example.org")] {
        let rig = target(name, "authority", &["-h", "-n", principals, "-V", "+1h"]).await;
        let ran = rig.run(&[], "echo in").await;
        assert_eq!(text(&ran.stdout), "in\n", "{}", text(&ran.stderr));
    }
    for (name, by, arguments, wanted) in [
        ("expired", "authority", &["-h", "-n", "127.0.0.1", "-V", "20200101:20200201"][..], "is not good at this time"),
        (
            "other",
            "authority",
            &["-h", "-n", "web-2.example.org", "-V", "+1h"],
            "is good for other names (web-2.example.org)",
        ),
        (
            "foreign",
            "stranger",
            &["-h", "-n", "127.0.0.1", "-V", "+1h"],
            "is signed by an authority that is not listed",
        ),
    ] {
        let rig = target(name, by, arguments).await;
        let told = refused(&rig).await;
        assert!(told.contains("the target shows a host certificate that ") && told.contains(wanted), "{told}");
        assert!(!rig.server.sshd.log().contains("Accepted"));
    }
    // A pinned key is accepted beside it, where there is no certificate.
    let pinned = rig("", None, accepts()).await;
    assert_eq!(pinned.run(&[], "true").await.status.code(), Some(0));
}
