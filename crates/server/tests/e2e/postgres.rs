//! The store on PostgreSQL: the same story, further nodes, and a server that dies.

use crate::binary;
use sallyport_testkit::http::Api;
use sallyport_testkit::postgres::{PASSWORD, Postgres};
use sallyport_testkit::product::{Product, json, outcome, wait_for};
use sallyport_testkit::terminal::Terminal;
use serde_json::{Value, json as value};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::Barrier;

/// A session that has said its first word.
fn session(product: &Product) -> Child {
    let mut command = product.ssh("ada");
    let mut child = command.arg("echo here; sleep 60").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "here\n", "{}", product.log());
    child
}

#[test]
fn an_installation_on_postgresql_serves_records_and_proves() {
    let server = Postgres::start().unwrap();
    let mut product = Product::start_on(binary(), &server).unwrap();
    let (code, out, err) = outcome(product.ssh("ada").arg("echo to-out; exit 7").output().unwrap());
    assert_eq!((code, out.as_str()), (7, "to-out\n"), "{err}");
    product.idle().unwrap();
    let id = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    let bundle = product.at("a.spb").display().to_string();
    product.as_carol(&["export", &id, &bundle]).unwrap();
    let trust = product.data().join("ledger.pub").display().to_string();
    let report = json(&product.ok(&["verify", &bundle, "--trust", &trust, "--output", "json"]).unwrap()).unwrap();
    assert_eq!(report["verified"], true, "{report}");
    let doctor = product.local(&["doctor"]).unwrap();
    for said in ["fit for a store", "2 ways to open it, 1 of them offline", "risk   nothing outside this host holds"] {
        assert!(doctor.contains(said), "{said} in {doctor}");
    }
    product.stop().unwrap();
    let (code, _, err) = product.run(&["verify", &product.data().display().to_string()]).unwrap();
    assert!(code == 2 && err.contains("sallyport export"), "{err}");
    product.serve().unwrap();
    assert_eq!(product.newest_session().unwrap()["id"], id.as_str(), "a restart finds everything");

    // A second founding over it is refused; so is a wrong password, and neither says it.
    product.stop().unwrap();
    let away = product.at("away");
    std::fs::rename(product.data(), &away).unwrap();
    let error = product.local(&["init"]).err().unwrap().to_string();
    assert!(error.contains("init --join"), "{error}");
    let _ = std::fs::remove_dir_all(product.data());
    std::fs::rename(&away, product.data()).unwrap();
    std::fs::write(product.at("database.password"), "wrong").unwrap();
    let error = product.local(&["serve"]).err().unwrap().to_string() + &product.log();
    assert!(error.contains("refuses the role"), "{error}");
    for text in [error, product.log()] {
        assert!(!text.contains(PASSWORD), "the password of the database is shown");
    }
}

#[test]
fn a_kill_and_a_revocation_on_one_node_end_sessions_of_another() {
    let server = Postgres::start().unwrap();
    let one = Product::start_on(binary(), &server).unwrap();
    let mut two = one.join("node-2").unwrap();
    let mut client = session(&two);
    let live = |product: &Product| json(&product.ok(&["sessions", "--live", "--output", "json"]).unwrap()).unwrap();
    let listed =
        wait_for("the session", 10, || live(&one)["items"].as_array().and_then(|a| a.first().cloned())).unwrap();
    one.ok(&["kill", listed["id"].as_str().unwrap(), "--reason", "drill"]).unwrap();
    wait_for("the end of the client", 10, || client.try_wait().unwrap()).unwrap();
    two.idle().unwrap();
    assert_eq!(two.newest_session().unwrap()["reason"], "kill");

    let mut client = session(&two);
    wait_for("the session", 10, || live(&one)["items"].as_array().filter(|a| !a.is_empty()).map(drop)).unwrap();
    std::fs::write(one.at("checkout/ops.cedar"), "// nothing is permitted any more\n").unwrap();
    one.ok(&["apply", &one.at("checkout").display().to_string()]).unwrap();
    wait_for("the end of the client", 10, || client.try_wait().unwrap()).unwrap();
    two.idle().unwrap();
    assert_eq!(two.newest_session().unwrap()["reason"], "revoke");
    assert!(one.ok(&["ledger", "list", "--actions", "node.joined"]).unwrap().contains("node-2"));

    // The host of the second node burns down.
    two.stop().unwrap();
    assert!(one.ok(&["node", "list"]).unwrap().contains("node-2"));
    assert!(one.ok(&["node", "remove", "node-2"]).unwrap().contains("signs nothing more"));
    let nodes = one.ok(&["node", "list", "--output", "json"]).unwrap();
    assert!(!nodes.contains("node-2") && nodes.contains("\"here\": true"), "{nodes}");
    assert_eq!(one.run(&["node", "remove", "node-2"]).unwrap().0, 6, "it is not there any more");
    let error = two.local(&["serve"]).err().unwrap().to_string() + &two.log();
    assert!(error.contains("has no node `node-2`"), "{error}");
}

