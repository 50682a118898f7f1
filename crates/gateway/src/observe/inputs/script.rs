//! Commands that a shell without a terminal reads: they are kept, but for the answer to somebody who asks for a secret.

use super::super::echo::Kept;
use sallyport_statements::shell::{self, Memory, Simple, Word};

/// How much of the target's last line is remembered, in bytes.
const ASKED: usize = 256;
/// What programs ask for when the answer is a secret.
const SECRETS: [&str; 10] =
    ["password", "passphrase", "passwort", "passcode", "pass phrase", "secret", "token", "pin", "kennwort", "code"];

/// One shell's input.
#[derive(Default)]
pub(crate) struct Script {
    /// The target's last line, as far as it has come.
    line: Vec<u8>,
    /// Whether a line of the client's has begun, and whether it is a secret.
    begun: Option<bool>,
}

impl Script {
    /// Whether what comes next is a secret.
    pub(super) fn answers(&self) -> bool {
        self.begun.unwrap_or_else(|| asks(&self.line))
    }

    pub(super) fn written(&mut self, bytes: &[u8]) -> Vec<Kept> {
        let mut kept: Vec<Kept> = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let secret = self.answers();
            let ended = piece.last() == Some(&b'\n');
            self.begun = (!ended).then_some(secret);
            if ended {
                self.line.clear();
            }
            match (secret, kept.last_mut()) {
                (true, Some(Kept::Hidden)) => {}
                (true, _) => kept.push(Kept::Hidden),
                (false, Some(Kept::Shown(shown))) => shown.extend_from_slice(piece),
                (false, _) => kept.push(Kept::Shown(piece.to_vec())),
            }
        }
        kept
    }

    pub(super) fn output(&mut self, bytes: &[u8]) {
        let last = bytes.iter().rposition(|byte| matches!(byte, b'\n' | b'\r'));
        if last.is_some() {
            self.line.clear();
        }
        let from = last.map_or(0, |at| at.saturating_add(1)).max(bytes.len().saturating_sub(ASKED));
        self.line.extend_from_slice(bytes.get(from..).unwrap_or_default());
        let over = self.line.len().saturating_sub(ASKED);
        self.line.drain(..over);
    }
}

/// Whether a line that has not ended asks for a secret.
fn asks(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_lowercase();
    line.trim_end().ends_with([':', '?', '>']) && SECRETS.iter().any(|secret| line.contains(secret))
}

/// Whether what is written to a command is a script: commands or code that a shell or an interpreter among its programs reads.
/// Where one of them reads a password there too, it is not.
pub(super) fn reads_commands(command: &str) -> bool {
    let Ok(script) = shell::read(command, &mut Memory::default()) else { return false };
    script.commands.iter().any(Simple::reads_script) && !script.commands.iter().any(asks_itself)
}

/// Whether what is written to a command is a password, to begin with, whatever else is kept.
pub(super) fn reads_secret(command: &str) -> bool {
    let script = shell::read(command, &mut Memory::default());
    script.is_ok_and(|script| script.commands.iter().any(asks_itself))
}

/// Whether a program reads a password from its input where there is no terminal.
fn asks_itself(simple: &Simple) -> bool {
    let mut words = simple.words.iter().map(Word::shown);
    let name = words.next().unwrap_or_default();
    match name.rsplit('/').next().unwrap_or_default() {
        "su" | "runuser" | "passwd" | "chpasswd" | "newusers" => true,
        "sudo" => words
            .take_while(|word| word.starts_with('-'))
            .any(|word| word == "--stdin" || (!word.starts_with("--") && word.contains('S'))),
        _ => false,
    }
}
