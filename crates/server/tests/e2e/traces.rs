//! Spans reach a collector of traces from both processes; without it, and without being asked, nothing changes.

use crate::browser::Browser;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use sallyport_testkit::product::{Product, wait_for};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What its environment lets it say to the collector, and nobody else.
const TOKEN: &str = "Canary-otlp-51a0";

/// Everything that a span may tell.
const KEYS: [&str; 6] =
    ["http.request.method", "http.route", "http.response.status_code", "protocol", "session", "outcome"];

/// How the collector takes what it is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mood {
    Takes,
    Refuses,
    Never,
}

/// A span as it arrived: which process, its name, its trace, its own id and its parent's, and its attributes.
#[derive(Clone, Debug)]
struct Seen {
    service: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
    attributes: Vec<(String, String)>,
}

impl Seen {
    fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

struct Taken {
    mood: Mood,
    posts: usize,
    spans: Vec<Seen>,
    authorised: bool,
}

/// A collector, as far as OTLP over HTTP has one.
struct Collector {
    endpoint: String,
    taken: Arc<Mutex<Taken>>,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Taken { mood: Mood::Takes, posts: 0, spans: Vec::new(), authorised: true }));
        let here = taken.clone();
        let take = move |headers: HeaderMap, body: Bytes| {
            let mood = here.lock().unwrap().take(&headers, body);
            async move {
                match mood {
                    Mood::Takes => StatusCode::OK,
                    Mood::Refuses => StatusCode::INTERNAL_SERVER_ERROR,
                    Mood::Never => std::future::pending().await,
                }
            }
        };
        let router = axum::Router::new().route("/v1/traces", axum::routing::post(take));
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, taken, _runtime: runtime }
    }

    fn mood(&self, mood: Mood) {
        let mut taken = self.taken.lock().unwrap();
        (taken.mood, taken.posts) = (mood, 0);
    }

    fn posts(&self) -> usize {
        self.taken.lock().unwrap().posts
    }

    fn spans(&self) -> Vec<Seen> {
        self.taken.lock().unwrap().spans.clone()
    }

    fn wait(&self, what: &str, is: impl Fn(&Seen) -> bool) -> Seen {
        let seen = wait_for(what, 20, || self.spans().into_iter().find(&is));
        assert!(seen.is_ok(), "no {what} among {:#?}", self.spans());
        seen.unwrap()
    }
}

impl Taken {
    fn take(&mut self, headers: &HeaderMap, body: Bytes) -> Mood {
        self.posts += 1;
        let authorised = headers.get("authorization").is_some_and(|value| value == TOKEN);
        if self.mood == Mood::Takes {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            for resource in request.resource_spans {
                let about = pairs(resource.resource.unwrap().attributes);
                // The empty batch of `doctor` is nobody's.
                let service = about.into_iter().find(|(key, _)| key == "service.name").unwrap_or_default().1;
                for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    assert!(span.events.is_empty() && span.links.is_empty(), "no line of a log travels: {span:?}");
                    self.authorised &= authorised;
                    self.spans.push(Seen {
                        service: service.clone(),
                        name: span.name,
                        trace: hex::encode(span.trace_id),
                        id: hex::encode(span.span_id),
                        parent: hex::encode(span.parent_span_id),
                        attributes: pairs(span.attributes),
                    });
                }
            }
        }
        self.mood
    }
}

fn pairs(attributes: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>) -> Vec<(String, String)> {
    let text = |value| match value {
        Value::StringValue(text) => text,
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|pair| (pair.key, text(pair.value.unwrap().value.unwrap()))).collect()
}

