//! Rule sets over commands and files.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A rule set of the policy, and where it applies.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleSet {
    /// Its name, as `@commands` says it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How it reads lines: `shell` or `device`.
    pub grammar: String,
    /// What becomes of what cannot be read for certain.
    pub unknown: String,
    /// What becomes of what no rule names.
    pub otherwise: String,
    /// Whether it comes with the product.
    pub ready: bool,
    /// The policies that put it into force; without one it applies nowhere.
    pub policies: Vec<String>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// Its name within the set.
    pub id: String,
    /// What it is about: `command` or `file`.
    pub about: String,
    /// What becomes of it: `pass`, `alert`, `hold`, `block` or `terminate`.
    pub act: String,
    /// Why.
    pub why: String,
    /// How sure it is that it is kept in an exec, and by SFTP or scp.
    pub guarantee: String,
    /// How sure it is that it is kept in a shell; absent where it is about files.
    pub in_shells: Option<String>,
}

/// A command to be judged, which is not run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TryRules {
    /// The command.
    #[schema(max_length = 65536)]
    pub command: String,
}

/// What a rule set says of a command.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ruling {
    /// What becomes of it; `pass` where nothing applies.
    pub act: String,
    /// Which rule says so, `set/rule`; absent where none does.
    pub rule: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// The part of the command that it is about.
    pub command: Option<String>,
    /// The programs in it with their words, as the set reads them; `?` and `*` stand where a word is not known. At most 200.
    pub read: Vec<Vec<String>>,
}
