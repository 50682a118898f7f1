//! Who calls: a bearer token becomes an `Op`.

use crate::App;
use crate::problem::Problem;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use sallyport_control::{Actor, Op, Who};
use sallyport_model::{Kind, Secret};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A signed-in caller. A handler that takes one cannot be reached without a valid token.
pub(crate) struct Caller {
    pub(crate) op: Op,
    pub(crate) who: Who,
}

/// The caller's address. Forwarded headers are not believed.
pub(crate) fn address(parts: &Parts) -> IpAddr {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip())
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.strip_prefix("Bearer "))
            .map(|text| Secret::new(text.trim().to_owned()))
            .ok_or_else(Problem::unauthenticated)?;
        let who = app.control.sign_in(&token).map_err(|error| match error.kind() {
            Kind::Denied => Problem::unauthenticated(),
            _ => error.into(),
        })?;
        let op = Op {
            actor: Actor::Identity(who.identity.id, who.identity.handle.clone()),
            from: address(parts),
            correlation: String::new(),
        };
        Ok(Self { op, who })
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
