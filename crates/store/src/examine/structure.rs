//! Whether the tables are those that Sallyport makes: columns, keys, owner, and nothing that rewrites or hides their rows.

use crate::change::Error;
use crate::place::Conn;
use crate::sql;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use std::collections::BTreeMap;

/// What is said of something that Sallyport never makes.
const NONE: &str = "Sallyport makes none: somebody else put it here";

/// Something about the tables that is not as we make it.
pub(super) struct Odd {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) what: String,
    pub(super) cure: Cure,
}

/// What makes it right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Cure {
    /// This statement.
    Run(String),
    /// All tables are made anew, and what is proven is written into them.
    Anew,
    /// Nothing that our role may do: an administrator of the database runs this statement.
    ByHand(String),
}

impl Odd {
    fn new(kind: &str, name: &str, what: impl Into<String>, cure: Cure) -> Self {
        let what = match &cure {
            Cure::ByHand(statement) => {
                format!("{}; an administrator of the database puts it right: `{statement}`", what.into())
            }
            _ => what.into(),
        };
        Self { kind: kind.to_owned(), name: name.to_owned(), what, cure }
    }
}

/// Everything about the tables that is not as we make it, by the database's own catalog.
pub(super) async fn odd(conn: &mut Conn<'_>) -> Result<Vec<Odd>, Error> {
    match conn {
        Conn::Sqlite(conn) => file(conn).await,
        Conn::Postgres(conn) => {
            // INVARIANT: only the catalog's own functions and operators are found on this path.
            sqlx::raw_sql("BEGIN; SET LOCAL search_path = pg_temp").execute(&mut **conn).await?;
            let found = server(conn).await;
            sqlx::raw_sql("ROLLBACK").execute(&mut **conn).await?;
            found
        }
    }
}

/// Kind, table, name and definition of a part.
type Part = (String, String, String, String);

/// Compares parts with those that were expected. Tables that are gone, or of another kind, were named before.
fn compare(expected: Vec<Part>, found: Vec<Part>, named: &[String], odd: &mut Vec<Odd>) {
    let by_name = |parts: Vec<Part>| -> BTreeMap<(String, String, String), String> {
        parts.into_iter().map(|(kind, table, name, text)| ((table, kind, name), text)).collect()
    };
    let (expected, mut found) = (by_name(expected), by_name(found));
    for (key, wanted) in expected {
        let there = found.remove(&key);
        let (table, kind, name) = key;
        if named.contains(&table) || there.as_ref() == Some(&wanted) {
            continue;
        }
        let what = match there {
            None => format!("its {kind} `{name}` is gone"),
            Some(there) => format!("its {kind} `{name}` is `{there}`, and Sallyport makes it `{wanted}`"),
        };
        odd.push(Odd::new("table", &table, what, Cure::Anew));
    }
    for ((table, kind, name), _) in found.into_iter().filter(|((table, ..), _)| !named.contains(table)) {
        odd.push(Odd::new(
            "table",
            &table,
            format!("it has a {kind} `{name}`, which Sallyport never makes"),
            Cure::Anew,
        ));
    }
}

/// Of a database file: its schema is text, and ours is what the same statements make of an empty one.
async fn file(conn: &mut SqliteConnection) -> Result<Vec<Odd>, Error> {
    let text = "SELECT type, tbl_name, name, coalesce(sql, '') FROM sqlite_master
        WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut empty = SqliteConnection::connect("sqlite::memory:").await?;
    sql::migrate(&mut Conn::Sqlite(&mut empty)).await?;
    let expected: Vec<Part> = sqlx::query_as(text).fetch_all(&mut empty).await?;
    empty.close().await?;
    let found: Vec<Part> = sqlx::query_as(text).fetch_all(conn).await?;
    let mut odd = Vec::new();
    let (foreign, found): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(kind, ..)| matches!(kind.as_str(), "trigger" | "view"));
    for (kind, _, name, _) in foreign {
        let cure = if sql::TABLES.contains(&name.as_str()) {
            Cure::Anew
        } else {
            Cure::Run(format!("DROP {} {}", kind.to_uppercase(), quoted(&name)))
        };
        odd.push(Odd::new(&kind, &name, NONE, cure));
    }
    let ours = |(_, table, ..): &Part| sql::TABLES.contains(&table.as_str());
    let tables: Vec<&str> = found.iter().filter(|part| part.0 == "table").map(|part| part.2.as_str()).collect();
    let gone = sql::TABLES.into_iter().filter(|table| !tables.contains(table)).map(str::to_owned).collect();
    gone_tables(&gone, &mut odd);
    compare(expected, found.into_iter().filter(ours).collect(), &gone, &mut odd);
    Ok(odd)
}

