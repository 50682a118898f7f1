use super::*;
use crate::fixture::{BUILT_IN, set};
use proptest::prelude::*;

fn fails(text: &str) -> String {
    let loaded = PolicySet::load(&[("ops.cedar".into(), text.into())]);
    loaded.err().map(|errors| errors.to_string()).unwrap_or_else(|| panic!("loaded: {text}"))
}

#[test]
fn the_built_in_policies_load_alone() {
    let set = PolicySet::load(&[]).unwrap();
    assert_eq!(set.len(), BUILT_IN);
    assert!(
        set.policies.iter().all(|policy| policy.name.starts_with("builtin:") && policy.terms.description.is_some())
    );
}

#[test]
fn mistakes_are_told_with_file_line_and_column() {
    let syntax = fails("permit (\n  principal,\n  action\n  resource\n);");
    assert!(syntax.contains("ops.cedar:4:3: "), "{syntax}");
    let attribute = fails(
        "// staff\npermit (principal, action == Action::\"connect\", resource)\nwhen { resource.owner == \"x\" };",
    );
    assert!(attribute.contains("ops.cedar:3:8: ") && attribute.contains("owner"), "{attribute}");
    let action = fails("permit (principal, action == Action::\"conect\", resource);");
    assert!(
        action.contains("ops.cedar:1:")
            && action.contains("the action `conect` does not exist: did you mean `connect`?"),
        "{action}"
    );
    let annotation = fails("@id(\"a\")\n  @max_duratoin(\"4h\")\npermit (principal, action, resource);");
    assert!(
        annotation.contains("ops.cedar:2:3: @max_duratoin is unknown: did you mean @max_duration?"),
        "{annotation}"
    );
    let template = fails("permit (principal == ?principal, action, resource);");
    assert!(template.contains("template"), "{template}");
}

#[test]
fn every_mistake_is_told_and_nothing_is_loaded() {
    let text =
        "@idle(\"x\") permit (principal, action, resource);\n@record(\"none\") permit (principal, action, resource);";
    let text = fails(text);
    assert_eq!(text.matches("ops.cedar:").count(), 2, "{text}");
}

#[test]
fn ids_are_unique_and_the_built_in_ones_are_taken() {
    let twice =
        fails("@id(\"a\") permit (principal, action, resource);\n@id(\"a\") permit (principal, action, resource);");
    assert!(twice.contains("ops.cedar:2:1: the @id `a` is used twice, first at ops.cedar:1"), "{twice}");
    assert!(fails("@id(\"builtin:mine\") permit (principal, action, resource);").contains("taken"));
    let named = PolicySet::load(&[(BUILTIN_FILE.into(), String::new())]);
    assert!(named.is_err());
    let file = ("a.cedar".to_owned(), String::new());
    assert!(PolicySet::load(&[file.clone(), file]).is_err());
}

#[test]
fn policies_without_an_id_are_named_by_their_place() {
    let text = "// permit (principal, action, resource);\npermit (principal, action, resource);\n\npermit (principal, action, resource);";
    let set = set(text);
    let names: Vec<_> = set.policies.iter().skip(BUILT_IN).map(|policy| policy.name.as_str()).collect();
    assert_eq!(names.len(), 2);
    assert_eq!(names[1], "test.cedar:4");
}

#[test]
fn the_hash_covers_names_and_texts_and_no_order() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let (a, b) = (file("a.cedar", ""), file("b.cedar", "permit (principal, action, resource);"));
    let hash = |files: &[(String, String)]| PolicySet::load(files).unwrap().hash().to_owned();
    let both = hash(&[a.clone(), b.clone()]);
    assert_eq!(both.len(), 64);
    assert_eq!(both, hash(&[b.clone(), a.clone()]));
    assert_ne!(both, hash(std::slice::from_ref(&b)));
    assert_ne!(both, hash(&[a.clone(), file("c.cedar", &b.1)]));
    assert_ne!(both, hash(&[a, file("b.cedar", "permit (principal, action, resource) ;")]));
    assert_eq!(PolicySet::load(std::slice::from_ref(&b)).unwrap().files(), &[b]);
}

/// The compiled policy is, in Cedar's own form, the written policy and the conditions, nothing else.
#[test]
fn preconditions_become_conditions() {
    let written = set(
        "@require_approval(\"leads:2\") @require_ticket permit (principal in Group::\"ops\", action == Action::\"connect\", resource) when { resource.tier == 1 };",
    );
    let by_hand = set(
        "permit (principal in Group::\"ops\", action == Action::\"connect\", resource) when { resource.tier == 1 && context.met.contains(\"approval:leads:2\") && context.met.contains(\"ticket\") };",
    );
    assert_eq!(written.policies[BUILT_IN].scope.met, by_hand.policies[BUILT_IN].scope.met);
    // Printing joins the conditions into one, so the two are compared in the form that is evaluated.
    let printed = |set: &PolicySet| {
        let json = set.policies[BUILT_IN].policy.to_json().unwrap();
        let policy = Policy::from_json(None, json).unwrap();
        policy.to_string().split_once("when").unwrap().1.split_whitespace().collect::<String>().replace(['(', ')'], "")
    };
    assert_eq!(printed(&written), printed(&by_hand));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_text_panics(text in ".{0,200}", cut in 0_usize..200, swap in any::<char>()) {
        let _ = PolicySet::load(&[("a.cedar".into(), text)]);
        let mut altered: Vec<char> = "@id(\"ü\") // x\npermit (principal in Group::\"a\", action, resource) when { context.met.contains(\"//\") };"
            .chars()
            .collect();
        let at = cut % altered.len();
        altered[at] = swap;
        let _ = PolicySet::load(&[("a.cedar".into(), altered.into_iter().collect())]);
    }

    #[test]
    fn blanking_keeps_every_offset(text in "[a/\"\\\\\nü ]{0,60}") {
        let blanked = blank_comments(&text);
        prop_assert_eq!(blanked.len(), text.len());
        prop_assert_eq!(blanked.matches('\n').count(), text.matches('\n').count());
    }
}

#[test]
fn a_limit_stands_where_a_session_opens_or_it_would_bound_nothing() {
    for (action, sound) in [
        ("action", true),
        ("action == Action::\"connect\"", true),
        ("action in [Action::\"connect\", Action::\"channel:shell\"]", true),
        ("action == Action::\"channel:shell\"", false),
        ("action in Action::\"channel\"", false),
        ("action in [Action::\"see\", Action::\"channel\"]", false),
        ("action == Action::\"see\"", false),
    ] {
        for annotations in ["@commands(\"high-risk\")", "@limit @idle(\"1m\")", "@four_eyes @id(\"a\")"] {
            let text = format!("// limits\n{annotations} permit (principal, {action}, resource is Account);");
            let loaded = PolicySet::load(&[("ops.cedar".to_owned(), text)]);
            assert_eq!(loaded.is_ok(), sound, "{annotations} {action}");
            let Err(errors) = loaded else { continue };
            let told = errors.to_string();
            let named =
                ["@commands", "@idle", "@four_eyes"].into_iter().find(|name| annotations.contains(name)).unwrap();
            let wanted =
                format!("{named} bounds whole sessions and is taken when one opens, and this policy does not speak of");
            assert!(told.contains(&wanted) && told.contains("ops.cedar:2:"), "{told}");
        }
    }
    // What is no limit may stand anywhere.
    let text = "@require_ticket @description(\"x\") permit (principal, action == Action::\"channel:exec\", resource);";
    assert!(PolicySet::load(&[("ops.cedar".to_owned(), text.to_owned())]).is_ok());
}
