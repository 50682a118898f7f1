use super::*;
use crate::PolicySet;
use crate::fixture::{NOW, account, facts, identity, met, set, target};
use proptest::prelude::*;
use sallyport_model::access::Channel;
use sallyport_model::inventory::{Class, Identity, Target};
use sallyport_model::limits::Record;

fn at_web(set: &PolicySet, who: &Identity, change: impl FnOnce(&mut Facts<'_>), class: Class, act: Act) -> Decision {
    let web = target("web-1", "prod", 1, &["web"]);
    let account = account("deploy", &web, class);
    let mut facts = facts(who).at(Place::Account(&web, &account));
    change(&mut facts);
    decide(set, &facts, act)
}

fn connect(set: &PolicySet, who: &Identity) -> Decision {
    at_web(set, who, |_| {}, Class::Standard, Act::Connect)
}

/// One policy, one asker, whether she may connect to deploy@web-1 (prod, tier 1, tag web).
#[test]
fn table_of_decisions() {
    let ada = identity("ada", &["ops"]);
    for (policy, permits) in [
        ("", false),
        ("permit (principal, action, resource);", true),
        ("permit (principal, action == Action::\"see\", resource);", false),
        ("permit (principal == Identity::\"ada\", action == Action::\"connect\", resource);", true),
        ("permit (principal == Identity::\"bob\", action == Action::\"connect\", resource);", false),
        ("permit (principal in Group::\"ops\", action == Action::\"connect\", resource);", true),
        ("permit (principal in Group::\"dba\", action == Action::\"connect\", resource);", false),
        ("permit (principal, action == Action::\"connect\", resource == Account::\"deploy@web-1\");", true),
        ("permit (principal, action == Action::\"connect\", resource == Account::\"root@web-1\");", false),
        ("permit (principal, action == Action::\"connect\", resource in Target::\"web-1\");", true),
        ("permit (principal, action == Action::\"connect\", resource in Target::\"web-2\");", false),
        ("permit (principal, action == Action::\"connect\", resource) when { resource.tags.contains(\"web\") };", true),
        ("permit (principal, action == Action::\"connect\", resource) when { resource.tags.contains(\"db\") };", false),
        (
            "permit (principal, action == Action::\"connect\", resource) when { resource.environment == \"prod\" };",
            true,
        ),
        ("permit (principal, action == Action::\"connect\", resource) when { resource.tier == 0 };", false),
        ("permit (principal, action == Action::\"connect\", resource) when { resource.class == \"standard\" };", true),
        (
            "permit (principal, action == Action::\"connect\", resource) when { context.address.isInRange(ip(\"10.0.0.0/8\")) };",
            true,
        ),
        (
            "permit (principal, action == Action::\"connect\", resource) when { context.address.isInRange(ip(\"192.168.0.0/16\")) };",
            false,
        ),
        (
            "permit (principal, action == Action::\"connect\", resource) when { context.time.hour == 10 && context.time.weekday == 7 };",
            true,
        ),
        ("permit (principal, action == Action::\"connect\", resource) when { context.time.weekday <= 5 };", false),
        ("permit (principal, action == Action::\"connect\", resource) when { context has ticket };", false),
        (
            "permit (principal, action == Action::\"connect\", resource) when { context.factors.contains(\"ssh-key\") };",
            false,
        ),
        (
            "permit (principal, action, resource); forbid (principal, action, resource) when { principal.kind == \"user\" };",
            false,
        ),
        ("permit (principal, action, resource); forbid (principal, action == Action::\"see\", resource);", true),
        // An overflow is an error, and an error denies even where another policy permits.
        (
            "permit (principal, action, resource); permit (principal, action == Action::\"connect\", resource) when { context.time.epoch * 9223372036854775807 > 0 };",
            false,
        ),
        (
            "permit (principal, action, resource); forbid (principal, action == Action::\"connect\", resource) when { context.time.epoch * 9223372036854775807 > 0 };",
            false,
        ),
    ] {
        assert_eq!(connect(&set(policy), &ada).permits(), permits, "{policy}");
    }
}

#[test]
fn a_disabled_identity_may_do_nothing() {
    let mut ada = identity("ada", &["ops"]);
    ada.disabled = true;
    let set = set("permit (principal, action, resource);");
    for act in Act::all() {
        assert!(!at_web(&set, &ada, |_| {}, Class::Standard, act).permits());
        assert!(!decide(&set, &facts(&ada), act).permits());
    }
}

#[test]
fn a_forward_is_judged_by_its_destination() {
    let ada = identity("ada", &[]);
    let policy = set("permit (principal, action == Action::\"channel:forward_local\", resource) \
         when { context has destination && context.destination like \"127.0.0.1:*\" };");
    let may = |destination, channel| {
        let change = |facts: &mut Facts<'_>| facts.destination = destination;
        at_web(&policy, &ada, change, Class::Standard, Act::Channel(channel)).permits()
    };
    assert!(may(Some("127.0.0.1:5432"), Channel::ForwardLocal));
    assert!(!may(Some("10.0.0.1:5432"), Channel::ForwardLocal));
    assert!(!may(None, Channel::ForwardLocal), "nothing is known of it");
    assert!(!may(Some("127.0.0.1:5432"), Channel::ForwardRemote));
}

#[test]
fn every_channel_is_an_action_of_its_own() {
    let ada = identity("ada", &[]);
    let one = set("permit (principal, action in [Action::\"connect\", Action::\"channel:shell\"], resource);");
    let all = set("permit (principal, action in Action::\"channel\", resource);");
    for channel in Channel::ALL {
        let act = Act::Channel(channel);
        assert_eq!(
            at_web(&one, &ada, |_| {}, Class::Standard, act).permits(),
            channel == Channel::Shell,
            "{channel:?}"
        );
        let lends = matches!(channel, Channel::Agent | Channel::X11);
        assert_eq!(at_web(&all, &ada, |_| {}, Class::Standard, act).permits(), !lends, "{channel:?}");
        let named = set(&format!("permit (principal, action == Action::\"{}\", resource);", channel.action()));
        assert!(at_web(&named, &ada, |_| {}, Class::Standard, act).permits(), "{channel:?}");
        assert!(!at_web(&named, &ada, |_| {}, Class::Administrative, act).permits(), "{channel:?} without an approval");
    }
    assert!(!connect(&all, &ada).permits(), "channels are no connection");
}

#[test]
fn limits_are_joined_over_permits_and_limit_policies() {
    let ada = identity("ada", &[]);
    let set = set(
        "@max_duration(\"8h\") @idle(\"5m\") permit (principal, action == Action::\"connect\", resource);
         @max_duration(\"12h\") permit (principal, action == Action::\"connect\", resource in Target::\"web-1\");
         @max_duration(\"1m\") permit (principal, action == Action::\"connect\", resource in Target::\"web-2\");
         @limit @record(\"strict\") @max_duration(\"6h\") permit (principal, action == Action::\"connect\", resource) when { resource.environment == \"prod\" };
         @limit @idle(\"1m\") permit (principal, action == Action::\"connect\", resource) when { resource.environment == \"test\" };",
    );
    let Decision::Permit { limits, determining } = connect(&set, &ada) else { panic!("permitted") };
    assert_eq!((limits.max_duration, limits.idle, limits.record), (6 * 3600, 300, Record::Strict));
    assert_eq!(limits.hold, Limits::house().hold);
    assert_eq!(determining, ["test.cedar:1", "test.cedar:2"]);
    let only_limit = crate::fixture::set("@limit @idle(\"1m\") permit (principal, action, resource);");
    assert!(!connect(&only_limit, &ada).permits(), "a limit permits nothing");
}

#[test]
fn limits_without_a_mechanism_deny() {
    let ada = identity("ada", &[]);
    for annotation in ["@clipboard(\"none\")", "@rotate_after_use"] {
        let key = annotation.split('(').next().unwrap();
        let permit = set(&format!("@id(\"p\") {annotation} permit (principal, action, resource);"));
        let limit = set(&format!(
            "permit (principal, action, resource); @id(\"p\") @limit {annotation} permit (principal, action, resource);"
        ));
        let demanded = set(&format!(
            "@require_ticket permit (principal, action, resource); \
             @id(\"p\") @limit {annotation} permit (principal, action, resource); permit (principal, action == Action::\"see\", resource);"
        ));
        for set in [permit, limit, demanded] {
            let denial = connect(&set, &ada).denial().unwrap();
            assert_eq!(denial.message, format!("policy p sets {key}, which this version cannot yet enforce"));
            assert!(at_web(&set, &ada, |_| {}, Class::Standard, Act::See).permits(), "seeing opens nothing");
        }
    }
    let default = set("@clipboard(\"both\") @transfer(\"both\") permit (principal, action, resource);");
    assert!(connect(&default, &ada).permits());
}

#[test]
fn demands_are_named_and_deny_until_they_are_met() {
    let ada = identity("ada", &[]);
    let never = ", which this version cannot yet give";
    let confirm = ": confirm in the portal that it is you, and repeat within five minutes";
    for (annotation, fact, words, how) in [
        ("@require_approval(\"leads:2\")", "approval:leads:2", "approval by 2 of leads", never),
        ("@require_ticket", "ticket", "a ticket", never),
        ("@require_step_up", "step-up", "a fresh second factor", confirm),
        ("@require_device", "device", "a registered device", never),
    ] {
        let set = set(&format!("@id(\"p\") {annotation} permit (principal, action == Action::\"connect\", resource);"));
        let decision = connect(&set, &ada);
        let Decision::Needs { demands, determining } = &decision else { panic!("{decision:?}") };
        assert_eq!((demands.len(), determining.as_slice()), (1, ["p".to_owned()].as_slice()));
        let denial = decision.denial().unwrap();
        assert_eq!(denial.message, format!("this needs {words}{how}"));
        assert_eq!(denial.kind, Kind::Denied);
        let met = at_web(&set, &ada, |facts| facts.met = met(&[fact]), Class::Standard, Act::Connect);
        assert!(met.permits(), "{annotation}");
        let other = at_web(
            &set,
            &ada,
            |facts| facts.met = crate::fixture::met(&["approval:leads:1", "x"]),
            Class::Standard,
            Act::Connect,
        );
        assert!(!other.permits(), "{annotation}");
    }
}

#[test]
fn needs_is_told_from_no() {
    let ada = identity("ada", &[]);
    let forbidden = set(
        "@require_ticket permit (principal, action, resource); forbid (principal, action, resource is Account) when { resource.tier == 1 };",
    );
    assert!(matches!(connect(&forbidden, &ada), Decision::Deny { .. }), "a forbid that no fact lifts");
    let over_everything = set(
        "permit (principal, action, resource); forbid (principal, action, resource) unless { context.met.contains(\"device\") };",
    );
    let Decision::Needs { demands, .. } = connect(&over_everything, &ada) else { panic!("needs a device") };
    assert_eq!(demands, [Demand::Device]);
    // Permits are alternatives: the one that misses least is told.
    let either = set(
        "@id(\"a\") @require_ticket @require_device permit (principal, action, resource); @id(\"b\") @require_step_up permit (principal, action, resource);",
    );
    let Decision::Needs { demands, determining } = connect(&either, &ada) else { panic!("needs a factor") };
    assert_eq!((demands, determining), (vec![Demand::StepUp], vec!["b".to_owned()]));
}

#[test]
fn administrative_accounts_want_an_approval_or_an_emergency() {
    let ada = identity("ada", &[]);
    let open = set("permit (principal, action, resource);");
    let try_with =
        |set: &PolicySet, facts: &[&str], act| at_web(set, &ada, |f| f.met = met(facts), Class::Administrative, act);
    for act in [Act::Connect, Act::Channel(Channel::Shell)] {
        let decision = try_with(&open, &[], act);
        let denial = decision.denial().unwrap();
        assert_eq!(denial.message, "this needs an approval or break-glass, which this version cannot yet give");
        assert!(try_with(&open, &["approval:leads:1"], act).permits());
        assert!(try_with(&open, &["break-glass"], act).permits());
        assert!(!try_with(&open, &["ticket", "approvals"], act).permits());
    }
    assert!(try_with(&open, &[], Act::See).permits());
    // An approval that is there is not asked for again, whatever else is missing.
    let ticket =
        set("@require_ticket permit (principal, action, resource) when { context.met.contains(\"approval\") };");
    let Decision::Needs { demands, .. } = try_with(&ticket, &["approval:leads:1"], Act::Connect) else {
        panic!("needs a ticket")
    };
    assert_eq!(demands, [Demand::Ticket]);
    let approved = set("@require_approval(\"leads:1\") permit (principal, action, resource);");
    let Decision::Needs { demands, .. } = try_with(&approved, &[], Act::Connect) else { panic!("needs an approval") };
    assert_eq!(demands, [Demand::Approval { group: "leads".into(), count: 1 }]);
}

#[test]
fn the_tier_rule_looks_down_only() {
    let open = set("permit (principal, action, resource);");
    let places: Vec<Target> = (0..3).map(|tier| target(&format!("t{tier}"), "prod", tier, &[])).collect();
    for (groups, highest) in [
        (&["tier0-admin"][..], Some(0)),
        (&["tier1-admin"], Some(1)),
        (&["tier2-admin"], Some(2)),
        (&["tier2-admin", "tier1-admin"], Some(1)),
        (&["sallyport:admin"], None),
        (&[], None),
    ] {
        let who = identity("ada", groups);
        for target in &places {
            let may = highest.is_some_and(|highest| u8::from(target.tier) >= highest);
            let account = account("svc", target, Class::Service);
            for right in [Right::InventoryWrite, Right::VaultWrite, Right::VaultReveal] {
                for place in [Place::Target(target), Place::Account(target, &account)] {
                    let decision = decide(&open, &facts(&who).at(place), Act::Right(right));
                    assert_eq!(decision.permits(), may, "{groups:?} {right:?} {}", target.name);
                }
            }
            assert!(decide(&open, &facts(&who).at(Place::Target(target)), Act::Right(Right::InventoryRead)).permits());
        }
    }
}

#[test]
fn an_act_is_decided_on_its_own_kind_of_place() {
    let (open, ada) = (set("permit (principal, action, resource);"), identity("ada", &["tier0-admin"]));
    let system = facts(&ada);
    let rights = [Right::InventoryWrite, Right::SessionJoin, Right::VaultReveal].map(Act::Right);
    for act in [Act::See, Act::Connect].into_iter().chain(rights) {
        let denial = decide(&open, &system, act).denial().unwrap();
        assert!(denial.message.contains("name the place"), "{}", denial.message);
    }
    let (web, db) = (target("web-1", "prod", 1, &[]), target("db-1", "prod", 1, &[]));
    assert!(!decide(&open, &system.clone().at(Place::Target(&web)), Act::Right(Right::PolicyApply)).permits());
    let stray = account("deploy", &db, Class::Standard);
    let denial = decide(&open, &system.at(Place::Account(&web, &stray)), Act::Connect).denial().unwrap();
    assert!(denial.message.contains("not on this target"), "{}", denial.message);
}

#[test]
fn the_shipped_roles() {
    let none = PolicySet::load(&[]).unwrap();
    let rights = |group: &str| {
        let who = identity("ada", &[group]);
        let holds = |right: &&Right| decide(&none, &facts(&who), Act::Right(**right)).permits();
        Right::ALL.iter().filter(holds).map(|right| right.action()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        rights("sallyport:admin"),
        "explain identity.read identity.write inventory.read ledger.read policy.apply policy.read session.kill \
         session.list session.message session.pause token.create vault.seal vault.status vault.unseal"
    );
    let tier0 = identity("ada", &["sallyport:admin", "tier0-admin"]);
    for right in [Right::VaultSlot, Right::VaultRotate, Right::NodeRemove] {
        assert!(decide(&none, &facts(&tier0), Act::Right(right)).permits());
    }
    assert_eq!(
        rights("sallyport:auditor"),
        "explain identity.read inventory.read ledger.export ledger.read policy.read recording.export recording.play \
         session.list session.watch vault.status"
    );
    assert_eq!(
        rights("sallyport:operator"),
        "explain inventory.read session.kill session.list session.message session.pause session.watch token.create \
         vault.status"
    );
    assert_eq!(rights("staff"), "");
    let web = target("web-1", "prod", 1, &[]);
    let both = identity("ada", &["sallyport:admin", "tier1-admin"]);
    assert!(decide(&none, &facts(&both).at(Place::Target(&web)), Act::Right(Right::InventoryWrite)).permits());
}

#[test]
fn three_states_of_an_account() {
    let ada = identity("ada", &[]);
    let web = target("web-1", "prod", 1, &[]);
    let deploy = account("deploy", &web, Class::Standard);
    let facts = facts(&ada).at(Place::Account(&web, &deploy));
    for (policy, expected) in [
        ("permit (principal, action == Action::\"connect\", resource);", Standing::Usable),
        ("permit (principal, action == Action::\"request\", resource);", Standing::Requestable),
        ("@require_ticket permit (principal, action == Action::\"connect\", resource);", Standing::Requestable),
        ("permit (principal, action == Action::\"see\", resource);", Standing::Invisible),
        ("", Standing::Invisible),
        ("permit (principal, action, resource); forbid (principal, action, resource);", Standing::Invisible),
    ] {
        assert_eq!(standing(&set(policy), &facts), expected, "{policy}");
    }
}

/// Policies of many shapes over few names, so that they often meet.
pub(crate) fn any_policy() -> impl Strategy<Value = String> {
    let annotations = prop_oneof![
        4 => Just(String::new()),
        1 => Just("@require_ticket ".to_owned()),
        1 => Just("@require_approval(\"g1:1\") ".to_owned()),
        1 => Just("@max_duration(\"1h\") ".to_owned()),
        1 => Just("@transfer(\"none\") ".to_owned()),
        1 => Just("@limit @idle(\"1m\") ".to_owned()),
        1 => Just("@limit @clipboard(\"up\") ".to_owned()),
    ];
    let principal = prop_oneof![
        Just("principal".to_owned()),
        (0..3).prop_map(|n| format!("principal in Group::\"g{n}\"")),
        (0..3).prop_map(|n| format!("principal == Identity::\"i{n}\"")),
    ];
    let action = prop_oneof![
        Just("action".to_owned()),
        Just("action == Action::\"connect\"".to_owned()),
        Just("action in [Action::\"connect\", Action::\"request\"]".to_owned()),
        Just("action in Action::\"channel\"".to_owned()),
    ];
    let resource = prop_oneof![
        3 => Just("resource is Account".to_owned()),
        1 => (0..4).prop_map(|n| format!("resource is Account in Target::\"t{n}\"")),
        1 => (0..4).prop_map(|n| format!("resource == Account::\"a0@t{n}\"")),
    ];
    let term = prop_oneof![
        (0..3).prop_map(|n| format!("resource.tags.contains(\"x{n}\")")),
        (0..3).prop_map(|n| format!("resource.environment == \"e{n}\"")),
        (0..3).prop_map(|n| format!("resource.tier >= {n}")),
        Just("resource.class == \"administrative\"".to_owned()),
        Just("resource.name == \"a1\"".to_owned()),
        (0..3).prop_map(|n| format!("principal in Group::\"g{n}\"")),
        Just("context.met.contains(\"ticket\")".to_owned()),
        Just("resource.tier * 9223372036854775807 > 1".to_owned()),
    ];
    let condition = prop_oneof![
        2 => Just(String::new()),
        3 => (term.clone(), term.clone(), prop_oneof![Just("&&"), Just("||")], prop_oneof![Just("when"), Just("unless")])
            .prop_map(|(a, b, join, kind)| format!(" {kind} {{ {a} {join} {b} }}")),
        2 => term.prop_map(|a| format!(" when {{ {a} }}")),
    ];
    (any::<bool>(), annotations, principal, action, resource, condition).prop_map(
        |(forbid, annotations, principal, action, resource, condition)| {
            // A limit on channels alone is refused: it would bound nothing.
            let bare = forbid || (action.contains("channel") && !annotations.contains("@require"));
            let (effect, annotations) =
                (if forbid { "forbid" } else { "permit" }, if bare { "" } else { &annotations });
            format!("{annotations}{effect} ({principal}, {action}, {resource}){condition};\n")
        },
    )
}

/// Targets t0 to t3 with two accounts each, different in everything that policies may name.
pub(crate) fn world() -> Vec<(Target, sallyport_model::inventory::Account)> {
    let mut places = Vec::new();
    for n in 0..4_usize {
        let tags: &[&str] = [&["x0"][..], &["x1", "x2"], &[], &["x0", "x1"]][n];
        let tier = [0, 1, 2, 1][n];
        let target = target(&format!("t{n}"), &format!("e{}", n % 3), tier, tags);
        let classes = [Class::Standard, Class::Administrative];
        for (k, class) in classes.into_iter().enumerate() {
            places.push((target.clone(), account(&format!("a{k}"), &target, class)));
        }
    }
    places
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_slice_decides_as_the_whole_set(
        policies in proptest::collection::vec(any_policy(), 0..8),
        who in 0..3, groups in proptest::sample::subsequence(vec!["g0", "g1", "g2"], 0..=3),
        ticket: bool,
    ) {
        let set = set(&policies.concat());
        let who = identity(&format!("i{who}"), &groups);
        for (target, account) in &world() {
            let mut facts = facts(&who).at(Place::Account(target, account));
            if ticket {
                facts.met = met(&["ticket"]);
            }
            for act in [Act::Connect, Act::Request, Act::Channel(Channel::Shell)] {
                let slice = Slice::new(&set, &facts, act);
                let whole = decide_slice(&set, &facts, act, &Slice::whole(&set, act));
                if slice.permits.is_empty() {
                    // Nothing is evaluated then: a denial, be it without the forbids' reasons.
                    let denied = matches!(whole, Err(_) | Ok(Decision::Deny { .. }));
                    prop_assert!(denied, "{:?}", whole);
                } else {
                    let slice = decide_slice(&set, &facts, act, &slice);
                    // The second look at the whole set assumes facts that only policies about others name: a limit that
                    // cannot be evaluated, or not be enforced, under those is no error of this question.
                    let unenforced = |reasons: &[Reason]| reasons.iter().all(|why| why.text.contains("cannot yet enforce"));
                    match (&slice, &whole) {
                        (Ok(Decision::Needs { .. }), Err(_)) => continue,
                        (Ok(Decision::Needs { .. }), Ok(Decision::Deny { reasons })) if unenforced(reasons) => continue,
                        _ => {}
                    }
                    // Which of two errors is told first is Cedar's affair.
                    prop_assert_eq!(slice.map_err(drop), whole.map_err(drop));
                }
            }
        }
    }

    #[test]
    fn a_policy_more_that_forbids_never_permits_more(
        policies in proptest::collection::vec(any_policy(), 0..6), extra in any_policy(),
    ) {
        prop_assume!(extra.starts_with("forbid"));
        let (less, more) = (set(&policies.concat()), set(&format!("{}{extra}", policies.concat())));
        let who = identity("i0", &["g0", "g1"]);
        for (target, account) in &world() {
            let facts = facts(&who).at(Place::Account(target, account));
            let (less, more) = (decide(&less, &facts, Act::Connect), decide(&more, &facts, Act::Connect));
            prop_assert!(less.permits() || !more.permits());
        }
    }
}

#[test]
fn now_is_the_sunday_that_the_table_says() {
    assert_eq!(NOW.to_string(), "2026-11-22T10:30:00.000Z");
}

/// Which role holds which right of the product: at a target of tier 1 for the rights that are decided there.
#[test]
fn roles_hold_the_rights_of_the_reviewed_matrix() {
    let set = PolicySet::load(&[]).unwrap();
    let web = target("web-1", "prod", 1, &[]);
    let groups = ["admin", "security", "auditor", "approver", "operator", "support", "user", "-"];
    let held = |role: &str, right: Right| {
        let own = format!("sallyport:{role}");
        let somebody =
            if role == "-" { identity("eve", &["tier0-admin"]) } else { identity("eve", &[&own, "tier0-admin"]) };
        let everywhere = decide(&set, &facts(&somebody), Act::Right(right)).permits();
        let there = decide(&set, &facts(&somebody).at(Place::Target(&web)), Act::Right(right)).permits();
        if everywhere || there { "yes" } else { "." }
    };
    let mut table = format!("{:<18}", "right");
    table.extend(groups.iter().map(|role| format!("{role:>10}")));
    for right in Right::ALL {
        table.push_str(&format!("\n{:<18}", right.action()));
        table.extend(groups.iter().map(|role| format!("{:>10}", held(role, *right))));
    }
    table.push('\n');
    expect_test::expect_file!["../policy-matrix.txt"].assert_eq(&table);
}
