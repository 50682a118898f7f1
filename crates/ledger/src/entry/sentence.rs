//! Sentences for people.

use super::Entry;

pub(super) fn of(entry: &Entry) -> String {
    let (actor, object) = (entry.actor.as_str(), entry.object.as_str());
    let told = match entry.action.as_str() {
        action if action.starts_with("session.") => session(entry, actor, object),
        "screens.watched" => format!("{actor} watched the screens of all running sessions"),
        "channel.opened" => {
            format!("{actor} opened {} on {object}{}", or(entry, "channel", "a channel"), by(entry, "detail", ": "))
        }
        "channel.denied" => {
            format!("{actor} was denied {} on {object}{}", or(entry, "channel", "a channel"), by(entry, "why", ": "))
        }
        action if action.starts_with("command.") => command(entry, actor, object),
        action if action.starts_with("agent.") => agent(entry, actor, object),
        action if action.starts_with("file.") => file(entry, actor, object),
        action if action.starts_with("credential.") => credential(entry, actor, object),
        action if action.starts_with("login.") => login(entry, actor, object),
        "secret.stored" => format!("{actor} stored a new version of the secret of {object}"),
        action if action.starts_with("target.") => target(entry, actor, object),
        action if action.starts_with("account.") => account(entry, actor, object),
        action if HOSTS.iter().any(|what| action.starts_with(what)) => node(entry, actor, object),
        action if action.starts_with("vault.") => vault(entry, actor, object),
        action if PEOPLE.iter().any(|what| action.starts_with(what)) => people(entry, actor, object),
        "inventory.applied" => format!("{actor} applied {} objects of the inventory", or(entry, "objects", "some")),
        "policy.applied" => format!("{actor} applied the policy set {}", or(entry, "policy", object)),
        action if action.starts_with("recording") => recording(entry, actor, object),
        "space.level" => format!(
            "recordings take {} % of their room on {object}: {}",
            or(entry, "share", "some"),
            match entry.fact("level") {
                "fine" => "sessions begin again",
                "refuse" => "new sessions are refused",
                _ => "running sessions freeze",
            }
        ),
        "state.root" => "all documents were summed up, so that an altered one shows at the next start".into(),
        "system.founded" => format!("this installation was founded on the node {}", entry.node),
        "admin.recovered" => format!(
            "{actor} LENT {object} THE RIGHTS OF AN ADMINISTRATOR{}, with a seal slot{}",
            by(entry, "until", " until "),
            by(entry, "able", ", though these could have been asked: ")
        ),
        "backup.made" => format!(
            "{actor} made the backup {object} of the ledger up to {} entries, for {}",
            or(entry, "size", "some"),
            or(entry, "recipients", "nobody named")
        ),
        "backup.restored" => format!(
            "{actor} restored the {object} from the backup{}: the ledger goes on from {} entries",
            by(entry, "made", " of "),
            or(entry, "size", "some")
        ),
        "anchor.late" => format!("the anchor {object} is late{}", by(entry, "what", ": ")),
        "anchor.caught_up" => format!("the anchor {object} has caught up{}", by(entry, "what", ": ")),
        "anchor.forged" => format!("the anchor {object} was written by somebody else{}", by(entry, "what", ": ")),
        "quarantine.accepted" | "quarantine.restored" => format!(
            "{actor} healed the {object}: {} findings, {} documents put back, {} taken out{}{}",
            or(entry, "found", "some"),
            or(entry, "put_back", "no"),
            or(entry, "taken_out", "no"),
            behind(entry),
            by(entry, "what", ": ")
        ),
        "ledger.rollback_accepted" => {
            let size = or(entry, "size", "some");
            format!(
                "{actor} accepted an older ledger of {size} entries{}{}",
                behind(entry),
                by(entry, "against", ", against the anchors ")
            )
        }
        other => plain(other, actor, object),
    };
    told.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// What happened to a session.
fn session(entry: &Entry, actor: &str, object: &str) -> String {
    match entry.action.as_str() {
        "session.opened" => format!(
            "{actor} opened a session on {object}{}{}{}",
            by(entry, "through", ", through "),
            by(entry, "from", " from "),
            by(entry, "via", ", over the jump hosts ")
        ),
        "session.closed" => {
            format!(
                "{actor}'s session on {object} ended{}{}{}",
                by(entry, "reason", ": "),
                by(entry, "note", ", "),
                by(entry, "exceptions", "; by exception were spoken: ")
            )
        }
        "session.denied" => format!("{actor} was denied a session on {object}{}", by(entry, "why", ": ")),
        "session.killed" => format!("{actor} ended the session {object}{}", by(entry, "reason", ": ")),
        "session.revoked" => format!("the right to the session {object} was taken back{}", by(entry, "why", ": ")),
        "session.frozen" => format!(
            "a session on {object} was held back for {} ms without the {}",
            or(entry, "millis", "some"),
            or(entry, "without", "evidence")
        ),
        "session.watched" => format!("{actor} watched the session {object}"),
        "session.messaged" => format!(
            "{actor} said to {} in the session {object}{}",
            or(entry, "to", "its user"),
            by(entry, "text", ": ")
        ),
        "session.join_asked" => {
            format!("{actor} asked to join the session {object} of {}", or(entry, "user", "its user"))
        }
        "session.joined" | "session.left" | "session.join_refused" => {
            let did = match entry.action.as_str() {
                "session.joined" => "is with",
                "session.left" => "has left",
                _ => "was not let into",
            };
            let part = or(entry, "part", "guest");
            let article = if part.starts_with('o') { "an" } else { "a" };
            format!(
                "{} {did} the session {object} of {} on {} as {article} {part}{}",
                or(entry, "who", "somebody"),
                or(entry, "user", "its user"),
                or(entry, "address", "a target"),
                by(entry, "why", ": ")
            )
        }
        "session.waits" => format!("the session {object} of {} waits for an observer", or(entry, "user", "its user")),
        "session.observed" => {
            format!("the session {object} goes on, observed by {}", or(entry, "who", "somebody"))
        }
        "session.guest_dismissed" => {
            format!("{actor} sent {} away from the session {object}", or(entry, "who", "a guest"))
        }
        "session.paused" => format!("{actor} paused the session {object}{}", by(entry, "reason", ": ")),
        "session.resumed" => {
            format!("{actor} let the session {object} go on{}", by(entry, "paused_by", ", which had been paused by "))
        }
        other => plain(other, actor, object),
    }
}

/// What a rule said of a command.
fn command(entry: &Entry, actor: &str, object: &str) -> String {
    let did = match entry.action.as_str() {
        "command.alerted" => "ran",
        "command.held" => "wanted to run",
        "command.blocked" => "was kept from running",
        other => return plain(other, actor, object),
    };
    let ended = if entry.fact("act") == "terminate" { ", and the session was ended" } else { "" };
    format!(
        "{actor} {did} `{}` on {object}: the rule {} ({}){}{ended}",
        or(entry, "command", "a command"),
        or(entry, "rule", "unknown"),
        or(entry, "guarantee", "best effort"),
        by(entry, "why", ": ")
    )
}

/// What a target wanted of the agent that the actor lends it.
fn agent(entry: &Entry, actor: &str, object: &str) -> String {
    let what = or(entry, "what", "use it");
    let wanted = format!("{what}{}", by(entry, "key", ", with the key "));
    match entry.action.as_str() {
        "agent.allowed" if entry.fact("by") == "policy" => {
            format!("policy let {object} have the agent of {actor} {wanted}")
        }
        "agent.allowed" => format!("{actor} let {object} have their agent {wanted}"),
        "agent.signed" => format!("the agent of {actor} signed for {object}, to {wanted}"),
        "agent.failed" => {
            format!("the agent of {actor} did not sign for {object}, to {wanted}{}", by(entry, "why", ": "))
        }
        "agent.refused" => {
            let times = entry.fact("times").parse().ok().filter(|times: &u32| *times > 1);
            let times = times.map(|times| format!(" and more, {times} times in all")).unwrap_or_default();
            format!("{object} may not have the agent of {actor} {wanted}{times}{}", by(entry, "why", ": "))
        }
        other => plain(other, actor, object),
    }
}

/// What the actions on nodes, and on what they show of themselves, begin with.
const HOSTS: [&str; 4] = ["certificate.", "gateway.", "node.", "ssh_ca."];

fn certificate(entry: &Entry, actor: &str, object: &str) -> String {
    let directory = or(entry, "directory", "a directory");
    match entry.action.as_str() {
        "certificate.account" => {
            format!("the node {} made an account at {directory} and agreed to its terms", entry.node)
        }
        "certificate.ordered" => {
            format!("the node {} ordered a certificate at {directory}{}", entry.node, by(entry, "names", " for "))
        }
        "certificate.issued" => format!(
            "{directory} issued a certificate{}{}",
            by(entry, "names", " for "),
            by(entry, "until", ", good until ")
        ),
        "certificate.failed" => format!("an order of a certificate at {directory} failed{}", by(entry, "why", ": ")),
        other => plain(other, actor, object),
    }
}

/// Acts on the authorities of SSH certificates.
fn ssh_ca(entry: &Entry, actor: &str, object: &str) -> String {
    let key = by(entry, "fingerprint", " ");
    match entry.action.as_str() {
        "ssh_ca.made" => format!("the SSH authority of {object} was made, with the key{key}"),
        "ssh_ca.begun" => format!("{actor} made the next key{key} of the SSH authority of {object}"),
        "ssh_ca.activated" => format!("{actor} let the key{key} sign for the SSH authority of {object}"),
        "ssh_ca.finished" => format!("{actor} took the former key{key} from the SSH authority of {object}"),
        other => plain(other, actor, object),
    }
}

/// Acts on a node or its gateway.
fn node(entry: &Entry, actor: &str, object: &str) -> String {
    match entry.action.as_str() {
        "node.vouched" => format!("node {} vouches with its ledger key for that of {object}", entry.node),
        "node.joined" => {
            format!("{actor} made this host the node {object}{}", by(entry, "ledger_key", ", with the ledger key "))
        }
        "gateway.host_key" => {
            format!("the host key of the gateways was {}{}", by(entry, "how", ""), by(entry, "public", ": "))
        }
        "gateway.host_certificate" => format!(
            "the host key of the node {object} was certified{}{}",
            by(entry, "names", " as "),
            by(entry, "until", " until ")
        ),
        "node.reachable" => format!("other nodes reach {object}{}", by(entry, "address", " at ")),
        "node.removed" => format!("{actor} removed the node {object}"),
        action if action.starts_with("certificate.") => certificate(entry, actor, object),
        action if action.starts_with("ssh_ca.") => ssh_ca(entry, actor, object),
        other => plain(other, actor, object),
    }
}

/// What a rule said of a file.
fn file(entry: &Entry, actor: &str, object: &str) -> String {
    let did = match entry.action.as_str() {
        "file.alerted" => "moved a file",
        "file.held" => "wanted to move a file",
        "file.blocked" => "was kept from moving a file",
        other => return plain(other, actor, object),
    };
    format!(
        "{actor} {did} on {object}: {}; the rule {}{}",
        or(entry, "file", "it is not named"),
        or(entry, "rule", "unknown"),
        by(entry, "why", ": ")
    )
}

/// Acts on recordings.
fn recording(entry: &Entry, actor: &str, object: &str) -> String {
    match entry.action.as_str() {
        "recording.played" => format!("{actor} replayed the session {object}"),
        "recording.file_taken" => {
            format!("{actor} took {} out of the recording of {object}", or(entry, "path", "a file"))
        }
        "recording.exported" => format!("{actor} took the evidence of the session {object} out"),
        "recordings.searched" => format!("{actor} searched recordings{}", by(entry, "text", " for ")),
        "recording.anchor" => format!("the recording {object} reached {} segments", or(entry, "segments", "some")),
        "recording.expired" => format!("the recording {object} expired by rule{}", by(entry, "rule", ", ")),
        other => plain(other, actor, object),
    }
}

/// Uses of a credential, which may be another account's than the one that the session is of.
fn credential(entry: &Entry, actor: &str, object: &str) -> String {
    let whose = or(entry, "of", object);
    let on = if whose == object { String::new() } else { format!(" on {object}") };
    match entry.action.as_str() {
        "credential.lent" => {
            format!("the password of {whose} was lent for {actor}'s session{on}{}", by(entry, "by", ", asked for by "))
        }
        "credential.certified" => format!(
            "a certificate for {whose} was made for {actor}'s session{on}{}{}",
            by(entry, "principal", ", good for the name "),
            by(entry, "until", " until ")
        ),
        "credential.signed" => format!("the key of {whose} signed for {actor}'s session{on}"),
        other => plain(other, actor, object),
    }
}

/// Acts on one account.
fn account(entry: &Entry, actor: &str, object: &str) -> String {
    match entry.action.as_str() {
        "account.added" => format!("{actor} added the account {object}{}", by(entry, "through", ", reached through ")),
        "account.changed" => {
            format!("{actor} changed the account {object}{}", by(entry, "through", ", which is now reached through "))
        }
        other => plain(other, actor, object),
    }
}

/// Acts on one target.
fn target(entry: &Entry, actor: &str, object: &str) -> String {
    match entry.action.as_str() {
        "target.probed" if entry.fact("way").starts_with("via") => {
            format!("{actor} had a gateway look at {object}{}", by(entry, "way", " "))
        }
        "target.probed" => format!("{actor} had a gateway look at {object}"),
        "target.rerouted" => format!(
            "{actor} had the target {object} reached {}{}",
            or(entry, "way", "another way"),
            by(entry, "before", ", before that ")
        ),
        "target.excepted" => format!(
            "{actor} lets old algorithms be spoken with the target {object}: {}{}{}",
            or(entry, "algorithms", "some"),
            by(entry, "until", ", until "),
            by(entry, "reason", ": ")
        ),
        "target.exception_taken" => format!("{actor} took the exceptions of the target {object} back"),
        "target.host_authorities" => format!(
            "{actor} has the host key of the target {object} certified by {}{}",
            or(entry, "keys", "nobody"),
            by(entry, "names", ", as ")
        ),
        "target.post_quantum" => format!(
            "a post-quantum key exchange is {} of the target {object}, by {actor}",
            or(entry, "wanted", "demanded")
        ),
        "target.added" => format!(
            "{actor} added the target {object}{}{}{}{}",
            by(entry, "place", ", "),
            by(entry, "way", ", reached "),
            by(entry, "account", ", with the account "),
            if entry.fact("secret").is_empty() { "" } else { " and its credential" }
        ),
        "target.changed" => format!("{actor} changed the target {object}{}", by(entry, "place", ", now ")),
        "target.removed" => format!("{actor} removed the target {object} and its accounts"),
        other => plain(other, actor, object),
    }
}

/// Acts on the vault, its slots and its keys.
fn vault(entry: &Entry, actor: &str, object: &str) -> String {
    let slot = || {
        let shares = by(entry, "shares", ", ");
        format!("seal slot {object} ({}{shares}{})", or(entry, "kind", "unknown"), by(entry, "label", ", "))
    };
    match entry.action.as_str() {
        "vault.sealed" => format!("{actor} sealed the vault"),
        "vault.unsealed" => format!("{actor} unsealed the vault{}", by(entry, "how", " with ")),
        "vault.unseal_failed" => {
            let times = or(entry, "times", "1");
            let count = if times == "1" { "an attempt".into() } else { format!("{times} attempts") };
            format!("{count} to unseal the vault failed{}{}", by(entry, "from", " from "), by(entry, "why", ": "))
        }
        "vault.spool_altered" => "what was kept of failed attempts to unseal the vault was altered".into(),
        "vault.slot_begun" => format!("{actor} made {}, which counts once a quorum was presented", slot()),
        "vault.slot_added" => format!("{actor} added {}", slot()),
        "vault.slot_removed" => format!("{actor} removed {} and replaced the root key", slot()),
        "vault.slots_altered" => {
            format!(
                "the database holds other seal slots than the vault wrote{}: {actor}'s act was refused",
                by(entry, "slots", ", ")
            )
        }
        "vault.domain_created" => format!("keys of their own were made for the secrets of {object}"),
        "vault.root_rotated" => format!("{actor} replaced the root key{}", by(entry, "root_version", ", now version ")),
        "vault.epoch_begun" => format!("{actor} began a new epoch of keys ({object})"),
        "vault.epoch_activated" => "new epochs of keys seal from here on".into(),
        "vault.epoch_destroyed" => format!("epochs of keys were destroyed that nothing is under any more ({object})"),
        "vault.rewrapped" => {
            format!("{} {} came under the active epoch", or(entry, "count", "some"), or(entry, "what", "documents"))
        }
        "vault.rotation_paused" => format!("{actor} paused the work behind a rotation of keys"),
        "vault.rotation_resumed" => format!("{actor} resumed the work behind a rotation of keys"),
        other => plain(other, actor, object),
    }
}

/// Logins: those that failed, and those that their owner allows in a browser.
fn login(entry: &Entry, actor: &str, object: &str) -> String {
    let from = by(entry, "from", " from ");
    let wants = by(entry, "wants", ", to ");
    match entry.action.as_str() {
        "login.failed" => format!("a sign-in as {object} failed{from}"),
        "login.pending" => format!("a login as {object}{from}{wants} waits to be allowed in a browser"),
        "login.allowed" => format!("{actor} allowed in a browser a login{from}{wants}"),
        "login.refused" => format!("{actor} refused in a browser a login{from}{wants}"),
        "login.unanswered" => format!("nobody answered a login as {object}{from}{wants} in its time"),
        "login.by_browser" => {
            format!("{actor} logged in{from}{wants}, as allowed in a browser{}", by(entry, "factors", " by "))
        }
        other => plain(other, actor, object),
    }
}

/// What the actions on people begin with.
const PEOPLE: [&str; 8] = ["device.", "factor.", "link.", "solo.", "ssh_certificate.", "ssh_key.", "token.", "user."];

/// Acts on people: their browsers, factors, links, keys, tokens and groups.
fn people(entry: &Entry, actor: &str, object: &str) -> String {
    let from = by(entry, "from", " from ");
    let factor = || {
        let label = by(entry, "label", " ");
        match entry.fact("kind") {
            "recovery" => "recovery codes".to_owned(),
            "totp" => format!("the app{label} that computes codes"),
            kind => format!("the {kind}{label}"),
        }
    };
    match entry.action.as_str() {
        "device.begun" if entry.fact("next") == "factor" => {
            let what = if entry.fact("by") == "ssh" { "proved an SSH key" } else { "gave the right password" };
            format!("{actor} {what}{from}; a second factor is due")
        }
        "device.begun" => format!("{actor} gave the right password{from}, and has no second factor yet"),
        "device.signed_in" => format!("{actor} signed in with a browser{from}{}", by(entry, "factors", ", by ")),
        "device.stepped_up" => format!("{actor} confirmed who they are{}", by(entry, "factor", ", by ")),
        "device.ended" => format!("{actor} ended a browser of {object}{from}{}", by(entry, "why", ": ")),
        "device.expired" => format!("{} browsers and links were over their time", or(entry, "count", "some")),
        "factor.added" => format!("{actor} added {}", factor()),
        "factor.removed" => format!("{actor} removed {}", factor()),
        "factor.password_changed" => format!("{actor} changed their password; their other browsers are signed out"),
        "link.made" => format!("{actor} made an enrolment link for {object}{}", by(entry, "expires", ", good until ")),
        "link.used" => format!("{actor} used an enrolment link{from} and set a password; what was before is gone"),
        "solo.ended" => format!("{actor} made a second administrator: nobody administers alone any more"),
        "ssh_certificate.made" => format!(
            "{actor} got an SSH certificate{}{}",
            by(entry, "until", " until "),
            by(entry, "factors", ", having signed in by ")
        ),
        "ssh_certificate.revoked" => {
            format!("{actor} revoked the SSH certificate {} of {object}", or(entry, "serial", "of theirs"))
        }
        "ssh_key.added" => format!("{actor} added the SSH key {}", or(entry, "key", "of theirs")),
        "ssh_key.removed" => format!("{actor} removed the SSH key {}", or(entry, "key", "of theirs")),
        "token.created" => format!("{actor} made a token for {object}"),
        "token.ended" => format!("{actor} ended a token of {object}"),
        "user.created" => format!("{actor} made the user {object}{}", by(entry, "groups", " in ")),
        "user.disabled" => format!("{actor} disabled {object}"),
        "user.enabled" => format!("{actor} enabled {object} again"),
        "user.regrouped" => format!(
            "{actor} put {object} into {}, before that {}",
            or(entry, "groups", "no group"),
            or(entry, "before", "no group")
        ),
        other => plain(other, actor, object),
    }
}

/// For actions without a sentence of their own: `anna: target created (web-1)`.
fn plain(action: &str, actor: &str, object: &str) -> String {
    let words = action.replace(['.', '_'], " ");
    if object.is_empty() { format!("{actor}: {words}") } else { format!("{actor}: {words} ({object})") }
}

/// Whether custodians stood behind an act.
fn behind(entry: &Entry) -> String {
    match entry.fact("quorum") {
        "" => String::new(),
        "none" => ", with no quorum behind it".to_owned(),
        rule => format!(", with a quorum of {rule} behind it"),
    }
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
