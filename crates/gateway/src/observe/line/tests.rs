use super::*;
use sallyport_model::rules::{CommandRule, Grammar, RuleSet};

fn shell() -> Shell {
    Shell::new(Size { cols: 20, rows: 6 }, Platform::Posix).unwrap()
}

fn rules() -> Rules {
    let rule = CommandRule {
        id: "kept".into(),
        act: Act::Block,
        why: "it is kept".into(),
        program: "mkdir".into(),
        ..CommandRule::default()
    };
    Rules::new(&[rules_of(vec![rule])])
}

fn rules_of(commands: Vec<CommandRule>) -> RuleSet {
    RuleSet {
        name: "mine".parse().unwrap(),
        description: "for tests".into(),
        grammar: Grammar::Shell,
        unknown: Act::Alert,
        otherwise: Act::Pass,
        commands,
        files: Vec::new(),
    }
}

/// Types text that the terminal shows as it is told to.
async fn types(shell: &Shell, keys: &[u8], echo: &[u8]) {
    shell.begins().await;
    shell.sent(keys);
    shell.output(echo);
}

#[tokio::test]
async fn what_stands_behind_the_prompt_is_the_line() {
    let shell = shell();
    shell.output(b"welcome\r\nada@web-1:~$ ");
    types(&shell, b"ls -l", b"ls -l").await;
    assert_eq!(shell.line().await, Line::Shown("ls -l".into()));
    shell.over();
    shell.output(b"\r\ntotal 0\r\nada@web-1:~$ ");
    assert_eq!(shell.line().await, Line::None, "nothing was typed");
    // Longer than the screen is wide, and changed in its middle.
    types(&shell, b"mkdxr a-directory-of-a-long-name", b"mkdxr a-directory-of-a-long-name").await;
    types(&shell, b"edit", b"\x1b[2A\x1b[17Gi\x1b[2B").await;
    assert_eq!(shell.line().await, Line::Shown("mkdir a-directory-of-a-long-name".into()));
}

#[tokio::test]
async fn a_line_from_the_history_is_read_as_it_stands() {
    let shell = shell();
    shell.output(b"$ ");
    // The whole row is written anew, prompt and all.
    types(&shell, b"\x1b[A", b"\r\x1b[K$ mkdir x").await;
    assert_eq!(shell.line().await, Line::Shown("mkdir x".into()));
    shell.over();
    shell.output(b"\r\n$ ");
    types(&shell, b"\x12mk", b"\r\x1b[K(i-search)`mk': mkdir x").await;
    assert_eq!(shell.line().await, Line::Shown("mkdir x".into()));
}

#[tokio::test]
async fn no_line_is_read_without_echo_or_in_the_alternate_screen() {
    let shell = shell();
    shell.output(b"Password: ");
    shell.begins().await;
    shell.sent(b"hunter2");
    let hidden = shell.line().await;
    assert_eq!(hidden, Line::Hidden("hunter2".to_owned().into()));
    assert_eq!(shell.judge(&rules(), &hidden), None);
    let hidden = Line::Hidden("mkdir x".to_owned().into());
    let found = shell.judge(&rules(), &hidden).unwrap();
    assert_eq!((found.act, found.command.as_str()), (Act::Block, "(typed without echo)"));
    shell.over();
    shell.output(b"\x1b[?1049h\x1b[H");
    types(&shell, b"mkdir x", b"mkdir x").await;
    assert_eq!(shell.line().await, Line::None);
}

#[tokio::test]
async fn lines_that_go_on_are_judged_together() {
    let shell = shell();
    let judged = |text: &str| shell.judge(&rules(), &Line::Shown(text.into()));
    assert_eq!(judged("echo 'a"), None);
    assert_eq!(judged("b'; mkdir x").unwrap().rule, "mine/kept");
    assert_eq!(judged("sh <<E"), None);
    assert_eq!(judged("mkdir x"), None);
    assert_eq!(shell.over(), CANCEL);
    assert_eq!(judged("E").unwrap().rule, "mine/kept");
    assert_eq!(judged("x=mkdir"), None);
    assert_eq!(judged("$x y").unwrap().rule, "mine/kept");
    assert_eq!(shell.over(), CLEAR);
}

