//! The use cases together, over a real store: what is permitted, what is told, what is written.

mod agents;
mod anchors;
mod hops;
mod house;
mod nodes;
mod pending;
mod post_quantum;
mod quorum;
mod recovery;
mod rotation;
mod sessions;
mod sign_in;
mod slots;
mod ssh_certificates;
mod state;
mod token;
mod ways;

pub(crate) use rotation::reached;

use crate::Asked;
use house::*;
use sallyport_model::Kind;

#[tokio::test]
async fn the_founder_signs_in_and_a_wrong_token_is_told_nothing() {
    let house = House::founded().await;
    let op = house.admin();
    assert_eq!(op.actor.to_string(), "admin");
    let error = house.control.sign_in(&secret("spt_nonsense")).err().unwrap();
    assert_eq!(error.kind(), Kind::Denied);
}

#[tokio::test]
async fn a_plan_changes_nothing_and_an_apply_is_the_plan() {
    let house = House::founded().await;
    let op = house.admin();
    let plan = house.control.plan(&op, &checkout(), false).unwrap();
    assert!(plan.lines.iter().any(|l| l.kind == "target" && l.name == "web-1" && l.sign == crate::Sign::Add));
    assert!(house.reach(&op).is_empty());
    let applied = house.control.apply(&op, &checkout(), false).await.unwrap();
    assert_eq!(applied.lines, plan.lines);
    let again = house.control.plan(&op, &checkout(), false).unwrap();
    assert!(again.lines.iter().all(|l| l.sign == crate::Sign::Keep), "{:?}", again.lines);
    assert_eq!(house.entries("policy.applied").await, 1);
}

#[tokio::test]
async fn every_mistake_in_the_files_is_named_at_once_and_nothing_is_written() {
    let house = House::founded().await;
    let op = house.admin();
    let mut files = checkout();
    files[0].text.push_str("\n[[target]]\nname = \"x\"\nhots = \"h\"\ntier = 1\n");
    files.push(file("b.cedar", "@max_durration(\"1h\")\npermit (principal, action == Action::\"connect\", resource);"));
    files.push(file("notes.txt", "hello"));
    let text = house.control.apply(&op, &files, false).await.err().unwrap().to_string();
    for word in ["inventory.toml", "hots", "b.cedar", "max_durration", "max_duration", "notes.txt"] {
        assert!(text.contains(word), "{word} is missing in: {text}");
    }
    assert_eq!(house.entries("inventory.applied").await, 0);
    assert!(house.reach(&op).is_empty());
}

#[tokio::test]
async fn somebody_without_the_right_changes_nothing() {
    let house = House::applied().await;
    let ada = house.signed_in("ada").await;
    assert_eq!(house.control.apply(&ada, &checkout(), false).await.err().unwrap().kind(), Kind::Denied);
    assert_eq!(house.control.plan(&ada, &checkout(), false).err().unwrap().kind(), Kind::Denied);
    let secret = crate::NewSecret::GeneratePassword;
    let address = "ops@web-1".parse().unwrap();
    assert_eq!(house.control.put_secret(&ada, &address, secret).await.err().unwrap().kind(), Kind::NotFound);
    assert_eq!(
        house.control.create_token(&ada, Some(&"bob".parse().unwrap()), HOUR, "").await.err().unwrap().kind(),
        Kind::Denied
    );
}

#[tokio::test]
async fn nobody_raises_themselves_and_a_key_has_one_owner() {
    let house = House::applied().await;
    let people = |extra: &str| vec![file("people.toml", extra), checkout().remove(0), checkout().remove(1)];
    let boss = "[[identity]]\nhandle = \"boss\"\ngroups = [\"sallyport:admin\", \"tier2-admin\"]\n";
    house.control.apply(&house.admin(), &people(boss), false).await.unwrap();
    let op = house.signed_in("boss").await;
    for raise in [
        "[[identity]]\nhandle = \"boss\"\ngroups = [\"sallyport:admin\", \"tier0-admin\"]\n",
        "[[identity]]\nhandle = \"mallory\"\ngroups = [\"sallyport:auditor\"]\n",
        "[[identity]]\nhandle = \"admin\"\nssh_keys = [\"ssh-ed25519 AAAA\"]\n",
    ] {
        assert_eq!(
            house.control.apply(&op, &people(raise), false).await.err().unwrap().kind(),
            Kind::Denied,
            "{raise}"
        );
    }
    let plain = format!("{boss}[[identity]]\nhandle = \"eve\"\ngroups = [\"ops\"]\n");
    house.control.apply(&op, &people(&plain), false).await.unwrap();
    let twice = "[[identity]]\nhandle = \"x\"\nssh_keys = [\"ssh-ed25519 AAAA x\"]\n[[identity]]\nhandle = \"y\"\nssh_keys = [\"ssh-ed25519 AAAA y\"]\n";
    assert_eq!(house.control.plan(&house.admin(), &people(twice), false).err().unwrap().kind(), Kind::Usage);
}

