//! What one may reach, why, and how it gets there.

use crate::Fail;
use crate::client::Client;
use crate::command::{Files, Ls, Why};
use crate::output::{Output, harmless, table};
use sallyport_model::{Address, Kind};
use sallyport_wire as wire;
use std::path::Path;

pub(crate) async fn ls(args: Ls, client: &Client, out: Output) -> Result<(), Fail> {
    let items = if args.recent {
        client.get::<wire::Listing<wire::Reach>>("/reach", &[("recent", "true".into())]).await?.items
    } else {
        client.all("/reach").await?
    };
    let mut page = wire::Page { items, next: None };
    if let Some(filter) = &args.filter {
        page.items.retain(|r| {
            format!("{} {} {} {}", r.login, r.environment, r.tags.join(" "), r.state).contains(filter.as_str())
        });
    }
    out.show(&page, |page| {
        let rows = page
            .items
            .iter()
            .map(|r| {
                let state = if r.note.is_empty() { r.state.clone() } else { format!("{}: {}", r.state, r.note) };
                vec![
                    format!("{}@{}", r.account, r.target),
                    r.protocol.clone(),
                    r.environment.clone(),
                    r.tier.to_string(),
                    r.tags.join(" "),
                    harmless(&state),
                ]
            })
            .collect();
        table(
            &["TARGET", "PROTOCOL", "ENVIRONMENT", "TIER", "TAGS", "STATE"],
            rows,
            if args.recent {
                "You were nowhere lately: `sallyport ls` lists where you may go."
            } else {
                "Nothing is in your reach yet: ask an administrator for a policy that permits you something."
            },
        )
    })
}

pub(crate) async fn plan(args: Files, client: &Client, out: Output, apply: bool) -> Result<(), Fail> {
    let desired = wire::Desired { files: read(&args.directory)?, prune: args.prune };
    let plan: wire::Plan = client.post(if apply { "/apply" } else { "/plan" }, &desired).await?;
    let changes = plan.lines.iter().filter(|l| l.sign != "=").count();
    out.show(&plan, |plan| describe(plan, changes))?;
    if args.check && !apply && changes > 0 {
        return Err(Fail::new(Kind::Failed, format!("{changes} changes are not applied yet")));
    }
    Ok(())
}

fn describe(plan: &wire::Plan, changes: usize) -> String {
    let mut text = String::new();
    for line in &plan.lines {
        text.push_str(&format!(
            "  {} {:<9} {}  {}\n",
            line.sign,
            line.kind,
            harmless(&line.name),
            harmless(&line.detail)
        ));
    }
    for warning in &plan.warnings {
        text.push_str(&format!("  ! {}\n", harmless(warning)));
    }
    let hash: String = plan.policy.chars().take(12).collect();
    let said = match (changes, plan.applied) {
        (0, _) => format!("Nothing changes; policy set {hash}."),
        (1, false) => format!("1 change; `sallyport apply` makes it. Policy set would be {hash}."),
        (n, false) => format!("{n} changes; `sallyport apply` makes them. Policy set would be {hash}."),
        (n, true) => {
            let s = if n == 1 { "" } else { "s" };
            format!("{n} change{s} made; policy set {hash}; live sessions ended: {}.", plan.revoked)
        }
    };
    text.push_str(&said);
    text
}

/// All policy and inventory files below a directory, by name.
fn read(directory: &Path) -> Result<Vec<wire::File>, Fail> {
    let cannot = |path: &Path, e: std::io::Error| Fail::usage(format!("cannot read `{}`: {e}", path.display()));
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).map_err(|e| cannot(&dir, e))? {
            let entry = entry.map_err(|e| cannot(&dir, e))?;
            let path = entry.path();
            let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if hidden {
                continue;
            }
            // A link to a directory is not followed: it may lead around.
            if entry.file_type().map_err(|e| cannot(&path, e))?.is_dir() {
                open.push(path);
            } else if path.is_file() && path.extension().is_some_and(|e| e == "cedar" || e == "toml") {
                let text = std::fs::read_to_string(&path).map_err(|e| cannot(&path, e))?;
                if path.extension().is_some_and(|e| e == "toml") && is_configuration(&text) {
                    return Err(Fail::usage(format!(
                        "`{}` looks like the server's configuration: keep it elsewhere, or name the directory of your policies and inventory",
                        path.display()
                    )));
                }
                let name = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().into_owned();
                files.push(wire::File { name, text });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    if files.is_empty() {
        return Err(Fail::usage(format!("`{}` holds no *.cedar or *.toml file", directory.display())));
    }
    Ok(files)
}

/// Whether a TOML file is what the server is configured by: it has sections of that, and nothing of an inventory.
fn is_configuration(text: &str) -> bool {
    const OWN: [&str; 10] = ["data", "node", "public_url", "api", "ssh", "store", "seal", "log", "sign_in", "anchors"];
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    !table.contains_key("identity") && !table.contains_key("target") && OWN.iter().any(|key| table.contains_key(*key))
}

pub(crate) async fn why(args: Why, client: &Client, out: Output) -> Result<(), Fail> {
    let address: Address = args.address.parse().map_err(Fail::usage)?;
    let Address::Place { handle, account, target } = address else {
        return Err(Fail::usage("name a place: [handle+]account@target"));
    };
    let place = Address::Place { handle: None, account, target };
    let mut query = vec![("address", place.to_string()), ("action", args.action)];
    query.extend(handle.map(|h| ("handle", h.to_string())));
    query.extend(args.destination.map(|destination| ("destination", destination)));
    let why: wire::Why = client.get("/why", &query).await?;
    out.show(&why, |why| {
        let mut text = format!("{}\n", why.outcome);
        for reason in &why.reasons {
            text.push_str(&format!("  {}\n", harmless(reason)));
        }
        for policy in &why.policies {
            text.push_str(&format!("  by {}\n", harmless(policy)));
        }
        for (limit, from) in &why.limits {
            text.push_str(&format!("  {limit}: {}\n", harmless(from)));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_configuration_is_told_from_an_inventory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sallyport.toml");
        for text in ["data = \"/var/lib/sallyport\"\n", "[ssh]\nlisten = \"0.0.0.0:2222\"\n"] {
            std::fs::write(&path, text).unwrap();
            let error = read(directory.path()).err().unwrap().message;
            assert!(
                error.contains("sallyport.toml` looks like the server's configuration: keep it elsewhere"),
                "{error}"
            );
        }
        // What is wrong otherwise the server says, with file and line.
        for text in ["[[identity]]\nhandle = \"ada\"\n", "[targets]\n", "not toml", "[[target]]\nname = \"api\"\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(directory.path()).ok().unwrap().len(), 1, "{text}");
        }
    }
}
