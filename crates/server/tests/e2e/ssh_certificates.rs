//! Accounts that certificates open: nothing is stored for them, and a real sshd says what it thinks of each certificate.

use crate::browser::Browser;
use reqwest::Method;
use sallyport_testkit::product::{PASSWORD, Product, json, outcome, wait_for};
use sallyport_testkit::sshd::{ACCOUNT, Sshd};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

on_both!(
    an_account_is_opened_by_certificates_and_their_authority_is_rotated,
    people_sign_in_with_certificates_until_those_are_revoked,
);

/// The public keys of the authority of targets, the oldest first.
fn authority(product: &Product) -> Vec<String> {
    let cas = json(&product.ok(&["vault", "ca", "--output", "json"]).unwrap()).unwrap();
    let found = cas.as_array().unwrap().iter().find(|ca| ca["name"] == "targets").unwrap();
    found["keys"].as_array().unwrap().iter().map(|key| key["public"].as_str().unwrap().to_owned()).collect()
}

/// An sshd that believes the authorities in `cas` and refuses what `krl` lists; and one target of it for each of these
/// ways to write `certificate`.
fn targets(product: &Product, ways: &[(&str, &str)]) -> Sshd {
    let at = |name: &str| product.at(name).display().to_string();
    fs::write(product.at("krl"), "").unwrap();
    believe(product, &authority(product));
    let lines = format!("TrustedUserCAKeys {}\nRevokedKeys {}\n", at("cas"), at("krl"));
    let sshd = Sshd::with(PASSWORD, &lines).unwrap();
    let target = |(name, certificate): &(&str, &str)| {
        format!(
            "[[target]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = {}\nenvironment = \"demo\"\ntier = 1\n\
             tags = [\"web\"]\nhost_keys = [\"{}\"]\n[[target.account]]\nname = \"{ACCOUNT}\"\nclass = \"standard\"\n\
             certificate = {{ {certificate} }}\n",
            sshd.address().port(),
            sshd.host_key().unwrap()
        )
    };
    fs::write(product.at("checkout/certified.toml"), ways.iter().map(target).collect::<String>()).unwrap();
    product.ok(&["apply", &at("checkout")]).unwrap();
    sshd
}

fn believe(product: &Product, keys: &[String]) {
    fs::write(product.at("cas"), keys.join("\n") + "\n").unwrap();
}

/// What `echo reached` comes to at a target.
fn at(product: &Product, target: &str) -> (i32, String, String) {
    outcome(product.ssh_at("ada", &format!("ada+{ACCOUNT}@{target}")).arg("echo reached").output().unwrap())
}

fn refused(product: &Product, target: &str) {
    let (code, out, err) = at(product, target);
    assert!(code != 0 && out.is_empty(), "{target}: {out}{err}");
    assert!(err.contains("TrustedUserCAKeys"), "{target}: {err}");
}

fn an_account_is_opened_by_certificates_and_their_authority_is_rotated(product: &mut Product) {
    let sshd = targets(
        product,
        &[
            ("plain", ""),
            ("stranger", "principal = \"somebody-else\""),
            ("forced", "force_command = \"echo forced\", source_addresses = [\"127.0.0.0/8\"]"),
            ("elsewhere", "source_addresses = [\"192.0.2.0/24\"]"),
        ],
    );
    assert_eq!(at(product, "plain"), (0, "reached\n".into(), String::new()), "{}", sshd.log());
    let log = sshd.log();
    assert!(log.contains("Accepted certificate ID \"sallyport ses_") && log.contains(" ada\" (serial "), "{log}");
    let stored = product.ok(&["vault", "status"]).unwrap();
    assert!(!stored.contains("@plain"), "nothing is stored for it: {stored}");
    let told = product.ok(&["ledger", "list", "--actions", "credential.certified"]).unwrap();
    assert!(told.contains(&format!("a certificate for {ACCOUNT}@plain was made for ada's session")), "{told}");

    // A terminal is permitted by policy, so that the certificate says so.
    let terminal = product.ssh_at("ada", &format!("{ACCOUNT}@plain")).args(["-tt", "tty"]).output().unwrap();
    assert!(outcome(terminal).1.starts_with("/dev/pts/"), "{}", sshd.log());

    // What a certificate says binds, whoever shows it.
    refused(product, "stranger");
    assert_eq!(at(product, "forced"), (0, "forced\n".into(), String::new()), "{}", sshd.log());
    refused(product, "elsewhere");
    let checked = product.ok(&["vault", "status", "--output", "json"]).unwrap();
    assert!(!checked.contains("plain"), "{checked}");

    rotated(product);

    // A target refuses what its own list of revoked keys names.
    let krl = product.at("krl");
    fs::write(product.at("serials"), "serial: 1-18446744073709551615\n").unwrap();
    let mut revoke = Command::new("ssh-keygen");
    revoke.args(["-k", "-f"]).arg(krl).arg("-s").arg(product.at("cas")).arg(product.at("serials"));
    assert!(revoke.output().unwrap().status.success());
    refused(product, "plain");
    assert!(sshd.log().contains("revoked"), "{}", sshd.log());
}

