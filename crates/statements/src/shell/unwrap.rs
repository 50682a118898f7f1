//! Programs that run other programs: how to find the other one among their words.

use super::Word;
use super::options::{awk, container, daemon, find, foreign, git, hidden, netns, screen, sed, tmux, xargs};
use crate::glob::{Place, Sense};

/// A program that another one runs.
pub(super) enum Inner {
    /// These words, with these variables set; here, or in a process of its own.
    Words { words: Vec<Word>, assigns: Vec<(String, Word)>, here: bool },
    /// These words, and more from its input.
    Fed { words: Vec<Word> },
    /// A shell reads this text.
    Text { text: Word, way: Way },
    /// A text in another language; the program that reads it.
    Foreign(String),
    /// Nobody can tell; why.
    Unclear(&'static str),
}

/// How a shell reads a text.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// At once, in the same shell.
    Here,
    /// In the same shell, at another time.
    Later,
    /// In a shell of its own, that may be given arguments.
    Own { arguments: bool },
}

pub(super) fn own(text: Word) -> Inner {
    Inner::Text { text, way: Way::Own { arguments: false } }
}

pub(super) fn apart(words: Vec<Word>) -> Inner {
    Inner::Words { words, assigns: Vec::new(), here: false }
}

/// Why an option that is not known makes everything unknown.
pub(super) const LOOSE: &str = "an option or a program that nobody knows before it runs";

/// A program that runs the words after its own options.
struct Wrapper {
    name: &'static str,
    /// Letters of options that take a value.
    valued: &'static str,
    /// Words before the other program.
    skip: usize,
}

const fn wraps(name: &'static str, valued: &'static str, skip: usize) -> Wrapper {
    Wrapper { name, valued, skip }
}

const WRAPPERS: [Wrapper; 61] = [
    wraps("sudo", "ugpChrtTUDRac", 0),
    wraps("doas", "uCa", 0),
    wraps("pkexec", "", 0),
    wraps("run0", "uDM", 0),
    wraps("systemd-run", "puEMH", 0),
    wraps("env", "uC", 0),
    wraps("nohup", "", 0),
    wraps("time", "fo", 0),
    wraps("nice", "n", 0),
    wraps("ionice", "cnpPu", 0),
    wraps("chrt", "TPD", 1),
    wraps("taskset", "", 1),
    wraps("timeout", "ks", 1),
    wraps("setsid", "", 0),
    wraps("setpriv", "", 0),
    wraps("setarch", "", 1),
    wraps("linux64", "", 0),
    wraps("stdbuf", "ioe", 0),
    wraps("unbuffer", "", 0),
    wraps("chroot", "", 1),
    wraps("exec", "a", 0),
    wraps("command", "", 0),
    wraps("builtin", "", 0),
    wraps("busybox", "", 0),
    wraps("toybox", "", 0),
    wraps("strace", "aeEIoOpPsSuUX", 0),
    wraps("ltrace", "aAeDFlnopsuwx", 0),
    wraps("catchsegv", "", 0),
    wraps("watch", "n", 0),
    wraps("unshare", "SGRw", 0),
    wraps("nsenter", "tSG", 0),
    wraps("flock", "wE", 1),
    wraps("numactl", "mNCpiw", 0),
    wraps("cpulimit", "lpec", 0),
    wraps("gosu", "", 1),
    wraps("su-exec", "", 1),
    wraps("fakeroot", "", 0),
    wraps("dbus-run-session", "", 0),
    wraps("rlwrap", "", 0),
    wraps("torsocks", "", 0),
    wraps("proxychains", "f", 0),
    wraps("proxychains4", "f", 0),
    wraps("softlimit", "amdoslfcrp", 0),
    wraps("noglob", "", 0),
    wraps("nocorrect", "", 0),
    wraps("repeat", "", 1),
    wraps("runuser", "ugGsw", 0),
    wraps("prlimit", "p", 0),
    wraps("choom", "np", 0),
    wraps("chpst", "ueUnmdoplfcrt/", 0),
    wraps("setlock", "", 1),
    wraps("logsave", "", 1),
    wraps("cgexec", "g", 0),
    wraps("aa-exec", "pn", 0),
    wraps("eatmydata", "", 0),
    wraps("systemd-inhibit", "", 0),
    wraps("firejail", "", 0),
    wraps("xvfb-run", "enspfw", 0),
    wraps("valgrind", "", 0),
    wraps("sshpass", "fdpP", 0),
    wraps("ssh-agent", "aEOPt", 0),
];

