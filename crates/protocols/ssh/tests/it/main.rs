//! SSH through a whole gateway: the stock client on one side, a real sshd on the other.

#[cfg(test)]
mod agents;
#[cfg(test)]
mod becoming;
#[cfg(test)]
mod channels;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod demo_target;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod dropbear;
#[cfg(test)]
mod evasions;
#[cfg(test)]
mod files;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod freeze;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod hops;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod levels;
#[cfg(test)]
mod observed;
#[cfg(test)]
mod old;
#[cfg(test)]
mod reasons;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod session;
#[cfg(test)]
mod steering;
#[cfg(test)]
mod typing;
