//! The chooser: for a person at a terminal who named no target. A list that narrows as they type.

use crate::client::{Said, window};
use crate::start::Started;
use sallyport_gateway::spine::Choices;
use sallyport_model::access::Denial;
use sallyport_model::authority::Choice;
use sallyport_model::{AccountName, Kind, TargetName};
use std::fmt::Write as _;

/// Longest search, in characters.
const SEARCH: usize = 64;
/// Rows of the screen that hold no choice: title, search, two empty ones, help.
const FRAME: usize = 5;

/// What a person wants of the list.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Enter,
    Leave,
    Erase,
    Clear,
    Text(char),
}

/// Turns bytes into keys; the rest of a key that is cut in two waits for its end.
#[derive(Default)]
struct Keys {
    held: Vec<u8>,
}

impl Keys {
    fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.held.extend_from_slice(bytes);
        let mut keys = Vec::new();
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while let Some((key, after)) = next_key(rest) {
            keys.extend(key);
            rest = after;
        }
        // What is no key within a few bytes is none.
        if rest.len() < 8 {
            self.held = rest.to_vec();
        }
        keys
    }
}

/// The first key, where it is whole, and what follows it.
fn next_key(bytes: &[u8]) -> Option<(Option<Key>, &[u8])> {
    let named: [(&[u8], Key); 12] = [
        (b"\x1b[A", Key::Up),
        (b"\x1bOA", Key::Up),
        (b"\x1b[B", Key::Down),
        (b"\x1bOB", Key::Down),
        (b"\x1b[5~", Key::PageUp),
        (b"\x1b[6~", Key::PageDown),
        (b"\r", Key::Enter),
        (b"\n", Key::Enter),
        (b"\x7f", Key::Erase),
        (b"\x08", Key::Erase),
        (b"\x15", Key::Clear),
        (b"\x10", Key::Up),
    ];
    for (spelled, key) in named {
        if let Some(rest) = bytes.strip_prefix(spelled) {
            return Some((Some(key), rest));
        }
    }
    match bytes {
        [] | [0x1b] | [0x1b, b'[' | b'O'] => None,
        [0x03 | 0x04, rest @ ..] => Some((Some(Key::Leave), rest)),
        [0x0e, rest @ ..] => Some((Some(Key::Down), rest)),
        // A sequence that means nothing here, to its final byte.
        [0x1b, b'[' | b'O', rest @ ..] => {
            let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte))?;
            Some((None, rest.get(end.saturating_add(1)..).unwrap_or_default()))
        }
        [0x1b, _, rest @ ..] => Some((None, rest)),
        [first, rest @ ..] if first.is_ascii() => {
            let key = (!first.is_ascii_control()).then(|| Key::Text(char::from(*first)));
            Some((key, rest))
        }
        _ => {
            let length =
                bytes.first().map_or(1, |first| usize::try_from(first.leading_ones()).unwrap_or(1)).clamp(1, 4);
            let (one, rest) = bytes.split_at_checked(length)?;
            let text = std::str::from_utf8(one).ok().and_then(|text| text.chars().next());
            Some((text.filter(|c| !c.is_control()).map(Key::Text), rest))
        }
    }
}

/// The list, and where the person is in it.
struct List {
    search: String,
    choices: Vec<Choice>,
    at: usize,
    size: (usize, usize),
    note: String,
}

impl List {
    fn page(&self) -> usize {
        self.size.1.saturating_sub(FRAME).max(1)
    }

    /// Other choices: the first that can be connected to is chosen.
    fn show(&mut self, choices: Vec<Choice>) {
        self.at = choices.iter().position(|choice| choice.usable && choice.note.is_empty()).unwrap_or(0);
        self.choices = choices;
    }

    fn go(&mut self, by: isize) {
        self.at = self.at.saturating_add_signed(by).min(self.choices.len().saturating_sub(1));
    }

