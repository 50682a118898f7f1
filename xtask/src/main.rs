//! Developer commands: demo, test, tidy, bench, dev.
fn main() {}
