//! Old algorithms that a client speaks by exception, for servers that have nothing newer: one closed table.

use crate::key::SSH_RSA;
use crate::negotiate::{Agreed, CIPHERS, Gap, HOST_KEYS, MACS, METHODS, Method, Spoken};
use crate::packet::{CipherName, MacName};
use crate::wire::lists;

/// Every name of the table, each sort best first.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let all = [METHODS, HOST_KEYS, CIPHERS, MACS];
    all.into_iter().flat_map(of).collect()
}

/// The names of one sort, best first.
fn of(what: &str) -> Vec<&'static str> {
    match what {
        METHODS => Method::OLD.iter().map(|method| method.name()).collect(),
        HOST_KEYS => vec![SSH_RSA],
        CIPHERS => CipherName::OLD.iter().map(|cipher| cipher.name()).collect(),
        MACS => MacName::OLD.iter().map(|mac| mac.name()).collect(),
        _ => Vec::new(),
    }
}

/// Which exceptions would close these gaps: for each the best that the peer has. None where something is missing that no
/// exception gives.
#[must_use]
pub fn closing(gaps: &[Gap]) -> Option<Vec<&'static str>> {
    let best = |gap: &Gap| of(gap.what).into_iter().find(|name| lists(&gap.theirs, name));
    let mut found: Vec<_> = gaps.iter().map(best).collect::<Option<_>>()?;
    found.dedup();
    Some(found)
}

/// Lets these be spoken too, behind all others. What the table does not have is not spoken.
pub(crate) fn admit(spoken: &mut Spoken, names: &[String]) {
    let named = |name: &str| names.iter().any(|known| known == name);
    spoken.methods.extend(Method::OLD.into_iter().filter(|method| named(method.name())));
    spoken.ciphers.extend(CipherName::OLD.into_iter().filter(|cipher| named(cipher.name())));
    spoken.macs.extend(MacName::OLD.into_iter().filter(|mac| named(mac.name())));
}

impl Agreed {
    /// The exceptions that were made.
    #[must_use]
    pub fn exceptions(&self) -> Vec<&'static str> {
        let suites = [self.to_server, self.to_client];
        let used = [self.method.name(), self.signature]
            .into_iter()
            .chain(suites.iter().map(|suite| suite.cipher.name()))
            .chain(suites.iter().filter_map(|suite| suite.mac).map(MacName::name));
        let mut old: Vec<_> = used.filter(|name| names().contains(name)).collect();
        old.sort_unstable();
        old.dedup();
        old
    }

    /// What was agreed on, in the words of key exchange: method, host key, and what protects packets.
    #[must_use]
    pub fn told(&self) -> String {
        let mut told = vec![self.method.name(), self.signature];
        for suite in [self.to_server, self.to_client] {
            told.extend([Some(suite.cipher.name()), suite.mac.map(MacName::name)].into_iter().flatten());
        }
        let mut seen: Vec<&str> = Vec::new();
        told.retain(|name| {
            !seen.contains(name) && {
                seen.push(name);
                true
            }
        });
        told.join(" ")
    }
}

#[cfg(test)]
mod tests;
