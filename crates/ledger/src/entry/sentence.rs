//! Sentences for people.

use super::Entry;

pub(super) fn of(entry: &Entry) -> String {
    let (actor, object) = (entry.actor.as_str(), entry.object.as_str());
    let told = match entry.action.as_str() {
        "session.opened" => format!("{actor} opened a session on {object}{}", by(entry, "from", " from ")),
        "session.closed" => format!("{actor}'s session on {object} ended{}", by(entry, "reason", ": ")),
        "session.denied" => format!("{actor} was denied a session on {object}{}", by(entry, "reason", ": ")),
        "channel.opened" => {
            format!("{actor} opened {} on {object}{}", or(entry, "kind", "a channel"), by(entry, "detail", ": "))
        }
        "credential.used" => format!("the credential of {object} was used for {actor}"),
        "vault.sealed" => format!("{actor} sealed the vault"),
        "vault.unsealed" => format!("{actor} unsealed the vault"),
        "vault.stored" => format!("{actor} stored a new version of the secret of {object}"),
        "vault.revealed" => format!("{actor} was shown the secret of {object}{}", by(entry, "reason", ": ")),
        "vault.rotated" => format!("{actor} rotated the secret of {object}"),
        "vault.destroyed" => format!("{actor} destroyed the secret of {object}"),
        "policy.applied" => format!("{actor} applied the policy set {object}"),
        "recording.anchor" => format!("the recording {object} reached {} segments", or(entry, "segments", "some")),
        other => plain(other, actor, object),
    };
    told.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// For actions without a sentence of their own: `anna: target created (web-1)`.
fn plain(action: &str, actor: &str, object: &str) -> String {
    let words = action.replace(['.', '_'], " ");
    if object.is_empty() { format!("{actor}: {words}") } else { format!("{actor}: {words} ({object})") }
}

/// A fact behind its introduction, where it is there.
fn by(entry: &Entry, name: &str, before: &str) -> String {
    match entry.fact(name) {
        "" => String::new(),
        fact => format!("{before}{fact}"),
    }
}

fn or<'a>(entry: &'a Entry, name: &str, otherwise: &'a str) -> &'a str {
    match entry.fact(name) {
        "" => otherwise,
        fact => fact,
    }
}

/// Control characters, and those that turn the direction of text: names come from outside.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}
