//! Bad input and failure of the server itself: a clear outcome each.

use crate::{binary, product};
use sallyport_testkit::product::{outcome, wait_for};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

fn sallyport(args: &[&str]) -> (i32, String) {
    let (code, out, err) = outcome(Command::new(binary()).args(args).output().unwrap());
    (code, format!("{out}{err}"))
}

#[test]
fn a_configuration_that_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.toml");
    let config = path.display().to_string();
    fs::write(&path, "[ssh]\nlissen = \"127.0.0.1:1\"\n").unwrap();
    let (code, text) = sallyport(&["--config", &config, "serve"]);
    assert_eq!(code, 2);
    assert!(text.contains("lissen") && text.contains("listen"), "{text}");
    fs::write(&path, format!("data = \"{}\"\n", dir.path().join("none").display())).unwrap();
    let (code, text) = sallyport(&["--config", &config, "serve"]);
    assert_eq!(code, 2);
    assert!(text.contains("sallyport init"), "{text}");
    assert_eq!(sallyport(&["--config", "/nonexistent.toml", "serve"]).0, 2);
}

#[test]
fn a_locked_directory_a_busy_port_and_an_open_directory_are_refused() {
    let product = product();
    let config = product.at("sallyport.toml").display().to_string();
    let (code, text) = sallyport(&["--config", &config, "serve"]);
    assert_eq!(code, 1);
    assert!(text.contains("another server runs"), "{text}");
    let (code, text) = sallyport(&["--config", &config, "init"]);
    assert_eq!(code, 2);
    assert!(text.contains("already"), "{text}");

    let second = tempfile::tempdir().unwrap();
    let path = second.path().join("s.toml");
    let data = second.path().join("data");
    let text = fs::read_to_string(product.at("sallyport.toml")).unwrap();
    let text = text.replace(&product.data().display().to_string(), &data.display().to_string());
    fs::write(&path, text).unwrap();
    let config = path.display().to_string();
    assert_eq!(sallyport(&["--config", &config, "init", "--fast"]).0, 0);
    let (code, text) = sallyport(&["--config", &config, "serve"]);
    assert_eq!(code, 2);
    assert!(text.contains("cannot listen on"), "{text}");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let (code, text) = sallyport(&["--config", &config, "serve"]);
    assert_eq!(code, 2);
    assert!(text.contains("chmod 700"), "{text}");
}

#[test]
fn a_read_only_data_directory_is_a_clear_end() {
    let mut product = product();
    product.stop().unwrap();
    let data = product.data();
    let mount = |args: &[&str]| assert!(Command::new("mount").args(args).arg(&data).status().unwrap().success());
    mount(&["--bind", &data.display().to_string()]);
    mount(&["-o", "remount,ro,bind"]);
    let config = product.at("sallyport.toml").display().to_string();
    let (code, text) = sallyport(&["--config", &config, "serve"]);
    assert!(Command::new("umount").arg(&data).status().unwrap().success());
    assert_ne!(code, 0);
    assert!(text.contains("cannot use the data directory"), "{text}");
}

#[test]
fn a_wrong_key_file_is_a_clear_end_and_doctor_names_it() {
    let mut product = product();
    product.stop().unwrap();
    let config = product.at("sallyport.toml").display().to_string();
    let key = product.data().join("keys/vault.key");
    fs::write(&key, "not a key").unwrap();
    let (code, text) = sallyport(&["--config", &config, "serve"]);
    assert_eq!(code, 2);
    assert!(text.contains("vault.key"), "{text}");
    fs::remove_file(&key).unwrap();
    let (code, text) = sallyport(&["--config", &config, "doctor"]);
    assert_eq!(code, 1);
    assert!(text.contains("vault.key") && text.contains("restore"), "{text}");
}

#[test]
fn policies_that_are_wrong_are_named_by_file_and_line() {
    let product = product();
    fs::write(
        product.at("checkout/bad.cedar"),
        "permit (\n  principal,\n  action == Action::\"conect\",\n  resource\n);\n",
    )
    .unwrap();
    let (code, _, err) = product.run(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    assert_eq!(code, 2);
    assert!(err.contains("bad.cedar") && err.contains("conect"), "{err}");
}

#[test]
fn a_sealed_vault_refuses_with_its_own_exit_code() {
    let product = product();
    product.ok(&["vault", "seal"]).unwrap();
    let (code, _, err) = product.run(&["ls"]).unwrap();
    assert_eq!(code, 5, "{err}");
    let (code, _, err) = outcome(product.ssh("ada").arg("id").output().unwrap());
    assert_ne!(code, 0, "{err}");
    let mut wrong = product.command(&["vault", "unseal", "--passphrase-stdin"]);
    let mut child = wrong.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"wrong horse battery staple\n").unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_target_that_vanishes_ends_the_session() {
    let mut product = product();
    let mut child = product.ssh("ada").arg("sleep 60").spawn().unwrap();
    wait_for("a live session", 10, || product.status().ok().filter(|s| s["sessions"] == 1)).unwrap();
    std::sync::Arc::get_mut(&mut product.target).unwrap().vanish().unwrap();
    wait_for("the end of the client", 10, || child.try_wait().unwrap()).unwrap();
    product.idle().unwrap();
    let (code, _, err) = outcome(product.ssh("ada").arg("id").output().unwrap());
    assert_ne!(code, 0);
    assert!(!err.is_empty());
}

#[test]
fn the_api_refuses_strangers_and_oversized_bodies() {
    let product = product();
    let mut stranger = product.command(&["ls"]);
    let (code, _, err) = outcome(stranger.env("SALLYPORT_TOKEN", "spt_wrong").output().unwrap());
    assert_eq!(code, 3);
    assert!(err.contains("login"), "{err}");
    let mut nobody = product.command(&["ls"]);
    assert_eq!(outcome(nobody.env_remove("SALLYPORT_TOKEN").output().unwrap()).0, 3);
}
