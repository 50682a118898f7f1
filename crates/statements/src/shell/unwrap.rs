//! Programs that run other programs: how to find the other one among their words.

use super::Word;

/// A program that another one runs.
pub(super) enum Inner {
    /// These words, with these variables set.
    Words { words: Vec<Word>, assigns: Vec<String> },
    /// These words, and more from its input.
    Fed { words: Vec<Word> },
    /// A shell reads this text.
    Text(Word),
    /// A text in another language; the program that reads it.
    Foreign(String),
}

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

const WRAPPERS: [Wrapper; 44] = [
    wraps("sudo", "ugpChrtTUDRac", 0),
    wraps("doas", "uCa", 0),
    wraps("pkexec", "", 0),
    wraps("run0", "uDM", 0),
    wraps("systemd-run", "puEMHt", 0),
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
    wraps("nsenter", "tSGw", 0),
    wraps("flock", "wE", 1),
    wraps("numactl", "mNCpl", 0),
    wraps("cpulimit", "lpe", 0),
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
];

/// Shells.
const SHELLS: [&str; 12] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "rbash", "yash"];
/// Programs whose code is read from an option.
const FOREIGN: [(&str, &[&str]); 14] = [
    ("python*", &["-c"]),
    ("perl*", &["-e", "-E", "-n", "-p", "-ne", "-pe", "-i"]),
    ("ruby*", &["-e", "-ne", "-pe"]),
    ("node*", &["-e", "--eval", "-p"]),
    ("php*", &["-r"]),
    ("lua*", &["-e"]),
    ("osascript", &["-e"]),
    ("pwsh|powershell", &["-c", "-Command", "-e", "-enc", "-EncodedCommand"]),
    ("gdb", &["-ex", "--eval-command"]),
    ("vi|vim|nvim|ex|view|rvim", &["-c", "--cmd"]),
    ("emacs", &["--eval", "-eval"]),
    ("expect|tclsh", &["-c"]),
    ("ed|ex|sed", &["-s"]),
    ("jshell|scala|julia|Rscript|R", &["-e"]),
];

/// What a program runs in its turn.
pub(super) fn unwrap(name: &str, words: &[Word]) -> Vec<Inner> {
    let rest = words.get(1..).unwrap_or_default();
    let shown: Vec<String> = rest.iter().map(Word::shown).collect();
    if SHELLS.contains(&name) {
        return shell(rest, &shown).into_iter().collect();
    }
    match name {
        "su" | "runuser" | "script" => {
            return option(rest, &shown, 'c', &["--command", "--session-command"])
                .map(Inner::Text)
                .into_iter()
                .collect();
        }
        "eval" | "trap" => {
            return vec![Inner::Text(joined(
                rest.get(..if name == "trap" { 1 } else { rest.len() }).unwrap_or_default(),
            ))];
        }
        "ssh" | "slogin" => {
            return after(rest, &shown, "BbcDEeFIiJLlmOoPpQRSWw", 1)
                .map(|rest| Inner::Text(joined(rest)))
                .into_iter()
                .collect();
        }
        "xargs" => return xargs(rest, &shown),
        "parallel" => return vec![Inner::Fed { words: until(rest, &shown, &[":::", "::::"]) }],
        "find" | "fd" | "fdfind" => return find(rest, &shown),
        "docker" | "podman" | "nerdctl" | "kubectl" | "oc" | "lxc" | "crictl" => return container(name, rest, &shown),
        "tar" | "rsync" | "git" | "man" | "zip" | "ftp" | "scp" | "sftp" => return hidden(name, &shown),
        "awk" | "gawk" | "mawk" | "nawk" => return awk(name, &shown),
        "." | "source" => return Vec::new(),
        _ => {}
    }
    if let Some((program, _)) =
        FOREIGN.iter().find(|(program, _)| crate::glob::alternatives(program, name, crate::glob::Sense::Exact))
        && foreign(program, &shown)
    {
        return vec![Inner::Foreign(name.to_owned())];
    }
    // The loader runs a program that it is given by its path.
    let loader = name.starts_with("ld-linux") || name.starts_with("ld-musl") || name.starts_with("ld.so");
    let found = WRAPPERS.iter().find(|wrapper| wrapper.name == name);
    match found {
        Some(wrapper) => wrapped(wrapper, rest, &shown),
        None if loader => wrapped(&wraps("ld", "", 0), rest, &shown),
        None => Vec::new(),
    }
}

