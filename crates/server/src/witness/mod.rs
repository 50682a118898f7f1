//! `witness`: cosigns the checkpoints of other ledgers (c2sp.org/tlog-witness). Its own process, key and state.

mod state;

use crate::config::{self, Config};
use crate::logs;
use crate::role::asked_to_stop;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Subcommand;
use sallyport_cli::Fail;
use sallyport_ledger::witness::{MAX_SUBMISSION, Refusal, SIZE_TYPE, Submission};
use sallyport_model::Env;
use state::Seen;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// `witness`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the key and the empty state, and print the public key
    Init,
    /// Serve the ledgers that the configuration lists
    Serve,
}

/// What a witness is while it runs.
struct Witness {
    env: Env,
    seen: Mutex<Seen>,
}

pub(crate) fn run(command: &Command, path: Option<&Path>) -> Result<(), Fail> {
    let config = Config::load(path)?;
    let settings = config.witness.as_ref().ok_or_else(|| {
        Fail::usage("the configuration has no [witness]: give it `name`, `listen`, `state` and `logs`")
    })?;
    match command {
        Command::Init => {
            logs::say(&state::init(&Env::system(), settings)?.to_string());
            Ok(())
        }
        Command::Serve => {
            logs::start(&config.log, "witness", None)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.map_err(Fail::failed)?.block_on(serve(settings))
        }
    }
}

async fn serve(settings: &config::Witness) -> Result<(), Fail> {
    let seen = Seen::open(settings)?;
    let listener = TcpListener::bind(settings.listen).await.map_err(|e| {
        Fail::usage(format!("cannot listen on {}: {e}; choose another `[witness] listen`", settings.listen))
    })?;
    tracing::info!(listen = %settings.listen, logs = settings.logs.len(), key = %seen.key(), "The witness is ready");
    let witness = Arc::new(Witness { env: Env::system(), seen: Mutex::new(seen) });
    let router = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(MAX_SUBMISSION))
        .with_state(witness);
    tokio::select! {
        served = axum::serve(listener, router).into_future() => served.map_err(Fail::failed),
        () = asked_to_stop() => Ok(()),
    }
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let judged = tokio::task::spawn_blocking(move || {
        let submission = Submission::parse(&body).map_err(state::Error::Refused)?;
        // Judging and remembering are one act: nobody else is judged in between.
        let mut seen = witness.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u64::try_from(witness.env.now().0 / 1_000_000).unwrap_or(0);
        seen.cosign(&submission, seconds)
    });
    match judged.await {
        Ok(Ok(line)) => line.into_response(),
        Ok(Err(state::Error::Refused(refusal))) => refused(&refusal),
        Ok(Err(state::Error::State(error))) => {
            tracing::error!(%error, "Nothing is cosigned: what was seen cannot be kept");
            (StatusCode::INTERNAL_SERVER_ERROR, "what this witness has seen cannot be kept; see its log\n")
                .into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    if matches!(refusal, Refusal::Fork(_) | Refusal::Proof) {
        tracing::error!(%refusal, "A log submitted what does not continue what it submitted before");
    }
    match refusal.size() {
        Some(size) => (status, [(CONTENT_TYPE, SIZE_TYPE)], format!("{size}\n")).into_response(),
        None => (status, format!("{refusal}\n")).into_response(),
    }
}
