use super::*;
use crate::fixture::{BUILT_IN, set};

fn scope(text: &str) -> Scope {
    set(text).policies[BUILT_IN].scope.clone()
}

#[test]
fn keys_come_from_the_scope() {
    let s = scope(
        "permit (principal in Group::\"ops\", action == Action::\"connect\", resource == Account::\"root@web-1\");",
    );
    assert_eq!((s.principal.as_str(), s.resource.as_str()), ("group:ops", "account:root@web-1"));
    assert_eq!(s.actions.unwrap().into_iter().collect::<Vec<_>>(), ["connect"]);
    let s =
        scope("permit (principal == Identity::\"ada\", action in Action::\"channel\", resource in Target::\"web-1\");");
    assert_eq!((s.principal.as_str(), s.resource.as_str()), ("identity:ada", "target:web-1"));
    assert_eq!(s.actions.unwrap().len(), 8);
    let s = scope("permit (principal is Identity in Group::\"ops\", action, resource);");
    assert_eq!((s.principal.as_str(), s.resource.as_str(), s.actions), ("group:ops", ANY, None));
}

#[test]
fn keys_come_from_conjuncts_that_cannot_be_skipped() {
    let connect =
        |condition: &str| scope(&format!("permit (principal, action == Action::\"connect\", resource) {condition};"));
    assert_eq!(connect("when { resource.tags.contains(\"db\") && resource.tier == 1 }").resource, "tag:db");
    assert_eq!(connect("when { resource.tier == 1 && resource.environment == \"prod\" }").resource, "environment:prod");
    assert_eq!(connect("when { \"prod\" == resource.zone }").resource, "zone:prod");
    assert_eq!(connect("when { resource.tier == 1 } when { resource.class == \"service\" }").resource, "class:service");
    assert_eq!(connect("when { principal in Group::\"ops\" }").principal, "group:ops");
    assert_eq!(connect("when { resource.tags.contains(\"db\") || resource.tier == 1 }").resource, ANY);
    assert_eq!(connect("unless { resource.tags.contains(\"db\") }").resource, ANY);
    assert_eq!(connect("when { !(resource.zone == \"x\") }").resource, ANY);
    // What may overflow comes first: the whole set would fail there, so the slice must not skip it.
    assert_eq!(connect("when { context.time.epoch + 1 > 0 && resource.zone == \"x\" }").resource, ANY);
    assert_eq!(connect("when { resource.zone == \"x\" && context.time.epoch + 1 > 0 }").resource, "zone:x");
}

#[test]
fn attributes_and_facts_are_found_wherever_they_stand() {
    let connect =
        |condition: &str| scope(&format!("permit (principal, action == Action::\"connect\", resource) {condition};"));
    let s = connect(
        "when { if resource.tier == 1 then resource.tags.containsAny([\"a\"]) else context.met.contains(\"x\") }",
    );
    assert_eq!(s.reads, Reads::TIER.and(Reads::TAGS));
    assert_eq!(s.met.into_iter().collect::<Vec<_>>(), ["x"]);
    assert_eq!(connect("when { context.met.containsAll([\"a\", \"b\"]) }").met.len(), 2);
    assert_eq!(connect("when { resource is Account }").reads, Reads::default());
    assert_eq!(
        connect("when { resource in Target::\"x\" || resource.tier == 1 }").reads,
        Reads::IDENTITY.and(Reads::TIER)
    );
    let keyed = "when { resource in Target::\"x\" && resource.zone == \"y\" }";
    assert_eq!((connect(keyed).resource.as_str(), connect(keyed).reads), ("target:x", Reads::ZONE));
    let both = "when { resource.tags.contains(\"a\") && resource.tags.contains(\"b\") }";
    assert_eq!((connect(both).resource.as_str(), connect(both).reads), ("tag:a", Reads::TAGS));
    assert_eq!(connect("when { resource.name == \"root\" }").reads, Reads::IDENTITY);
    assert_eq!(connect("when { principal.handle == \"ada\" }").reads, Reads::default());
}
