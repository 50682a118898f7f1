use super::super::script::Mark;
use super::super::script::tests::marks;
use super::*;
use proptest::prelude::*;

fn fresh(by: By, terminal: bool) -> (Gate, Marks) {
    let marks = marks();
    (Gate::new(by, terminal, &marks), marks)
}

fn word(mark: &Mark) -> Vec<u8> {
    mark.word()
}

#[test]
fn su_asks_once_and_what_comes_behind_the_marks_goes_on() {
    let (mut gate, marks) = fresh(By::Su, false);
    assert_eq!(gate.shown(Stream::Output, b"Welcome!\nPassword: "), Step::Wait, "noise, on the wrong stream");
    assert_eq!(gate.shown(Stream::Errors, b"noise of a profile\nPassword: "), Step::Wait, "not before it is ready");
    assert_eq!(gate.shown(Stream::Errors, &word(&marks.ready)), Step::Wait);
    assert_eq!(gate.shown(Stream::Errors, b"Pass"), Step::Wait);
    assert_eq!(gate.shown(Stream::Errors, b"word: "), Step::Answer);
    assert_eq!(gate.shown(Stream::Errors, b"\nroot's profile\n"), Step::Wait);
    let [errors, output] = marks.done.map(|mark| mark.word());
    assert_eq!(gate.shown(Stream::Output, &output[..7]), Step::Wait);
    assert_eq!(gate.shown(Stream::Output, &[&output[7..], b"theirs"].concat()), Step::Theirs(6));
    assert!(!gate.is_open());
    assert_eq!(gate.shown(Stream::Output, b"more"), Step::Theirs(4));
    assert_eq!(gate.shown(Stream::Errors, &errors), Step::Theirs(0));
    assert!(gate.is_open() && gate.is_answered());
}

#[test]
fn nothing_but_the_question_is_answered() {
    for said in [
        "Passwort: ",
        "Last login: today\r\nPassword: ",
        "Password: \r\nPassword: ",
        "New password",
        "password of a very long name that no program of this world would ever ask for: ",
        "Pass\x1b[2Kword: ",
        "$ ",
    ] {
        let (mut gate, marks) = fresh(By::Su, true);
        let shown = [&word(&marks.ready), said.as_bytes()].concat();
        assert_eq!(gate.shown(Stream::Output, &shown), Step::Wait, "{said:?}");
    }
    for said in ["Password: ", "Password:", "password for root: ", "LDAP Password: "] {
        let (mut gate, marks) = fresh(By::Su, true);
        let shown = [&word(&marks.ready), said.as_bytes()].concat();
        assert_eq!(gate.shown(Stream::Output, &shown), Step::Answer, "{said:?}");
    }
    let (mut gate, marks) = fresh(By::Sudo, true);
    assert_eq!(gate.shown(Stream::Output, b"[sudo] password for ops: "), Step::Wait, "not the word that it was given");
    let prompt = word(&marks.prompt);
    assert_eq!(gate.shown(Stream::Output, &[&prompt, b" behind it".as_slice()].concat()), Step::Wait);
    assert_eq!(gate.shown(Stream::Output, &[b"\r\nThe usual lecture.\r\n", prompt.as_slice()].concat()), Step::Answer);
}

#[test]
fn a_second_question_is_the_end() {
    let (mut gate, marks) = fresh(By::Sudo, true);
    let prompt = word(&marks.prompt);
    assert_eq!(gate.shown(Stream::Output, &prompt), Step::Answer);
    assert_eq!(gate.shown(Stream::Output, b"\r\nSorry, try again.\r\n"), Step::Wait);
    assert_eq!(gate.shown(Stream::Output, &prompt), Step::Again);
    let (mut gate, marks) = fresh(By::Su, true);
    assert_eq!(gate.shown(Stream::Output, &[&word(&marks.ready), b"Password: ".as_slice()].concat()), Step::Answer);
    assert_eq!(gate.shown(Stream::Output, b"\r\n"), Step::Wait);
    assert_eq!(gate.shown(Stream::Output, b"Your password has expired.\r\nNew password: "), Step::Again);
}

#[test]
fn an_account_that_needs_no_password_is_never_given_one() {
    for by in [By::Su, By::Sudo] {
        let (mut gate, marks) = fresh(by, true);
        let [_, output] = marks.done.map(|mark| mark.word());
        let noise = [&marks.ready.word(), b"a profile\r\n".as_slice(), &output, b"$ "].concat();
        assert_eq!(gate.shown(Stream::Output, &noise), Step::Theirs(2));
        assert!(gate.is_open() && !gate.is_answered());
    }
}

#[test]
fn a_flood_is_not_waited_for() {
    let (mut gate, _) = fresh(By::Su, false);
    for _ in 0..4 {
        assert_eq!(gate.shown(Stream::Output, &[b'x'; 16 << 10]), Step::Wait);
    }
    assert_eq!(gate.shown(Stream::Errors, b"x"), Step::Flood);
}

proptest! {
    /// However a target's bytes are cut, what is answered and what goes on is the same.
    #[test]
    fn any_cutting_is_the_same(cuts in prop::collection::vec(1..9_usize, 1..40), sudo: bool) {
        let by = if sudo { By::Sudo } else { By::Su };
        let (mut gate, marks) = fresh(by, true);
        let question = if sudo { marks.prompt.word() } else { b"Password: ".to_vec() };
        let before = [b"noise\r\n".as_slice(), &marks.ready.word(), &question].concat();
        let [_, output] = marks.done.map(|mark| mark.word());
        let behind = [b"\r\nmotd\r\n".as_slice(), &output, b"theirs"].concat();
        let (mut answers, mut theirs) = (0, Vec::new());
        for part in [before, behind] {
            let mut rest = part.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at((*cut).min(rest.len()));
                match gate.shown(Stream::Output, piece) {
                    Step::Wait => {}
                    Step::Answer => answers += 1,
                    Step::Theirs(count) => theirs.extend_from_slice(&piece[piece.len() - count..]),
                    step => prop_assert!(false, "{step:?}"),
                }
                rest = more;
            }
        }
        prop_assert_eq!((answers, theirs), (1, b"theirs".to_vec()));
    }

    #[test]
    fn no_bytes_open_it_or_make_it_panic(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..64)), 0..20),
        sudo: bool,
        terminal: bool,
    ) {
        let (mut gate, _) = fresh(if sudo { By::Sudo } else { By::Su }, terminal);
        for (errors, piece) in pieces {
            let stream = if errors { Stream::Errors } else { Stream::Output };
            let step = gate.shown(stream, &piece);
            prop_assert_eq!(step, Step::Wait);
        }
        prop_assert!(!gate.is_open() && !gate.is_answered());
    }
}
