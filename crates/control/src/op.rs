//! Who acts, from where: the first argument of every use case.

use sallyport_model::{DeviceId, GatewayId, Handle, IdentityId};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Who acts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Actor {
    /// A gateway, for its own sessions.
    Gateway(GatewayId),
    /// Whoever has a shell on the host, and so the data directory.
    Host,
    /// A user or workload.
    Identity(IdentityId, Handle),
    /// A part of the product, named.
    System(&'static str),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(id) => write!(f, "gateway {id}"),
            Self::Host => f.write_str("host"),
            Self::Identity(_, handle) => write!(f, "{handle}"),
            Self::System(name) => write!(f, "system {name}"),
        }
    }
}

/// One act.
#[derive(Clone, Debug)]
pub struct Op {
    /// Who acts.
    pub actor: Actor,
    /// From where.
    pub from: IpAddr,
    /// What ties log lines, the ledger entry and the answer together.
    pub correlation: String,
    /// The browser that the actor has signed in with; absent for tokens, and for whoever is no identity.
    pub device: Option<DeviceId>,
}

impl Op {
    /// An act of whoever has a shell on the host.
    #[must_use]
    pub const fn host() -> Self {
        Self { actor: Actor::Host, from: IpAddr::V4(Ipv4Addr::LOCALHOST), correlation: String::new(), device: None }
    }

    /// The identity behind the act, where there is one.
    #[must_use]
    pub const fn identity(&self) -> Option<IdentityId> {
        match &self.actor {
            Actor::Identity(id, _) => Some(*id),
            _ => None,
        }
    }
}
