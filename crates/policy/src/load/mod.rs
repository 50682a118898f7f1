//! From texts to a policy set, all or nothing: parse, validate strictly, check annotations, compile preconditions.

use crate::act::Act;
use crate::rules::{READY, RULES_FILE};
use crate::scope::Scope;
use crate::set::{Compiled, PolicySet};
use crate::terms::{Terms, distance};
use crate::{BUILTIN, SCHEMA};
use cedar_policy::{
    Effect, Policy, PolicyId, PolicySet as CedarSet, Schema, ValidationError, ValidationMode, Validator,
};
use miette::Diagnostic;
use sallyport_model::Kind;
use sallyport_model::rules::RuleSet;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

/// The name under which the built-in policies are shown.
pub(crate) const BUILTIN_FILE: &str = "builtin.cedar";

/// One mistake in a policy file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoadError {
    /// The file's name, as it was given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Every mistake that was found; the set was not loaded.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the policies were not loaded:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct LoadErrors(pub Vec<LoadError>);

impl LoadErrors {
    /// Sort of failure.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Usage
    }
}

impl PolicySet {
    /// Loads files, given as name and text, together with the built-in policies.
    ///
    /// # Errors
    /// With every mistake of every file. Nothing is loaded then.
    pub fn load(files: &[(String, String)]) -> Result<Self, LoadErrors> {
        let mut files = files.to_vec();
        files.sort();
        let mut loader = Loader::new()?;
        loader.file(BUILTIN_FILE, BUILTIN);
        for (name, text) in READY {
            loader.rules(name, text);
        }
        for (name, text) in &files {
            if name.ends_with(RULES_FILE) {
                loader.rules(name, text);
                continue;
            }
            if name == BUILTIN_FILE {
                loader.fail(name, text, 0, format!("the name `{BUILTIN_FILE}` is taken: rename the file"));
            }
            loader.file(name, text);
        }
        let repeated = files.iter().zip(files.iter().skip(1)).find(|(a, b)| a.0 == b.0);
        if let Some(((name, text), _)) = repeated {
            loader.fail(name, text, 0, "two files have this name: rename one".into());
        }
        loader.named(&files);
        let (policies, rules) = loader.finish()?;
        Ok(Self::build(files, policies, rules))
    }
}

struct Loader {
    validator: Validator,
    policies: Vec<Compiled>,
    /// Rule sets by name, each with its file.
    rules: BTreeMap<String, (String, RuleSet)>,
    /// Where each name was first used.
    names: HashMap<String, String>,
    errors: Vec<LoadError>,
}

impl Loader {
    fn new() -> Result<Self, LoadErrors> {
        let schema = Schema::from_cedarschema_str(SCHEMA).map_err(|error| {
            let message = format!("the built-in schema does not parse: {error}");
            LoadErrors(vec![LoadError { file: "schema.cedarschema".into(), line: 1, column: 1, message }])
        })?;
        Ok(Self {
            validator: Validator::new(schema.0),
            policies: Vec::new(),
            rules: BTreeMap::new(),
            names: HashMap::new(),
            errors: Vec::new(),
        })
    }

    fn fail(&mut self, file: &str, text: &str, offset: usize, message: String) {
        let (line, column) = position(text, offset);
        self.errors.push(LoadError { file: file.to_owned(), line, column, message });
    }

    fn file(&mut self, file: &str, text: &str) {
        let set = match CedarSet::from_str(text) {
            Ok(set) => set,
            Err(errors) => {
                for error in errors.iter() {
                    self.fail(file, text, offset(error).unwrap_or(0), words(error));
                }
                return;
            }
        };
        for template in set.templates() {
            let at = text.find(&template.to_cedar()).unwrap_or(0);
            let message = "a template (`?principal`, `?resource`) is no policy: name the entity, or a group".into();
            self.fail(file, text, at, message);
        }
        let offsets = self.policies_of(file, text, &set);
        let result = self.validator.validate(&set, ValidationMode::Strict);
        for error in result.validation_errors() {
            let at = offset(error).or_else(|| offsets.get(error.policy_id()).copied()).unwrap_or(0);
            self.fail(file, text, at, validation_words(error));
        }
    }

