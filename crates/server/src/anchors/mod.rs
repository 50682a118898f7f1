//! Anchors as they are configured: the data directory's own, and those outside it.

mod syslog;
mod witness;

use crate::config::{self, Config, Late};
use sallyport_control::{Anchor, AnchorPolicy, FileAnchor};
use std::sync::Arc;
use std::time::Duration;

/// How late an anchor may be where nothing is said.
const MAX_AGE: u32 = 60;
/// The anchor that every node keeps beside its database.
const LOCAL: &str = "local";

/// Every anchor of this node. The first is a file of the data directory, outside the database.
///
/// # Errors
/// When one is misconfigured; the text says what to write.
pub(crate) fn all(config: &Config) -> Result<Vec<Arc<dyn Anchor>>, String> {
    let local = AnchorPolicy { max_age: Duration::from_secs(MAX_AGE.into()), freeze: false };
    let mut all: Vec<Arc<dyn Anchor>> =
        vec![Arc::new(FileAnchor::new(LOCAL, &config.data.join("anchors/checkpoint"), local))];
    for anchor in &config.anchors {
        if anchor.name.parse::<sallyport_model::name::Label>().is_err() {
            return Err("an anchor has a `name` of 1 to 63 of a-z, 0-9, `.`, `_`, `:`, `/`, `-`".into());
        }
        if all.iter().any(|known| known.name() == anchor.name) {
            return Err(format!("there are two anchors named `{}` (`{LOCAL}` is always there)", anchor.name));
        }
        all.push(one(config, anchor).map_err(|e| format!("the anchor `{}`: {e}", anchor.name))?);
    }
    Ok(all)
}

fn one(config: &Config, anchor: &config::Anchor) -> Result<Arc<dyn Anchor>, String> {
    let seconds = anchor.max_age_seconds.unwrap_or(MAX_AGE);
    let policy = AnchorPolicy { max_age: Duration::from_secs(seconds.into()), freeze: anchor.late == Late::Freeze };
    match (&anchor.file, &anchor.syslog, &anchor.witness, &anchor.key) {
        (Some(path), None, None, None) => {
            if path.starts_with(&config.data) {
                return Err(format!(
                    "`{}` is in the data directory: choose a place that is not set back with it",
                    path.display()
                ));
            }
            Ok(Arc::new(FileAnchor::new(&anchor.name, path, policy)))
        }
        (None, Some(to), None, None) => Ok(Arc::new(syslog::Syslog::new(&anchor.name, &config.node, to, policy)?)),
        (None, None, Some(url), Some(key)) => Ok(Arc::new(witness::Witness::new(&anchor.name, url, key, policy)?)),
        (None, None, Some(_), None) => Err("a witness needs its `key`, as `sallyport witness init` printed it".into()),
        _ => Err("give one of `file`, `syslog`, and `witness` with `key`".into()),
    }
}
