use super::frame;
use super::pinned;
use super::unix;
use super::{Accept, Connect, tls};
use crate::conformance::bench::identities;
use proptest::prelude::*;
use sallyport_model::authority::{Down, MAX_FRAME, Up};
use std::net::SocketAddr;
use std::time::Duration;

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_bytes_make_a_frame_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        block(async {
            let _ = frame::read::<Up, _>(&mut bytes.as_slice()).await;
            let _ = frame::read::<Down, _>(&mut bytes.as_slice()).await;
        });
    }

    #[test]
    fn no_body_makes_a_message_panic(body in proptest::collection::vec(any::<u8>(), 1..120)) {
        let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(&body);
        block(async { let _ = frame::read::<Up, _>(&mut bytes.as_slice()).await; });
    }
}

#[test]
fn lengths_are_refused_before_anything_is_allocated() {
    for length in [0, u32::try_from(MAX_FRAME).unwrap() + 1, u32::MAX] {
        let bytes = length.to_be_bytes();
        let read = block(frame::read::<Up, _>(&mut bytes.as_slice()));
        assert!(matches!(read, Err(frame::Error::Length(_))), "{length}");
    }
}

#[test]
fn a_message_with_bytes_behind_it_is_refused() {
    let mut bytes = frame::seal(&Down::Beat).unwrap().to_vec();
    bytes.push(0);
    bytes[3] += 1;
    assert!(matches!(block(frame::read::<Down, _>(&mut bytes.as_slice())), Err(frame::Error::Message(_))));
    let whole = frame::seal(&Down::Beat).unwrap();
    assert!(matches!(block(frame::read::<Down, _>(&mut whole.as_slice())), Ok(Some(Down::Beat))));
    assert!(matches!(block(frame::read::<Down, _>(&mut &whole[..whole.len() - 1])), Err(frame::Error::Io(_))));
    assert!(matches!(block(frame::read::<Down, _>(&mut [].as_slice())), Ok(None)));
}

#[tokio::test]
async fn the_socket_is_closed_to_others_and_replaced_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(unix::Listener::bind(&path).unwrap());
    let listener = unix::Listener::bind(&path).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let (accepted, connected) = tokio::join!(listener.accept(), async { unix::Connector::new(&path).connect().await });
    assert!(accepted.is_ok() && connected.is_ok());
}

#[tokio::test]
async fn a_stranger_s_certificate_opens_nothing_and_delays_nobody() {
    let (server, client) = identities().unwrap();
    let (_, stranger) = identities().unwrap();
    let listener = tls::Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), server).await.unwrap();
    // Somebody who says nothing at all holds a handshake open.
    #[expect(clippy::disallowed_methods, reason = "a hostile client")]
    let _silent = tokio::net::TcpStream::connect(listener.address()).await.unwrap();
    let strange = tls::Connector::new(listener.address(), "control.sallyport", stranger).unwrap();
    assert!(matches!(strange.connect().await, Err(super::Error::Tls(_))));
    let good = tls::Connector::new(listener.address(), "control.sallyport", client).unwrap();
    let both = async { tokio::join!(listener.accept(), good.connect()) };
    let (accepted, connected) = tokio::time::timeout(Duration::from_secs(5), both).await.unwrap();
    assert!(accepted.is_ok() && connected.is_ok());
}

#[tokio::test]
async fn control_under_another_name_is_refused() {
    let (server, client) = identities().unwrap();
    let listener = tls::Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), server).await.unwrap();
    let other = tls::Connector::new(listener.address(), "other.sallyport", client).unwrap();
    assert!(matches!(other.connect().await, Err(super::Error::Tls(_))));
}

/// A certificate that is signed by nobody else.
fn shown() -> pinned::Shown {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    pinned::Shown { certificate: certificate.der().clone(), key }
}

#[tokio::test]
async fn a_certificate_that_is_not_known_opens_nothing_either_way() {
    let (one, two, stranger) = (shown(), shown(), shown());
    let [first, second] = [&one, &two].map(|shown| pinned::pin(&shown.certificate));
    let acceptor = pinned::Acceptor::new(two.clone(), move |pin| *pin == first).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let meet = async |own: &pinned::Shown, wanted| {
        let accepting = async {
            let (stream, _) = listener.accept().await.unwrap();
            acceptor.accept(stream).await.map(|(_, pin)| pin)
        };
        tokio::join!(pinned::connect(&address, wanted, own), accepting)
    };
    let (there, here) = meet(&one, second).await;
    assert!(there.is_ok());
    assert_eq!(here.ok(), Some(first));
    // Somebody else, who connects.
    assert!(matches!(meet(&stranger, second).await.1, Err(super::Error::Tls(_))));
    // Somebody else, who answers.
    let (there, here) = meet(&one, pinned::pin(&stranger.certificate)).await;
    assert!(matches!(there, Err(super::Error::Tls(_))) && here.is_err());
}
