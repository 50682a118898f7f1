//! Where the database is: a file of this host, or a PostgreSQL server; and the connections to it.

use crate::change::Error;
use crate::sql;
use sallyport_model::Secret;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Postgres, Sqlite, SqliteConnection};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The same for each of several hosts.
const CONNECT_ONE: Duration = Duration::from_secs(3);
/// Connections of one node that read beside the batcher.
const READERS: u32 = 4;

/// Where a store is kept. Its `Display` holds no password.
#[derive(Clone)]
pub enum Place {
    /// An SQLite file, for one node.
    File(PathBuf),
    /// A database on a PostgreSQL server, for one node or several.
    Server(Box<Server>),
}

/// A database on a PostgreSQL server: on the primary, or on whichever of several hosts is the primary now.
#[derive(Clone)]
pub struct Server {
    hosts: Vec<PgConnectOptions>,
    /// The host that was the primary when it was last reached; all copies of a place know of it.
    current: Arc<AtomicUsize>,
    name: String,
}

impl Place {
    /// A file.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }

    /// `postgres://ROLE@HOST[:PORT][,HOST[:PORT]...]/DATABASE[?sslmode=...&sslrootcert=FILE]`. Without `sslmode` the server
    /// must prove itself (`verify-full`), unless it is on this host. Of several hosts the one that takes writes is meant.
    ///
    /// # Errors
    /// Says what is wrong with the URL. A password in it is refused: URLs are shown, passwords never.
    pub fn server(url: &str, password: Option<&Secret<String>>) -> Result<Self, Error> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| bad_url("it does not begin with `postgres://`"))?;
        let (authority, tail) = rest.split_once('/').unwrap_or((rest, ""));
        let (role, _) = authority.rsplit_once('@').ok_or_else(|| bad_url("it names no role"))?;
        if role.contains(':') || tail.contains("password=") {
            return Err(bad_url("it holds a password, which does not belong there: put it into a file of its own"));
        }
        if role.is_empty() {
            return Err(bad_url("it names no role"));
        }
        if tail.split('?').next().is_none_or(str::is_empty) {
            return Err(bad_url("it names no database"));
        }
        let (_, listed) = authority.rsplit_once('@').unwrap_or_default();
        let one = |host: &str| {
            let url = format!("postgres://{role}@{host}/{tail}");
            let mut options: PgConnectOptions = url.parse().map_err(|e: sqlx::Error| bad_url(&e.to_string()))?;
            if !tail.contains("sslmode=") {
                let near = matches!(options.get_host(), "localhost" | "127.0.0.1" | "::1" | "[::1]")
                    || options.get_socket().is_some();
                options = options.ssl_mode(if near { PgSslMode::Prefer } else { PgSslMode::VerifyFull });
            }
            if let Some(password) = password {
                options = options.password(password.expose());
            }
            Ok::<_, Error>(
                options.application_name("sallyport").statement_cache_capacity(64).disable_statement_logging(),
            )
        };
        let hosts = listed.split(',').map(one).collect::<Result<_, _>>()?;
        let name = url.split('?').next().unwrap_or_default().to_owned();
        Ok(Self::Server(Box::new(Server { hosts, current: Arc::default(), name })))
    }

    /// Whether several nodes may write here.
    #[must_use]
    pub const fn shared(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// Connects. A file is made where `create` says so; a server's session is set up and checked.
    pub(crate) async fn connect(&self, create: bool) -> Result<Session, Error> {
        match self {
            Self::File(path) => Ok(Session::Sqlite(file_options(path, create).connect().await?)),
            Self::Server(server) => Ok(Session::Postgres(server.connect().await?)),
        }
    }

    /// Opens a file that nobody writes, or connects to a server to read.
    pub(crate) async fn connect_to_read(&self) -> Result<Session, Error> {
        match self {
            // In whatever journal mode it is: that of an exported ledger is another one.
            Self::File(path) => {
                Ok(Session::Sqlite(SqliteConnectOptions::new().filename(path).read_only(true).connect().await?))
            }
            Self::Server(_) => self.connect(false).await,
        }
    }

    pub(crate) async fn readers(&self) -> Result<Readers, Error> {
        Ok(match self {
            Self::File(path) => Readers::Sqlite(
                SqlitePoolOptions::new()
                    .max_connections(READERS)
                    .connect_with(file_options(path, false).read_only(true))
                    .await?,
            ),
            Self::Server(server) => Readers::Postgres(
                server.clone(),
                PgPoolOptions::new()
                    .max_connections(READERS)
                    .acquire_timeout(CONNECT)
                    .after_connect(|conn, _| {
                        Box::pin(
                            async move { sql::set_up(conn).await.map_err(|e| sqlx::Error::Configuration(e.into())) },
                        )
                    })
                    .connect_lazy_with(server.primary()?.1.clone()),
            ),
        })
    }

    /// What writes marks. A file takes one writer at a time, so it is one connection, which waits for the batcher; on a
    /// server the readers can do it.
    pub(crate) async fn marker(&self, readers: &Readers) -> Result<Readers, Error> {
        Ok(match self {
            Self::File(path) => Readers::Sqlite(
                SqlitePoolOptions::new().max_connections(1).connect_with(file_options(path, false)).await?,
            ),
            Self::Server(_) => readers.clone(),
        })
    }

    /// Hears of other nodes' writes, where there can be any. It connects again by itself.
    pub(crate) async fn listen(&self) -> Result<Option<PgListener>, Error> {
        let Self::Server(server) = self else { return Ok(None) };
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(CONNECT)
            .connect_lazy_with(server.primary()?.1.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(sql::CHANNEL).await?;
        Ok(Some(listener))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(server) => f.write_str(&server.name),
        }
    }
}

