//! What is wrong with a configuration, with a word on what to write instead.

use super::Config;
use super::sections::{Keep, Space, Traces};
use crate::edge::Tls;
use sallyport_cli::Fail;
use sallyport_control::{SignInRules, Site, SpaceRules};
use std::time::Duration;

impl Config {
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_edge()?;
        if self.store.url.is_none() && (self.store.password_file.is_some() || self.store.password.is_some()) {
            return Err(
                "[store] has a password and no `url`: write url = \"postgres://ROLE@HOST:PORT/DATABASE\"".into()
            );
        }
        if self.node.parse::<sallyport_model::name::Label>().is_err() {
            return Err("`node` is 1 to 63 of a-z, 0-9, `.`, `_`, `:`, `/`, `-`".into());
        }
        if let Some(witness) = self.witness.as_ref().filter(|w| !w.listen.ip().is_loopback()) {
            return Err(format!(
                "[witness] listen = \"{}\" is not on loopback, and a witness has no TLS of its own: listen on 127.0.0.1 and put a TLS proxy before it",
                witness.listen
            ));
        }
        if let Some(listen) =
            self.nodes.listen.filter(|listen| listen.ip().is_unspecified() && self.nodes.address.is_none())
        {
            return Err(format!(
                "[nodes] listen = \"{listen}\" is every address of this host: set `address` to the one that other nodes reach"
            ));
        }
        if self.nodes.address.as_ref().is_some_and(|address| {
            !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        }) {
            return Err("[nodes] address is a host and a port, such as \"10.0.0.5:8024\"".into());
        }
        crate::backup::recipients(&self.backup.recipients).map_err(|e| format!("[backup] {e}"))?;
        self.space.rules().map(drop)?;
        self.traces.check().map_err(|e| format!("[traces] {e}"))?;
        self.sign_in().map(drop)?;
        self.gateway().map(drop)?;
        self.linger().map(drop)?;
        // Wrong anchors are named when the configuration is read, not when a checkpoint is due.
        crate::anchors::all(self).map(drop)?;
        if let Some(name) = &self.seal.credential {
            if self.seal.key_file.is_some() {
                return Err("[seal] has both `key_file` and `credential`: keep the one that holds the key file".into());
            }
            if name.is_empty() || name.contains('/') {
                return Err(format!(
                    "[seal] credential = {name:?} is no name of a credential: it is the part before the colon in `LoadCredentialEncrypted=`"
                ));
            }
        }
        Ok(())
    }

    /// The name that people reach this installation by, for which a directory issues certificates.
    pub(crate) fn host(&self) -> Result<String, Fail> {
        let site = self.sign_in().map_err(Fail::usage)?.site;
        let name = self.public_url.as_ref().and_then(|_| site.host());
        name.filter(|name| name.parse::<std::net::IpAddr>().is_err()).ok_or_else(|| {
            Fail::usage("[api] tls: a directory issues certificates for names: set `public_url` to https://NAME")
        })
    }

    /// Nothing leaves the machine in plain text, and what people open is what the certificate is for.
    fn check_edge(&self) -> Result<(), String> {
        let (listen, plain) = (self.api.listen, self.api.tls == Tls::Off);
        if plain && !listen.ip().is_loopback() {
            return Err(format!(
                "[api] listen = \"{listen}\" is not on loopback: set tls = \"own\", or name your certificate, or listen on 127.0.0.1 behind a TLS proxy"
            ));
        }
        if !listen.ip().is_loopback() && self.public_url.is_none() {
            return Err("`public_url` is missing: write where people reach this installation, https://NAME".into());
        }
        if !plain && !self.sign_in()?.site.secure() {
            return Err("`public_url` is http, and the API speaks TLS: write https://".into());
        }
        if let Tls::Acme(acme) = &self.api.tls {
            acme.check().map_err(|e| format!("[api] tls: {e}"))?;
            self.host().map_err(|fail| fail.message)?;
        }
        for network in &self.api.trusted_peers {
            network.parse::<sallyport_model::Network>().map_err(|e| format!("[api] trusted_peers: {e}"))?;
        }
        if self.api.proxy_protocol && self.api.trusted_peers.is_empty() {
            return Err("[api] proxy_protocol needs `trusted_peers`: write whose word is believed".into());
        }
        Ok(())
    }

    /// How people sign in with browsers.
    pub(crate) fn sign_in(&self) -> Result<SignInRules, String> {
        let site = match &self.public_url {
            Some(url) => Site::parse(url).map_err(|e| format!("public_url: {e}"))?,
            None if self.api.tls == Tls::Off => Site::local(self.api.listen.port()),
            None => Site::parse(&format!("https://localhost:{}", self.api.listen.port()))?,
        };
        let idle = within("[sign_in] idle", &self.sign_in.idle, 60, 12 * 3600)?;
        let absolute = within("[sign_in] absolute", &self.sign_in.absolute, 300, 7 * 24 * 3600)?;
        let certificate = match self.sign_in.certificate.as_str() {
            "0s" => Duration::ZERO,
            some => within("[sign_in] certificate", some, 300, 24 * 3600)?,
        };
        Ok(SignInRules { site, idle, absolute, certificate })
    }

    /// How long the session of a lost browser waits for it.
    pub(crate) fn linger(&self) -> Result<Duration, String> {
        within("[terminal] linger", &self.terminal.linger, 1, 600)
    }
}

