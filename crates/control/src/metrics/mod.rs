//! Figures of this node: counted where things happen, read off when somebody asks.
//!
//! INVARIANT: no label holds what somebody outside has written. Labels are words of this code and routes of its own
//! router: so their number is bounded, and they name nobody.

mod families;

use families::{AgentAsked, Carried, Decided, Ended, Families, Issued, NotBecame, Process, Ruled, SignIn, Transferred};
pub use families::{ApiRequest, Certificate, Family};

use crate::control::Open;
use crate::directory::kinds;
use crate::sessions::held;
use crate::ssh_login::living;
use crate::transfers::Way;
use crate::{Control, Level, SshCa};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use sallyport_model::access::EndReason;
use sallyport_model::agent::Signature;
use sallyport_model::authority::{Figures, Judged, Pulse};
use sallyport_model::inventory::{By, NotBecome};
use sallyport_model::{GatewayId, Timestamp};
use sallyport_policy::{Act, Decision};
use sallyport_store::Nodes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What counts, and what is told to whoever asks.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    families: Arc<Families>,
    described: Arc<Vec<Family>>,
    /// What each connected gateway has said of itself last.
    gateways: Arc<Mutex<BTreeMap<GatewayId, Figures>>>,
    certificate: Option<Arc<dyn Certificate>>,
    /// What this process takes.
    process: Option<fn() -> Figures>,
}

/// A stream at the gateway's door, counted while it is held.
pub struct Streaming(Metrics);

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.families.door_streams.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let (registry, families, described) = families::register();
        Self {
            registry: Arc::new(registry),
            families: Arc::new(families),
            described: Arc::new(described),
            gateways: Arc::default(),
            certificate: None,
            process: None,
        }
    }
}

impl Metrics {
    /// Every family, in the order in which they are told.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.described
    }

    /// A request to the API was answered.
    pub fn answered(&self, request: &ApiRequest, status: u16, took: Duration) {
        let counted = families::Answered { request: request.clone(), status: status.into() };
        self.families.api_requests.get_or_create(&counted).inc();
        self.families.api_seconds.get_or_create(request).observe(took.as_secs_f64());
    }

    /// A rule was about a command or a file.
    pub(crate) fn ruled(&self, judged: &Judged) {
        let (about, act, guarantee) = (judged.about.word(), judged.act.word(), judged.guarantee.word());
        self.families.rulings.get_or_create(&Ruled { about, act, guarantee }).inc();
    }

    /// A target wanted something of an agent.
    pub(crate) fn agent_asked(&self, told: &Signature) {
        let counted = AgentAsked { outcome: told.outcome.word(), by: told.by.word() };
        self.families.agent_requests.get_or_create(&counted).inc_by(told.times.into());
    }

    /// Somebody presented a factor: a word for it, and whether it was the right one.
    pub(crate) fn signed_in(&self, factor: &'static str, right: bool) {
        let outcome = if right { "accepted" } else { "refused" };
        self.families.sign_ins.get_or_create(&SignIn { factor, outcome }).inc();
    }

    /// A decision was made for somebody who asked.
    pub(crate) fn decided(&self, act: Act, decision: &Decision) {
        let act = match act {
            Act::Channel(_) => "channel",
            Act::Right(_) => "right",
            _ => "connect",
        };
        let outcome = match decision {
            Decision::Permit { .. } => "permit",
            Decision::Needs { .. } => "needs",
            Decision::Deny { .. } => "deny",
        };
        self.families.decisions.get_or_create(&Decided { act, outcome }).inc();
    }

    pub(crate) fn session_opened(&self) {
        self.families.sessions_opened.inc();
    }

    pub(crate) fn session_ended(&self, reason: EndReason) {
        self.families.sessions_ended.get_or_create(&Ended { reason: reason.word() }).inc();
    }

    pub(crate) fn certificate_issued(&self, ca: SshCa) {
        self.families.ssh_certificates.get_or_create(&Issued { authority: ca.word() }).inc();
    }

    pub(crate) fn certificate_refused(&self, ca: SshCa) {
        self.families.ssh_certificates_refused.get_or_create(&Issued { authority: ca.word() }).inc();
    }

    pub(crate) fn certificate_revoked(&self) {
        self.families.ssh_certificates_revoked.inc();
    }

    /// Counts a session that has ended in which an exception was made.
    pub(crate) fn session_excepted(&self) {
        self.families.sessions_excepted.inc();
    }

    /// A session has ended because nobody became its account.
    pub(crate) fn not_become(&self, by: By, why: NotBecome) {
        self.families.becomings_failed.get_or_create(&NotBecame { by: by.word(), reason: why.word() }).inc();
    }

    /// It is known what came of a file: which way it went, how it ended, and how many bytes have crossed.
    pub(crate) fn transferred(&self, way: Way, outcome: &'static str, bytes: u64) {
        let way = way.word();
        self.families.transfers.get_or_create(&Transferred { way, outcome }).inc();
        self.families.transfer_bytes.get_or_create(&Carried { way }).inc_by(bytes);
    }

    pub(crate) fn streaming(&self) -> Streaming {
        self.families.door_streams.inc();
        Streaming(self.clone())
    }

    pub(crate) fn of_gateway(&self, gateway: GatewayId, figures: Figures) {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner).insert(gateway, figures);
    }

    pub(crate) fn without_gateway(&self, gateway: GatewayId) {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner).remove(&gateway);
    }

    fn processes(&self, own: Figures) {
        let gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = gateways.values().fold(Figures::default(), |sum, one| Figures {
            memory: sum.memory + one.memory,
            files: sum.files + one.files,
            sessions: sum.sessions + one.sessions,
        });
        self.families.gateway_sessions.set(whole(sum.sessions));
        for (process, figures) in [("control", own), ("gateway", sum)] {
            self.families.process_memory.get_or_create(&Process { process }).set(whole(figures.memory));
            self.families.process_files.get_or_create(&Process { process }).set(whole(figures.files));
        }
    }
}

