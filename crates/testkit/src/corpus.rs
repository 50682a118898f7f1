//! Inputs that the fuzzer kept, run again.

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::Path;

/// What is kept of one of the fuzzer's targets.
///
/// # Errors
/// When nothing is.
pub fn kept(target: &str) -> Result<Vec<Vec<u8>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = fs::read_dir(&path).with_context(|| format!("there is no {}", path.display()))?;
    let inputs: Vec<_> = files.map(|file| Ok(fs::read(file?.path())?)).collect::<Result<_>>()?;
    ensure!(!inputs.is_empty(), "nothing is kept in {}", path.display());
    Ok(inputs)
}

/// Runs a target on what is kept of it, and on genuine inputs.
///
/// # Errors
/// When nothing is kept.
pub fn replay(target: &str, genuine: Vec<Vec<u8>>, run: fn(&[u8])) -> Result<()> {
    kept(target)?.into_iter().chain(genuine).for_each(|input| run(&input));
    Ok(())
}