impl Traces {
    fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.sample) {
            return Err(format!("sample = {} is no part of all: write 0.1 for a tenth, 1 for all", self.sample));
        }
        let Some(text) = &self.endpoint else { return Ok(()) };
        let url = https_or_here("endpoint", text)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "`endpoint` holds a password: give it as OTEL_EXPORTER_OTLP_TRACES_HEADERS, `authorization=...`".into(),
            );
        }
        if url.path() == "/" {
            return Err(format!("endpoint = {text:?} has no path: write all of it, such as {url}v1/traces"));
        }
        Ok(())
    }
}

/// A place that nobody on the way reads along with.
pub(crate) fn https_or_here(name: &str, text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text).map_err(|e| format!("`{name}` is no URL: {e}; write `https://HOST/PATH`"))?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        return Err(format!("`{name}` is an https URL, `https://HOST/PATH`; plain http is for this host only"));
    }
    Ok(url)
}

impl Space {
    /// The rules that these are.
    pub(crate) fn rules(&self) -> Result<SpaceRules, String> {
        let quota = self.quota.as_deref().map(|text| {
            bytes(text).ok_or_else(|| format!("[space] quota = {text:?} is no size: write 500MiB, 20GiB or 2TiB"))
        });
        let keep = |text: &Option<String>| {
            let read = |text: &String| {
                let seconds = sallyport_cli::seconds(text).map_err(|e| format!("[space.keep] {e}"))?;
                Ok::<_, String>(Duration::from_secs(seconds.into()))
            };
            text.as_ref().map(read).transpose()
        };
        let Keep { tier0, tier1, tier2 } = &self.keep;
        Ok(SpaceRules { quota: quota.transpose()?, keep: [keep(tier0)?, keep(tier1)?, keep(tier2)?] })
    }
}

/// A duration such as `30m`, between so many seconds and so many.
fn within(name: &str, text: &str, least: u64, most: u64) -> Result<Duration, String> {
    let seconds = sallyport_cli::seconds(text).map_err(|e| format!("{name}: {e}"))?;
    let wrong = || format!("{name} = {text:?} is not within {least} s and {most} s");
    Some(u64::from(seconds)).filter(|s| (least..=most).contains(s)).map(Duration::from_secs).ok_or_else(wrong)
}

/// `500MiB` in bytes.
fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let (number, shift) = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))?;
    number.trim_end().parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}
