//! HTTP handlers, thin; auth extractors; OpenAPI from the router.
//!
//! A handler turns a request into an `Op` and words of the model, calls one use case, and turns the
//! result into `wire` types. It decides nothing.

mod auth;
mod body;
mod convert;
mod describe;
mod evidence;
mod headers;
mod inventory;
mod keys;
mod live;
mod login_codes;
mod measured;
mod nodes;
mod own;
mod portal;
mod problem;
mod recordings;
mod repeat;
mod rows;
mod rules;
mod sessions;
mod sign_in;
mod status;
mod targets;
mod terminal;
mod transfers;
mod users;
mod vault;

pub use auth::Known;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use sallyport_control::Control;
use sallyport_wire as wire;
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Largest request body, in bytes: of files that people apply, and of everything else, which anybody may send.
const FILES: usize = 8 << 20;
const BODY: usize = 64 << 10;

/// What handlers need.
#[derive(Clone)]
pub struct App {
    control: Arc<Control>,
    /// Where SSH clients connect to, `host:port`.
    ssh: Option<String>,
    /// How long the session of a lost browser waits for it.
    linger: Duration,
    /// The authority of this node's certificate, where it has one of its own.
    trust: Option<wire::Trust>,
    /// Writes that may be repeated.
    repeats: repeat::Repeats,
}

fn people() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sign_in::enrolment))
        .routes(routes!(sign_in::enrol))
        .routes(routes!(sign_in::password))
        .routes(routes!(sign_in::totp))
        .routes(routes!(sign_in::recovery))
        .routes(routes!(sign_in::begin_passkey))
        .routes(routes!(sign_in::passkey))
        .routes(routes!(sign_in::sign_out))
        .routes(routes!(sign_in::step_up))
        .routes(routes!(sign_in::begin_step_up_passkey))
        .routes(routes!(sign_in::step_up_passkey))
        .routes(routes!(own::me))
        .routes(routes!(own::password))
        .routes(routes!(sign_in::begin_totp))
        .routes(routes!(sign_in::add_totp))
        .routes(routes!(sign_in::begin_new_passkey))
        .routes(routes!(sign_in::add_passkey))
        .routes(routes!(own::remove_factor))
        .routes(routes!(own::recovery_codes))
        .routes(routes!(own::devices))
        .routes(routes!(own::end_device))
        .routes(routes!(own::ssh_keys, own::add_ssh_key))
        .routes(routes!(own::remove_ssh_key))
        .routes(routes!(own::tokens))
        .routes(routes!(own::certificates, own::certify))
        .routes(routes!(own::revoke_certificate))
        .routes(routes!(own::end_token))
        .routes(routes!(login_codes::look))
        .routes(routes!(login_codes::allow))
        .routes(routes!(login_codes::refuse))
        .routes(routes!(status::create_token))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::new_link))
        .routes(routes!(users::disable))
        .routes(routes!(users::enable))
        .routes(routes!(users::regroup))
        .routes(routes!(users::certificates))
        .routes(routes!(users::revoke_certificate))
        .routes(routes!(users::groups_list))
}

/// What takes whole checkouts, from people who are signed in before a byte of them is read.
fn files() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(inventory::plan))
        .routes(routes!(inventory::apply))
        .layer(DefaultBodyLimit::max(FILES))
}

fn open_router() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(describe::document())
        .merge(people())
        .routes(routes!(status::status))
        .routes(routes!(status::alive))
        .routes(routes!(status::ready))
        .routes(routes!(status::trust))
        .routes(routes!(status::space))
        .routes(routes!(status::metrics))
        .routes(routes!(inventory::reach))
        .merge(files())
        .routes(routes!(inventory::why))
        .routes(routes!(inventory::who_can))
        .routes(routes!(inventory::policies))
        .routes(routes!(rules::list))
        .routes(routes!(rules::attempt))
        .routes(routes!(targets::list, targets::add))
        .routes(routes!(targets::probe))
        .routes(routes!(targets::show, targets::change, targets::remove))
        .routes(routes!(targets::check))
        .routes(routes!(targets::put_account))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::kill))
        .routes(routes!(sessions::message))
        .routes(routes!(sessions::pause))
        .routes(routes!(sessions::resume))
        .routes(routes!(sessions::dismiss))
        .routes(routes!(terminal::join))
        .routes(routes!(sessions::watch))
        .routes(routes!(terminal::terminal))
        .routes(routes!(transfers::list))
        .routes(routes!(transfers::make_directory))
        .routes(routes!(transfers::transfers, transfers::prepare))
        .routes(routes!(transfers::cancel))
        .routes(routes!(transfers::download, transfers::upload))
        .routes(routes!(live::live))
        .routes(routes!(live::screens))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::marks))
        .routes(routes!(recordings::cast))
        .routes(routes!(recordings::text))
        .routes(routes!(recordings::files))
        .routes(routes!(recordings::file))
        .routes(routes!(evidence::recording))
        .routes(routes!(evidence::bundle))
        .routes(routes!(evidence::ledger))
        .routes(routes!(evidence::head))
        .routes(routes!(evidence::proof))
        .routes(routes!(evidence::consistency))
        .routes(routes!(evidence::anchors))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::remove))
        .routes(routes!(vault::show))
        .routes(routes!(vault::put))
        .routes(routes!(vault::seal))
        .routes(routes!(vault::unseal))
        .routes(routes!(vault::cancel_unseal))
        .routes(routes!(keys::add_slot))
        .routes(routes!(keys::confirm_slot))
        .routes(routes!(keys::remove_slot))
        .routes(routes!(keys::keys))
        .routes(routes!(keys::rotate_root))
        .routes(routes!(keys::rotate_epoch))
        .routes(routes!(keys::pause_rotation))
        .routes(routes!(keys::ssh_cas))
        .routes(routes!(keys::known_hosts))
        .routes(routes!(keys::rotate_ssh_ca))
}

/// The API over a control plane: where SSH clients connect to, and how long the session of a lost browser waits for it.
pub fn router(control: Arc<Control>, (ssh, linger): (Option<String>, Duration), trust: Option<wire::Trust>) -> Router {
    let (router, document) = open_router().split_for_parts();
    let text = Bytes::from(describe::whole(document).to_json().unwrap_or_default());
    let app = App { control, ssh, linger, trust, repeats: repeat::Repeats::default() };
    router
        .route(
            "/api/v1/openapi.json",
            axum::routing::get(move || {
                let text = text.clone();
                async move { ([(axum::http::header::CONTENT_TYPE, "application/json")], text) }
            }),
        )
        .fallback(portal::serve)
        .method_not_allowed_fallback(problem::no_method)
        .layer(axum::middleware::from_fn_with_state(app.clone(), repeat::once))
        .layer(axum::middleware::map_request(body::in_time))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(axum::middleware::from_fn_with_state(app.clone(), measured::measure))
        .layer(axum::middleware::map_response_with_state(headers::Headers::of(app.control.site()), headers::add))
        .with_state(app)
}

/// The API's description, OpenAPI 3.1 as JSON.
#[must_use]
pub fn openapi() -> String {
    describe::whole(open_router().split_for_parts().1).to_pretty_json().unwrap_or_default()
}

#[cfg(test)]
mod tests;