#[test]
fn evidence_of_two_nodes_verifies_under_the_key_of_either() {
    let server = Postgres::start().unwrap();
    let one = Product::start_on(binary(), &server).unwrap();
    let two = one.join("node-2").unwrap();
    let vouched = |by: &str, whom: &str| {
        let said = one.ok(&["ledger", "list", "--actions", "node.vouched"]).ok()?;
        said.contains(&format!("node {by} vouches with its ledger key for that of {whom}")).then_some(())
    };
    wait_for("both to vouch", 20, || vouched("node-1", "node-2").and(vouched("node-2", "node-1"))).unwrap();
    // Both write in turns, and each has a session of its own.
    let trust = |node: &Product| node.data().join("ledger.pub").display().to_string();
    let mut bundles = Vec::new();
    for node in [&one, &two] {
        for writer in [&one, &two, &one, &two] {
            writer.ok(&["token", "carol"]).unwrap();
        }
        assert!(node.ssh("ada").arg("true").status().unwrap().success());
        node.idle().unwrap();
        let id = node.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
        let bundle = node.at("a.spb").display().to_string();
        node.as_carol(&["export", &id, &bundle]).unwrap();
        bundles.push(bundle);
    }
    let ledger = two.at("ledger.db").display().to_string();
    two.local(&["export-ledger", &ledger]).unwrap();
    let (code, _, err) = two.run_local(&["export-ledger", &ledger]).unwrap();
    assert!(code == 2 && err.contains("name a new file"), "{err}");
    for evidence in bundles.iter().chain([&ledger]) {
        for key in [trust(&one), trust(&two)] {
            assert!(one.ok(&["verify", evidence, "--trust", &key]).unwrap().starts_with("Verified"));
        }
    }
    let (code, _, err) = one.run(&["verify", &one.data().display().to_string(), "--trust", &trust(&one)]).unwrap();
    assert!(code == 2 && err.contains("sallyport export-ledger FILE"), "{err}");

    // The second node is let go; what it wrote stays proven, and its key signs nothing any more.
    drop(two);
    one.ok(&["node", "remove", "node-2"]).unwrap();
    let after = one.at("after.db").display().to_string();
    one.local(&["export-ledger", &after]).unwrap();
    let report = one.ok(&["verify", &after, "--trust", &trust(&one)]).unwrap();
    assert!(report.contains("one of 1 nodes") || !report.contains("who signed it"), "{report}");
    for evidence in &bundles[..1] {
        one.ok(&["verify", evidence, "--trust", &trust(&one)]).unwrap();
    }
    let mut bytes = std::fs::read(&after).unwrap();
    // Wherever it stands: in the index columns it proves nothing, in the body it is signed.
    let places: Vec<usize> = (0..bytes.len() - 12).filter(|at| &bytes[*at..at + 12] == b"node.removed").collect();
    places.iter().for_each(|at| bytes[*at] ^= 1);
    std::fs::write(&after, bytes).unwrap();
    assert_eq!(one.run(&["verify", &after, "--trust", &trust(&one)]).unwrap().0, 1);
}

