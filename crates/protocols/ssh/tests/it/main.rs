//! SSH through a whole gateway: the stock client on one side, a real sshd on the other.

mod conformance;
mod hostile;
mod rig;
mod session;
