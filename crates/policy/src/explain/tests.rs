use super::*;
use crate::Place;
use crate::fixture::{account, facts, identity, set, target};
use sallyport_model::access::Channel;
use sallyport_model::inventory::Class;

const POLICIES: &str = r#"@id("ops") @description("operators use the web servers")
permit (principal in Group::"ops", action == Action::"connect", resource)
when { resource.tags.contains("web") };

@id("short") @limit @idle("2m")
permit (principal, action == Action::"connect", resource);

@id("dba") @require_approval("leads:1")
permit (principal in Group::"dba", action == Action::"connect", resource);

@id("freeze")
forbid (principal, action == Action::"connect", resource) when { resource.environment == "frozen" };
"#;

fn ask(groups: &[&str], environment: &str) -> Explanation {
    let ada = identity("ada", groups);
    let web = target("web-1", environment, 1, &["web"]);
    let deploy = account("deploy", &web, Class::Standard);
    explain(&set(POLICIES), &facts(&ada).at(Place::Account(&web, &deploy)), Act::Connect)
}

fn names(policies: &[PolicyAt]) -> Vec<&str> {
    policies.iter().map(|policy| policy.name.as_str()).collect()
}

#[test]
fn a_permit_with_its_places_and_the_sources_of_its_limits() {
    let told = ask(&["ops"], "prod");
    assert!(told.decision.permits());
    let [permit] = told.permits.as_slice() else { panic!("one permit") };
    assert_eq!((permit.file.as_str(), permit.line), ("test.cedar", 1));
    assert_eq!(permit.description.as_deref(), Some("operators use the web servers"));
    let of = |key: &str| told.limits.iter().find(|limit| limit.key == key).unwrap();
    assert_eq!((of("idle").value.as_str(), names(&of("idle").policies)), ("120 s", vec!["short"]));
    assert_eq!((of("max_duration").value.as_str(), of("max_duration").policies.len()), ("14400 s", 0));
    assert!(told.near_misses.is_empty() && told.forbids.is_empty() && told.errors.is_empty());
}

#[test]
fn a_forbid_is_named() {
    let told = ask(&["ops"], "frozen");
    assert!(!told.decision.permits());
    assert_eq!((names(&told.permits), names(&told.forbids)), (vec!["ops"], vec!["freeze"]));
    assert!(told.limits.is_empty());
}

#[test]
fn near_misses_say_what_is_missing_nearest_first() {
    let told = ask(&[], "prod");
    let texts: Vec<_> = told.near_misses.iter().map(|near| near.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "would be permitted if ada were in the group ops",
            "would be permitted if ada were in the group dba and with approval by 1 of leads",
        ]
    );
    let told = ask(&["dba"], "prod");
    assert_eq!(told.near_misses.len(), 2);
    assert!(told.near_misses.iter().any(|near| near.text == "would be permitted with approval by 1 of leads"));
    assert!(matches!(told.decision, Decision::Needs { .. }));
}

#[test]
fn a_refusal_before_any_policy_is_told_too() {
    let ada = identity("ada", &[]);
    let told = explain(&set(POLICIES), &facts(&ada), Act::Connect);
    assert!(matches!(told.decision, Decision::Deny { .. }) && told.permits.is_empty());
}

#[test]
fn what_hangs_on_where_a_forward_goes_is_said_and_told_from_what_does_not() {
    const FORWARDS: &str = r#"@id("to-the-database")
permit (principal in Group::"ops", action == Action::"channel:forward_local", resource)
when { context has destination && context.destination like "127.0.0.1:*" };

@id("never-to-mail")
forbid (principal, action == Action::"channel:forward_local", resource)
when { context has destination && context.destination like "*:25" };

@id("anywhere")
permit (principal in Group::"free", action == Action::"channel:forward_local", resource);

@id("frozen")
forbid (principal, action == Action::"channel:forward_local", resource) when { resource.environment == "frozen" };
"#;
    let of = |groups: &[&str], environment: &str, destination, channel| {
        let ada = identity("ada", groups);
        let web = target("web-1", environment, 1, &["web"]);
        let deploy = account("deploy", &web, Class::Standard);
        let mut facts = facts(&ada).at(Place::Account(&web, &deploy));
        facts.destination = destination;
        let told = explain(&set(FORWARDS), &facts, Act::Channel(channel));
        (told.decision.permits(), names(&told.depends).join(" "))
    };
    let local = Channel::ForwardLocal;
    assert_eq!(of(&["ops"], "prod", None, local), (false, "to-the-database".into()));
    assert_eq!(of(&["free"], "prod", None, local), (true, "never-to-mail".into()));
    assert_eq!(of(&["ops"], "prod", Some("127.0.0.1:5432"), local), (true, String::new()));
    assert_eq!(of(&["ops"], "prod", Some("localhost:5432"), local), (false, String::new()), "names are not addresses");
    assert_eq!(of(&["ops"], "frozen", None, local), (false, String::new()), "wherever it goes");
    assert_eq!(of(&["guests"], "prod", None, local), (false, String::new()), "of no policy for them");
    assert_eq!(of(&["ops"], "prod", None, Channel::ForwardRemote), (false, String::new()));
    assert_eq!(of(&["ops"], "prod", None, Channel::Shell), (false, String::new()));
}