#[test]
fn sessions_outlive_a_database_that_dies_and_comes_back() {
    let mut server = Postgres::start().unwrap();
    let product = Product::start_on(binary(), &server).unwrap();
    let mut client = session(&product);
    server.crash().unwrap();
    let (code, _, err) = product.run(&["token", "carol"]).unwrap();
    assert!(code != 0 && err.contains("try again"), "{err}");
    assert_eq!(product.status().unwrap()["sessions"], 1, "reads go on");
    // Who named no target chooses all the same: what is within reach is in memory, and only what was used lately is not known.
    let mut ssh = product.ssh_at("ada", "ada");
    ssh.arg("-tt");
    let mut chooser = Terminal::run(&ssh).unwrap();
    chooser.until_shown("@web-1").unwrap();
    drop(chooser);
    server.run().unwrap();
    wait_for("the database", 20, || product.ok(&["token", "carol"]).ok()).unwrap();
    let (code, out, err) = outcome(product.ssh("ada").arg("echo again").output().unwrap());
    assert_eq!((code, out.as_str()), (0, "again\n"), "{err}");
    assert!(client.try_wait().unwrap().is_none(), "the session has ended");
    client.kill().unwrap();
    client.wait().unwrap();
    product.idle().unwrap();
}

/// A name has one owner, whichever node is asked, and at whichever moment.
#[test]
fn a_name_that_two_nodes_give_at_once_is_given_once() {
    let server = Postgres::start().unwrap();
    let one = Product::start_on(binary(), &server).unwrap();
    let two = one.join("node-2").unwrap();
    let apis = [&one, &two].map(|node| Api::new(node, one.token()));
    let rounds = 12;
    // Each round both nodes are asked for the same target, and for the same handle, as nearly at once as it goes.
    let ask = |path: &'static str, body: &(dyn Fn(usize) -> Value + Sync)| {
        for round in 0..rounds {
            let start = Barrier::new(2);
            let statuses = std::thread::scope(|scope| {
                let asked = apis.each_ref().map(|api| {
                    scope.spawn(|| {
                        start.wait();
                        api.post(path, &body(round)).status()
                    })
                });
                asked.map(|asked| asked.join().unwrap())
            });
            assert_eq!(
                statuses.iter().filter(|status| [200, 201].contains(*status)).count(),
                1,
                "round {round}: {statuses:?}"
            );
            assert!(statuses.iter().all(|status| [200, 201, 400, 409].contains(status)), "{statuses:?}");
        }
    };
    ask("/targets", &|round| {
        value!({
            "name": format!("twin-{round}"), "protocol": "ssh", "host": "127.0.0.1", "port": 22, "environment": "demo",
            "tier": 1, "tags": [], "host_keys": [], "account": { "name": "root", "class": "standard" },
        })
    });
    ask("/users", &|round| value!({ "handle": format!("twin-{round}"), "groups": [] }));
    for api in &apis {
        for path in ["/targets?limit=1000", "/users"] {
            let listed = api.get(path).ok()["items"].to_string();
            for round in 0..rounds {
                assert_eq!(listed.matches(&format!("\"twin-{round}\"")).count(), 1, "{path}: {listed}");
            }
        }
    }
    // Files are no other way around it: both nodes apply the same new target, and there is one.
    for node in [&one, &two] {
        let path = node.at("checkout/twin.toml");
        std::fs::create_dir_all(node.at("checkout")).unwrap();
        let text = "[[target]]\nname = \"twin-file\"\nprotocol = \"ssh\"\nhost = \"127.0.0.1\"\nenvironment = \"demo\"\ntier = 1\n";
        std::fs::write(path, text).unwrap();
    }
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        for node in [&one, &two] {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                node.run(&["apply", &node.at("checkout").display().to_string()]).unwrap()
            });
        }
    });
    for api in &apis {
        let listed = api.get("/targets?limit=1000").ok()["items"].to_string();
        assert_eq!(listed.matches("\"twin-file\"").count(), 1, "{listed}");
    }
}
