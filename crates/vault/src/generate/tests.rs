use super::*;
use proptest::prelude::*;

fn make(rules: &Rules) -> String {
    generate(&Env::system(), rules).unwrap_or_else(|e| panic!("{e}")).expose().clone()
}

#[test]
fn house_rules_hold_every_time() {
    for _ in 0..200 {
        let text = make(&Rules::house());
        assert_eq!(text.len(), 32);
        assert!(text.starts_with(|c: char| c.is_ascii_alphabetic()), "{text}");
        assert!(text.contains(|c: char| c.is_ascii_lowercase()), "{text}");
        assert!(text.contains(|c: char| c.is_ascii_uppercase()), "{text}");
        assert!(text.contains(|c: char| c.is_ascii_digit()), "{text}");
        assert!(text.contains(|c: char| SYMBOL.contains(c)), "{text}");
    }
}

#[test]
fn platforms_have_their_caps() {
    for (platform, cap) in CAPS {
        let rules = Rules::platform(platform);
        if cap < MIN_LENGTH {
            assert_eq!(generate(&Env::system(), &rules).err(), Some(RulesError::TooShort(cap)));
            continue;
        }
        assert_eq!(make(&rules).len(), cap.min(32), "{platform}");
        assert_eq!(make(&Rules { length: cap, ..rules.clone() }).len(), cap);
        let over = generate(&Env::system(), &Rules { length: cap + 1, ..rules }).err();
        assert_eq!(over, Some(RulesError::TooLong { length: cap + 1, most: cap }));
    }
}

#[test]
fn draws_are_spread_evenly() {
    let mut seen = [0_u32; 10];
    let env = Env::system();
    for _ in 0..20_000 {
        seen[below(&env, 10)] += 1;
    }
    assert!(seen.iter().all(|n| (1_700..2_300).contains(n)), "{seen:?}");
    assert_eq!((below(&env, 0), below(&env, 1)), (0, 0));
}

#[test]
fn rules_that_cannot_be_met_are_refused() {
    let fails = |rules: Rules| generate(&Env::system(), &rules).err().unwrap();
    let house = Rules::house;
    assert_eq!(fails(Rules { forbidden: DIGIT.into(), ..house() }), RulesError::EmptyClass("digit"));
    assert_eq!(fails(Rules { symbols: "-ü".into(), ..house() }), RulesError::NoSymbol('ü'));
    assert_eq!(fails(Rules { symbols: "a".into(), ..house() }), RulesError::NoSymbol('a'));
    assert_eq!(fails(Rules { length: 8, ..house() }), RulesError::TooShort(8));
    let min = Minima { lower: 20, upper: 20, digit: 0, symbol: 0 };
    assert_eq!(fails(Rules { min, ..house() }), RulesError::Unfit { demanded: 40, length: 32 });
    let min = Minima { lower: 0, upper: 0, digit: 4, symbol: 4 };
    assert!(matches!(fails(Rules { min, ..house() }), RulesError::EmptyClass(_)));
    let min = Minima { lower: usize::MAX, upper: 2, digit: 0, symbol: 0 };
    assert!(matches!(fails(Rules { min, ..house() }), RulesError::Unfit { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_rules_are_met_or_refused(
        length in 0_usize..80, lower in 0_usize..6, upper in 0_usize..6, digit in 0_usize..6, symbol in 0_usize..6,
        forbidden in "[a-e0-4._-]{0,6}", letter: bool,
    ) {
        let rules = Rules {
            length,
            min: Minima { lower, upper, digit, symbol },
            forbidden: forbidden.clone(),
            first: if letter { First::Letter } else { First::Any },
            ..Rules::house()
        };
        if let Ok(text) = generate(&Env::system(), &rules) {
            let text = text.expose();
            prop_assert_eq!(text.len(), length);
            prop_assert!(!text.contains(|c| forbidden.contains(c)));
            prop_assert!(text.bytes().filter(u8::is_ascii_lowercase).count() >= lower);
            prop_assert!(text.bytes().filter(u8::is_ascii_uppercase).count() >= upper);
            prop_assert!(text.bytes().filter(u8::is_ascii_digit).count() >= digit);
            prop_assert!(text.chars().filter(|c| SYMBOL.contains(*c)).count() >= symbol);
            prop_assert!(!letter || text.starts_with(|c: char| c.is_ascii_alphabetic()));
        }
    }
}
