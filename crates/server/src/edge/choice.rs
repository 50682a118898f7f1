//! What `[api] tls` may say.

use super::acme::Acme;
use schemars::JsonSchema;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use std::path::PathBuf;

/// How the API proves itself to clients.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tls {
    /// Plain http.
    #[default]
    Off,
    /// With an authority of this node, made at first start.
    Own,
    /// Certificates that an ACME directory issues and renews (RFC 8555).
    Acme(Box<Acme>),
    /// PEM files, which are read again when they change.
    #[serde(untagged)]
    Files {
        /// The chain as PEM, the server's own certificate first.
        cert: PathBuf,
        /// The private key as PEM, closed to others.
        key: PathBuf,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Directory {
    acme: Acme,
}

impl Tls {
    /// Whether it needs an authority of this node's own, if only until there is something better.
    pub(super) const fn has_authority(&self) -> bool {
        matches!(self, Self::Own | Self::Acme(_))
    }
}

impl<'de> Deserialize<'de> for Tls {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // By hand, so that what is wrong within a table is said, and not that nothing fits.
        match toml::Value::deserialize(from)? {
            toml::Value::String(word) if word == "off" => Ok(Self::Off),
            toml::Value::String(word) if word == "own" => Ok(Self::Own),
            toml::Value::Table(table) if table.contains_key("acme") => {
                let Directory { acme } = table.try_into().map_err(D::Error::custom)?;
                Ok(Self::Acme(Box::new(acme)))
            }
            toml::Value::Table(table) => {
                let Files { cert, key } = table.try_into().map_err(D::Error::custom)?;
                Ok(Self::Files { cert, key })
            }
            other => {
                let expected = "\"off\", \"own\", { cert = FILE, key = FILE } or { acme = { directory = URL, ... } }";
                Err(D::Error::invalid_value(Unexpected::Other(&other.to_string()), &expected))
            }
        }
    }
}
