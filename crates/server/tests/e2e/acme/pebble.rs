//! A real ACME directory: Let's Encrypt's Pebble, with a DNS server that knows every name to be here.

use rcgen::{CertificateParams, KeyPair};
use reqwest::Certificate;
use sallyport_testkit::product::{Product, free_port, wait_for};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The name that certificates are ordered for.
pub(super) const NAME: &str = "pam.example.org";

/// Whether a directory still believes a proof that it has seen when the next certificate is ordered.
#[derive(Clone, Copy)]
pub(super) enum Memory {
    /// It looks again, in 99 of a hundred orders: Pebble cannot be told "always".
    None,
    /// It does not look again.
    Long,
}

impl Memory {
    const fn percent(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::Long => "100",
        }
    }
}

/// A directory that runs, or is away.
pub(super) struct Directory {
    place: TempDir,
    ports: [u16; 4],
    running: Vec<Child>,
}

impl Drop for Directory {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn client(root: &Path) -> reqwest::Client {
    let known = Certificate::from_pem(&fs::read(root).unwrap()).unwrap();
    reqwest::Client::builder().tls_certs_only([known]).build().unwrap()
}

/// A runtime for one call.
pub(super) fn wait<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}

impl Directory {
    /// One that does not run yet.
    pub(super) fn away() -> Self {
        let place = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&pair).unwrap();
        fs::write(place.path().join("key.pem"), pair.serialize_pem()).unwrap();
        fs::write(place.path().join("cert.pem"), made.pem()).unwrap();
        let ports = [(); 4].map(|()| free_port().unwrap());
        Self { place, ports, running: Vec::new() }
    }

    /// The authority of its own listener.
    fn root(&self) -> PathBuf {
        self.place.path().join("cert.pem")
    }

    /// Starts it: it looks for names on this port, and issues for so many seconds.
    pub(super) fn start(&mut self, port: u16, seconds: u32) {
        self.start_with(port, seconds, Memory::None);
    }

    /// The same, with what it remembers of a name that it has seen.
    pub(super) fn start_with(&mut self, port: u16, seconds: u32, memory: Memory) {
        let [directory, management, dns, dns_management] = self.ports;
        let at = |name: &str| self.place.path().join(name).display().to_string();
        let settings = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{directory}"), "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": at("cert.pem"), "privateKey": at("key.pem"), "httpPort": 1, "tlsPort": port,
            "ocspResponderURL": "", "externalAccountBindingRequired": false, "certificateValidityPeriod": seconds,
        } });
        fs::write(at("pebble.json"), settings.to_string()).unwrap();
        let log = || fs::OpenOptions::new().create(true).append(true).open(at("log")).unwrap();
        let run = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command.args(args).env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", memory.percent());
            // Each order meets a refused nonce now and then, and hardly ever three in a row, which ends an order.
            command.env("PEBBLE_WFE_NONCEREJECT", "1");
            command.stdin(Stdio::null()).stdout(log()).stderr(log()).spawn().unwrap()
        };
        let (names, control) = (format!("127.0.0.1:{dns}"), format!("127.0.0.1:{dns_management}"));
        let servers = ["-dns01", &names, "-management", &control, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""];
        let others = ["-http01", "", "-https01", "", "-tlsalpn01", ""];
        self.running = vec![
            run("pebble-challtestsrv", &[&servers[..], &others].concat()),
            run("pebble", &["-config", &at("pebble.json"), "-dnsserver", &names, "-strict"]),
        ];
        let client = client(&self.root());
        let url = format!("https://localhost:{directory}/dir");
        wait_for("a directory", 20, || wait(async { client.get(&url).send().await.ok() })).unwrap();
    }

    /// The authority of what it issues, PEM.
    pub(super) fn issuer(&self) -> Certificate {
        let url = format!("https://localhost:{}/roots/0", self.ports[1]);
        let client = client(&self.root());
        let text = wait(async { client.get(&url).send().await.unwrap().bytes().await.unwrap() });
        Certificate::from_pem(&text).unwrap()
    }

    /// Has a stopped product order from here.
    pub(super) fn serve(&self, product: &Product) {
        let config = product.at("sallyport.toml");
        let lines = format!(
            "public_url = \"https://{NAME}\"\n[api]\ntls = {{ acme = {{ directory = \"https://localhost:{}/dir\", \
             contact = [\"ops@example.org\"], accept_terms = true, root = \"{}\" }} }}\n",
            self.ports[0],
            self.root().display()
        );
        fs::write(&config, fs::read_to_string(&config).unwrap().replace("[api]\n", &lines)).unwrap();
    }
}
