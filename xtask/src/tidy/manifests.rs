//! Manifests take versions and lints from the workspace alone.

use super::Finding;
use super::tree::{File, Tree};
use toml::{Table, Value};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests
        .flat_map(|file| judge(file).unwrap_or_else(|message| vec![Finding::new(&file.path, 0, message)]))
        .collect()
}

fn judge(file: &File) -> Result<Vec<Finding>, String> {
    let table: Table = file.text.parse().map_err(|e: toml::de::Error| e.to_string())?;
    let mut found = Vec::new();
    if table.get("lints").and_then(|l| l.get("workspace")).and_then(Value::as_bool) != Some(true) {
        found.push(Finding::new(&file.path, 0, "add `[lints]` with `workspace = true`"));
    }
    for (section, name, value) in dependencies(&table) {
        if value.get("workspace").and_then(Value::as_bool) != Some(true) {
            let message = format!(
                "`{name}` in [{section}]: put the version in the root's [workspace.dependencies] and write `{name}.workspace = true`"
            );
            found.push(Finding::new(&file.path, 0, message));
        }
    }
    Ok(found)
}

fn dependencies(table: &Table) -> impl Iterator<Item = (&str, &str, &Value)> {
    let targets =
        table.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values).filter_map(Value::as_table);
    std::iter::once(table).chain(targets).flat_map(|table| {
        ["dependencies", "dev-dependencies", "build-dependencies"]
            .into_iter()
            .filter_map(|section| Some((section, table.get(section)?.as_table()?)))
            .flat_map(|(section, list)| list.iter().map(move |(name, value)| (section, name.as_str(), value)))
    })
}
