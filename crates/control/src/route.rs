//! How a target is reached and what its SSH server may show and speak: checked as it is written, told as it changes.

use crate::hops::named;
use crate::{Control, Error, Op};
use sallyport_model::Timestamp;
use sallyport_model::inventory::{Target, fingerprint};
use sallyport_model::way::{Exceptions, Way};
use sallyport_ssh_transport::{key, old};
use sallyport_store::Draft;
use std::collections::BTreeSet;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest reason of an exception, in characters.
const REASON: usize = 300;

/// Exceptions as somebody has written them: names of algorithms, why, and the last day (or an instant) that they hold.
///
/// # Errors
/// When a name is unknown, or reason or end are missing.
pub fn exceptions(algorithms: BTreeSet<String>, reason: &str, until: &str) -> Result<Exceptions, Error> {
    let known = old::names();
    if let Some(unknown) = algorithms.iter().find(|name| !known.contains(&name.as_str())) {
        let unknown: String = unknown.chars().filter(|c| !c.is_control()).take(60).collect();
        return Err(Error::usage(format!("`{unknown}` is no exception: there are {}", known.join(", "))));
    }
    if algorithms.is_empty() {
        return Err(Error::usage(format!("exceptions name `algorithms`: there are {}", known.join(", "))));
    }
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON || reason.contains(char::is_control) {
        return Err(Error::usage(format!("exceptions say their `reason`, in one line of at most {REASON} characters")));
    }
    let day = || format!("{until}T00:00:00Z").parse::<Timestamp>().map(|day| day.plus(DAY));
    let until = until.parse().or_else(|_| day());
    let until = until.map_err(|_| Error::usage("exceptions say `until` when they hold: a day, such as 2027-01-31"))?;
    Ok(Exceptions { algorithms, reason: reason.to_owned(), until })
}

/// What is wrong with a way, whatever else there is.
pub(crate) fn wrong(protocol: &str, way: &Way) -> Option<String> {
    let plain = Way { jumps: Vec::new(), ..way.clone() } == Way::default();
    if protocol != "ssh" && !plain {
        let words = "`via`, `host_authorities`, `host_aliases`, `exceptions` and `post_quantum` are";
        return Some(format!("{words} for targets that speak ssh"));
    }
    let certificate =
        |text: &String| key::parse(text).is_ok_and(|blob| key::kind(&blob).is_ok_and(|kind| kind.contains("-cert-")));
    if let Some(bad) = way.host_authorities.iter().find(|key| key::parse(key).is_err() || certificate(key)) {
        let start: String = bad.chars().take(40).collect();
        return Some(format!("`{start}` is no key of an authority: write the line of its `.pub` file"));
    }
    let fits = |name: &String| crate::apply::host_fits(name) && !name.contains(['*', '?', ',']);
    let bad = way.host_aliases.iter().find(|name| !fits(name))?;
    Some(format!("`{bad}` is no name of a host: certificates are of names, without wildcards"))
}

/// What changes of a way, as entries: action and facts.
type Told = (&'static str, Vec<(&'static str, String)>);

/// What changes between two states of a target.
pub(crate) struct Rewayed {
    target: String,
    told: Vec<Told>,
}

fn prints(way: &Way) -> String {
    let print = |key: &String| fingerprint(key).unwrap_or_else(|| key.clone());
    way.host_authorities.iter().map(print).collect::<Vec<_>>().join(" ")
}

impl Rewayed {
    /// What changes; nothing where all stays.
    pub(crate) fn of(before: Option<&Target>, after: &Target) -> Self {
        let none = Way::default();
        let (was, is) = (before.map_or(&none, |target| &target.way), &after.way);
        let mut told: Vec<Told> = Vec::new();
        if was.via != is.via {
            told.push(("target.rerouted", vec![("way", named(is.via.as_ref())), ("before", named(was.via.as_ref()))]));
        }
        if was.exceptions != is.exceptions {
            let facts = match &is.exceptions {
                None => Vec::new(),
                Some(Exceptions { algorithms, reason, until }) => vec![
                    ("algorithms", algorithms.iter().map(String::as_str).collect::<Vec<_>>().join(" ")),
                    ("reason", reason.clone()),
                    ("until", until.to_string()),
                ],
            };
            told.push((if is.exceptions.is_some() { "target.excepted" } else { "target.exception_taken" }, facts));
        }
        if (&was.host_authorities, &was.host_aliases) != (&is.host_authorities, &is.host_aliases) {
            let names: Vec<_> = is.host_aliases.iter().map(String::as_str).collect();
            told.push(("target.host_authorities", vec![("keys", prints(is)), ("names", names.join(" "))]));
        }
        if was.post_quantum != is.post_quantum {
            let wanted = if is.post_quantum { "demanded" } else { "not demanded any more" };
            told.push(("target.post_quantum", vec![("wanted", wanted.to_owned())]));
        }
        Self { target: after.name.to_string(), told }
    }

    /// Its entries.
    pub(crate) fn drafts(&self, control: &Control, op: &Op) -> Vec<Draft> {
        let draft =
            |(action, facts): &Told| control.draft(&op.actor, action, &self.target, &crate::slots::borrowed(facts));
        self.told.iter().map(draft).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str], reason: &str, until: &str) -> Result<Exceptions, String> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        exceptions(names, reason, until).map_err(|error| error.to_string())
    }

    #[test]
    fn exceptions_are_of_a_closed_table_with_a_reason_and_an_end() {
        let fine = made(&["ssh-rsa"], "no update before the move", "2027-01-31").unwrap();
        assert_eq!(fine.until.to_string(), "2027-02-01T00:00:00.000Z", "the last day is one of its days");
        assert_eq!(
            made(&["ssh-rsa"], "x", "2027-01-31T12:00:00Z").unwrap().until.to_string(),
            "2027-01-31T12:00:00.000Z"
        );
        for (names, reason, until, wanted) in [
            (&["3des-cbc"][..], "x", "2027-01-31", "`3des-cbc` is no exception: there are ecdh-sha2-nistp256"),
            (&[], "x", "2027-01-31", "there are ecdh-sha2-nistp256"),
            (&["ssh-rsa"], " ", "2027-01-31", "say their `reason`"),
            (&["ssh-rsa"], "x", "soon", "a day, such as 2027-01-31"),
            (&["ssh-rsa"], "x", "2027-02-30", "a day, such as 2027-01-31"),
        ] {
            let told = made(names, reason, until).unwrap_err();
            assert!(told.contains(wanted), "{told}");
        }
    }

    #[test]
    fn authorities_are_keys_and_aliases_are_names() {
        let way = |key: &str, alias: &str| Way {
            host_authorities: vec![key.to_owned()],
            host_aliases: [alias.to_owned()].into(),
            ..Way::default()
        };
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(wrong("ssh", &way(key, "web-1.example.org")), None);
        for (protocol, way, wanted) in [
            ("postgres", way(key, "a"), "for targets that speak ssh"),
            ("ssh", way("ssh-ed25519 nonsense", "a"), "is no key of an authority"),
            ("ssh", way(key, "*.example.org"), "without wildcards"),
        ] {
            let told = wrong(protocol, &way).unwrap();
            assert!(told.contains(wanted), "{told}");
        }
    }
}
