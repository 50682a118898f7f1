//! The environment: what overrides the file, and where things of this host are. The only module that reads it.

use std::path::PathBuf;

/// The setting that the environment alone may hold, and that no process but control is given.
pub(crate) const PASSWORD: &str = "STORE__PASSWORD";

/// Puts a value at `A__B`; what parses as TOML is taken as such, the rest as text.
pub(super) fn set(table: &mut toml::Table, path: &str, value: &str) -> Result<(), String> {
    let mut parts: Vec<String> = path.split("__").map(str::to_lowercase).collect();
    let last = parts.pop().unwrap_or_default();
    let mut at = table;
    for part in parts {
        at = at
            .entry(part.clone())
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .ok_or_else(|| format!("SALLYPORT__{path}: `{part}` is no section"))?;
    }
    if path == PASSWORD {
        // A password is text, whatever else it may look like.
        at.insert(last, toml::Value::String(value.to_owned()));
        return Ok(());
    }
    let parsed = format!("x = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("x"));
    at.insert(last, parsed.unwrap_or_else(|| toml::Value::String(value.to_owned())));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars().filter_map(|(name, value)| name.strip_prefix("SALLYPORT__").map(|path| (path.to_owned(), value)))
}

/// Where the service manager puts the credentials of this service.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn credentials() -> Option<PathBuf> {
    std::env::var("CREDENTIALS_DIRECTORY").ok().map(PathBuf::from)
}

/// Whether an ssh-agent is there for this user's commands.
pub(crate) fn ssh_agent() -> bool {
    std::env::var_os("SSH_AUTH_SOCK").is_some_and(|socket| !socket.is_empty())
}

/// Directory of this user's settings.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn user_settings() -> PathBuf {
    let home = || std::env::var("HOME").map_or_else(|_| PathBuf::from("."), |home| PathBuf::from(home).join(".config"));
    std::env::var("XDG_CONFIG_HOME").map_or_else(|_| home(), PathBuf::from).join("sallyport")
}
