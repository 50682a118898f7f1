//! Accounts that a logon account becomes: what is lent for them, and to whom nothing is.

use super::house::*;
use crate::approach::wrong;
use crate::directory::{kinds, load};
use sallyport_model::access::LeaseKind;
use sallyport_model::authority::{BECOMING_INFO, Call, Opened, PASSWORD_INFO, Reply};
use sallyport_model::inventory::Account;
use sallyport_model::way::Stop;
use sallyport_model::{Kind, Secret, SessionId};
use sallyport_store::{Change, DocId};
use std::sync::Arc;

const OTHER: &str = "another long password of root";

/// A house in which `ops` becomes `root`, with these words for how.
async fn house(by: &str) -> Arc<House> {
    let house = House::applied().await;
    let mut files = checkout();
    for file in &mut files {
        file.text = file.text.replace(
            "class = \"standard\"\n",
            &format!(
                "class = \"standard\"\n[[target.account]]\nname = \"root\"\nclass = \"standard\"\n\
                 through = {{ account = \"ops\", by = \"{by}\" }}\n"
            ),
        );
    }
    house.control.apply(&house.admin(), &files, false).await.unwrap();
    let password = crate::NewSecret::Password(Secret::new(OTHER.as_bytes().to_vec()));
    house.control.put_secret(&house.admin(), &"root@web-1".parse().unwrap(), password).await.unwrap();
    Arc::new(house)
}

async fn open(gateway: &Gateway, address: &str) -> (SessionId, Opened) {
    let ask = gateway.ask(gateway.login("ada").await, address);
    let session = ask.session;
    match gateway.call(Call::Open(ask)).await {
        Reply::Opened(opened) => (session, *opened),
        Reply::Denied(denial) => panic!("{denial}"),
        _ => panic!("misfit"),
    }
}

async fn lent(gateway: &Gateway, session: SessionId, call: Call, info: &[u8]) -> String {
    let sealed = match gateway.call(call).await {
        Reply::Password(sealed) => sealed,
        Reply::Denied(denial) => panic!("{denial}"),
        _ => panic!("misfit"),
    };
    let wrong = if info == PASSWORD_INFO { BECOMING_INFO } else { PASSWORD_INFO };
    assert!(gateway.private.open(wrong, session.as_bytes(), &sealed).is_err(), "it is sealed for one use");
    String::from_utf8(gateway.private.open(info, session.as_bytes(), &sealed).unwrap().expose().clone()).unwrap()
}

#[tokio::test]
async fn one_password_opens_the_connection_and_another_becomes_the_account() {
    for (by, becomes) in [("su", OTHER), ("sudo", PASSWORD)] {
        let house = house(by).await;
        let gateway = house.gateway().await;
        let (session, opened) = open(&gateway, "root@web-1").await;
        let place = &opened.terms.place;
        assert_eq!((place.account.as_str(), place.login().as_str()), ("root", "ops"));
        assert_eq!(opened.lease, LeaseKind::Password);
        assert_eq!(lent(&gateway, session, Call::Password(session, Stop::Target), PASSWORD_INFO).await, PASSWORD);
        assert_eq!(lent(&gateway, session, Call::Becoming(session), BECOMING_INFO).await, becomes);
        let told: Vec<_> = house.rows(&["credential.lent"]).await.iter().map(|row| row.entry.sentence()).collect();
        let owner = if by == "su" { "root@web-1" } else { "ops@web-1" };
        assert!(told[0].contains("the password of ops@web-1 was lent for ada's session on root@web-1"), "{told:?}");
        assert!(told[1].contains(&format!("the password of {owner} was lent")) && told[1].contains(by), "{told:?}");
    }
}

