//! Replies of a target that says what it likes: for the fuzzer. No build of the product has it.

use super::{EXTENDED, MODE, Reply, SIZE, Says, TIMES, kind, room, sealed};
use bytes::BytesMut;
use sallyport_ssh_transport::wire::Put as _;

/// Takes every reply out of what has come; nothing that is told of is longer than it.
pub fn walk(bytes: &[u8]) {
    let mut held = BytesMut::from(bytes);
    loop {
        let before = held.len();
        let Ok(Some(reply)) = Reply::take(&mut held) else { return };
        let length = before.saturating_sub(held.len());
        assert!(length > 4, "a reply of nothing");
        let told = match &reply.says {
            Says::Names(names) => names.iter().map(|(name, _)| name.len().saturating_add(12)).sum(),
            Says::Handle(bytes) | Says::Data(bytes) | Says::Extended(bytes) => bytes.len(),
            _ => 0,
        };
        assert!(told <= length, "{told} bytes are told of {length}");
        if let Says::Extended(bytes) = &reply.says {
            let _ = room(bytes);
        }
    }
}

/// Genuine replies.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let reply = |kind: u8, fill: &dyn Fn(&mut Vec<u8>)| {
        let mut out = vec![kind];
        out.uint32(9);
        fill(&mut out);
        sealed(&out).to_vec()
    };
    let known = |out: &mut Vec<u8>| {
        out.uint32(SIZE | MODE | TIMES | EXTENDED);
        out.uint64(77);
        [0o100_644, 1, 1_700_000_000, 1].into_iter().for_each(|number| out.uint32(number));
        [b"name@example.com".as_slice(), b"value"].into_iter().for_each(|text| out.string(text));
    };
    vec![
        reply(kind::NAME, &|out| {
            out.uint32(2);
            for name in [b"name".as_slice(), b"\xff"] {
                out.string(name);
                out.string(b"-rw-r--r-- name");
                known(out);
            }
        }),
        reply(kind::ATTRS, &known),
        reply(kind::STATUS, &|out| {
            out.uint32(4);
            [b"Failure".as_slice(), b"en"].into_iter().for_each(|text| out.string(text));
        }),
        [reply(kind::HANDLE, &|out| out.string(b"h")), reply(kind::DATA, &|out| out.string(b"data"))].concat(),
        reply(kind::EXTENDED_REPLY, &|out| (1..12).for_each(|number| out.uint64(number))),
    ]
}
