//! TLS at the API: an authority of its own, files that change, and a crowd that does nothing.

use crate::browser::Browser;
use rcgen::{CertificateParams, KeyPair};
use reqwest::{Certificate, Client, Method};
use sallyport_testkit::product::{Product, outcome, wait_for};
use serde_json::json;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

fn stopped() -> Product {
    let mut product = crate::product();
    product.stop().unwrap();
    product
}

pub(crate) fn port(product: &Product) -> u16 {
    product.url().rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn an_authority_of_its_own_is_trusted_by_its_fingerprint_and_by_nothing_else() {
    let mut product = stopped();
    product.serve_tls().unwrap();
    let print = product.fingerprint().unwrap();
    let key = product.data().join("keys/tls-ca.pem");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

    let mut stranger = product.command(&["status"]);
    let (code, _, err) = outcome(stranger.env("XDG_CONFIG_HOME", product.at("stranger")).output().unwrap());
    assert_ne!(code, 0);
    assert!(err.contains("sallyport trust"), "{err}");
    let (code, _, err) = product.run(&["trust"]).unwrap();
    assert!(code == 2 && err.contains(&print), "{err}");
    let wrong = print.replace("SHA256:", "SHA256:00:");
    let (code, _, err) = product.run(&["trust", "--fingerprint", &wrong]).unwrap();
    assert!(code == 3 && err.contains("between you and the server"), "{err}");
    let pem = product.ok(&["trust", "--fingerprint", &print, "--print"]).unwrap();

    let known = Certificate::from_pem(pem.as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([known]).build().unwrap();
    let mut browser = Browser::at(product.url(), client);
    let made = product.local(&["admin", "link", "admin", "--output", "json"]).unwrap();
    let link = sallyport_testkit::product::json(&made).unwrap()["link"].as_str().unwrap().to_owned();
    assert!(link.starts_with("https://localhost:"), "{link}");
    browser.enrol(&link).unwrap();
    assert!(browser.cookie.as_ref().unwrap().starts_with("__Host-sallyport=spd_"));
    let answer = browser.get("/api/v1/me");
    assert_eq!(answer.status, 200);
    assert!(answer.headers["strict-transport-security"].to_str().unwrap().starts_with("max-age="));
    assert_eq!(browser.ok(Method::POST, "/api/v1/sign-out", None), json!(""));

    let mut plain = dial(port(&product)).unwrap();
    plain.write_all(b"GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"), "nothing is said in plain text");

    product.stop().unwrap();
    product.serve_tls().unwrap();
    assert_eq!(product.fingerprint().unwrap(), print, "the authority outlives the process");
}

pub(crate) fn dial(port: u16) -> std::io::Result<TcpStream> {
    #[expect(clippy::disallowed_methods, reason = "a test's own client")]
    TcpStream::connect(("127.0.0.1", port))
}

/// A certificate and its key in files; the certificate as bytes.
fn issued(cert: &Path, key: &Path) -> Vec<u8> {
    let pair = KeyPair::generate().unwrap();
    let made = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&pair).unwrap();
    fs::write(key, pair.serialize_pem()).unwrap();
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(cert, made.pem()).unwrap();
    made.der().to_vec()
}

/// A connection that trusts the certificate with these bytes.
fn connect(port: u16, trusted: &[u8]) -> anyhow::Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from(trusted.to_vec()))?;
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
    let mut stream = dial(port)?;
    client.complete_io(&mut stream)?;
    Ok(rustls::StreamOwned::new(client, stream))
}

fn ask(stream: &mut (impl std::io::Read + std::io::Write)) -> String {
    stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut byte = [0; 1];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).unwrap();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap().parse::<usize>().unwrap();
    stream.read_exact(&mut vec![0; length]).unwrap();
    head
}

#[test]
fn certificates_in_files_are_read_again_and_open_connections_stay() {
    let product = stopped();
    let (cert, key) = (product.at("cert.pem"), product.at("key.pem"));
    let first = issued(&cert, &key);
    let config = product.at("sallyport.toml");
    let tls = format!("[api]\ntls = {{ cert = \"{}\", key = \"{}\" }}\n", cert.display(), key.display());
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("[api]\n", &tls)).unwrap();
    let mut server = product.local_command(&["serve"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let port = port(&product);
    let mut old = wait_for("a server with the first certificate", 30, || connect(port, &first).ok()).unwrap();
    assert!(ask(&mut old).starts_with("HTTP/1.1 200"));
    let second = issued(&cert, &key);
    wait_for("the second certificate", 30, || connect(port, &second).ok()).unwrap();
    assert!(connect(port, &first).is_err());
    assert!(ask(&mut old).starts_with("HTTP/1.1 200"), "the open connection stays");

    fs::write(&cert, "no certificate").unwrap();
    let (code, out, _) = product.run_local(&["doctor"]).unwrap();
    assert!(code != 0 && out.contains("cert.pem"), "{out}");
    assert!(ask(&mut connect(port, &second).unwrap()).starts_with("HTTP/1.1 200"), "the last good one is shown on");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.id().try_into().unwrap()), nix::sys::signal::SIGTERM)
        .unwrap();
    server.wait().unwrap();
}

#[test]
fn the_listener_fits_the_modern_profile() {
    let mut product = stopped();
    product.serve_tls().unwrap();
    let print = product.fingerprint().unwrap();
    let authority = product.ok(&["trust", "--fingerprint", &print, "--print"]).unwrap();
    fs::write(product.at("ca.pem"), authority).unwrap();
    let place = format!("localhost:{}", port(&product));
    let mut scan = std::process::Command::new(crate::schema::tool("sslyze"));
    scan.args(["--certinfo", "--certinfo_ca_file"]).arg(product.at("ca.pem")).args(["--mozilla_config=modern", &place]);
    let (code, out, err) = outcome(scan.output().unwrap());
    assert!(code == 0 && out.contains("OK - Compliant"), "{out}{err}");
}

#[test]
fn a_crowd_that_only_connects_keeps_nobody_else_out() {
    let product = crate::product();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let crowd = runtime.block_on(async {
        let mut crowd = Vec::new();
        for _ in 0..600 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            let address = format!("127.0.0.1:{}", port(&product)).parse().unwrap();
            crowd.push(socket.connect(address).await.unwrap());
        }
        crowd
    });
    assert_eq!(product.status().unwrap()["sealed"], false);
    assert!(product.log().contains("too many half-open connections"), "the crowd is bounded");
    drop(crowd);
}
