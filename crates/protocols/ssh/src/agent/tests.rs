use super::signed::tests::{KEY, asks};
use super::walked::message;
use super::*;
use proptest::prelude::*;
use sallyport_ssh_transport::key::HostKey;

fn list() -> Vec<u8> {
    message(kind::REQUEST_IDENTITIES, &[], b"")
}

fn sign(data: &[u8]) -> Vec<u8> {
    message(kind::SIGN_REQUEST, &[KEY, data], &[0; 4])
}

fn next(talk: &mut Talk, said: &[u8]) -> Step {
    talk.said(said);
    talk.next().unwrap()
}

#[test]
fn the_keys_are_listed_and_a_signature_waits_to_be_allowed() {
    let mut talk = Talk::default();
    assert_eq!(next(&mut talk, &list()), Step::Pass(list().into()));
    let listed = message(kind::IDENTITIES_ANSWER, &[], &[0; 4]);
    assert_eq!(talk.answered(&listed).unwrap(), Some(Answer { whole: listed.into(), signed: None }));
    for (answer, signed) in [(kind::SIGN_RESPONSE, true), (kind::FAILURE, false), (102, false)] {
        let request = sign(&asks("git", "publickey", b""));
        let Step::Ask(sought, whole) = next(&mut talk, &request) else { panic!("it is not asked about") };
        assert_eq!((sought.what.as_str(), whole.as_ref()), ("sign in as `git`", request.as_slice()));
        // Nobody answers before it has gone on, and nothing else does meanwhile.
        assert_eq!(talk.answered(&message(answer, &[], b"")), Err(Broken::Unasked));
        assert_eq!(next(&mut talk, &list()), Step::Wait);
        talk.allowed();
        let whole = message(answer, &[b"signature"], b"");
        let (first, last) = whole.split_at(7);
        assert_eq!(talk.answered(first), Ok(None));
        assert_eq!(talk.answered(last).unwrap().unwrap().signed, Some(signed));
        assert_eq!(talk.next().unwrap(), Step::Pass(list().into()), "what came meanwhile has its turn");
        talk.answered(&message(kind::IDENTITIES_ANSWER, &[], &[0; 4])).unwrap().unwrap();
    }
}

#[test]
fn a_signature_that_is_refused_leaves_the_talk_as_it_was() {
    let mut talk = Talk::default();
    assert!(matches!(next(&mut talk, &sign(b"whatever")), Step::Ask(..)));
    talk.refused();
    assert_eq!(talk.answered(&FAILURE), Err(Broken::Unasked));
    assert!(matches!(next(&mut talk, &sign(b"whatever")), Step::Ask(..)));
}

#[test]
fn nothing_that_changes_an_agent_goes_on_and_nothing_that_is_not_known() {
    for number in 0..=u8::MAX {
        let all: [&[&[u8]]; 5] = [&[], &[b"phrase"], &[b"query"], &[b"session-bind@openssh.com"], &[KEY, b"comment"]];
        for parts in all {
            if number == kind::REQUEST_IDENTITIES && parts.is_empty() {
                continue;
            }
            let mut talk = Talk::default();
            let step = next(&mut talk, &message(number, parts, b""));
            assert!(matches!(step, Step::Refuse(_)), "{number} {parts:?}: {step:?}");
            assert_eq!(talk.answered(&FAILURE), Err(Broken::Unasked), "the agent has nothing to answer");
        }
    }
    let mut talk = Talk::default();
    assert_eq!(
        next(&mut talk, &message(19, &[], b"")),
        Step::Refuse(Sought { what: "remove every key from it".into(), key: String::new() })
    );
    // With trailing bytes, and by what is no key.
    for odd in [
        message(kind::REQUEST_IDENTITIES, &[], b"x"),
        message(kind::SIGN_REQUEST, &[KEY, b"data"], &[0; 5]),
        message(kind::SIGN_REQUEST, &[b"key", b"data"], &[0; 4]),
    ] {
        assert!(matches!(next(&mut talk, &odd), Step::Refuse(_)), "{odd:?}");
    }
}

