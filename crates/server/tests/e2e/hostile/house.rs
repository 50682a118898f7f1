//! A product whose database somebody else writes to, on either kind of database, and copies of both.

use crate::anchors::copy;
use crate::binary;
use sallyport_testkit::postgres::{Postgres, ROLE};
use sallyport_testkit::product::Product;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::path::{Path, PathBuf};

/// How the two databases say the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    File,
    Server,
}

impl Kind {
    /// The body of a document as text.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::File => "CAST(body AS TEXT)",
            Self::Server => "convert_from(body, 'UTF8')",
        }
    }

    /// A text as the bytes of a body.
    pub(super) fn bytes(self, text: &str) -> String {
        match self {
            Self::File => format!("CAST({text} AS BLOB)"),
            Self::Server => format!("convert_to({text}, 'UTF8')"),
        }
    }

    /// Bytes by their hex digits.
    pub(super) fn hex(self, digits: &str) -> String {
        match self {
            Self::File => format!("x'{digits}'"),
            Self::Server => format!("'\\x{digits}'::BYTEA"),
        }
    }

    /// The hex digits of a column.
    pub(super) fn digits(self, column: &str) -> String {
        match self {
            Self::File => format!("hex({column})"),
            Self::Server => format!("encode({column}, 'hex')"),
        }
    }

    /// Writes what a column holds as a literal of SQL.
    fn literal(self, column: &str) -> String {
        let digits = self.digits(column);
        match self {
            Self::File => format!("'x''' || {digits} || ''''"),
            Self::Server => format!("'''\\x' || {digits} || '''::BYTEA'"),
        }
    }
}

/// A product, and copies of its data: as they are, and as they were before the newest changes.
pub(super) struct House {
    pub(super) product: Product,
    pub(super) server: Option<Postgres>,
}

impl House {
    /// A running product.
    pub(super) fn running(kind: Kind) -> Self {
        match kind {
            Kind::File => Self { product: Product::start(binary()).unwrap(), server: None },
            Kind::Server => {
                let server = Postgres::start().unwrap();
                Self { product: Product::start_on(binary(), &server).unwrap(), server: Some(server) }
            }
        }
    }

    /// A stopped one, with a copy `older` of before a target was changed, and a copy `good` of now.
    pub(super) fn stopped(kind: Kind) -> Self {
        let mut house = Self::running(kind);
        assert!(house.product.ssh("ada").arg("true").status().unwrap().success());
        house.product.idle().unwrap();
        house.product.stop().unwrap();
        house.keep("older");
        house.product.serve().unwrap();
        let checkout = house.product.at("checkout/inventory.toml");
        let text = std::fs::read_to_string(&checkout).unwrap();
        std::fs::write(&checkout, text.replace("tags = [\"web\"]", "tags = [\"web\", \"front\"]")).unwrap();
        house.product.ok(&["apply", &house.product.at("checkout").display().to_string()]).unwrap();
        house.product.stop().unwrap();
        house.keep("good");
        house
    }

    pub(super) fn kind(&self) -> Kind {
        if self.server.is_some() { Kind::Server } else { Kind::File }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.product.data()
    }

    fn server(&self) -> (&Postgres, &str) {
        (self.server.as_ref().unwrap(), self.product.database().unwrap())
    }

    /// Copies data directory and database under a name.
    pub(super) fn keep(&self, name: &str) {
        copy(&self.data(), &self.product.at(name));
        if self.server.is_some() {
            let (server, database) = self.server();
            server.copy_database(database, name).unwrap();
        }
    }

    /// Puts data directory and database back. With its anchors: that a database is older is another matter.
    pub(super) fn put_back(&self, name: &str) {
        copy(&self.product.at(name), &self.data());
        self.put_database_back(name);
    }

    pub(super) fn put_database_back(&self, name: &str) {
        if self.server.is_some() {
            let (server, database) = self.server();
            server.copy_database(name, database).unwrap();
        } else {
            for file in ["sallyport.db", "sallyport.db-wal", "sallyport.db-shm"] {
                let _ = std::fs::remove_file(self.data().join(file));
                let kept = self.product.at(name).join(file);
                if kept.exists() {
                    std::fs::copy(kept, self.data().join(file)).unwrap();
                }
            }
        }
    }

