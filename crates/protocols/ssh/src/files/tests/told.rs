//! Every byte that a client gets of a command is told: as content, by an event, or as output.

use super::scp::text;
use super::sftp::Field::{Number, Text};
use super::sftp::{close, data, handle, open, packet, read, status};
use super::*;
use crate::files::scp::{Scp, asked};
use crate::files::sftp::Sftp;

/// What came, and how much of it was content of files that are told.
#[derive(Default)]
struct Heard {
    came: Came,
    content: Vec<u8>,
}

impl Heard {
    fn add(&mut self, flow: Flow<'_>) {
        flow.content.iter().for_each(|(_, bytes)| self.content.extend_from_slice(bytes));
        self.came.add(flow);
    }

    fn told(&self) -> u64 {
        self.came.events.iter().filter(|event| event.deed == Deed::Get).map(|event| event.size).sum()
    }
}

/// Plays what a command says that was taken for a server, as far as it can be followed.
fn server(says: &[Says], cut: usize) -> Heard {
    let mut sftp = Sftp::new(open_gate().keeping(1 << 20)).of_command();
    let mut heard = Heard::default();
    for (piece, by_client) in pieces(says, cut) {
        let Ok(flow) = (if by_client { sftp.client(piece) } else { sftp.target(piece) }) else { break };
        heard.add(flow);
    }
    heard.came.events.extend(sftp.end());
    heard
}

/// What has to be output of what a client got: all but content, its heads, and words that everybody uses.
fn untold(mut got: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut output, mut content) = (Vec::new(), Vec::new());
    while got.len() >= 5 {
        let length = usize::try_from(u32::from_be_bytes(got[..4].try_into().unwrap())).unwrap() + 4;
        let (packet, rest) = got.split_at(length.min(got.len()));
        got = rest;
        match packet[4] {
            103 => content.extend_from_slice(packet.get(13..).unwrap_or_default()),
            101 if packet == ok(packet) => {}
            _ => output.extend_from_slice(packet),
        }
    }
    (output, content)
}

/// The success that this packet might be.
fn ok(packet: &[u8]) -> Vec<u8> {
    let id = packet.get(5..9).map_or(0, |id| u32::from_be_bytes(id.try_into().unwrap()));
    self::packet(101, &[Number(id), Number(0), Text(b"Success"), Text(b"")])
}

use Says::{Client as C, Target as T};

fn conversation(words: &[u8], names: &[u8], file: &[u8]) -> Vec<Says> {
    let success = |id: u32| packet(101, &[Number(id), Number(0), Text(b"Success"), Text(b"")]);
    vec![
        C(init()),
        T(packet(2, &[Number(3), Text(b"an@extension"), Text(names)])),
        C([open(1, "x", 1), packet(16, &[Number(2), Text(b".")]), packet(17, &[Number(3), Text(b"x")])].concat()),
        T([handle(1, "h"), packet(104, &[Number(2), Number(1), Text(names)]), packet(105, &[Number(3), Text(words)])]
            .concat()),
        C([packet(200, &[Number(4), Text(b"limits@openssh.com")]), read(5, "h", 0), read(6, "h", 99)].concat()),
        T([packet(201, &[Number(4), Text(words)]), data(5, file), success(6)].concat()),
        C([read(7, "h", 0), close(8, "h")].concat()),
        // The close is answered first: what comes then is content of nothing.
        T([success(8), data(7, names)].concat()),
        C(packet(16, &[Number(9), Text(b"y")])),
        T(packet(101, &[Number(9), Number(4), Text(words), Text(names)])),
    ]
}

proptest! {
    #[test]
    fn what_a_client_gets_of_a_server_is_told(
        words in proptest::collection::vec(any::<u8>(), 0..200),
        names in proptest::collection::vec(any::<u8>(), 0..200),
        file in proptest::collection::vec(any::<u8>(), 1..200),
        cut in 1..60_usize,
    ) {
        let says = conversation(&words, &names, &file);
        let heard = server(&says, cut);
        let got: Vec<u8> = says.iter().filter_map(|said| match said { T(bytes) => Some(bytes.clone()), C(_) => None }).flatten().collect();
        prop_assert_eq!(&heard.came.to_client, &got, "nothing is changed");
        let (mut expected, content) = untold(&got);
        // The content of no file is output with its head.
        let lost = data(7, &names);
        let at = expected.len() - packet(101, &[Number(9), Number(4), Text(&words), Text(&names)]).len();
        expected.splice(at..at, lost);
        prop_assert_eq!(&heard.came.output, &expected);
        prop_assert_eq!(&content, &[file.clone(), names].concat());
        prop_assert_eq!(&heard.content, &file);
        prop_assert_eq!(heard.told(), u64::try_from(file.len()).unwrap());
    }

    #[test]
    fn what_a_client_gets_of_scp_is_told(
        words in "[^\n\\x00]{0,60}",
        file in proptest::collection::vec(any::<u8>(), 1..200),
        cut in 1..60_usize,
        early in any::<bool>(),
    ) {
        // A source that says more than files, to a sink that may have had enough in the middle of one.
        let mut says = vec![C(text("\0")), T(text(&format!("\u{1}{words}\n\u{1}more\n")))];
        says.extend([T(text("D0755 0 d\n")), C(text("\0")), T(text(&format!("C0644 {} x\n", file.len()))), C(text("\0"))]);
        let (first, second) = file.split_at(file.len() / 2);
        says.push(T(first.to_vec()));
        if early {
            says.push(C(text("\u{1}enough\n")));
        }
        says.extend([T(second.to_vec()), T(vec![0])]);
        let words: Vec<String> = ["scp", "-f", "x"].map(str::to_owned).into();
        let (mut scp, mut heard) = (Scp::new(&asked(&words).unwrap(), open_gate().keeping(1 << 20)), Heard::default());
        for (piece, by_client) in pieces(&says, cut) {
            heard.add(if by_client { scp.client(piece).unwrap() } else { scp.target(piece).unwrap() });
        }
        heard.came.events.extend(scp.end());
        let got: Vec<u8> = says.iter().filter_map(|said| match said { T(bytes) => Some(bytes.clone()), C(_) => None }).flatten().collect();
        prop_assert_eq!(&heard.came.to_client, &got);
        let told = if early { first.len() } else { file.len() };
        prop_assert_eq!(heard.told(), u64::try_from(told).unwrap());
        // All but what is told of the file, and the zero that ends it.
        prop_assert_eq!(heard.came.output.len() + told + 1, got.len());
        prop_assert!(got.starts_with(&heard.came.output[..heard.came.output.len() - (file.len() - told)]));
    }

    #[test]
    fn what_a_sink_answers_is_told(words in "[^\n\\x00]{0,60}", cut in 1..60_usize) {
        let line = text(&format!("\u{1}{words}\n"));
        let says = [T(text("\0")), C(text("C0644 3 x\n")), T(line.clone()), T(line.clone())];
        let came = scp_play("scp -t x", open_gate(), &says, cut).unwrap();
        prop_assert_eq!(came.output, line.repeat(2));
    }
}

#[test]
fn usual_words_of_a_server_are_no_output() {
    let says = [C(init()), T(version()), C(open(1, "x", 1)), T(status(1, 2))];
    assert!(server(&says, 99).came.output.ends_with(&status(1, 2)), "a failure has words of its own");
    assert!(plays(open_gate(), &says).output.is_empty(), "a subsystem is what the target says it is");
}
