//! The API's description: what every operation has in common, and whom each is open to.

use sallyport_wire as wire;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sallyport",
        description = "Privileged access: inventory, policy, broker, record, review. \
            Every answer that is no success is a problem document (RFC 9457)."
    ),
    components(schemas(wire::Problem))
)]
struct Document;

/// Begins of the paths that nobody need be signed in for.
const OPEN: [&str; 8] = [
    "/api/v1/enroll",
    "/api/v1/health/",
    "/api/v1/sign-in",
    "/api/v1/sign-out",
    "/api/v1/status",
    "/api/v1/trust",
    "/api/v1/vault/unseal",
    "/metrics",
];

const TOKEN: &str = "token";
const BROWSER: &str = "browser";

/// What the description begins with.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Names of the answers that all operations have in common.
const REFUSED: &str = "Refused";
const NOT_NOW: &str = "NotNow";

fn problem(description: &str) -> RefOr<Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content).build().into()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// The description of all operations, with what they have in common: how they refuse, and how a caller shows who they are.
pub(crate) fn whole(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("`sallyport login`")).build();
    let cookie = ApiKeyValue::with_description("__Host-sallyport", "what signing in gives a browser");
    let components = document.components.get_or_insert_default();
    components.responses.insert(REFUSED.into(), problem("Refused: what was wrong, or who may"));
    components.responses.insert(NOT_NOW.into(), problem("Not now: sealed, busy, or without its database"));
    components.add_security_scheme(TOKEN, SecurityScheme::Http(token));
    components.add_security_scheme(BROWSER, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    for (path, item) in &mut document.paths.paths {
        let open = OPEN.iter().any(|open| path.starts_with(open));
        for operation in operations(item) {
            let answers = &mut operation.responses.responses;
            answers.insert("4XX".into(), Ref::from_response_name(REFUSED).into());
            answers.entry("503".into()).or_insert_with(|| Ref::from_response_name(NOT_NOW).into());
            let needs = [TOKEN, BROWSER].map(|scheme| SecurityRequirement::new::<_, [&str; 0], _>(scheme, []));
            operation.security = (!open).then(|| needs.into());
        }
    }
    document
}