    /// Compiles the policies of one file; says where each begins.
    fn policies_of(&mut self, file: &str, text: &str, set: &CedarSet) -> HashMap<PolicyId, usize> {
        let mut ordered: Vec<&Policy> = set.policies().collect();
        // Cedar numbers the policies of a text in their order: policy0, policy1, ...
        ordered.sort_by_key(|policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().ok());
        let mut offsets = HashMap::new();
        let mut cursor = 0;
        let blanked = blank_comments(text);
        for policy in ordered {
            let source = blank_comments(&policy.to_cedar().unwrap_or_default());
            let at = blanked.get(cursor..).and_then(|rest| rest.find(&source)).map_or(cursor, |found| cursor + found);
            cursor = at + source.len();
            offsets.insert(policy.id().clone(), at);
            match Terms::read(policy.effect(), policy.annotations()) {
                Ok(terms) => self.policy(file, text, at, policy, terms),
                Err(messages) => {
                    for message in messages {
                        let within = annotation(&message).and_then(|key| source.find(key)).unwrap_or(0);
                        self.fail(file, text, at + within, message);
                    }
                }
            }
        }
        offsets
    }

    fn policy(&mut self, file: &str, text: &str, at: usize, policy: &Policy, terms: Terms) {
        let (line, column) = position(text, at);
        let name = terms.id.clone().unwrap_or_else(|| {
            let name = format!("{file}:{line}");
            if self.names.contains_key(&name) { format!("{name}:{column}") } else { name }
        });
        if name.starts_with("builtin:") && file != BUILTIN_FILE {
            return self.fail(file, text, at, "an @id that begins with `builtin:` is taken: choose another".into());
        }
        if let Some(other) = self.names.insert(name.clone(), format!("{file}:{line}")) {
            return self.fail(
                file,
                text,
                at,
                format!("the @id `{name}` is used twice, first at {other}: choose another"),
            );
        }
        let slot = PolicyId::new(self.policies.len().to_string());
        let compiled = compile(policy, &terms, slot).and_then(|(policy, json)| {
            let alone = CedarSet::from_policies([policy.clone()]).map_err(|error| error.to_string())?;
            Ok((policy, alone, Scope::of(&json)))
        });
        match compiled {
            Ok((_, _, scope))
                if !scope.names(Act::Connect)
                    && let Some((key, _)) = terms.bounds.named().first() =>
            {
                let key = format!("@{key}");
                let at = at + text.get(at..).and_then(|rest| rest.find(&key)).unwrap_or(0);
                self.fail(file, text, at, format!("{key} {NO_SESSION}"));
            }
            Ok((compiled, alone, scope)) => self.policies.push(Compiled {
                name,
                file: file.to_owned(),
                line,
                effect: policy.effect(),
                terms,
                scope,
                policy: compiled,
                alone,
            }),
            Err(error) => self.fail(file, text, at, format!("the policy cannot be compiled: {error}")),
        }
    }

    /// Takes in a file with one rule set.
    fn rules(&mut self, file: &str, text: &str) {
        let set = match toml::from_str::<RuleSet>(text) {
            Ok(set) => set,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                return self.fail(file, text, at, error.message().to_owned());
            }
        };
        for fault in set.faults() {
            self.fail(file, text, 0, fault);
        }
        let name = set.name.to_string();
        if let Some((other, _)) = self.rules.get(&name) {
            let message = if READY.iter().any(|(ready, _)| ready == other) {
                format!("the rule set `{name}` comes with the product: choose another name")
            } else {
                format!("the rule set `{name}` stands in {other} already: choose another name")
            };
            return self.fail(file, text, 0, message);
        }
        self.rules.insert(name, (file.to_owned(), set));
    }

    /// Every rule set that a policy names must be there: a rule that nobody has is a rule that nobody keeps.
    fn named(&mut self, files: &[(String, String)]) {
        let mut missing = Vec::new();
        for policy in &self.policies {
            for name in policy.terms.bounds.commands.iter().filter(|name| !self.rules.contains_key(*name)) {
                missing.push((policy.file.clone(), policy.line, name.clone()));
            }
        }
        let known = self.rules.keys().cloned().collect::<Vec<_>>().join(", ");
        for (file, line, name) in missing {
            let text = files.iter().find(|(known, _)| *known == file).map_or("", |(_, text)| text.as_str());
            let begin: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
            let within = text.get(begin..).and_then(|rest| rest.find("@commands")).unwrap_or(0);
            let message = format!(
                "@commands names the rule set `{name}`, which is in no *{RULES_FILE} file: the sets are {known}"
            );
            self.fail(&file, text, begin + within, message);
        }
    }

    fn finish(mut self) -> Result<(Vec<Compiled>, BTreeMap<String, RuleSet>), LoadErrors> {
        self.errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        self.errors.dedup();
        let rules = self.rules.into_iter().map(|(name, (_, set))| (name, set)).collect();
        if self.errors.is_empty() { Ok((self.policies, rules)) } else { Err(LoadErrors(self.errors)) }
    }
}

