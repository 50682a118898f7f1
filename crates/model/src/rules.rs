//! Command rules: named sets of what may not simply be run, and of files that may not simply cross. Bodies of policy files.

use crate::limits::Crossing;
use crate::name::Label;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What becomes of a command, from mild to strict: of several that apply the strictest counts.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Nothing: it is known and goes on.
    #[default]
    #[n(0)]
    Pass,
    /// It goes on, and the ledger has it.
    #[n(1)]
    Alert,
    /// It waits until somebody approves it.
    #[n(2)]
    Hold,
    /// It does not go on; the session does.
    #[n(3)]
    Block,
    /// It does not go on, and the session ends.
    #[n(4)]
    Terminate,
}

impl Act {
    /// Stable word, as rule files spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Alert => "alert",
            Self::Hold => "hold",
            Self::Block => "block",
            Self::Terminate => "terminate",
        }
    }

    /// Whether it keeps something from going on by itself.
    #[must_use]
    pub const fn stops(self) -> bool {
        matches!(self, Self::Hold | Self::Block | Self::Terminate)
    }
}

/// How sure it is that a rule is kept.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// The whole command is known before the target is: an exec, a subsystem.
    #[n(0)]
    Enforced,
    /// A line in a shell: what was typed is read from a screen, and what a shell makes of it is its own.
    #[n(1)]
    BestEffort,
}

impl Guarantee {
    /// As people and the ledger are told it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::BestEffort => "best effort",
        }
    }
}

/// How lines are read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Grammar {
    /// As a POSIX shell and bash read them.
    #[default]
    #[n(0)]
    Shell,
    /// As network devices read them: words, each of which may be abbreviated.
    #[n(1)]
    Device,
}

impl Grammar {
    /// As people are told it.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::Shell => "lines of a shell",
            Self::Device => "lines of network devices",
        }
    }
}

/// A named set of rules.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// Its name, as `@commands` says it.
    #[n(0)]
    pub name: Label,
    /// What it is for, for people.
    #[n(1)]
    pub description: String,
    /// How lines are read.
    #[serde(default)]
    #[n(2)]
    pub grammar: Grammar,
    /// What becomes of a line that cannot be read for certain: a program named by a variable, code in another language.
    #[serde(default = "alert")]
    #[n(3)]
    pub unknown: Act,
    /// What becomes of a command that no rule names. `block` makes the set a list of what is allowed.
    #[serde(default)]
    #[n(4)]
    pub otherwise: Act,
    /// Rules over commands.
    #[serde(default, rename = "command")]
    #[n(5)]
    pub commands: Vec<CommandRule>,
    /// Rules over files that cross.
    #[serde(default, rename = "file")]
    #[n(6)]
    pub files: Vec<FileRule>,
}

const fn alert() -> Act {
    Act::Alert
}

/// One rule over commands: all that it names must be so. A text is a pattern with `*` and `?`, or several of them split
/// by `|`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct CommandRule {
    /// Its name within the set.
    #[n(0)]
    pub id: String,
    /// What becomes of what it names.
    #[n(1)]
    pub act: Act,
    /// Why, for the person who is stopped.
    #[n(2)]
    pub why: String,
    /// The program, by its last name, or by its whole path where the pattern has a slash.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[n(3)]
    pub program: String,
    /// Options, each in any place and in any bundle: `r|R|recursive`, one letter or a long name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[n(4)]
    pub flags: Vec<String>,
    /// Words, each of which some word must be; in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[n(5)]
    pub args: Vec<String>,
    /// Texts that some word, or what is fed to the program, must contain; case and spacing do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[n(6)]
    pub says: Vec<String>,
    /// A program later in its pipe.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[n(7)]
    pub into: String,
    /// A path that is written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[n(8)]
    pub writes: String,
    /// A variable that is set or taken away.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[n(9)]
    pub assigns: String,
    /// On devices: the words of a command in their order, `er[ase]` where a word may be abbreviated to `er`, `*` for any
    /// word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[n(10)]
    pub line: String,
}

/// One rule over files that cross by SFTP or scp.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct FileRule {
    /// Its name within the set.
    #[n(0)]
    pub id: String,
    /// What becomes of what it names: `alert` or `block`.
    #[n(1)]
    pub act: Act,
    /// Why, for the person who is stopped.
    #[n(2)]
    pub why: String,
    /// Paths or last names; all where it is left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[n(3)]
    pub name: String,
    /// Which way; both where it is left out.
    #[serde(default)]
    #[n(4)]
    pub way: Crossing,
    /// It concerns only more content than this, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[n(5)]
    pub most: Option<u64>,
}

impl RuleSet {
    /// What is wrong with it, in words that say what to write instead.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut ids = std::collections::BTreeSet::new();
        let all = self.commands.iter().map(|rule| (&rule.id, &rule.why));
        for (id, why) in all.chain(self.files.iter().map(|rule| (&rule.id, &rule.why))) {
            if id.parse::<Label>().is_err() {
                wrong.push(format!("the id `{id}` of a rule is none: write a-z, 0-9, `.`, `_`, `-`"));
            }
            if !ids.insert(id) {
                wrong.push(format!("the id `{id}` is used twice: choose another"));
            }
            if why.trim().is_empty() {
                wrong.push(format!("the rule `{id}` has no `why`: write what the person who is stopped should know"));
            }
        }
        if self.commands.is_empty() && self.files.is_empty() {
            wrong.push("it has no rule: write a `[[command]]` or a `[[file]]`".into());
        }
        for rule in &self.commands {
            wrong.extend(rule.faults(self.grammar).map(|text| format!("the rule `{}` {text}", rule.id)));
        }
        for rule in &self.files {
            if !matches!(rule.act, Act::Alert | Act::Block) {
                wrong.push(format!("the rule `{}` over files has another act than `alert` or `block`", rule.id));
            }
            if rule.way == Crossing::None {
                wrong.push(format!("the rule `{}` goes no way: write `up` or `down`, or leave `way` out", rule.id));
            }
        }
        wrong
    }
}

impl CommandRule {
    fn faults(&self, grammar: Grammar) -> impl Iterator<Item = String> {
        let shell = [
            !self.program.is_empty(),
            !self.flags.is_empty(),
            !self.args.is_empty(),
            !self.says.is_empty(),
            !self.into.is_empty(),
            !self.writes.is_empty(),
            !self.assigns.is_empty(),
        ]
        .contains(&true);
        let misfit = match grammar {
            Grammar::Shell if !self.line.is_empty() => {
                Some("has a `line`, which only a set with `grammar = \"device\"` has: name `program` and `args`")
            }
            Grammar::Shell if !shell => Some("names nothing: write `program`, `args`, `writes` or another"),
            Grammar::Device if shell => Some("is for a shell, and its set for devices: name a `line`"),
            Grammar::Device if self.line.trim().is_empty() => Some("has no `line`: write the words of the command"),
            _ => None,
        };
        let empty =
            self.flags.iter().chain(&self.args).chain(&self.says).any(|text| text.split('|').any(str::is_empty));
        let empty = empty.then_some("has an empty pattern: take it out");
        [misfit, empty].into_iter().flatten().map(str::to_owned)
    }
}
