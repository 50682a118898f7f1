//! Where people reach this installation: what links, cookies and passkeys are bound to.

use crate::Error;
use std::net::IpAddr;
use webauthn_rs::prelude::Url;

/// The public URL of an installation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Site {
    origin: String,
    secure: bool,
    /// Its host, where that is a name.
    name: Option<String>,
}

impl Default for Site {
    fn default() -> Self {
        Self::local(8022)
    }
}

impl Site {
    /// The site of a server that is reached on this host alone. Its name is `localhost`: passkeys are bound to a name.
    #[must_use]
    pub fn local(port: u16) -> Self {
        Self { origin: format!("http://localhost:{port}"), secure: false, name: Some("localhost".into()) }
    }

    /// `https://NAME[:PORT]`, or plain `http` on this host.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("`{text}` is no URL ({error}): write https://NAME"))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(format!("`{text}` is more than an address: write https://NAME, or https://NAME:PORT"));
        }
        let host = url.host_str().ok_or_else(|| format!("`{text}` names no host: write https://NAME"))?;
        let secure = match url.scheme() {
            "https" => true,
            "http" if is_local(host) => false,
            _ => {
                return Err(format!(
                    "`{text}` would send passwords in the clear: write https://, or http:// on this host only"
                ));
            }
        };
        Ok(Self { origin: url.origin().ascii_serialization(), secure, name: url.domain().map(str::to_owned) })
    }

    /// Scheme, host and port: what a browser sends as `Origin`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its host: a name, or a number.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        Url::parse(&self.origin).ok()?.host_str().map(|host| host.trim_matches(['[', ']']).to_owned())
    }

    /// Whether it is reached by TLS.
    #[must_use]
    pub const fn secure(&self) -> bool {
        self.secure
    }

    /// Whether a page with this origin is of this site. `host` is what the browser asked for: a server that is reached
    /// without TLS is reached on this host alone, under any of its names.
    #[must_use]
    pub fn is_own(&self, origin: &str, host: Option<&str>) -> bool {
        if origin == self.origin {
            return true;
        }
        let Some(asked) = origin.strip_prefix("http://").filter(|asked| Some(*asked) == host) else { return false };
        !self.secure && Url::parse(&format!("http://{asked}")).is_ok_and(|url| url.host_str().is_some_and(is_local))
    }

    /// The page of an enrolment link.
    #[must_use]
    pub fn enrolment(&self, token: &str) -> String {
        format!("{}/enroll/{token}", self.origin)
    }

    /// The page on which somebody allows a login.
    #[must_use]
    pub fn link(&self) -> String {
        format!("{}/link", self.origin)
    }

    /// The name that passkeys are bound to, and the whole for the WebAuthn library.
    pub(crate) fn passkeys(&self) -> Result<(&str, Url), Error> {
        let name = self.name.as_deref().ok_or_else(|| {
            Error::usage("passkeys are bound to a name, and this site is reached by a number: set `public_url`")
        })?;
        Ok((name, Url::parse(&self.origin).map_err(Error::failed)?))
    }
}

/// Names and numbers of this very host.
fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
