//! Two nodes of one installation on one PostgreSQL.

use super::house::*;
use super::pending::{Knock, allow, person};
use crate::{Anchor, AnchorPolicy, Challenge, Control, Error, FileAnchor, NewCertificate, NewSecret, join};
use sallyport_model::access::Channel;
use sallyport_model::authority::{Call, Desk, Hello, LATEST, Pulse, Reply, VERSION};
use sallyport_model::way::Stop;
use sallyport_model::{GatewayId, Kind, Secret};
use sallyport_store::Place;
use sallyport_testkit::postgres::{PASSWORD as PG_PASSWORD, Postgres};
use sallyport_vault::EpochState;
use std::sync::Arc;
use std::time::Duration;

struct Pair {
    one: House,
    two: Arc<House>,
    place: Place,
    /// Keeps the database.
    _server: Postgres,
}

async fn pair() -> Pair {
    let server = tokio::task::spawn_blocking(|| Postgres::start().unwrap()).await.unwrap();
    let url = server.database().unwrap();
    let place = Place::server(&url, Some(&Secret::new(PG_PASSWORD.to_owned()))).unwrap();
    let one = House::founded_at(Some(place.clone())).await;
    let two = Arc::new(one.joined("node-2", &place).await);
    one.furnish().await;
    until("the checkout", || {
        two.control.opened().unwrap().policy().hash() == one.control.opened().unwrap().policy().hash()
    })
    .await;
    until("the credential", || two.status_size() == one.status_size()).await;
    Pair { one, two, place, _server: server }
}

impl House {
    fn status_size(&self) -> u64 {
        self.control.status().entries
    }
}

async fn until(what: &str, mut probe: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !probe() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what} did not come");
}

