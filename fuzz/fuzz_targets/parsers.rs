//! One parser, chosen by the environment: `cargo xtask fuzz entry`. With `SALLYPORT_SEEDS` it writes genuine inputs of every
//! parser into that directory and ends.
#![no_main]

use sallyport_fuzz::targets::TARGETS;
use std::path::Path;
use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(
    init: {
        if let Ok(directory) = std::env::var("SALLYPORT_SEEDS") {
            write_seeds(Path::new(&directory));
            std::process::exit(0);
        }
    },
    |bytes: &[u8]| {
        static RUN: OnceLock<fn(&[u8])> = OnceLock::new();
        let run = RUN.get_or_init(|| {
            let name = std::env::var("SALLYPORT_FUZZ").expect("set SALLYPORT_FUZZ to the name of a target");
            TARGETS.iter().find(|target| target.name == name).expect("there is no such target").run
        });
        run(bytes);
    }
);

fn write_seeds(root: &Path) {
    for target in TARGETS {
        let directory = root.join(target.name);
        std::fs::create_dir_all(&directory).unwrap();
        for (n, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{n}")), seed).unwrap();
        }
    }
}
