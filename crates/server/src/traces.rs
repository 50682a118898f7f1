//! Spans to a collector, by OTLP over HTTP: off unless it is configured, and nobody waits for it.

use crate::config;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider};
use sallyport_cli::Fail;
use sallyport_model::SPANS;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;

/// How long the collector may take to take a batch.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the last batch may take when the process ends.
const FAREWELL: Duration = Duration::from_secs(2);
/// Batches leave this often.
const EVERY: Duration = Duration::from_secs(1);
/// Spans that wait to be sent; further ones are dropped.
const WAITING: usize = 2048;
/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// The way of a process's spans to the collector.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Begins to send, where a collector is configured. What is sent runs on this runtime.
    pub(crate) fn start(config: &config::Traces, process: &str, runtime: &Handle) -> Result<Option<Self>, Fail> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let exporter = exporter(endpoint, Way::new(runtime)?)?;
        let batches = BatchConfigBuilder::default().with_max_queue_size(WAITING).with_scheduled_delay(EVERY).build();
        let resource = Resource::builder()
            .with_service_name(format!("sallyport-{process}"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample))))
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("sallyport");
        Ok(Some(Self { provider, tracer }))
    }

    /// Takes the spans that are meant for it, and nothing of the logs.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(
                filter_fn(|metadata| metadata.is_span() && metadata.target() == SPANS)
                    .with_max_level_hint(LevelFilter::INFO),
            )
    }

    /// Sends what is left, as far as the collector takes it within two seconds.
    pub(crate) fn stop(&self) {
        if self.provider.shutdown_with_timeout(FAREWELL).is_err() {
            tracing::info!("The last spans did not reach the collector of traces");
        }
    }
}

/// Whether a collector is configured, and takes an empty batch: else why not.
pub(crate) fn probe(config: &config::Traces) -> Option<Result<(), String>> {
    let endpoint = config.endpoint.as_ref()?;
    let probed = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fail::failed)?;
        let way = Way::new(runtime.handle())?;
        let missed = way.missed.clone();
        let taken = runtime.block_on(exporter(endpoint, way)?.export(Vec::new()));
        let why = missed.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.map_err(|error| Fail::failed(why.unwrap_or_else(|| error.to_string())))
    };
    Some(probed().map_err(|fail| fail.message))
}

fn exporter(endpoint: &str, way: Way) -> Result<SpanExporter, Fail> {
    SpanExporter::builder()
        .with_http()
        .with_http_client(way)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(ANSWER)
        // A batch that is not taken is dropped: what waits for a collector takes memory.
        .with_retry_policy(RetryPolicy::default().with_max_retries(0))
        .build()
        .map_err(|e| {
            Fail::usage(format!("[traces] spans cannot be sent: {e}; look at `endpoint`, and at OTEL_EXPORTER_OTLP_*"))
        })
}

/// Posts batches. The thread that makes them is none of the runtime's, so the request is a task of the runtime.
#[derive(Debug)]
struct Way {
    client: reqwest::Client,
    runtime: Handle,
    /// Why the last batch was not taken, where it was not: an outage is told once.
    missed: Arc<Mutex<Option<String>>>,
}

impl Way {
    fn new(runtime: &Handle) -> Result<Self, Fail> {
        let client = reqwest::Client::builder()
            .connect_timeout(FAREWELL)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Fail::failed)?;
        Ok(Self { client, runtime: runtime.clone(), missed: Arc::default() })
    }
}

impl HttpClient for Way {
    fn send_bytes<'way, 'sent>(
        &'way self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sent>>
    where
        'way: 'sent,
        Self: 'sent,
    {
        let (client, missed) = (self.client.clone(), self.missed.clone());
        let sent = self.runtime.spawn(async move {
            let answer = post(&client, request).await;
            let why = match &answer {
                Ok(response) if response.status().is_success() => None,
                Ok(response) => Some(format!("it answered {}", response.status())),
                Err(error) => Some(chain(error.as_ref())),
            };
            tell(&mut missed.lock().unwrap_or_else(PoisonError::into_inner), why);
            answer
        });
        Box::pin(async move { sent.await? })
    }
}

/// Says where an outage begins, and where it ends.
fn tell(missed: &mut Option<String>, now: Option<String>) {
    match (&missed, &now) {
        (None, Some(why)) => {
            tracing::warn!(why, "The collector of traces takes no spans; they are dropped until it does");
        }
        (Some(_), None) => tracing::info!("The collector of traces takes spans again"),
        _ => {}
    }
    *missed = now;
}

async fn post(client: &reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut response =
        client.execute(reqwest::Request::try_from(request)?).await.map_err(reqwest::Error::without_url)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err("its answer is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response::builder().status(response.status()).body(body.into())?)
}

/// An error with what is behind it: the outermost alone says no more than that a request failed.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
