//! Targets out of an `ssh_config(5)`: which names it has is read here, what it says of each `ssh -G` tells, so that patterns,
//! matches and defaults mean what they mean to OpenSSH.

use super::{Account, Findings, Found, class_of};
use crate::Fail;
use crate::command::Import;
use sallyport_model::{AccountName, TargetName};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How deep files may include files, as in OpenSSH.
const DEPTH: usize = 16;

pub(super) fn read(path: &Path, args: &Import, findings: &mut Findings) -> Result<(), Fail> {
    let mut names = BTreeSet::new();
    gather(path, path, &mut names, findings, DEPTH)?;
    for name in names {
        match target(path, &name, args) {
            Ok(Ok(found)) => findings.add(found),
            Ok(Err(why)) => findings.leave_out(format!("Host {name}"), why),
            Err(fail) => return Err(fail),
        }
    }
    Ok(())
}

/// The names that `Host` lines have without a pattern, in this file and in those that it includes.
fn gather(
    root: &Path,
    path: &Path,
    names: &mut BTreeSet<String>,
    findings: &mut Findings,
    depth: usize,
) -> Result<(), Fail> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Fail::usage(format!("cannot read `{}`: {e}", path.display())))?;
    for (keyword, words) in text.lines().filter_map(keyword) {
        match keyword.as_str() {
            "host" => names.extend(words.into_iter().filter(|word| !word.contains(['*', '?', '!']))),
            "include" => {
                for word in words {
                    let Some(deeper) = depth.checked_sub(1) else {
                        findings.leave_out(format!("Include {word}"), "files include files too deep");
                        continue;
                    };
                    for file in included(root, &word) {
                        gather(root, &file, names, findings, deeper)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A line's keyword in lower case, and its arguments; quotes hold an argument together.
fn keyword(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    let at = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let (keyword, rest) = line.split_at_checked(at)?;
    if keyword.starts_with('#') {
        return None;
    }
    let rest = rest.trim_start().trim_start_matches('=');
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in rest.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    let end = words.iter().position(|word| word.starts_with('#')).unwrap_or(words.len());
    words.truncate(end);
    Some((keyword.to_lowercase(), words))
}

/// The files that an `Include` names: relative ones beside the first file, as `~/.ssh` has them.
fn included(root: &Path, word: &str) -> Vec<PathBuf> {
    let beside = root.parent().unwrap_or(Path::new("."));
    let path = match word.strip_prefix("~/") {
        Some(rest) => beside.parent().unwrap_or(beside).join(rest),
        None => beside.join(word),
    };
    let Some(pattern) = path.to_str() else { return Vec::new() };
    glob::glob(pattern).into_iter().flatten().filter_map(Result::ok).filter(|path| path.is_file()).collect()
}

/// What OpenSSH makes of a name.
fn target(config: &Path, alias: &str, args: &Import) -> Result<Result<Found, String>, Fail> {
    let name: TargetName = match alias.to_lowercase().parse() {
        Ok(name) => name,
        Err(error) => return Ok(Err(format!("it can be no target's name: {error}"))),
    };
    let mut command = Command::new("ssh");
    command.arg("-G").arg("-F").arg(config).arg("--").arg(alias).stdin(Stdio::null());
    let output = command.output().map_err(|e| Fail::failed(format!("cannot run `ssh`: {e}; is OpenSSH installed?")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Fail::usage(format!("ssh does not read `{}`: {}", config.display(), said.trim())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let said: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let says = |key: &str| said.get(key).copied().filter(|value| *value != "none");
    let user = args.account.as_ref().map(AccountName::as_str).or(says("user")).unwrap_or_default();
    let account: AccountName = match user.parse() {
        Ok(account) => account,
        Err(error) => return Ok(Err(format!("user: {error}"))),
    };
    let mut notes = Vec::new();
    if let Some(way) = says("proxycommand") {
        notes.push(format!("was reached by `{way}`: a gateway must reach it itself"));
    }
    let class = class_of(&account);
    Ok(Ok(Found {
        name,
        host: says("hostname").unwrap_or(alias).to_owned(),
        port: says("port").and_then(|port| port.parse().ok()).unwrap_or(22),
        accounts: BTreeMap::from([(account, Account { class, owner: None })]),
        tier: args.tier,
        environment: args.environment.clone(),
        zone: args.zone.clone(),
        tags: args.tag.iter().cloned().collect(),
        host_keys: Vec::new(),
        authorities: Vec::new(),
        jump: says("proxyjump").map(str::to_owned),
        via: None,
        from: config.display().to_string(),
        notes,
    }))
}
