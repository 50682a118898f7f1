//! Seal slots and keys, as operators meet them: the ceremony of shares, custodians one by one, rotation under use.

use crate::product;
use sallyport_testkit::product::{Product, json, outcome, wait_for};
use sallyport_testkit::terminal::Terminal;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

fn shares(product: &Product) -> Vec<String> {
    let args = ["vault", "slot", "add", "--label", "board", "--offline", "--shamir", "2-of-3", "--output", "json"];
    let added = json(&product.ok(&args).unwrap()).unwrap();
    added["shares"].as_array().unwrap().iter().map(|share| share.as_str().unwrap().to_owned()).collect()
}

#[test]
fn custodians_unseal_one_by_one_and_a_wrong_share_is_named() {
    let product = product();
    let shares = shares(&product);
    let confirm = ["vault", "slot", "confirm", "--share-stdin"];
    assert!(product.stdin(&confirm, &shares[0]).unwrap().contains("1 of 2"));
    assert!(product.stdin(&confirm, &shares[2]).unwrap().contains("The set counts"));
    product.ok(&["vault", "seal"]).unwrap();
    let unseal = ["vault", "unseal", "--share-stdin"];
    assert!(product.stdin(&unseal, &shares[1].to_uppercase()).unwrap().contains("1 of 2"));
    let error = product.stdin(&unseal, &shares[1]).err().unwrap().to_string();
    assert!(error.contains("share 2 was presented already"), "{error}");
    let cut: String = shares[0].chars().take(90).collect();
    let error = product.stdin(&unseal, &cut).err().unwrap().to_string();
    assert!(error.contains("80 characters"), "{error}");
    assert_eq!(product.status().unwrap()["sealed"], true);
    assert!(product.stdin(&unseal, &shares[0]).unwrap().contains("open"));
    // A gateway asks every few seconds whether the vault is open again.
    let through = || outcome(product.ssh("ada").arg("echo through").output().ok()?).1.contains("through").then_some(());
    wait_for("a session after unsealing", 20, through).unwrap();
}

/// The ceremony at a terminal: each share alone on a cleared screen, then a quorum typed back in.
#[test]
fn the_ceremony_shows_each_share_alone_and_tries_a_quorum() {
    let product = product();
    let add = "vault slot add --label board --offline --shamir 2-of-3";
    let refused = product.run(&add.split(' ').collect::<Vec<_>>()).unwrap();
    assert!(refused.0 == 2 && refused.2.contains("--output json"), "{}", refused.2);

    let mut terminal = Terminal::run(&product.command(&add.split(' ').collect::<Vec<_>>())).unwrap();
    for number in 1..=3 {
        terminal.until_shown(&format!("Share {number} of 3")).unwrap();
        terminal.until_shown("Press Enter").unwrap();
        terminal.type_in("\r").unwrap();
    }
    terminal.until_shown("a quorum is tried").unwrap();
    let text = terminal.shown();
    assert_eq!(text.matches("\x1b[3J").count(), 4, "each share is cleared away, also from what can be scrolled back");
    let is_line = |line: &str| line.len() == 23 && line.split('-').all(|group| group.len() == 5);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| is_line(line)).collect();
    assert_eq!(lines.len(), 12, "{text}");
    let share = |at: usize| lines[4 * at..4 * at + 4].join("-");
    for (typed, answer) in [(share(0), "1 of 2 shares"), (share(0), "presented already"), (share(2), "The set counts")]
    {
        terminal.until_shown("Share:").unwrap();
        terminal.type_in(&format!("{typed}\r")).unwrap();
        terminal.until_shown(answer).unwrap();
    }
    assert_eq!(terminal.ended().unwrap(), 0);
    let list = product.ok(&["vault", "slot", "list"]).unwrap();
    assert!(list.contains("shamir 2-of-3") && !list.contains("unconfirmed"), "{list}");
}

#[test]
fn keys_rotate_under_use_and_over_a_kill_of_control() {
    let product = product();
    let text = product.ok(&["vault", "rotate-root"]).unwrap();
    assert!(text.contains("version 2"), "{text}");
    product.ok(&["vault", "rotate-epoch"]).unwrap();
    product.kill("control").unwrap();
    product.ready().unwrap();
    let destroyed = || {
        let keys = json(&product.ok(&["vault", "keys", "--output", "json"]).ok()?).ok()?;
        let epochs = keys["epochs"].as_array()?.clone();
        let state =
            |domain: &str| epochs.iter().find(|e| e["domain"] == domain && e["epoch"] == 1).map(|e| e["state"].clone());
        (state("secrets/demo")? == "destroyed" && state("documents")? == "destroyed").then_some(())
    };
    wait_for("the old epochs to go", 30, destroyed).unwrap();
    let (code, out, err) = outcome(product.ssh("ada").arg("echo through").output().unwrap());
    assert_eq!((code, out.as_str()), (0, "through\n"), "{err}");
    product.ok(&["vault", "rotate-epoch", "--pause"]).unwrap();
    assert!(product.ok(&["vault", "rotate-epoch", "secrets/demo"]).unwrap().contains("Paused"));
    product.ok(&["vault", "rotate-epoch", "--resume"]).unwrap();
    // A key file slot for another place, and the host's own goes: the host opens with the new one from then on.
    let spare = product.at("spare.key").display().to_string();
    product.ok(&["vault", "slot", "add", "--label", "other safe", "--key-file", &spare]).unwrap();
    let slots = json(&product.ok(&["vault", "slot", "list", "--output", "json"]).unwrap()).unwrap();
    let host =
        slots.as_array().unwrap().iter().find(|s| s["kind"] == "key_file" && s["label"] != "other safe").unwrap();
    let text = product.ok(&["vault", "slot", "remove", host["id"].as_str().unwrap()]).unwrap();
    assert!(text.contains("version 3"), "{text}");
    product.ok(&["vault", "seal"]).unwrap();
    product.ok(&["vault", "unseal", "--key-file", &spare]).unwrap();
    let entries = product.ok(&["ledger", "list", "--limit", "200"]).unwrap();
    for sentence in ["replaced the root key", "began a new epoch of keys", "removed seal slot", "with key file"] {
        assert!(entries.contains(sentence), "{sentence} is missing in: {entries}");
    }
}

