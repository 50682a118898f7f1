//! The parent: holds the data directory's lock and the unsealed tails, starts control and gateway,
//! and starts again what dies. It parses nothing and holds no key.

use crate::config::{Config, PASSWORD};
use crate::role::{Role, asked_to_stop};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use sallyport_cli::Fail;
use sallyport_gateway::observe::tail::Tail;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// The first pause before a restart; it doubles up to the longest.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// A child that lived this long starts anew with the first pause.
const GOOD: Duration = Duration::from_secs(60);
/// Sessions that one gateway carries at once; each costs memory only for what it has not sealed.
const SESSIONS: u32 = 4096;
/// How often, and in what interval, it is looked whether the processes of an earlier server have ended: for 20 s.
const LOOKS: u32 = 200;
const LOOK: Duration = Duration::from_millis(100);
/// How long a child may take to stop in good order.
const STOP: Duration = Duration::from_secs(15);

pub(crate) async fn run(config: &Config, path: Option<&Path>) -> Result<(), Fail> {
    let _lock = lock(config)?;
    let tails = Tail::create(SESSIONS).and_then(|tail| tail.handle()).map_err(Fail::failed)?;
    let (stop, stopping) = watch::channel(Stage::Run);
    tracing::info!(data = %config.data.display(), api = %config.api.listen, ssh = %config.ssh.listen, "Starting control and gateway");
    let gateway = keep(Role::Gateway, path, Some(&tails), stopping.clone(), Stage::StopGateway);
    let control = keep(Role::Control, path, None, stopping, Stage::StopControl);
    let order = async {
        asked_to_stop().await;
        tracing::info!("Stopping: the gateway first, so that control can take its last entries");
        stop.send_replace(Stage::StopGateway);
    };
    // The gateway's end is what lets control stop; a control that cannot run stops the gateway.
    let gateway = async {
        let outcome = gateway.await;
        stop.send_replace(Stage::StopControl);
        outcome
    };
    let control = async {
        let outcome = control.await;
        stop.send_if_modified(|stage| std::mem::replace(stage, Stage::StopGateway.max(*stage)) == Stage::Run);
        outcome
    };
    let (gateway, control, ()) = tokio::join!(gateway, control, async {
        tokio::select! {
            () = order => {}
            () = gone(&stop) => {}
        }
    });
    tracing::info!("Stopped");
    gateway.and(control)
}

/// How far the stop has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    Run,
    StopGateway,
    StopControl,
}

async fn gone(stop: &watch::Sender<Stage>) {
    let mut stage = stop.subscribe();
    let _ = stage.wait_for(|stage| *stage == Stage::StopControl).await;
}

/// The locks of a data directory, held as long as this value.
pub(crate) struct Lock {
    _server: File,
    /// Control and gateway inherit it, so that it is free once the last of them is gone.
    _family: File,
}

/// One lock per data directory: two servers on one directory would each believe in their own memory. A second lock is
/// inherited by control and gateway: a parent that is killed leaves them behind for some seconds, in which they bring
/// their last entries home, and nobody may begin on the same journal before they are done.
pub(crate) fn lock(config: &Config) -> Result<Lock, Fail> {
    let data = &config.data;
    let cannot = |what: &Path, e: std::io::Error| {
        Fail::failed(format!("cannot use the data directory: `{}`: {e}", what.display()))
    };
    if !config.is_founded() {
        return Err(Fail::usage(format!("`{}` holds no installation: run `sallyport init` first", data.display())));
    }
    let mode = std::fs::metadata(data).map_err(|e| cannot(data, e))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Fail::usage(format!("`{0}` is open to other users: run `chmod 700 {0}`", data.display())));
    }
    let run = data.join("run");
    DirBuilder::new().recursive(true).mode(0o700).create(&run).map_err(|e| cannot(&run, e))?;
    let open = |name: &str| {
        let path = run.join(name);
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|e| cannot(&path, e))
    };
    let (server, family) = (open("lock")?, open("family")?);
    flock(&server, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Fail::failed(format!("another server runs on `{}`: stop it, or use another directory", data.display()))
    })?;
    let mut looks = 0;
    while flock(&family, FlockOperation::NonBlockingLockExclusive).is_err() {
        if looks == LOOKS {
            return Err(Fail::failed(format!(
                "processes of an earlier server still run on `{}`: end its control and its gateway, then start again",
                data.display()
            )));
        }
        if looks == 0 {
            tracing::warn!("An earlier server has died: waiting until its control and its gateway have ended");
        }
        looks += 1;
        std::thread::park_timeout(LOOK);
    }
    rustix::io::fcntl_setfd(&family, rustix::io::FdFlags::empty()).map_err(|e| cannot(&run, e.into()))?;
    Ok(Lock { _server: server, _family: family })
}

fn start(role: Role, path: Option<&Path>, tails: Option<&OwnedFd>) -> Result<Child, std::io::Error> {
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(path) = path {
        command.arg("--config").arg(path);
    }
    command.args(["serve", "--role", role.name(), "--parent", &std::process::id().to_string()]);
    if role == Role::Gateway {
        command.env_remove(format!("SALLYPORT__{PASSWORD}"));
    }
    // The tails reach the gateway as its standard input, and control not at all.
    command.stdin(tails.map_or_else(|| Ok(Stdio::null()), |fd| fd.try_clone().map(Stdio::from))?);
    command.stdout(Stdio::null()).kill_on_drop(true).spawn()
}

/// Keeps a child running until its stage of the stop; then stops it in good order.
async fn keep(
    role: Role,
    path: Option<&Path>,
    tails: Option<&OwnedFd>,
    mut stage: watch::Receiver<Stage>,
    mine: Stage,
) -> Result<(), Fail> {
    let mut pause = FIRST;
    let mut once = false;
    loop {
        let began = Instant::now();
        let mut child = match start(role, path, tails) {
            Ok(child) => child,
            // A parent that gave up here would take the unsealed tails with it.
            Err(error) if once => {
                tracing::error!(%error, "Cannot start the {}; trying again in {pause:?}", role.name());
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = stage.wait_for(|stage| *stage >= mine) => return Ok(()),
                }
                pause = LONGEST.min(pause * 2);
                continue;
            }
            Err(error) => return Err(Fail::failed(format!("cannot start the {}: {error}", role.name()))),
        };
        once = true;
        tracing::info!(pid = child.id(), "Started the {}", role.name());
        let ended = tokio::select! {
            status = child.wait() => Some(status),
            _ = stage.wait_for(|stage| *stage >= mine) => None,
        };
        match ended {
            None => return stop(role, child).await,
            Some(status) => {
                // Exit code 2 is a wrong configuration or key: starting again changes nothing.
                if let Some(2) = status.as_ref().ok().and_then(ExitStatus::code) {
                    return Err(Fail::usage(format!(
                        "the {} cannot run with this configuration; its last line above says why",
                        role.name()
                    )));
                }
                tracing::error!(status = ?status.ok(), "The {} has died; starting it again in {pause:?}", role.name());
            }
        }
        if began.elapsed() > GOOD {
            pause = FIRST;
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = stage.wait_for(|stage| *stage >= mine) => return Ok(()),
        }
        pause = LONGEST.min(pause * 2);
    }
}

async fn stop(role: Role, mut child: Child) -> Result<(), Fail> {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(STOP, child.wait()).await.is_err() {
        tracing::warn!("The {} does not stop; killing it", role.name());
        let _ = child.kill().await;
    }
    Ok(())
}
