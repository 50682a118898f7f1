//! Programs with options and languages of their own in which other programs are named.

use super::Word;
use super::unwrap::{Inner, LOOSE, after, apart, is_flag, joined, loose, own};
use crate::glob::Place;

pub(super) fn xargs(rest: &[Word], shown: &[String]) -> Vec<Inner> {
    let Some(words) = after(rest, shown, "aEILnPsdJ", 0) else { return Vec::new() };
    let options = shown.get(..shown.len().saturating_sub(words.len())).unwrap_or_default();
    let mut found = Vec::new();
    if rest.iter().take(options.len()).any(loose) || options.iter().any(|word| word.starts_with("--")) {
        found.push(Inner::Unclear(LOOSE));
        found.extend(words.get(1..).filter(|words| !words.is_empty()).map(|words| apart(words.to_vec())));
    }
    // What stands for a word of its input; other ways to take its input apart.
    let placed = options.iter().any(|word| word.starts_with(['-']) && word.contains(['I', 'i', 'J', 'r']));
    let odd = options.iter().any(|word| word.contains(['I', 'i', 'J', 'd', '0', 'a', 'e', 'E']));
    let place = options.iter().zip(options.iter().skip(1).chain([&String::new()])).find_map(|(word, next)| {
        let given = word.strip_prefix("-I").or_else(|| word.strip_prefix("-J"))?;
        Some(if given.is_empty() { next.clone() } else { given.to_owned() })
    });
    let place = place.unwrap_or_else(|| "{}".to_owned());
    let replaced = |word: &Word| {
        let held = word.shown().contains(&place) || word.shown().contains("{}");
        if placed && held { Word::unknown() } else { word.clone() }
    };
    let mut words: Vec<Word> = words.iter().map(replaced).collect();
    if odd {
        words.push(Word(vec![Place::Several]));
        found.push(apart(words));
    } else {
        found.push(Inner::Fed { words });
    }
    found
}

/// `find ... -exec words ;`
pub(super) fn find(rest: &[Word], shown: &[String]) -> Vec<Inner> {
    let flags = ["-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec", "--exec-batch"];
    let mut found = Vec::new();
    // A word that is not known may be such an option, where words follow that end it.
    let ends = shown.iter().any(|word| matches!(word.as_str(), ";" | "+"));
    if rest.iter().any(|word| word.0.contains(&Place::Several) || ends && loose(word)) {
        found.push(Inner::Unclear(LOOSE));
    }
    for (at, _) in shown.iter().enumerate().filter(|(_, word)| flags.contains(&word.as_str())) {
        let begin = at.saturating_add(1);
        let count = shown.iter().skip(begin).take_while(|word| !matches!(word.as_str(), ";")).count();
        let words = rest.iter().skip(begin).take(count);
        let words: Vec<Word> =
            words.map(|word| if word.shown().contains("{}") { Word::unknown() } else { word.clone() }).collect();
        if !words.is_empty() {
            found.push(apart(words));
        }
    }
    found
}

/// `docker exec c words`, `kubectl exec p -- words`.
pub(super) fn container(name: &str, rest: &[Word], shown: &[String]) -> Vec<Inner> {
    let Some(verb) = shown.iter().position(|word| matches!(word.as_str(), "exec" | "run")) else { return Vec::new() };
    let begin = verb.saturating_add(1);
    let (rest, shown) = (rest.get(begin..).unwrap_or_default(), shown.get(begin..).unwrap_or_default());
    let words = match shown.iter().position(|word| word == "--") {
        Some(at) => rest.get(at.saturating_add(1)..),
        None if name == "kubectl" || name == "oc" => after(rest, shown, "cnf", 1),
        None => after(rest, shown, "eulwvphm", 1),
    };
    let words = words.filter(|words| !words.is_empty());
    words.map(|words| apart(words.to_vec())).into_iter().collect()
}

