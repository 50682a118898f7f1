use super::*;
use proptest::prelude::*;

/// A terminal: what is typed, and what its target answers.
struct Terminal {
    echo: Echo,
    now: Instant,
    kept: String,
}

impl Terminal {
    fn new() -> Self {
        Self { echo: Echo::default(), now: Instant::now(), kept: String::new() }
    }

    fn keep(&mut self, kept: Vec<Kept>) {
        for kept in kept {
            match kept {
                Kept::Shown(bytes) => self.kept.push_str(&String::from_utf8_lossy(&bytes)),
                Kept::Hidden if self.kept.ends_with('•') => {}
                Kept::Hidden => self.kept.push('•'),
            }
        }
    }

    fn typed(&mut self, keys: impl AsRef<[u8]>) -> &mut Self {
        let kept = self.echo.typed(keys.as_ref(), self.now);
        self.keep(kept);
        self
    }

    fn output(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let kept = self.echo.output(bytes.as_ref(), self.now);
        self.keep(kept);
        self
    }

    /// Key by key, each with this answer.
    fn answered(&mut self, keys: &str, answer: impl Fn(char) -> String) -> &mut Self {
        for key in keys.chars() {
            self.typed(key.to_string()).output(answer(key));
        }
        self
    }

    fn echoed(&mut self, keys: &str) -> &mut Self {
        self.answered(keys, String::from)
    }

    fn kept(&mut self) -> String {
        std::mem::take(&mut self.kept)
    }

    fn end(&mut self) -> String {
        let kept = self.echo.end();
        self.keep(kept);
        self.kept()
    }
}

#[test]
fn what_is_shown_is_kept_and_what_is_not_shown_is_not() {
    let mut terminal = Terminal::new();
    terminal.output("$ ").echoed("su").typed("\r").output("\r\nPassword: ");
    assert_eq!(terminal.kept(), "su\r");
    for key in "hunter2".chars() {
        terminal.typed(key.to_string());
    }
    terminal.typed("\r").output("\r\nroot@web-1:~# ");
    assert_eq!(terminal.kept(), "•\r");
    terminal.echoed("id").typed("\r");
    assert_eq!(terminal.kept(), "id\r");
    // In one piece with its Enter, too.
    terminal.output("\r\nPassword: ").typed("hunter2\r").output("\r\nSorry.\r\n# ");
    assert_eq!(terminal.kept(), "•\r");
    terminal.typed("whoami\r").output("whoami\r\nroot\r\n# ");
    assert_eq!(terminal.end(), "whoami\r");
}

#[test]
fn stars_bullets_and_the_secret_of_another_line_are_no_echo() {
    for answer in ["*", "•", "x"] {
        let mut terminal = Terminal::new();
        terminal.output("PIN: ").answered("1234", |_| answer.into()).typed("\r").output("\r\n");
        assert_eq!(terminal.end(), "•\r", "{answer}");
    }
    // A secret that is the begin of what comes after it, where no new line answers the Enter (`read -s`).
    let mut terminal = Terminal::new();
    terminal.output("secret: ").typed("root").typed("\r").output("root@web-1:~# ");
    assert_eq!(terminal.end(), "•\r");
    let mut terminal = Terminal::new();
    terminal.output("secret: ").typed("root\r").output("root\x1b[K@web-1\r\n");
    assert_eq!(terminal.end(), "•\r");
}

#[test]
fn editing_redrawing_and_completion_are_followed() {
    let mut terminal = Terminal::new();
    // Put into the middle: what stands behind is drawn again.
    terminal.output("$ ").echoed("mkdr x").typed("\x1b[D\x1b[D\x1b[D").output("\x08\x08\x08");
    terminal.typed("i").output("ir x\x08\x08\x08").typed("-").output("-r x\x08\x08\x08").typed("\r");
    assert_eq!(terminal.kept(), "mkdr x\x1b[D\x1b[D\x1b[Di-\r");
    terminal.output("\r\n$ ").echoed("cat /et").typed("\t").output("c/").echoed("hosz").typed("\x7f");
    terminal.output("\x08\x1b[K").echoed("ts").typed("\r");
    assert_eq!(terminal.kept(), "cat /et\thosz\x7fts\r");
    // Over the end of a row.
    terminal.output("\r\n$ ").typed("echo end").output("echo e \rnd").typed("\r");
    assert_eq!(terminal.kept(), "echo end\r");
    terminal.output("\r\n$ ").typed("echo end").output("echo en\rnd").typed("\r");
    assert_eq!(terminal.kept(), "echo end\r");
    // As zsh does it: the character before is written once more.
    terminal
        .output("\r\n% ")
        .typed("l")
        .output("l")
        .typed("l")
        .output("\x08ll")
        .typed("s")
        .output("\x08ls")
        .typed("\r");
    assert_eq!(terminal.kept(), "lls\r");
    // Erased as the kernel does it, and typed faster than it is shown.
    terminal.output("\r\n").typed("ab\x7fc\r").output("ab\x08 \x08c\r\n");
    assert_eq!(terminal.kept(), "ab\x7fc\r");
    terminal.typed("ünï\r").output(b"\xc3\xbcn\xc3").output(b"\xaf\r\n");
    assert_eq!(terminal.end(), "ünï\r");
}