/// Both keys are believed while one takes the other's place, and then the new one alone.
fn rotated(product: &Product) {
    let before = authority(product);
    let step = |step: &str| product.run(&["vault", "rotate-ca", "targets", step]).unwrap();
    let (code, _, err) = step("activate");
    assert_eq!(code, 1, "nothing waits: {err}");
    assert!(err.contains("begin a rotation first"), "{err}");
    let (code, shown, err) = step("begin");
    let both = authority(product);
    assert_eq!((code, both.len()), (0, 2), "{err}");
    assert!(both.iter().all(|key| shown.contains(key.as_str())), "{shown}");
    believe(product, &both);
    assert_eq!(at(product, "plain").1, "reached\n", "the former key signs as before");
    assert_eq!(step("activate").0, 0);
    assert_eq!(at(product, "plain").1, "reached\n", "the next key signs");
    assert_eq!(step("finish").0, 0);
    let after = authority(product);
    assert_eq!(after, [both[1].clone()]);
    believe(product, &before);
    refused(product, "plain");
    believe(product, &after);
    assert_eq!(at(product, "plain").1, "reached\n");
}

/// A token of somebody's.
fn token(product: &Product, handle: &str) -> String {
    json(&product.ok(&["token", handle, "--output", "json"]).unwrap()).unwrap()["token"].as_str().unwrap().to_owned()
}

/// A command of ada's, who has settings of her own.
fn of_ada(product: &Product, args: &[&str]) -> Command {
    let mut command = product.command(args);
    command.env("XDG_CONFIG_HOME", product.at("ada-home")).env("SALLYPORT_TOKEN", token(product, "ada"));
    command.env_remove("SSH_AUTH_SOCK");
    command
}

/// The stock client with this key, or the agent's, and no other; at the sample account.
fn client(product: &Product, key: Option<&Path>, handle: &str) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    command.args(["-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-p", &product.ssh_port().to_string()]);
    match key {
        Some(key) => command.args(["-o", "IdentitiesOnly=yes", "-i"]).arg(key).env_remove("SSH_AUTH_SOCK"),
        None => command.args(["-o", "IdentityFile=none"]),
    };
    command.args(["-l", &format!("{handle}+{ACCOUNT}@web-1"), "127.0.0.1", "echo reached"]).stdin(Stdio::null());
    command
}

pub(crate) fn signs_in(product: &Product, key: &Path, handle: &str) -> bool {
    let (code, out, err) = outcome(client(product, Some(key), handle).output().unwrap());
    assert!(matches!((code, out.as_str()), (0, "reached\n") | (255, "")), "{code} {out}{err}");
    code == 0
}

