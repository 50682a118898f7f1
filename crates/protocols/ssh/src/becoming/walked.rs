//! The gate before an account is become, with a target that shows what it likes: for the fuzzer. No build of the product has it.

use super::gate::{Gate, Step, Stream};
use super::script::Marks;
use sallyport_model::inventory::By;
use std::sync::Arc;

/// Marks that everybody knows: every byte of them is this.
const BYTE: u8 = 0x5a;

fn marks() -> Marks {
    let random: sallyport_ssh_transport::Random = Arc::new(|out| out.fill(BYTE));
    Marks::new(&random)
}

/// Each byte string of the input, behind its length and stream in one byte, is shown at once: one question is answered at
/// most, and the gate stays open once it is.
pub fn walk(bytes: &[u8]) {
    for by in [By::Su, By::Sudo] {
        for terminal in [false, true] {
            let mut gate = Gate::new(by, terminal, &marks());
            let (mut rest, mut answers, mut open) = (bytes, 0_usize, false);
            while let Some((head, after)) = rest.split_first() {
                let (shown, after) = after.split_at_checked(usize::from(head >> 1)).unwrap_or((after, &[]));
                rest = after;
                let stream = if head & 1 == 0 { Stream::Output } else { Stream::Errors };
                let step = gate.shown(stream, shown);
                match step {
                    Step::Answer => answers = answers.saturating_add(1),
                    Step::Theirs(theirs) => assert!(theirs <= shown.len(), "more goes on than was shown"),
                    Step::Wait | Step::Again => {}
                    Step::Flood => break,
                }
                assert!(answers <= 1, "a password is typed twice");
                assert!(!open || gate.is_open(), "a gate that closes again");
                assert_eq!(gate.is_answered(), answers == 1);
                open = gate.is_open();
                let _ = gate.speaks_of_terminals();
            }
        }
    }
}

/// What genuine programs show.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let marks = marks();
    let said = |turns: &[(&[u8], bool)]| {
        let mut bytes = Vec::new();
        for (shown, errors) in turns {
            bytes.push((u8::try_from(shown.len()).unwrap_or(u8::MAX >> 1) << 1) | u8::from(*errors));
            bytes.extend_from_slice(shown);
        }
        bytes
    };
    let [errors, output] = &marks.done;
    let (ready, prompt, errors, output) = (marks.ready.word(), marks.prompt.word(), errors.word(), output.word());
    vec![
        said(&[(&ready, true), (b"Password: ", true), (b"\nprofile\n", true), (&output, false), (&errors, true)]),
        said(&[(&ready, false), (b"Password: ", false), (&[b"\r\n", output.as_slice(), b"$ "].concat(), false)]),
        said(&[(b"We trust you\n", true), (&prompt, true), (b"\nSorry\n", true), (&prompt, true)]),
        said(&[(b"sudo: a terminal is required, no tty present\n", true)]),
    ]
}