/// Shells.
const SHELLS: [&str; 12] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "rbash", "yash"];
/// Shells that read otherwise than a POSIX shell does.
const OTHER_SHELLS: [&str; 4] = ["fish", "csh", "tcsh", "zsh"];

/// Letters of options, and whole options, with which programs read code of their own.
const FOREIGN: [(&str, &str, &[&str]); 13] = [
    ("python*|pypy*", "cm", &[]),
    ("perl*", "eEnpiM", &[]),
    ("ruby*", "e", &[]),
    ("node*|bun|deno", "epr", &["--eval", "--print", "eval"]),
    ("php*", "rBRE", &["--run"]),
    ("lua*", "e", &[]),
    ("osascript", "e", &[]),
    ("pwsh|powershell", "ceCE", &["-Command", "-EncodedCommand"]),
    ("gdb", "x", &["-ex", "-iex", "--eval-command", "--command"]),
    ("vi|vim|nvim|ex|view|rvim", "cS", &["--cmd"]),
    ("emacs", "", &["--eval", "-eval", "-l", "--load", "-f"]),
    ("expect|tclsh", "c", &[]),
    ("jshell|scala|julia|Rscript|R", "e", &[]),
];

/// Programs that read another language from their input, where no script is named.
const SPEAKS: &str =
    "python*|pypy*|perl*|ruby*|node*|php*|lua*|tclsh|expect|pwsh|powershell|gdb|ed|ex|R|Rscript|julia|irb|bc|make";
/// Clients of databases: they can run programs of the shell.
const CLIENTS: &str = "psql|mysql|mariadb|sqlite3|sqlplus|mongo|mongosh|redis-cli|ftp|sftp|telnet";
/// Programs that take parts of their input and leave the rest.
const SIPS: &str = "read|mapfile|readarray|head|tail|cat|tee|dd|sed|awk|gawk|mawk|grep|sort|tr|cut|od|xxd|base64|rev|wc|ssh|more|less|xargs|sudo|su|cp|vi|vim|ed|exec|line|select|install|tar|gzip|ffmpeg|docker|kubectl";

fn is(names: &str, name: &str) -> bool {
    crate::glob::alternatives(names, name, Sense::Exact)
}

/// Whether a program may take a part of its input, or all of it.
pub(super) fn sips(name: &str) -> bool {
    is(SIPS, name)
}

/// Whether a word may be an option, or several words.
pub(super) fn loose(word: &Word) -> bool {
    let begins = match word.0.as_slice() {
        [Place::Char('-'), rest @ ..] => rest.iter().any(|place| !matches!(place, Place::Char(_))),
        [Place::One | Place::Any, ..] => true,
        _ => false,
    };
    begins || word.0.contains(&Place::Several)
}

