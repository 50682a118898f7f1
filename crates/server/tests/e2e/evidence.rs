//! Evidence: a flipped bit, another key, an edited data directory, a leaked secret.

use crate::product;
use sallyport_testkit::product::{PASSWORD, Product, outcome};
use std::fs;
use std::path::{Path, PathBuf};

fn recorded(product: &Product) -> (String, PathBuf) {
    assert_eq!(outcome(product.ssh("ada").arg("echo hi").output().unwrap()).0, 0);
    product.idle().unwrap();
    let id = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    let bundle = product.at("bundle.spb");
    product.as_carol(&["export", &id, &bundle.display().to_string()]).unwrap();
    (id, bundle)
}

#[test]
fn flipped_bits_and_foreign_keys_are_caught() {
    let product = product();
    let (_, bundle) = recorded(&product);
    let trust = product.data().join("ledger.pub").display().to_string();
    let good = fs::read(&bundle).unwrap();
    let altered = product.at("altered.spb");
    // Every bit of a small bundle is a test of the command line's own crate; here the whole path, in samples.
    for at in (0..good.len()).step_by(good.len() / 40 + 1) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&altered, &bytes).unwrap();
        assert_ne!(product.run(&["verify", &altered.display().to_string(), "--trust", &trust]).unwrap().0, 0, "byte {at}");
    }
    let other = Product::start(crate::binary()).unwrap();
    let foreign = other.data().join("ledger.pub").display().to_string();
    assert_eq!(product.run(&["verify", &bundle.display().to_string(), "--trust", &foreign]).unwrap().0, 1);
}

#[test]
fn a_stopped_data_directory_verifies_and_an_edit_is_named() {
    let mut product = product();
    recorded(&product);
    product.stop().unwrap();
    let data = product.data().display().to_string();
    let trust = product.data().join("ledger.pub").display().to_string();
    let out = product.ok(&["verify", &data, "--trust", &trust]).unwrap();
    assert!(out.contains("erified"), "{out}");
    let recording = fs::read_dir(product.data().join("recordings")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&recording).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&recording, bytes).unwrap();
    let (code, _, err) = product.run(&["verify", &data, "--trust", &trust]).unwrap();
    assert_eq!(code, 1);
    assert!(err.contains("rec_"), "{err}");
}

#[test]
fn the_credential_is_in_no_file_log_or_process() {
    let mut product = product();
    let (_, bundle) = recorded(&product);
    for role in ["control", "gateway"] {
        let pid = product.pid(role).unwrap();
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert!(!holds(&bytes, PASSWORD), "{file} of the {role}");
        }
    }
    product.stop().unwrap();
    let mut seen = 0;
    for path in files(&product.data()).into_iter().chain([bundle, product.at("log")]) {
        assert!(!holds(&fs::read(&path).unwrap(), PASSWORD), "{}", path.display());
        seen += 1;
    }
    assert!(seen > 5);
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found
}