#[test]
fn lengths_that_no_message_has_end_the_talk() {
    for length in [0, u32::try_from(LONGEST).unwrap() + 1, u32::MAX] {
        let mut talk = Talk::default();
        talk.said(&length.to_be_bytes());
        assert_eq!(talk.next(), Err(Broken::Length), "{length}");
        let mut talk = Talk::default();
        assert!(matches!(next(&mut talk, &list()), Step::Pass(_)));
        assert_eq!(talk.answered(&length.to_be_bytes()), Err(Broken::Length), "{length}");
    }
    let mut talk = Talk::default();
    let longest = sign(&vec![0; LONGEST - 1 - 4 - KEY.len() - 4 - 4]);
    assert_eq!(longest.len(), LONGEST + 4);
    let (most, last) = longest.split_at(LONGEST + 3);
    assert_eq!(next(&mut talk, most), Step::Wait);
    assert!(talk.has_room());
    assert!(matches!(next(&mut talk, last), Step::Ask(..)));
}

#[test]
fn an_answer_fits_what_was_asked_and_comes_alone() {
    let answers = [kind::SUCCESS, kind::IDENTITIES_ANSWER, kind::SIGN_RESPONSE, kind::EXTENSION_FAILURE, 0];
    for answer in answers {
        let mut talk = Talk::default();
        assert_eq!(talk.answered(&message(answer, &[], b"")), Err(Broken::Unasked));
        next(&mut talk, &list());
        let fits = answer == kind::IDENTITIES_ANSWER;
        assert_eq!(talk.answered(&message(answer, &[], b"")).is_ok(), fits, "{answer}");
    }
    let mut talk = Talk::default();
    next(&mut talk, &list());
    let twice = [message(kind::IDENTITIES_ANSWER, &[], &[0; 4]), FAILURE.to_vec()].concat();
    assert_eq!(talk.answered(&twice), Err(Broken::Unasked));
}

#[test]
fn a_server_is_named_once_it_has_shown_that_a_connection_is_to_it() {
    let host = HostKey::from_seed(&[5; 32]).unwrap();
    let public = host.public().to_vec();
    let (good, bad) = (host.sign(&[9; 32]), host.sign(&[8; 32]));
    for (signature, named) in [(good, true), (bad, false)] {
        let mut talk = Talk::default();
        let bind = message(kind::EXTENSION, &[b"session-bind@openssh.com", &public, &[9; 32], &signature], &[0]);
        assert_eq!(next(&mut talk, &bind), Step::Pass(bind.clone().into()), "the agent judges it for itself");
        talk.answered(&message(kind::SUCCESS, &[], b"")).unwrap().unwrap();
        let Step::Ask(sought, _) = next(&mut talk, &sign(&asks("git", "publickey", b""))) else { panic!() };
        assert_eq!(sought.what.contains("at the host with the key SHA256:"), named, "{}", sought.what);
    }
}

proptest! {
    #[test]
    fn whatever_is_said_in_whatever_pieces_the_same_comes_of_it(
        kinds in proptest::collection::vec((0..30_u8, proptest::collection::vec(any::<u8>(), 0..40)), 1..8),
        cut in 1..50_usize,
    ) {
        let all: Vec<u8> = kinds.iter().flat_map(|(kind, rest)| message(*kind, &[], rest)).collect();
        let steps = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut talk, mut steps) = (Talk::default(), Vec::new());
            for piece in pieces {
                talk.said(piece);
                loop {
                    match talk.next().unwrap() {
                        Step::Wait => break,
                        Step::Ask(..) => talk.refused(),
                        Step::Pass(whole) => {
                            steps.push(Step::Pass(whole));
                            talk.answered(&FAILURE).unwrap().unwrap();
                        }
                        step => steps.push(step),
                    }
                }
            }
            steps
        };
        prop_assert_eq!(steps(&mut std::iter::once(all.as_slice())), steps(&mut all.chunks(cut)));
    }

    #[test]
    fn no_bytes_are_too_much(bytes: Vec<u8>) {
        walked::walk(&bytes);
    }
}
