//! The suite of every protocol, over a real sshd and the stock client.

sallyport_gateway::conformance_suite!(crate::rig::Fixed::new());
