//! Who calls: a bearer token or the cookie of a browser becomes an `Op`.
//!
//! A browser sends its cookie along with whatever page makes it call. So what comes by cookie and changes something, or
//! opens a websocket, must come from a page of this very site.

use crate::App;
use crate::problem::Problem;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN, UPGRADE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use sallyport_control::{Actor, Client, Op, Site, Who};
use sallyport_model::sign_in::DeviceState;
use sallyport_model::{Kind, Secret};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A signed-in caller. A handler that takes one cannot be reached without a valid token, or a browser that is wholly
/// signed in.
pub(crate) struct Caller {
    pub(crate) op: Op,
    pub(crate) who: Who,
}

/// A caller who may be in the middle of signing in. Use cases look how far.
pub(crate) struct Holder {
    pub(crate) op: Op,
    pub(crate) who: Who,
}

/// Somebody before it is known who: what signs in needs no more than a page of this site.
pub(crate) struct Visitor {
    pub(crate) client: Client,
    pub(crate) cookie: Option<Secret<String>>,
}

/// What the connection of a call wants to hear once it is known who calls: until then it may have to give way to others.
#[derive(Clone)]
pub struct Known(Arc<dyn Fn() + Send + Sync>);

impl Known {
    /// `told` is called with each call of somebody known.
    pub fn new(told: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }
}

/// Name of the cookie: with its prefix a browser takes it from this very host alone, and by TLS alone.
pub(crate) const fn cookie_name(site: &Site) -> &'static str {
    if site.secure() { "__Host-sallyport" } else { "sallyport" }
}

/// The header that gives a browser its cookie; an empty one takes it away.
pub(crate) fn set_cookie(site: &Site, cookie: &Secret<String>) -> Option<HeaderValue> {
    let secure = if site.secure() { "; Secure" } else { "" };
    let over = if cookie.expose().is_empty() { "; Max-Age=0" } else { "" };
    let text = format!("{}={}; Path=/; HttpOnly; SameSite=Strict{secure}{over}", cookie_name(site), cookie.expose());
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The caller's address.
pub(crate) fn address(parts: &Parts) -> IpAddr {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip())
}

fn cookie(parts: &Parts, site: &Site) -> Option<Secret<String>> {
    let name = cookie_name(site);
    let headers = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = headers
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| Secret::new(value.to_owned()));
    found.next()
}

fn text(parts: &Parts, name: impl axum::http::header::AsHeaderName) -> Option<&str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

/// Refuses what another site's page makes a browser do.
fn check_page(parts: &Parts, site: &Site) -> Result<(), Problem> {
    let upgrade = text(parts, UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
        || parts.method == Method::CONNECT;
    if matches!(parts.method, Method::GET | Method::HEAD) && !upgrade {
        return Ok(());
    }
    let host = text(parts, HOST).or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str));
    let foreign = text(parts, "sec-fetch-site") == Some("cross-site");
    match text(parts, ORIGIN) {
        Some(origin) if !foreign && site.is_own(origin, host) => Ok(()),
        _ => Err(Problem::new(
            Kind::Denied,
            format!("a browser may do this from a page of {} only: send that as `Origin`", site.origin()),
        )),
    }
}

/// The token or the cookie that a call comes with becomes somebody.
pub(crate) async fn caller(parts: &Parts, app: &App) -> Result<(Op, Who), Problem> {
    let bearer = text(parts, AUTHORIZATION)
        .and_then(|text| text.strip_prefix("Bearer "))
        .map(|text| Secret::new(text.trim().to_owned()));
    let site = app.control.site();
    let who = match (bearer, cookie(parts, site)) {
        (Some(token), _) => app.control.sign_in(&token).map_err(|error| match error.kind() {
            Kind::Denied => Problem::unauthenticated(),
            _ => error.into(),
        })?,
        (None, Some(cookie)) => {
            check_page(parts, site)?;
            app.control.by_cookie(&cookie).await.map_err(Problem::of_sign_in)?
        }
        (None, None) => return Err(Problem::unauthenticated()),
    };
    if let Some(Known(told)) = parts.extensions.get() {
        told();
    }
    let op = Op {
        actor: Actor::Identity(who.identity.id, who.identity.handle.clone()),
        from: address(parts),
        correlation: String::new(),
        device: who.device.as_ref().map(|device| device.id),
    };
    Ok((op, who))
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let (op, who) = caller(parts, app).await?;
        if who.device.as_ref().is_some_and(|device| device.state != DeviceState::In) {
            let text = "this browser is not wholly signed in yet: present or add a second factor first";
            return Err(Problem::new(Kind::Denied, text).of_nobody());
        }
        Ok(Self { op, who })
    }
}

impl FromRequestParts<App> for Holder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let (op, who) = caller(parts, app).await?;
        Ok(Self { op, who })
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let site = app.control.site();
        check_page(parts, site)?;
        let agent = text(parts, USER_AGENT).unwrap_or_default().to_owned();
        Ok(Self { client: Client { from: address(parts), agent }, cookie: cookie(parts, site) })
    }
}

/// Where a call comes from that nobody need be signed in for.
pub(crate) struct From(pub(crate) IpAddr);

impl FromRequestParts<App> for From {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(address(parts)))
    }
}
