use super::{ApiRequest, Metrics};
use prometheus_client::encoding::text::encode;
use sallyport_model::access::EndReason;
use sallyport_model::agent::{By, Outcome, Signature};
use sallyport_model::authority::About;
use sallyport_model::inventory::{self, NotBecome};
use sallyport_model::rules::{Act, Guarantee};
use sallyport_model::{Env, SessionId};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

fn told(metrics: &Metrics) -> String {
    let mut text = String::new();
    encode(&mut text, &metrics.registry).unwrap();
    text
}

#[test]
fn the_table_of_the_book_is_what_is_registered() {
    let mut text = String::from(
        "# Every figure\n\n`GET /metrics` tells these of the node that is asked, as OpenMetrics text. \
         [Operating](operating.md#watching-it) says what to watch.\n\n\
         | name | kind | labels | what it is |\n|---|---|---|---|\n",
    );
    let metrics = Metrics::default();
    for family in metrics.families() {
        assert!(family.help.ends_with('.'), "{family:?}");
        let labels = if family.labels.is_empty() { "none" } else { family.labels };
        writeln!(text, "| `{}` | {} | {labels} | {} |", family.name, family.kind, family.help).unwrap();
    }
    expect_test::expect_file!["../../../../docs/book/metrics.md"].assert_eq(&text);
}

#[test]
fn every_family_is_told_under_the_name_that_the_table_says() {
    let metrics = Metrics::default();
    metrics.signed_in("totp", true);
    metrics.signed_in("totp", false);
    metrics.certificate_issued(crate::SshCa::People);
    metrics.certificate_refused(crate::SshCa::Targets);
    metrics.transferred(crate::Way::Up, "done", 5);
    metrics.not_become(inventory::By::Sudo, NotBecome::Password);
    metrics.session_opened();
    metrics.session_ended(EndReason::Idle);
    metrics.decided(sallyport_policy::Act::Connect, &sallyport_policy::Decision::Deny { reasons: Vec::new() });
    let request = ApiRequest { method: "GET", route: "/api/v1/targets/{name}".into() };
    metrics.answered(&request, 404, Duration::from_millis(3));
    metrics.ruled(&super::Judged {
        session: SessionId::new(&Env::system()),
        act: Act::Block,
        rule: "mine/kept".into(),
        why: "it is kept".into(),
        guarantee: Guarantee::BestEffort,
        command: "mkdir x".into(),
        about: About::Command,
    });
    metrics.agent_asked(&Signature {
        session: SessionId::new(&Env::system()),
        outcome: Outcome::Refused,
        by: By::Gateway,
        what: "remove every key of the agent".into(),
        key: String::new(),
        why: "it is not carried".into(),
        times: 3,
    });
    metrics.processes(super::Figures { memory: 1, files: 2, sessions: 0 });
    let text = told(&metrics);
    for family in metrics.families() {
        assert!(text.lines().any(|line| line.starts_with(&family.name)), "{}: {text}", family.name);
    }
    for line in [
        "sallyport_sign_ins_total{factor=\"totp\",outcome=\"refused\"} 1",
        "sallyport_sessions_ended_total{reason=\"idle\"} 1",
        "sallyport_decisions_total{act=\"connect\",outcome=\"deny\"} 1",
        "sallyport_transfers_total{way=\"up\",outcome=\"done\"} 1",
        "sallyport_transfer_bytes_total{way=\"up\"} 5",
        "sallyport_becomings_failed_total{by=\"sudo\",reason=\"password\"} 1",
        "sallyport_rulings_total{about=\"command\",act=\"block\",guarantee=\"best effort\"} 1",
        "sallyport_agent_requests_total{outcome=\"refused\",by=\"gateway\"} 3",
        "sallyport_api_requests_total{method=\"GET\",route=\"/api/v1/targets/{name}\",status=\"404\"} 1",
        "sallyport_api_request_seconds_bucket{le=\"0.005\",method=\"GET\",route=\"/api/v1/targets/{name}\"} 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_stream_is_counted_while_it_is_held() {
    let metrics = Metrics::default();
    let held = (metrics.streaming(), metrics.streaming());
    assert!(told(&metrics).contains("sallyport_door_streams 2"));
    drop(held);
    assert!(told(&metrics).contains("sallyport_door_streams 0"));
}

/// What an alert asks for is a figure that there is.
#[test]
fn the_alerts_of_the_package_speak_of_figures_that_there_are() {
    let rules = include_str!("../../../../packaging/prometheus-rules.yml");
    let metrics = Metrics::default();
    let names: BTreeSet<&str> = metrics.families().iter().map(|family| family.name.as_str()).collect();
    let mut seen = 0;
    for expression in rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")) {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("sallyport_")) {
            assert!(names.contains(word), "{word} in {expression}");
            seen += 1;
        }
    }
    assert!(seen >= 13, "{seen}");
}
