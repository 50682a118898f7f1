//! What the product decides: identity, inventory, access, sessions, vault acts, evidence.
//!
//! Every use case is a method of [`Control`] that takes an [`Op`] first: who acts, from where. It
//! reads the working set, asks policy, builds one change and commits it; effects come after.

mod access;
mod anchors;
mod apply;
mod backup;
mod certificate;
mod control;
mod desk;
mod directory;
pub mod durable;
mod error;
mod evidence;
mod follow;
mod founding;
mod gathering;
mod host_key;
mod identity;
mod inventory;
mod lease;
mod listing;
mod metrics;
mod nodes;
mod op;
mod places;
mod quarantine;
mod quorum;
mod recordings;
mod recovery;
mod retention;
mod rollback;
mod rotation;
mod rules;
mod sessions;
mod sign_in;
mod slots;
mod space;
mod spool;
mod status;
mod steps;
mod terminal;
mod token;
mod unseal;
mod users;
mod vault;
mod why;

pub use anchors::{Anchor, AnchorLine, FileAnchor, Head, Missed, Policy as AnchorPolicy, Receipt, Seen};
pub use apply::{ApplyFile, Plan, PlanLine, Sign};
pub use backup::{Made, Restored, furnish, refill};
pub use certificate::{CERTIFICATE, CERTIFICATE_DOCUMENT, CertificateBody, Challenge, Issued, NewCertificate};
pub use control::Control;
pub use error::Error;
pub use evidence::{EntryProof, Playback, Wanted};
pub use founding::{Founded, Founding, Joined, found, join};
pub use gathering::Progress;
pub use host_key::HOST_KEY;
pub use identity::{NewToken, Who};
pub use inventory::{About, Listing, NewTarget, Page, Policies, TargetLine};
pub use listing::{Followed, SessionLine};
pub use metrics::{ApiRequest, Certificate, Family, Metrics};
pub use nodes::NodeLine;
pub use op::{Actor, Op};
pub use quarantine::Heal;
pub use recordings::{OpenedRecording, RecordingLine, Recordings, RecordingsWanted};
pub use recovery::Recover;
pub use rollback::Rollback;
pub use rotation::{EpochLine, Keys};
pub use rules::Known as RuleSetLine;
pub use sallyport_statements::Finding as Ruling;
pub use sallyport_store::{Filled, Filling, Finding};
pub use sallyport_vault::ssh::fingerprint;
pub use sessions::Watching;
pub use sign_in::{Begun, Client, DeviceLine, FactorLine, NewLink, NewTotp, Proof, SignInRules, Site};
pub use slots::{AddSlot, AddedSlot, SlotLine};
pub use space::{Leaving, Level, Space, SpaceRules};
pub use status::Status;
pub use terminal::Terminal;
pub use token::TokenConfig;
pub use unseal::Opening;
pub use users::{GroupLine, OwnToken, Role, UserLine};
pub use vault::{NewSecret, SecretLine};
pub use why::{ReachLine, WhoLine, Why};

#[cfg(test)]
mod tests;
