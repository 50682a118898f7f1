//! What may be asked of the policy: acts on an account, channels, and rights of the product.

use sallyport_model::access::Channel;

/// The action group of channels, as the schema spells it.
pub(crate) const CHANNELS: &str = "channel";

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// A right of the product itself.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Right {
            $($(#[$doc])* $name,)*
        }

        impl Right {
            /// Every right, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The policy's action.
            #[must_use]
            pub const fn action(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

rights! {
    /// Ask why a decision is as it is.
    Explain = "explain";
    /// See users and groups.
    IdentityRead = "identity.read";
    /// Change users and groups.
    IdentityWrite = "identity.write";
    /// See targets and accounts, whether or not one may use them.
    InventoryRead = "inventory.read";
    /// Change a target or an account: decided on that target or account.
    InventoryWrite = "inventory.write";
    /// Take ledger entries out with their proofs.
    LedgerExport = "ledger.export";
    /// Read the ledger.
    LedgerRead = "ledger.read";
    /// Let go of a node: its key signs nothing more.
    NodeRemove = "node.remove";
    /// Replace the policy set.
    PolicyApply = "policy.apply";
    /// Read the policy set.
    PolicyRead = "policy.read";
    /// Take a recording out.
    RecordingExport = "recording.export";
    /// Play a recording.
    RecordingPlay = "recording.play";
    /// Type in somebody's session, too: decided on its target.
    SessionJoin = "session.join";
    /// End somebody's session.
    SessionKill = "session.kill";
    /// See sessions.
    SessionList = "session.list";
    /// Say a line to somebody in a session.
    SessionMessage = "session.message";
    /// Hold somebody's session, and let it go on.
    SessionPause = "session.pause";
    /// Look into a live session.
    SessionWatch = "session.watch";
    /// Make a token.
    TokenCreate = "token.create";
    /// See a secret's value: decided on its account.
    VaultReveal = "vault.reveal";
    /// Replace the root key, and begin new epochs of keys.
    VaultRotate = "vault.rotate";
    /// Seal the vault.
    VaultSeal = "vault.seal";
    /// Add and remove seal slots: whoever may do it can open the vault.
    VaultSlot = "vault.slot";
    /// See whether the vault is sealed, and its slots.
    VaultStatus = "vault.status";
    /// Unseal the vault.
    VaultUnseal = "vault.unseal";
    /// Store a secret: decided on its account.
    VaultWrite = "vault.write";
}

/// One thing that somebody wants to do.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Act {
    /// Open a channel in a session.
    Channel(Channel),
    /// Open a session.
    Connect,
    /// Ask for access that somebody else grants.
    Request,
    /// Use a right of the product.
    Right(Right),
    /// Know that the account is there.
    See,
}

impl Act {
    /// The policy's action.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Channel(channel) => channel.action(),
            Self::Connect => "connect",
            Self::Request => "request",
            Self::Right(right) => right.action(),
            Self::See => "see",
        }
    }

    /// Whether it is in the group of channels: all are, but those by which the client lends the target something of its own.
    pub(crate) const fn in_channels(self) -> bool {
        matches!(self, Self::Channel(channel) if !matches!(channel, Channel::Agent | Channel::X11))
    }

    /// Whether a permit opens something that limits bound.
    pub(crate) const fn bounded(self) -> bool {
        matches!(self, Self::Channel(_) | Self::Connect)
    }

    /// Every act, for tables and tests.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::See, Self::Request, Self::Connect]
            .into_iter()
            .chain(Channel::ALL.into_iter().map(Self::Channel))
            .chain(Right::ALL.iter().copied().map(Self::Right))
    }
}