#[test]
fn a_credential_of_the_service_manager_opens_the_vault_and_an_open_one_is_refused() {
    let mut product = product();
    product.stop().unwrap();
    let (key, credentials) = (product.data().join("keys/vault.key"), product.at("credentials"));
    std::fs::create_dir(&credentials).unwrap();
    std::fs::rename(&key, credentials.join("seal")).unwrap();
    product.configure("[seal]\ncredential = \"seal\"\n").unwrap();
    let serve = |directory: Option<&Path>| {
        let mut command = Command::new(crate::binary());
        command.arg("--config").arg(product.at("sallyport.toml")).arg("serve").env_remove("CREDENTIALS_DIRECTORY");
        let command = directory.into_iter().fold(&mut command, |c, path| c.env("CREDENTIALS_DIRECTORY", path));
        outcome(command.output().unwrap())
    };
    let (code, _, err) = serve(None);
    assert!(code == 2 && err.contains("LoadCredentialEncrypted=seal"), "{err}");
    let mode =
        |mode| std::fs::set_permissions(credentials.join("seal"), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o444);
    let (code, _, err) = serve(Some(&credentials));
    assert!(code == 2 && err.contains("readable by others"), "{err}");
    // What systemd gives by an ACL shows as group bits.
    mode(0o440);
    product.surround("CREDENTIALS_DIRECTORY", &credentials);
    product.serve().unwrap();
    assert_eq!(product.status().unwrap()["sealed"], false);
}

#[test]
fn the_server_opens_the_vault_with_its_token_and_starts_sealed_without_it() {
    let mut product = product();
    let tokens = product.at("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let settings = product.at("softhsm2.conf");
    std::fs::write(&settings, format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display()))
        .unwrap();
    let init = ["--init-token", "--free", "--label", "house", "--so-pin", "87654321", "--pin", "135790"];
    let output = Command::new("softhsm2-util").env("SOFTHSM2_CONF", &settings).args(init).output();
    assert!(output.expect("softhsm2-util: install `softhsm2`").status.success());
    let pin = product.at("pin");
    std::fs::write(&pin, "135790\n").unwrap();
    std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o600)).unwrap();
    product.stop().unwrap();
    let module = "/usr/lib/softhsm/libsofthsm2.so";
    product
        .configure(&format!(
            "[seal.pkcs11]\nmodule = \"{module}\"\ntoken = \"house\"\npin_file = \"{}\"\n",
            pin.display()
        ))
        .unwrap();
    product.surround("SOFTHSM2_CONF", &settings);
    // Until a slot is made with the token, the key file opens the vault.
    product.serve().unwrap();
    product.ok(&["vault", "slot", "add", "--label", "HSM", "--pkcs11"]).unwrap();
    product.stop().unwrap();
    std::fs::remove_file(product.data().join("keys/vault.key")).unwrap();
    product.serve().unwrap();
    let unsealed = product.ok(&["ledger", "list", "--actions", "vault.unsealed"]).unwrap();
    assert!(unsealed.contains("with token"), "{unsealed}");

    // Without the token the server starts all the same, sealed, and says what to do.
    product.stop().unwrap();
    std::fs::rename(&tokens, product.at("pocket")).unwrap();
    std::fs::create_dir(&tokens).unwrap();
    product.start_sealed().unwrap();
    assert!(product.log().contains("the token `house` is not there"), "{}", product.log());
    std::fs::remove_dir(&tokens).unwrap();
    std::fs::rename(product.at("pocket"), &tokens).unwrap();
    // Somebody who presents nothing opens nothing, though the server knows the PIN itself.
    let unseal = |body: &'static str| {
        let url = format!("{}/api/v1/vault/unseal", product.url());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(body);
            request.send().await.unwrap().status().as_u16()
        })
    };
    assert_eq!(unseal("{\"pkcs11\":true}"), 400);
    assert_eq!(unseal("{\"pkcs11\":true,\"pin\":\"000000\"}"), 403);
    assert_eq!(product.status().unwrap()["sealed"], true);
    assert!(product.stdin(&["vault", "unseal", "--pkcs11", "--pin-stdin"], "135790").unwrap().contains("open"));
    product.ready().unwrap();
}