fn orders(gateway: &Gateway) -> Vec<String> {
    gateway.orders.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_decides_reaches_the_gateway_of_another() {
    let pair = pair().await;
    let admin = pair.one.admin();
    let gateway = pair.two.gateway().await;
    // A token that was made on one node signs in at the other, whose vault lends the credential.
    let first = gateway.open("ada").await;
    assert!(matches!(gateway.call(Call::Password(first, Stop::Target)).await, Reply::Password(_)));
    until("the session", || pair.one.status_size() == pair.two.status_size()).await;

    // Its session is nobody's orphan, and watched where it runs.
    let near = Arc::new(pair.one).gateway().await;
    let one = near.house.clone();
    assert!(near.welcome.orphans.is_empty(), "another node's session would be closed");
    assert_eq!(denial(near.call(near.close(first)).await).kind, Kind::Denied);
    let operators = ["sallyport:operator".parse().unwrap()].into();
    one.control.set_groups(&admin, &"bob".parse().unwrap(), operators).await.unwrap();
    let error = one.control.watch(&one.signed_in("bob").await, first).await.err().unwrap();
    assert!(error.to_string().contains("node-2") && error.to_string().contains("[nodes] listen"), "{error}");

    one.control.kill(&admin, first, "maintenance").await.unwrap();
    until("the kill", || orders(&gateway).iter().any(|o| o.contains("kill") && o.contains("maintenance"))).await;
    assert!(matches!(gateway.call(gateway.close(first)).await, Reply::Done(_)));

    let second = gateway.open("ada").await;
    until("the session", || one.status_size() == pair.two.status_size()).await;
    let without_ada = "[[identity]]\nhandle = \"ada\"\ngroups = [\"ops\"]\ndisabled = true\n";
    let files = [file("inventory.toml", without_ada), checkout().remove(1)];
    assert_eq!(one.control.apply(&admin, &files, false).await.unwrap().revoked, 1);
    let revoked = format!("revoke {second}");
    until("the revocation", || orders(&gateway).iter().any(|o| o.starts_with(&revoked))).await;
    let channel = gateway.channel(second, Channel::Shell);
    assert_eq!(denial(gateway.call(channel).await).kind, Kind::Denied);
    for control in [&one.control, &pair.two.control] {
        control.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_waits_at_one_node_hears_at_once_that_it_was_allowed_at_another() {
    let pair = pair().await;
    let ada = person(&pair.one.control, "ada").await;
    until("her browser", || pair.one.status_size() == pair.two.status_size()).await;
    let gateway = pair.two.gateway().await;
    let knock = Knock::of(&gateway, "ada");
    let code = knock.begin().await;
    until("the login", || pair.one.status_size() == pair.two.status_size()).await;
    let op = ada.op(&pair.one.control).await;
    let soon = Duration::from_secs(u64::from(LATEST) / 2);
    let late = tokio::time::timeout(soon, knock.ask_late());
    let (reply, allowed) = tokio::join!(late, allow(&pair.one.control, &op, &code));
    allowed.unwrap();
    assert!(matches!(reply.expect("it waits on"), Reply::More));
    knock.is_in().await;
    for control in [&pair.one.control, &pair.two.control] {
        control.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_and_key_domains_of_one_node_are_enforced_and_used_by_another() {
    let pair = pair().await;
    let admin = pair.one.admin();
    let gateway = pair.two.gateway().await;
    // An environment is a key domain of its own: made by one node, opened by the other.
    let more = "[[target]]\nname = \"db-1\"\nhost = \"127.0.0.1\"\nenvironment = \"fresh\"\ntier = 1\ntags = [\"web\"]\n\
        host_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]\n\
        [[target.account]]\nname = \"ops\"\nclass = \"standard\"\n";
    let files = [checkout().remove(0), checkout().remove(1), file("more.toml", more)];
    pair.one.control.apply(&admin, &files, false).await.unwrap();
    let password = NewSecret::Password(Secret::new(b"another battery staple".to_vec()));
    pair.one.control.put_secret(&admin, &"ops@db-1".parse().unwrap(), password).await.unwrap();
    until("the secret", || pair.one.status_size() == pair.two.status_size()).await;
    let ask = gateway.ask(gateway.login("ada").await, "ops@db-1");
    let session = ask.session;
    assert!(matches!(gateway.call(Call::Open(ask)).await, Reply::Opened(_)));
    assert!(matches!(gateway.call(Call::Password(session, Stop::Target)).await, Reply::Password(_)));
    assert!(matches!(gateway.call(gateway.close(session)).await, Reply::Done(_)));

    // A policy that one node takes away is no longer enforced by the other.
    until("the end", || pair.one.status_size() == pair.two.status_size()).await;
    let files = [checkout().remove(0), file("a.cedar", "// nothing\n")];
    pair.one.control.apply(&admin, &files, false).await.unwrap();
    until("the policy", || pair.one.status_size() == pair.two.status_size()).await;
    let ask = gateway.ask(gateway.login("ada").await, "ops@web-1");
    assert!(matches!(gateway.call(Call::Open(ask)).await, Reply::Denied(_)));
    pair.one.control.close().await;
    pair.two.control.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_given_while_a_node_was_away_is_carried_out_when_its_gateway_is_back() {
    let pair = pair().await;
    let admin = pair.one.admin();
    let gateway = pair.two.gateway().await;
    let session = gateway.open("ada").await;
    let id = gateway.id;
    drop(gateway);
    let mut two = Arc::into_inner(pair.two).unwrap();
    until("the session", || pair.one.status_size() == two.status_size()).await;
    two.control.leave(id);
    two.control.close().await;
    pair.one.control.kill(&admin, session, "").await.unwrap();
    two.unseal().await;
    let two = Arc::new(two);
    let gateway = Gateway::join(two.clone(), id, vec![session]).await;
    assert!(orders(&gateway).iter().any(|o| o.starts_with(&format!("kill {session}"))));
    two.control.close().await;
    pair.one.control.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_opens_the_vault_joins_and_only_once_under_a_name() {
    let pair = pair().await;
    let key = std::fs::read(pair.one.dir.path().join("keys/vault.key")).unwrap();
    let attempt = async |node: &str, place: &Place, key: &[u8]| -> Error {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let error = join(&pair.one.env, &data, node, place, key).await.err().unwrap();
        assert!(!data.join("keys/ledger.key").exists(), "the next attempt would find an installation");
        error
    };
    let foreign = sallyport_vault::KeyFile::generate(&pair.one.env).encode();
    assert!(attempt("node-3", &pair.place, foreign.expose().as_bytes()).await.to_string().contains("key file"));
    assert!(attempt("node-2", &pair.place, &key).await.to_string().contains("node-2"));
    let file = Place::file(&pair.one.dir.path().join("sallyport.db"));
    assert!(attempt("node-3", &file, &key).await.to_string().contains("[store] url"));
    let empty = Place::server(&pair._server.database().unwrap(), Some(&Secret::new(PG_PASSWORD.to_owned()))).unwrap();
    assert!(attempt("node-3", &empty, &key).await.to_string().contains("without `--join`"));
    assert_eq!(pair.one.entries("node.joined").await, 1);
    let third = pair.one.joined("node-3", &pair.place).await;
    assert_eq!(third.entries("node.joined").await, 2);
    for control in [&pair.one.control, &pair.two.control, &third.control] {
        control.close().await;
    }
}

#[tokio::test]
async fn a_key_that_moves_to_somebody_earlier_in_the_file_is_theirs() {
    let house = House::founded().await;
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let owner = || {
        let open = house.control.opened().unwrap();
        open.directory.ssh_key(key).map(|id| crate::control::identity(&open, id).unwrap().handle.to_string())
    };
    let listed = |with: &str, without: &str| {
        let text = format!("[[identity]]\nhandle = \"ada\"\n{with}\n[[identity]]\nhandle = \"bob\"\n{without}\n",);
        [file("people.toml", &text)]
    };
    let keys = format!("ssh_keys = [\"{key}\"]");
    for (files, wanted) in [(listed("", &keys), "bob"), (listed(&keys, ""), "ada"), (listed("", &keys), "bob")] {
        house.control.apply(&house.admin(), &files, false).await.unwrap();
        assert_eq!(owner().unwrap(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_share_an_anchor_are_not_taken_for_a_fork() {
    let Pair { mut one, two, place, _server } = pair().await;
    let mut two = Arc::into_inner(two).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("checkpoint");
    let policy = AnchorPolicy { max_age: HOUR, freeze: true };
    for (house, node) in [(&mut one, "node-1"), (&mut two, "node-2")] {
        house.control.close().await;
        let anchor: Arc<dyn Anchor> = Arc::new(FileAnchor::new("shared", &path, policy));
        let control = Control::new(house.env.clone(), house.dir.path(), node).at(place.clone());
        house.control = Arc::new(control.with_anchors(vec![anchor]));
        house.unseal().await;
    }
    for _ in 0..3 {
        one.token("ada").await;
        two.token("ada").await;
    }
    until("both ledgers at their anchor", || {
        let anchored = |house: &House| house.control.anchors(&house.admin()).unwrap()[0].size == house.status_size();
        one.status_size() == two.status_size() && anchored(&one) && anchored(&two)
    })
    .await;
    assert!(!one.control.status().frozen && !two.control.status().frozen);
    assert_eq!(one.entries("anchor.late").await + one.entries("anchor.forged").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_epochs_serve_every_node_and_a_new_root_key_has_the_others_open_anew() {
    let pair = pair().await;
    let op = pair.one.admin();
    pair.one.control.rotate_epoch(&op, None).await.unwrap();
    pair.one.control.advance_keys(&pair.one.control.opened().unwrap()).await.unwrap();
    let epochs =
        |house: &House| house.control.opened().unwrap().vault().keyring().epochs().map(|e| e.2).collect::<Vec<_>>();
    assert!(epochs(&pair.one).contains(&EpochState::Pending), "others must have loaded it before it seals");
    let control = pair.one.control.clone();
    let tending = tokio::spawn(async move { control.tend_keys().await });
    let carried = |house: &House| epochs(house).iter().filter(|state| **state == EpochState::Destroyed).count() == 3;
    until("the old epochs to go on both nodes", || carried(&pair.one) && carried(&pair.two)).await;
    tending.abort();
    let gateway = pair.two.gateway().await;
    let session = gateway.open("ada").await;
    assert!(matches!(gateway.call(Call::Password(session, Stop::Target)).await, Reply::Password(_)));

    pair.one.control.rotate_root(&op).await.unwrap();
    let outdated = tokio::time::timeout(Duration::from_secs(20), pair.two.control.failed()).await;
    assert!(outdated.is_ok(), "the other node holds a root key that is gone");
    pair.two.control.close().await;
    let again = crate::Control::new(pair.two.env.clone(), pair.two.dir.path(), "node-2").at(pair.place.clone());
    again.unseal_with_key_file(&std::fs::read(pair.two.dir.path().join("keys/vault.key")).unwrap()).await.unwrap();
    assert_eq!(again.opened().unwrap().vault().keyring().root_version, 2);
    again.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_gone_is_let_go_and_its_sessions_are_closed() {
    let pair = pair().await;
    let (one, admin) = (&pair.one, pair.one.admin());
    let gateway = pair.two.gateway().await;
    let session = gateway.open("ada").await;
    let anchor = sallyport_model::authority::Anchor { session, segments: 3, chain: vec![7; 32] };
    assert!(matches!(gateway.call(Call::Anchor(anchor)).await, Reply::Done(_)));
    until("the anchor", || one.status_size() == pair.two.status_size()).await;
    drop(gateway);
    let two = Arc::into_inner(pair.two).unwrap();
    two.control.close().await;

    let sessions = |name: &str| one.control.nodes(&admin).unwrap().iter().find(|n| n.name == name).map(|n| n.sessions);
    assert_eq!((sessions("node-1"), sessions("node-2")), (Some(0), Some(1)));
    let ada = one.signed_in("ada").await;
    assert_eq!(one.control.remove_node(&ada, "node-2").await.err().unwrap().kind(), Kind::Denied);
    assert_eq!(one.control.remove_node(&admin, "node-1").await.err().unwrap().kind(), Kind::Usage);
    assert_eq!(one.control.remove_node(&admin, "node-2").await.unwrap(), 1);
    assert_eq!(one.control.remove_node(&admin, "node-2").await.err().unwrap().kind(), Kind::NotFound);
    assert_eq!(sessions("node-2"), None);
    let rows = one.rows(&["node.removed", "session.closed"]).await;
    let end = &rows[1].entry;
    let facts = ["reason", "complete", "segments", "chain"].map(|name| end.fact(name).to_owned());
    assert_eq!(facts, ["orphan".into(), "false".into(), "3".into(), hex::encode([7; 32])]);
    assert_eq!(rows[1].index, rows[0].index + 1, "one commit");

    let key = std::fs::read(two.dir.path().join("keys/vault.key")).unwrap();
    let error = two.control.unseal_with_key_file(&key).await.err().unwrap();
    assert!(error.to_string().contains("node-2"), "{error}");
    two.control.close().await;
    one.control.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_see_the_ledger_says_so_to_its_gateways() {
    let mut pair = pair().await;
    let two = pair.two.control.clone();
    assert_eq!((two.pulse(), pair.one.control.pulse()), (Pulse::Well, Pulse::Well));
    pair._server.crash().unwrap();
    until("deafness", || two.pulse() == Pulse::Deaf).await;
    let hello = Hello {
        version: VERSION,
        gateway: GatewayId::new(&pair.one.env),
        zone: "default".parse().unwrap(),
        open: Vec::new(),
    };
    let refused = two.join(hello, Arc::new(|_| true)).await.err().unwrap();
    assert_eq!(refused.kind, Kind::Unavailable, "a new gateway would believe that it hears of revocations");
    pair._server.run().unwrap();
    until("hearing", || two.pulse() == Pulse::Well).await;
    two.close().await;
    assert_eq!(two.pulse(), Pulse::Deaf, "a sealed vault decides nothing");
    pair.one.control.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_one_node_is_not_touched_by_what_became_of_another_s() {
    let pair = pair().await;
    let (one, two) = (&pair.one.control, &pair.two.control);
    let known = one.certificate().unwrap();
    let proof = |digest| vec![Challenge { name: "pam.example.org".into(), digest: [digest; 32] }];
    let directory = "https://localhost/dir";
    // Both begin on what both know: one of them orders, and the other knows it only when it writes.
    let (first, second) = tokio::join!(
        one.order_certificate(&known, directory, proof(1)),
        two.order_certificate(&known, directory, proof(2)),
    );
    let (winner, loser, digest) = match (first, second) {
        (Ok(()), Err(Error::Busy(_))) => (one, two, 1),
        (Err(Error::Busy(_)), Ok(())) => (two, one, 2),
        other => panic!("{other:?}"),
    };
    let hour = Duration::from_secs(3600);
    let failed = loser.certificate_failed(&known, directory, "it was refused", hour).await;
    assert!(matches!(failed, Err(Error::Busy(_))), "{failed:?}");
    let account = loser.keep_directory_account(&known, directory, Secret::new(b"{}".to_vec())).await;
    assert!(matches!(account, Err(Error::Busy(_))), "{account:?}");
    for node in [winner, loser] {
        let asked = |body: crate::CertificateBody| Some(body.order?.challenges[0].digest);
        until("the order", || node.certificate().ok().and_then(asked) == Some([digest; 32])).await;
        assert_eq!(node.certificate().unwrap().failed, 0);
    }

    // One that came to nothing is not followed at once by another, nor counted twice.
    winner.certificate_failed(&known, directory, "it was refused", hour).await.unwrap();
    let late = loser.order_certificate(&known, directory, proof(3)).await;
    assert!(matches!(late, Err(Error::Busy(_))), "{late:?}");
    let failed = loser.certificate_failed(&known, directory, "it was refused", hour).await;
    assert!(matches!(failed, Err(Error::Busy(_))), "{failed:?}");

    let (from, names) = (pair.one.env.now(), vec!["pam.example.org".to_owned()]);
    let new = NewCertificate {
        directory: directory.into(),
        names,
        chain: "a chain".into(),
        key: Secret::new("a key".into()),
        from,
        until: from.plus(hour),
    };
    winner.keep_certificate(new).await.unwrap();
    // Whoever was late finds no order any more, and does not begin another for what is there.
    let late = loser.order_certificate(&known, directory, proof(3)).await;
    assert!(matches!(late, Err(Error::Busy(_))), "{late:?}");
    for control in [one, two] {
        control.close().await;
    }
}
