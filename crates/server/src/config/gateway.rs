//! Where SSH clients are told to connect to.

use super::Config;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Most characters of a host's name (RFC 1123 section 2.1).
const LONGEST: usize = 253;

/// Where clients reach the SSH listener of this node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Gateway {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    port: u16,
}

/// As clients are told: `host:port`, and an address of IPv6 in brackets.
impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Config {
    /// Where SSH clients are told to connect to: as `[ssh] public` says; else where it listens, or, if that is every address of
    /// this host, at the host of `public_url`.
    pub(crate) fn gateway(&self) -> Result<Gateway, String> {
        let listen = self.ssh.listen;
        if let Some(text) = &self.ssh.public {
            return public(text, listen.port()).map_err(|why| format!("[ssh] public = {text:?} {why}"));
        }
        let host = if listen.ip().is_unspecified() { self.sign_in()?.site.host() } else { None };
        Ok(Gateway { host: host.unwrap_or_else(|| listen.ip().to_string()), port: listen.port() })
    }

    /// Whether clients on other hosts would be sent to themselves: the listener takes everybody, and nothing says by which
    /// name they reach it.
    pub(crate) fn gateway_is_nameless(&self) -> bool {
        self.ssh.listen.ip().is_unspecified() && self.ssh.public.is_none() && self.public_url.is_none()
    }
}

/// What `[ssh] public` says, or what is wrong with it.
fn public(text: &str, usual: u16) -> Result<Gateway, &'static str> {
    const WRITE: &str = "is no place: write \"HOST:PORT\" or \"HOST\", such as \"gateway.example.net:2222\"";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or(WRITE)?;
            host.parse::<Ipv6Addr>().map_err(|_| WRITE)?;
            (host, if behind.is_empty() { None } else { Some(behind.strip_prefix(':').ok_or(WRITE)?) })
        }
        None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => usual,
        Some(port) => {
            let digits = port.bytes().all(|b| b.is_ascii_digit());
            port.parse().ok().filter(|port| digits && *port > 0).ok_or("has no port of 1 to 65535 behind its colon")?
        }
    };
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => Err(
            "is every address of this host, and no client can connect to that: write the name or address that they reach",
        ),
        Err(_) if !is_name(host) => Err(WRITE),
        _ => Ok(Gateway { host: host.to_ascii_lowercase(), port }),
    }
}

/// Whether it is a host's name. What ssh_config or a certificate would take for more is none.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.len() < 64 && label.bytes().all(inner) && !label.starts_with('-')
    };
    host.len() <= LONGEST && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::super::parse_for_test as parse;

    fn told(text: &str) -> Result<String, String> {
        Ok(parse(text, &[])?.gateway()?.to_string())
    }

    #[test]
    fn clients_are_told_where_the_gateway_is_reached_and_never_an_address_that_is_none() {
        let own = "public_url = \"https://pam.example.org:8443\"\n";
        let six = "public_url = \"https://[2001:db8::1]\"\n";
        for (text, wanted) in [
            (String::new(), "127.0.0.1:2222"),
            (format!("{own}[ssh]\nlisten = \"192.0.2.1:22\""), "192.0.2.1:22"),
            (format!("{own}[ssh]\nlisten = \"0.0.0.0:2222\""), "pam.example.org:2222"),
            (format!("{own}[ssh]\nlisten = \"[::]:2200\""), "pam.example.org:2200"),
            (format!("{six}[ssh]\nlisten = \"[::]:2200\""), "[2001:db8::1]:2200"),
            ("[ssh]\nlisten = \"0.0.0.0:2222\"".into(), "localhost:2222"),
            (
                format!("{own}[ssh]\nlisten = \"0.0.0.0:2222\"\npublic = \"Gateway.example.net:22\""),
                "gateway.example.net:22",
            ),
            ("[ssh]\npublic = \"gateway.example.net\"".into(), "gateway.example.net:2222"),
            ("[ssh]\npublic = \"192.0.2.7:22\"".into(), "192.0.2.7:22"),
            ("[ssh]\npublic = \"2001:db8::1\"".into(), "[2001:db8::1]:2222"),
            ("[ssh]\npublic = \"[2001:db8::1]:22\"".into(), "[2001:db8::1]:22"),
        ] {
            assert_eq!(told(&text).unwrap(), wanted, "{text}");
        }
        assert!(parse("[ssh]\nlisten = \"0.0.0.0:2222\"", &[]).unwrap().gateway_is_nameless());
        assert!(!parse(&format!("{own}[ssh]\nlisten = \"0.0.0.0:2222\""), &[]).unwrap().gateway_is_nameless());
    }

    #[test]
    fn a_public_place_that_is_none_is_refused_with_what_to_write() {
        for (bad, word) in [
            ("", "HOST:PORT"),
            (":22", "HOST:PORT"),
            ("gateway.example.net:", "no port"),
            ("gateway.example.net:0", "no port"),
            ("gateway.example.net:+22", "no port"),
            ("gateway.example.net:65536", "no port"),
            ("gateway.example.net:ssh", "no port"),
            ("https://gateway.example.net", "no port"),
            ("ssh gateway", "HOST:PORT"),
            ("a..b", "HOST:PORT"),
            ("-oProxyCommand=x", "HOST:PORT"),
            ("*", "HOST:PORT"),
            ("[2001:db8::1", "HOST:PORT"),
            ("[2001:db8::1]22", "HOST:PORT"),
            ("[gateway]:22", "HOST:PORT"),
            ("0.0.0.0:22", "every address"),
            ("[::]:22", "every address"),
        ] {
            let error = parse(&format!("[ssh]\npublic = {bad:?}"), &[]).unwrap_err();
            assert!(error.contains("[ssh] public") && error.contains(word), "{bad}: {error}");
        }
    }
}