#[tokio::test]
async fn what_is_typed_ahead_of_a_prompt_is_read_both_ways() {
    let shell = shell();
    shell.output(b"$ ");
    types(&shell, b"sleep 1", b"sleep 1").await;
    shell.line().await;
    shell.over();
    shell.output(b"\r\n");
    // The prompt comes after what is typed, and in front of it.
    types(&shell, b"mkdir x", b"now> mkdir x").await;
    let line = shell.line().await;
    assert_eq!(line, Line::Shown("now> mkdir x".into()));
    assert_eq!(shell.judge(&rules(), &line).unwrap().rule, "mine/kept");
}

#[tokio::test]
async fn a_terminal_of_any_size_is_read() {
    for (cols, rows) in [(0, 0), (0, 9), (9, 0), (1, 1), (u16::MAX, u16::MAX)] {
        let lines = Lines::default();
        lines.resize(1, Size { cols, rows });
        let shell = lines.shell(1).expect("a terminal without a reader is a way around rules");
        shell.output(b"$ ");
        lines.resize(1, Size { cols: 0, rows: 0 });
        types(&shell, b"id", b"id").await;
        assert!(matches!(shell.line().await, Line::Shown(text) if text.contains("id")), "{cols} x {rows}");
    }
}

#[tokio::test]
async fn enter_alone_ends_a_piece_and_pasted_lines_stay_together_where_the_program_asked() {
    let shell = shell();
    assert_eq!((shell.piece(b"ls\rid"), shell.piece(b"\rid"), shell.piece(b"id")), (2, 1, 2));
    let pasted = b"\x1b[200~a\nb\x1b[201~\r";
    assert_eq!(shell.piece(pasted), 7, "nobody asked to be told of pastes");
    shell.output(b"\x1b[?2004h");
    assert_eq!(shell.piece(pasted), pasted.len() - 1);
}

/// Devices answer a question mark and a tab at once, below the line or in it, and write the line again.
#[tokio::test]
async fn help_and_completion_of_a_device_end_no_line_and_its_prompt_is_none() {
    let erase = CommandRule {
        id: "erase".into(),
        act: Act::Block,
        why: "it erases".into(),
        line: "wr[ite] er[ase]".into(),
        ..CommandRule::default()
    };
    let mut set = rules_of(vec![erase]);
    set.grammar = Grammar::Device;
    let rules = Rules::new(&[set]);
    for prompt in ["core-1#", "core-1>", "core-1(config)#"] {
        let shell = Shell::new(Size { cols: 60, rows: 10 }, Platform::CiscoIos).unwrap();
        shell.output(format!("welcome\r\n{prompt}").as_bytes());
        types(&shell, b"wr ", b"wr ").await;
        assert_eq!(shell.piece(b"?er\r"), 3, "a question mark is no end");
        let help = format!("?\r\n  erase   Erase startup-config\r\n  memory  Write it\r\n{prompt}wr ");
        types(&shell, b"?", help.as_bytes()).await;
        types(&shell, b"er", b"er").await;
        let line = shell.line().await;
        assert_eq!(line, Line::Shown("wr er".into()), "{prompt}");
        assert_eq!(shell.judge(&rules, &line).unwrap().rule, "mine/erase");
        shell.over();
        shell.output(format!("\r\n{prompt}").as_bytes());
        types(&shell, b"sh", b"sh").await;
        types(&shell, b"\t", format!("\r\n{prompt}show ").as_bytes()).await;
        types(&shell, b"ver", b"ver").await;
        let line = shell.line().await;
        assert_eq!(line, Line::Shown("show ver".into()), "{prompt}");
        assert_eq!(shell.judge(&rules, &line), None);
    }
}
