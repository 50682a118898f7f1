//! Bytes to text, where a character may be cut into two events.

use std::mem;

/// What stands for bytes that are no text.
const REPLACEMENT: &str = "\u{fffd}";

/// Joins what was cut.
#[derive(Default)]
pub(super) struct Joiner {
    /// INVARIANT: empty, or the proper beginning of one character: at most 3 bytes.
    pending: Vec<u8>,
}

impl Joiner {
    /// The text so far; the beginning of a character waits for its rest.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        let mut all = mem::take(&mut self.pending);
        all.extend_from_slice(bytes);
        let mut out = String::with_capacity(all.len());
        let mut rest = all.as_slice();
        loop {
            let bad = match std::str::from_utf8(rest) {
                Ok(text) => {
                    out.push_str(text);
                    return out;
                }
                Err(bad) => bad,
            };
            let (valid, after) = rest.split_at(bad.valid_up_to());
            out.push_str(std::str::from_utf8(valid).unwrap_or_default());
            let Some(length) = bad.error_len() else {
                self.pending = after.to_vec();
                return out;
            };
            out.push_str(REPLACEMENT);
            rest = after.get(length..).unwrap_or_default();
        }
    }

    /// What stands for a character that was never finished.
    pub(super) fn finish(&mut self) -> &'static str {
        if mem::take(&mut self.pending).is_empty() { "" } else { REPLACEMENT }
    }
}
