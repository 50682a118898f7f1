//! Readers of terminals, as the fuzzer calls them; and what it kept, called again. No build of the product has them.

use super::echo::{Echo, Kept};
use std::time::Duration;
use tokio::time::Instant;

/// One conversation: each byte of the first part says who sends how much of the second, the client or not.
pub(super) fn turns(bytes: &[u8]) -> Vec<(&[u8], bool)> {
    let Some((count, rest)) = bytes.split_first() else { return Vec::new() };
    let (turns, mut said) = rest.split_at_checked(usize::from(*count)).unwrap_or((rest, &[]));
    let mut all = Vec::with_capacity(turns.len().saturating_add(1));
    for turn in turns {
        let (now, later) = said.split_at_checked(usize::from(turn >> 1)).unwrap_or((said, &[]));
        all.push((now, turn & 1 == 0));
        said = later;
    }
    all.push((said, true));
    all
}

/// What is kept of keys is never more than was typed.
pub fn echo(bytes: &[u8]) {
    let (mut echo, mut now) = (Echo::default(), Instant::now());
    let (mut typed, mut kept) = (0_usize, 0_usize);
    let count = |all: Vec<Kept>| -> usize {
        all.iter().map(|one| if let Kept::Shown(bytes) = one { bytes.len() } else { 0 }).sum()
    };
    for (turn, client) in turns(bytes) {
        let told = if client {
            typed = typed.saturating_add(turn.len());
            echo.typed(turn, now)
        } else {
            echo.output(turn, now)
        };
        kept = kept.saturating_add(count(told));
        assert!(kept <= typed, "{kept} bytes are kept of {typed}");
        now += Duration::from_millis(700);
    }
    kept = kept.saturating_add(count(echo.end()));
    assert!(kept <= typed, "{kept} bytes are kept of {typed}");
}

/// Lines, as they stand at Enter.
pub fn line(bytes: &[u8]) {
    super::line::walked::walk(bytes);
}

/// Genuine conversations.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let spoken = |turns: &[(&[u8], bool)]| {
        let number = |length: usize| u8::try_from(length).unwrap_or(u8::MAX >> 1);
        let mut bytes = vec![number(turns.len())];
        bytes.extend(turns.iter().map(|(said, client)| (number(said.len()) << 1) | u8::from(!client)));
        bytes.extend(turns.iter().flat_map(|(said, _)| said.iter().copied()));
        bytes
    };
    vec![
        spoken(&[(b"ada@web-1:~$ ", false), (b"ls -l\x7f", true), (b"ls -l\x08\x1b[K", false), (b"\r", true)]),
        spoken(&[(b"$ ", false), (b"\x1b[A", true), (b"\r\x1b[K$ mkdir x", false), (b"\r", true), (b"\r\n$ ", false)]),
        spoken(&[
            (b"$ ", false),
            (b"mkd\t", true),
            (b"mkdir ", false),
            (b"\x1b[200~a\rb\x1b[201~", true),
            (b"ab", false),
        ]),
        spoken(&[
            (b"Password: ", false),
            (b"hunter2\r", true),
            (b"\r\n", false),
            (b"core-1#", false),
            (b"wr er\r", true),
        ]),
        spoken(&[(b"\x1b[?1049h\x1b[2J\x1b[H", false), (b":q\r", true), (b"\x1b[?1049l--More--", false), (b" ", true)]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sallyport_testkit::corpus::replay;

    #[test]
    fn what_the_fuzzer_kept_of_terminals_holds() {
        replay("echo", seeds(), echo).unwrap();
        replay("line", seeds(), line).unwrap();
    }

    proptest! {
        #[test]
        fn any_conversation_at_a_terminal_holds(bytes: Vec<u8>) {
            echo(&bytes);
            line(&bytes);
        }
    }
}