fn gone_tables(gone: &Vec<String>, odd: &mut Vec<Odd>) {
    for table in gone {
        odd.push(Odd::new("table", table, "it is gone", Cure::Anew));
    }
}

/// A name in quotes, with quotes in it doubled, so that it cannot end early.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What a table of ours is to PostgreSQL.
struct Table {
    name: String,
    sort: String,
    persistence: String,
    row_security: bool,
    forced: bool,
    partition: bool,
    owner: String,
    ours: bool,
    role: String,
}

impl Table {
    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            sort: row.try_get("sort")?,
            persistence: row.try_get("persistence")?,
            row_security: row.try_get("row_security")?,
            forced: row.try_get("forced")?,
            partition: row.try_get("partition")?,
            owner: row.try_get("owner")?,
            ours: row.try_get("ours")?,
            role: row.try_get("role")?,
        })
    }
}

/// Of a PostgreSQL database: the catalog's description of our tables, beside that of the same tables made anew, for
/// this transaction only, as temporary ones.
async fn server(conn: &mut PgConnection) -> Result<Vec<Odd>, Error> {
    sql::migrate_inside(&mut Conn::Postgres(conn)).await?;
    let expected = parts(conn, "pg_my_temp_schema()").await?;
    let found = parts(conn, "'public'::regnamespace").await?;
    let mut odd = Vec::new();
    let mut named = tables(conn, &mut odd).await?;
    let gone: Vec<_> = sql::TABLES.into_iter().map(str::to_owned).filter(|table| !named.0.contains(table)).collect();
    gone_tables(&gone, &mut odd);
    named.1.extend(gone);
    compare(expected, found, &named.1, &mut odd);
    foreign(conn, &mut odd).await?;
    Ok(odd)
}

/// Columns, constraints and indexes of our tables in a schema.
async fn parts(conn: &mut PgConnection, schema: &str) -> Result<Vec<Part>, Error> {
    let text = format!(
        "WITH t AS (SELECT oid, relname::TEXT AS name FROM pg_class
            WHERE relnamespace = {schema} AND relkind IN ('r', 'p') AND relname = ANY ($1))
         SELECT 'column', t.name, a.attname::TEXT, format_type(a.atttypid, a.atttypmod)
            || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
            || CASE WHEN a.atthasdef OR a.attidentity <> '' THEN ' with a value of its own' ELSE '' END
            || coalesce((SELECT ' COLLATE ' || o.collname::TEXT FROM pg_collation o
                WHERE o.oid = a.attcollation AND o.collname <> 'default'), '')
         FROM t JOIN pg_attribute a ON a.attrelid = t.oid WHERE a.attnum > 0 AND NOT a.attisdropped
         UNION ALL
         SELECT 'constraint', t.name, o.conname::TEXT, pg_get_constraintdef(o.oid)
         FROM t JOIN pg_constraint o ON o.conrelid = t.oid
         UNION ALL
         SELECT 'index', t.name, i.relname::TEXT,
            replace(replace(pg_get_indexdef(x.indexrelid), ' ON public.', ' ON '), ' ON pg_temp.', ' ON ')
            || CASE WHEN x.indisvalid AND x.indisready AND x.indislive THEN '' ELSE ' not in use' END
         FROM t JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class i ON i.oid = x.indexrelid"
    );
    Ok(sqlx::query_as(AssertSqlSafe(text)).bind(sql::TABLES.as_slice()).fetch_all(conn).await?)
}

