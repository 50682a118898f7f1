//! Named steps of acts that must survive a crash at any moment: tests end the process there.

/// A step is reached. Outside of tests this is nothing.
#[cfg(not(test))]
pub(crate) const fn reached(_step: &str) {}

#[cfg(test)]
pub(crate) fn reached(step: &str) {
    crate::tests::reached(step);
}
