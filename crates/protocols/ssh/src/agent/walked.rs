//! A target and an agent that say what they like to each other: for the fuzzer. No build of the product has it.

use super::{FAILURE, LONGEST, Step, Talk, kind};
use sallyport_ssh_transport::wire::Put as _;

/// Each byte string of the input, behind one byte of length and side, is said at once. Nothing goes on but what may, and each
/// request has one answer.
pub fn walk(bytes: &[u8]) {
    let mut talk = Talk::default();
    let (mut rest, mut open) = (bytes, 0_usize);
    while let Some((head, after)) = rest.split_first() {
        let (said, after) = after.split_at_checked(usize::from(head >> 2)).unwrap_or((after, &[]));
        rest = after;
        if head & 1 == 1 {
            match talk.answered(said) {
                Ok(Some(answer)) => {
                    assert_eq!(open, 1, "an answer to nothing");
                    assert!(answer.whole.len() <= LONGEST.saturating_add(4));
                    open = 0;
                }
                Ok(None) => {}
                Err(_) => return,
            }
            continue;
        }
        talk.said(said);
        loop {
            let Ok(step) = talk.next() else { return };
            match step {
                Step::Wait => break,
                Step::Refuse(sought) => assert!(!sought.what.is_empty() && open == 0),
                Step::Pass(whole) => {
                    assert_eq!(open, 0, "two requests at once");
                    let kind = whole.get(4).copied();
                    assert!(matches!(kind, Some(kind::REQUEST_IDENTITIES | kind::EXTENSION)), "{kind:?} went on");
                    open = 1;
                }
                Step::Ask(sought, whole) => {
                    assert_eq!((open, whole.get(4)), (0, Some(&kind::SIGN_REQUEST)));
                    let readable = |text: &str| text.len() < 512 && !text.chars().any(char::is_control);
                    assert!(readable(&sought.what) && readable(&sought.key) && sought.key.starts_with("SHA256:"));
                    assert!(talk.answered(&FAILURE).is_err(), "an answer before it was asked");
                    if head & 2 == 2 {
                        talk.allowed();
                        open = 1;
                    } else {
                        talk.refused();
                    }
                }
            }
        }
    }
}

/// One message, of its number, these texts, and what is behind them.
pub(super) fn message(kind: u8, parts: &[&[u8]], rest: &[u8]) -> Vec<u8> {
    let mut body = vec![kind];
    parts.iter().for_each(|part| body.string(part));
    body.bytes(rest);
    let mut out = Vec::new();
    out.string(&body);
    out
}

/// What genuine programs say.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    // Longer ones are said in pieces: a length has six bits.
    let said = |turns: &[(&[u8], u8)]| {
        let mut bytes = Vec::new();
        for (said, side) in turns {
            for piece in said.chunks(63) {
                bytes.push((u8::try_from(piece.len()).unwrap_or_default() << 2) | side);
                bytes.extend_from_slice(piece);
            }
        }
        bytes
    };
    let key = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20".as_slice(), &[1; 32]].concat();
    let mut asks = Vec::new();
    asks.string(&[9; 32]);
    asks.byte(50);
    [b"git".as_slice(), b"ssh-connection", b"publickey"].into_iter().for_each(|text| asks.string(text));
    asks.byte(1);
    [b"ssh-ed25519", key.as_slice()].into_iter().for_each(|text| asks.string(text));
    let sign = message(kind::SIGN_REQUEST, &[&key, &asks], &[0; 4]);
    let signed = message(kind::SIGN_RESPONSE, &[&[0; 83]], b"");
    let bind = message(kind::EXTENSION, &[b"session-bind@openssh.com", &key, &[9; 32], &[0; 83]], &[0]);
    let (list, listed) =
        (message(kind::REQUEST_IDENTITIES, &[], b""), message(kind::IDENTITIES_ANSWER, &[], &[0, 0, 0, 0]));
    let success = message(kind::SUCCESS, &[], b"");
    vec![
        said(&[(&list, 0), (&listed, 1), (&bind, 0), (&success, 1), (&sign, 2), (&signed, 1)]),
        said(&[
            (&sign, 0),
            (&message(19, &[], b""), 0),
            (&message(22, &[b"phrase"], b""), 0),
            (&list, 0),
            (&FAILURE, 1),
        ]),
        said(&[(&[0, 4, 0, 1, 11], 0)]),
        said(&[(&message(17, &[b"ssh-ed25519", &[1; 32], &[2; 64], b"name"], b""), 0), (&FAILURE, 1)]),
    ]
}
