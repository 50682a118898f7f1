//! main.rs, config, wiring of parent, control and gateway.
fn main() {}