    /// The whole screen, as the terminal is to show it. Names are what control validated; they and the
    /// search are cut to the width.
    fn draw(&self, who: &str) -> String {
        let (cols, page) = (self.size.0.max(20), self.page());
        let cut = |text: String| text.chars().take(cols.saturating_sub(1)).collect::<String>();
        let mut out = String::from("\x1b[?25l\x1b[H\x1b[2J");
        let _ = write!(out, "\x1b[1m{}\x1b[0m\r\n", cut(format!("sallyport  {who}: where to?")));
        let _ = write!(out, "{}\x1b[7m \x1b[0m\r\n\r\n", cut(format!("search: {}", self.search)));
        let first = self.at.saturating_sub(page.saturating_sub(1));
        // What was used lately stands in front: when that was stands in a column of its own.
        let place = |choice: &Choice| format!("{}@{}", choice.account, choice.target);
        let recent = self.choices.iter().filter(|choice| choice.ago.is_some());
        let width = recent.map(|choice| place(choice).chars().count()).max().unwrap_or(0);
        for (number, choice) in self.choices.iter().enumerate().skip(first).take(page) {
            let state = match (choice.usable, choice.note.is_empty()) {
                (_, false) => "  (not ready)",
                (true, true) => "",
                (false, true) => "  (to be asked for)",
            };
            let when = choice.ago.map(ago).unwrap_or_default();
            let place = if when.is_empty() { place(choice) } else { format!("{:width$}  {when}", place(choice)) };
            // Behind the two characters that mark the chosen one.
            let line = cut(format!("  {place}{state}")).split_off(2);
            match (number == self.at, choice.usable && choice.note.is_empty()) {
                (true, _) => drop(write!(out, "\x1b[7m> {line}\x1b[0m\r\n")),
                (false, true) => drop(write!(out, "  {line}\r\n")),
                (false, false) => drop(write!(out, "\x1b[2m  {line}\x1b[0m\r\n")),
            }
        }
        if self.choices.is_empty() {
            let text = if self.search.is_empty() {
                "No target is yours to reach: ask an administrator for access."
            } else {
                "Nothing fits. Erase some of the search."
            };
            let _ = write!(out, "  {}\r\n", cut(text.to_owned()));
        }
        let chosen = self.choices.get(self.at).map(|choice| choice.note.as_str()).filter(|note| !note.is_empty());
        let keys = "up, down: choose   type: search   Enter: connect   Ctrl-C: leave";
        let help = Some(self.note.as_str()).filter(|note| !note.is_empty()).or(chosen).unwrap_or(keys);
        let _ = write!(out, "\r\n\x1b[2m{}\x1b[0m", cut(help.to_owned()));
        out
    }
}

/// Lets the person before a terminal choose.
pub(crate) async fn choose(started: &mut Started, choices: &Choices<'_>) -> Result<(AccountName, TargetName), Denial> {
    // Some clients send no key before they know that their shell has started.
    if std::mem::take(&mut started.reply) {
        started.write.answer(true);
    }
    let size = started.terminal.as_ref().map_or((80, 24), |terminal| {
        let [cols, rows, ..] = terminal.size;
        (cells(cols, 80), cells(rows, 24))
    });
    let found = choices.find("").await?;
    let mut list = List { search: String::new(), choices: Vec::new(), at: 0, size, note: String::new() };
    list.show(found);
    let mut keys = Keys::default();
    let left = || Denial::new(Kind::Usage, "nothing was chosen");
    loop {
        let screen = list.draw(choices.who().handle().as_str());
        started.write.output(screen.into()).await.map_err(|_| left())?;
        let chosen = match started.read.next().await {
            Said::Bytes(bytes) => pressed(&mut list, keys.read(&bytes), choices).await?,
            Said::Request(name, reply, data) => {
                if let (true, Some((cols, rows))) = (name == "window-change", window(&data)) {
                    list.size = (cells(cols, 80), cells(rows, 24));
                    if let Some(terminal) = started.terminal.as_mut() {
                        terminal.size = [cols, rows, 0, 0];
                    }
                }
                if reply {
                    started.write.answer(false);
                }
                continue;
            }
            Said::Eof | Said::Close => Some(None),
        };
        if let Some(chosen) = chosen {
            let _ = started.write.output("\x1b[?25h\x1b[H\x1b[2J".into()).await;
            return chosen.ok_or_else(left);
        }
    }
}

