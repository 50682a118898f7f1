//! The viewer's keyboard while something plays.

use crate::Fail;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::io::{IsTerminal as _, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// What a key asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    Pause,
    Faster,
    Slower,
    Step,
    Quit,
}

/// Who looks on: the keyboard, where standard input is a terminal, and Ctrl-C.
///
/// The terminal has neither echo nor line editing until this is dropped.
pub(super) struct Viewer {
    interrupt: Signal,
    terminal: Option<Terminal>,
}

impl Viewer {
    pub(super) fn open() -> Result<Self, Fail> {
        // From here on a signal no longer ends the process before the terminal is as it was.
        let interrupt = signal(SignalKind::interrupt()).map_err(Fail::failed)?;
        Ok(Self { interrupt, terminal: Terminal::open() })
    }

    pub(super) const fn has_keys(&self) -> bool {
        self.terminal.is_some()
    }

    /// The next key that means something.
    pub(super) async fn next(&mut self) -> Key {
        let Self { interrupt, terminal } = self;
        let pressed = async {
            match terminal {
                Some(terminal) => terminal.keys.recv().await,
                None => None,
            }
        };
        tokio::select! {
            Some(key) = pressed => key,
            Some(()) = interrupt.recv() => Key::Quit,
            else => std::future::pending().await,
        }
    }
}

struct Terminal {
    keys: mpsc::Receiver<Key>,
    before: Termios,
    stop: Arc<AtomicBool>,
}

impl Terminal {
    fn open() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten()?;
        let mut quiet = before.clone();
        // Signals stay, so that Ctrl-C works whatever happens here.
        quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read ends after a tenth of a second, so that the thread notices when it is to stop.
        quiet.special_codes[SpecialCodeIndex::VMIN] = 0;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 1;
        tcsetattr(&stdin, OptionalActions::Now, &quiet).ok()?;
        let (sender, keys) = mpsc::channel(16);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || read(&sender, &stopped));
        Some(Self { keys, before, stop })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn read(sender: &mpsc::Sender<Key>, stop: &AtomicBool) {
    let mut buffer = [0; 16];
    while !stop.load(Ordering::Relaxed) {
        let Ok(length) = std::io::stdin().read(&mut buffer) else { return };
        for key in buffer.get(..length).map(keys).unwrap_or_default() {
            // Whoever leans on a key loses some of it.
            let _ = sender.try_send(key);
        }
    }
}

/// The keys in what one read gave: an arrow, or characters.
fn keys(bytes: &[u8]) -> Vec<Key> {
    match bytes {
        b"\x1b[A" | b"\x1b[C" | b"\x1bOA" | b"\x1bOC" => vec![Key::Faster],
        b"\x1b[B" | b"\x1b[D" | b"\x1bOB" | b"\x1bOD" => vec![Key::Slower],
        [0x1b, ..] => Vec::new(),
        bytes => bytes.iter().filter_map(|byte| key(*byte)).collect(),
    }
}

const fn key(byte: u8) -> Option<Key> {
    match byte {
        b' ' => Some(Key::Pause),
        b'+' | b'=' => Some(Key::Faster),
        b'-' => Some(Key::Slower),
        b'.' => Some(Key::Step),
        b'q' | 0x03 => Some(Key::Quit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_and_characters_are_keys_and_nothing_else_is() {
        assert_eq!(keys(b"\x1b[C"), [Key::Faster]);
        assert_eq!(keys(b"\x1b[D"), [Key::Slower]);
        assert_eq!(keys(b" .q+-"), [Key::Pause, Key::Step, Key::Quit, Key::Faster, Key::Slower]);
        assert_eq!(keys(b"\x1b[200~ q"), []);
        assert_eq!(keys(b"x\r"), []);
    }
}
