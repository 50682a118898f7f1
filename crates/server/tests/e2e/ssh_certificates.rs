//! Accounts that certificates open: nothing is stored for them, and a real sshd says what it thinks of each certificate.

use sallyport_testkit::product::{PASSWORD, Product, json, outcome};
use sallyport_testkit::sshd::{ACCOUNT, Sshd};
use std::fs;
use std::process::Command;

on_both!(an_account_is_opened_by_certificates_and_their_authority_is_rotated);

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
