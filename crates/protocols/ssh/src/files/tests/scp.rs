//! Conversations of scp, in both of its modes.

use super::super::scp::{self, Scp};
use super::*;

pub(super) fn scp_play(command: &str, gate: Gate, says: &[Says], cut: usize) -> Result<Came, Fault> {
    let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
    let mut scp = Scp::new(&scp::asked(&words).unwrap(), gate);
    let mut came = Came::default();
    for (piece, by_client) in pieces(says, cut) {
        came.add(if by_client { scp.client(piece)? } else { scp.target(piece)? });
    }
    came.events.extend(scp.end());
    Ok(came)
}

pub(super) fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub(super) fn scp_up() -> Vec<Says> {
    vec![
        Target(text("\0")),
        Client(text("T1 0 1 0\n")),
        Target(text("\0")),
        Client(text("D0755 0 dir\n")),
        Target(text("\0")),
        Client(text("C0644 5 a b\n")),
        Target(text("\0")),
        Client(text("hello\0")),
        Target(text("\0")),
        Client(text("E\n")),
        Target(text("\0")),
    ]
}

#[test]
fn commands_of_scp_are_known() {
    let asked = |text: &str| scp::asked(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(asked("scp -t /tmp"), Some(scp::Asked { way: Way::Up, path: "/tmp".into(), alone: true }));
    assert_eq!(asked("/usr/bin/scp -rpf -- a"), Some(scp::Asked { way: Way::Down, path: "a".into(), alone: true }));
    assert_eq!(asked("scp a host:b"), None);
    assert_eq!(asked("cat -t x"), None);
}

#[test]
fn scp_tells_files_in_both_modes() {
    let up = scp_play("scp -r -t /tmp", open_gate(), &scp_up(), usize::MAX).unwrap();
    let told = Event {
        deed: Deed::Put,
        path: "/tmp/dir/a b".into(),
        other: None,
        size: 5,
        reach: 5,
        sum: sum(b"hello"),
        keep: None,
        outcome: Outcome::Done,
    };
    assert_eq!(up.events, std::slice::from_ref(&told));
    let turned = scp_up().into_iter().map(|says| match says {
        Client(bytes) => Target(bytes),
        Target(bytes) => Client(bytes),
    });
    let down = scp_play("scp -r -f /srv/dir", open_gate(), &turned.collect::<Vec<_>>(), usize::MAX).unwrap();
    assert_eq!(down.events, [Event { deed: Deed::Get, path: "/srv/dir/a b".into(), ..told }]);
}

#[test]
fn scp_tells_failures() {
    let refused = [Target(text("\0")), Client(text("C0644 5 x\n")), Target(text("\u{1}scp: x: Permission denied\n"))];
    let came = scp_play("scp -t /tmp", open_gate(), &refused, usize::MAX).unwrap();
    assert_eq!(came.events[0].outcome, Outcome::Failed("scp: x: Permission denied".into()));
    let cut = [Target(text("\0")), Client(text("C0644 5 x\n")), Target(text("\0")), Client(text("he"))];
    let came = scp_play("scp -t /tmp", open_gate(), &cut, usize::MAX).unwrap();
    assert_eq!((came.events[0].size, &came.events[0].outcome), (2, &Outcome::Cut));
}

#[test]
fn scp_refuses_by_name_and_goes_on() {
    let says = [
        Target(text("\0")),
        Client(text("C0644 5 id_rsa\n")),
        Client(text("C0644 0 other\n")),
        Target(text("\0")),
        Client(text("\0")),
        Target(text("\0")),
    ];
    let came = scp_play("scp -t /tmp", gate(rule("id_rsa", Crossing::Up, None)), &says, usize::MAX).unwrap();
    assert_eq!(came.to_target, b"C0644 0 other\n\0");
    assert!(came.to_client.starts_with(b"\0\x01scp: /tmp/id_rsa: the rule s/r keeps it"));
    assert_eq!(came.events.len(), 2);
    // Downward both are told: the target that it may go on, the person why there is nothing.
    let says = [Client(text("\0")), Target(text("C0644 5 id_rsa\n"))];
    let came = scp_play("scp -f /srv/*", gate(rule("id_rsa", Crossing::Down, None)), &says, usize::MAX).unwrap();
    assert!(came.to_target.starts_with(b"\0\x01scp: /srv/id_rsa") && came.to_client.starts_with(b"\x01scp: "));
    assert!(!came.to_client.windows(5).any(|bytes| bytes == b"C0644"));
}

#[test]
fn what_is_no_scp_ends_the_channel() {
    for says in [
        vec![Client(text("X\n"))],
        vec![Client(text("C0644 5 ../x\n"))],
        vec![Client(text("C0644 5 a/b\n"))],
        vec![Client(text("C0644 -5 x\n"))],
        vec![Client(text("C0644 x\n"))],
        vec![Client(text("C0644 5 x\n")), Client(text("C0644 5 y\n"))],
        vec![Client(vec![b'C'; 9000])],
        vec![Target(text("\0")), Target(text("\0"))],
    ] {
        assert!(scp_play("scp -t /tmp", open_gate(), &says, usize::MAX).is_err(), "{says:?}");
    }
}
