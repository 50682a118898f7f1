//! Ways around the limit and the rules of files, each of which leads nowhere.

use super::scp::text;
use super::sftp::Field::{Long, Number, Text};
use super::sftp::{close, data, handle, open, packet, read, status, write};
use super::*;
use crate::files::sftp::Sftp;

const REFUSED: u8 = 3;
const FAILED: u8 = 4;

/// The codes of all statuses that a client was given.
fn codes(mut bytes: &[u8]) -> Vec<u8> {
    let mut codes = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (packet, rest) = rest.split_at(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        codes.extend((packet[0] == 101).then(|| packet[8]));
        bytes = rest;
    }
    codes
}

fn down(name: &str) -> Gate {
    gate(rule(name, Crossing::Down, None))
}

fn most(name: &str, bytes: u64) -> Gate {
    gate(rule(name, Crossing::Both, Some(bytes)))
}

/// What becomes of requests, each of them the first of a channel; the target's start is `/root`.
fn asked(gate: &Gate, request: &[u8]) -> Came {
    let mut says = vec![Client(init()), Target(version())];
    if gate.asks_where() {
        says.push(Target(packet(104, &[Number(u32::MAX), Number(1), Text(b"/root"), Text(b""), Number(0)])));
    }
    says.push(Client(request.to_vec()));
    plays(gate.clone(), &says)
}

fn is_refused(gate: &Gate, request: &[u8]) -> bool {
    let came = asked(gate, request);
    let (refused, went) = (codes(&came.to_client) == [REFUSED], came.to_target.ends_with(request));
    assert_ne!(refused, went, "{came:?}");
    refused
}

fn extended(name: &str, one: &[u8], other: &[u8]) -> Vec<u8> {
    packet(200, &[Number(9), Text(name.as_bytes()), Text(one), Text(other)])
}

#[test]
fn an_open_without_write_reads_whatever_its_flags() {
    for flags in 0..64_u32 {
        let (reads, changes) = (flags & 1 != 0 || flags & 2 == 0, flags & 0x1e != 0);
        for (crossing, refused) in
            [(Crossing::None, true), (Crossing::Up, reads), (Crossing::Down, changes), (Crossing::Both, false)]
        {
            assert_eq!(is_refused(&Gate::new(crossing, &[]), &open(1, "/etc/shadow", flags)), refused, "{flags}");
        }
        assert_eq!(is_refused(&down("/etc/shadow"), &open(1, "/etc/shadow", flags)), reads, "{flags}");
    }
}

#[test]
fn a_handle_is_judged_again_by_what_is_done_with_it() {
    for (crossing, flags, request) in [
        (Crossing::Up, 2, read(2, "h", 0)),
        (Crossing::Down, 1, write(2, "h", 0, b"abc")),
        (Crossing::Down, 0, packet(10, &[Number(2), Text(b"h"), Number(1), Long(0)])),
    ] {
        let says = [
            Client(init()),
            Target(version()),
            Client(open(1, "/tmp/x", flags)),
            Target(handle(1, "h")),
            Client(request.clone()),
            Client(close(3, "h")),
        ];
        let came = plays(Gate::new(crossing, &[]), &says);
        assert_eq!(codes(&came.to_client), [REFUSED], "{request:?}");
        assert!(came.to_target.ends_with(&[open(1, "/tmp/x", flags), close(3, "h")].concat()), "{request:?}");
        assert!(came.events.iter().any(|event| matches!(event.outcome, Outcome::Refused(_))), "{:?}", came.events);
    }
}

#[test]
fn a_handle_is_used_for_what_it_is() {
    let begin = [
        Client(init()),
        Target(version()),
        Client([open(1, "x", 1), packet(11, &[Number(2), Text(b"/")])].concat()),
        Target([handle(1, "f"), handle(2, "d")].concat()),
    ];
    for request in [
        read(3, "d", 0),
        write(3, "d", 0, b"x"),
        packet(12, &[Number(3), Text(b"f")]),
        packet(8, &[Number(3), Text(b"guess")]),
        packet(200, &[Number(3), Text(b"fsync@openssh.com"), Text(b"guess")]),
        packet(200, &[Number(3), Text(b"copy-data"), Text(b"d"), Long(0), Long(0), Text(b"f"), Long(0)]),
        packet(200, &[Number(3), Text(b"copy-data"), Text(b"f"), Long(0), Long(0), Text(b"guess"), Long(0)]),
    ] {
        let says: Vec<Says> = begin.iter().cloned().chain([Client(request.clone())]).collect();
        let came = plays(open_gate(), &says);
        assert_eq!(codes(&came.to_client), [FAILED], "{request:?}");
        assert!(!came.to_target.ends_with(&request));
    }
    for (request, goes) in [
        (packet(12, &[Number(3), Text(b"d")]), true),
        (packet(200, &[Number(3), Text(b"limits@openssh.com")]), true),
        (packet(200, &[Number(3), Text(b"users-groups-by-id@openssh.com"), Text(b""), Text(b"")]), true),
        (packet(200, &[Number(3), Text(b"expand-path@openssh.com"), Text(b"~")]), true),
        (packet(200, &[Number(3), Text(b"lsetstat@openssh.com"), Text(b"x"), Number(0)]), true),
        (packet(200, &[Number(3), Text(b"read-it-all@example.com"), Text(b"x")]), false),
    ] {
        let says: Vec<Says> = begin.iter().cloned().chain([Client(request.clone())]).collect();
        assert_eq!(plays(open_gate(), &says).to_target.ends_with(&request), goes, "{request:?}");
    }
}

