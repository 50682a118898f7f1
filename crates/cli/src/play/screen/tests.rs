use super::*;
use proptest::prelude::*;

fn output(bytes: &[u8]) -> EventRef<'_> {
    EventRef { at: 0, channel: 1, what: WhatRef::Output(bytes) }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8(Screen::default().show(&output(bytes))).unwrap()
}

/// The rest of what was written after one thing that may be there; none where something else is.
fn allowed(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    let first = chars.next()?;
    let rest = chars.as_str();
    match first {
        '\x08' | '\t' | '\n' | '\r' => Some(rest),
        '\x1b' => allowed_sequence(rest),
        c => (!c.is_control() && !is_steering(c)).then_some(rest),
    }
}

fn allowed_sequence(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix(['D', 'E', 'M', '7', '8']) {
        return Some(rest);
    }
    let csi = text.strip_prefix('[')?;
    let end = csi.find(|c: char| !matches!(c, '0'..='9' | ';' | ':' | '?'))?;
    let (numbers, rest) = csi.split_at(end);
    let mut chars = rest.chars();
    let (last, rest) = (chars.next()?, chars.as_str());
    if numbers.split([';', ':', '?']).any(|n| n.len() > 4) {
        return None;
    }
    let fine = match last {
        'A'..='I' | 'L' | 'M' | 'P' | 'S' | 'T' | 'X' | 'Z' | '@' | '`' | 'a' | 'b' | 'd' | 'e' | 'f' | 'r' => {
            numbers.chars().all(|c| matches!(c, '0'..='9' | ';')) && !(last == 'T' && numbers.contains(';'))
        }
        'J' | 'K' => matches!(numbers, "" | "0" | "1" | "2"),
        'm' => !numbers.contains('?') && numbers != "8",
        's' | 'u' => numbers.is_empty(),
        'h' | 'l' => matches!(numbers, "4" | "?7" | "?25" | "?1049"),
        _ => false,
    };
    fine.then_some(rest)
}

