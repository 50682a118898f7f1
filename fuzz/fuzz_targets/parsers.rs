//! One parser, chosen by the environment: `cargo xtask fuzz entry`.
#![no_main]

use sallyport_fuzz::targets::TARGETS;
use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static RUN: OnceLock<fn(&[u8])> = OnceLock::new();
    let run = RUN.get_or_init(|| {
        let name = std::env::var("SALLYPORT_FUZZ").expect("set SALLYPORT_FUZZ to the name of a target");
        TARGETS.iter().find(|target| target.name == name).expect("there is no such target").run
    });
    run(bytes);
});