#[test]
fn what_has_a_rule_does_not_lose_it_by_another_name() {
    let gate = down("/etc/shadow|id_rsa|*/.ssh/*");
    let rename = |from: &str, to: &str| packet(18, &[Number(9), Text(from.as_bytes()), Text(to.as_bytes())]);
    let symlink = |leads: &str, name: &str| packet(20, &[Number(9), Text(leads.as_bytes()), Text(name.as_bytes())]);
    for request in [
        rename("/etc/shadow", "/tmp/x"),
        rename("../etc/shadow", "x"),
        rename("/etc", "/tmp/etc"),
        rename("/home/ops/id_rsa", "/home/ops/mine"),
        rename("/home/ops/.ssh", "/home/ops/ssh"),
        symlink("/etc/shadow", "/tmp/x"),
        symlink("../etc/shadow", "/tmp/x"),
        symlink("/etc", "/tmp/x"),
        symlink("/", "/tmp/x"),
        symlink("../..", "/root/a/x"),
        extended("posix-rename@openssh.com", b"/etc/shadow", b"/tmp/x"),
        extended("hardlink@openssh.com", b"/etc/shadow", b"/tmp/x"),
        extended("hardlink@openssh.com", b"../etc/shadow", b"/tmp/a/x"),
    ] {
        assert!(is_refused(&gate, &request), "{request:?}");
    }
    for request in [
        rename("/etc/hosts", "/tmp/hosts"),
        rename("/srv/a/id_rsa", "/srv/b/id_rsa"),
        rename("/home/ops/.ssh/a", "/home/ops/.ssh/b"),
        symlink("/srv/v1", "/srv/now"),
        symlink("v1", "/srv/now"),
    ] {
        assert!(!is_refused(&gate, &request), "{request:?}");
    }
    // A copy on the target is a second name too, here of what only has a size.
    let gate = gate_of_sizes();
    let says = [
        Client(init()),
        Target(version()),
        Client([open(1, "a.sql", 1), open(2, "b.txt", 0x1a)].concat()),
        Target([handle(1, "a"), handle(2, "b")].concat()),
        Client(packet(200, &[Number(3), Text(b"copy-data"), Text(b"a"), Long(0), Long(0), Text(b"b"), Long(0)])),
    ];
    assert_eq!(codes(&plays(gate, &says).to_client), [REFUSED]);
}

fn gate_of_sizes() -> Gate {
    most("*.sql", 10)
}

#[test]
fn a_rule_that_only_notes_notes_other_names_too() {
    let mut noting = rule("/etc/shadow", Crossing::Down, None);
    noting.act = Act::Alert;
    let gate = gate(noting);
    let event = |deed, path: &str, other: &str| Event::plain(deed, path.into(), Some(other.into()), Outcome::Done);
    assert_eq!(gate.alerts(&event(Deed::Rename, "/etc/shadow", "/tmp/x")).len(), 1);
    assert_eq!(gate.alerts(&event(Deed::Link, "/tmp/x", "/etc")).len(), 1);
    assert_eq!(gate.alerts(&event(Deed::Rename, "/etc/hosts", "/tmp/x")).len(), 0);
}

