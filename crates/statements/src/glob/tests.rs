use super::*;
use proptest::prelude::*;

fn places(text: &str) -> Vec<Place> {
    text.chars()
        .map(|c| match c {
            '*' => Place::Any,
            '?' => Place::One,
            c => Place::Char(c),
        })
        .collect()
}

#[test]
fn patterns_take_whole_texts() {
    for (pattern, text, fits) in [
        ("rm", "rm", true),
        ("rm", "rmdir", false),
        ("rm*", "rmdir", true),
        ("*", "", true),
        ("?", "", false),
        ("a?c", "abc", true),
        ("a*b*c", "axxbyyc", true),
        ("a*b*c", "axxbyy", false),
        ("/etc/*", "/etc/passwd", true),
        ("wget|curl", "curl", true),
        ("wget|curl", "curly", false),
        ("", "", true),
    ] {
        assert_eq!(alternatives(pattern, text, Sense::Exact), fits, "{pattern} {text}");
    }
    assert!(alternatives("/ADD", "/add", Sense::Loose));
    assert!(!alternatives("/ADD", "/add", Sense::Exact));
}

#[test]
fn unknown_places_may_be_anything() {
    assert_eq!(word("rm", &places("r?"), Sense::Exact), Sure::Maybe);
    assert_eq!(word("rm", &places("/bin/r?"), Sense::Exact), Sure::No);
    assert_eq!(word("rm", &places("*"), Sense::Exact), Sure::Maybe);
    assert_eq!(word("rm", &places("r*x"), Sense::Exact), Sure::No);
    assert_eq!(word("*", &places("*"), Sense::Exact), Sure::Yes);
    assert_eq!(word("*drop*", &places("a*"), Sense::Exact), Sure::Maybe);
    assert_eq!(word("", &places("*"), Sense::Exact), Sure::Maybe);
    assert_eq!(word("a", &places(""), Sense::Exact), Sure::No);
}

/// What a pattern means, said slowly.
fn slow(pattern: &[Place], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((Place::Any | Place::Several, rest)) => (0..=text.len()).any(|n| slow(rest, &text[n..])),
        Some((Place::One, rest)) => !text.is_empty() && slow(rest, &text[1..]),
        Some((Place::Char(c), rest)) => text.first() == Some(c) && slow(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn a_pattern_means_what_it_says(pattern in "[ab*?]{0,6}", text in "[ab]{0,6}") {
        let chars: Vec<char> = text.chars().collect();
        prop_assert_eq!(alternatives(&pattern, &text, Sense::Exact), slow(&places(&pattern), &chars));
    }

    #[test]
    fn two_patterns_meet_where_a_text_fits_both(a in "[ab*?]{0,4}", b in "[ab*?]{0,4}") {
        let texts = (0..=8_u32).flat_map(|n| (0..1_u32 << n).map(move |bits| (0..n).map(|i| if bits >> i & 1 == 1 { 'a' } else { 'b' }).collect::<Vec<_>>()));
        let both = texts.into_iter().any(|text| slow(&places(&a), &text) && slow(&places(&b), &text));
        prop_assert_eq!(word(&a, &places(&b), Sense::Exact) != Sure::No, both);
    }
}
