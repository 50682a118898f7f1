//! Checkpoints to syslog (RFC 5424): a datagram to a local socket, or TCP with octet counting (RFC 6587). Only written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sallyport_control::{Anchor, AnchorPolicy, Head, Missed, Receipt};
use sallyport_ledger::tree::hash_text;
use sallyport_model::Env;
use sallyport_model::authority::Boxed;
use std::io;
use std::path::PathBuf;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixDatagram};

/// Facility 13 (log audit), severity 5 (notice).
const PRIORITY: u8 = 13 * 8 + 5;

enum To {
    Unix(PathBuf),
    Tcp(String),
}

/// A collector of syslog messages.
pub(super) struct Syslog {
    name: String,
    node: String,
    to: To,
    policy: AnchorPolicy,
    env: Env,
}

impl Syslog {
    pub(super) fn new(name: &str, node: &str, to: &str, policy: AnchorPolicy) -> Result<Self, String> {
        let to = match to.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') => To::Unix(path.into()),
            Some(("tcp", address)) if address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
                To::Tcp(address.to_owned())
            }
            _ => return Err("`syslog` is `unix:/dev/log` or `tcp:HOST:PORT`".into()),
        };
        Ok(Self { name: name.to_owned(), node: node.to_owned(), to, policy, env: Env::system() })
    }

    /// One message. The note goes as base64: a collector may cut or escape lines as it likes.
    fn message(&self, head: &Head) -> String {
        let checkpoint = head.checkpoint();
        format!(
            "<{PRIORITY}>1 {} {} sallyport - checkpoint - origin={} size={} root={} note={}",
            self.env.now(),
            self.node,
            checkpoint.origin,
            checkpoint.size,
            hash_text(&checkpoint.root),
            STANDARD.encode(head.note())
        )
    }

    async fn send(&self, message: &str) -> io::Result<()> {
        match &self.to {
            To::Unix(path) => {
                let sent = UnixDatagram::unbound()?.send_to(message.as_bytes(), path).await?;
                if sent == message.len() { Ok(()) } else { Err(io::Error::other("the datagram was cut")) }
            }
            To::Tcp(address) => {
                let mut stream = connect(address).await?;
                stream.write_all(format!("{} {message}", message.len()).as_bytes()).await?;
                stream.shutdown().await
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a collector that the operator configured; no target is reached here")]
async fn connect(address: &str) -> io::Result<TcpStream> {
    TcpStream::connect(address).await
}

impl Anchor for Syslog {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "syslog"
    }

    fn policy(&self) -> AnchorPolicy {
        self.policy
    }

    fn publish<'a>(&'a self, head: &'a Head) -> Boxed<'a, Result<Receipt, Missed>> {
        Box::pin(async move {
            let message = self.message(head);
            self.send(&message).await.map_err(|e| Missed::Unreachable(e.to_string()))?;
            Ok(Receipt::default())
        })
    }
}
