//! Host keys out of `known_hosts` files, hashed names included: OpenSSH's own `ssh-keygen -F` finds them.

use super::Findings;
use crate::Fail;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Pins what the files know of each target that has no key yet.
pub(super) fn pin(files: &[PathBuf], findings: &mut Findings) -> Result<(), Fail> {
    for file in files {
        // Missing, it would look like a file that knows nobody.
        std::fs::File::open(file).map_err(|e| Fail::usage(format!("cannot read `{}`: {e}", file.display())))?;
    }
    for found in findings.targets.values_mut() {
        let name = if found.port == 22 { found.host.clone() } else { format!("[{}]:{}", found.host, found.port) };
        for file in files {
            let Known { keys, authorities, revoked } = known(file, &name)?;
            found.host_keys.extend(keys);
            found.authorities.extend(authorities);
            if revoked {
                found.notes.push(format!("{} revokes a key of it", file.display()));
            }
        }
        found.host_keys.sort();
        found.host_keys.dedup();
        found.authorities.sort();
        found.authorities.dedup();
    }
    Ok(())
}

/// What a file knows of one name.
struct Known {
    keys: Vec<String>,
    /// Keys of authorities, which vouch for hosts and are none.
    authorities: Vec<String>,
    /// Whether a key is revoked.
    revoked: bool,
}

fn known(file: &Path, name: &str) -> Result<Known, Fail> {
    let mut command = Command::new("ssh-keygen");
    command.arg("-F").arg(name).arg("-f").arg(file).stdin(Stdio::null());
    let output =
        command.output().map_err(|e| Fail::failed(format!("cannot run `ssh-keygen`: {e}; is OpenSSH installed?")))?;
    let (mut keys, mut authorities, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [mark, ..] if mark.starts_with('#') => {}
            ["@revoked", _, kind, key, ..] => bad.push(format!("{kind} {key}")),
            ["@cert-authority", _, kind, key, ..] => authorities.push(format!("{kind} {key}")),
            [mark, ..] if mark.starts_with('@') => {}
            [_, kind, key, ..] => keys.push(format!("{kind} {key}")),
            _ => {}
        }
    }
    for known in [&mut keys, &mut authorities] {
        known.retain(|key| !bad.contains(key));
    }
    Ok(Known { keys, authorities, revoked: !bad.is_empty() })
}