#[test]
fn a_path_with_a_nul_or_without_an_end_is_an_error_and_nothing_else() {
    let gate = down("/etc/shadow");
    let (nul, long) = (b"/etc/shadow\0".as_slice(), [b"/etc/".as_slice(), &b"./".repeat(2100), b"shadow"].concat());
    for path in [nul, &long] {
        let mut requests: Vec<Vec<u8>> = [7, 9, 11, 13, 14, 15, 16, 17, 19]
            .into_iter()
            .map(|kind| packet(kind, &[Number(1), Text(path), Number(0)]))
            .collect();
        requests.extend([0, 1, 2].map(|flags| packet(3, &[Number(1), Text(path), Number(flags), Number(0)])));
        requests.extend([18, 20].map(|kind| packet(kind, &[Number(1), Text(b"/tmp/x"), Text(path)])));
        requests.extend([18, 20].map(|kind| packet(kind, &[Number(1), Text(path), Text(b"/tmp/x")])));
        for name in ["posix-rename@openssh.com", "hardlink@openssh.com"] {
            requests.extend([extended(name, path, b"/tmp/x"), extended(name, b"/tmp/x", path)]);
        }
        for name in ["lsetstat@openssh.com", "statvfs@openssh.com", "expand-path@openssh.com"] {
            requests.push(packet(200, &[Number(1), Text(name.as_bytes()), Text(path), Number(0)]));
        }
        for request in requests {
            let next = open(2, "/tmp/x", 1);
            let came = asked(&gate, &[request.clone(), next.clone()].concat());
            assert_eq!(codes(&came.to_client), [FAILED], "{request:?}");
            assert!(came.to_target.ends_with(&next) && !came.to_target.windows(6).any(|bytes| bytes == b"shadow"));
        }
    }
    for (command, name) in [("scp -t /tmp", "x\0"), ("scp -t /etc/shadow\0", "x"), ("scp -f /etc/shadow", "shadow\0")] {
        let line = text(&format!("C0644 3 {name}\n"));
        let says = if command.contains("-t") {
            [Target(text("\0")), Client(line)]
        } else {
            [Client(text("\0")), Target(line)]
        };
        let came = scp_play(command, open_gate(), &says, usize::MAX).unwrap();
        assert!(matches!(came.events[0].outcome, Outcome::Refused(_)), "{came:?}");
        assert!(!came.to_target.windows(5).chain(came.to_client.windows(5)).any(|bytes| bytes == b"C0644"), "{came:?}");
    }
}

#[test]
fn relative_paths_are_understood_from_where_the_target_begins() {
    let gate = || down("/etc/shadow|/root/own/*");
    for (path, refused) in [
        ("../etc/shadow", true),
        ("a/../../etc/./shadow", true),
        ("own/x", true),
        ("etc/shadow", false),
        ("../../etc/shadow", true),
        ("../home/etc/shadow", false),
        ("shadow", false),
    ] {
        assert_eq!(is_refused(&gate(), &open(1, path, 1)), refused, "{path}");
    }
}

#[test]
fn the_target_is_asked_where_it_begins_before_the_client_hears_of_it() {
    let gate = || down("/etc/shadow");
    let mut sftp = Sftp::new(gate());
    let mut came = Came::default();
    came.add(sftp.client(&init()).unwrap());
    came.add(sftp.target(&version()).unwrap());
    let question = packet(16, &[Number(u32::MAX), Text(b".")]);
    assert_eq!((came.to_target.clone(), came.to_client.len()), ([init(), question].concat(), 0));
    let answer = packet(104, &[Number(u32::MAX), Number(1), Text(b"/"), Text(b"/"), Number(0)]);
    for piece in answer.chunks(3) {
        came.add(sftp.target(piece).unwrap());
    }
    assert_eq!(came.to_client, version(), "the client hears the greeting, and not the answer");
    came.add(sftp.client(&open(1, "etc/shadow", 1)).unwrap());
    assert_eq!(codes(&came.to_client), [REFUSED]);
    // Whose target does not say, or lies about what it is, has paths that may be anywhere.
    for answer in [
        status(u32::MAX, 4),
        packet(104, &[Number(u32::MAX), Number(0)]),
        packet(104, &[Number(u32::MAX), Number(1), Text(b"home"), Text(b""), Number(0)]),
        data(u32::MAX, b"abc"),
    ] {
        let says = |path: &str| [Client(init()), Target(version()), Target(answer.clone()), Client(open(1, path, 1))];
        for (path, refused) in [("etc/shadow", true), ("shadow", true), ("../x/shadow", false), ("hosts", false)] {
            let came = plays(gate(), &says(path));
            assert!(came.to_client.starts_with(&version()));
            assert_eq!(codes(&came.to_client[version().len()..]) == [REFUSED], refused, "{path} {answer:?}");
        }
    }
    // Who asks before it was greeted is judged the same way, and hears the greeting first.
    let hasty = [
        Client([init(), open(1, "etc/shadow", 1), open(2, "x", 1)].concat()),
        Target([version(), handle(2, "h")].concat()),
    ];
    let came = plays(gate(), &hasty);
    assert!(came.to_client.starts_with(&version()) && codes(&came.to_client) == [REFUSED], "{came:?}");
    assert!(play(gate(), &[Client([init(), open(u32::MAX, "x", 1)].concat()), Target(version())], 9).is_ok());
}

