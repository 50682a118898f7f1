//! Mutants for the conformance suite: guards that a build with the feature `sabotage` breaks on request.

#[cfg(feature = "sabotage")]
use crate::conformance::desk::Target;
#[cfg(feature = "sabotage")]
use sallyport_model::TargetName;
#[cfg(feature = "sabotage")]
use std::sync::{Mutex, OnceLock, PoisonError};

#[cfg(feature = "sabotage")]
static CHOSEN: OnceLock<String> = OnceLock::new();

/// Targets of the suite, so that a forged permit is as good as control's own.
#[cfg(feature = "sabotage")]
static KNOWN: Mutex<Vec<(TargetName, Target)>> = Mutex::new(Vec::new());

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

/// Remembers a target that the desk is told of.
#[cfg(feature = "sabotage")]
pub(crate) fn know(name: &TargetName, target: &Target) {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).push((name.clone(), target.clone()));
}

/// The target that the desk was last told of by this name.
#[cfg(feature = "sabotage")]
pub(crate) fn known(name: &TargetName) -> Option<Target> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().rfind(|(one, _)| one == name).map(|(_, target)| target.clone())
}
