//! Targets behind jump hosts: what a way may be, what a session over it is given, and what is written of it.

use super::house::*;
use crate::control::put;
use crate::directory::{kinds, load};
use crate::{About, AboutAccount, ApplyFile, NewTarget, Sign};
use sallyport_model::access::{Denial, LeaseKind};
use sallyport_model::authority::{Call, Opened, PASSWORD_INFO, Reply, password_aad};
use sallyport_model::inventory::{Account, By, Class, Rest, Through, Tier};
use sallyport_model::way::{Exchange, Stop, Way};
use sallyport_model::{Kind, Secret, SessionId};
use sallyport_store::{Change, DocId};
use std::sync::Arc;

/// Another host key than that of `web-1`.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB";

/// A target, with the account `ops` and a certificate or none.
fn target(name: &str, via: &str, tier: u8, more: &str) -> String {
    let via = if via.is_empty() { String::new() } else { format!("via = \"{via}\"\n") };
    format!(
        "[[target]]\nname = \"{name}\"\nhost = \"{name}.example.org\"\nenvironment = \"demo\"\ntier = {tier}\n\
         host_keys = [\"{KEY}\"]\n{via}[[target.account]]\nname = \"ops\"\nclass = \"standard\"\n{more}"
    )
}

/// The sample files, with `web-1` behind this jump host, and these targets beside it.
fn files(via: &str, others: &[String]) -> Vec<ApplyFile> {
    let mut files = checkout();
    files[0].text = files[0].text.replace("tags = [\"web\"]\n", &format!("tags = [\"web\"]\nvia = \"{via}\"\n"));
    files.push(file("others.toml", &others.concat()));
    files
}

/// `web-1` behind `inner`, which a certificate opens, behind `outer`, of tier 0, which a password opens.
async fn house() -> Arc<House> {
    let house = House::applied().await;
    let files =
        files("ops@inner", &[target("inner", "ops@outer", 1, "certificate = {}\n"), target("outer", "", 0, "")]);
    house.control.apply(&house.admin(), &files, false).await.unwrap();
    let password = crate::NewSecret::Password(Secret::new(b"of outer".to_vec()));
    house.control.put_secret(&house.admin(), &"ops@outer".parse().unwrap(), password).await.unwrap();
    Arc::new(house)
}

async fn open(gateway: &Gateway) -> Result<(SessionId, Opened), Denial> {
    let ask = gateway.ask(gateway.login("ada").await, "ops@web-1");
    let session = ask.session;
    match gateway.call(Call::Open(ask)).await {
        Reply::Opened(opened) => Ok((session, *opened)),
        reply => Err(denial(reply)),
    }
}

#[tokio::test]
async fn a_session_is_given_the_way_with_a_lease_for_each_jump_host() {
    let house = house().await;
    let gateway = house.gateway().await;
    let (session, opened) = open(&gateway).await.unwrap();
    let place = opened.terms.place;
    let hops: Vec<_> = place.hops.iter().map(|hop| (hop.to_string(), hop.host.clone(), hop.lease.clone())).collect();
    let wanted = [
        ("ops@outer".to_owned(), "outer.example.org".to_owned(), LeaseKind::Password),
        ("ops@inner".to_owned(), "inner.example.org".to_owned(), LeaseKind::SshCertificate),
    ];
    assert_eq!(hops, wanted);
    assert_eq!((place.hops[0].host_keys.as_slice(), opened.lease), ([KEY.to_owned()].as_slice(), LeaseKind::Password));
    assert_ne!(place.host_keys, [KEY.to_owned()], "the target's pins are its own");
    assert_eq!((place.grace, place.freezes), (5, true), "of everything on the way the strictest counts");

    // Each credential is its own, and what is lent for one stop opens nowhere else.
    let of = async |stop| match gateway.call(Call::Password(session, stop)).await {
        Reply::Password(sealed) => sealed,
        reply => panic!("{}", denial(reply)),
    };
    let (outer, own) = (of(Stop::Hop(0)).await, of(Stop::Target).await);
    let opens = |sealed, stop| gateway.private.open(PASSWORD_INFO, &password_aad(session, stop), sealed);
    assert_eq!(opens(&outer, Stop::Hop(0)).unwrap().expose(), b"of outer");
    assert_eq!(opens(&own, Stop::Target).unwrap().expose(), PASSWORD.as_bytes());
    assert!(opens(&outer, Stop::Target).is_err() && opens(&own, Stop::Hop(0)).is_err());
    let Reply::Certified(made) = gateway.call(Call::Certify(session, vec![5; 32], Stop::Hop(1))).await else {
        panic!("no certificate")
    };
    let said = sallyport_ssh_transport::certificate::read(&made.certificate).unwrap().contents;
    assert_eq!((said.principals, said.extensions), (vec!["ops".into()], vec!["permit-port-forwarding".to_owned()]));
    for wrong in [Call::Password(session, Stop::Hop(1)), Call::Password(session, Stop::Hop(2))] {
        denial(gateway.call(wrong).await);
    }

    let told: Vec<_> = house
        .rows(&["session.opened", "credential.lent", "credential.certified"])
        .await
        .iter()
        .map(|row| (row.entry.sentence(), row.entry.session == Some(session)))
        .collect();
    let wanted = [
        "ada opened a session on ops@web-1 from 127.0.0.1, over the jump hosts ops@outer ops@inner",
        "the password of ops@outer was lent for ada's session on ops@web-1",
        "the password of ops@web-1 was lent for ada's session",
        "a certificate for ops@inner was made for ada's session on ops@web-1, good for the name ops",
    ];
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
    assert!(told.iter().zip(wanted).all(|((told, own), wanted)| told.starts_with(wanted) && *own), "{told:#?}");
}

