//! The house that is tortured: one node on SQLite, or two on PostgreSQL, each with faults at hand on every side of it.

use super::clients::Way;
use crate::binary;
use sallyport_testkit::faults::{Cable, Relay, Shim, Space, space};
use sallyport_testkit::history::{Asked, Told};
use sallyport_testkit::postgres::{PASSWORD as DATABASE_PASSWORD, Postgres};
use sallyport_testkit::product::{Product, json, wait_for};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// Room of a data directory, in MiB.
const DATA_ROOM: u32 = 512;
/// Room of PostgreSQL's, in MiB: a fresh one takes some forty, and its log segments are 16 each.
const DATABASE_ROOM: u32 = 768;
/// How long things may take to be quiet once everything is healed, in seconds.
const QUIET: u64 = 180;

/// Which database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Store {
    Sqlite,
    Postgres,
}

/// One node, and what stands around it.
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) space: Space,
    pub(super) product: Product,
    pub(super) shim: Shim,
    /// Between clients and the gateway.
    pub(super) clients: Relay,
    /// Between control and PostgreSQL.
    pub(super) database: Option<Line>,
}

/// A node's way to PostgreSQL: a relay at the far end of a cable.
pub(super) struct Line {
    pub(super) relay: Relay,
    pub(super) cable: Cable,
}

/// PostgreSQL and its disk.
pub(super) struct Server {
    pub(super) space: Space,
    pub(super) postgres: Postgres,
    database: String,
}

pub(super) struct House {
    pub(super) nodes: Vec<Node>,
    pub(super) server: Option<Server>,
    /// Between gateways and the target.
    pub(super) target: Relay,
    /// Handles of the writers, with a token each.
    pub(super) writers: Vec<(String, String)>,
    pub(super) auditor: String,
    /// The tokens that they were given: changes as any other.
    pub(super) given: Vec<Asked>,
    /// How often a node's server had ended by itself and was started again.
    pub(super) restarts: u64,
}

impl House {
    /// Builds it. From here on this thread and what it starts have mounts of their own.
    pub(super) fn build(store: Store, writers: usize) -> Self {
        space::own_mounts().unwrap();
        let server = (store == Store::Postgres).then(Server::start);
        let line = server.as_ref().map(Server::line);
        let by = server.as_ref().zip(line.as_ref()).map(|(server, line)| server.url(line));
        let product = Product::start_at(binary(), "", by.as_deref()).unwrap();
        let mut nodes = vec![];
        if let Some(server) = &server {
            let line = server.line();
            let second = product.join_at("node-2", &server.url(&line)).unwrap();
            nodes.push(Node::surround("node-2", second, Some(line)));
        }
        nodes.insert(0, Node::surround("node-1", product, line));
        let target = Relay::start(nodes[0].product.target.address()).unwrap();
        let mut house =
            Self { nodes, server, target, writers: vec![], auditor: String::new(), given: vec![], restarts: 0 };
        house.furnish(writers);
        house
    }

    /// Applies an inventory in which the target is behind its relay, with so many writers, and makes their tokens.
    fn furnish(&mut self, writers: usize) {
        let product = &self.nodes[0].product;
        product.write_checkout("").unwrap();
        let file = product.at("checkout/inventory.toml");
        let direct = format!("port = {}\n", product.target.address().port());
        let behind = format!("port = {}\n", self.target.address().port());
        let mut text = fs::read_to_string(&file).unwrap().replace(&direct, &behind);
        let handles: Vec<String> = (1..=writers).map(|n| format!("writer-{n}")).collect();
        for handle in &handles {
            text.push_str(&format!("[[identity]]\nhandle = \"{handle}\"\n"));
        }
        fs::write(&file, text).unwrap();
        product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
        let given = &mut self.given;
        let mut token = |handle: &str| {
            let said = json(&product.ok(&["token", handle, "--output", "json"]).unwrap()).unwrap();
            let mark = said["id"].as_str().unwrap().to_owned();
            given.push(Asked { who: handle.to_owned(), mark, told: Told::Acknowledged });
            said["token"].as_str().unwrap().to_owned()
        };
        self.auditor = token("carol");
        self.writers = handles.iter().map(|handle| (handle.clone(), token(handle))).collect();
    }

    /// How clients reach the node of this number, counted around.
    pub(super) fn way(&self, number: usize) -> Way {
        let node = &self.nodes[number % self.nodes.len()];
        Way {
            node: node.name,
            url: node.product.url().to_owned(),
            ssh: node.clients.address(),
            key: node.product.at("ada"),
            anchors: vec![node.product.data().join("anchors/checkpoint"), node.product.at("outside")],
            scratch: self.nodes[0].product.target.scratch().unwrap(),
            admin: self.nodes[0].product.token().to_owned(),
            policy: fs::read_to_string(self.nodes[0].product.at("checkout/ops.cedar")).unwrap(),
        }
    }

