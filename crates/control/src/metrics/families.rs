//! The families: name, kind, labels, and a sentence each. They are registered here and nowhere else.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family as Many;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::sync::atomic::AtomicU64;

/// What every name begins with.
const PREFIX: &str = "sallyport";
/// Upper bounds of the buckets of a request's duration, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// A family as it is told to people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Family {
    /// Its whole name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels, each with what stands there.
    pub labels: &'static str,
    /// What it counts.
    pub help: &'static str,
}

/// A certificate that clients are shown.
pub trait Certificate: Send + Sync {
    /// When it ends, in seconds since 1970; nothing where that is not known.
    fn ends(&self) -> Option<i64>;
}

/// A request to the API: a route of the router, never the path that was asked for.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct ApiRequest {
    /// `GET` and the like, or `other`.
    pub method: &'static str,
    /// The template, such as `/api/v1/targets/{name}`; `portal` for what is none of the API's.
    pub route: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Answered {
    #[prometheus(flatten)]
    pub(super) request: ApiRequest,
    pub(super) status: u32,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct SignIn {
    pub(super) factor: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Decided {
    pub(super) act: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Ruled {
    pub(super) about: &'static str,
    pub(super) act: &'static str,
    pub(super) guarantee: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct AgentAsked {
    pub(super) outcome: &'static str,
    pub(super) by: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Ended {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Issued {
    pub(super) authority: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Process {
    pub(super) process: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Transferred {
    pub(super) way: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Carried {
    pub(super) way: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct NotBecame {
    pub(super) by: &'static str,
    pub(super) reason: &'static str,
}

/// A gauge of seconds and parts of them.
pub(super) type Seconds = Gauge<f64, AtomicU64>;
pub(super) type Histograms = Many<ApiRequest, Histogram, fn() -> Histogram>;

pub(super) struct Families {
    pub(super) sealed: Gauge,
    pub(super) quarantined: Gauge,
    pub(super) frozen: Gauge,
    pub(super) deaf: Gauge,
    pub(super) mute: Gauge,
    pub(super) recovery: Gauge,
    pub(super) nodes: Gauge,
    pub(super) gateways: Gauge,
    pub(super) targets: Gauge,
    pub(super) ledger_entries: Gauge,
    pub(super) ledger_silence: Seconds,
    pub(super) ledger_stuck: Seconds,
    pub(super) anchors: Gauge,
    pub(super) anchors_late: Gauge,
    pub(super) anchor_age: Gauge,
    pub(super) anchor_lag: Gauge,
    pub(super) last_backup: Gauge,
    pub(super) recordings_bytes: Gauge,
    pub(super) recordings_room: Gauge,
    pub(super) space_level: Gauge,
    pub(super) sessions: Gauge,
    pub(super) sessions_held: Gauge,
    pub(super) sessions_waiting: Gauge,
    pub(super) gateway_sessions: Gauge,
    pub(super) sessions_opened: Counter,
    pub(super) sessions_ended: Many<Ended, Counter>,
    pub(super) sessions_excepted: Counter,
    pub(super) becomings_failed: Many<NotBecame, Counter>,
    pub(super) door_streams: Gauge,
    pub(super) transfers: Many<Transferred, Counter>,
    pub(super) transfer_bytes: Many<Carried, Counter>,
    pub(super) decisions: Many<Decided, Counter>,
    pub(super) rulings: Many<Ruled, Counter>,
    pub(super) agent_requests: Many<AgentAsked, Counter>,
    pub(super) sign_ins: Many<SignIn, Counter>,
    pub(super) api_requests: Many<Answered, Counter>,
    pub(super) api_seconds: Histograms,
    pub(super) certificate_ends: Gauge,
    pub(super) ssh_certificates: Many<Issued, Counter>,
    pub(super) ssh_certificates_refused: Many<Issued, Counter>,
    pub(super) ssh_certificates_revoked: Counter,
    pub(super) ssh_certificates_live: Gauge,
    pub(super) process_memory: Many<Process, Gauge>,
    pub(super) process_files: Many<Process, Gauge>,
}

/// A registry while it is filled, and what is told of it.
struct Filling {
    registry: Registry,
    described: Vec<Family>,
}

impl Filling {
    fn add<M: Metric + Clone>(
        &mut self,
        (name, kind): (&'static str, &'static str),
        labels: &'static str,
        help: &'static str,
        metric: M,
    ) -> M {
        // The encoder adds a full stop to the help, and `_total` to the name of a counter.
        self.registry.register(name, help.trim_end_matches('.'), metric.clone());
        let end = if kind == "counter" { "_total" } else { "" };
        self.described.push(Family { name: format!("{PREFIX}_{name}{end}"), kind, labels, help });
        metric
    }

    fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauge {
        self.add((name, "gauge"), "", help, Gauge::default())
    }

    /// A counter for each of its labels.
    fn counters<L>(&mut self, name: &'static str, labels: &'static str, help: &'static str) -> Many<L, Counter>
    where
        L: Clone + std::hash::Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static,
    {
        self.add((name, "counter"), labels, help, Many::default())
    }

    fn seconds(&mut self, name: &'static str, help: &'static str) -> Seconds {
        self.add((name, "gauge"), "", help, Seconds::default())
    }
}

/// All families, registered, and what is told of them.
pub(super) fn register() -> (Registry, Families, Vec<Family>) {
    let mut all = Filling { registry: Registry::with_prefix(PREFIX), described: Vec::new() };
    let families = Families {
        sealed: all.gauge("sealed", "1 while the vault is sealed."),
        quarantined: all.gauge("quarantined", "Objects of the database that are not what this installation wrote."),
        frozen: all.gauge("frozen", "1 while new sessions are refused because an anchor is late."),
        deaf: all.gauge("deaf", "1 while this node does not hear what is decided: sealed, or without its database."),
        mute: all.gauge("mute", "1 while the ledger takes no entry."),
        recovery: all.gauge("recovery", "1 while a recovery on the host lends the rights of an administrator."),
        nodes: all.gauge("nodes", "Nodes whose keys may sign the ledger."),
        gateways: all.gauge("gateways", "Gateways that are connected to this node."),
        targets: all.gauge("targets", "Targets in the inventory."),
        ledger_entries: all.gauge("ledger_entries", "Entries in the ledger."),
        ledger_silence: all.seconds("ledger_silence_seconds", "How long ago the ledger was seen as it is stored."),
        ledger_stuck: all
            .seconds("ledger_stuck_seconds", "How long something waits to be written; 0 where nothing does."),
        anchors: all.gauge("anchors", "Places outside the database that hold checkpoints."),
        anchors_late: all.gauge("anchors_late", "Those of them that are later than they may be."),
        anchor_age: all
            .gauge("anchor_age_seconds", "How long ago the anchor that is furthest behind took a checkpoint."),
        anchor_lag: all
            .gauge("anchor_lag_entries", "Entries of the ledger that the anchor which is furthest behind lacks."),
        last_backup: all
            .gauge("last_backup_timestamp_seconds", "When the last backup was made; 0 where none is known."),
        recordings_bytes: all.gauge("recordings_bytes", "What recordings take."),
        recordings_room: all.gauge("recordings_room_bytes", "What they may take in all."),
        space_level: all.gauge("space_level", "0 fine, 1 new sessions are refused, 2 sessions freeze: no room."),
        sessions: all.gauge("sessions", "Live sessions."),
        sessions_held: all.gauge("sessions_held", "Those that staff have paused, or that wait for an observer."),
        sessions_waiting: all.gauge("sessions_waiting", "Those that wait for an observer."),
        gateway_sessions: all.gauge("gateway_sessions", "Live sessions as this node's gateways count them."),
        sessions_opened: all.add(("sessions_opened", "counter"), "", "Sessions that began here.", Counter::default()),
        sessions_ended: all.counters("sessions_ended", "`reason`: as in the ledger, such as `client_close`", "Sessions that ended here."),
        sessions_excepted: all.add(("sessions_excepted", "counter"), "", "Sessions that ended here in which an old algorithm was spoken by exception.", Counter::default()),
        becomings_failed: all.counters("becomings_failed", "`by`: `su`, `sudo`; `reason`: `password`, `refused`, `terminal`, `silent`, `flood`, `gone`", "Sessions that ended here because the logon account did not become the account."),
        door_streams: all
            .gauge("door_streams", "Streams at the gateway's door: terminals in browsers, and walls of screens."),
        transfers: all.counters("transfers", "`way`: `up` to the target, `down` from it; `outcome`: `done`, `failed`, `cancelled`, `refused`", "Files beside terminals in browsers, once it is known what came of them."),
        transfer_bytes: all.counters("transfer_bytes", "`way`: `up`, `down`", "What crossed of such files, also of those that did not come whole."),
        decisions: all.counters("decisions", "`act`: `connect`, `channel`, `right`; `outcome`: `permit`, `needs`, `deny`", "Decisions for somebody who asked."),
        rulings: all.counters("rulings", "`about`: `command`, `file`; `act`: `alert`, `hold`, `block`, `terminate`; `guarantee`: `enforced`, `best effort`", "Commands and files that a rule was about."),
        agent_requests: all.counters("agent_requests", "`outcome`: `allowed`, `signed`, `failed`, `refused`; `by`: `user`, `policy`, `gateway`", "What targets wanted of agents that were lent to them: a signature that was allowed is counted again with what came of it."),
        sign_ins: all.counters("sign_ins", "`factor`: `password`, `totp`, `recovery`, `passkey`, `ssh_key`, `ssh_certificate`, `token`, `browser`, and `user_name` for a name that is none; `outcome`: `accepted`, `refused`", "Factors that were presented to sign in, or to be fresh."),
        api_requests: all.counters("api_requests", "`method`; `route`: the template, `portal` for the rest; `status`", "Requests that were answered."),
        api_seconds: all.add(
            ("api_request_seconds", "histogram"),
            "`method`; `route`",
            "From the head of a request to the head of its answer.",
            Histograms::new_with_constructor(|| Histogram::new(BUCKETS)),
        ),
        certificate_ends: all.gauge(
            "certificate_expiry_timestamp_seconds",
            "When the certificate of the API ends, where it is in a file; 0 elsewhere.",
        ),
        ssh_certificates: all.counters("ssh_certificates", "`authority`: `targets`, `people`, `gateways`", "SSH certificates that were made."),
        ssh_certificates_refused: all.counters("ssh_certificates_refused", "`authority`: `targets`, `people`", "SSH certificates that were asked for in vain."),
        ssh_certificates_revoked: all.add(("ssh_certificates_revoked", "counter"), "", "SSH certificates of people that were revoked before their end.", Counter::default()),
        ssh_certificates_live: all.gauge("ssh_certificates_live", "SSH certificates of people that are good now."),
        process_memory: all.add(
            ("process_resident_bytes", "gauge"),
            "`process`: `control`, `gateway`",
            "Memory that a process holds.",
            Many::default(),
        ),
        process_files: all.add(
            ("process_open_files", "gauge"),
            "`process`: `control`, `gateway`",
            "Files and sockets that a process has open.",
            Many::default(),
        ),
    };
    (all.registry, families, all.described)
}
