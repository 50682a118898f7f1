//! How many rows a list gives at once, and which entry of the ledger is meant.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Rows that are wanted: 1 to `MOST`, and 50 where nothing is said.
pub(crate) struct Rows<const MOST: u16>(u16);

impl<const MOST: u16> Rows<MOST> {
    pub(crate) fn count<N: From<u16>>(&self) -> N {
        self.0.into()
    }
}

impl<const MOST: u16> Default for Rows<MOST> {
    fn default() -> Self {
        Self(50)
    }
}

impl<'de, const MOST: u16> Deserialize<'de> for Rows<MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wanted = u16::deserialize(from)?;
        if (1..=MOST).contains(&wanted) {
            Ok(Self(wanted))
        } else {
            Err(D::Error::custom(format_args!("write 1 to {MOST} rows")))
        }
    }
}

/// Index of an entry of the ledger, as far as any database counts.
#[derive(Clone, Copy)]
pub(crate) struct Index(pub(crate) u64);

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let index = u64::deserialize(from)?;
        i64::try_from(index).map(|_| Self(index)).map_err(|_| D::Error::custom("no ledger is as long as that"))
    }
}