    /// Starts again what has ended.
    pub(super) fn supervise(&mut self) {
        for node in &mut self.nodes {
            if node.product.supervise().unwrap() {
                self.restarts += 1;
            }
        }
    }

    /// Waits until every node serves and no session is live.
    pub(super) fn quiet(&mut self) -> anyhow::Result<()> {
        let mut restarts = 0;
        let nodes = &mut self.nodes;
        let waited = wait_for("quiet", QUIET, || {
            for node in &mut *nodes {
                restarts += u64::from(node.product.supervise().unwrap_or(false));
            }
            let well = |node: &Node| {
                node.product.status().is_ok_and(|status| {
                    status["sealed"] == false
                        && status["frozen"] == false
                        && status["quarantined"] == 0
                        && status["gateways"].as_u64() >= Some(1)
                        && status["sessions"] == 0
                })
            };
            // Orphans are no live sessions of anybody, and still to be ended.
            let ended = |node: &Node| {
                let listed = node.product.ok(&["sessions", "--live", "--output", "json"]).ok();
                let page = listed.and_then(|text| json(&text).ok());
                page.is_some_and(|page| page["items"].as_array().is_some_and(Vec::is_empty))
            };
            nodes.iter().all(|node| well(node) && ended(node)).then_some(())
        });
        self.restarts += restarts;
        waited
    }

    /// Where the database can be read directly, without any relay.
    pub(super) fn database(&self) -> String {
        match &self.server {
            None => format!("sqlite://{}", self.nodes[0].product.data().join("sallyport.db").display()),
            Some(server) => {
                let url = server.postgres.url(&server.database);
                url.replace("@127", &format!(":{}@127", DATABASE_PASSWORD.replace('!', "%21")))
            }
        }
    }

    /// What the processes of all nodes logged.
    pub(super) fn logs(&self) -> Vec<(String, String)> {
        let mut logs: Vec<_> =
            self.nodes.iter().map(|node| (format!("{}.log", node.name), node.product.log())).collect();
        logs.push(("target.log".into(), self.nodes[0].product.target.log()));
        logs.extend(self.server.as_ref().map(|server| ("postgres.log".into(), server.postgres.log())));
        logs
    }

    /// Keeps what a person needs who looks into it: logs and data, in this directory.
    pub(super) fn keep(&self, directory: &std::path::Path) {
        fs::create_dir_all(directory).unwrap();
        for (name, text) in self.logs() {
            fs::write(directory.join(name), text).unwrap();
        }
        for node in &self.nodes {
            let to = directory.join(format!("{}.data", node.name));
            let _ = std::process::Command::new("cp").arg("-a").arg(node.product.data()).arg(&to).status();
        }
    }
}

impl Node {
    /// Puts a running node onto a disk of its own, under the shim, and with an anchor outside its data directory.
    fn surround(name: &'static str, mut product: Product, database: Option<Line>) -> Self {
        product.stop().unwrap();
        let shim = Shim::build(&product.at("")).unwrap();
        for (variable, path) in shim.environment() {
            product.surround(variable, &path);
        }
        product
            .configure(&format!("[[anchors]]\nname = \"outside\"\nfile = \"{}\"\n", product.at("outside").display()))
            .unwrap();
        let space = Space::under(&product.data(), DATA_ROOM).unwrap();
        product.serve().unwrap();
        let clients = Relay::start(SocketAddr::from(([127, 0, 0, 1], product.ssh_port()))).unwrap();
        Self { name, space, product, shim, clients, database }
    }

    /// The ledger's public key of this node, as it stands beside its data.
    pub(super) fn trust(&self) -> PathBuf {
        self.product.data().join("ledger.pub")
    }
}

impl Server {
    fn start() -> Self {
        let mut postgres = Postgres::start_durable().unwrap();
        let url = postgres.database().unwrap();
        let database = url.rsplit_once('/').unwrap().1.to_owned();
        postgres.stop().unwrap();
        let space = Space::under(&postgres.data(), DATABASE_ROOM).unwrap();
        fs::set_permissions(postgres.data(), fs::Permissions::from_mode(0o700)).unwrap();
        postgres.run().unwrap();
        Self { space, postgres, database }
    }

    /// A way of its own for a node.
    fn line(&self) -> Line {
        let cable = Cable::lay().unwrap();
        let relay = cable.relay(SocketAddr::from(([127, 0, 0, 1], self.postgres.port()))).unwrap();
        Line { relay, cable }
    }

    /// The database by this way. Another host asks for TLS unless told otherwise, and this one is none.
    fn url(&self, line: &Line) -> String {
        let here = format!("127.0.0.1:{}", self.postgres.port());
        let there = line.relay.address().to_string();
        format!("{}?sslmode=disable", self.postgres.url(&self.database).replace(&here, &there))
    }
}