#[test]
fn scp_that_leads_out_of_a_home_may_lead_anywhere() {
    let refused = |command: &str, alone: bool, name: &str| {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let asked = crate::files::scp::Asked { alone, ..crate::files::scp::asked(&words).unwrap() };
        let mut scp = crate::files::scp::Scp::new(&asked, down("/etc/shadow|/srv/keep/*"));
        scp.client(b"\0").unwrap();
        let flow = scp.target(format!("C0644 3 {name}\n").as_bytes()).map(|flow| flow.events.len()).unwrap();
        flow == 1
    };
    for (command, alone, name, is) in [
        ("scp -f ../etc/shadow", true, "shadow", true),
        ("scp -f ../../../etc/shadow", true, "shadow", true),
        ("scp -f a/../../etc/shadow", true, "shadow", true),
        ("scp -f /e*/shadow", true, "shadow", true),
        ("scp -f /etc/sh*", true, "shadow", true),
        ("scp -f *", true, "shadow", true),
        ("scp -f etc/shadow", true, "shadow", false),
        ("scp -f shadow", true, "shadow", false),
        ("scp -f shadow", false, "shadow", true),
        ("scp -f ../etc/hosts", true, "hosts", true),
        ("scp -f /var/../etc/hosts", true, "hosts", false),
    ] {
        assert_eq!(refused(command, alone, name), is, "{command}");
    }
}

fn opened(id: u32, path: &str, flags: u32) -> [Says; 2] {
    [Client(open(id, path, flags)), Target(handle(id, &id.to_string()))]
}

#[test]
fn a_size_is_a_files_and_not_an_opens() {
    let begin = [Client(init()), Target(version())];
    let two = |flags: u32, second: u64| -> Vec<Says> {
        let mut says = begin.to_vec();
        says.extend(opened(1, "/tmp/x", flags));
        says.extend([
            Client(write(2, "1", 0, &[7; 90])),
            Client(close(3, "1")),
            Target([status(2, 0), status(3, 0)].concat()),
        ]);
        says.extend(opened(4, "/tmp/x", flags));
        says.extend([Client(write(5, "4", second, &[7; 90]))]);
        says
    };
    for (flags, second, refused) in
        [(2, 90, true), (2, 0, false), (2, 10, false), (2, 11, true), (6, 0, true), (6, 90, true)]
    {
        let came = plays(most("", 100), &two(flags, second));
        assert_eq!(codes(&came.to_client).contains(&REFUSED), refused, "{flags} {second}");
    }
    // However the file came to what it is, and whatever it is called by then.
    for (first, rename, refused) in
        [(2, None, true), (6, None, true), (2, Some("/tmp/y"), true), (2, Some("/tmp/z"), false)]
    {
        let mut says = begin.to_vec();
        says.extend(opened(1, "/tmp/x", first));
        says.push(Client(write(2, "1", 0, &[7; 90])));
        let to = rename.unwrap_or("/tmp/x");
        says.extend(rename.map(|_| Client(packet(18, &[Number(3), Text(b"/tmp/x"), Text(b"/tmp/y")]))));
        says.extend(opened(4, to, 6));
        says.push(Client(write(5, "4", 0, &[7; 90])));
        assert_eq!(codes(&plays(most("", 100), &says).to_client) == [REFUSED], refused, "{first} {rename:?}");
    }
    // In another channel of the session too.
    let known = crate::files::StandIns::default();
    for refused in [false, true] {
        let mut says = begin.to_vec();
        says.extend(opened(1, "/tmp/x", 6));
        says.push(Client(write(2, "1", 0, &[7; 90])));
        let came = plays(most("", 100).standing_in(known.clone()), &says);
        assert_eq!(codes(&came.to_client) == [REFUSED], refused);
    }
    // Down, what comes is judged and not what was asked for: whoever reads asks beyond the end.
    let reads = |offset: u64, came: Vec<u8>| -> Vec<Says> {
        let mut says = begin.to_vec();
        says.extend(opened(1, "/tmp/x", 1));
        says.extend([Client(read(2, "1", offset)), Target(came)]);
        says
    };
    for (offset, said, refused) in [
        (0, data(2, &[7; 100]), false),
        (100, status(2, 1), false),
        (0, data(2, &[7; 101]), true),
        (50, data(2, &[7; 51]), true),
        (50, data(2, &[7; 50]), false),
        (101, status(2, 1), true),
    ] {
        let says = reads(offset, said.clone());
        let says = if offset > 100 { &says[..5] } else { &says[..] };
        let came = plays(most("", 100), says);
        assert_eq!(codes(&came.to_client).contains(&REFUSED), refused, "{offset}");
        assert_eq!(came.to_client.ends_with(&said), !refused, "{offset}");
    }
    assert!(play(open_gate(), &reads(0, data(2, &[7; 40_000])), 9).is_err(), "more than was asked for");
}
