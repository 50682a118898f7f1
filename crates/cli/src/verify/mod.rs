//! `sallyport verify`: whether evidence holds, without trusting whoever hands it over.

mod directory;
mod evidence;
mod said;

pub(crate) use evidence::Evidence;
pub use said::Sayings;

use crate::Fail;
use crate::command::Verify;
use crate::output::{self, Output, harmless};
use sallyport_ledger::{TileId, Verifier, WitnessKey};
use serde::Serialize;
use std::io::Read as _;
use std::path::Path;

/// A stopped node's ledger, as it is stored. Nothing of what it gives is believed.
pub trait LedgerSource {
    /// Up to `limit` entries from index `from` on, by rising index, each with its index and its bytes.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn entries(&mut self, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, Fail>;

    /// The bytes of a tile, exactly as many as its name says.
    ///
    /// # Errors
    /// When it is missing or too short.
    fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Fail>;

    /// The newest checkpoint, as a signed note.
    ///
    /// # Errors
    /// When there is none.
    fn head(&mut self) -> Result<String, Fail>;
}

/// Opens the ledger in a database file for reading. Called on a thread that may block.
pub type OpenLedger = fn(&Path) -> Result<Box<dyn LedgerSource>, Fail>;

/// File by which a data directory is known.
const DATABASE: &str = "sallyport.db";
/// What a database file begins with (<https://www.sqlite.org/fileformat.html>, section 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Verifies a bundle or a data directory and says what was checked, and what was not.
pub(crate) fn verify(args: &Verify, open: Option<OpenLedger>, out: Output) -> Result<(), Fail> {
    let report = judge(args, open)?;
    // For people the failure itself says what is wrong.
    if report.wrong.is_none() || out.is_json() {
        out.show(&report, Report::text)?;
    }
    report.outcome()
}

/// What is to be said of the evidence, also where it is wrong. Fails where nothing can be said.
fn judge(args: &Verify, open: Option<OpenLedger>) -> Result<Report, Fail> {
    let trust = args.trust.as_deref().map(trusted).transpose()?;
    let witnesses = args.witness.iter().map(|text| witness(text)).collect::<Result<Vec<_>, _>>()?;
    let exported = !args.path.is_dir() && is_database(&args.path);
    if (args.path.is_dir() || exported) && !witnesses.is_empty() {
        return Err(Fail::usage("`--witness` is for evidence bundles: a ledger in a database carries no cosignatures"));
    }
    let found = if args.path.is_dir() {
        let database = args.path.join(DATABASE);
        let Some(open) = open.filter(|_| database.is_file()) else {
            return Err(Fail::usage(no_file(&args.path)));
        };
        open(&database).and_then(|mut source| directory::check(&args.path, source.as_mut(), trust.as_ref()))
    } else if exported {
        let open = open.ok_or_else(|| Fail::usage("this program reads bundles only"))?;
        open(&args.path).and_then(|mut source| directory::check_ledger(&args.path, source.as_mut(), trust.as_ref()))
    } else {
        let bytes = std::fs::read(&args.path);
        let bytes = bytes.map_err(|e| Fail::usage(format!("cannot read `{}`: {e}", args.path.display())))?;
        bundle(&bytes, trust.as_ref(), &witnesses)
    };
    output::progress("");
    let pinned = trust.is_some();
    Ok(found.unwrap_or_else(|fail| Report { wrong: Some(fail.message), pinned, ..Report::default() }))
}

fn is_database(path: &Path) -> bool {
    let mut begin = [0; MAGIC.len()];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok_and(|()| begin == *MAGIC)
}

/// Why a directory cannot be verified.
fn no_file(path: &Path) -> String {
    let shown = path.display();
    if path.join("keys/ledger.key").exists() {
        return format!(
            "`{shown}` is of a node whose ledger is on a PostgreSQL server: `sallyport export-ledger FILE` on that node writes the ledger into a file that `verify` reads, `sallyport export SESSION FILE` the evidence of a session"
        );
    }
    format!("`{shown}` is no data directory: it has no {DATABASE}")
}

/// Verifies a bundle.
fn bundle(bytes: &[u8], trust: Option<&Verifier>, witnesses: &[WitnessKey]) -> Result<Report, Fail> {
    let evidence = Evidence::open(bytes, trust)?;
    let times = evidence.check_witnesses(witnesses)?;
    let recording = evidence.check_recording()?;
    Ok(evidence.report(&recording, &times))
}

/// A ledger's key, written out or in a file.
fn trusted(text: &str) -> Result<Verifier, Fail> {
    key("--trust", "a ledger's", text, |text| Verifier::parse(text).map_err(|e| e.to_string()))
}

/// A witness's key, written out or in a file.
fn witness(text: &str) -> Result<WitnessKey, Fail> {
    let parse = |text: &str| WitnessKey::parse(text).map_err(|_| "it holds no witness's public key".to_owned());
    key("--witness", "a witness's", text, parse)
}

fn key<T>(option: &str, whose: &str, text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Fail> {
    if let Ok(key) = parse(text.trim()) {
        return Ok(key);
    }
    let file = std::fs::read_to_string(text).map_err(|e| {
        Fail::usage(format!("{option} `{text}` is neither {whose} public key nor a readable file: {e}"))
    })?;
    parse(file.trim()).map_err(|e| Fail::usage(format!("`{text}`: {e}")))
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Nothing is wrong, and the key is one that was trusted before.
    verified: bool,
    /// Whether the key was given; without it only consistency is shown.
    pinned: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<String>,
    /// Of what it is evidence, such as `session ses_...`.
    what: String,
    /// The ledger.
    origin: String,
    /// The key that signed, as text, and what people compare of it.
    key: String,
    fingerprint: String,
    /// Entries of the ledger that the checkpoint covers.
    size: u64,
    /// Entries that were checked.
    entries: u64,
    /// Recordings that were checked.
    recordings: u64,
    /// For people.
    checked: Vec<String>,
    unchecked: Vec<String>,
}

impl Report {
    /// A report of what holds.
    fn of(key: &Verifier, pinned: bool, size: u64) -> Self {
        let unchecked = if pinned {
            Vec::new()
        } else {
            vec!["whose key it is: anybody can make evidence that agrees with itself".to_owned()]
        };
        Self {
            verified: pinned,
            pinned,
            origin: key.name().to_owned(),
            key: key.to_string(),
            fingerprint: key.fingerprint(),
            size,
            unchecked,
            ..Self::default()
        }
    }

    fn text(&self) -> String {
        let verdict = if self.verified { "Verified" } else { "Consistent, and NOT verified" };
        let mut text = format!("{verdict}: {} of the ledger {}\n", harmless(&self.what), harmless(&self.origin));
        text.push_str(&format!("Signed by {}\n", self.fingerprint));
        for (title, lines) in [("Checked", &self.checked), ("Not checked", &self.unchecked)] {
            if !lines.is_empty() {
                text.push_str(&format!("\n{title}:\n"));
            }
            lines.iter().for_each(|line| text.push_str(&format!("  - {}\n", harmless(line))));
        }
        text
    }

    /// Success only for what is verified under a trusted key.
    fn outcome(&self) -> Result<(), Fail> {
        match &self.wrong {
            Some(wrong) => Err(Fail::failed(format!("this evidence does not hold: {}", harmless(wrong)))),
            None if self.pinned => Ok(()),
            None => Err(Fail::failed(format!(
                "no key was pinned: give --trust with the ledger's public key, and compare {} with what its owner tells you",
                self.fingerprint
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