/// What is wrong with a limit on a policy of channels or rights alone.
const NO_SESSION: &str = "bounds whole sessions and is taken when one opens, and this policy does not speak of `connect`: name \
                          that action here too, or put the limit on an `@limit permit` of it";

/// The policy with its preconditions as a last condition, and its JSON form.
///
/// INVARIANT: compiling only ever adds conjuncts, so it can narrow a permit and never widen it.
fn compile(policy: &Policy, terms: &Terms, id: PolicyId) -> Result<(Policy, Value), String> {
    let mut json = policy.to_json().map_err(|error| error.to_string())?;
    if terms.demands.is_empty() || policy.effect() != Effect::Permit {
        return Ok((policy.new_id(id), json));
    }
    let conditions = json.get_mut("conditions").and_then(Value::as_array_mut).ok_or("it has no list of conditions")?;
    for fact in terms.facts() {
        let met = json!({ ".": { "left": { "Var": "context" }, "attr": "met" } });
        conditions.push(json!({
            "kind": "when",
            "body": { "contains": { "left": met, "right": { "Value": fact } } },
        }));
    }
    // Through text, because a policy made from text is the cheaper one to clone for every slice.
    let compiled = Policy::from_json(Some(id.clone()), json.clone()).map_err(|error| error.to_string())?;
    let text = compiled.to_cedar().ok_or("it has no text form")?;
    let compiled = Policy::parse(Some(id), text).map_err(|error| error.to_string())?;
    Ok((compiled, json))
}

/// The annotation that a message begins with.
fn annotation(message: &str) -> Option<&str> {
    let end = message.char_indices().skip(1).find(|(_, c)| !c.is_ascii_alphanumeric() && *c != '_')?.0;
    message.get(..end).filter(|key| key.starts_with('@'))
}

fn offset(error: &impl Diagnostic) -> Option<usize> {
    Some(error.labels()?.next()?.offset())
}

fn words(error: &(impl Diagnostic + fmt::Display)) -> String {
    match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

/// Cedar's words without its own name of the policy, which nobody has written, and with a better
/// guess at the action that was meant.
fn validation_words(error: &ValidationError) -> String {
    let text = words(error);
    let named = format!("for policy `{}`, ", error.policy_id());
    let text = text.strip_prefix(&named).map_or(text.clone(), str::to_owned);
    let quoted = text.split_once("Action::\"").and_then(|(_, rest)| rest.split_once('"'));
    match (error, quoted) {
        (ValidationError::UnrecognizedActionId(_), Some((name, _))) => {
            let nearest = Act::all().map(Act::action).min_by_key(|known| distance(name, known)).unwrap_or_default();
            format!("the action `{name}` does not exist: did you mean `{nearest}`?")
        }
        _ => text,
    }
}

/// The text with its comments blanked, byte for byte, so that a policy that is commented out is
/// not taken for the one that follows it.
fn blank_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped, mut comment) = (false, false, false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        comment = if comment { c != '\n' } else { !quoted && c == '/' && rest.peek() == Some(&'/') };
        if comment {
            (0..c.len_utf8()).for_each(|_| out.push(' '));
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        out.push(c);
    }
    out
}

/// Line and column, from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests;