#[tokio::test]
async fn pruning_deletes_what_no_file_names_but_never_the_administrators() {
    let house = House::applied().await;
    let op = house.admin();
    let plan = house.control.apply(&op, &[file("inventory.toml", "")], true).await.unwrap();
    assert!(plan.lines.iter().any(|l| l.sign == crate::Sign::Delete && l.name == "web-1"));
    assert!(house.reach(&op).is_empty());
    assert_eq!(house.admin().actor.to_string(), "admin");
}

#[tokio::test]
async fn a_handle_is_never_used_again_but_by_the_same_person() {
    let house = House::applied().await;
    let op = house.admin();
    let token = house.token("ada").await;
    house.control.apply(&op, &[file("inventory.toml", "")], true).await.unwrap();
    assert!(house.control.sign_in(&token).is_err(), "what is left of her may do nothing");
    let gone = house.control.plan(&op, &[file("inventory.toml", "")], true).unwrap();
    assert!(gone.lines.iter().all(|line| line.name != "ada"), "{:?}", gone.lines);

    let again = |line: &str| [file("people.toml", &format!("[[identity]]\nhandle = \"ada\"\n{line}"))];
    let error = house.control.plan(&op, &again(""), false).err().unwrap();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("returns = true"), "{error}");

    house.control.apply(&op, &again("returns = true\n"), false).await.unwrap();
    let settled = house.control.plan(&op, &again("returns = true\n"), false).unwrap();
    assert!(settled.lines.iter().all(|l| l.sign == crate::Sign::Keep), "{:?}", settled.lines);
    assert!(house.control.sign_in(&token).is_ok(), "she is the same identity");
}

#[tokio::test]
async fn a_large_apply_is_one_commit_with_its_policies() {
    let house = House::founded().await;
    let op = house.admin();
    let targets: String =
        (0..90).map(|n| format!("[[target]]\nname = \"t-{n}\"\nhost = \"10.0.0.{n}\"\ntier = 1\n")).collect();
    let mut files = checkout();
    files[0].text.push_str(&targets);
    house.control.apply(&op, &files, false).await.unwrap();
    let entries = house.rows(&["inventory.applied", "policy.applied"]).await;
    let places: Vec<u64> = entries.iter().map(|row| row.index).collect();
    assert_eq!(places.len(), 4, "ninety-odd objects in three entries, and the policies");
    assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 1), "nothing came between them: {places:?}");
    assert_eq!(entries.last().unwrap().entry.action, "policy.applied");
}

#[tokio::test]
async fn a_disabled_identity_loses_its_tokens() {
    let house = House::applied().await;
    let token = house.token("ada").await;
    assert!(house.control.sign_in(&token).is_ok());
    let files: Vec<_> = checkout()
        .into_iter()
        .map(|f| file(&f.name, &f.text.replace("handle = \"ada\"", "handle = \"ada\"\ndisabled = true")))
        .collect();
    house.control.apply(&house.admin(), &files, false).await.unwrap();
    assert_eq!(house.control.sign_in(&token).err().unwrap().kind(), Kind::Denied);
}

#[tokio::test]
async fn why_explains_to_those_who_may_know() {
    let house = House::applied().await;
    let address = "ops@web-1".parse().unwrap();
    let connect = Asked::of(&address, sallyport_policy::Act::Connect);
    let ada = house.signed_in("ada").await;
    let bob = house.signed_in("bob").await;
    let why = house.control.why(&ada, None, &connect).unwrap();
    assert!(why.explanation.decision.permits());
    assert_eq!(house.control.why(&bob, None, &connect).err().unwrap().kind(), Kind::NotFound);
    let why = house.control.why(&house.admin(), Some(&"bob".parse().unwrap()), &connect).unwrap();
    assert!(!why.explanation.decision.permits());
    let lines = house.reach(&ada);
    assert_eq!(lines.len(), 1);
    assert!(house.reach(&bob).is_empty());
}
