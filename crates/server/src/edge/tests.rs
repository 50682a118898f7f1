use super::*;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

fn edge() -> Edge {
    Edge::with(None, Peers::new(&["10.0.0.0/8".into()], false).unwrap(), Duration::from_millis(200))
}

fn client(router: Router, from: &str) -> DuplexStream {
    visitor(router, from, false, Visit::new(|| ()))
}

fn visitor(router: Router, from: &str, second: bool, visit: Arc<Visit>) -> DuplexStream {
    let (near, far) = duplex(1 << 20);
    let from = SocketAddr::new(from.parse().unwrap(), 7);
    let edge = edge();
    tokio::spawn(async move { edge.speak(far, second, from, (router, visit)).await });
    near
}

async fn rest(mut stream: DuplexStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn whoever_does_not_finish_the_head_of_a_request_is_cut_off() {
    let mut slow = client(Router::new().route("/", get(|| async { "hello" })), "192.0.2.1");
    slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    assert!(!rest(slow).await.contains("hello"));
    for second in [false, true] {
        let mute = visitor(Router::new(), "192.0.2.1", second, Visit::new(|| ()));
        assert!(!rest(mute).await.contains("HTTP/1.1 200"), "nothing was ever asked");
    }
    let mut silent = client(Router::new().route("/", get(|| async { "hello" })), "192.0.2.1");
    silent.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(rest(silent).await.contains("hello"), "an answer, and then the end of a silent connection");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let mut long = client(Router::new().route("/", get(|| async { "hello" })), "192.0.2.1");
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(HEAD_BYTES * 2));
    let _ = long.write_all(head.as_bytes()).await;
    let answer = rest(long).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn the_address_of_a_caller_is_what_a_listed_peer_says_and_never_what_a_stranger_says() {
    let router = || {
        Router::new()
            .route("/", post(|ConnectInfo(from): ConnectInfo<SocketAddr>| async move { from.ip().to_string() }))
    };
    let request =
        b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\nx-forwarded-for: 203.0.113.5\r\n\r\n";
    for (peer, expected) in [("10.1.1.1", "203.0.113.5"), ("192.0.2.1", "192.0.2.1")] {
        let mut stream = client(router(), peer);
        stream.write_all(request).await.unwrap();
        assert!(rest(stream).await.ends_with(expected), "{peer}");
    }
}

#[tokio::test]
async fn a_stranger_has_few_requests_worked_on_at_once_and_who_is_known_has_all_and_stays() {
    let (kept, stays) = tokio::sync::watch::channel(false);
    let visit = Visit::new(move || {
        let _ = kept.send(true);
    });
    let mut turns = Vec::new();
    while let Ok(turn) = timeout(Duration::from_millis(20), visit.turn()).await {
        turns.push(turn);
    }
    assert_eq!(turns.len(), 4);
    turns.pop();
    turns.push(visit.turn().await);
    assert!(!*stays.borrow());
    visit.know();
    assert!(*stays.borrow());
    for _ in 0..100 {
        visit.turn().await;
    }
}
