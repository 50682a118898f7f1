//! Measures document MACs (500-byte bodies) and envelopes, on one core. Prints JSON.
//!
//! `cargo run --release -p sallyport-vault --example rates`

#![expect(clippy::print_stdout, reason = "a measurement prints its result")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the monotonic clock")]

use sallyport_model::{ClusterId, Env, Secret, SecretId};
use sallyport_vault::{KeyFile, NewSlot, Opener, SecretKind, Vault, Where};
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

const MACS: u64 = 1_000_000;
const ENVELOPES: u64 = 50_000;

fn main() -> Result<(), Box<dyn Error>> {
    let env = Env::system();
    let key = KeyFile::generate(&env);
    let slot = NewSlot { label: "speed", offline: false, opener: Opener::KeyFile(&key) };
    let (mut vault, ..) = Vault::create(&env, ClusterId::new(&env), &[slot], true)?;
    let environment = "prod".parse()?;
    if let Some(body) = vault.ensure_domain(&env, &environment)? {
        vault.adopt(&body)?;
    }

    let documents = vault.document_key();
    let body = [b'x'; 500];
    let start = Instant::now();
    for version in 0..MACS {
        black_box(documents.mac("target", 1, "tgt_00000000000000000000000000000000", version, black_box(&body)));
    }
    let macs = rate(MACS, start);

    let place = Where { environment, secret: SecretId::new(&env), version: 1, kind: SecretKind::Password };
    let value = Secret::new(vec![b'p'; 32]);
    let start = Instant::now();
    for _ in 0..ENVELOPES {
        black_box(vault.seal_secret(&env, &place, &value)?);
    }
    let seals = rate(ENVELOPES, start);
    let sealed = vault.seal_secret(&env, &place, &value)?;
    let start = Instant::now();
    for _ in 0..ENVELOPES {
        black_box(vault.open_secret(&place, black_box(&sealed))?);
    }
    let opens = rate(ENVELOPES, start);
    println!("{{\"document_macs_per_s\":{macs:.0},\"seals_per_s\":{seals:.0},\"opens_per_s\":{opens:.0}}}");
    Ok(())
}

fn rate(count: u64, start: Instant) -> f64 {
    u32::try_from(count).map_or(0.0, f64::from) / start.elapsed().as_secs_f64()
}