#[test]
fn spans_reach_a_collector_only_where_one_is_configured_and_name_nobody() {
    let (mut product, collector) = (crate::product(), Collector::start());
    product.stop().unwrap();

    // The environment alone, which other programs take for a wish, begins nothing.
    product.surround("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Path::new(&collector.endpoint));
    product.surround("OTEL_EXPORTER_OTLP_TRACES_HEADERS", Path::new(&format!("authorization={TOKEN}")));
    product.serve().unwrap();
    session(&product);
    product.stop().unwrap();
    assert_eq!(collector.posts(), 0, "nobody asked for spans");

    product.configure(&format!("[traces]\nendpoint = \"{}\"\n", collector.endpoint)).unwrap();
    product.serve().unwrap();
    assert_eq!(Browser::of(&product).get("/api/v1/targets/made-up?limit=17").status, 401);
    assert!(!product.ssh("bob").arg("true").output().unwrap().status.success());
    session(&product);
    product.idle().unwrap();

    let asked = collector.wait("a request", |span| span.name == "GET /api/v1/targets/{name}");
    assert_eq!(asked.service, "sallyport-control");
    assert_eq!(asked.attribute("http.response.status_code"), Some("IntValue(401)"));
    assert_eq!(asked.attribute("http.route"), Some("/api/v1/targets/{name}"));

    let listed = product.newest_session().unwrap();
    let whole = collector.wait("a session", |span| span.attribute("session") == listed["id"].as_str());
    assert_eq!((whole.service.as_str(), whole.name.as_str()), ("sallyport-gateway", "session"));
    assert_eq!(whole.attribute("protocol"), Some("ssh"));
    assert_eq!(whole.attribute("outcome"), listed["reason"].as_str(), "the word of the ledger: {listed}");
    assert!(whole.attribute("outcome").is_some());
    for step in ["login", "open", "dial", "channel:exec", "close"] {
        let seen = collector.wait(step, |span| span.name == step && span.trace == whole.trace);
        assert_eq!((&seen.parent, seen.attribute("outcome")), (&whole.id, Some("ok")), "{step}");
    }
    // What bob may not use is not there for him.
    let refused = collector.wait("a session that was refused", |span| {
        span.name == "session" && span.attribute("outcome") == Some("not_found")
    });
    assert_eq!(refused.attribute("session"), None);

    let doctor = |product: &Product| product.run_local(&["doctor"]).unwrap().1;
    assert!(doctor(&product).contains("the collector of traces takes spans"), "{}", doctor(&product));
    product.stop().unwrap();
    for span in collector.spans() {
        let named = |(key, _): &&(String, String)| key != "session";
        let text = format!("{} {:?}", span.name, span.attributes.iter().filter(named).collect::<Vec<_>>());
        for word in ["ada", "bob", "web-1", "made-up", "limit", "127.0.0.1", "true", product.token()] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        for (key, _) in &span.attributes {
            assert!(KEYS.contains(&key.as_str()), "{key}: {text}");
        }
    }
    assert!(collector.taken.lock().unwrap().authorised, "what the environment says for the collector reaches it");
    let log = product.log();
    assert!(!log.contains(TOKEN) && !log.contains("channel:exec") && !log.contains("collector of traces"), "{log}");
}

#[test]
fn a_collector_that_takes_nothing_is_told_once_and_waited_for_by_nobody() {
    let (mut product, collector) = (crate::product(), Collector::start());
    product.stop().unwrap();
    product.surround("OTEL_EXPORTER_OTLP_TRACES_HEADERS", Path::new(&format!("authorization={TOKEN}")));
    product.configure(&format!("[traces]\nendpoint = \"{}\"\n", collector.endpoint)).unwrap();
    collector.mood(Mood::Refuses);
    product.serve().unwrap();
    session(&product);
    // Each look is a request, so that there are batches to refuse.
    wait_for("batches that are refused", 20, || product.status().ok().filter(|_| collector.posts() >= 4)).unwrap();
    let said = |line: &str, process: &str| {
        product.log().lines().filter(|said| said.starts_with(process) && said.contains(line)).count()
    };
    for process in ["control", "gateway"] {
        let warned = || (said("takes no spans; they are dropped", process) > 0).then_some(());
        wait_for("a warning", 20, warned).unwrap();
        assert_eq!(said("takes no spans; they are dropped", process), 1, "once per outage: {}", product.log());
    }
    collector.mood(Mood::Takes);
    wait_for("the end of the outage", 20, || {
        product.status().ok().filter(|_| said("takes spans again", "control") == 1)
    })
    .unwrap();
    assert!(!collector.spans().is_empty());

    // One that answers nothing at all: sessions and requests go on, and the server stops.
    collector.mood(Mood::Never);
    wait_for("a batch without an answer", 20, || product.status().ok().filter(|_| collector.posts() >= 1)).unwrap();
    session(&product);
    product.stop().unwrap();
    let log = product.log();
    assert!(log.contains("The last spans did not reach the collector of traces"), "{log}");
    assert!(!log.contains("killing it"), "{log}");

    // And one that is not there.
    drop(collector);
    let (_, doctor, _) = product.run_local(&["doctor"]).unwrap();
    assert!(
        doctor.contains("the collector of traces takes no spans") && doctor.contains("Connection refused"),
        "{doctor}"
    );
    product.serve().unwrap();
    session(&product);
    wait_for("a warning", 20, || product.status().ok().filter(|_| product.log().contains("Connection refused")))
        .unwrap();
}

/// A session that comes to its end.
fn session(product: &Product) {
    let done = product.ssh("ada").arg("true").output().unwrap();
    assert!(done.status.success(), "{done:?}: {}", product.log());
}