#[test]
fn programs_with_the_screen_for_themselves_keep_their_text_and_not_their_single_keys() {
    let mut terminal = Terminal::new();
    terminal.output("\x1b[?1049h\x1b[H").typed("i").output("\x1b[24;1H\x1b[1m-- INSERT --\x1b[m\x1b[1;1H");
    for key in "hello".chars() {
        terminal.typed(key.to_string()).output(format!("{key}\x1b[24;63H1,5\x1b[1;6H"));
    }
    terminal.typed("\x1b").output("\x1b[24;1H\x1b[K\x1b[1;5H").typed("dd").output("\x1b[1;1H\x1b[K");
    terminal.typed(":").output("\x1b[24;1H:").echoed("wq").typed("\r").output("\r\n");
    assert_eq!(terminal.end(), "•hello\x1b•\r", "what was no line of its own is not sure enough");
}

#[test]
fn what_somebody_else_writes_in_between_keeps_a_secret_hidden() {
    let log = "2026-11-28 hunter2 the quick brown fox jumps over the lazy dog 0123456789\r\n";
    // Before, in between, and after the Enter.
    let mut terminal = Terminal::new();
    terminal.output("Password: ").typed("hun").output(log).typed("ter2").output(log).typed("\r").output(log.repeat(99));
    assert_eq!(terminal.end(), "•\r");
    // All at once, ahead of the prompt that asks for it, and a long answer.
    let mut terminal = Terminal::new();
    terminal.output("$ ").typed("read -s x; ls /etc\rpassword\r");
    terminal.output("read -s x; ls /etc\r\n").output("pam.d\r\ncommon-password\r\npassword\r\n$ ");
    assert_eq!(terminal.end(), "read -s x; ls /etc\r•\r");
}

#[test]
fn a_paste_is_kept_as_far_as_it_is_shown_at_once() {
    let mut terminal = Terminal::new();
    terminal.output("$ \x1b[?2004h").typed("\x1b[200~echo one\necho two\x1b[201~");
    terminal.output("\x1b[7mecho one\r\necho two\x1b[27m").typed("\r").output("\r\n");
    assert_eq!(terminal.kept(), "\x1b[200~echo one\necho two\x1b[201~\r");
    terminal.output("Password: ").typed("\x1b[200~hunter2\x1b[201~").typed("\r").output("\r\n");
    assert_eq!(terminal.kept(), "\x1b[200~•\x1b[201~\r");
}

#[test]
fn keys_that_come_as_sequences_are_no_way_around() {
    // The keypad's digits, `CSI u`, modifyOtherKeys, the clipboard, and an escape that somebody typed.
    for keys in ["\x1bOq\x1bOr", "\x1b[104;1u", "\x1b[27;2;72~", "\x1b]52;c;aHVudGVy\x07", "\x1bhunter2", "\x1b[12"] {
        let mut terminal = Terminal::new();
        terminal.output("Password: ").typed(keys).typed("\r").output("\r\n");
        let kept = terminal.end();
        assert!(kept == "•\r" || kept == "\x1b•\r", "{keys:?}: {kept:?}");
    }
    let mut terminal = Terminal::new();
    terminal.output("Password: ").typed("\x1b[A\x7f\x01\t").typed("\x03");
    assert_eq!(terminal.end(), "\x1b[A\x7f\x01\t\x03", "what moves is no secret");
}

#[test]
fn an_echo_that_is_too_late_and_keys_without_end_are_not_kept() {
    let mut terminal = Terminal::new();
    terminal.output("$ ").typed("late");
    terminal.now += LATE + Duration::from_secs(1);
    terminal.output("late").typed("\r").output("\r\n");
    assert_eq!(terminal.end(), "•\r");
    let mut terminal = Terminal::new();
    for _ in 0..4 * MOST {
        terminal.typed("x");
        assert!(terminal.echo.waiting.keys.len() <= MOST);
    }
    terminal.output("y".repeat(NOISE + 1));
    assert!(terminal.echo.waiting.keys.is_empty(), "what nobody shows in so much text waits for ever");
    terminal.echoed("next").typed("\r");
    assert!(terminal.end().ends_with("next\r"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever a target writes, what is kept of text is text that it wrote; and nothing that steers gets lost.
    #[test]
    fn nothing_is_kept_that_was_not_shown(
        talk in proptest::collection::vec((any::<bool>(), "[a-c\r\n\x1b\\[ABm\x08*]{0,9}"), 0..40),
    ) {
        let mut terminal = Terminal::new();
        let mut shown = String::new();
        for (typed, text) in &talk {
            if *typed {
                terminal.typed(text.replace("\x1b", ""));
            } else {
                terminal.output(text);
                shown.push_str(text);
            }
        }
        let kept = terminal.end();
        for key in ["a", "b", "c", "*"] {
            prop_assert!(kept.matches(key).count() <= shown.matches(key).count(), "{kept:?} of {talk:?}");
        }
        let lines = |text: &str| text.matches(['\r', '\n', '\x08']).count();
        let typed: usize = talk.iter().filter(|(typed, _)| *typed).map(|(_, text)| lines(text)).sum();
        prop_assert_eq!(lines(&kept), typed);
    }

    #[test]
    fn no_bytes_make_it_panic(talk in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..20)) {
        let mut terminal = Terminal::new();
        for (typed, bytes) in talk {
            if typed { terminal.typed(bytes) } else { terminal.output(bytes) };
        }
        terminal.end();
        prop_assert!(terminal.echo.waiting.keys.is_empty());
    }
}
