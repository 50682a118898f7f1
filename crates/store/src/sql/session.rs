//! What a session on PostgreSQL must be like, and whether it is.

use crate::change::Error;
use sqlx::{PgConnection, Row as _};

/// Oldest server, as `server_version_num`.
const OLDEST: i32 = 150_000;

/// What a session on PostgreSQL must be like, whatever the role, the database or the server prefer.
const SETTINGS: [(&str, &str); 9] = [
    // A commit that was answered is on the disk.
    ("synchronous_commit", "on"),
    // Nobody's temporary or own schema stands before ours.
    ("search_path", "public, pg_temp"),
    // After the lock, each statement sees what the last holder committed.
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    // A policy that would hide rows from us is an error, not a shorter answer.
    ("row_security", "off"),
    ("client_encoding", "UTF8"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    // A node that was stopped while it held the lock lets go of it.
    ("idle_in_transaction_session_timeout", "30s"),
];

/// What a PostgreSQL server says of itself.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) version: i32,
    pub(crate) standby: bool,
    pub(crate) encoding: String,
    /// A setting that is not as it was made.
    pub(crate) strayed: Option<String>,
}

impl Facts {
    /// Whether a store may be kept there.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::Place(text));
        if self.version < OLDEST {
            let major = self.version / 10_000;
            return wrong(format!("PostgreSQL {major} is too old for a store: upgrade the server to 15 or newer"));
        }
        if self.standby {
            return wrong("this PostgreSQL server is a read-only standby: name the primary in `[store] url`".into());
        }
        if self.encoding != "UTF8" {
            let found = &self.encoding;
            return wrong(format!("the database is encoded as {found}: make one with `createdb --encoding=UTF8`"));
        }
        match &self.strayed {
            None => Ok(()),
            Some(name) => wrong(format!(
                "the server does not keep the session setting `{name}`: connect without a pooler that shares sessions"
            )),
        }
    }
}

/// Makes a new session on PostgreSQL what it must be, and looks whether it is.
pub(crate) async fn set_up(conn: &mut PgConnection) -> Result<(), Error> {
    // A role may come with a path on which other functions stand before the server's own; a command cannot be replaced.
    sqlx::raw_sql("SET search_path = public, pg_temp").execute(&mut *conn).await?;
    let (names, values): (Vec<&str>, Vec<&str>) = SETTINGS.into_iter().unzip();
    sqlx::query("SELECT set_config(s.name, s.value, false) FROM unnest($1::TEXT[], $2::TEXT[]) AS s (name, value)")
        .bind(&names)
        .bind(&values)
        .execute(&mut *conn)
        .await?;
    let row = sqlx::query(
        "SELECT current_setting('server_version_num')::INT4, pg_is_in_recovery(), current_setting('server_encoding'),
            (SELECT min(s.name) FROM unnest($1::TEXT[], $2::TEXT[]) AS s (name, value)
             WHERE current_setting(s.name) <> s.value)",
    )
    .bind(&names)
    .bind(&values)
    .fetch_one(conn)
    .await?;
    let facts = Facts {
        version: row.try_get(0)?,
        standby: row.try_get(1)?,
        encoding: row.try_get(2)?,
        strayed: row.try_get(3)?,
    };
    facts.check()
}
