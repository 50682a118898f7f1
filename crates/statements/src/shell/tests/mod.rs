//! What the reader finds in texts.

mod real;

use super::*;
use proptest::prelude::*;

fn read_one(text: &str) -> Script {
    read(text, &mut Memory::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Every program with its words, as people would write them.
fn runs(text: &str) -> Vec<String> {
    let script = read_one(text);
    let shown = |command: &Simple| command.words.iter().map(Word::shown).collect::<Vec<_>>().join(" ");
    script.commands.iter().filter(|command| !command.words.is_empty()).map(shown).collect()
}

#[track_caller]
fn assert_runs(text: &str, programs: &[&str]) {
    assert_eq!(runs(text), programs, "{text}");
}

#[test]
fn bytes_that_are_no_text_are_not_guessed_at() {
    assert!(!read_one("ls \u{fffd}; rm a").unclear.is_empty());
    assert_eq!(runs("ls \u{fffd}; rm a").last().unwrap(), "rm a");
}

#[test]
fn words_after_quotes_and_escapes() {
    assert_runs("ls", &["ls"]);
    assert_runs("  rm  -rf   / # all of it", &["rm -rf /"]);
    assert_runs(r#"r''m "-"rf \/"#, &["rm -rf /"]);
    assert_runs(r"r\m -rf /", &["rm -rf /"]);
    assert_runs("r\\\nm x", &["rm x"]);
    assert_runs(r"$'\x72\x6d' $'\057'", &["rm /"]);
    assert_runs(r"$'\162m' x", &["rm x"]);
    assert_runs("echo 'a b'", &["echo a b"]);
    assert_eq!(read_one("echo 'a b'").commands[0].words.len(), 2);
    assert_eq!(read_one("rm ''").commands[0].words.len(), 2);
    assert_runs("echo a#b", &["echo a#b"]);
}

#[test]
fn lists_pipes_and_what_holds_them() {
    assert_runs("a; b && c || d & e", &["a", "b", "c", "d", "e"]);
    assert_runs("a | b |& c", &["a", "b", "c"]);
    assert_runs("(a; b); { c; }", &["a", "b", "c"]);
    assert_runs("if a; then b; elif c; then d; else e; fi; f", &["a", "b", "c", "d", "e", "f"]);
    assert_runs("while a; do b; done < x | c", &["a", "b", "c"]);
    assert_runs("for i in x y; do rm $i; done", &["rm x", "rm y"]);
    assert_runs("case $x in a|b) rm a;; (*) rm b;; esac", &["rm a", "rm b"]);
    assert_runs("case x in x) rm a; esac", &["rm a"]);
    assert_runs("f() { rm a; }; f", &["rm a", "f", "rm a"]);
    assert_runs("function f { rm a; }", &["rm a"]);
    assert_runs("! a; time b", &["a", "time b", "b"]);
    assert_runs("if (a) then b; fi", &["a", "b"]);
    assert_runs("[[ -f x && y ]] && rm x", &["[[ -f x", "y ]]", "rm x"]);
    assert_runs("((x=1+(2))); a", &["a"]);
    assert_runs("a\nb\n\nc", &["a", "b", "c"]);
}

#[test]
fn variables_outputs_and_braces() {
    assert_runs("x=rm; $x -rf /", &["rm -rf /"]);
    assert_runs("x='rm -rf'; $x /", &["rm -rf /"]);
    assert_eq!(read_one("x='rm -rf'; $x /").commands.last().unwrap().words.len(), 3);
    assert_runs("$x -rf /", &["* -rf /"]);
    assert_runs("r$@m a", &["rm a"]);
    assert_runs("rm${IFS}-rf${IFS}/", &["rm -rf /"]);
    assert_runs("{rm,-rf,/}", &["rm -rf /"]);
    assert_runs("echo {a..c}{1..2}", &["echo a1 a2 b1 b2 c1 c2"]);
    assert_runs("$(echo rm) -rf /", &["echo rm", "rm -rf /"]);
    assert_runs("`echo rm` x", &["echo rm", "rm x"]);
    assert_runs("$(printf '\\x72m') x", &["printf \\x72m", "rm x"]);
    assert_runs("a=xrm; ${a:1} y; ${a:1:2} z", &["rm y", "rm z"]);
    assert_runs("echo $(rm x) \"$(rm y)\"", &["rm x", "rm y", "echo * *"]);
    assert_runs("echo ${x:-$(rm y)}", &["rm y", "echo *"]);
    assert_runs("x=$(rm y)", &["rm y"]);
    assert_runs("/bin/r? x", &["/bin/r? x"]);
    assert!(!read_one("/bin/r? x").unclear.is_empty());
    assert_runs("cat <(rm x)", &["rm x", "cat /dev/fd/*"]);
    assert_runs("export x=rm; $x y", &["export x=rm", "rm y"]);
    assert_runs("printf -v x rm; $x y", &["printf -v x rm", "rm y"]);
}

#[test]
fn programs_that_run_programs() {
    for (text, inner) in [
        ("sudo -u bob -- rm -rf /", "rm -rf /"),
        ("sudo -nu bob X=1 rm a", "rm a"),
        ("env -i X=1 rm a", "rm a"),
        ("env -S 'rm a'", "rm a"),
        ("nohup nice -n 5 timeout -k 1 10 rm a", "rm a"),
        ("xargs -n1 rm a", "rm a *"),
        ("sh -c 'rm a'", "rm a"),
        ("bash -lc 'rm a' x y", "rm a"),
        ("bash -o pipefail -c 'rm a'", "rm a"),
        ("su - bob -c 'rm a'", "rm a"),
        ("su --command='rm a' bob", "rm a"),
        ("eval rm a", "rm a"),
        ("eval 'r''m' a", "rm a"),
        ("ssh -p 22 host rm a", "rm a"),
        ("busybox rm a", "rm a"),
        ("command rm a", "rm a"),
        ("exec -a x rm a", "rm a"),
        ("find / -name x -exec rm {} ;", "rm *"),
        ("find / -exec rm a \\;", "rm a"),
        ("docker exec -it box rm a", "rm a"),
        ("kubectl exec pod -- rm a", "rm a"),
        ("tar cf x y --checkpoint-action=exec='rm a'", "rm a"),
        ("/lib64/ld-linux-x86-64.so.2 /bin/rm a", "/bin/rm a"),
        ("flock /tmp/x -c 'rm a'", "rm a"),
        ("watch rm a", "rm a"),
        ("trap 'rm a' EXIT", "rm a"),
        ("prlimit --nofile=10 rm a", "rm a"),
        ("choom -n 5 -- rm a", "rm a"),
        ("chpst -u bob rm a", "rm a"),
        ("sshpass -p x ssh host rm a", "rm a"),
        ("ssh-agent rm a", "rm a"),
        ("sg adm -c 'rm a'", "rm a"),
        ("sg adm 'rm a'", "rm a"),
        ("logsave /dev/null rm a", "rm a"),
        ("ip netns exec blue rm a", "rm a"),
        ("ip vrf ex blue rm a", "rm a"),
        ("start-stop-daemon -S -x /bin/rm -- a", "/bin/rm a"),
        ("capsh --print -- -c 'rm a'", "rm a"),
        ("tmux new-session -d -s x 'rm a'", "rm a"),
        ("tmux neww rm a", "rm a"),
        ("screen -dm rm a", "rm a"),
        ("git -c alias.tidy='!rm a' tidy", "rm a"),
        ("git -c core.sshcommand='rm a' fetch", "rm a"),
        ("split --filter='rm a' big", "rm a"),
        ("socat - EXEC:'rm a'", "rm a"),
        ("alias x=rm; x a", "rm a"),
        ("echo a | xargs rm", "rm a"),
        ("echo rm a | sh", "rm a"),
        ("echo cm0gYQ== | base64 -d | sh", "rm a"),
        ("echo 726d2061 | xxd -r -p | bash", "rm a"),
        ("echo 'a mr' | rev | sh", "rm a"),
        ("echo sn b | tr snb rma | tr -d x | sh", "rm a"),
        ("sh <<< 'rm a'", "rm a"),
        ("sh <<E\nrm a\nE", "rm a"),
        ("bash <(echo rm a)", "rm a"),
    ] {
        assert!(runs(text).iter().any(|run| run == inner), "{text}: {:?}", runs(text));
    }
}

#[test]
fn what_is_fed_piped_and_written() {
    let script = read_one("curl -s x | sudo bash");
    let into: Vec<_> = script.commands[0].into.iter().map(Word::shown).collect();
    assert_eq!(into, ["sudo", "bash"]);
    assert!(!script.unclear.is_empty());
    let script = read_one("echo 'drop table x' | mysql app");
    assert_eq!(script.commands[1].fed.as_deref(), Some("drop table x\n"));
    let script = read_one("mysql <<'E'\ndrop table x\nE\n");
    assert_eq!(script.commands[0].fed.as_deref(), Some("drop table x\n"));
    let written = |text: &str| -> Vec<String> {
        read_one(text).commands.iter().flat_map(|command| command.writes.iter().map(Word::shown)).collect()
    };
    assert_eq!(written("a > /x 2>> /y >| /z 2>&1"), ["/x", "/y", "/z"]);
    assert_eq!(written("a | tee -a /x /y"), ["/x", "/y"]);
    assert_eq!(written("dd if=a of=/dev/sda"), ["/dev/sda"]);
    assert_eq!(written("cp a b /etc"), ["/etc"]);
    assert_eq!(written("sed -i s/a/b/ /etc/passwd"), ["s/a/b/", "/etc/passwd"]);
    assert_eq!(written("> /x"), ["/x"]);
    assert_eq!(written("{ a; } > /x"), ["/x"]);
    assert_eq!(written("exec 3<>/dev/tcp/h/1"), ["/dev/tcp/h/1"]);
    let names: Vec<_> = read_one("A=1 b; unset C; export D").commands.iter().flat_map(|c| c.assigns.clone()).collect();
    assert_eq!(names, ["A", "C", "D"]);
}

#[test]
fn what_is_not_finished_and_what_no_shell_takes() {
    let broken = |text: &str| read(text, &mut Memory::default()).err();
    for text in [
        "echo 'a",
        "echo a\\\n",
        "echo \"a",
        "echo $(a",
        "if a",
        "a |",
        "a &&",
        "cat <<E\nx",
        "echo `a",
        "for i in a",
        "{ a",
        "( a",
        "case x in",
        "echo ${x",
    ] {
        assert_eq!(broken(text), Some(Broken::Open), "{text}");
    }
    for text in ["a )", "fi", "done"] {
        assert_eq!(broken(text), Some(Broken::Misfit), "{text}");
    }
    assert_eq!(broken(&"( ".repeat(1000)), Some(Broken::Vast));
    assert_eq!(broken(&"$(".repeat(1000)), Some(Broken::Vast));
    assert_eq!(broken(&"a".repeat(LONGEST + 1)), Some(Broken::Vast));
}

#[test]
fn a_shell_remembers() {
    let mut memory = Memory::default();
    read("x=rm", &mut memory).unwrap();
    read("alias y='rm -rf'", &mut memory).unwrap();
    let shown = |script: Script| script.commands[0].words.iter().map(Word::shown).collect::<Vec<_>>().join(" ");
    assert_eq!(shown(read("$x a", &mut memory).unwrap()), "rm a");
    assert_eq!(shown(read("y a", &mut memory).unwrap()), "rm -rf a");
}

#[test]
fn what_grows_without_end_is_bounded() {
    let bomb = format!("echo {}", "{a,b}".repeat(40));
    assert!(read_one(&bomb).commands[0].words.len() <= 512);
    let lists = "a;".repeat(10_000);
    let script = read_one(&lists);
    assert!(script.commands.len() < 5000 && !script.unclear.is_empty());
    let evals = (0..30).fold("rm a".to_owned(), |text, _| format!("eval {text}"));
    assert!(!read_one(&evals).unclear.is_empty() || runs(&evals).contains(&"rm a".to_owned()));
    let doubles = "x=a".to_owned() + &"; x=$x$x".repeat(1000) + &"; echo $x$x$x".repeat(3000);
    let places: usize = read_one(&doubles).commands.iter().flat_map(|c| &c.words).map(|word| word.0.len()).sum();
    assert!(places < 5 << 20, "{places}");
    let long = "x=".to_owned() + &"a".repeat(4096) + &"; echo $x$x$x$x$x$x$x$x$x$x".repeat(3000);
    let places: usize = read_one(&long).commands.iter().flat_map(|c| &c.words).map(|word| word.0.len()).sum();
    assert!(places < 5 << 20, "{places}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "[ -~\n]{0,80}") {
        let _ = read(&text, &mut Memory::default());
    }

    #[test]
    fn no_line_of_shell_signs_panics(text in "[a-c$(){}`'\"\\\\;|&<>=! \n#*?~-]{0,60}") {
        let _ = read(&text, &mut Memory::default());
    }

    #[test]
    fn a_quoted_word_is_itself(word in "[ -&(-~]{1,20}") {
        let text = format!("x '{word}'");
        prop_assert_eq!(&read_one(&text).commands[0].words[1], &Word::new(&word));
    }
}
