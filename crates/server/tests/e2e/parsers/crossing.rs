//! What crosses an SSH session: command lines of shells and of devices, SFTP and scp.

use super::texts;
use sallyport_model::limits::Crossing;
use sallyport_ssh::files::{Flow, Gate, scp, sftp};
use sallyport_statements::device as lines;
use sallyport_statements::shell::{Memory, read};

pub(super) fn shell(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut memory = Memory::default();
    let Ok(script) = read(text, &mut memory) else { return };
    assert!(script.commands.len() < 10_000, "a text runs more programs than are followed");
    let _ = read(text, &mut memory);
}

pub(super) fn shell_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "sudo -u bob rm -rf \"$HOME\"/{a,b} > /dev/null 2>&1 && for i in 1 2; do echo $i; done",
        "x=$(echo cm0K | base64 -d); case $x in a|b) $x;; esac; f() { eval \"$@\"; }",
        "cat <<E | sh -s\nrm ${x:-$(id)}\nE\n",
        "find / -exec sh -c 'echo {}' \\; | xargs -0 $'\\x72m' `uname`",
    ])
}

/// One conversation: each byte of the first part says who sends how much of the second.
fn conversation(bytes: &[u8], mut take: impl FnMut(&[u8], bool) -> bool) {
    let Some((count, rest)) = bytes.split_first() else { return };
    let (turns, mut said) = rest.split_at_checked(usize::from(*count)).unwrap_or((rest, &[]));
    for turn in turns {
        let (now, later) = said.split_at_checked(usize::from(turn >> 1)).unwrap_or((said, &[]));
        if !take(now, turn & 1 == 0) {
            return;
        }
        said = later;
    }
    take(said, true);
}

pub(super) fn sftp(bytes: &[u8]) {
    for crossing in [Crossing::Both, Crossing::None] {
        let mut decoder = sftp::Sftp::new(Gate::new(crossing, &[]));
        let mut sent = 0;
        conversation(bytes, |said, client| {
            sent += said.len();
            let flow = if client { decoder.client(said) } else { decoder.target(said) };
            flow.as_ref().is_ok_and(|flow| passed(flow, client) <= sent)
        });
        let _ = decoder.end();
    }
}

/// How much goes on of what was said; the gateway's own answers do not count.
fn passed(flow: &Flow<'_>, client: bool) -> usize {
    let on = if client { &flow.to_target } else { &flow.to_client };
    on.iter().map(|piece| piece.len()).sum()
}

fn spoken(turns: &[(&[u8], bool)]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(turns.len()).unwrap()];
    bytes.extend(turns.iter().map(|(said, client)| (u8::try_from(said.len()).unwrap() << 1) | u8::from(!client)));
    bytes.extend(turns.iter().flat_map(|(said, _)| said.iter().copied()));
    bytes
}

pub(super) fn sftp_seeds() -> Vec<Vec<u8>> {
    let opened: &[u8] = b"\0\0\0\x12\x03\0\0\0\x01\0\0\0\x01x\0\0\0\x1a\0\0\0\0";
    let wrote: &[u8] = b"\0\0\0\x19\x06\0\0\0\x02\0\0\0\x01h\0\0\0\0\0\0\0\0\0\0\0\x03abc";
    let begin: [(&[u8], bool); 4] = [
        (b"\0\0\0\x05\x01\0\0\0\x03", true),
        (b"\0\0\0\x05\x02\0\0\0\x03", false),
        (opened, true),
        (b"\0\0\0\x0a\x66\0\0\0\x01\0\0\0\x01h", false),
    ];
    let status: &[u8] = b"\0\0\0\x11\x65\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0";
    vec![spoken(&begin), spoken(&[&begin[..], &[(wrote, true), (status, false)]].concat())]
}

pub(super) fn scp(bytes: &[u8]) {
    for command in ["scp -t /tmp", "scp -r -f /srv/x"] {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let mut decoder = scp::Scp::new(&scp::asked(&words).unwrap(), Gate::new(Crossing::Both, &[]));
        conversation(bytes, |said, client| {
            let flow = if client { decoder.client(said) } else { decoder.target(said) };
            flow.is_ok()
        });
        let _ = decoder.end();
    }
}

pub(super) fn scp_seeds() -> Vec<Vec<u8>> {
    let file: [(&[u8], bool); 5] =
        [(b"\0", false), (b"C0644 3 x\n", true), (b"\0", false), (b"abc\0", true), (b"\0", false)];
    let folder: [(&[u8], bool); 4] = [(b"\0", true), (b"D0755 0 d\n", false), (b"\0", true), (b"E\n", false)];
    vec![spoken(&file), spoken(&folder)]
}

/// The first line is a rule, the rest stands on a device's screen.
pub(super) fn device(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (rule, shown) = text.split_once('\n').unwrap_or(("wr[ite] er[ase]", text));
    let line = lines::unprompted(shown);
    assert!(shown.ends_with(line), "a line that does not stand there: {line:?} in {shown:?}");
    for words in lines::commands(line) {
        assert!(lines::is("*", &words) && words.iter().all(|word| line.contains(word)), "{words:?} of {line:?}");
        let _ = lines::is(rule, &words);
    }
}

pub(super) fn device_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "wr[ite] er[ase]\ncore-1#wr er",
        "copy|mo[re] flash:\n --More-- \u{8}\u{8}core-1(config-if)# do sh run ; COPY flash: x",
        "username * priv[ilege] 15\n---(more 40%)---ada@edge-1> username \u{e9} privilege 15",
        "a[\nrun sudo a",
    ])
}
