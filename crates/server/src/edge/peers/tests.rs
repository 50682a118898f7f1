use super::*;

fn peers(trusted: &[&str], proxy: bool) -> Peers {
    Peers::new(&trusted.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), proxy).unwrap()
}

fn at(text: &str) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), 7)
}

fn forwarded(lists: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for list in lists {
        headers.append("x-forwarded-for", list.parse().unwrap());
    }
    headers
}

#[test]
fn forwarded_headers_are_believed_from_listed_peers_alone_and_from_the_right() {
    let peers = peers(&["10.0.0.0/8", "2001:db8::/32"], false);
    let client = |from: &str, lists: &[&str]| peers.client(at(from), &forwarded(lists)).ip().to_string();
    assert_eq!(client("192.0.2.9", &["203.0.113.5"]), "192.0.2.9", "a stranger says nothing");
    assert_eq!(client("10.1.1.1", &["203.0.113.5"]), "203.0.113.5");
    assert_eq!(client("10.1.1.1", &["127.0.0.1, 203.0.113.5, 10.2.2.2"]), "203.0.113.5", "what a client wrote itself");
    assert_eq!(client("10.1.1.1", &["1.1.1.1", "203.0.113.5"]), "203.0.113.5", "several headers are one list");
    assert_eq!(client("10.1.1.1", &["nonsense"]), "10.1.1.1");
    assert_eq!(client("2001:db8::1", &["[2001:db9::5]"]), "2001:db9::5");
    assert_eq!(client("::ffff:10.1.1.1", &["203.0.113.5"]), "203.0.113.5");
}

#[tokio::test]
async fn the_proxy_protocol_is_read_to_its_last_byte_and_from_listed_peers_alone() {
    let on = peers(&["10.0.0.1"], true);
    let v2 = |command: u8, family: u8, tail: &[u8]| {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(tail.len()).unwrap().to_be_bytes());
        bytes.extend(tail);
        bytes
    };
    let v4 = [203, 0, 113, 5, 10, 0, 0, 2, 0x12, 0x34, 0, 80];
    for (head, expected) in [
        (b"PROXY TCP4 203.0.113.5 10.0.0.2 4660 80\r\n".to_vec(), "203.0.113.5:4660"),
        (b"PROXY TCP6 2001:db8::5 2001:db8::2 1 80\r\n".to_vec(), "[2001:db8::5]:1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "10.0.0.1:7"),
        (v2(0x21, 0x11, &v4), "203.0.113.5:4660"),
        (v2(0x20, 0x00, &[]), "10.0.0.1:7"),
    ] {
        let bytes = [head, b"GET / HTTP/1.1".to_vec()].concat();
        let mut stream = bytes.as_slice();
        assert_eq!(on.behind(&mut stream, at("10.0.0.1")).await.unwrap().to_string(), expected);
        assert_eq!(stream, b"GET / HTTP/1.1", "what stands behind it is left alone");
        let mut stream = bytes.as_slice();
        assert_eq!(on.behind(&mut stream, at("192.0.2.9")).await.unwrap(), at("192.0.2.9"));
        assert_eq!(stream.len(), bytes.len(), "a stranger's bytes are the request itself");
    }
    for bad in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"PROXY TCP4 nobody 10.0.0.2 1 80\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.5 10.0.0.2 99999 80\r\n".to_vec(),
        [b'P'; 200].to_vec(),
        v2(0x21, 0x12, &v4),
        v2(0x21, 0x11, &[0; 3]),
        v2(0x21, 0x11, &[0; 600]),
    ] {
        let mut stream = bad.as_slice();
        assert!(on.behind(&mut stream, at("10.0.0.1")).await.is_err(), "{bad:?}");
    }
}