/// Whether a program reads commands from its input, given these words.
pub(super) fn reads_script(name: &str, words: &[Word]) -> bool {
    let shown: Vec<String> = words.iter().skip(1).map(Word::shown).collect();
    let operands = shown.iter().any(|word| !word.starts_with('-') && !word.starts_with('+'));
    let stdin = shown.iter().any(|word| word == "-s" || word == "-" || word == "/dev/stdin");
    let given = shown.iter().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('c'));
    match name {
        "source" | "." | "at" | "batch" => name.len() > 1 && name != "source" || stdin,
        name if SHELLS.contains(&name) => !given && (stdin || !operands),
        "su" | "runuser" => !given,
        _ => false,
    }
}

/// Whether a program reads code in another language from its input, given these words.
pub(super) fn reads_code(name: &str, words: &[Word]) -> bool {
    let script = words.iter().skip(1).any(|word| !word.shown().starts_with('-'));
    let speaks = ["python*", "perl*", "ruby*", "node*", "php*", "lua*", "tclsh|expect|pwsh"];
    !script && speaks.iter().any(|known| crate::glob::alternatives(known, name, crate::glob::Sense::Exact))
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
fn joined(words: &[Word]) -> Word {
    let mut all = Word::default();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            all.0.push(crate::glob::Place::Char(' '));
        }
        all.0.extend(&word.0);
    }
    all
}

/// The words behind a program's options, and behind so many words more.
fn after<'a>(rest: &'a [Word], shown: &[String], valued: &str, skip: usize) -> Option<&'a [Word]> {
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

