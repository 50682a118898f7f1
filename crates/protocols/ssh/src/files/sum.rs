//! The hash of content that crosses in pieces: SHA-256 where it comes in order, and otherwise the truth that it did not.

use aws_lc_rs::digest::{Context, SHA256};
use std::fmt;

/// Hash of what crossed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sum {
    /// SHA-256 of all of it, from its first byte.
    Sha256([u8; 32]),
    /// It did not come in order, or not from its first byte: there is no honest hash.
    OutOfOrder,
    /// There was no content.
    None,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(sum) => {
                f.write_str("sha256:")?;
                sum.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::OutOfOrder => f.write_str("out of order"),
            Self::None => f.write_str("empty"),
        }
    }
}

/// One direction of one file.
pub(super) struct Summing {
    context: Context,
    next: u64,
    in_order: bool,
    size: u64,
    keep: Option<Keep>,
}

/// What is kept of the content of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Keep {
    /// Number of the file within its channel.
    pub file: u32,
    /// How many of its first bytes are kept.
    pub kept: u64,
}

impl Summing {
    /// Of which content is kept, where there is a number.
    pub(super) fn new(file: Option<u32>) -> Self {
        let keep = file.map(|file| Keep { file, kept: 0 });
        Self { context: Context::new(&SHA256), next: 0, in_order: true, size: 0, keep }
    }

    /// A piece that belongs at `offset` begins.
    pub(super) fn at(&mut self, offset: u64) {
        self.in_order &= offset == self.next;
    }

    /// The next bytes of it; gives what of them is kept, of `most` altogether, and of which file.
    pub(super) fn feed<'a>(&mut self, bytes: &'a [u8], most: u64) -> Option<(u32, &'a [u8])> {
        let keep = self.keep.as_mut().filter(|_| self.in_order);
        let kept = keep.and_then(|keep| {
            let room = usize::try_from(most.saturating_sub(keep.kept)).unwrap_or(usize::MAX);
            let kept = bytes.get(..bytes.len().min(room)).filter(|kept| !kept.is_empty())?;
            keep.kept = keep.kept.saturating_add(u64::try_from(kept.len()).unwrap_or(u64::MAX));
            Some((keep.file, kept))
        });
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(len);
        self.next = self.next.saturating_add(len);
        if self.in_order {
            self.context.update(bytes);
        }
        kept
    }

    pub(super) const fn keep(&self) -> Option<Keep> {
        self.keep
    }

    pub(super) fn sum(self) -> (u64, Sum) {
        let sum = if !self.in_order {
            Sum::OutOfOrder
        } else {
            <[u8; 32]>::try_from(self.context.finish().as_ref()).map_or(Sum::OutOfOrder, Sum::Sha256)
        };
        (self.size, sum)
    }
}