fn is_harmless(bytes: &[u8]) -> bool {
    let mut rest = std::str::from_utf8(bytes).expect("the output is UTF-8");
    while !rest.is_empty() {
        match allowed(rest) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

#[test]
fn what_a_screen_needs_comes_through() {
    let same = [
        "plain\r\ntext\twith \x08 größe 日本 👩\u{200d}🚀",
        "\x1b[0m\x1b[1;31mred\x1b[38;5;8mgrey\x1b[48;2;1;2;3mback\x1b[4:3mcurly\x1b[38:2:1:2:3m\x1b[107m",
        "\x1b[5A\x1b[5B\x1b[5C\x1b[5D\x1b[3E\x1b[3F\x1b[7G\x1b[7d\x1b[3;4H\x1b[3;4f",
        "\x1b[0J\x1b[1J\x1b[2J\x1b[0K\x1b[2K\x1b[3X\x1b[2@\x1b[2P\x1b[2L\x1b[2M\x1b[1S\x1b[1T\x1b[9b",
        "\x1b[2;20r\x1b[?25l\x1b[?25h\x1b[?1049h\x1b[?1049l\x1b[?7l\x1b[4h\x1b[s\x1b[u\x1b7\x1b8\x1bM\x1bD\x1bE",
    ];
    for text in same {
        assert_eq!(shown(text.as_bytes()), text);
        assert!(is_harmless(text.as_bytes()), "{text:?}");
    }
    assert_eq!(shown(b"\x1b(0lqk\x1b(Blqk"), "┌─┐lqk");
    assert_eq!(shown(b"\x1b)0\x0elqk\x0flqk"), "┌─┐lqk");
    assert_eq!(shown(b"a\x0bb\x0cc"), "a\nb\nc");
    assert_eq!(shown(b"\x1b[?1047h\x1b[?47l"), "\x1b[?1049h\x1b[?1049l");
}

/// Sources: xterm "ctlseqs"; CVE-2003-0063 (title report), CVE-2008-2383 (DECRQSS), CVE-2019-9535 (tmux control mode in
/// iTerm2), CVE-2022-45872 (DECRQSS in iTerm2), CVE-2024-38395 (title report in iTerm2); the kitty graphics, keyboard and
/// clipboard protocols; sixel (DEC STD 070); "Trojan Source" (CVE-2021-42574).
#[test]
fn the_corpus_of_escapes_leaves_nothing_but_its_text() {
    let corpus: &[(&str, &[u8], &str)] = &[
        ("clipboard write", b"a\x1b]52;c;cm0gLXJmIC8=\x07b", "ab"),
        ("clipboard write, ST", b"a\x1b]52;p;cm0gLXJmIC8=\x1b\\b", "ab"),
        ("clipboard read", b"a\x1b]52;c;?\x07b", "ab"),
        ("kitty clipboard", b"a\x1b]5522;type=read;dGV4dA==\x1b\\b", "ab"),
        ("title", b"a\x1b]0;root@prod\x07b\x1b]2;x\x1b\\c", "abc"),
        ("title, unended", b"a\x1b]0;root@prod", "a"),
        ("title report", b"a\x1b[21tb\x1b[20tc\x1b[22;0td\x1b[23te", "abcde"),
        ("window operations", b"a\x1b[8;500;500tb\x1b[3;0;0tc\x1b[14td\x1b[18te\x1b[2tf", "abcdef"),
        ("link", b"\x1b]8;;https://evil.example\x07click\x1b]8;;\x07", "click"),
        ("link, id", b"\x1b]8;id=1;file:///etc/passwd\x1b\\click\x1b]8;;\x1b\\", "click"),
        ("colour query", b"a\x1b]10;?\x07b\x1b]4;1;?\x1b\\c", "abc"),
        ("notification", b"a\x1b]9;hello\x07b\x1b]777;notify;a;b\x07c\x1b]99;;hi\x1b\\d", "abcd"),
        ("iTerm2 file", b"a\x1b]1337;File=name=eA==;inline=0:AAAA\x07b", "ab"),
        ("iTerm2 tmux mode", b"a\x1bP1000p%begin\r\n\x1b\\b", "ab"),
        ("DECRQSS", b"a\x1bP$q\"p\x1b\\b\x1bP$q\nid\n\x1b\\c", "abc"),
        ("XTGETTCAP", b"a\x1bP+q544e\x1b\\b", "ab"),
        ("DECUDK", b"a\x1bP0;1|17/726d\x1b\\b", "ab"),
        ("sixel", b"a\x1bPq#0;2;0;0;0#0!9999~-\x1b\\b", "ab"),
        ("sixel, unended", b"a\x1bPq#0!99999999~", "a"),
        ("kitty graphics", b"a\x1b_Ga=T,f=24,s=10000,v=10000;AAAA\x1b\\b", "ab"),
        ("screen title, tmux passthrough", b"a\x1bktitle\x1b\\b\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\c", "atitlebc"),
        ("SOS, PM", b"a\x1bXhidden\x1b\\b\x1b^hidden\x1b\\c", "abc"),
        ("device attributes", b"a\x1b[cb\x1b[>cc\x1b[=cd\x1bZe", "abcde"),
        ("reports", b"a\x1b[5nb\x1b[6nc\x1b[?6nd\x1b[?15ne\x1b[>qf\x1b[1xg", "abcdefg"),
        ("mode report", b"a\x1b[?2004$pb\x1b[4$pc", "abc"),
        ("rectangle checksum", b"a\x1b[1;1;1;1;1;1*yb\x1b[1;1;2;2$wc", "abc"),
        ("presentation state", b"a\x1b[1$wb\x1b[2$wc\x1b[&ud", "abcd"),
        ("mouse", b"a\x1b[?1000hb\x1b[?1002;1003;1006hc\x1b[?9hd\x1b[1;2;3;4;5Te", "abcde"),
        ("paste, focus", b"a\x1b[?2004hb\x1b[?1004hc", "abc"),
        ("keyboard", b"a\x1b[>4;2mb\x1b[>1uc\x1b[=5ud\x1b[?ue\x1b[?1hf\x1b=g\x1b>h\x1b[2hi", "abcdefghi"),
        ("answerback, bells", b"a\x05b\x07\x07\x07c\x00d", "abcd"),
        ("printing", b"a\x1b[5ib\x1b[4ic\x1b[0id\x1b[?5ie", "abcde"),
        ("LEDs, alignment, selection", b"a\x1b[1qb\x1b#8c\x1b[2 qd\x1b[!pe", "abcde"),
        ("scrollback", b"a\x1b[3Jb", "ab"),
        ("columns, reverse, origin", b"a\x1b[?3hb\x1b[?5hc\x1b[?40hd\x1b[?6he", "abcde"),
        ("synchronised output", b"a\x1b[?2026hb", "ab"),
        ("conceal", b"\x1b[8mhidden\x1b[1;8mtoo", "hidden\x1b[1mtoo"),
        ("C1, 8 bit", b"a\x9b6nb\x9d52;c;eA==\x9cc\x90q\x9cd", "a6nb52;c;eA==cqd"),
        ("C1, UTF-8", "a\u{9b}6nb\u{9d}0;x\u{9c}c\u{90}d\u{85}e\u{84}f".as_bytes(), "a6nb0;xcdef"),
        ("direction", "a\u{202e}b\u{2066}c\u{2069}d\u{200f}e\u{61c}f\u{2028}g".as_bytes(), "abcdefg"),
        ("tags", "a\u{e0072}\u{e006d}b\u{fff9}c".as_bytes(), "abc"),
        ("delete", b"a\x7fb", "ab"),
        ("cancelled", b"a\x1b[31\x18b\x1b]0;x\x1ac", "abc"),
        ("many intermediates", b"a\x1b[?!$6nb\x1b !!(0c", "abc"),
        ("private colours", b"a\x1b[?1mb\x1b[<1mc", "abc"),
        ("locking shifts", b"a\x1bnb\x1boc\x1b|d\x1bN", "abcd"),
        ("character sets", b"a\x1b%@b\x1b%Gc\x1b*0d\x1b-Ae", "abcde"),
        ("tab stops", b"a\x1bHb\x1b[3gc\x1b[?5Wd", "abcd"),
        ("margins, left and right", b"a\x1b[?69hb\x1b[1;2sc", "abc"),
    ];
    for (name, bytes, wanted) in corpus {
        assert_eq!(&shown(bytes), wanted, "{name}");
        let mut cut = Screen::default();
        let pieces: Vec<u8> = bytes.chunks(1).flat_map(|byte| cut.show(&output(byte))).collect();
        assert_eq!(String::from_utf8_lossy(&pieces), *wanted, "{name}, cut after every byte");
        assert!(is_harmless(&pieces), "{name}");
    }
}

#[test]
fn no_character_is_lost_at_a_cut() {
    for text in ["\u{ae}0\u{1980}", "ü\x1b[1mé", "\u{1f680}x\u{1f680}"] {
        for cut in 1..text.len() {
            let mut screen = Screen::default();
            let (one, two) = text.as_bytes().split_at(cut);
            let pieces = [screen.show(&output(one)), screen.show(&output(two))].concat();
            assert_eq!(String::from_utf8(pieces).unwrap(), text, "{cut}");
        }
    }
    assert_eq!(shown(b"a\xffb\xc3(c\xe2\x82"), "a\u{fffd}b\u{fffd}(c");
    assert_eq!(
        [b"ab".as_slice(), b"\xc3", b"\xe2\x82", b"\xf0\x9f\x9a", b"\xe2\x82\xac", b"\x80\x80\x80"].map(partial),
        [0, 1, 2, 3, 0, 0]
    );
}

#[test]
fn numbers_are_bounded() {
    assert_eq!(shown(b"\x1b[99999999999Ca"), "\x1b[999Ca");
    assert_eq!(shown(b"x\x1b[65535b"), "x\x1b[999b");
    assert_eq!(shown(b"\x1b[1;2;3Ha"), "a");
    let long = format!("\x1b[{}ma", "1;".repeat(500));
    assert_eq!(shown(long.as_bytes()), "a");
    assert_eq!(shown(b"\x1b[38;2;1ma"), "a");
    assert_eq!(shown(b"\x1b[38;9;1ma"), "a");
}

#[test]
fn an_endless_control_string_is_given_up() {
    let mut screen = Screen::default();
    let mut bytes = b"\x1b]52;c;".to_vec();
    bytes.resize(4 * LONGEST, b'A');
    bytes.extend_from_slice(b"\x1b]52;c;AAAA\x07end");
    let shown = screen.show(&output(&bytes));
    assert!(shown.len() < bytes.len() && shown.ends_with(b"Aend"), "{}", shown.len());
    assert!(is_harmless(&shown));
    assert!(screen.channels.values().all(|channel| channel.graphics.silent <= LONGEST));
}

#[test]
fn channels_do_not_end_each_others_sequences() {
    let mut screen = Screen::default();
    let mut show = |channel, bytes| screen.show(&EventRef { at: 0, channel, what: WhatRef::Output(bytes) });
    assert_eq!(show(1, b"\x1b]52;c;"), b"");
    assert_eq!(show(2, b"two\x07"), b"two");
    assert_eq!(show(1, b"eA==\x07one"), b"one");
    for channel in 0..200 {
        show(channel, b"\x1b[");
    }
    assert!(screen.channels.len() <= CHANNELS);
}

#[test]
fn only_output_is_shown() {
    let mut screen = Screen::default();
    let mut show = |what| screen.show(&EventRef { at: 0, channel: 1, what });
    assert_eq!(show(WhatRef::Input(b"secret")), b"");
    assert_eq!(show(WhatRef::Resize { cols: 999, rows: 999 }), b"");
    assert_eq!(show(WhatRef::Mark { kind: "command", text: "\x1b[2J" }), b"");
    assert_eq!(show(WhatRef::Stderr(b"err\x07")), b"err");
    assert_eq!(show(WhatRef::Output(b"\x1b]0;")), b"");
    assert_eq!(show(WhatRef::Close { exit: None, signal: None }), b"");
    assert_eq!(show(WhatRef::Output(b"new")), b"new");
}

#[test]
fn the_viewers_terminal_is_brought_back() {
    let mut screen = Screen::default();
    screen.show(&output(b"plain"));
    assert_eq!(screen.restore(), b"");
    screen.show(&output(b"\x1b[31m\x1b[?25l"));
    let restore = String::from_utf8(screen.restore()).unwrap();
    assert!(restore.ends_with("\x1b[?25h\x1b[0m") && !restore.contains("1049"), "{restore:?}");
    screen.show(&output(b"\x1b[?1049h"));
    assert!(screen.restore().windows(8).any(|part| part == b"\x1b[?1049l"));
    screen.show(&output(b"\x1bc\x1b[?1049l"));
    assert!(is_harmless(&screen.restore()));
}

/// Bytes that are often part of something dangerous.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\x1b".to_vec()),
        Just(b"\x1b[".to_vec()),
        Just(b"\x1b[?".to_vec()),
        Just(b"\x1b]".to_vec()),
        Just(b"\x1bP".to_vec()),
        Just(b"\x1b\\".to_vec()),
        Just("\u{9b}".as_bytes().to_vec()),
        Just("\u{202e}".as_bytes().to_vec()),
        "[0-9;:]{0,6}".prop_map(String::into_bytes),
        "[ -/@-~]".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_but_what_is_allowed_comes_out_however_it_is_cut(bytes in hostile(), cut in 1_usize..9) {
        let whole = Screen::default().show(&output(&bytes));
        prop_assert!(is_harmless(&whole), "{:?}", String::from_utf8_lossy(&whole));
        let mut screen = Screen::default();
        let pieces: Vec<u8> = bytes.chunks(cut).flat_map(|piece| screen.show(&output(piece))).collect();
        prop_assert!(is_harmless(&pieces), "{:?}", String::from_utf8_lossy(&pieces));
        prop_assert!(is_harmless(&screen.restore()));
    }

    #[test]
    fn text_survives_every_cut(text in "\\PC{0,60}", cut in 1_usize..9) {
        let text: String = text.chars().filter(|c| !is_steering(*c)).collect();
        let mut screen = Screen::default();
        let pieces: Vec<u8> = text.as_bytes().chunks(cut).flat_map(|piece| screen.show(&output(piece))).collect();
        prop_assert_eq!(String::from_utf8(pieces).unwrap(), text);
    }
}
