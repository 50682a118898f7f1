//! The gateway process: client sockets, decoders, recordings. It holds no key of the vault.

use crate::config::Config;
use crate::role::{asked_to_stop, no_dumps};
use sallyport_cli::Fail;
use sallyport_control::{HOST_CERTIFICATE, HOST_KEY};
use sallyport_gateway::dial::Dialer;
use sallyport_gateway::listen::{Bounds, listen};
use sallyport_gateway::observe::journal::Sizes;
use sallyport_gateway::observe::tail::Tail;
use sallyport_gateway::spine::{Doors, Gateway, Setup};
use sallyport_gateway::transport::unix;
use sallyport_model::{Env, GatewayId, Secret};
use sallyport_ssh::Ssh;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// The parent hands the unsealed tails over as standard input.
const TAILS: i32 = 0;
/// How often a gateway without a host key looks for one, and one with a key whether it is still the one.
const LOOK: Duration = Duration::from_millis(50);
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long live sessions may take to close when the gateway stops.
const CLOSE: Duration = Duration::from_secs(10);
/// How long they may take where nobody can take their last entries: the journal has failed, or the parent has died and
/// control with it.
const FAREWELL: Duration = Duration::from_secs(2);

pub(crate) async fn run(config: &Config) -> Result<(), Fail> {
    let (env, parent) = (Env::system(), parent_id());
    let tail = Tail::inherit(TAILS).map_err(Fail::failed)?;
    no_dumps()?;
    let listener = TcpListener::bind(config.ssh.listen).await.map_err(|e| {
        Fail::usage(format!("cannot listen on {} for SSH: {e}; choose another `[ssh] listen`", config.ssh.listen))
    })?;
    let dialer = Arc::new(Dialer::default());
    dialer.own(config.api.listen);
    dialer.own(config.ssh.listen);
    let id = GatewayId::new(&env);
    let gateway = Gateway::start(Setup {
        env: env.clone(),
        id,
        zone: "default".parse().map_err(Fail::failed)?,
        connect: Box::new(unix::Connector::new(config.socket())),
        journal: config.data.join("journal"),
        sizes: Sizes::default(),
        recordings: config.data.join("recordings"),
        tail,
        dialer,
        observers: Gateway::no_observers(),
    })
    .await
    .map_err(Fail::failed)?;
    let key = tokio::select! {
        key = host_key(&config.data) => key?,
        () = asked_to_stop() => {
            gateway.shutdown(FAREWELL).await;
            return Ok(());
        }
    };
    let ssh = Arc::new(Ssh::new(&key, &env).map_err(Fail::usage)?);
    let certificates = tokio::spawn(host_certificates(config.data.join(HOST_CERTIFICATE), ssh.clone()));
    let door = unix::Listener::bind(&config.door())
        .map_err(|e| Fail::failed(format!("cannot make the socket `{}`: {e}", config.door().display())))?;
    let linger = config.linger().map_err(Fail::usage)?;
    let doors = Arc::new(Doors::new(gateway.clone(), id).with(ssh.clone()).lingering(linger));
    let mut answering = tokio::spawn(async move { doors.serve(&door).await });
    tracing::info!(gateway = %id, ssh = %config.ssh.listen, host_key = ssh.host_key(), "The gateway is ready");

    let accepting = {
        let (gateway, ssh) = (gateway.clone(), ssh);
        tokio::spawn(listen(listener, Bounds::default(), gateway.stopping(), move |io| {
            gateway.clone().carry(ssh.clone(), io)
        }))
    };
    let asked = tokio::select! {
        () = asked_to_stop() => true,
        () = gateway.recorder().failed() => false,
        () = another_host_key(&config.data, &key) => {
            tracing::warn!("The vault has another host key: a new gateway takes over with it");
            gateway.shutdown(CLOSE).await;
            return Err(Fail::failed("another host key is to be served"));
        }
        ended = &mut answering => {
            let why = ended.map_or_else(|e| e.to_string(), |ended| ended.err().map(|e| e.to_string()).unwrap_or_default());
            return Err(Fail::failed(format!("the door is closed: {why}")));
        }
    };
    if !asked {
        // Nothing can be recorded here any more. A new process reads what the disk has, brings the tails there, and says
        // how each recording ends; the sooner it does, the shorter is evidence in memory alone.
        tracing::error!(sessions = gateway.sessions(), "The journal has failed: a new gateway takes over");
        gateway.shutdown(FAREWELL).await;
        return Err(Fail::failed("the journal cannot be written; see to its disk"));
    }
    tracing::info!(sessions = gateway.sessions(), "The gateway ends its sessions");
    let patience = if parent_id() == parent { CLOSE } else { FAREWELL };
    if !gateway.shutdown(patience).await {
        tracing::warn!("Some sessions were not closed in time; the next gateway closes them");
    }
    certificates.abort();
    accepting.abort();
    answering.abort();
    Ok(())
}

/// The host key, as the vault has given it to this host. A host that is new has none until its vault has opened once.
async fn host_key(data: &Path) -> Result<Secret<Vec<u8>>, Fail> {
    let path = data.join(HOST_KEY);
    let mut said = false;
    loop {
        match read_host_key(&path)? {
            Some(seed) => return Ok(seed),
            None if said => {}
            None => tracing::info!("The gateway waits for its host key, which comes when the vault opens"),
        }
        said = true;
        tokio::time::sleep(LOOK).await;
    }
}

fn read_host_key(path: &Path) -> Result<Option<Secret<Vec<u8>>>, Fail> {
    match std::fs::read(path) {
        Ok(seed) => Ok(Some(Secret::new(seed))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Fail::failed(format!("cannot use the SSH host key `{}`: {e}", path.display()))),
    }
}

/// Has the host key's certificates shown, each as it comes. Never returns.
async fn host_certificates(path: PathBuf, ssh: Arc<Ssh>) {
    let mut shown = String::new();
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    loop {
        looks.tick().await;
        let Ok(line) = std::fs::read_to_string(&path) else { continue };
        if line != shown {
            if let Err(error) = ssh.certify(&line) {
                tracing::warn!(%error, "The certificate of the host key is not shown");
            }
            shown = line;
        }
    }
}

/// Resolves when the vault has another key for this host than it had: after a restore, or when it joins others.
async fn another_host_key(data: &Path, served: &Secret<Vec<u8>>) {
    let path = data.join(HOST_KEY);
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    loop {
        looks.tick().await;
        if let Ok(Some(seed)) = read_host_key(&path)
            && seed.expose() != served.expose()
        {
            return;
        }
    }
}