/// Options of programs for something else that run a program.
pub(super) fn hidden(name: &str, shown: &[String]) -> Vec<Inner> {
    let prefixes: &[&str] = match name {
        "tar" => &["--checkpoint-action=exec=", "--to-command=", "--use-compress-program=", "--rsh-command=", "-I"],
        "rsync" => &["--rsh=", "-e"],
        "split" => &["--filter="],
        "socat" => &["EXEC:", "exec:", "SYSTEM:", "system:", "SHELL:", "shell:"],
        "tcpdump" => &["-z"],
        "nc" | "ncat" => &["-e", "-c", "--exec=", "--sh-exec="],
        "man" => &["--pager=", "-P"],
        "zip" => &["--unzip-command=", "-TT"],
        _ => &["ProxyCommand=", "-oProxyCommand=", "-S"],
    };
    let mut found = Vec::new();
    for (at, word) in shown.iter().enumerate() {
        for prefix in prefixes {
            let Some(value) = word.strip_prefix(prefix) else { continue };
            let text = if value.is_empty() { shown.get(at.saturating_add(1)).map(String::as_str) } else { Some(value) };
            found.extend(text.map(|text| own(Word::new(text))));
        }
    }
    found
}

/// Settings of `git` that are commands, by the end of their names.
const SETTINGS: [&str; 14] = [
    "pager",
    "editor",
    "sshcommand",
    "fsmonitor",
    "askpass",
    "external",
    "textconv",
    "command",
    "cmd",
    "clean",
    "smudge",
    "process",
    "driver",
    "gitproxy",
];

/// `git -c name=value`: aliases and helpers behind `!`, and settings that are commands.
pub(super) fn git(shown: &[String]) -> Vec<Inner> {
    let mut found = Vec::new();
    for (flag, setting) in shown.iter().zip(shown.iter().skip(1)) {
        let Some((name, value)) = setting.split_once('=').filter(|_| flag == "-c") else { continue };
        let name = name.to_ascii_lowercase();
        let last = name.rsplit('.').next().unwrap_or_default();
        match value.strip_prefix('!') {
            Some(text) => found.push(own(Word::new(text))),
            None if SETTINGS.contains(&last) || name.starts_with("pager.") => found.push(own(Word::new(value))),
            None => {}
        }
    }
    found
}

/// `ip netns exec NAME words`, `ip vrf exec NAME words`.
pub(super) fn netns(rest: &[Word], shown: &[String]) -> Vec<Inner> {
    // Names of its objects may be shortened, and so may `exec`.
    let verb = shown.iter().position(|word| word.len() > 1 && "exec".starts_with(word.as_str()));
    let words = verb.and_then(|at| rest.get(at.saturating_add(2)..)).filter(|words| !words.is_empty());
    words.map(|words| apart(words.to_vec())).into_iter().collect()
}

/// `start-stop-daemon --exec path -- words`, or `--startas path`.
pub(super) fn daemon(rest: &[Word], shown: &[String]) -> Vec<Inner> {
    let more = shown.iter().position(|word| word == "--").and_then(|at| rest.get(at.saturating_add(1)..));
    let mut found = Vec::new();
    for (at, word) in shown.iter().enumerate() {
        let given = ["--exec=", "--startas="].iter().find_map(|flag| word.strip_prefix(flag)).map(Word::new);
        let next =
            matches!(word.as_str(), "-x" | "-a" | "--exec" | "--startas").then(|| rest.get(at.saturating_add(1)));
        if let Some(program) = given.or_else(|| next.flatten().cloned()) {
            found.push(apart(std::iter::once(program).chain(more.unwrap_or_default().iter().cloned()).collect()));
        }
    }
    found
}

/// Verbs of `tmux` behind which a shell reads a text. They may be shortened.
const VERBS: [&str; 14] = [
    "new-session",
    "new-window",
    "neww",
    "split-window",
    "splitw",
    "respawn-pane",
    "respawnp",
    "respawn-window",
    "respawnw",
    "run-shell",
    "if-shell",
    "pipe-pane",
    "pipep",
    "display-popup",
];

