//! Targets out of a CSV file: a line of column names, then one line per account of a target.

use super::{Account, Findings, Found, class_of};
use crate::Fail;
use crate::command::Import;
use sallyport_model::AccountName;
use sallyport_model::inventory::{Class, Tier};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The columns, of which `name` and `host` are required.
const COLUMNS: [&str; 10] =
    ["name", "host", "port", "account", "class", "owner", "tier", "environment", "zone", "tags"];

pub(super) fn read(path: &Path, args: &Import, findings: &mut Findings) -> Result<(), Fail> {
    let file = path.display();
    let wrong = |e: csv::Error| Fail::usage(format!("`{file}` cannot be read as CSV: {e}"));
    let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(wrong)?;
    let head: Vec<String> = rows.headers().map_err(wrong)?.iter().map(str::to_lowercase).collect();
    if let Some(unknown) = head.iter().find(|column| !COLUMNS.contains(&column.as_str())) {
        let text = format!("`{file}` has a column `{unknown}`; those that are understood are {}", COLUMNS.join(", "));
        return Err(Fail::usage(text));
    }
    for needed in ["name", "host"] {
        if !head.iter().any(|column| column == needed) {
            return Err(Fail::usage(format!("`{file}` has no column `{needed}`: its first line names the columns")));
        }
    }
    for row in rows.records() {
        let row = row.map_err(wrong)?;
        let line = row.position().map_or(0, csv::Position::line);
        let cells: BTreeMap<&str, &str> = head.iter().map(String::as_str).zip(row.iter()).collect();
        let from = format!("{file}:{line}");
        match target(&cells, args, &from) {
            Ok(found) => findings.add(found),
            Err(why) => findings.leave_out(from, why),
        }
    }
    Ok(())
}

/// One row; what it leaves empty, the command line says.
fn target(cells: &BTreeMap<&str, &str>, args: &Import, from: &str) -> Result<Found, String> {
    let cell = |name: &str| cells.get(name).copied().filter(|text| !text.is_empty());
    let name = cell("name").ok_or("it names no target")?.to_lowercase().parse().map_err(|e| format!("{e}"))?;
    let host = cell("host").ok_or("it has no host")?.to_owned();
    let port = cell("port").unwrap_or("22");
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{port}` is no port"))?;
    let tier = match cell("tier") {
        None => args.tier,
        Some(text) => text.parse::<u8>().map_err(|_| format!("`{text}` is no tier")).and_then(Tier::try_from)?,
    };
    let label = |name: &str, default: &sallyport_model::name::Label| match cell(name) {
        None => Ok(default.clone()),
        Some(text) => text.parse().map_err(|e| format!("{name}: {e}")),
    };
    let mut tags: BTreeSet<_> = args.tag.iter().cloned().collect();
    for tag in cell("tags").unwrap_or_default().split([' ', ';', ',']).filter(|tag| !tag.is_empty()) {
        tags.insert(tag.parse().map_err(|e| format!("tags: {e}"))?);
    }
    let mut accounts = BTreeMap::new();
    if let Some(name) = cell("account").or(args.account.as_ref().map(AccountName::as_str)) {
        let name: AccountName = name.parse().map_err(|e| format!("account: {e}"))?;
        let class = cell("class").map_or_else(|| Ok(class_of(&name)), class)?;
        let owner = cell("owner").map(|owner| owner.parse().map_err(|e| format!("owner: {e}"))).transpose()?;
        accounts.insert(name, Account { class, owner });
    }
    let notes =
        if accounts.is_empty() { vec!["no account: add one, or name it with --account".into()] } else { vec![] };
    Ok(Found {
        name,
        host,
        port,
        accounts,
        tier,
        environment: label("environment", &args.environment)?,
        zone: label("zone", &args.zone)?,
        tags,
        host_keys: Vec::new(),
        authorities: Vec::new(),
        jump: None,
        via: None,
        from: from.to_owned(),
        notes,
    })
}

fn class(text: &str) -> Result<Class, String> {
    match text {
        "administrative" => Ok(Class::Administrative),
        "service" => Ok(Class::Service),
        "standard" => Ok(Class::Standard),
        other => Err(format!("`{other}` is no class: write administrative, service or standard")),
    }
}
