//! Export to plain text: what was shown and done, line by line, to read, to search and to attach.

use crate::event::{Event, What};
use crate::lines::Line;
use crate::{Facts, marks, way};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One line of it, before it has its place.
struct Told {
    /// Microseconds since the start.
    at: u64,
    channel: u32,
    /// What sort of line: empty where it was shown, `error` for the error output, else the kind of a mark.
    kind: String,
    text: String,
}

/// Writes a recording as text. Each line has its time since the start, its channel, and what it is: `|` what the target showed, `!`
/// what it showed as an error, `>` what was typed, and in brackets what else happened. Lines are as a search finds them: a program that
/// paints the screen makes a line of each piece that it paints. Control characters are left out.
#[must_use]
pub fn export(facts: &Facts, events: &[Event]) -> String {
    let mut told = shown(events);
    told.extend(marks::index(events).into_iter().map(|mark| Told {
        at: mark.at,
        channel: mark.channel,
        text: if mark.kind == "idle" { idle(&mark.text) } else { mark.text },
        kind: mark.kind,
    }));
    told.sort_by_key(|line| line.at);
    let (handle, protocol) = (&facts.handle, &facts.protocol);
    let place = harmless(&way::place(facts, events));
    let mut out = format!("{} by {handle} on {place} over {protocol}, {}\n\n", facts.session, facts.started);
    for Told { at, channel, kind, text } in told {
        let text = harmless(&text);
        let seconds = at / 1_000_000;
        let (hours, minutes, seconds, millis) = (seconds / 3600, seconds / 60 % 60, seconds % 60, at / 1000 % 1000);
        // A `String` takes everything.
        let _ = write!(out, "{hours:02}:{minutes:02}:{seconds:02}.{millis:03} {channel:>3} ");
        let _ = match kind.as_str() {
            "" => writeln!(out, "| {text}"),
            "error" => writeln!(out, "! {text}"),
            "input" => writeln!(out, "> {text}"),
            kind => writeln!(out, "[{kind}] {text}"),
        };
    }
    out
}

/// The lines that were shown, each at the time of its first byte.
fn shown(events: &[Event]) -> Vec<Told> {
    let mut open: BTreeMap<(u32, bool), (u64, Line)> = BTreeMap::new();
    let mut told = Vec::new();
    let end = |(channel, error): (u32, bool), at: u64, line: &Line, told: &mut Vec<Told>| {
        if !line.bytes().is_empty() {
            let kind = if error { "error" } else { "" };
            told.push(Told { at, channel, kind: kind.into(), text: line.text().into_owned() });
        }
    };
    for event in events {
        let (stream, bytes) = match &event.what {
            What::Output(bytes) => ((event.channel, false), bytes),
            What::Stderr(bytes) => ((event.channel, true), bytes),
            What::Close { .. } => {
                for error in [false, true] {
                    let stream = (event.channel, error);
                    if let Some((at, line)) = open.remove(&stream) {
                        end(stream, at, &line, &mut told);
                    }
                }
                continue;
            }
            _ => continue,
        };
        let (at, line) = open.entry(stream).or_default();
        for byte in bytes {
            if line.bytes().is_empty() {
                *at = event.at;
            }
            if line.take(*byte) {
                end(stream, *at, line, &mut told);
                line.begin();
            }
        }
    }
    open.iter().for_each(|(stream, (at, line))| end(*stream, *at, line, &mut told));
    told
}

fn idle(micros: &str) -> String {
    let seconds = micros.parse().unwrap_or(0_u64) / 1_000_000;
    format!("for {seconds} s")
}

/// Without what a terminal, an editor or a reader would take for something else: control characters, and those that turn the
/// direction of writing.
fn harmless(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !c.is_control() && !turns(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use sallyport_model::Env;
    use sallyport_model::access::Channel;

    #[test]
    fn a_recording_is_read_as_text() {
        let event = |at, channel, what| Event { at, channel, what };
        let events = [
            event(0, 1, What::Open { kind: Channel::Shell, detail: String::new() }),
            event(1_200_000, 1, What::Output(b"\x1b]0;title\x07\x1b[1m$\x1b[0m ".to_vec())),
            event(2_000_000, 1, What::Input(b"rm -rf /srv\r".to_vec())),
            event(2_100_000, 1, What::Output(b"rm -rf /srv\r\nremoved \xe2\x80\xae/srv\r\n".to_vec())),
            event(2_200_000, 2, What::Stderr(b"no such ".to_vec())),
            event(2_300_000, 1, What::Output(b"$ ".to_vec())),
            event(2_400_000, 2, What::Stderr(b"file\n".to_vec())),
            event(3_725_006_000, 1, What::Mark { kind: "command".into(), text: "reboot\x1b[2J".into() }),
            event(3_725_007_000, 1, What::Close { exit: Some(3), signal: None }),
        ];
        let text = export(&testing::facts(&Env::system()), &events);
        let (head, lines) = text.split_once("\n\n").unwrap();
        assert!(
            head.starts_with("ses_") && head.contains(" by anna on root@web-1") && head.contains(" over ssh, "),
            "{head}"
        );
        assert_eq!(
            lines,
            "00:00:00.000   1 [open] channel:shell\n\
             00:00:01.200   1 | $ rm -rf /srv\n\
             00:00:02.000   1 > rm -rf /srv\n\
             00:00:02.100   1 | removed /srv\n\
             00:00:02.200   2 ! no such file\n\
             00:00:02.300   1 | $ \n\
             00:00:02.400   1 [idle] for 3722 s\n\
             01:02:05.006   1 [command] reboot[2J\n\
             01:02:05.007   1 [exit] with 3\n"
        );
    }

    #[test]
    fn an_empty_recording_is_a_heading() {
        assert_eq!(export(&testing::facts(&Env::system()), &[]).lines().count(), 2);
    }
}