/// `tmux new-session 'text'`. Which letters take values differs from verb to verb, so that the text may begin at several places.
pub(super) fn tmux(rest: &[Word], shown: &[String]) -> Vec<Inner> {
    let verb = |word: &String| word.len() > 1 && VERBS.iter().any(|verb| verb.starts_with(word.as_str()));
    let Some(begin) = shown.iter().position(verb).map(|at| at.saturating_add(1)) else { return Vec::new() };
    texts(rest.get(begin..).unwrap_or_default(), shown.get(begin..).unwrap_or_default())
}

/// `screen -dm words`, unless it is there to look at another one.
pub(super) fn screen(rest: &[Word], shown: &[String]) -> Vec<Inner> {
    let looks = |word: &String| ['r', 'x', 'R', 'X', 'Q', 'l', 'w'].iter().any(|letter| is_flag(word, *letter));
    if shown.iter().take_while(|word| word.starts_with('-')).any(looks) { Vec::new() } else { texts(rest, shown) }
}

/// Texts that may begin at the first operand, or at the one behind it where that may be an option's value.
fn texts(rest: &[Word], shown: &[String]) -> Vec<Inner> {
    let mut found = Vec::new();
    let mut valued = false;
    for (at, word) in shown.iter().enumerate() {
        let flag = word.starts_with('-');
        if !flag {
            found.push(own(joined(rest.get(at..).unwrap_or_default())));
            if !valued {
                break;
            }
        }
        valued = flag;
    }
    found
}

/// awk runs what its program says in `system()` and pipes.
pub(super) fn awk(name: &str, shown: &[String]) -> Vec<Inner> {
    let runs = |word: &&String| word.contains("system(") || word.contains("system (") || word.contains('|');
    shown.iter().find(runs).map(|_| Inner::Foreign(name.to_owned())).into_iter().collect()
}

/// GNU sed runs what its script says in `e`. Only the plainest scripts are known not to.
pub(super) fn sed(rest: &[Word]) -> Vec<Inner> {
    let plain = |text: &str| {
        let Some(separator) = text.strip_prefix('s').and_then(|rest| rest.chars().next()) else {
            let found = text.starts_with('/') && (text.ends_with("/d") || text.ends_with("/p"));
            return !text.contains('e') || found && text.matches('/').count() == 2 && !text.contains('\n');
        };
        text.rsplit(separator).next().is_some_and(|flags| !flags.contains('e')) && !text.contains([';', '\n', '{'])
    };
    // The first operand is one, or what stands behind `-e`; a file of them is not known.
    let shown: Vec<String> = rest.iter().map(|word| word.text().unwrap_or_else(|| "?e".to_owned())).collect();
    let mut scripts = Vec::new();
    for (word, next) in shown.iter().zip(shown.iter().skip(1).map(Some).chain([None])) {
        match word.strip_prefix("--expression=").or_else(|| word.strip_prefix("-e")) {
            Some("") => scripts.extend(next.map(String::as_str)),
            Some(script) => scripts.push(script),
            None if is_flag(word, 'f') || word.starts_with("--f") || word.starts_with("--e") => scripts.push("e"),
            None if is_flag(word, 'e') => scripts.extend(next.map(String::as_str)),
            None => {}
        }
    }
    if scripts.is_empty() {
        scripts.extend(shown.iter().find(|word| !word.starts_with('-')).map(String::as_str));
    }
    let odd = scripts.into_iter().any(|script| !plain(script));
    if odd || rest.iter().any(loose) { vec![Inner::Foreign("sed".to_owned())] } else { Vec::new() }
}

pub(super) fn foreign(letters: &str, long: &[&str], shown: &[String]) -> bool {
    let given = |word: &String| {
        let bundled = word.starts_with('-') && !word.starts_with("--") && word.contains(|c: char| letters.contains(c));
        bundled && !letters.is_empty() || long.iter().any(|flag| word.starts_with(flag))
    };
    shown.iter().take_while(|word| word.starts_with(['-', '+', ':'])).any(given)
        || shown.iter().any(|word| word.starts_with("+!") || word.starts_with(":!") || long.contains(&word.as_str()))
}
