//! HTTP/2 by hand (RFC 9113), as no well-behaved client speaks it.

use super::STALLED;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use sallyport_testkit::product::Product;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// Whoever floods does not look at certificates.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn session(alpn: &[&[u8]]) -> ClientConnection {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

/// The begin of a handshake, without its last byte.
pub(super) fn hello() -> Vec<u8> {
    let mut hello = Vec::new();
    session(&[b"h2"]).write_tls(&mut hello).unwrap();
    hello.pop();
    hello
}

/// A connection on which a write that nobody takes fails.
pub(super) struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    /// With TLS, and one of these protocols agreed upon.
    pub(super) fn tls(product: &Product, alpn: &[&[u8]]) -> Self {
        Self::over(crate::tls::dial(crate::tls::port(product)).unwrap(), alpn).unwrap()
    }

    /// The same over a connection that is there.
    pub(super) fn over(mut stream: TcpStream, alpn: &[&[u8]]) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(super::PATIENCE))?;
        let mut session = session(alpn);
        session.complete_io(&mut stream)?;
        stream.set_read_timeout(Some(STALLED))?;
        stream.set_write_timeout(Some(STALLED))?;
        Ok(Self(StreamOwned::new(session, stream)))
    }

    /// HTTP/2, greeted.
    pub(super) fn second(product: &Product) -> Self {
        let mut client = Self::tls(product, &[b"h2"]);
        client.send(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &Frame::settings(&[])].concat());
        client
    }

    /// Writes what must be taken.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Writes frames, one for each stream of a client (odd numbers), until they are not taken any more; whether all
    /// were.
    pub(super) fn pour(&mut self, count: u32, frame: impl Fn(u32) -> Vec<u8>) -> bool {
        let mut block = Vec::new();
        for number in 0..count {
            block.extend_from_slice(&frame(2 * number + 1));
            if block.len() > 16 << 10 || number + 1 == count {
                if self.0.write_all(&block).and_then(|()| self.0.flush()).is_err() {
                    return false;
                }
                block.clear();
            }
        }
        true
    }
}

impl Client {
    /// Whether the server has not closed the connection, by what there is to read.
    pub(super) fn open(&mut self) -> bool {
        let mut told = [0; 4096];
        loop {
            match self.0.read(&mut told) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
            }
        }
    }
}

impl Read for Client {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Frames as bytes (section 4.1).
pub(super) struct Frame;

impl Frame {
    fn of(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// A head of a request (RFC 7541): method and scheme from the static table, the rest as literals.
    fn head(method: u8, path: &str) -> Vec<u8> {
        let mut block = vec![method, 0x87, 0x01, 9];
        block.extend(b"localhost");
        block.extend([0x04, u8::try_from(path.len()).unwrap()]);
        block.extend(path.as_bytes());
        block
    }

    /// A whole request.
    pub(super) fn get(stream: u32, path: &str) -> Vec<u8> {
        Self::of(1, 0x5, stream, &Self::head(0x82, path))
    }

    /// A request whose body is to come: JSON from a page of this site, so that somebody waits for it.
    pub(super) fn post(stream: u32, path: &str) -> Vec<u8> {
        let mut block = Self::head(0x83, path);
        for (name, value) in [("origin", "https://localhost"), ("content-type", "application/json")] {
            block.extend([0x00, u8::try_from(name.len()).unwrap()]);
            block.extend(name.as_bytes());
            block.push(u8::try_from(value.len()).unwrap());
            block.extend(value.as_bytes());
        }
        Self::of(1, 0x4, stream, &block)
    }

    pub(super) fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
        Self::of(0, 0, stream, bytes)
    }

    /// CANCEL.
    pub(super) fn reset(stream: u32) -> Vec<u8> {
        Self::of(3, 0, stream, &8_u32.to_be_bytes())
    }

    pub(super) fn ping() -> Vec<u8> {
        Self::of(6, 0, 0, &[7; 8])
    }

    pub(super) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
        let payload: Vec<u8> =
            values.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        Self::of(4, 0, 0, &payload)
    }

    /// The begin of a head that is to go on.
    pub(super) fn open_head() -> Vec<u8> {
        Self::of(1, 0x1, 1, &Self::head(0x82, "/"))
    }

    /// More of it, and no end: one field of 16,000 bytes.
    pub(super) fn more_head() -> Vec<u8> {
        let mut block = vec![0x00, 1, b'x', 0x7f, 0x81, 0x7c];
        block.extend([b'x'; 16_000]);
        Self::of(9, 0, 1, &block)
    }
}