/// What a program runs in its turn.
pub(super) fn unwrap(name: &str, words: &[Word]) -> Vec<Inner> {
    let rest = words.get(1..).unwrap_or_default();
    let shown: Vec<String> = rest.iter().map(Word::shown).collect();
    if SHELLS.contains(&name) {
        return shell(name, rest, &shown);
    }
    let mut found = match name {
        "su" | "script" => {
            option(rest, &shown, 'c', &["--command", "--session-command"]).map(own).into_iter().collect()
        }
        "sg" => {
            let text = option(rest, &shown, 'c', &[]).or_else(|| rest.get(1).cloned());
            return text.map(own).into_iter().collect();
        }
        "eval" => return vec![Inner::Text { text: joined(rest), way: Way::Here }],
        "trap" => {
            let text = rest.iter().find(|word| !matches!(word.shown().as_str(), "--" | "-p" | "-l"));
            return text.map(|text| Inner::Text { text: text.clone(), way: Way::Later }).into_iter().collect();
        }
        "ssh" | "slogin" => {
            let mut found = hidden(name, &shown);
            found.extend(after(rest, &shown, "BbcDEeFIiJLlmOoPpQRSWw", 1).map(|rest| own(joined(rest))));
            found
        }
        "xargs" => return xargs(rest, &shown),
        "parallel" => {
            let words = until(rest, &shown, &[":::", "::::"]);
            return vec![Inner::Fed { words }, Inner::Unclear("words that parallel makes commands of")];
        }
        "find" | "fd" | "fdfind" => return find(rest, &shown),
        "ip" => netns(rest, &shown),
        "start-stop-daemon" => daemon(rest, &shown),
        "capsh" => {
            let text = shown.iter().position(|word| word == "--" || word == "==");
            return text
                .map(|at| shell(name, rest.get(at..).unwrap_or_default(), shown.get(at..).unwrap_or_default()))
                .unwrap_or_default();
        }
        "tmux" => return tmux(rest, &shown),
        "screen" => return screen(rest, &shown),
        "docker" | "podman" | "nerdctl" | "kubectl" | "oc" | "lxc" | "crictl" => container(name, rest, &shown),
        "git" => return git(&shown),
        "tar" | "rsync" | "man" | "zip" | "split" | "socat" | "tcpdump" | "nc" | "ncat" | "ftp" | "scp" | "sftp" => {
            return hidden(name, &shown);
        }
        "awk" | "gawk" | "mawk" | "nawk" => return awk(name, &shown),
        "sed" => return sed(rest),
        "hash" if shown.iter().any(|word| word.starts_with("-p")) => {
            return rest.iter().map(|word| apart(vec![word.clone()])).collect();
        }
        "." | "source" => {
            let odd = rest.first().is_some_and(|word| word.text().is_none_or(|text| descriptor(&text)));
            return odd.then_some(Inner::Unclear("a script that nobody knows before it runs")).into_iter().collect();
        }
        _ => Vec::new(),
    };
    if let Some((_, letters, long)) = FOREIGN.iter().find(|(program, ..)| is(program, name))
        && (foreign(letters, long, &shown) || rest.first().is_some_and(loose))
    {
        return vec![Inner::Foreign(name.to_owned())];
    }
    // The loader runs a program that it is given by its path.
    let loader = name.starts_with("ld-linux") || name.starts_with("ld-musl") || name.starts_with("ld.so");
    let wrapper = WRAPPERS.iter().find(|wrapper| wrapper.name == name);
    match wrapper {
        Some(wrapper) => found.extend(wrapped(wrapper, rest, &shown)),
        None if loader => found.extend(wrapped(&wraps("ld", "", 0), rest, &shown)),
        None if found.is_empty() => {}
        None if rest.iter().take_while(|word| word.shown().starts_with(['-', '*', '?'])).any(loose) => {
            found.push(Inner::Unclear(LOOSE));
        }
        None => {}
    }
    found
}

/// A path that stands for an open file.
fn descriptor(text: &str) -> bool {
    text.starts_with("/dev/fd") || text.contains("/fd/") || text == "/dev/stdin" || text == "/dev/tty"
}

/// Whether a program reads commands from its input, given these words.
pub(super) fn reads_script(name: &str, words: &[Word]) -> bool {
    let shown: Vec<String> = words.iter().skip(1).map(Word::shown).collect();
    // An option's value is no script, and nobody knows what all options are.
    let valued = |word: &String| {
        word.starts_with("--") || word.len() > 1 && word.starts_with(['-', '+']) && word.contains(['o', 'O'])
    };
    let operands =
        shown.iter().any(|word| !word.starts_with('-') && !word.starts_with('+')) && !shown.iter().any(valued);
    let stdin = shown.iter().any(|word| word == "-" || descriptor(word) || is_flag(word, 's'));
    let given = shown.iter().any(|word| is_flag(word, 'c'));
    match name {
        "source" | "." => stdin,
        "at" | "batch" => true,
        name if SHELLS.contains(&name) => !given && (stdin || !operands),
        "su" | "runuser" => !given,
        "sudo" | "doas" => shown
            .iter()
            .any(|word| is_flag(word, 'i') || is_flag(word, 's') || matches!(word.as_str(), "--login" | "--shell")),
        _ => false,
    }
}

pub(super) fn is_flag(word: &str, letter: char) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.contains(letter)
}

/// Whether a program reads code in another language from its input, given these words and, where it is known, that input.
pub(super) fn reads_code(name: &str, words: &[Word], fed: Option<&str>) -> bool {
    let shown: Vec<String> = words.iter().skip(1).map(Word::shown).collect();
    if is(CLIENTS, name) {
        let given = shown
            .iter()
            .any(|word| ["-c", "-e", "--command", "--execute", "--eval"].iter().any(|flag| word.starts_with(flag)));
        return fed.map_or(!given, |text| text.contains(['\\', '!']) || text.contains("system"));
    }
    let script = shown.iter().any(|word| !word.starts_with('-') && !descriptor(word));
    let makes = name == "make" && !shown.iter().any(|word| word == "-f-" || word == "-");
    !script
        && !makes
        && is(SPEAKS, name)
        && !shown.iter().any(|word| matches!(word.as_str(), "--version" | "-V" | "--help"))
}