fn wrapped(wrapper: &Wrapper, rest: &[Word], shown: &[String]) -> Vec<Inner> {
    if matches!(wrapper.name, "env" | "flock") {
        let (letter, long): (char, &[&str]) =
            if wrapper.name == "env" { ('S', &["--split-string"]) } else { ('c', &["--command"]) };
        if let Some(text) = option(rest, shown, letter, long) {
            return vec![Inner::Text(text)];
        }
    }
    let Some(mut words) = after(rest, shown, wrapper.valued, wrapper.skip) else { return Vec::new() };
    let mut assigns = Vec::new();
    while let Some((first, later)) = words.split_first() {
        let text = first.shown();
        let Some((name, _)) = text.split_once('=').filter(|(name, _)| is_name(name)) else { break };
        assigns.push(name.to_owned());
        words = later;
    }
    if words.is_empty() {
        return Vec::new();
    }
    // `watch` hands its words to a shell.
    if wrapper.name == "watch" {
        return vec![Inner::Text(joined(words))];
    }
    vec![Inner::Words { words: words.to_vec(), assigns }]
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `sh -c text`, in any bundle.
fn shell(rest: &[Word], shown: &[String]) -> Option<Inner> {
    let flag = shown.iter().position(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('c'))?;
    let text = rest.iter().zip(shown).skip(flag.saturating_add(1)).find(|(_, word)| !word.starts_with(['-', '+']));
    text.map(|(word, _)| Inner::Text(word.clone()))
}

/// The value of an option.
fn option(rest: &[Word], shown: &[String], letter: char, long: &[&str]) -> Option<Word> {
    for (at, word) in shown.iter().enumerate() {
        for name in long {
            if word == name {
                return rest.get(at.saturating_add(1)).cloned();
            }
            if let Some(value) = rest.get(at).and_then(|word| value(word, &format!("{name}="))) {
                return Some(value);
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

fn xargs(rest: &[Word], shown: &[String]) -> Vec<Inner> {
    match after(rest, shown, "aEIiLlnPsd", 0) {
        Some(words) => {
            let words = words.iter().map(|word| if word.shown() == "{}" { Word::unknown() } else { word.clone() });
            vec![Inner::Fed { words: words.collect() }]
        }
        None => Vec::new(),
    }
}

/// `find ... -exec words ;`
fn find(rest: &[Word], shown: &[String]) -> Vec<Inner> {
    let flags = ["-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec", "--exec-batch"];
    let mut found = Vec::new();
    for (at, _) in shown.iter().enumerate().filter(|(_, word)| flags.contains(&word.as_str())) {
        let begin = at.saturating_add(1);
        let count = shown.iter().skip(begin).take_while(|word| !matches!(word.as_str(), ";" | "+")).count();
        let words = rest.iter().skip(begin).take(count);
        let words: Vec<Word> =
            words.map(|word| if word.shown().contains("{}") { Word::unknown() } else { word.clone() }).collect();
        if !words.is_empty() {
            found.push(Inner::Words { words, assigns: Vec::new() });
        }
    }
    found
}

/// `docker exec c words`, `kubectl exec p -- words`.
fn container(name: &str, rest: &[Word], shown: &[String]) -> Vec<Inner> {
    let Some(verb) = shown.iter().position(|word| matches!(word.as_str(), "exec" | "run")) else { return Vec::new() };
    let begin = verb.saturating_add(1);
    let (rest, shown) = (rest.get(begin..).unwrap_or_default(), shown.get(begin..).unwrap_or_default());
    let words = match shown.iter().position(|word| word == "--") {
        Some(at) => rest.get(at.saturating_add(1)..),
        None if name == "kubectl" || name == "oc" => after(rest, shown, "cnf", 1),
        None => after(rest, shown, "eulwvphm", 1),
    };
    let words = words.filter(|words| !words.is_empty());
    words.map(|words| Inner::Words { words: words.to_vec(), assigns: Vec::new() }).into_iter().collect()
}

/// Options of programs for something else that run a program.
fn hidden(name: &str, shown: &[String]) -> Vec<Inner> {
    let prefixes: &[&str] = match name {
        "tar" => &["--checkpoint-action=exec=", "--to-command=", "--use-compress-program=", "--rsh-command=", "-I"],
        "rsync" => &["--rsh=", "-e"],
        "git" => &["core.pager=", "core.sshCommand=", "alias.x=!"],
        "man" => &["--pager=", "-P"],
        "zip" => &["--unzip-command=", "-TT"],
        _ => &["ProxyCommand=", "-oProxyCommand=", "-S"],
    };
    let mut found = Vec::new();
    for (at, word) in shown.iter().enumerate() {
        for prefix in prefixes {
            let Some(value) = word.strip_prefix(prefix) else { continue };
            let text = if value.is_empty() { shown.get(at.saturating_add(1)).map(String::as_str) } else { Some(value) };
            found.extend(text.map(|text| Inner::Text(Word::new(text))));
        }
    }
    found
}

/// awk runs what its program says in `system()` and pipes.
fn awk(name: &str, shown: &[String]) -> Vec<Inner> {
    let runs = |word: &&String| word.contains("system(") || word.contains("system (") || word.contains('|');
    shown.iter().find(runs).map(|_| Inner::Foreign(name.to_owned())).into_iter().collect()
}

fn foreign(program: &str, shown: &[String]) -> bool {
    let flags = FOREIGN.iter().find(|(known, _)| *known == program).map_or(&[][..], |(_, flags)| flags);
    let bundled = |word: &String| {
        flags.iter().any(|flag| word == flag || (flag.len() == 2 && word.starts_with(flag) && !word.starts_with("--")))
    };
    shown.iter().any(bundled) || shown.iter().any(|word| word.starts_with("+!") || word.starts_with(":!"))
}