fn bad_url(why: &str) -> Error {
    Error::Place(format!(
        "the URL of the database is wrong: {why}; write postgres://ROLE@HOST:PORT/DATABASE, with several HOST:PORT behind commas where there are standbys"
    ))
}

fn file_options(path: &Path, create: bool) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(create)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(64)
}

impl Server {
    /// The host that was the primary when it was last reached, with its place in the list.
    fn primary(&self) -> Result<(usize, &PgConnectOptions), Error> {
        let at = self.current.load(Ordering::Relaxed);
        let options = self.hosts.get(at).ok_or_else(|| bad_url("it names no host"))?;
        Ok((at, options))
    }

    /// Connects to the host that takes writes: the last one first, then those behind it in the list.
    async fn connect(&self) -> Result<PgConnection, Error> {
        let (from, _) = self.primary()?;
        let patience = if self.hosts.len() > 1 { CONNECT_ONE } else { CONNECT };
        let mut failures = Vec::new();
        for (at, options) in self.hosts.iter().enumerate().cycle().skip(from).take(self.hosts.len()) {
            let connecting = timeout(patience, async {
                let mut conn = options.connect().await.map_err(|e| self.refused(options, &e))?;
                sql::set_up(&mut conn).await?;
                Ok::<_, Error>(conn)
            });
            let late = |_| Error::Sql(format!("{} did not answer within {} s", self.name, patience.as_secs()));
            match connecting.await.map_err(late).flatten() {
                Ok(conn) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok(conn);
                }
                Err(error) => failures.push((options, error)),
            }
        }
        if failures.len() > 1 {
            let said = failures
                .iter()
                .map(|(options, error)| format!("{}:{}: {error}", options.get_host(), options.get_port()));
            let said = said.collect::<Vec<_>>().join("; ");
            // Where each of them gives a reason to look at the configuration, that is what it is.
            let all_place = failures.iter().all(|(_, error)| matches!(error, Error::Place(_)));
            return Err(if all_place { Error::Place(said) } else { Error::Sql(said) });
        }
        Err(failures.pop().map_or_else(|| bad_url("it names no host"), |(_, error)| error))
    }

    /// Why a host did not let us in, and what to do.
    fn refused(&self, options: &PgConnectOptions, error: &sqlx::Error) -> Error {
        let name = &self.name;
        let role = options.get_username();
        match error {
            sqlx::Error::Database(said) => match said.code().as_deref() {
                Some("28P01" | "28000") => Error::Place(format!(
                    "{name} refuses the role `{role}` ({}): check the role, its password, and pg_hba.conf",
                    said.message()
                )),
                Some("3D000") => Error::Place(format!(
                    "{name}: {}; make it with `createdb --owner={role} --encoding=UTF8 {}`",
                    said.message(),
                    options.get_database().unwrap_or("NAME")
                )),
                _ => Error::Sql(format!("{name}: {}", said.message())),
            },
            sqlx::Error::Tls(e) => self.unproven(e),
            // What rustls finds wrong comes as invalid data.
            sqlx::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => self.unproven(e),
            sqlx::Error::Io(e) => Error::Sql(format!("nobody answers at {name} ({e}): is the server running?")),
            other => Error::Sql(format!("{name}: {other}")),
        }
    }

    fn unproven(&self, error: impl fmt::Display) -> Error {
        Error::Place(format!(
            "{} does not prove itself by TLS ({error}): give the certificate of its authority with `sslrootcert=FILE`, or say `sslmode=`",
            self.name
        ))
    }
}

/// An open connection.
pub(crate) enum Session {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Session {
    pub(crate) const fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }

    pub(crate) async fn close(self) {
        let _ = match self {
            Self::Sqlite(conn) => conn.close().await,
            Self::Postgres(conn) => conn.close().await,
        };
    }
}

/// What a statement runs on.
pub(crate) enum Conn<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

/// Connections for listings and proofs.
#[derive(Clone)]
pub(crate) enum Readers {
    Sqlite(SqlitePool),
    Postgres(Box<Server>, PgPool),
}

impl Readers {
    pub(crate) async fn acquire(&self) -> Result<Reader, Error> {
        Ok(match self {
            Self::Sqlite(pool) => Reader::Sqlite(pool.acquire().await?),
            Self::Postgres(server, pool) => {
                // A new connection goes to where the primary is now; an old one is tried before it is lent.
                pool.set_connect_options(server.primary()?.1.clone());
                Reader::Postgres(pool.acquire().await?)
            }
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(_, pool) => pool.close().await,
        }
    }
}

/// One of the readers, lent.
pub(crate) enum Reader {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Reader {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }
}