/// Paths that a program writes by itself.
pub(super) fn written(words: &[Word]) -> Vec<Word> {
    let Some(name) = words.first().and_then(|word| word.name().text()) else { return Vec::new() };
    let rest = words.get(1..).unwrap_or_default();
    let is_flag = |word: &&Word| word.shown().starts_with('-');
    let operands = || rest.iter().filter(|word| !is_flag(word)).cloned();
    let has = |flag: char| rest.iter().filter(is_flag).any(|word| word.shown().contains(flag));
    match name.as_str() {
        "tee" | "truncate" | "shred" | "touch" | "vi" | "vim" | "nano" | "ed" | "sponge" | "visudo" => {
            operands().collect()
        }
        "cp" | "mv" | "install" | "ln" | "rsync" => operands().next_back().into_iter().collect(),
        "sed" | "perl" if has('i') => operands().collect(),
        "dd" => rest.iter().filter_map(|word| value(word, "of=")).collect(),
        "curl" | "wget" | "sort" | "gcc" | "cc" => {
            let flags = ["-o", "-O", "--output", "--output-document"];
            let named = rest.iter().zip(rest.iter().skip(1)).filter(|(flag, _)| flags.contains(&flag.shown().as_str()));
            named.map(|(_, path)| path.clone()).collect()
        }
        _ => Vec::new(),
    }
}

/// What stands behind `name=`.
fn value(word: &Word, prefix: &str) -> Option<Word> {
    word.shown().starts_with(prefix).then(|| Word(word.0.iter().skip(prefix.chars().count()).copied().collect()))
}

/// Words as one text, as a shell joins them.
pub(super) fn joined(words: &[Word]) -> Word {
    let mut all = Word::default();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            all.0.push(Place::Char(' '));
        }
        all.0.extend(&word.0);
    }
    all
}

/// The words behind a program's options, and behind so many words more.
pub(super) fn after<'a>(rest: &'a [Word], shown: &[String], valued: &str, skip: usize) -> Option<&'a [Word]> {
    let mut at = 0_usize;
    while let Some(word) = shown.get(at) {
        if word == "--" {
            at = at.saturating_add(1);
            break;
        }
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else { break };
        // A value follows as a word of its own where its letter is the last of a bundle.
        let takes = !letters.starts_with('-')
            && letters.chars().last().is_some_and(|c| valued.contains(c))
            && !letters.chars().rev().skip(1).any(|c| valued.contains(c));
        at = at.saturating_add(if takes { 2 } else { 1 });
    }
    rest.get(at.saturating_add(skip)..).filter(|words| !words.is_empty())
}

/// The places at which the words of the other program may begin: where a long option stands before one, it may be its value.
fn starts(wrapper: &Wrapper, shown: &[String]) -> Vec<usize> {
    let (mut at, mut long, mut found) = (0_usize, false, Vec::new());
    while let Some(word) = shown.get(at) {
        if word == "--" {
            found.push(at.saturating_add(1));
            break;
        }
        if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty() || wrapper.name == "env") {
            long = letters.starts_with('-') && !letters.contains('=');
            // A value follows as a word of its own where its letter is the last of a bundle.
            let takes = !letters.starts_with('-')
                && letters.chars().last().is_some_and(|c| wrapper.valued.contains(c))
                && !letters.chars().rev().skip(1).any(|c| wrapper.valued.contains(c));
            at = at.saturating_add(if takes { 2 } else { 1 });
            continue;
        }
        found.push(at);
        if !long {
            break;
        }
        long = false;
        at = at.saturating_add(1);
    }
    if wrapper.name == "setarch" {
        found.extend(found.clone().iter().filter_map(|at| at.checked_sub(wrapper.skip)));
    }
    found.iter().map(|at| at.saturating_add(wrapper.skip)).collect()
}