impl Control {
    /// What is counted here.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The same, with a certificate whose end is told.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Arc<dyn Certificate>) -> Self {
        self.metrics.certificate = Some(certificate);
        self
    }

    /// The same, with a way to learn what this process takes.
    #[must_use]
    pub fn with_process(mut self, process: fn() -> Figures) -> Self {
        self.metrics.process = Some(process);
        self
    }

    /// All figures as OpenMetrics text (OpenMetrics 1.0).
    #[must_use]
    pub fn figures(&self) -> String {
        let status = self.status();
        let families = &self.metrics.families;
        families.sealed.set(i64::from(status.sealed));
        families.quarantined.set(size(status.quarantined));
        families.frozen.set(i64::from(status.frozen));
        families.deaf.set(i64::from(status.pulse == Pulse::Deaf));
        families.mute.set(i64::from(status.pulse == Pulse::Mute));
        families.recovery.set(i64::from(status.recovery.is_some()));
        families.ledger_entries.set(whole(status.entries));
        families.gateways.set(size(status.gateways));
        families.sessions.set(size(status.sessions));
        families.sessions_waiting.set(size(status.sessions_waiting));
        families.last_backup.set(status.backup.map_or(0, seconds));
        families.recordings_bytes.set(whole(status.space.used));
        families.recordings_room.set(whole(status.space.room));
        families.space_level.set(match status.space.level {
            Level::Fine => 0,
            Level::Refuse => 1,
            Level::Freeze => 2,
        });
        self.anchors_told(status.entries);
        if let Ok(open) = self.opened() {
            families.sessions_held.set(size(held(&open)));
            self.store_told(&open);
        }
        let certificate = self.metrics.certificate.as_ref().and_then(|certificate| certificate.ends());
        families.certificate_ends.set(certificate.unwrap_or(0));
        self.metrics.processes(self.metrics.process.map(|process| process()).unwrap_or_default());
        let mut text = String::new();
        // Writing to a text does not fail; if it did, a cut-off one without its end mark is refused by who reads it.
        if encode(&mut text, &self.metrics.registry).is_err() {
            tracing::error!("The figures cannot be written");
        }
        text
    }

    fn anchors_told(&self, entries: u64) {
        let (families, now) = (&self.metrics.families, self.env.now());
        let lines = self.anchors.lines();
        families.anchors.set(size(lines.len()));
        families.anchors_late.set(size(lines.iter().filter(|line| line.late).count()));
        let behind = lines.iter().min_by_key(|line| line.size);
        families.anchor_lag.set(behind.map_or(0, |line| whole(entries.saturating_sub(line.size))));
        families.anchor_age.set(behind.and_then(|line| line.at).map_or(0, |at| whole(now.since(at).as_secs())));
    }

    fn store_told(&self, open: &Open) {
        let families = &self.metrics.families;
        let nodes = open.store.working(Nodes::of).map_or(0, |(nodes, _)| nodes.iter().count());
        families.nodes.set(size(nodes));
        families.ssh_certificates_live.set(size(living(open, self.env.now())));
        families.targets.set(size(open.store.working(|set| set.of_kind(kinds::TARGET).count())));
        families.ledger_silence.set(open.store.silence().as_secs_f64());
        families.ledger_stuck.set(open.store.stuck().as_secs_f64());
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000_000)
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
