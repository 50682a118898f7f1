//! Marks: what nodes count together beside the ledger. They decide nothing but refusal.
//!
//! Whoever can write to the database can set them: so they may make the product refuse somebody it would have let in, or
//! delay, and never the other way round. They are not carried over by backups.

use crate::change::Error;
use crate::open::Store;
use crate::sql;
use sallyport_model::Timestamp;

/// A count, and when it was last set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// How often.
    pub count: u32,
    /// When last.
    pub at: Timestamp,
}

impl Mark {
    fn row(self) -> (i64, i64) {
        (self.count.into(), self.at.0)
    }
}

impl Store {
    /// The mark of this name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark(&self, name: &str) -> Result<Option<Mark>, Error> {
        let mut writer = self.marker().acquire().await?;
        let found = sql::mark(&mut writer.conn(), name).await?;
        Ok(found.map(|(count, at)| Mark { count: u32::try_from(count).unwrap_or(u32::MAX), at: Timestamp(at) }))
    }

    /// Sets a mark, if it is still what `was` says: of many that try at once, one succeeds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_mark(&self, name: &str, was: Option<Mark>, mark: Mark) -> Result<bool, Error> {
        let mut writer = self.marker().acquire().await?;
        sql::set_mark(&mut writer.conn(), name, was.map(Mark::row), mark.row()).await
    }

    /// Forgets a mark.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_mark(&self, name: &str) -> Result<(), Error> {
        let mut writer = self.marker().acquire().await?;
        sql::forget_mark(&mut writer.conn(), name).await
    }

    /// Forgets every mark that was set before a time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_marks_before(&self, at: Timestamp) -> Result<(), Error> {
        let mut writer = self.marker().acquire().await?;
        sql::forget_marks_before(&mut writer.conn(), at.0).await
    }
}
