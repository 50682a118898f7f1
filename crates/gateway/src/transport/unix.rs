//! The unix socket between gateway and control: mode 0600, and both ends run as the same user.

use super::{Accept, Connect, Error, Wire};
use sallyport_model::authority::Boxed;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Connects to control's socket.
#[derive(Clone, Debug)]
pub struct Connector {
    path: PathBuf,
}

impl Connector {
    /// The socket at this path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Connect for Connector {
    fn connect(&self) -> Boxed<'_, Result<Wire, Error>> {
        Box::pin(async {
            let stream = UnixStream::connect(&self.path).await?;
            same_user(&stream)?;
            Ok::<Wire, Error>(Box::new(stream))
        })
    }
}

/// Control's socket.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
}

impl Listener {
    /// Binds the socket, replacing what an earlier process left at the path. The directory must
    /// be closed to other users: between bind and chmod the umask alone holds.
    ///
    /// # Errors
    /// When the path cannot be bound.
    pub fn bind(path: &Path) -> Result<Self, Error> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode)?;
        Ok(Self { listener })
    }
}

impl Accept for Listener {
    fn accept(&self) -> Boxed<'_, Result<Wire, Error>> {
        Box::pin(async {
            loop {
                let (stream, _) = self.listener.accept().await?;
                match same_user(&stream) {
                    Ok(()) => return Ok::<Wire, Error>(Box::new(stream)),
                    Err(error) => tracing::warn!(%error, "a connection to the authority's socket was refused"),
                }
            }
        })
    }
}

/// The kernel's word on who is at the other end (`SO_PEERCRED`, unix(7)).
fn same_user(stream: &UnixStream) -> Result<(), Error> {
    let peer = stream.peer_cred()?.uid();
    let own = rustix::process::getuid().as_raw();
    if peer == own { Ok(()) } else { Err(Error::Peer { peer, own }) }
}
