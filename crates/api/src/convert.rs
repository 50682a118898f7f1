//! From the words of the product to the words of the wire.

use sallyport_control::{
    CaKeyLine, CaLine, Control, HostKeyLine, Keys, Op, Page, Plan, Progress, ReachLine, SecretLine, SessionLine,
    SlotLine, TargetLine, Why,
};
use sallyport_model::Address;
use sallyport_model::company::Guest;
use sallyport_model::inventory::{Account, Class, fingerprint};
use sallyport_policy::Decision;
use sallyport_policy::explain::PolicyAt;
use sallyport_wire as wire;

pub(crate) fn listing<T, W>(page: Page<T>, row: impl FnMut(T) -> W) -> wire::Listing<W> {
    let total = u64::try_from(page.total).unwrap_or(u64::MAX);
    wire::Listing { items: page.lines.into_iter().map(row).collect(), next: page.next, total }
}

pub(crate) fn host_key(key: &str) -> wire::HostKey {
    wire::HostKey {
        algorithm: key.split(' ').next().unwrap_or_default().into(),
        fingerprint: fingerprint(key).unwrap_or_default(),
        key: key.into(),
    }
}

pub(crate) fn target(line: TargetLine) -> wire::Target {
    let TargetLine { target, accounts } = line;
    let account = |account: Account| wire::Account {
        name: account.name.to_string(),
        class: match account.class {
            Class::Administrative => "administrative",
            Class::Service => "service",
            Class::Standard => "standard",
        }
        .into(),
        has_secret: account.opens(),
        certificate: account.certificate.is_some(),
        certificate_terms: account.certificate.map(|terms| wire::CertificateTerms {
            principal: terms.principal,
            source_addresses: terms.source_addresses.iter().map(ToString::to_string).collect(),
            force_command: terms.force_command,
        }),
        through: account
            .through
            .map(|through| wire::Through { account: through.account.to_string(), by: through.by.word().into() }),
        owner: account.owner.map(|owner| owner.to_string()),
    };
    wire::Target {
        name: target.name.to_string(),
        protocol: target.protocol.to_string(),
        host: target.host,
        port: target.port,
        zone: target.zone.to_string(),
        environment: target.environment.to_string(),
        tier: target.tier.into(),
        tags: target.tags.iter().map(ToString::to_string).collect(),
        host_keys: target.host_keys.iter().map(|key| host_key(key)).collect(),
        platform: target.platform.word().into(),
        via: target.way.via.map(|jump| jump.to_string()),
        host_authorities: target.way.host_authorities.iter().map(|key| host_key(key)).collect(),
        host_aliases: target.way.host_aliases.into_iter().collect(),
        exceptions: target.way.exceptions.map(|exceptions| wire::Exceptions {
            algorithms: exceptions.algorithms.into_iter().collect(),
            reason: exceptions.reason,
            until: exceptions.until.to_string(),
        }),
        post_quantum: target.way.post_quantum,
        accounts: accounts.into_iter().map(account).collect(),
    }
}

pub(crate) fn reach(handle: &sallyport_model::Handle, line: ReachLine) -> wire::Reach {
    let address = Address::Place {
        handle: Some(handle.clone()),
        account: line.account.name.clone(),
        target: line.target.name.clone(),
    };
    wire::Reach {
        target: line.target.name.to_string(),
        account: line.account.name.to_string(),
        protocol: line.target.protocol.to_string(),
        environment: line.target.environment.to_string(),
        tier: line.target.tier.into(),
        tags: line.target.tags.iter().map(ToString::to_string).collect(),
        state: match (line.usable, &line.note) {
            (false, _) => "requestable",
            (true, None) => "usable",
            (true, Some(_)) => "not ready",
        }
        .into(),
        login: address.to_string(),
        note: line.note.unwrap_or_default(),
        used: line.used.map(|used| used.to_string()),
    }
}

pub(crate) fn slot(slot: &SlotLine) -> wire::Slot {
    wire::Slot {
        id: slot.id.to_string(),
        kind: slot.kind.into(),
        label: slot.label.clone(),
        offline: slot.offline,
        created: slot.created.to_string(),
        confirmed: slot.confirmed,
        shares: slot.rule.map(|(k, n)| format!("{k}-of-{n}")),
    }
}

pub(crate) fn quorum(progress: Progress) -> wire::Quorum {
    wire::Quorum { slot: progress.slot.to_string(), have: progress.have, need: progress.need }
}

pub(crate) fn keys(keys: Keys) -> wire::Keys {
    let epoch = |line: sallyport_control::EpochLine| wire::KeyEpoch {
        domain: line.domain,
        epoch: line.epoch,
        state: line.state.word().into(),
        left: line.left,
    };
    wire::Keys {
        root_version: keys.root_version,
        epochs: keys.epochs.into_iter().map(epoch).collect(),
        paused: keys.paused,
    }
}

pub(crate) fn plan(plan: Plan, applied: bool) -> wire::Plan {
    wire::Plan {
        lines: plan
            .lines
            .into_iter()
            .map(|line| wire::PlanLine {
                sign: line.sign.mark().into(),
                kind: line.kind.into(),
                name: line.name,
                detail: line.detail,
            })
            .collect(),
        policy: plan.policy,
        applied,
        revoked: u32::try_from(plan.revoked).unwrap_or(u32::MAX),
        warnings: plan.warnings,
    }
}

