use super::*;
use crate::decide;
use crate::decide::tests::{any_policy, world};
use crate::fixture::{account, facts, identity, met, set, target};
use proptest::prelude::*;
use sallyport_model::access::Channel;
use sallyport_model::inventory::Class;

fn inventory() -> Inventory {
    Inventory::new(world().into_iter().map(|(target, account)| (Arc::new(target), Arc::new(account))).collect())
}

#[test]
fn names_the_accounts_that_policy_permits() {
    let inventory = inventory();
    let ada = identity("ada", &[]);
    let set =
        set("permit (principal, action == Action::\"connect\", resource) when { resource.environment == \"e0\" };");
    let reached: Vec<u32> = reach(&set, &facts(&ada), Act::Connect, &inventory).into_iter().collect();
    assert_eq!(reached, [0, 6], "standard accounts of t0 and t3; the administrative ones need an approval");
    let mut approved = facts(&ada);
    approved.met = met(&["approval:leads:1"]);
    assert_eq!(reach(&set, &approved, Act::Connect, &inventory).len(), 4);
    let mut disabled = ada.clone();
    disabled.disabled = true;
    assert!(reach(&set, &facts(&disabled), Act::Connect, &inventory).is_empty());
    assert!(reach(&set, &facts(&ada), Act::Connect, &Inventory::new(Vec::new())).is_empty());
}

#[test]
fn an_account_beside_a_foreign_target_is_never_reached() {
    let (web, db) = (target("web-1", "e0", 1, &[]), target("db-1", "e0", 1, &[]));
    let stray = account("a0", &db, Class::Standard);
    let sound = account("a0", &web, Class::Standard);
    let web = Arc::new(web);
    let inventory = Inventory::new(vec![(Arc::clone(&web), Arc::new(stray)), (web, Arc::new(sound))]);
    let ada = identity("ada", &[]);
    let reached = reach(&set("permit (principal, action, resource);"), &facts(&ada), Act::Connect, &inventory);
    assert_eq!(reached.into_iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn where_a_policy_cannot_be_evaluated_nobody_is_told_to_ask() {
    let set = set("permit (principal, action == Action::\"connect\", resource is Account)
         when { context.met.contains(\"ticket\") || resource.tier * 9223372036854775807 > 1 };");
    let (inventory, ada) = (inventory(), identity("ada", &[]));
    let all = standings(&set, &facts(&ada), &inventory);
    for (number, (target, account)) in (0..).zip(&world()) {
        let one = crate::standing(&set, &facts(&ada).at(Place::Account(target, account)));
        assert_eq!(all.requestable.contains(number), one == crate::Standing::Requestable, "{}", target.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn equals_decisions_in_a_loop(
        policies in proptest::collection::vec(any_policy(), 0..8),
        who in 0..3, groups in proptest::sample::subsequence(vec!["g0", "g1", "g2"], 0..=3),
        ticket: bool,
    ) {
        let set = set(&policies.concat());
        let who = identity(&format!("i{who}"), &groups);
        let inventory = inventory();
        let mut facts = facts(&who);
        if ticket {
            facts.met = met(&["ticket"]);
        }
        for act in [Act::Connect, Act::Request, Act::Channel(Channel::Shell)] {
            let reached = reach(&set, &facts, act, &inventory);
            for (number, (target, account)) in (0..).zip(&world()) {
                let permits = decide(&set, &facts.clone().at(Place::Account(target, account)), act).permits();
                prop_assert_eq!(reached.contains(number), permits, "{:?} {} {}", act, target.name, account.name);
            }
        }
        let all = standings(&set, &facts, &inventory);
        for (number, (target, account)) in (0..).zip(&world()) {
            let one = crate::standing(&set, &facts.clone().at(Place::Account(target, account)));
            let seen = match (all.usable.contains(number), all.requestable.contains(number)) {
                (true, false) => crate::Standing::Usable,
                (false, true) => crate::Standing::Requestable,
                (false, false) => crate::Standing::Invisible,
                (true, true) => panic!("usable and requestable at once"),
            };
            prop_assert_eq!(seen, one, "{} {}", target.name, account.name);
        }
    }
}