#[tokio::test]
async fn whoever_may_use_the_target_needs_no_right_on_its_jump_hosts_and_policy_may_forbid_them() {
    let house = house().await;
    let gateway = house.gateway().await;
    let ask = gateway.ask(gateway.login("ada").await, "ops@outer");
    assert_eq!(denial(gateway.call(Call::Open(ask)).await), Denial::unknown());
    let (session, _) = open(&gateway).await.unwrap();
    let ada = house.signed_in("ada").await;
    assert_eq!(house.reach(&ada).len(), 1);

    let mut with = files("ops@inner", &[]);
    with.pop();
    with[1].text.push_str("@id(\"not-over-outer\")\nforbid (principal, action, resource is Account) when { resource.via.contains(\"ops@outer\") };\n");
    let plan = house.control.apply(&house.admin(), &with, false).await.unwrap();
    assert_eq!(plan.revoked, 1, "the session that goes over it is ended");
    assert!(gateway.orders.lock().unwrap().iter().any(|order| order.starts_with(&format!("revoke {session}"))));
    assert_eq!(open(&gateway).await.err().unwrap(), Denial::unknown());
    assert!(house.reach(&ada).is_empty(), "listings say the same");
}

#[tokio::test]
async fn a_way_that_leads_nowhere_is_refused_when_it_is_written_and_again_when_it_is_gone() {
    let house = house().await;
    let op = house.admin();
    let told = async |via: &str, others: &[String]| {
        house
            .control
            .apply(&op, &files(via, others), true)
            .await
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let inner = |via: &str| target("inner", via, 1, "");
    for (wrong, wanted) in [
        (told("ops@gone", &[]).await, "target web-1: `web-1` is reached through `ops@gone`"),
        (told("root@inner", &[inner("")]).await, "`web-1` is reached through `root@inner`"),
        (told("ops@inner", &[inner("ops@web-1")]).await, "comes back to"),
        (told("ops@web-1", &[]).await, "comes back to `ops@web-1`"),
        (told("ops@inner", &[inner("inner")]).await, "`inner` is no jump host: write `account@target`"),
        (told("ops@inner", &[]).await, "`web-1` is reached through `ops@inner`"),
    ] {
        assert!(wrong.contains(wanted), "{wrong:?} for {wanted}");
    }
    let text = house.control.remove_target(&op, &"inner".parse().unwrap()).await.unwrap_err();
    assert_eq!(text.kind(), Kind::Conflict);
    assert!(text.to_string().contains("`inner` is the jump host of 1 targets (web-1)"), "{text}");

    // What documents come to all the same is found when it matters.
    let (gateway, mut unready) =
        (house.gateway().await, files("ops@inner", &[inner("ops@outer"), target("outer", "", 1, "")]));
    house.control.apply(&op, &unready, false).await.unwrap();
    let why = open(&gateway).await.err().unwrap();
    assert_eq!(why.kind, Kind::Unavailable);
    assert!(why.message.contains("its jump host `ops@inner` is not ready: no credential is stored"), "{why}");
    unready.last_mut().unwrap().text = unready.last().unwrap().text.replace(KEY, "");
    house
        .control
        .apply(&op, &files("ops@outer", &[target("outer", "", 1, "").replace(&format!("\"{KEY}\""), "")]), false)
        .await
        .unwrap();
    let why = open(&gateway).await.err().unwrap();
    assert!(why.message.contains("its jump host `ops@outer` is not ready: no host key is pinned"), "{why}");
}

/// An account that another one of its target becomes.
fn become_by_ops(name: &str) -> String {
    format!(
        "[[target.account]]\nname = \"{name}\"\nclass = \"standard\"\nthrough = {{ account = \"ops\", by = \"su\" }}\n"
    )
}

#[tokio::test]
async fn a_jump_host_is_an_account_that_is_logged_in_at_whichever_of_both_is_written_first() {
    let house = house().await;
    let (op, before) = (house.admin(), house.entries("inventory.applied").await);
    let inner = target("inner", "ops@outer", 1, "certificate = {}\n");
    let why = |error: Option<crate::Error>| error.map(|error| error.to_string()).unwrap_or_default();

    // The way is written to an account that is become by way of another one.
    let root = inner.clone() + &become_by_ops("root");
    let told = why(house.control.apply(&op, &files("root@inner", std::slice::from_ref(&root)), false).await.err());
    let wanted = "target web-1: `root@inner` cannot be a jump host: it is become by way of `ops@inner`, and the account of a \
                  jump host is one that is logged in at; name `ops@inner` in its place";
    assert!(told.contains(wanted), "{told}");
    assert_eq!(house.entries("inventory.applied").await, before);
    house.control.apply(&op, &files("ops@inner", std::slice::from_ref(&root)), false).await.unwrap();
    let way = Way { via: Some("root@inner".parse().unwrap()), ..Way::default() };
    let about = About {
        host: "10.0.0.7".into(),
        port: 22,
        tier: Tier::One,
        tags: Default::default(),
        host_keys: None,
        platform: None,
        way: way.clone(),
    };
    let new = NewTarget {
        name: "new".parse().unwrap(),
        about: about.clone(),
        environment: "demo".parse().unwrap(),
        protocol: "ssh".parse().unwrap(),
        account: "ops".parse().unwrap(),
        class: Class::Standard,
        credential: None,
        certificate: None,
    };
    let ssh = "ssh".parse().unwrap();
    for told in [
        why(house.control.change_target(&op, &"web-1".parse().unwrap(), about).await.err()),
        why(house.control.add_target(&op, new).await.err()),
        why(house.control.probe(&op, &ssh, ("10.0.0.7", 22), way.via.as_ref()).await.err()),
    ] {
        assert!(told.starts_with("`root@inner` cannot be a jump host"), "{told}");
    }

    // The account that others go over is given another one that becomes it.
    let through = Through { account: "root".parse().unwrap(), by: By::Su, rest: Rest::new() };
    let about = |through| AboutAccount { class: Class::Standard, owner: None, certificate: None, through };
    let inner = "inner".parse().unwrap();
    let [root, ops, deploy] = ["root", "ops", "deploy"].map(|name| name.parse().unwrap());
    let put = async |name, through| house.control.put_account(&op, &inner, name, about(through)).await;
    put(&root, None).await.unwrap();
    let told = put(&ops, Some(through.clone())).await.err().unwrap();
    assert_eq!(told.kind(), Kind::Conflict);
    let wanted = "`ops@inner` is the jump host of 1 targets (web-1), and the account of a jump host is one that is logged in at: \
                  give them another `via` first, such as `root@inner`";
    assert_eq!(told.to_string(), wanted);
    put(&deploy, Some(through)).await.unwrap();
    let swapped = target("inner", "ops@outer", 1, "through = { account = \"root\", by = \"su\" }\n")
        + "[[target.account]]\nname = \"root\"\nclass = \"standard\"\n";
    let told = why(house.control.apply(&op, &files("ops@inner", &[swapped]), false).await.err());
    assert!(told.contains("`ops@inner` cannot be a jump host: it is become by way of `root@inner`"), "{told}");
}

#[tokio::test]
async fn a_jump_host_that_nobody_logs_in_at_any_more_is_found_when_a_session_opens() {
    let house = house().await;
    let gateway = house.gateway().await;
    // Neither a file nor the API would: the document is changed by hand.
    let control = house.control.opened().unwrap();
    let inner = control.directory.target(&"inner".parse().unwrap()).unwrap();
    let ops = DocId::new(control.directory.account(inner, &"ops".parse().unwrap()).unwrap());
    let known = load::<Account>(&control.store, &ops, kinds::ACCOUNT).unwrap();
    let through = Through { account: "root".parse().unwrap(), by: By::Su, rest: Rest::new() };
    let changed = Account { through: Some(through), certificate: None, ..known.value };
    let draft = house.control.draft(&house.admin().actor, "inventory.applied", "inventory", &[]);
    let put = put(changed.id, known.version, kinds::ACCOUNT, &changed).unwrap();
    control.store.commit(Change::entry(draft).put(put)).await.unwrap();
    let refused = open(&gateway).await.err().unwrap();
    assert_eq!(refused.kind, Kind::Unavailable);
    assert!(refused.message.contains("`ops@inner` cannot be a jump host"), "{refused}");
}

#[tokio::test]
async fn another_way_takes_the_pins_unless_new_ones_come_with_it() {
    let house = house().await;
    let (op, name) = (house.admin(), "web-1".parse().unwrap());
    let about = |via: Option<&str>, host_keys: Option<Vec<String>>| About {
        host: "127.0.0.1".into(),
        port: 22,
        tier: Tier::One,
        tags: ["web".parse().unwrap()].into(),
        host_keys,
        platform: None,
        way: Way { via: via.map(|via| via.parse().unwrap()), ..Way::default() },
    };
    let changed = async |about| house.control.change_target(&op, &name, about).await.unwrap().target;
    let pinned = house.control.target(&house.admin(), &name).unwrap().target.host_keys;
    assert_eq!(changed(about(Some("ops@inner"), None)).await.host_keys, pinned, "the same way, the same pins");
    assert_eq!(changed(about(Some("ops@outer"), None)).await.host_keys, Vec::<String>::new());
    assert_eq!(changed(about(None, Some(vec![KEY.into()]))).await.host_keys, [KEY]);
    let told: Vec<_> = house.rows(&["target.rerouted"]).await.iter().map(|row| row.entry.sentence()).collect();
    assert!(told[2].ends_with("the target web-1 reached via ops@outer, before that via ops@inner"), "{told:?}");
    assert!(told[3].ends_with("the target web-1 reached directly, before that via ops@outer"), "{told:?}");

    // Files say all of it: a plan tells what follows for the keys in them, and the ledger has an entry of its own.
    let files = files("ops@outer", &[]);
    let plan = house.control.plan(&house.admin(), &files[..2], false).unwrap();
    let line = plan.lines.iter().find(|line| line.name == "web-1" && line.sign == Sign::Change).unwrap();
    assert!(line.detail.contains("via ops@outer, before directly; the host keys in the file are pinned"), "{line:?}");
    house.control.apply(&op, &files[..2], false).await.unwrap();
    let told: Vec<_> = house.rows(&["target.rerouted"]).await.iter().map(|row| row.entry.sentence()).collect();
    assert!(
        told.last().unwrap().ends_with("had the target web-1 reached via ops@outer, before that directly"),
        "{told:?}"
    );
    assert_eq!(house.entries("target.rerouted").await, told.len());
    house.control.apply(&op, &files[..2], false).await.unwrap();
    assert_eq!(house.entries("target.rerouted").await, told.len(), "what stays is no entry");
}

#[tokio::test]
async fn whoever_has_others_go_over_a_jump_host_may_write_it() {
    let house = House::applied().await;
    let lesser =
        file("lesser.toml", "[[identity]]\nhandle = \"lesser\"\ngroups = [\"sallyport:admin\", \"tier1-admin\"]\n");
    let with = |files: Vec<ApplyFile>| [files, vec![lesser.clone()]].concat();
    let outer = [target("outer", "", 0, "")];
    house
        .control
        .apply(&house.admin(), &with([checkout(), vec![file("o.toml", &outer.concat())]].concat()), false)
        .await
        .unwrap();
    let op = house.signed_in("lesser").await;
    let why = |error: crate::Error| error.to_string();
    let told = house.control.apply(&op, &with(files("ops@outer", &outer)), false).await.map(drop).map_err(why);
    assert!(told.as_ref().is_err_and(|told| told.contains("you may not do this at outer")), "{told:?}");
    let about = About {
        host: "127.0.0.1".into(),
        port: 22,
        tier: Tier::One,
        tags: Default::default(),
        host_keys: None,
        platform: None,
        way: Way { via: Some("ops@outer".parse().unwrap()), ..Way::default() },
    };
    let told = house.control.change_target(&op, &"web-1".parse().unwrap(), about).await.map(drop).map_err(why);
    assert!(told.as_ref().is_err_and(|told| told.contains("you may not do this at outer")), "{told:?}");
    let via = "ops@outer".parse().unwrap();
    let told =
        house.control.probe(&op, &"ssh".parse().unwrap(), ("10.0.0.5", 22), Some(&via)).await.map(drop).map_err(why);
    assert!(told.as_ref().is_err_and(|told| told.contains("you may not do this at outer")), "{told:?}");
}

/// The sample files, with these lines more about `web-1`.
fn with(lines: &str) -> Vec<ApplyFile> {
    let mut files = checkout();
    files[0].text = files[0].text.replace("tags = [\"web\"]\n", &format!("tags = [\"web\"]\n{lines}"));
    files
}

#[tokio::test]
async fn exceptions_are_of_a_closed_table_and_are_told_of_until_they_end() {
    let house = Arc::new(House::applied().await);
    let (op, gateway) = (house.admin(), house.gateway().await);
    let line = |names: &str, until: &str| {
        format!("exceptions = {{ algorithms = [{names}], reason = \"no update for it\", until = {until} }}\n")
    };
    for (lines, wanted) in [
        (line("\"3des-cbc\"", "2099-01-31"), "target web-1: `3des-cbc` is no exception: there are ecdh-sha2-nistp256"),
        (line("\"ssh-rsa\"", "\"soon\""), "target web-1: exceptions say `until` when they hold"),
        ("exceptions = { algorithms = [\"ssh-rsa\"], until = 2099-01-31 }\n".into(), "missing field `reason`"),
        ("protocol = \"postgres\"\npost_quantum = true\n".into(), "are for targets that speak ssh"),
        ("host_authorities = [\"nonsense\"]\n".into(), "`nonsense` is no key of an authority"),
    ] {
        let told = house.control.apply(&op, &with(&lines), false).await.err().map(|error| error.to_string());
        assert!(told.as_ref().is_some_and(|told| told.contains(wanted)), "{told:?} for {wanted}");
    }

    house.control.apply(&op, &with(&line("\"ssh-rsa\", \"hmac-sha1\"", "2099-01-31")), false).await.unwrap();
    let (session, opened) = open(&gateway).await.unwrap();
    assert_eq!(opened.terms.place.accepts.exceptions, ["hmac-sha1", "ssh-rsa"]);
    let mut close = gateway.close(session);
    if let Call::Close(close) = &mut close {
        close.exchanges = vec![Exchange {
            leg: "target".into(),
            algorithms: "curve25519-sha256 ssh-rsa".into(),
            exceptions: vec!["ssh-rsa".into()],
        }];
    }
    assert!(matches!(gateway.call(close).await, Reply::Done(_)));
    let rows = house.rows(&["target.excepted", "session.opened", "session.closed"]).await;
    let told: Vec<_> = rows.iter().map(|row| row.entry.sentence()).collect();
    assert!(told[0].contains("hmac-sha1 ssh-rsa, until 2099-02-01T00:00:00.000Z: no update for it"), "{told:?}");
    assert_eq!(rows[1].entry.fact("exceptions"), "hmac-sha1 ssh-rsa");
    assert!(told[2].ends_with("by exception were spoken: target: ssh-rsa"), "{told:?}");
    assert_eq!(rows[2].entry.fact("exchanges"), "target: curve25519-sha256 ssh-rsa");

    // One that has ended is as if it were not there, and a gateway knows why.
    house.control.apply(&op, &with(&line("\"ssh-rsa\"", "2020-01-31")), false).await.unwrap();
    let (_, opened) = open(&gateway).await.unwrap();
    let accepts = opened.terms.place.accepts;
    assert!(accepts.exceptions.is_empty());
    assert_eq!(accepts.ended.unwrap().to_string(), "2020-02-01T00:00:00.000Z");
    house.control.apply(&op, &with(""), false).await.unwrap();
    assert_eq!(house.entries("target.exception_taken").await, 1);
}

#[tokio::test]
async fn an_authority_of_host_keys_is_as_good_as_a_pin_and_a_demand_goes_along() {
    let house = Arc::new(House::applied().await);
    let (op, gateway) = (house.admin(), house.gateway().await);
    let lines = format!(
        "host_authorities = [\"{KEY} the authority\"]\nhost_aliases = [\"web-1.example.org\"]\npost_quantum = true\n"
    );
    let mut files = with(&lines);
    let unpinned = files[0].text.lines().filter(|line| !line.starts_with("host_keys = "));
    files[0].text = unpinned.map(|line| format!("{line}\n")).collect();
    house.control.apply(&op, &files, false).await.unwrap();
    let accepts = open(&gateway).await.unwrap().1.terms.place.accepts;
    assert_eq!(accepts.authorities, [KEY]);
    assert_eq!(accepts.names, ["127.0.0.1", "web-1.example.org"]);
    assert!(accepts.post_quantum);
    let told: Vec<_> = house
        .rows(&["target.host_authorities", "target.post_quantum"])
        .await
        .iter()
        .map(|row| row.entry.sentence())
        .collect();
    assert!(told[0].contains("certified by SHA256:") && told[0].ends_with("as web-1.example.org"), "{told:?}");
    assert!(told[1].contains("is demanded of the target web-1"), "{told:?}");
}
