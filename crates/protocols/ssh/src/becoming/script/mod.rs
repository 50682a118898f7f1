//! What the target is asked to run so that the logon account becomes another one, and then runs what the user wants.
//!
//! Three readers take it apart, one inside the other: the login shell of the logon account, whichever it is; a POSIX shell; and
//! what `su` or `sudo` start. So it is quoted for each, and holds no line break: shells differ in how they quote one.

use crate::start::Program;
use sallyport_model::AccountName;
use sallyport_model::inventory::By;
use sallyport_ssh_transport::Random;
use std::fmt::Write as _;

/// Longest request that is sent: a program of Linux takes an argument of 128 KiB.
const LONGEST: usize = 120 << 10;
/// Where distributions have their server of files.
const SFTP: &str = "/usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server \
                    /usr/libexec/sftp-server /usr/lib/sftp-server /usr/local/libexec/sftp-server";

/// Words that nobody can know before: what the target's programs show is recognised by them.
pub(super) struct Marks {
    /// Before `su` is run: what comes next is what `su` says.
    pub(super) ready: Mark,
    /// What `sudo` asks with.
    pub(super) prompt: Mark,
    /// The account is become: on the error stream, and on the other.
    pub(super) done: [Mark; 2],
}

/// One word, in two halves. The request never has it whole, so that an echo of the request is not taken for it.
pub(super) struct Mark(String, String);

impl Mark {
    fn new(random: &Random) -> Self {
        let half = || {
            let mut bytes = [0; 12];
            random(&mut bytes);
            bytes.iter().fold(String::with_capacity(24), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        Self(half(), half())
    }

    /// The whole word.
    pub(super) fn word(&self) -> Vec<u8> {
        [self.0.as_bytes(), self.1.as_bytes()].concat()
    }

    /// A command that shows it.
    fn show(&self) -> String {
        format!("printf %s%s {} {}", self.0, self.1)
    }
}

impl Marks {
    pub(super) fn new(random: &Random) -> Self {
        let mark = || Mark::new(random);
        Self { ready: mark(), prompt: mark(), done: [mark(), mark()] }
    }
}

/// What is run as the account that is become.
pub(crate) enum Wanted<'a> {
    /// What the user asked for.
    Program(&'a Program),
    /// Nothing: it is only seen whether it can be become.
    Nothing,
}

/// A request that cannot be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("only files go through `su` and `sudo`, and no other subsystem")]
    Subsystem,
    #[error("this command is too long to go through `su` or `sudo`: put it into a file on the target and run that")]
    Long,
}

/// The command that the login shell of the logon account is given.
pub(super) fn request((account, by): (&AccountName, By), wanted: &Wanted<'_>, marks: &Marks) -> Result<Vec<u8>, Unfit> {
    let inner = inner(wanted, marks)?;
    let account = quoted(account.as_str().as_bytes());
    let mut outer = Vec::new();
    match by {
        By::Su => {
            // In English it asks; with a terminal of its own, where it can, the logon account's programs do not read along.
            outer.extend_from_slice(
                b"unset LANGUAGE; LC_ALL=C; export LC_ALL; o=-c; p=; if [ -t 0 ]; then h=`su --help 2>&1`; ",
            );
            outer.extend_from_slice(b"case $h in *--session-command*) o=--session-command;; esac; ");
            outer.extend_from_slice(b"case $h in *--pty*) p=--pty; o=-c;; esac; fi; ");
            outer.extend_from_slice(marks.ready.show().as_bytes());
            outer.extend_from_slice(b" >&2; exec su $p - ");
            outer.extend_from_slice(&account);
            outer.extend_from_slice(b" $o ");
            outer.extend_from_slice(&quoted(&[b"exec /bin/sh -c ".as_slice(), &quoted(&inner)].concat()));
        }
        By::Sudo => {
            let Mark(one, other) = &marks.prompt;
            let start = format!("p={one}; exec sudo -k -S -H -p \"$p\"{other} -u ");
            outer.extend_from_slice(start.as_bytes());
            outer.extend_from_slice(&account);
            outer.extend_from_slice(b" -- /bin/sh -c ");
            outer.extend_from_slice(&quoted(&inner));
        }
    }
    let request = [b"exec /bin/sh -c ".as_slice(), &quoted(&outer)].concat();
    if request.len() > LONGEST { Err(Unfit::Long) } else { Ok(request) }
}

/// What a POSIX shell runs as the account that is become. The streams are marked before anything of the user's begins.
fn inner(wanted: &Wanted<'_>, marks: &Marks) -> Result<Vec<u8>, Unfit> {
    let [errors, output] = &marks.done;
    let mut script = format!("cd >/dev/null 2>&1 || cd /; {} >&2; {}; ", errors.show(), output.show()).into_bytes();
    match wanted {
        Wanted::Nothing => script.extend_from_slice(b"exit 0"),
        Wanted::Program(Program::Shell) => script.extend_from_slice(b"exec \"${SHELL:-/bin/sh}\" -l"),
        Wanted::Program(Program::Command(command)) => {
            if command.contains(&b'\n') {
                script.extend_from_slice(b"n=`printf \"\\012x\"`; n=${n%x}; ");
            }
            script.extend_from_slice(b"exec \"${SHELL:-/bin/sh}\" -c ");
            let lines: Vec<_> = command.split(|byte| *byte == b'\n').map(quoted).collect();
            script.extend_from_slice(&lines.join(b"\"$n\"".as_slice()));
        }
        Wanted::Program(Program::Subsystem(name)) if name == "sftp" => {
            let serve = format!(
                "for s in {SFTP}; do if [ -x $s ]; then exec $s; fi; done; echo no sftp-server is here >&2; exit 127"
            );
            script.extend_from_slice(serve.as_bytes());
        }
        Wanted::Program(Program::Subsystem(_)) => return Err(Unfit::Subsystem),
    }
    Ok(script)
}

/// One word that the shells of POSIX, csh and fish all read as these bytes, which have no line break: what is special
/// to any of them even between single quotes stands outside of them.
fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut word = Vec::with_capacity(bytes.len().saturating_add(2));
    let mut open = false;
    let mut rest = bytes;
    while let Some((first, more)) = rest.split_first() {
        if matches!(first, b'\'' | b'\\' | b'!') {
            if std::mem::take(&mut open) {
                word.push(b'\'');
            }
            if *first == b'\'' {
                // Many of them together, since each level of quoting quotes them again.
                let run = rest.iter().take_while(|byte| **byte == b'\'').count();
                let (quotes, behind) = rest.split_at_checked(run).unwrap_or((rest, &[]));
                word.push(b'"');
                word.extend_from_slice(quotes);
                word.push(b'"');
                rest = behind;
                continue;
            }
            word.extend_from_slice(&[b'\\', *first]);
        } else {
            if !std::mem::replace(&mut open, true) {
                word.push(b'\'');
            }
            word.push(*first);
        }
        rest = more;
    }
    if open {
        word.push(b'\'');
    }
    if word.is_empty() { b"''".to_vec() } else { word }
}

#[cfg(test)]
pub(super) mod tests;