#[tokio::test]
async fn a_way_that_no_longer_leads_opens_and_lends_nothing() {
    let house = house("su").await;
    let gateway = house.gateway().await;
    let (straight, _) = open(&gateway, "ops@web-1").await;
    let refused = denial(gateway.call(Call::Becoming(straight)).await);
    assert_eq!((refused.kind, refused.message.as_str()), (Kind::Denied, "nobody is become in this session"));
    let (session, opened) = open(&gateway, "root@web-1").await;

    // Neither a file nor the API would: the document is taken away by hand.
    let control = house.control.opened().unwrap();
    let target = control.directory.target(&opened.terms.place.target).unwrap();
    let logon = control.directory.account(target, opened.terms.place.login()).unwrap();
    let known = load::<Account>(&control.store, &DocId::new(logon), kinds::ACCOUNT).unwrap();
    let draft = house.control.draft(&house.admin().actor, "inventory.applied", "inventory", &[]);
    control.store.commit(Change::entry(draft).delete(DocId::new(logon), known.version)).await.unwrap();
    for call in [Call::Password(session, Stop::Target), Call::Becoming(session)] {
        let refused = denial(gateway.call(call).await);
        assert_eq!((refused.kind, refused.message.as_str()), (Kind::Denied, crate::found::OTHER_WAY));
    }
    let refused = denial(gateway.call(Call::Open(gateway.ask(gateway.login("ada").await, "root@web-1"))).await);
    assert_eq!(refused.kind, Kind::Unavailable);
    assert!(refused.message.contains("its logon account is not on this target"), "{refused}");
    assert_eq!(house.entries("credential.lent").await, 0);
    // Whoever looks at the rights anew ends what was begun by it.
    house.control.redecide(&control).await.unwrap();
    let orders = gateway.orders.lock().unwrap().join("\n");
    assert!(orders.contains(&format!("revoke {session}")) && orders.contains(crate::found::OTHER_WAY), "{orders}");
}

#[tokio::test]
async fn names_that_the_programs_take_for_something_else_are_refused() {
    let house = house("su").await;
    let control = house.control.opened().unwrap();
    let target = control.directory.target(&"web-1".parse().unwrap()).unwrap();
    let id = control.directory.account(target, &"root".parse().unwrap()).unwrap();
    let root = load::<Account>(&control.store, &DocId::new(id), kinds::ACCOUNT).unwrap().value;
    let logon = Account { name: "ops".parse().unwrap(), through: None, ..root.clone() };
    assert_eq!(wrong(&root, Some(&logon)), None);
    for name in ["-c", "+x", "#0"] {
        let odd = Account { name: name.parse().unwrap(), ..root.clone() };
        assert!(wrong(&odd, Some(&logon)).unwrap().contains("for something else"), "{name}");
    }
}

#[tokio::test]
async fn a_rule_set_that_reads_other_lines_is_warned_of_and_stays_in_force() {
    let house = House::applied().await;
    let op = house.admin();
    let plan = |platform: &str, rules: &str| {
        let mut files = checkout();
        for file in &mut files {
            file.text =
                file.text.replace("tags = [\"web\"]\n", &format!("tags = [\"web\"]\nplatform = \"{platform}\"\n"));
            file.text = file.text.replace("@max_duration", &format!("@commands(\"{rules}\")\n@max_duration"));
        }
        files
    };
    for (platform, rules, warned) in [
        ("posix", "high-risk", false),
        ("cisco_ios", "network-device", false),
        ("junos", "high-risk", true),
        ("posix", "network-device", true),
    ] {
        let warnings = house.control.plan(&op, &plan(platform, rules), false).unwrap().warnings;
        assert_eq!(warnings.len(), usize::from(warned), "{platform} {rules}: {warnings:?}");
        if warned {
            let told = format!("the policy ops-use-web names the rule set {rules}");
            assert!(warnings[0].contains(&told) && warnings[0].contains("web-1"), "{warnings:?}");
        }
    }
    house.control.apply(&op, &plan("junos", "high-risk"), false).await.unwrap();
    let gateway = Arc::new(house).gateway().await;
    let (_, opened) = open(&gateway, "ops@web-1").await;
    assert_eq!(opened.terms.place.platform.word(), "junos");
    assert_eq!(opened.terms.rules.len(), 1);
}
