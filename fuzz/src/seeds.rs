//! Writes genuine inputs into the corpus of each target, for the fuzzer to begin with: `seeds CORPUS`.

use std::path::PathBuf;

fn main() {
    let root = PathBuf::from(std::env::args().nth(1).expect("name the directory of the corpus"));
    for target in sallyport_fuzz::targets::TARGETS {
        let directory = root.join(target.name);
        std::fs::create_dir_all(&directory).unwrap();
        for (n, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{n}")), seed).unwrap();
        }
    }
}
