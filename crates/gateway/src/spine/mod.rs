//! The session spine: one driver for every protocol, and proofs instead of flags.

mod company;
mod door;
mod drive;
mod driver;
mod freeze;
mod gateway;
mod live;
mod open;
pub mod proof;
pub mod protocol;
mod questions;
pub mod recover;
mod signing;
mod steer;
mod traced;

pub use door::{Doors, Errand, Keys, LINGER, Left, Piece, Said, Screen, Seated, Terminal, Vantage};
pub use gateway::{Error, Gateway, ObserversFor, Setup};
pub use live::{Ending, Live, Notice, Peers, Typist};
pub use proof::{Authenticated, Choices, Clearance, Lease, Login, Permit, Step};
pub use protocol::{Arrival, DialError, Hold, Protocol, Wish};
pub use signing::{Allowed, Sought, Watched};

#[cfg(test)]
mod tests;