/// What the keys come to: nothing yet, or the end, with a choice where one was made.
async fn pressed(
    list: &mut List,
    keys: Vec<Key>,
    choices: &Choices<'_>,
) -> Result<Option<Option<(AccountName, TargetName)>>, Denial> {
    let page = isize::try_from(list.page()).unwrap_or(1);
    for key in keys {
        list.note.clear();
        let before = list.search.clone();
        match key {
            Key::Up => list.go(-1),
            Key::Down => list.go(1),
            Key::PageUp => list.go(-page),
            Key::PageDown => list.go(page),
            Key::Leave => return Ok(Some(None)),
            Key::Erase => drop(list.search.pop()),
            Key::Clear => list.search.clear(),
            Key::Text(c) if list.search.chars().count() < SEARCH => list.search.push(c),
            Key::Text(_) => {}
            Key::Enter => match list.choices.get(list.at) {
                Some(choice) if choice.note.is_empty() => {
                    return Ok(Some(Some((choice.account.clone(), choice.target.clone()))));
                }
                Some(choice) => list.note.clone_from(&choice.note),
                None => {}
            },
        }
        if list.search != before {
            list.show(choices.find(&list.search).await?);
        }
    }
    Ok(None)
}

/// How long ago something was, in one word and a number.
fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => "just now".into(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// A terminal that does not say how large it is has the usual size.
fn cells(said: u32, usual: usize) -> usize {
    usize::try_from(said).ok().filter(|said| *said > 0).unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_however_they_arrive() {
        let all =
            [Key::Up, Key::Text('w'), Key::Text('é'), Key::Down, Key::Erase, Key::PageDown, Key::Enter, Key::Leave];
        let bytes = "\x1b[Aw\u{e9}\x1bOB\x7f\x1b[6~\x1b[1;5C\x01\r\x03".as_bytes();
        for step in 1..=bytes.len() {
            let mut keys = Keys::default();
            let read: Vec<Key> = bytes.chunks(step).flat_map(|chunk| keys.read(chunk)).collect();
            assert_eq!(read, all, "{step}");
        }
    }

    #[test]
    fn the_list_keeps_to_the_screen() {
        let choice = |n: usize| Choice {
            account: "root".parse().unwrap(),
            target: format!("web-{n}").parse().unwrap(),
            usable: n.is_multiple_of(2),
            note: String::new(),
            ago: None,
        };
        let choices = (0..50).map(choice).collect();
        let mut list = List { search: "web".into(), choices, at: 0, size: (40, 12), note: String::new() };
        list.go(-3);
        assert_eq!(list.at, 0);
        list.go(99);
        let screen = list.draw("ada");
        assert!(screen.contains("\x1b[7m> root@web-49"), "{screen}");
        assert!(screen.contains("root@web-43") && !screen.contains("root@web-42"), "{screen}");
        assert!(screen.matches("\r\n").count() < 12, "{screen}");
        let narrow = "web-with-a-name-that-is-far-too-long-for-forty-columns";
        list.show(vec![Choice { target: narrow.parse().unwrap(), note: "say when it is".into(), ..choice(1) }]);
        let screen = list.draw("ada");
        assert!(
            screen.contains("\x1b[7m> root@web-with") && screen.ends_with("\x1b[2msay when it is\x1b[0m"),
            "{screen}"
        );
        let shown =
            |line: &str| line.replace("\x1b[7m", "").replace("\x1b[2m", "").replace("\x1b[0m", "").chars().count();
        assert!(screen.lines().skip(1).all(|line| shown(line) < 40), "{screen}");
    }

    #[test]
    fn what_was_used_lately_says_when() {
        let choice = |target: &str, ago: Option<u64>| Choice {
            account: "root".parse().unwrap(),
            target: target.parse().unwrap(),
            usable: true,
            note: String::new(),
            ago,
        };
        let said = [0, 59, 60, 3599, 3600, 86_399, 86_400, 40 * 86_400].map(ago);
        let wanted = ["just now", "just now", "1 min ago", "59 min ago", "1 h ago", "23 h ago", "1 d ago", "40 d ago"];
        assert_eq!(said, wanted);
        let mut list = List { search: String::new(), choices: Vec::new(), at: 0, size: (80, 24), note: String::new() };
        list.show(vec![choice("web-1", Some(7300)), choice("database-1", Some(90_000)), choice("a-1", None)]);
        let screen = list.draw("ada");
        assert!(screen.contains("> root@web-1       2 h ago\x1b[0m\r\n"), "{screen}");
        assert!(screen.contains("  root@database-1  1 d ago\r\n  root@a-1\r\n"), "{screen}");
    }
}
