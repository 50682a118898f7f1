//! The control process: vault, store, ledger, API.

use crate::config::{Config, Pkcs11};
use crate::edge::{Authority, CertificateFile, Edge, Tls};
use crate::nodes::Nodes;
use crate::private::Private;
use crate::role::asked_to_stop;
use crate::{anchors, host, quarantine};
use sallyport_cli::Fail;
use sallyport_control::{CERTIFICATE, Control, Error, TokenConfig};
use sallyport_gateway::transport::knock::Knocker;
use sallyport_gateway::transport::{serve, unix};
use sallyport_model::{Env, Kind, Secret};
use sallyport_wire as wire;
use std::sync::Arc;
use tokio::net::TcpListener;

pub(crate) async fn run(config: &Config) -> Result<(), Fail> {
    let nodes = Nodes::open(config).await?;
    let control = host(config)?;
    let control = Arc::new(match &nodes {
        Some(nodes) => control.with_nodes(nodes.peers.clone()),
        None => control,
    });
    if config.seal.manual {
        tracing::warn!("The vault is sealed: `sallyport vault unseal` opens it");
    } else {
        let opened = open(config, &control).await;
        quarantine::keep(config, &control)?;
        // In quarantine control stays up, to say so: it has no store, so it decides nothing.
        if control.quarantine().is_none() {
            opened?;
        }
    }
    let listener = TcpListener::bind(config.api.listen).await.map_err(|e| {
        Fail::usage(format!("cannot listen on {} for the API: {e}; choose another `[api] listen`", config.api.listen))
    })?;
    let socket = unix::Listener::bind(&config.socket())
        .map_err(|e| Fail::failed(format!("cannot make the socket `{}`: {e}", config.socket().display())))?;
    let edge = Edge::new(config, &control).await?;
    let trust = Authority::of(config).map(|own| wire::Trust { fingerprint: own.fingerprint, certificate: own.pem });
    let gateway = config.gateway().map_err(Fail::usage)?;
    let linger = config.linger().map_err(Fail::usage)?;
    let router = sallyport_api::router(control.clone(), (Some(gateway.to_string()), linger), trust);
    tracing::info!(api = %config.api.listen, "Control is ready");
    let others = async {
        match nodes {
            Some(nodes) => nodes.serve(control.clone()).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        served = Box::pin(others) => served,
        () = edge.serve(listener, router) => Ok(()),
        served = serve::serve(&socket, control.clone()) => served.map_err(Fail::failed),
        served = host::serve(config, control.clone()) => served,
        () = control.failed() => Err(Fail::failed("the ledger cannot be written; a new process verifies everything and goes on")),
        () = control.tend_keys() => Ok(()),
        () = control.tend_space() => Ok(()),
        () = control.tend_sign_ins() => Ok(()),
        () = Box::pin(control.tend_way()) => Ok(()),
        () = asked_to_stop() => Ok(()),
    };
    control.close().await;
    outcome
}

/// The control plane of this host, still sealed: store, token and anchors as they are configured.
pub(crate) fn host(config: &Config) -> Result<Control, Fail> {
    let anchors = anchors::all(config).map_err(Fail::usage)?;
    let control = Control::new(Env::system(), &config.data, &config.node)
        .at(config.place()?)
        .with_anchors(anchors)
        .with_process(sallyport_gateway::process::own)
        .with_door(Arc::new(Knocker::new(Box::new(unix::Connector::new(config.door())))))
        .with_space(config.space.rules().map_err(Fail::usage)?)
        .with_sign_in(config.sign_in().map_err(Fail::usage)?)
        .with_ssh_host(config.gateway().map_err(Fail::usage)?.host);
    let control = match &config.api.tls {
        Tls::Files { cert, .. } => control.with_certificate(Arc::new(CertificateFile(cert.clone()))),
        Tls::Acme(_) => control.with_certificate(Arc::new(CertificateFile(config.data.join(CERTIFICATE)))),
        Tls::Off | Tls::Own => control,
    };
    Ok(match &config.seal.pkcs11 {
        Some(found) => control.with_token(token(found)?),
        None => control,
    })
}

/// Opens the vault with the token, where there is one and a slot was made with it, else with the key file. A wrong key is
/// a wrong configuration; a token that is not there is no reason not to start, since a person can bring it.
pub(crate) async fn open(config: &Config, control: &Control) -> Result<(), Fail> {
    if config.seal.pkcs11.is_some() {
        match control.unseal_with_token().await {
            Ok(()) => return Ok(()),
            // No slot of this token yet: the key file opens the vault until there is one.
            Err(Error::Vault(error)) if error.kind() == Kind::Usage => {}
            // The token has opened the vault: what stands in the way is no matter of keys.
            Err(error @ (Error::Rollback(_) | Error::Quarantined(_) | Error::NotFound(_))) => {
                return Err(Fail::usage(error));
            }
            Err(error) => {
                tracing::error!(%error, "The vault stays sealed: `sallyport vault unseal` opens it, with `--pkcs11` once the token can be used");
                return Ok(());
            }
        }
    }
    let file = config.key_file()?;
    let advice = "restore it, or set `[seal] manual = true` and unseal with another slot";
    let text = file.read("the vault's key file", advice)?;
    control.unseal_with_key_file(text.expose().as_bytes()).await.map_err(|error| match error.kind() {
        Kind::Unavailable => Fail::new(Kind::Unavailable, format!("the data directory cannot be used: {error}")),
        // Not a matter of the key: what is to be done stands in the message.
        _ if matches!(error, Error::Rollback(_) | Error::NotFound(_)) => Fail::usage(error),
        _ => Fail::usage(format!("the vault does not open with `{}`: {error}", file.path().display())),
    })
}

/// The token, with its PIN where the configuration gives it.
fn token(token: &Pkcs11) -> Result<TokenConfig, Fail> {
    let pin = token
        .pin_file
        .clone()
        .map(|path| Private::file(path).read("the token's PIN", "write it there, or leave `pin_file` out"));
    let pin = pin.transpose()?.map(|text| Secret::new(text.expose().trim_end().to_owned()));
    Ok(TokenConfig { module: token.module.clone(), token: token.token.clone(), key: token.key.clone(), pin })
}
