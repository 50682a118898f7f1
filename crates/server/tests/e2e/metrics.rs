//! Figures of the running product: they count what happened, and name nobody.

use crate::browser::{Browser, WORDS};
use crate::sign_in::link;
use reqwest::Method;
use sallyport_testkit::product::{Product, wait_for};
use serde_json::json;

on_both!(figures_count_what_happened_and_name_nobody);

/// The value of a figure, with its labels as they are written.
fn figure(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

fn scraped(browser: &mut Browser) -> String {
    let answer = browser.get("/metrics");
    let kind = answer.headers["content-type"].to_str().unwrap();
    assert!(answer.status == 200 && kind.starts_with("application/openmetrics-text"), "{kind}");
    answer.body.as_str().unwrap().to_owned()
}

/// All figures, as they are now.
pub(crate) fn figures(product: &Product) -> String {
    scraped(&mut Browser::of(product))
}

/// Every value of every label that is told now stands in the book, where the book lists what there is.
pub(crate) fn stand_in_the_book(product: &Product) {
    let book = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/metrics.md");
    let book = std::fs::read_to_string(book).unwrap();
    for line in figures(product).lines().filter(|line| !line.starts_with('#')) {
        let Some((name, labels)) = line.split_once('{') else { continue };
        let rows = ["", "_count", "_bucket", "_sum"].map(|part| format!("| `{}` |", name.trim_end_matches(part)));
        let row = book.lines().find(|row| rows.iter().any(|name| row.starts_with(name.as_str())));
        let Some(row) = row else { unreachable!("{name} is not in the book") };
        for label in labels.split('}').next().unwrap().split("\",") {
            let (label, value) = label.split_once("=\"").unwrap();
            // What is told of it, up to the next label: values in backticks, or words about them.
            let told = row.split(&format!("`{label}`: ")).nth(1).map(|told| told.split([';', '|']).next().unwrap());
            let Some(told) = told.filter(|told| told.starts_with('`')) else { continue };
            let value = value.trim_end_matches('"');
            assert!(told.contains(&format!("`{value}`")), "{name}: {label}=\"{value}\" is not in the book: {told}");
        }
    }
}

fn figures_count_what_happened_and_name_nobody(product: &mut Product) {
    let mut nobody = Browser::of(product);
    let before = scraped(&mut nobody);
    assert_eq!(figure(&before, "sallyport_sealed"), Some(0.0));
    assert!(!before.contains("sallyport_sessions_ended_total{"), "nothing has ended yet: {before}");

    // One session, one that is refused, a person who signs in at the second try, and paths that somebody made up.
    let done = product.ssh("ada").arg("true").output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(!product.ssh("bob").arg("true").output().unwrap().status.success());
    let mut ada = Browser::of(product);
    ada.enrol(&link(product, "ada")).unwrap();
    let mut again = Browser::of(product);
    let wrong = json!({ "handle": "ada", "password": "not her words at all" });
    assert_eq!(again.post("/api/v1/sign-in", &wrong).status, 401);
    again.ok(Method::POST, "/api/v1/sign-in", Some(&json!({ "handle": "ada", "password": WORDS })));
    for n in 0..20 {
        nobody.get(&format!("/api/v1/targets/made-up-{n}"));
        nobody.get(&format!("/made-up-{n}"));
    }
    product.idle().unwrap();

    let text = wait_for("the gateway's own figures", 15, || {
        let text = scraped(&mut nobody);
        figure(&text, "sallyport_process_resident_bytes{process=\"gateway\"}")
            .filter(|bytes| *bytes > 1e6)
            .map(|_| text)
    });
    let text = text.unwrap();
    let is = |name: &str, wanted: f64| assert_eq!(figure(&text, name), Some(wanted), "{name}: {text}");
    is("sallyport_sessions_opened_total", 1.0);
    is("sallyport_sessions", 0.0);
    is("sallyport_gateways", 1.0);
    is("sallyport_nodes", 1.0);
    is("sallyport_decisions_total{act=\"connect\",outcome=\"permit\"}", 1.0);
    is("sallyport_decisions_total{act=\"connect\",outcome=\"deny\"}", 1.0);
    is("sallyport_decisions_total{act=\"channel\",outcome=\"permit\"}", 1.0);
    is("sallyport_sign_ins_total{factor=\"password\",outcome=\"refused\"}", 1.0);
    is("sallyport_sign_ins_total{factor=\"password\",outcome=\"accepted\"}", 1.0);
    is("sallyport_sign_ins_total{factor=\"ssh_key\",outcome=\"accepted\"}", 2.0);
    is("sallyport_api_requests_total{method=\"GET\",route=\"/api/v1/targets/{name}\",status=\"401\"}", 20.0);
    is("sallyport_api_request_seconds_count{method=\"GET\",route=\"/api/v1/targets/{name}\"}", 20.0);
    let ended = text.lines().filter(|line| line.starts_with("sallyport_sessions_ended_total")).count();
    assert_eq!(ended, 1, "{text}");
    for name in ["sallyport_process_resident_bytes", "sallyport_process_open_files"] {
        for process in ["control", "gateway"] {
            let value = figure(&text, &format!("{name}{{process=\"{process}\"}}")).unwrap();
            assert!(value > 5.0, "{name} of {process}: {value}");
        }
    }
    // No name of anybody or anything, and no more lines than there are routes: what strangers write makes none.
    for word in ["ada", "bob", "web-1", "made-up", "127.0.0.1"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    stand_in_the_book(product);
    let routes = |text: &str| text.lines().filter(|line| line.starts_with("sallyport_api_requests_total")).count();
    let known = routes(&text);
    for n in 0..20 {
        nobody.ask(Method::from_bytes(format!("MADEUP{n}").as_bytes()).unwrap(), &format!("/x{n}"), None, &[]);
    }
    let after = scraped(&mut nobody);
    assert!(routes(&after) <= known + 1, "{after}");
    assert!(after.ends_with("# EOF\n"));
}