    /// What `quarantine restore --from` names of a copy.
    pub(super) fn backup(&self, name: &str) -> String {
        match &self.server {
            Some(server) => server.url(name),
            None => self.product.at(name).join("sallyport.db").display().to_string(),
        }
    }

    /// Runs statements on the database, as somebody with its role, or with write access to its file, would.
    pub(super) fn sql(&self, statements: &str) {
        if self.server.is_some() {
            let (server, database) = self.server();
            server.sql_as(ROLE, database, statements).unwrap();
        } else {
            let run = async |conn: &mut sqlx::SqliteConnection| {
                sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(conn).await.map(drop).unwrap();
            };
            on_file(&self.data(), run);
        }
    }

    /// The same as an administrator of the server.
    pub(super) fn as_administrator(&self, statements: &str) {
        let (server, database) = self.server();
        server.sql(database, statements).unwrap();
    }

    /// One value of a query on a copy of the database.
    pub(super) fn one_of(&self, name: &str, query: &str) -> String {
        match &self.server {
            Some(server) => server.sql(name, query).unwrap(),
            None => on_file(&self.product.at(name), async |conn: &mut sqlx::SqliteConnection| {
                sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(conn).await.unwrap()
            }),
        }
    }

    /// One value of a query on the database.
    pub(super) fn one(&self, query: &str) -> String {
        self.one_of(self.product.database().unwrap_or("data"), query)
    }

    /// Statements that write a document of this kind as a copy has it: over the present one, or as a new row.
    pub(super) fn row_of(&self, name: &str, kind: &str, new: bool) -> String {
        let (body, mac) = (self.kind().literal("body"), self.kind().literal("mac"));
        let query = if new {
            format!(
                "SELECT 'INSERT INTO documents VALUES (''' || id || ''', ''{kind}'', ' || schema || ', ' || version || ', ' \
                 || {body} || ', ' || {mac} || ')' FROM documents WHERE kind = '{kind}' LIMIT 1"
            )
        } else {
            format!(
                "SELECT 'UPDATE documents SET version = ' || version || ', body = ' || {body} || ', mac = ' || {mac} \
                 || ' WHERE id = ''' || id || '''' FROM documents WHERE kind = '{kind}' LIMIT 1"
            )
        };
        self.one_of(name, &query)
    }

    /// Puts the good data back, does something to it, and tells what a start and an examination say.
    pub(super) fn after(&self, statements: &str) -> (String, String) {
        self.put_back("good");
        self.sql(statements);
        (self.start(), self.shown())
    }

    /// What a start would say, without serving.
    pub(super) fn start(&self) -> String {
        self.product.run_local(&["rollback", "show"]).unwrap().2
    }

    pub(super) fn shown(&self) -> String {
        let (_, out, err) = self.product.run_local(&["quarantine", "show"]).unwrap();
        out + &err
    }

    pub(super) fn accept(&self) -> (i32, String) {
        let (code, _, err) = self.product.run_local(&["quarantine", "accept"]).unwrap();
        (code, err)
    }

    pub(super) fn restore(&self, from: &str) -> (i32, String) {
        let (code, _, err) = self.product.run_local(&["quarantine", "restore", "--from", from]).unwrap();
        (code, err)
    }

    /// After healing an examination finds nothing.
    pub(super) fn is_whole(&self, case: &str) {
        let shown = self.shown();
        assert!(shown.contains("nothing to heal"), "{:?} {case}: {shown}", self.kind());
    }

    /// A start finds nothing either, and neither does an auditor.
    pub(super) fn verifies(&self) {
        assert!(self.start().contains("no anchor contradicts"), "{}", self.start());
        if self.server.is_none() {
            let trust = self.data().join("ledger.pub").display().to_string();
            self.product.ok(&["verify", &self.data().display().to_string(), "--trust", &trust]).unwrap();
        }
    }
}

/// Does something with the database file of a data directory.
fn on_file<T>(data: &Path, act: impl AsyncFnOnce(&mut sqlx::SqliteConnection) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut conn = SqliteConnectOptions::new().filename(data.join("sallyport.db")).connect().await.unwrap();
        let value = act(&mut conn).await;
        conn.close().await.unwrap();
        value
    })
}