fn people_sign_in_with_certificates_until_those_are_revoked(product: &mut Product) {
    let (code, _, err) = outcome(of_ada(product, &["login"]).output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    let (directory, key) = (product.at("ada-home/sallyport/ssh"), product.at("ada-home/sallyport/ssh/id"));
    for (path, mode) in [(&directory, 0o700), (&key, 0o600), (&key.with_file_name("id-cert.pub"), 0o600)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    assert!(signs_in(product, &key, "ada"), "{}", product.log());
    assert!(!signs_in(product, &key, "bob"), "it is good for one handle");
    let told = product.ok(&["ledger", "list", "--actions", "session.opened", "--output", "json"]).unwrap();
    assert!(told.contains("ssh_certificate"), "{told}");
    let told = product.ok(&["ledger", "list", "--actions", "ssh_certificate.made"]).unwrap();
    assert!(told.contains("ada got an SSH certificate until ") && told.contains("having signed in by token"), "{told}");

    // The client's own configuration, as `config ssh` prints it, uses it.
    let blocks = outcome(of_ada(product, &["config", "ssh"]).output().unwrap()).1;
    assert!(blocks.contains(&format!("IdentityFile \"{}\"", key.display())), "{blocks}");

    gateways_are_known(product, &key);

    let bearer = format!("Bearer {}", token(product, "ada"));
    let mut browser = Browser::of(product);
    let mut api = |method, path: &str, body: Option<&serde_json::Value>| {
        browser.ask(method, path, body, &[("authorization", &bearer)])
    };
    // Where it may be used from is in it.
    for (network, holds) in [("192.0.2.0/24", false), ("127.0.0.0/8", true)] {
        let own = product.at(&format!("bound-{holds}"));
        sallyport_testkit::sshd::keygen(&own).unwrap();
        let public = fs::read_to_string(own.with_extension("pub")).unwrap();
        let ask = serde_json::json!({ "public_key": public, "networks": [network], "seconds": 600 });
        let made = api(Method::POST, "/api/v1/me/certificates", Some(&ask));
        assert_eq!(made.status, 200, "{made:?}");
        let line = made.body["certificate"].as_str().unwrap();
        fs::write(product.at(&format!("bound-{holds}-cert.pub")), line).unwrap();
        assert_eq!(signs_in(product, &own, "ada"), holds, "{network}");
    }

    // What staff revoke signs in no more, and neither does what one revokes oneself.
    let listed = product.ok(&["certificates", "list", "--user", "ada", "--output", "json"]).unwrap();
    let serial = json(&listed).unwrap()["items"][0]["serial"].as_str().unwrap().to_owned();
    let told = product.ok(&["certificates", "revoke", &serial, "--user", "ada"]).unwrap();
    assert!(told.contains("signs nobody in any more"), "{told}");
    let (code, own, err) = outcome(of_ada(product, &["certificates", "list", "--output", "json"]).output().unwrap());
    assert_eq!((code, json(&own).unwrap()["items"].as_array().unwrap().len()), (0, 2), "{err}");
    let told = product.ok(&["ledger", "list", "--actions", "ssh_certificate.revoked"]).unwrap();
    assert!(told.contains(&format!("admin revoked the SSH certificate {serial} of ada")), "{told}");

    // What is revoked signs in no more, and neither does what somebody has who may do nothing.
    let listed = api(Method::GET, "/api/v1/me/certificates", None).body;
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{listed}");
    for item in items {
        let gone = api(Method::DELETE, &format!("/api/v1/me/certificates/{}", item["serial"].as_str().unwrap()), None);
        assert_eq!(gone.status, 204, "{gone:?}");
    }
    assert!(!signs_in(product, &key, "ada"), "it was revoked");
    assert_eq!(outcome(of_ada(product, &["login"]).output().unwrap()).0, 0);
    assert!(signs_in(product, &key, "ada"), "another login, another certificate");
    let inventory = fs::read_to_string(product.at("checkout/inventory.toml")).unwrap();
    let disabled = inventory.replacen("handle = \"ada\"", "handle = \"ada\"\ndisabled = true", 1);
    fs::write(product.at("checkout/inventory.toml"), disabled).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    assert!(!signs_in(product, &key, "ada"), "she is disabled");
    crate::metrics::stand_in_the_book(product);
}

/// The client knows gateways by their authority's certificates, and nothing else need be known.
fn gateways_are_known(product: &Product, key: &Path) {
    let known = key.with_file_name("known_hosts");
    let strictly_as = |known: &Path, alias: &[&str]| {
        let ssh = client(product, Some(key), "ada");
        let file = format!("UserKnownHostsFile={}", known.display());
        // The first of several that is said counts.
        let mut strict = Command::new("ssh");
        strict.args(["-o", "StrictHostKeyChecking=yes", "-o", &file]).args(alias);
        strict.args(ssh.get_args()).env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        outcome(strict.output().unwrap())
    };
    let strictly = |known: &Path| strictly_as(known, &["-o", "HostKeyAlias=sallyport"]);
    // The gateway shows its certificate within seconds of its start.
    wait_for("a gateway that is known", 20, || (strictly(&known).0 == 0).then_some(())).unwrap();
    // By its address too, for a client that knows no alias.
    let (code, _, err) = strictly_as(&known, &[]);
    assert_eq!(code, 0, "{}: {err}", fs::read_to_string(&known).unwrap());
    let other = product.at("other_hosts");
    fs::write(&other, format!("@cert-authority sallyport {}\n", authority(product)[0])).unwrap();
    let (code, _, err) = strictly(&other);
    assert_eq!(code, 255, "another authority: {err}");
    assert!(err.contains("No ED25519 host key is known") || err.contains("Host key verification failed"), "{err}");
    // Whoever asks for the key alone gets that.
    let mut scan = Command::new("ssh-keyscan");
    scan.args(["-c", "-p", &product.ssh_port().to_string(), "127.0.0.1"]);
    let certificate = outcome(scan.output().unwrap()).1;
    let file = product.at("host-cert.pub");
    let words = certificate.split_whitespace().skip_while(|word| !word.starts_with("ssh-ed25519-cert-"));
    fs::write(&file, words.take(2).collect::<Vec<_>>().join(" ")).unwrap();
    let mut list = Command::new("ssh-keygen");
    let shown = outcome(list.arg("-L").arg("-f").arg(&file).output().unwrap()).1;
    assert!(shown.contains("host certificate") && shown.contains("        sallyport\n"), "{shown}");
}

/// An agent that ends with this value.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_running_agent_gets_key_and_certificate_and_offers_them_before_its_other_keys() {
    let product = crate::product();
    let socket = product.at("agent");
    let mut agent = Command::new("ssh-agent");
    agent.arg("-D").arg("-a").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _agent = Agent(agent.spawn().unwrap());
    wait_for("an agent", 10, || socket.exists().then_some(())).unwrap();
    let (code, _, err) = outcome(of_ada(&product, &["login"]).env("SSH_AUTH_SOCK", &socket).output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    let left = fs::read_dir(product.at("ada-home/sallyport/ssh")).unwrap().map(|file| file.unwrap().file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, ["id-cert.pub", "id.pub", "known_hosts"], "the key is no file");
    let mut list = Command::new("ssh-add");
    let listed = outcome(list.arg("-l").env("SSH_AUTH_SOCK", &socket).output().unwrap()).1;
    assert!(listed.contains("(ED25519-CERT)"), "{listed}");
    let mut ssh = client(&product, None, "ada");
    let (code, out, err) = outcome(ssh.env("SSH_AUTH_SOCK", &socket).output().unwrap());
    assert_eq!((code, out.as_str()), (0, "reached\n"), "{err}");
    among_others(&product, &socket);
    let (code, _, _) = outcome(of_ada(&product, &["login", "--no-certificate"]).output().unwrap());
    assert_eq!(code, 0);
    assert!(!product.at("ada-home/sallyport/ssh/id").exists());
}

/// The agent holds twelve keys more, of which nobody is to try that many, and got them before those of the last login.
fn among_others(product: &Product, socket: &Path) {
    let agent = |args: &[&str]| {
        let added = Command::new("ssh-add").arg("-q").args(args).env("SSH_AUTH_SOCK", socket).status().unwrap();
        assert!(added.success(), "{args:?}");
    };
    agent(&["-D"]);
    for n in 0..12 {
        let key = product.at(&format!("other-{n}"));
        sallyport_testkit::sshd::keygen(&key).unwrap();
        agent(&[&key.display().to_string()]);
    }
    assert_eq!(outcome(of_ada(product, &["login"]).env("SSH_AUTH_SOCK", socket).output().unwrap()).0, 0);
    // A gateway shows its certificate some seconds after its start.
    let quiet = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"];
    let mut ssh = of_ada(product, &["ssh", &format!("{ACCOUNT}@web-1")]);
    ssh.args(quiet).arg("echo reached");
    let (code, out, err) = outcome(ssh.env("SSH_AUTH_SOCK", socket).stdin(Stdio::null()).output().unwrap());
    assert_eq!((code, out.as_str()), (0, "reached\n"), "{err}");
    let (config, blocks) = (product.at("ada-config"), of_ada(product, &["config", "ssh"]).output().unwrap());
    fs::write(&config, outcome(blocks).1).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(&config).args(quiet).args(["web-1", "echo reached"]).env("SSH_AUTH_SOCK", socket);
    let (code, out, err) = outcome(ssh.stdin(Stdio::null()).output().unwrap());
    assert_eq!((code, out.as_str()), (0, "reached\n"), "{err}");
    // Without them it is refused, and told what to do.
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "LogLevel=INFO"]).args(client(product, None, "ada").get_args()).env("SSH_AUTH_SOCK", socket);
    let (code, out, err) = outcome(ssh.stdin(Stdio::null()).output().unwrap());
    assert_eq!((code, out.as_str()), (255, ""), "{err}");
    assert!(err.contains("ten keys were tried") && err.contains("IdentitiesOnly=yes -i KEY"), "{err}");
}
