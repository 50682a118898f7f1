//! Conversations of SFTP: what is told of them, and what never reaches the target.

use super::super::sftp::Sftp;
use super::*;

pub(super) fn packet(kind: u8, fields: &[Field<'_>]) -> Vec<u8> {
    let mut body = vec![kind];
    for field in fields {
        match field {
            Field::Number(number) => body.extend(number.to_be_bytes()),
            Field::Long(number) => body.extend(number.to_be_bytes()),
            Field::Text(text) => {
                body.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                body.extend(*text);
            }
        }
    }
    let mut packet = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    packet.extend(body);
    packet
}

#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Number(u32),
    Long(u64),
    Text(&'a [u8]),
}

use Field::{Long, Number, Text};

pub(super) fn init() -> Vec<u8> {
    packet(1, &[Number(3)])
}

pub(super) fn version() -> Vec<u8> {
    packet(2, &[Number(3)])
}

pub(super) fn open(id: u32, path: &str, flags: u32) -> Vec<u8> {
    packet(3, &[Number(id), Text(path.as_bytes()), Number(flags), Number(0)])
}

pub(super) fn handle(id: u32, handle: &str) -> Vec<u8> {
    packet(102, &[Number(id), Text(handle.as_bytes())])
}

pub(super) fn status(id: u32, code: u32) -> Vec<u8> {
    packet(101, &[Number(id), Number(code), Text(b"so it is"), Text(b"")])
}

pub(super) fn write(id: u32, handle: &str, offset: u64, bytes: &[u8]) -> Vec<u8> {
    packet(6, &[Number(id), Text(handle.as_bytes()), Long(offset), Text(bytes)])
}

pub(super) fn read(id: u32, handle: &str, offset: u64) -> Vec<u8> {
    packet(5, &[Number(id), Text(handle.as_bytes()), Long(offset), Number(32768)])
}

pub(super) fn data(id: u32, bytes: &[u8]) -> Vec<u8> {
    packet(103, &[Number(id), Text(bytes)])
}

pub(super) fn close(id: u32, handle: &str) -> Vec<u8> {
    packet(4, &[Number(id), Text(handle.as_bytes())])
}

/// Plays a conversation in pieces of so many bytes at most.
pub(super) fn play(gate: Gate, says: &[Says], cut: usize) -> Result<Came, Fault> {
    let mut sftp = Sftp::new(gate);
    let mut came = Came::default();
    for (piece, by_client) in pieces(says, cut) {
        came.add(if by_client { sftp.client(piece)? } else { sftp.target(piece)? });
    }
    came.events.extend(sftp.end());
    Ok(came)
}

pub(super) fn plays(gate: Gate, says: &[Says]) -> Came {
    play(gate, says, usize::MAX).unwrap()
}

pub(super) fn upload() -> Vec<Says> {
    vec![
        Client(init()),
        Target(version()),
        Client(open(1, "/tmp/x", 0x1a)),
        Target(handle(1, "h")),
        // Two in flight.
        Client([write(2, "h", 0, b"hello "), write(3, "h", 6, b"world")].concat()),
        Target([status(2, 0), status(3, 0)].concat()),
        Client(close(4, "h")),
        Target(status(4, 0)),
    ]
}

pub(super) fn download() -> Vec<Says> {
    vec![
        Client(init()),
        Target(version()),
        Client(open(1, "x", 1)),
        Target(handle(1, "h")),
        Client([read(2, "h", 0), read(3, "h", 5), read(4, "h", 10)].concat()),
        Target([data(2, b"hello"), data(3, b"world"), status(4, 1)].concat()),
        Client(close(5, "h")),
        Target(status(5, 0)),
    ]
}

#[test]
fn what_goes_up_and_down_is_told_with_its_hash() {
    let up = plays(open_gate(), &upload());
    let told = Event {
        deed: Deed::Put,
        path: "/tmp/x".into(),
        other: None,
        size: 11,
        reach: 11,
        sum: sum(b"hello world"),
        keep: None,
        outcome: Outcome::Done,
    };
    assert_eq!(up.events, std::slice::from_ref(&told));
    assert!(told.line().starts_with("put /tmp/x 11 bytes sha256:b94d27b9934d3e08"), "{}", told.line());
    let down = plays(open_gate(), &download());
    assert_eq!(
        down.events,
        [Event { deed: Deed::Get, path: "x".into(), size: 10, reach: 10, sum: sum(b"helloworld"), ..told }]
    );
    // Nothing was changed on its way.
    let said = |client: bool| -> Vec<u8> {
        let of = |says: Says| match says {
            Client(bytes) if client => bytes,
            Target(bytes) if !client => bytes,
            _ => Vec::new(),
        };
        upload().into_iter().flat_map(of).collect()
    };
    assert_eq!((up.to_target, up.to_client), (said(true), said(false)));
}

#[test]
fn content_out_of_order_has_no_hash() {
    let mut says = upload();
    says[4] = Client([write(2, "h", 6, b"world"), write(3, "h", 0, b"hello ")].concat());
    let came = plays(open_gate(), &says);
    assert_eq!((came.events[0].size, came.events[0].sum), (11, Sum::OutOfOrder));
}

#[test]
fn failures_and_ends_are_told_as_they_are() {
    let mut says = upload();
    says[5] = Target([status(2, 0), status(3, 4)].concat());
    assert_eq!(plays(open_gate(), &says).events[0].outcome, Outcome::Failed("so it is".into()));
    says.truncate(6);
    assert_eq!(plays(open_gate(), &says[..5]).events[0].outcome, Outcome::Cut);
    let failed = [Client(init()), Client(open(1, "x", 1)), Target(status(1, 2))];
    assert_eq!(plays(open_gate(), &failed).events[0].outcome, Outcome::Failed("so it is".into()));
}

#[test]
fn what_has_no_content_is_told_too() {
    let texts =
        |kind: u8, id: u32, a: &str, b: &str| packet(kind, &[Number(id), Text(a.as_bytes()), Text(b.as_bytes())]);
    let extended = |id: u32, name: &str, a: &str, b: &str| {
        packet(200, &[Number(id), Text(name.as_bytes()), Text(a.as_bytes()), Text(b.as_bytes())])
    };
    let says = [
        Client(init()),
        Client(
            [
                packet(13, &[Number(1), Text(b"a")]),
                texts(18, 2, "a", "b"),
                packet(14, &[Number(3), Text(b"d"), Number(0)]),
                packet(15, &[Number(4), Text(b"d")]),
                packet(9, &[Number(5), Text(b"a"), Number(0)]),
                texts(20, 6, "leads", "name"),
                extended(7, "posix-rename@openssh.com", "a", "b"),
                extended(8, "hardlink@openssh.com", "leads", "name"),
                packet(11, &[Number(9), Text(b"/")]),
            ]
            .concat(),
        ),
        Target((1..=8).flat_map(|id| status(id, 0)).collect()),
        Target(handle(9, "d")),
    ];
    let lines: Vec<_> = plays(open_gate(), &says).events.iter().map(Event::line).collect();
    assert_eq!(
        lines,
        [
            "remove a",
            "rename a -> b",
            "mkdir d",
            "rmdir d",
            "setstat a",
            "link name -> leads",
            "rename a -> b",
            "link name -> leads",
            "list /"
        ]
    );
}

#[test]
fn what_is_refused_never_reaches_the_target() {
    for (transfer, allowed_up, allowed_down) in [
        (Crossing::Both, true, true),
        (Crossing::Up, true, false),
        (Crossing::Down, false, true),
        (Crossing::None, false, false),
    ] {
        for (says, allowed, deed) in [(upload(), allowed_up, Deed::Put), (download(), allowed_down, Deed::Get)] {
            let begin: Vec<Says> = says.into_iter().take(3).collect();
            let came = plays(Gate::new(transfer, &[]), &begin);
            let Client(open) = &begin[2] else { panic!() };
            assert_eq!(came.to_target.ends_with(open), allowed, "{transfer:?} {deed:?}");
            if !allowed {
                assert!(
                    matches!(&came.events[0], Event { deed: told, outcome: Outcome::Refused(_), .. } if *told == deed)
                );
                let answer = &came.to_client[version().len()..];
                assert_eq!((answer[4], &answer[5..13]), (101, &[0, 0, 0, 1, 0, 0, 0, 3][..]));
                assert_eq!(
                    usize::try_from(u32::from_be_bytes(answer[..4].try_into().unwrap())).unwrap() + 4,
                    answer.len()
                );
            }
        }
    }
    // Changes of names need the way up.
    let remove = [Client(init()), Client(packet(13, &[Number(1), Text(b"a")]))];
    assert_eq!(plays(Gate::new(Crossing::Down, &[]), &remove).to_target, init());
}

#[test]
fn names_and_sizes_have_rules() {
    let begin: Vec<Says> =
        download().into_iter().take(2).chain([Client(open(1, "/home/bob/.ssh/../.ssh/id_rsa", 1))]).collect();
    for name in ["id_rsa", "*/.ssh/*", "/home/bob/.ssh/id_rsa"] {
        let came = plays(gate(rule(name, Crossing::Down, None)), &begin);
        assert_eq!(came.events.len(), 1, "{name}");
        let Outcome::Refused(why) = &came.events[0].outcome else { panic!("{:?}", came.events) };
        assert!(why.contains("s/r") && why.contains("it is kept"), "{why}");
    }
    for free in [rule("id_rsa", Crossing::Up, None), rule("other", Crossing::Both, None)] {
        assert_eq!(plays(gate(free), &begin).events, []);
    }
    // The write that is over the size is refused with its content; what comes after is understood.
    let mut says = upload();
    says[5] = Target(status(2, 0));
    let came = plays(gate(rule("", Crossing::Both, Some(10))), &says);
    assert!(!came.to_target.windows(5).any(|bytes| bytes == b"world"));
    assert!(came.to_target.ends_with(&close(4, "h")));
    assert!(matches!(&came.events[0], Event { size: 6, outcome: Outcome::Refused(_), .. }));
}

#[test]
fn an_answer_waits_for_the_end_of_the_targets_packet() {
    let mut sftp = Sftp::new(Gate::new(Crossing::Down, &[]));
    let mut came = Came::default();
    came.add(sftp.client(&[init(), open(1, "x", 1)].concat()).unwrap());
    came.add(sftp.target(&[version(), handle(1, "h")].concat()).unwrap());
    came.add(sftp.client(&read(2, "h", 0)).unwrap());
    let whole = data(2, &[7; 100]);
    came.add(sftp.target(&whole[..40]).unwrap());
    let before = came.to_client.len();
    came.add(sftp.client(&open(3, "y", 2)).unwrap());
    assert_eq!(came.to_client.len(), before, "the answer would stand within the target's packet");
    came.add(sftp.target(&whole[40..]).unwrap());
    let greeted = version().len() + handle(1, "h").len();
    assert_eq!(came.to_client[greeted..][..whole.len()], whole);
    assert_eq!(came.to_client[greeted + whole.len()..][4], 101);
}

#[test]
fn handles_that_nobody_was_given_lead_nowhere() {
    let says = [Client(init()), Target(version()), Client([open(1, "x", 2), write(2, "guess", 0, b"abc")].concat())];
    let came = plays(open_gate(), &says);
    assert!(came.to_target.ends_with(&open(1, "x", 2)));
    assert_eq!(came.to_client[version().len()..][4], 101);
}

#[test]
fn a_newer_version_is_not_asked_for() {
    assert_eq!(plays(open_gate(), &[Client(packet(1, &[Number(6)]))]).to_target, init());
    assert!(play(open_gate(), &[Client(init()), Target(packet(2, &[Number(6)]))], 99).is_err());
}

#[test]
fn what_is_no_sftp_ends_the_channel() {
    let faults = |says: &[Says]| play(open_gate(), says, usize::MAX).is_err();
    assert!(faults(&[Client(init()), Client(vec![0xff; 9])]), "a length over the limit");
    assert!(faults(&[Client(init()), Client(vec![0, 0, 0, 1, 5])]), "a packet without a number");
    assert!(faults(&[Client(init()), Target(version()), Target(status(9, 0))]), "a reply to nothing");
    assert!(faults(&[Client(init()), Client(init())]), "a second greeting");
    assert!(faults(&[Client([init(), open(1, "a", 1), open(1, "b", 1)].concat())]), "one number twice");
    let mut lies = write(2, "h", 0, b"abc");
    lies[25] = 9;
    assert!(faults(&[Client([init(), lies].concat())]), "lengths that do not fit");
}

#[test]
fn memory_is_bounded() {
    let opens: Vec<u8> = (0..=4096).flat_map(|id| open(id, "x", 1)).collect();
    assert!(matches!(play(open_gate(), &[Client(init()), Client(opens)], usize::MAX), Err(Fault::TooMany { .. })));
    let mut says = vec![Client(init())];
    for id in 0..1025_u32 {
        says.push(Client(open(id, "x", 1)));
        says.push(Target(handle(id, &id.to_string())));
    }
    assert!(matches!(play(open_gate(), &says, usize::MAX), Err(Fault::TooMany { .. })));
    let long = packet(13, &[Number(1), Text(&[b'a'; 70_000])]);
    assert!(play(open_gate(), &[Client(init()), Client(long)], usize::MAX).is_err());
}
