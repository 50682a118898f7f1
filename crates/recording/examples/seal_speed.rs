//! Prints how many megabytes of events a second are sealed and verified, as JSON: `cargo run --release --example seal_speed`.

use sallyport_model::authority::RecordingKey;
use sallyport_model::sealed::PrivateKey;
use sallyport_model::{ClusterId, Env, RecordingId, SessionId};
use sallyport_recording::event::{WhatRef, encode};
use sallyport_recording::{Expect, Facts, Header, Kind, Sealer, container, verify};
use std::error::Error;
use std::time::Instant;

const SEGMENTS: u32 = 2_000;
const SEGMENT: usize = 64 * 1024;

fn facts(env: &Env) -> Result<Facts, Box<dyn Error>> {
    Ok(Facts {
        recording: RecordingId::new(env),
        session: SessionId::new(env),
        cluster: ClusterId::new(env),
        started: env.now(),
        handle: "anna".parse()?,
        target: "web-1".parse()?,
        account: "root".parse()?,
        protocol: "ssh".into(),
        size: None,
    })
}

/// A segment of events that print these bytes in pieces of 1 KiB.
fn segment(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, piece) in (0..).zip(bytes.chunks(1024)) {
        encode(at, 1, WhatRef::Output(piece), &mut out);
    }
    out
}

/// Megabytes a second of sealing and of verifying.
#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
fn measure(env: &Env, events: &[u8]) -> Result<(f64, f64), Box<dyn Error>> {
    let (_, key) = PrivateKey::generate(env)?;
    let (header, data_key) = Header::seal(env, facts(env)?, &RecordingKey { epoch: 1, key })?;
    let mut file = container::begin(&header)?;
    let mut sealer = Sealer::new(&data_key, &header)?;
    let start = Instant::now();
    for _ in 0..SEGMENTS {
        file.extend_from_slice(&sealer.seal(env, events, Kind::Data)?.bytes);
    }
    file.extend_from_slice(&sealer.seal(env, &[], Kind::Final)?.bytes);
    let seal = start.elapsed().as_secs_f64();
    let start = Instant::now();
    verify(&file, &data_key, Expect { header_hash: header.hash(), anchors: &[], end: None })?;
    let verify = start.elapsed().as_secs_f64();
    let megabytes = f64::from(SEGMENTS) * f64::from(u32::try_from(events.len())?) / 1e6;
    Ok(((megabytes / seal).round(), (megabytes / verify).round()))
}

#[expect(clippy::print_stdout, reason = "the figures are what this example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let env = Env::system();
    let mut noise = vec![0; SEGMENT];
    env.fill(&mut noise);
    let text: String = (0..SEGMENT / 64)
        .map(|n| format!("{:>12} drwxr-xr-x 2 root root 4096 Jan  1 00:00 directory-{n}\r\n", n * 7919))
        .collect();
    let (seal_text, verify_text) = measure(&env, &segment(text.as_bytes()))?;
    let (seal_noise, verify_noise) = measure(&env, &segment(&noise))?;
    println!(
        "{{\"unit\":\"MB/s\",\"seal_text\":{seal_text},\"verify_text\":{verify_text},\"seal_noise\":{seal_noise},\"verify_noise\":{verify_noise}}}"
    );
    Ok(())
}