pub(crate) fn session(control: &Control, op: &Op, line: SessionLine) -> wire::Session {
    let joinable = line.ended.is_none() && control.may_accompany(op, line.id);
    let fact = |name: &str| line.facts.get(name).cloned().unwrap_or_default();
    let address = fact("address");
    let (account, target) = address.rsplit_once('@').unwrap_or(("", &address));
    wire::Session {
        id: line.id.to_string(),
        handle: line.actor.clone(),
        target: target.to_owned(),
        account: account.to_owned(),
        through: Some(fact("through")).filter(|through| !through.is_empty()),
        protocol: fact("protocol"),
        started: line.started.to_string(),
        ended: line.ended.as_ref().map(|ended| ended.at.to_string()),
        reason: line.ended.as_ref().map(|ended| ended.reason.clone()),
        complete: line.ended.as_ref().map(|ended| ended.complete),
        note: line.ended.as_ref().map(|ended| ended.note.clone()).filter(|note| !note.is_empty()),
        paused: line.paused.as_ref().map(|pause| wire::SessionPause {
            by: pause.by.to_string(),
            reason: pause.reason.clone(),
            since: pause.since.to_string(),
        }),
        guests: line.guests.iter().map(guest).collect(),
        waits: line.waits,
        node: line.node,
        joinable,
        recording: fact("recording"),
        policy: fact("policy"),
        entry: line.entry,
        alerts: line.alerts,
        via: fact("via").split_whitespace().map(str::to_owned).collect(),
        exchanges: line.ended.as_ref().map(|ended| parts(&ended.exchanges)).unwrap_or_default(),
        exceptions: match &line.ended {
            Some(ended) => parts(&ended.exceptions),
            None => fact("exceptions").split_whitespace().map(str::to_owned).collect(),
        },
    }
}

/// The parts of a fact that has several.
fn parts(fact: &str) -> Vec<String> {
    fact.split("; ").filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

pub(crate) fn ssh_ca(line: CaLine) -> wire::SshCa {
    let key = |key: CaKeyLine| wire::SshCaKey {
        version: key.version,
        fingerprint: fingerprint(&key.public).unwrap_or_default(),
        public: key.public,
        state: key.state.word().into(),
        made: key.made.to_string(),
    };
    wire::SshCa { name: line.ca.word().into(), keys: line.keys.into_iter().map(key).collect() }
}

/// The port that is meant where a line of `known_hosts` names none.
const USUAL_PORT: &str = "22";

/// Clients look a host up as `[host]:port` where the port is not the usual one; its certificate under the bare name too.
pub(crate) fn known_hosts(line: HostKeyLine, ssh: Option<String>) -> wire::KnownHosts {
    let place = ssh.as_deref().and_then(|ssh| ssh.rsplit_once(':'));
    let place = place.map(|(host, port)| (host.trim_start_matches('[').trim_end_matches(']'), port));
    let told = place.map(|(host, port)| if port == USUAL_PORT { host.to_owned() } else { format!("[{host}]:{port}") });
    let own = line.names.first().cloned();
    let plain: Vec<String> = own.into_iter().chain(told.clone()).collect();
    let mut certified = line.names.clone();
    certified.extend(told.filter(|told| !line.names.contains(told)));
    let authority = |key: &String| format!("@cert-authority {} {key}", certified.join(","));
    let mut lines: Vec<String> = line.authority.iter().map(authority).collect();
    lines.push(format!("{} {}", plain.join(","), line.public));
    let fingerprint = fingerprint(&line.public).unwrap_or_default();
    wire::KnownHosts { ssh, names: line.names, public: line.public, fingerprint, lines }
}

pub(crate) fn guest(guest: &Guest) -> wire::SessionGuest {
    wire::SessionGuest { id: guest.id.to_string(), handle: guest.handle.to_string(), part: guest.part.word().into() }
}

pub(crate) fn secret(line: SecretLine) -> wire::SecretLine {
    wire::SecretLine {
        id: line.id.to_string(),
        account: line.address,
        kind: line.kind.into(),
        environment: line.environment,
        version: line.version,
        stored: line.stored.to_string(),
        public: line.public,
    }
}

fn at(policy: &PolicyAt) -> String {
    let described = policy.description.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
    format!("{} ({}:{}){described}", policy.name, policy.file, policy.line)
}

pub(crate) fn why(why: Why) -> wire::Why {
    let explanation = why.explanation;
    let (outcome, mut reasons) = match &explanation.decision {
        Decision::Permit { .. } => ("permit", Vec::new()),
        Decision::Needs { .. } => ("needs", Vec::new()),
        Decision::Deny { .. } => ("deny", Vec::new()),
    };
    reasons.extend(explanation.decision.denial().map(|denial| denial.message));
    if !explanation.depends.is_empty() {
        let by = explanation.depends.iter().map(at).collect::<Vec<_>>().join(", ");
        reasons.insert(0, format!("depends on the destination: say --destination host:port (it is asked for by {by})"));
    }
    reasons.extend(explanation.errors.iter().map(|p| format!("could not be evaluated: {}", at(p))));
    reasons.extend(
        explanation.near_misses.iter().map(|miss| format!("{} nearly permits it: {}", at(&miss.policy), miss.text)),
    );
    let policies = explanation.permits.iter().chain(&explanation.forbids).map(at).collect();
    let limits = explanation
        .limits
        .iter()
        .map(|limit| {
            let from = limit.policies.iter().map(|p| p.name.clone()).collect::<Vec<_>>().join(", ");
            let from = if from.is_empty() { "the house".to_owned() } else { from };
            (limit.key.to_owned(), format!("{} (from {from})", limit.value))
        })
        .collect();
    wire::Why { outcome: outcome.into(), reasons, policies, limits, policy: why.policy }
}
