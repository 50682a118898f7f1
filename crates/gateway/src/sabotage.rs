//! Mutants for the conformance suite: guards that a build with the feature `sabotage` breaks on request.

#[cfg(feature = "sabotage")]
static CHOSEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Whether the guard of this case is broken. Without the feature it is the constant `false`, and what hangs
/// on it is not compiled into the program.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn sabotaged(_case: &str) -> bool {
    false
}

#[cfg(feature = "sabotage")]
pub(crate) fn sabotaged(case: &str) -> bool {
    CHOSEN.get().is_some_and(|chosen| chosen == case)
}

/// Breaks the guard of one case, for the rest of this process.
#[cfg(feature = "sabotage")]
pub fn choose(case: &str) {
    let _ = CHOSEN.set(case.to_owned());
}
