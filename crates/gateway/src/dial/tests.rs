use super::*;

fn refused(host: &str, port: u16) -> Option<&'static str> {
    Dialer::default().forbidden(SocketAddr::new(host.parse().unwrap(), port))
}

#[test]
fn what_no_target_may_be_is_refused() {
    for host in [
        "169.254.169.254",
        "169.254.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "fe80::1",
        "ff02::1",
        "::",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ] {
        assert!(refused(host, 22).is_some(), "{host}");
    }
    for host in ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "2001:db8::1"] {
        assert_eq!(refused(host, 22), None, "{host}");
    }
}

#[test]
fn own_addresses_are_refused() {
    let dialer = Dialer::default();
    dialer.own("0.0.0.0:2222".parse().unwrap());
    dialer.own("127.0.0.1:8443".parse().unwrap());
    for own in ["127.0.0.1:2222", "[::1]:2222", "127.0.0.1:8443", "[::ffff:127.0.0.1]:8443"] {
        assert!(dialer.forbidden(own.parse().unwrap()).is_some(), "{own}");
    }
    assert!(dialer.forbidden("127.0.0.1:22".parse().unwrap()).is_none());
    assert!(dialer.forbidden("203.0.113.7:2222".parse().unwrap()).is_none());
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_told_apart() {
    let dialer = Dialer::default();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(matches!(dialer.dial("127.0.0.1", closed).await, Err(Error::Connect { .. })));
    assert!(matches!(dialer.dial("no-such-host.invalid", 22).await, Err(Error::Unresolved(_))));
    assert!(matches!(dialer.dial("169.254.169.254", 80).await, Err(Error::Forbidden { .. })));
}

#[test]
fn a_jump_host_is_not_asked_for_what_no_target_may_be_however_it_is_spelled() {
    let dialer = Dialer::default();
    dialer.own("0.0.0.0:2222".parse().unwrap());
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0xA9.254.0xa9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "::ffff:169.254.169.254",
        "[fd00:ec2::254]",
        "fe80::1%eth0",
        "0",
        "metadata.google.internal.",
        "Metadata.Goog",
    ] {
        assert!(dialer.judge(host, 22).is_err(), "{host}");
    }
    // Loopback is the jump host's own there, and a name is its to resolve.
    for host in ["127.0.0.1", "10.0.0.1", "db-1", "db-1.example.org", "1.2.3.4.5", "0x", "4294967296", "10.0.0.256"] {
        assert!(dialer.judge(host, 2222).is_ok(), "{host}");
    }
}
