//! How a command fails: an exit code and a sentence that starts with what to do.

use sallyport_model::Kind;

/// A failed command.
#[derive(Debug)]
pub struct Fail {
    /// Sort of failure.
    pub kind: Kind,
    /// What happened and what to do.
    pub message: String,
}

impl Fail {
    /// A failure of this sort.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Wrong input.
    pub fn usage(message: impl std::fmt::Display) -> Self {
        Self::new(Kind::Usage, message.to_string())
    }

    /// Something broke.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::new(Kind::Failed, message.to_string())
    }

    /// Exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.kind.exit_code()
    }
}

impl std::fmt::Display for Fail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
