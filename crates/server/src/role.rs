//! `serve`: which of the three processes this one is.

use crate::config::Config;
use crate::traces::Traces;
use crate::{control, gateway, logs, parent};
use clap::{Args, ValueEnum};
use sallyport_cli::Fail;
use std::path::Path;

/// The most descriptors that a process takes for itself.
const DESCRIPTORS: u64 = 65_536;

/// `serve`
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Which process to be; the parent starts the others with it
    #[arg(long, value_enum, hide = true, default_value_t = Role::Parent)]
    role: Role,
    /// Process id of the parent that starts it
    #[arg(long, hide = true)]
    parent: Option<u32>,
}

/// A process of the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Role {
    /// Holds the lock and the unsealed tails; starts and restarts the others.
    Parent,
    /// Vault, store, ledger, API.
    Control,
    /// Client sockets, decoders, recordings.
    Gateway,
}

impl Role {
    /// Name in logs and arguments.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Control => "control",
            Self::Gateway => "gateway",
        }
    }
}

pub(crate) fn serve(args: &Serve, path: Option<&Path>) -> Result<(), Fail> {
    let config = Config::load(path)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // The parent waits for its children; they have a thread for each core.
    if args.role == Role::Parent {
        runtime.worker_threads(1);
    }
    let runtime = runtime.enable_all().build().map_err(Fail::failed)?;
    let traces = match args.role {
        Role::Parent => None,
        Role::Control | Role::Gateway => Traces::start(&config.traces, args.role.name(), runtime.handle())?,
    };
    logs::start(&config.log, args.role.name(), traces.as_ref())?;
    if args.role != Role::Gateway {
        no_dumps()?;
    }
    more_descriptors()?;
    if args.role != Role::Parent {
        // A child never outlives its parent: without it nobody holds the tails.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)).map_err(Fail::failed)?;
        // The signal is sent from here on: a parent that had died before leaves its child to somebody else.
        if args.parent.is_some_and(|parent| parent != std::os::unix::process::parent_id()) {
            return Err(Fail::failed("the parent has died"));
        }
    }
    let outcome = runtime.block_on(async {
        match args.role {
            Role::Parent => parent::run(&config, path).await,
            Role::Control => control::run(&config).await,
            Role::Gateway => gateway::run(&config).await,
        }
    });
    if let Some(traces) = traces {
        traces.stop();
    }
    outcome
}

/// Keeps what is in memory out of core files, and away from debuggers of the same user (prctl(2), `PR_SET_DUMPABLE`). The gateway
/// does it once it has its tails: afterwards nobody but root opens what is under `/proc/self`.
pub(crate) fn no_dumps() -> Result<(), Fail> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(Fail::failed)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Fail::failed)
}

/// Takes as many descriptors as the system gives: shells and service managers begin with 1024, which a crowd would use up.
fn more_descriptors() -> Result<(), Fail> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).map_err(Fail::failed)?;
    }
    Ok(())
}

/// Resolves when this process is asked to stop.
pub(crate) async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
