use super::*;
use proptest::prelude::*;

fn place(text: &str) -> (Option<String>, String, String) {
    match text.parse().unwrap() {
        Address::Place { handle, account, target } => {
            (handle.map(|h| h.to_string()), account.to_string(), target.to_string())
        }
        Address::Chooser { .. } => panic!("{text} has a target"),
    }
}

#[test]
fn the_grammar_of_the_book() {
    assert_eq!(place("root@web-1"), (None, "root".into(), "web-1".into()));
    assert_eq!(place("ada+root@web-1"), (Some("ada".into()), "root".into(), "web-1".into()));
    assert_eq!(
        place("ada+svc%2Bbuild%40corp%25@db.example"),
        (Some("ada".into()), "svc+build@corp%".into(), "db.example".into())
    );
    assert_eq!("ada".parse(), Ok(Address::Chooser { handle: Some("ada".parse().unwrap()) }));
    assert_eq!("".parse(), Ok(Address::Chooser { handle: None }));
}

#[test]
fn what_breaks_the_grammar_is_refused() {
    for bad in [
        "@web",
        "root@",
        "ada+@web",
        "+root@web",
        "Ada+root@web",
        "a+b+c@web",
        "a%zz@web",
        "a%2@web",
        "a\n@web",
        "root@WEB",
        "a@b@web",
        &format!("root@{}", "x".repeat(64)),
        &format!("{}+root@web", "h".repeat(33)),
    ] {
        assert!(bad.parse::<Address>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn printing_and_parsing_agree(handle in proptest::option::of("[a-z0-9._-]{1,32}"), account in "[^\\p{Cc}]{1,30}", target in "[a-z0-9.-]{1,63}") {
        let address = Address::Place {
            handle: handle.map(|h| h.parse().unwrap()),
            account: account.parse().unwrap(),
            target: target.parse().unwrap(),
        };
        prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = text.parse::<Address>();
    }
}
