//! Headers of every answer: what a browser must not do with it.

use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::response::Response;
use sallyport_control::Site;

/// What pages of this site may load and do: their own files, their own API, and nothing written into them.
const CONTENT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'";

/// What an answer gets that has not said it itself.
const ALWAYS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, CONTENT),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=(), publickey-credentials-get=(self), \
         publickey-credentials-create=(self), clipboard-read=(self), clipboard-write=(self)",
    ),
];

/// Two years, as browsers want it for their list.
const TLS_ONLY: &str = "max-age=63072000";

/// What a browser may make of a file that people made, whatever it is: nothing.
pub(crate) const SANDBOX: &str = "sandbox; default-src 'none'";

/// Has a browser save an answer under a name, as far as one is safe (RFC 6266, RFC 8187).
pub(crate) fn attachment(name: &str) -> HeaderValue {
    // What turns text around could make one ending look like another.
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '/' | '\\' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let name: String = name.chars().map(|c| if odd(c) { '_' } else { c }).collect();
    let plain: String = name.chars().map(|c| if c.is_ascii() && !matches!(c, '"' | '%') { c } else { '_' }).collect();
    let mut extended = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            extended.push(char::from(byte));
        } else {
            extended.push_str(&format!("%{byte:02X}"));
        }
    }
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// The headers of this installation.
#[derive(Clone)]
pub(crate) struct Headers {
    secure: bool,
}

impl Headers {
    /// For answers of a site.
    pub(crate) const fn of(site: &Site) -> Self {
        Self { secure: site.secure() }
    }
}

/// Adds them to an answer.
pub(crate) async fn add(State(headers): State<Headers>, mut answer: Response) -> Response {
    let known = answer.headers_mut();
    for (name, value) in ALWAYS {
        known.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if headers.secure {
        known.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ONLY));
    }
    answer
}
