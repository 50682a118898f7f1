use super::*;

fn read(effect: Effect, annotations: &[(&str, &str)]) -> Result<Terms, Vec<String>> {
    Terms::read(effect, annotations.iter().copied())
}

fn permit(key: &str, value: &str) -> Result<Terms, String> {
    read(Effect::Permit, &[(key, value)]).map_err(|errors| errors.join("\n"))
}

#[test]
fn every_known_annotation_is_read() {
    let terms = read(
        Effect::Permit,
        &[
            ("id", "dba"),
            ("description", "what it is for"),
            ("require_approval", "dba-leads:2"),
            ("require_ticket", ""),
            ("require_step_up", ""),
            ("require_device", ""),
            ("max_duration", "4h"),
            ("idle", "15m"),
            ("hold", "90s"),
            ("record", "strict"),
            ("commands", "read-only, no-drop"),
            ("clipboard", "down"),
            ("transfer", "none"),
            ("join", "notified"),
            ("four_eyes", ""),
            ("post_quantum", "both"),
            ("agent", "unattended"),
            ("rotate_after_use", ""),
            ("recording", "enhanced"),
            ("capture", "64KiB"),
        ],
    )
    .unwrap();
    let facts: Vec<_> = terms.facts().collect();
    assert_eq!(facts, ["approval:dba-leads:2", "device", "step-up", "ticket"]);
    let limits = terms.bounds.limits();
    assert_eq!((limits.max_duration, limits.idle, limits.hold), (14_400, 900, 90));
    assert_eq!((limits.record, limits.clipboard, limits.transfer), (Record::Strict, Crossing::Down, Crossing::None));
    assert_eq!((limits.recording, limits.capture), (Detail::Enhanced, 65_536));
    assert!(limits.rotate_after_use && limits.commands.len() == 2 && limits.four_eyes);
    assert_eq!((limits.post_quantum, Limits::house().post_quantum), (Legs::Both, Legs::None));
    assert_eq!((limits.join, Limits::house().join), (Consent::Notified, Consent::Asked));
    assert_eq!((limits.agent, Limits::house().agent), (Signing::Unattended, Signing::Asked));
    let unenforceable: Vec<_> = terms.bounds.unenforceable().collect();
    assert_eq!(unenforceable, ["@clipboard", "@rotate_after_use"]);
    for fact in terms.facts() {
        assert!(terms.demands.contains(&Demand::of_fact(&fact)), "{fact} is read back");
    }
}

#[test]
fn every_typo_is_refused_with_the_right_key() {
    for (known, _) in KEYS {
        let mut typos = vec![format!("{known}s"), format!("x{known}"), known.to_uppercase()];
        typos.extend((1..known.len()).map(|skip| {
            let kept = known.chars().enumerate().filter(|(at, _)| *at != skip);
            kept.map(|(_, c)| c).collect::<String>()
        }));
        for typo in typos.iter().filter(|typo| KEYS.iter().all(|(key, _)| key != *typo)) {
            let error = permit(typo, "").unwrap_err();
            assert!(error.starts_with(&format!("@{typo} is unknown")), "{error}");
        }
    }
    assert_eq!(permit("max_duratoin", "4h").unwrap_err(), "@max_duratoin is unknown: did you mean @max_duration?");
    assert_eq!(
        permit("requires_approval", "a:1").unwrap_err(),
        "@requires_approval is unknown: did you mean @require_approval?"
    );
    assert!(
        permit("watermark", "x").unwrap_err().contains("the annotations are @agent, @capture, @clipboard, @commands")
    );
}

#[test]
fn every_bad_value_is_refused() {
    for (key, values) in [
        (
            "max_duration",
            &["", "4", "h", "4 h", "04h", "0h", "-1h", "4x", "25h", "2d", "99999999999h", "1h30m", "4H"][..],
        ),
        ("idle", &["", "0s", "1.5h", "25h"]),
        ("hold", &["", "61m", "2h", "m"]),
        ("record", &["", "none", "Full", "off"]),
        ("clipboard", &["", "yes", "Both"]),
        ("transfer", &["", "in"]),
        ("recording", &["", "full", "none", "Enhanced"]),
        ("capture", &["", "0MiB", "1", "1MB", "01MiB", "1 MiB", "-1KiB", "65MiB", "99999999999999999999KiB"]),
        ("commands", &["", "a,,b", "A", "a b"]),
        ("require_approval", &["", "a", "a:", ":1", "a:0", "a:10", "a:01", "a:+1", "A:1", "a:1:"]),
        ("require_ticket", &["yes"]),
        ("require_step_up", &["true"]),
        ("require_device", &["1"]),
        ("rotate_after_use", &["true"]),
        ("post_quantum", &["", "target", "Both", "none"]),
        ("agent", &["", "Unattended", "yes", "none"]),
        ("limit", &["x"]),
        ("id", &["", "a b", "ü"]),
    ] {
        for value in values {
            let error = permit(key, value).unwrap_err();
            assert!(error.contains(&format!("@{key}")), "@{key}({value:?}): {error}");
        }
    }
    assert!(permit("record", "none").unwrap_err().contains("a session without a recording does not exist"));
    let Ok(terms) = permit("require_approval", "sallyport:admin:1") else { panic!("a group may hold a colon") };
    assert_eq!(terms.facts().next().unwrap(), "approval:sallyport:admin:1");
}

#[test]
fn annotations_on_the_wrong_effect_are_refused() {
    for (key, sort) in KEYS {
        let value = match key {
            "max_duration" | "idle" | "hold" => "1m",
            "record" => "full",
            "recording" => "enhanced",
            "capture" => "1MiB",
            "clipboard" | "transfer" => "none",
            "require_approval" => "a:1",
            "join" => "notified",
            "post_quantum" => "client",
            "agent" => "asked",
            "commands" | "id" | "description" => "a",
            _ => "",
        };
        assert_eq!(read(Effect::Forbid, &[(key, value)]).is_ok(), sort == Sort::Word, "@{key}");
        let with_limit = read(Effect::Permit, &[("limit", ""), ("idle", "1m"), (key, value)]);
        assert_eq!(with_limit.is_ok(), sort != Sort::Demand, "@limit with @{key}");
    }
    assert!(read(Effect::Permit, &[("limit", "")]).is_err(), "a limit that limits nothing");
}

#[test]
fn what_no_policy_names_is_the_houses_and_a_permit_may_go_beyond_it() {
    let none = Bounds::default();
    assert_eq!(none.limits(), Limits::house());
    let long = permit("max_duration", "12h").unwrap().bounds;
    assert_eq!(none.join(&long).limits().max_duration, 12 * 3600);
    let short = permit("max_duration", "1h").unwrap().bounds;
    assert_eq!(long.join(&short).limits().max_duration, 3600);
    assert_eq!(short.join(&long), long.join(&short));
    let (down, up) = (permit("transfer", "down").unwrap().bounds, permit("transfer", "up").unwrap().bounds);
    assert_eq!(down.join(&up).limits().transfer, Crossing::None);
    let (asked, alone) = (permit("agent", "asked").unwrap().bounds, permit("agent", "unattended").unwrap().bounds);
    assert_eq!(none.join(&alone).limits().agent, Signing::Unattended);
    assert_eq!(alone.join(&asked).limits().agent, Signing::Asked);
}
