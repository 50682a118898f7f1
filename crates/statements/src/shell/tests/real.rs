//! The reader against real shells: whatever they run, it must have named or called unknown.

use crate::Rules;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sallyport_model::rules::RuleSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lines of which bash or dash runs `touch`.
const RUN: &str = include_str!("run.txt");
/// Lines that run it in another setting: a terminal, another shell, bash with options.
const MAY: &str = include_str!("may.txt");

/// Commands that scripts are made of, what they are made into, and signs.
const PLAIN: &str = include_str!("plain.txt");
const FORMS: &str = include_str!("forms.txt");
const SIGNS: &str = include_str!("signs.txt");

/// A directory of the test's own, with a `touch` that leaves a mark.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("words-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("bin")).unwrap();
        let probe = dir.join("bin/touch");
        fs::write(&probe, format!("#!/bin/dash\n: >'{}'/ran.$MARK\n", dir.display())).unwrap();
        fs::set_permissions(&probe, fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    /// Whether this shell runs `touch` for this text, itself or by what it leaves behind: all of those hold descriptor
    /// 9, and `cat` sees its end when the last of them has gone.
    fn runs(&self, shell: &str, text: &str, number: usize) -> bool {
        let here = self.0.join(format!("{shell}-{number}"));
        fs::create_dir(&here).unwrap();
        let path = format!("{}:/usr/bin:/bin", self.0.join("bin").display());
        let mark = format!("{shell}{number}");
        let _ = Command::new("timeout")
            .args(["-s", "KILL", "3", "dash", "-c", "\"$0\" -c \"$1\" 9>&1 >/dev/null | cat", shell, text])
            .env_clear()
            .envs([("PATH", path.as_str()), ("MARK", mark.as_str()), ("FUNCNEST", "20"), ("HOME", "/nowhere")])
            .current_dir(&here)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let ran = self.0.join(format!("ran.{mark}")).exists() || here.join("X").exists();
        let _ = fs::remove_dir_all(here);
        ran
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn rules() -> Rules {
    let set = "name = \"s\"\ndescription = \"d\"\nunknown = \"block\"\n[[command]]\nid = \"a\"\nact = \"block\"\nwhy = \"w\"\nprogram = \"touch\"\n";
    let set: RuleSet = toml::from_str(set).unwrap();
    Rules::new(&[set])
}

/// The texts that a shell runs `touch` for, though the rules let them pass; and how many it ran for at all.
fn missed(name: &str, texts: &[String]) -> (Vec<String>, usize) {
    let (place, rules, next, ran) = (Place::new(name), rules(), AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut missed = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(text) = texts.get(at) else { return missed };
            let passes = rules.command(text).is_none();
            // What is stopped anyway is run now and then, to know that the scripts do something.
            if !passes && at % 16 != 0 {
                continue;
            }
            let hit = ["bash", "dash"].into_iter().filter(|shell| place.runs(shell, text, at)).collect::<Vec<_>>();
            ran.fetch_add(usize::from(!hit.is_empty()), Ordering::Relaxed);
            if passes && !hit.is_empty() {
                missed.push(format!("{hit:?} {text:?}"));
            }
        }
    };
    let mut all: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_by_key(String::len);
    (all, ran.into_inner())
}

/// So many texts of a sort, the same in every run; `WORDS_SEED` and `WORDS_CASES` ask for others where it is built.
fn texts(strategy: impl Strategy<Value = String>, count: usize) -> Vec<String> {
    let seed = option_env!("WORDS_SEED").and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let count = option_env!("WORDS_CASES").and_then(|count| count.parse().ok()).unwrap_or(count);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn listed(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.map(|line| {
        line.replace("<NL>", "\n")
            .replace("<SP>", " ")
            .replace("<CR>", "\r")
            .replace("<TAB>", "\t")
            .replace("<VT>", "\u{b}")
            .replace("<NBSP>", "\u{a0}")
    })
}

#[test]
fn what_shells_run_of_the_listed_lines_is_named_or_unknown() {
    let (rules, place) = (rules(), Place::new("listed"));
    let passes: Vec<String> = listed(RUN).chain(listed(MAY)).filter(|line| rules.command(line).is_none()).collect();
    assert!(passes.is_empty(), "these pass: {passes:#?}");
    let lines: Vec<String> = listed(RUN).collect();
    let idle: Vec<&String> = lines
        .iter()
        .enumerate()
        .filter(|(at, line)| !["bash", "dash"].iter().any(|shell| place.runs(shell, line, *at)))
        .map(|(_, line)| line)
        .collect();
    assert!(idle.is_empty(), "no shell runs it: {idle:#?}");
}

/// A command in which others are held.
fn held() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(listed(PLAIN).collect::<Vec<_>>());
    plain.prop_recursive(4, 24, 3, |inner| {
        let (a, b, c) = (inner.clone(), inner.clone(), inner.clone());
        let forms = prop::sample::select(listed(FORMS).collect::<Vec<_>>());
        (forms, a, b, c).prop_map(|(form, a, b, c)| {
            let of = |letter| match letter {
                'A' => a.clone(),
                'B' => b.clone(),
                'C' => c.clone(),
                other => String::from(other),
            };
            form.chars().map(of).collect()
        })
    })
}

/// Signs of a shell in any order.
fn soup() -> impl Strategy<Value = String> {
    let signs = prop::sample::select(listed(SIGNS).collect::<Vec<_>>());
    prop::collection::vec(signs, 1..14).prop_map(|signs| signs.concat())
}

#[test]
fn what_shells_run_of_made_up_scripts_is_named_or_unknown() {
    let (missed, ran) = missed("held", &texts(held(), 400));
    assert!(missed.is_empty(), "{} pass: {:#?}", missed.len(), missed.iter().take(20).collect::<Vec<_>>());
    assert!(ran > 0, "{ran}");
}

#[test]
fn what_shells_run_of_signs_in_any_order_is_named_or_unknown() {
    let (missed, ran) = missed("soup", &texts(soup(), 1000));
    assert!(missed.is_empty(), "{} pass: {:#?}", missed.len(), missed.iter().take(20).collect::<Vec<_>>());
    assert!(ran > 0, "{ran}");
}
