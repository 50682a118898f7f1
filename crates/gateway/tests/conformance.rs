//! The conformance suite over the toy protocol.

sallyport_gateway::conformance_suite!(sallyport_gateway::conformance::toy::Toys);
