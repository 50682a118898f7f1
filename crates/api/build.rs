//! Says when the embedded portal is to be embedded anew: debug builds read it from disk instead.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script its profile in the environment")]

fn main() {
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo::rerun-if-changed={}", if release { "../../portal/dist" } else { "build.rs" });
}
