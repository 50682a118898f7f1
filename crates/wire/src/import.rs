//! What an import of targets came to, as `sallyport import --output json` prints it.

use serde::{Deserialize, Serialize};

/// What was found, and what was not taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Imported {
    /// Targets, by name.
    pub targets: Vec<ImportedTarget>,
    /// What could not become a target.
    pub left_out: Vec<LeftOut>,
    /// The file that was written, where one was.
    pub written: Option<String>,
    /// The inventory file's text.
    pub file: String,
}

/// One target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportedTarget {
    /// Its name.
    pub name: String,
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Accounts on it.
    pub accounts: Vec<String>,
    /// How many host keys are known, and authorities that certify it.
    pub host_keys: usize,
    /// Which source has it.
    pub from: String,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Something that was left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeftOut {
    /// Where it stands.
    pub what: String,
    /// Why it is no target.
    pub why: String,
}