fn wrapped(wrapper: &Wrapper, rest: &[Word], shown: &[String]) -> Vec<Inner> {
    if wrapper.name == "flock"
        && let Some(text) = option(rest, shown, 'c', &["--command"])
    {
        return vec![own(text)];
    }
    if wrapper.name == "env"
        && let Some(text) = option(rest, shown, 'S', &["--split-string"])
    {
        // It is split in a way of its own.
        let odd = text.text().is_none_or(|text| text.contains(['\\', '$', '"', '\'', '#']));
        let more = if odd { vec![Inner::Unclear("a text that env splits")] } else { Vec::new() };
        return std::iter::once(own(text)).chain(more).collect();
    }
    let mut found = Vec::new();
    for at in starts(wrapper, shown) {
        if rest.iter().take(at).any(loose) {
            found.push(Inner::Unclear(LOOSE));
        }
        let Some(mut words) = rest.get(at..) else { continue };
        let mut assigns = Vec::new();
        while let Some((first, later)) = words.split_first() {
            let text = first.shown();
            let Some((name, _)) = text.split_once('=').filter(|(name, _)| is_name(name)) else { break };
            assigns.push((name.to_owned(), value(first, &format!("{name}=")).unwrap_or_default()));
            words = later;
        }
        if words.is_empty() {
            continue;
        }
        let here = matches!(wrapper.name, "command" | "builtin" | "exec" | "time" | "noglob" | "nocorrect");
        found.push(Inner::Words { words: words.to_vec(), assigns, here });
        // `watch` hands its words to a shell.
        if wrapper.name == "watch" {
            found.push(own(joined(words)));
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `sh -c text`, in any bundle.
fn shell(name: &str, rest: &[Word], shown: &[String]) -> Vec<Inner> {
    let mut found = Vec::new();
    if OTHER_SHELLS.contains(&name) && !rest.is_empty() {
        found.push(Inner::Foreign(name.to_owned()));
    }
    let Some(flag) = shown.iter().position(|word| is_flag(word, 'c')) else {
        let odd = |word: &Word| {
            loose(word)
                || word.text().is_none()
                || word
                    .text()
                    .is_some_and(|text| descriptor(&text) && !text.ends_with("stdin") && !text.ends_with("fd/0"))
        };
        let script = rest.iter().find(|word| !word.shown().starts_with(['-', '+']));
        if rest.iter().any(|word| loose(word) && word.shown().starts_with(['-', '*', '?'])) || script.is_some_and(odd) {
            found.push(Inner::Unclear("a script that nobody knows before it runs"));
        }
        return found;
    };
    if rest.iter().take(flag).any(loose) {
        found.push(Inner::Unclear(LOOSE));
    }
    // An option that takes a value may stand before the text.
    let valued = shown.iter().any(|word| {
        word.starts_with(['-', '+']) && (word.contains(['o', 'O']) || word.starts_with("--") && word.len() > 2)
    });
    let operands =
        rest.iter().zip(shown).skip(flag.saturating_add(1)).filter(|(_, word)| !word.starts_with(['-', '+']));
    let operands: Vec<Word> = operands.map(|(word, _)| word.clone()).collect();
    let arguments = operands.len() > 1;
    let count = if valued { operands.len() } else { 1 };
    found.extend(operands.into_iter().take(count).map(|text| Inner::Text { text, way: Way::Own { arguments } }));
    found
}

/// The value of an option.
fn option(rest: &[Word], shown: &[String], letter: char, long: &[&str]) -> Option<Word> {
    for (at, word) in shown.iter().enumerate() {
        for name in long {
            // Long names may be shortened.
            let (said, given) = word.split_once('=').map_or((word.as_str(), false), |(said, _)| (said, true));
            if said.len() > 2 && said.starts_with("--") && name.starts_with(said) {
                return if given {
                    rest.get(at).and_then(|word| value(word, &format!("{said}=")))
                } else {
                    rest.get(at.saturating_add(1)).cloned()
                };
            }
        }
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else { continue };
        if letters.ends_with(letter) {
            return rest.get(at.saturating_add(1)).cloned();
        }
        if letters.starts_with(letter) {
            return rest.get(at).map(|word| Word(word.0.iter().skip(2).copied().collect()));
        }
    }
    None
}

fn until(rest: &[Word], shown: &[String], ends: &[&str]) -> Vec<Word> {
    let options = shown.iter().take_while(|word| word.starts_with('-')).count();
    let count = shown.iter().position(|word| ends.contains(&word.as_str())).unwrap_or(shown.len());
    let plain = rest.iter().take(count).skip(options);
    plain.map(|word| if word.shown() == "{}" { Word::unknown() } else { word.clone() }).collect()
}