/// What our tables are; answers which names are there, and which of those are not tables of the sort that we make.
async fn tables(conn: &mut PgConnection, odd: &mut Vec<Odd>) -> Result<(Vec<String>, Vec<String>), Error> {
    let text = "SELECT c.relname::TEXT AS name, c.relkind::TEXT AS sort, c.relpersistence::TEXT AS persistence,
            c.relrowsecurity AS row_security, c.relforcerowsecurity AS forced, c.relispartition AS partition,
            pg_get_userbyid(c.relowner)::TEXT AS owner, pg_has_role(c.relowner, 'MEMBER') AS ours,
            current_user::TEXT AS role
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1) ORDER BY c.relname";
    let rows = sqlx::query(text).bind(sql::TABLES.as_slice()).fetch_all(conn).await?;
    let tables = rows.iter().map(Table::of).collect::<Result<Vec<_>, _>>()?;
    let mut other = Vec::new();
    for table in &tables {
        let name = &table.name;
        let place = format!("public.{}", quoted(name));
        let mut add = |what: String, cure: Cure| odd.push(Odd::new("table", name, what, cure));
        if table.sort != "r" || table.partition {
            let sort = match table.sort.as_str() {
                "v" => "a view",
                "m" => "a materialized view",
                "f" => "a foreign table",
                "r" | "p" => "a partition or a partitioned table",
                _ => "something else",
            };
            add(format!("{sort} stands where the table should"), Cure::Anew);
            other.push(name.clone());
        }
        if !table.ours {
            let statement = format!("ALTER TABLE {place} OWNER TO {}", quoted(&table.role));
            add(format!("it belongs to `{}`, who can hide and rewrite its rows", table.owner), Cure::ByHand(statement));
        }
        if table.persistence != "p" {
            add("it is not logged: a crash of the server empties it".into(), Cure::Anew);
        }
        if table.row_security {
            let statement = format!("ALTER TABLE {place} DISABLE ROW LEVEL SECURITY");
            // Where it holds for us too, nothing can be read to open the vault with.
            let cure = if table.forced || !table.ours { Cure::ByHand(statement) } else { Cure::Run(statement) };
            add("row-level security hides rows of it".into(), cure);
        }
    }
    Ok((tables.into_iter().map(|table| table.name).collect(), other))
}

/// What Sallyport never makes: on its tables, or beside them in their schema. Extensions keep what is theirs.
async fn foreign(conn: &mut PgConnection, odd: &mut Vec<Odd>) -> Result<(), Error> {
    let text = "WITH t AS (SELECT oid, relname FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relname = ANY ($1)),
        extension AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e')
        SELECT 'trigger', g.tgname::TEXT, t.relname::TEXT, format('DROP TRIGGER %I ON %s', g.tgname, t.oid::regclass), true
        FROM t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal
        UNION ALL
        SELECT 'rule', w.rulename::TEXT, t.relname::TEXT, format('DROP RULE %I ON %s', w.rulename, t.oid::regclass), true
        FROM t JOIN pg_rewrite w ON w.ev_class = t.oid WHERE w.rulename <> '_RETURN'
        UNION ALL
        SELECT 'row policy', p.polname::TEXT, t.relname::TEXT, format('DROP POLICY %I ON %s', p.polname, t.oid::regclass), true
        FROM t JOIN pg_policy p ON p.polrelid = t.oid
        UNION ALL
        SELECT 'child table', c.oid::regclass::TEXT, t.relname::TEXT,
            format('ALTER TABLE %s NO INHERIT %s', c.oid::regclass, t.oid::regclass), pg_has_role(c.relowner, 'MEMBER')
        FROM t JOIN pg_inherits h ON h.inhparent = t.oid JOIN pg_class c ON c.oid = h.inhrelid WHERE NOT c.relispartition
        UNION ALL
        SELECT 'parent table', c.oid::regclass::TEXT, t.relname::TEXT,
            format('ALTER TABLE %s NO INHERIT %s', t.oid::regclass, c.oid::regclass), true
        FROM t JOIN pg_inherits h ON h.inhrelid = t.oid JOIN pg_class c ON c.oid = h.inhparent WHERE c.relkind <> 'p'
        UNION ALL
        SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'foreign table' END,
            c.relname::TEXT, '', format('DROP %s %s CASCADE',
                CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'FOREIGN TABLE' END,
                c.oid::regclass), pg_has_role(c.relowner, 'MEMBER')
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('v', 'm', 'f')
            AND c.relname <> ALL ($1)
            AND NOT EXISTS (SELECT FROM extension e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid)
        UNION ALL
        SELECT 'function', p.oid::regprocedure::TEXT, '', format('DROP ROUTINE %s CASCADE', p.oid::regprocedure),
            pg_has_role(p.proowner, 'MEMBER')
        FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM extension e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid)
        UNION ALL
        SELECT 'operator', o.oid::regoperator::TEXT, '', format('DROP OPERATOR %s CASCADE', o.oid::regoperator),
            pg_has_role(o.oprowner, 'MEMBER')
        FROM pg_operator o WHERE o.oprnamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM extension e WHERE e.classid = 'pg_operator'::regclass AND e.objid = o.oid)";
    let found: Vec<(String, String, String, String, bool)> =
        sqlx::query_as(text).bind(sql::TABLES.as_slice()).fetch_all(conn).await?;
    for (kind, name, table, statement, ours) in found {
        let what = if table.is_empty() { NONE.to_owned() } else { format!("{NONE}, on `{table}`") };
        odd.push(Odd::new(&kind, &name, what, if ours { Cure::Run(statement) } else { Cure::ByHand(statement) }));
    }
    Ok(())
}
