//! Conversations of clients and targets about files, as both protocols have them.

mod evasions;
mod scp;
mod sftp;
mod told;

use self::scp::{scp_play, scp_up};
use self::sftp::{download, init, play, plays, upload, version};
use super::*;
use aws_lc_rs::digest::{SHA256, digest};
use proptest::prelude::*;
use sallyport_model::limits::Crossing;
use sallyport_model::rules::{Act, FileRule, RuleSet};

fn sum(bytes: &[u8]) -> Sum {
    Sum::Sha256(digest(&SHA256, bytes).as_ref().try_into().unwrap())
}

fn open_gate() -> Gate {
    Gate::new(Crossing::Both, &[])
}

fn rule(name: &str, way: Crossing, most: Option<u64>) -> FileRule {
    FileRule { id: "r".into(), act: Act::Block, why: "it is kept".into(), name: name.into(), way, most }
}

fn gate(rule: FileRule) -> Gate {
    let (name, description) = ("s".parse().unwrap(), "d".into());
    let set = RuleSet {
        name,
        description,
        grammar: sallyport_model::rules::Grammar::Shell,
        unknown: Act::Alert,
        otherwise: Act::Pass,
        commands: Vec::new(),
        files: vec![rule],
    };
    Gate::new(Crossing::Both, &[set])
}

/// A conversation: who says what, in their order.
#[derive(Clone, Debug)]
enum Says {
    Client(Vec<u8>),
    Target(Vec<u8>),
}

/// What is said, in pieces of so many bytes at most, and whether the client says it.
fn pieces(says: &[Says], cut: usize) -> impl Iterator<Item = (&[u8], bool)> {
    says.iter().flat_map(move |said| {
        let (bytes, by_client) = match said {
            Client(bytes) => (bytes, true),
            Target(bytes) => (bytes, false),
        };
        bytes.chunks(cut).map(move |piece| (piece, by_client))
    })
}

use Says::{Client, Target};

/// What came of a conversation.
#[derive(Debug, Default, Eq, PartialEq)]
struct Came {
    to_target: Vec<u8>,
    to_client: Vec<u8>,
    events: Vec<Event>,
    /// What is told as what a program wrote.
    output: Vec<u8>,
}

impl Came {
    fn add(&mut self, flow: Flow<'_>) {
        flow.to_target.iter().for_each(|bytes| self.to_target.extend_from_slice(bytes));
        flow.to_client.iter().for_each(|bytes| self.to_client.extend_from_slice(bytes));
        flow.output.iter().for_each(|bytes| self.output.extend_from_slice(bytes));
        self.events.extend(flow.events);
    }
}

proptest! {
    #[test]
    fn any_cutting_is_the_same(cut in 1..40_usize) {
        for says in [upload(), download()] {
            prop_assert_eq!(play(open_gate(), &says, cut).unwrap(), plays(open_gate(), &says));
            let closed = Gate::new(Crossing::None, &[]);
            let begin = &says[..3];
            prop_assert_eq!(play(closed.clone(), begin, cut).unwrap(), plays(closed, begin));
        }
        let whole = scp_play("scp -r -t /tmp", open_gate(), &scp_up(), usize::MAX).unwrap();
        prop_assert_eq!(scp_play("scp -r -t /tmp", open_gate(), &scp_up(), cut).unwrap(), whole);
    }

    #[test]
    fn no_bytes_panic(client in proptest::collection::vec(any::<u8>(), 0..200), target in proptest::collection::vec(any::<u8>(), 0..200), cut in 1..50_usize) {
        let mut framed = (u32::try_from(client.len()).unwrap()).to_be_bytes().to_vec();
        framed.extend(&client);
        let says = [Client(init()), Target(version()), Client(framed), Target(target), Client(client)];
        let _ = play(open_gate(), &says, cut);
        let _ = scp_play("scp -t x", open_gate(), &says, cut);
        let _ = scp_play("scp -f x", open_gate(), &says, cut);
    }
}

#[test]
fn patterns_with_and_without_slashes_may_stand_together() {
    let gate = gate(rule("/etc/shadow|id_rsa|*.kdbx", Crossing::Both, None));
    for kept in ["/etc/shadow", "/etc/../etc//shadow", "keep/id_rsa", "id_rsa", "/home/ops/all.kdbx"] {
        assert!(gate.open(Way::Down, kept).is_err(), "{kept}");
    }
    for free in ["shadow", "home/etc/shadow", "id_rsa.pub", "kdbx"] {
        assert_eq!(gate.open(Way::Down, free), Ok(()), "{free}");
    }
}
