//! Canaries: secrets that are known to a test, and a search for any trace of them in whatever form they may have leaked.

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes that are searched at once; the end of each piece is searched again with the next.
const PIECE: usize = 1 << 20;

/// A trace of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trace {
    /// Where it was: a path, or the name that was given.
    pub place: String,
    /// Which secret, by its number.
    pub secret: usize,
    /// How it was written: `raw`, `base64`, ...
    pub encoding: &'static str,
}

/// How much was searched. A search of nothing finds nothing: tests assert these.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Searched {
    /// Files, and other pieces that have a name.
    pub places: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Searches for many secrets in every encoding at once.
pub struct Canaries {
    searcher: AhoCorasick,
    /// Which secret and which encoding a pattern is of.
    patterns: Vec<(usize, &'static str)>,
    longest: usize,
    traces: Vec<Trace>,
    searched: Searched,
}

/// 24 bytes that nobody else writes: 16 hexadecimal digits, then characters that every escaping turns into others.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn canary() -> Result<String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    text.push_str("\"/\\+%\u{e9}~");
    ensure!(text.len() == 24, "a canary has 24 bytes");
    Ok(text)
}

/// Every form in which a secret is searched for.
///
/// Base64 comes in three alignments of two alphabets, cut to what depends on the secret alone. The letters and digits that
/// the text begins with are patterns of their own, so that an escaping that nobody thought of is found too.
#[must_use]
pub fn encodings(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut found = forms(secret);
    let json = serde_json::Value::from(secret).to_string();
    let json = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or_default().to_owned();
    let ascii: String = json.chars().fold(String::new(), |mut text, c| {
        let _ = if c.is_ascii() { write!(text, "{c}") } else { write!(text, "\\u{:04x}", u32::from(c)) };
        text
    });
    found.push(("json with slashes", json.replace('/', "\\/").into_bytes()));
    found.push(("json in ascii", ascii.into_bytes()));
    found.push(("json", json.into_bytes()));
    found.push(("url", percent(secret, true).into_bytes()));
    found.push(("url in lower case", percent(secret, false).into_bytes()));
    let core: String = secret.chars().take_while(char::is_ascii_alphanumeric).collect();
    if core.len() >= 16 && core != secret {
        found.extend(forms(&core).into_iter().map(|(name, bytes)| (within(name), bytes)));
    }
    found
}

/// The name of the same form of a secret's beginning.
fn within(name: &'static str) -> &'static str {
    match name {
        "raw" => "its beginning",
        "hex" | "hex in capitals" => "its beginning in hex",
        "utf-16 le" | "utf-16 be" => "its beginning in utf-16",
        _ => "its beginning in base64",
    }
}

fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hex = |upper: bool| {
        text.bytes().fold(String::new(), |mut out, byte| {
            let _ = if upper { write!(out, "{byte:02X}") } else { write!(out, "{byte:02x}") };
            out
        })
    };
    let mut found = vec![
        ("raw", text.as_bytes().to_vec()),
        ("hex", hex(false).into_bytes()),
        ("hex in capitals", hex(true).into_bytes()),
        ("utf-16 le", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("utf-16 be", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ];
    for offset in 0..3_usize {
        let shifted = [&vec![0; offset][..], text.as_bytes()].concat();
        let from = (offset * 8).div_ceil(6);
        let to = shifted.len() * 8 / 6;
        for (name, alphabet) in [("base64", &STANDARD), ("base64url", &URL_SAFE)] {
            let letters = alphabet.encode(&shifted).into_bytes();
            found.push((name, letters.get(from..to).unwrap_or_default().to_vec()));
        }
    }
    found
}

/// Percent-encoding of all but the unreserved characters (RFC 3986 section 2.3).
fn percent(text: &str, upper: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => write!(out, "{}", char::from(byte)),
            _ if upper => write!(out, "%{byte:02X}"),
            _ => write!(out, "%{byte:02x}"),
        };
        out
    })
}

impl Canaries {
    /// A search for these secrets.
    ///
    /// # Errors
    /// When one is so short that it would be found by chance.
    pub fn new(secrets: &[String]) -> Result<Self> {
        let (mut patterns, mut texts) = (Vec::new(), Vec::new());
        for (number, secret) in secrets.iter().enumerate() {
            ensure!(secret.len() >= 12, "a secret of {} bytes is found by chance", secret.len());
            for (encoding, bytes) in encodings(secret) {
                patterns.push((number, encoding));
                texts.push(bytes);
            }
        }
        let longest = texts.iter().map(Vec::len).max().context("no secrets")?;
        let searcher = AhoCorasick::new(&texts)?;
        Ok(Self { searcher, patterns, longest, traces: Vec::new(), searched: Searched::default() })
    }

    /// Searches bytes.
    pub fn bytes(&mut self, place: &str, bytes: &[u8]) {
        self.searched.places += 1;
        self.searched.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.piece(place, bytes);
    }

    /// Each encoding of each secret once for a place: what else is there of the same says nothing new.
    fn piece(&mut self, place: &str, bytes: &[u8]) {
        for found in self.searcher.find_overlapping_iter(bytes) {
            let Some((secret, encoding)) = self.patterns.get(found.pattern().as_usize()).copied() else { continue };
            let trace = Trace { place: place.to_owned(), secret, encoding };
            if !self.traces.contains(&trace) {
                self.traces.push(trace);
            }
        }
    }

    /// Searches what can be read, without holding all of it.
    ///
    /// # Errors
    /// When reading fails.
    pub fn stream(&mut self, place: &str, mut from: impl Read) -> Result<()> {
        self.searched.places += 1;
        let mut window: Vec<u8> = Vec::with_capacity(PIECE + self.longest);
        loop {
            let before = window.len();
            let read = from.by_ref().take(u64::try_from(PIECE)?).read_to_end(&mut window)?;
            if read == 0 {
                return Ok(());
            }
            self.searched.bytes += u64::try_from(read)?;
            self.piece(place, &window);
            let keep = (before + read).saturating_sub(self.longest.saturating_sub(1));
            window.drain(..keep);
        }
    }

    /// Searches names and contents of every file below a directory. What goes away meanwhile had its chance.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn tree(&mut self, root: &Path) -> Result<()> {
        let mut open = vec![root.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in present(fs::read_dir(&directory))?.into_iter().flatten() {
                let path: PathBuf = entry?.path();
                let place = path.display().to_string();
                self.piece(&place, place.as_bytes());
                let Some(kind) = present(fs::symlink_metadata(&path))?.map(|found| found.file_type()) else { continue };
                if kind.is_dir() {
                    open.push(path);
                } else if kind.is_file()
                    && let Some(file) = present(File::open(&path))?
                {
                    self.stream(&place, file).with_context(|| place.clone())?;
                }
            }
        }
        Ok(())
    }

    /// Searches what everybody on the host, or the same user, can see of a process: its arguments and its environment.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn process(&mut self, pid: nix::unistd::Pid) -> Result<()> {
        for file in ["cmdline", "environ", "comm"] {
            let path = format!("/proc/{pid}/{file}");
            self.bytes(&path.clone(), &fs::read(path)?);
        }
        Ok(())
    }

    /// What was found, and how much was searched for it. Begins anew.
    pub fn take(&mut self) -> (Vec<Trace>, Searched) {
        (std::mem::take(&mut self.traces), std::mem::take(&mut self.searched))
    }
}

/// What is there; nothing where it has gone.
fn present<T>(found: std::io::Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
