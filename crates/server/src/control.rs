//! The control process: vault, store, ledger, API.

use crate::config::Config;
use crate::role::asked_to_stop;
use sallyport_cli::Fail;
use sallyport_control::Control;
use sallyport_gateway::transport::{serve, unix};
use sallyport_model::{Env, Kind};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use tokio::net::TcpListener;

pub(crate) async fn run(config: &Config) -> Result<(), Fail> {
    let control = Arc::new(Control::new(Env::system(), &config.data, &config.node).at(config.place()?));
    if config.seal.manual {
        tracing::warn!("The vault is sealed: `sallyport vault unseal` opens it");
    } else {
        open(config, &control).await?;
    }
    let listener = TcpListener::bind(config.api.listen).await.map_err(|e| {
        Fail::usage(format!("cannot listen on {} for the API: {e}; choose another `[api] listen`", config.api.listen))
    })?;
    let socket = unix::Listener::bind(&config.socket())
        .map_err(|e| Fail::failed(format!("cannot make the socket `{}`: {e}", config.socket().display())))?;
    let router = sallyport_api::router(control.clone(), Some(config.ssh.listen.to_string()))
        .into_make_service_with_connect_info::<SocketAddr>();
    tracing::info!(api = %config.api.listen, "Control is ready");
    let outcome = tokio::select! {
        served = axum::serve(listener, router).into_future() => served.map_err(Fail::failed),
        served = serve::serve(&socket, control.clone()) => served.map_err(Fail::failed),
        () = control.failed() => Err(Fail::failed("the ledger cannot be written; a new process verifies everything and goes on")),
        () = asked_to_stop() => Ok(()),
    };
    control.close().await;
    outcome
}

/// Opens the vault with the key file. A wrong key is a wrong configuration.
async fn open(config: &Config, control: &Control) -> Result<(), Fail> {
    let path = config.key_file();
    let cannot = |e: std::io::Error| {
        Fail::usage(format!(
            "cannot read the vault's key file `{}`: {e}; restore it, or set `[seal] manual = true` and unseal with the recovery passphrase",
            path.display()
        ))
    };
    let mode = std::fs::metadata(&path).map_err(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Fail::usage(format!("`{0}` is readable by others: run `chmod 600 {0}`", path.display())));
    }
    let bytes = std::fs::read(&path).map_err(cannot)?;
    control.unseal_with_key_file(&bytes).await.map_err(|error| match error.kind() {
        Kind::Unavailable => Fail::new(Kind::Unavailable, format!("the data directory cannot be used: {error}")),
        _ => Fail::usage(format!("the vault does not open with `{}`: {error}", path.display())),
    })
}
