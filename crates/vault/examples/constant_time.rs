//! Measures whether the arithmetic of shares takes longer for some values than for others: Welch's t between one fixed
//! value and random ones, as `dudect` does it (Reparaz, Balasch, Verbauwhede 2017). Above 4.5 it does. Prints JSON.
//!
//! `cargo run --release -p sallyport-vault --example constant_time`

#![expect(clippy::print_stdout, reason = "a measurement prints its result")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the monotonic clock")]

#[path = "../src/shamir/field.rs"]
mod field;

use sallyport_model::Env;
use std::hint::black_box;
use std::time::Instant;

/// Samples of each kind of operation.
const SAMPLES: usize = 400_000;
/// Bytes of one sample: a key.
const KEY: usize = 32;
/// Samples slower than this part of all are the machine's doing.
const KEPT: f64 = 0.9;

/// The sums that mean and variance come from.
#[derive(Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// The variance of the mean.
    fn spread(&self) -> f64 {
        (self.squares / self.count - self.mean() * self.mean()) / self.count
    }
}

fn t(env: &Env, fixed: u8, operation: impl Fn(&[u8; KEY]) -> u8) -> f64 {
    // All inputs are made first, so that both kinds lie in memory alike and nothing before the clock depends on the kind.
    let mut inputs = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let mut input = [0; KEY];
        let mut coin = [0];
        env.fill(&mut input);
        env.fill(&mut coin);
        let is_fixed = coin[0] & 1 == 0;
        inputs.push((if is_fixed { [fixed; KEY] } else { input }, is_fixed));
    }
    let mut samples = Vec::with_capacity(SAMPLES);
    for (input, is_fixed) in inputs {
        let start = Instant::now();
        black_box(operation(black_box(&input)));
        samples.push((start.elapsed().as_secs_f64(), is_fixed));
    }
    let mut times: Vec<f64> = samples.iter().map(|(time, _)| *time).collect();
    times.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::as_conversions, reason = "a rank")]
    let limit = times.get((SAMPLES as f64 * KEPT) as usize).copied().unwrap_or(f64::MAX);
    let (mut a, mut b) = (Sums::default(), Sums::default());
    for (time, is_fixed) in samples.into_iter().filter(|(time, _)| *time <= limit) {
        if is_fixed { a.add(time) } else { b.add(time) }
    }
    ((a.mean() - b.mean()) / (a.spread() + b.spread()).sqrt()).abs()
}

fn main() {
    let env = Env::system();
    let product = |input: &[u8; KEY]| input.iter().fold(0x53, |product, byte| field::mul(product | 1, *byte));
    let inverse = |input: &[u8; KEY]| input.iter().fold(0, |sum, byte| sum ^ field::inverse(*byte));
    let worst = |operation: &dyn Fn(&[u8; KEY]) -> u8| {
        [0x00, 0x01, 0x80, 0xff].into_iter().map(|fixed| t(&env, fixed, operation)).fold(0.0, f64::max)
    };
    println!(
        "{{\"samples\": {SAMPLES}, \"multiplication_t\": {:.2}, \"inversion_t\": {:.2}, \"leaks_above\": 4.5}}",
        worst(&product),
        worst(&inverse)
    );
}
