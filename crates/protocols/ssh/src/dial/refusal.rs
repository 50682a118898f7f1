//! Why there was no exchange of keys with a server, and what to do about it.

use super::Server;
use sallyport_gateway::spine::DialError;
use sallyport_model::Kind;
use sallyport_ssh_transport::negotiate::Gap;
use sallyport_ssh_transport::{Error, old};
use std::collections::BTreeSet;

/// What a person is told.
pub(super) fn of(server: &Server<'_>, error: Error) -> DialError {
    let (kind, what) = match error {
        Error::HostKey(_) => {
            (Kind::Denied, "shows a host key that is not pinned: no credential was sent to it".to_owned())
        }
        Error::HostCertificate(why) => {
            (Kind::Denied, format!("shows a host certificate that {why}. No credential was sent to it"))
        }
        Error::NoCommon(gaps) => {
            let advice = advice(server, &gaps);
            (Kind::Unavailable, format!("did not agree with us: {}{advice}", Error::NoCommon(gaps)))
        }
        error => (Kind::Unavailable, format!("did not agree with us: {error}")),
    };
    server.error(kind, what)
}

/// What helps where nothing is in common.
fn advice(server: &Server<'_>, gaps: &[Gap]) -> String {
    let accepts = server.accepts;
    if accepts.post_quantum && gaps.iter().any(|gap| gap.what == "key exchange") {
        return ". A post-quantum exchange is demanded of it, by `post_quantum` in its inventory file or by a policy's \
                `@post_quantum(\"both\")`: update its SSH server (OpenSSH 9.0 and later make one), or take the demand back"
            .into();
    }
    let ended = accepts.ended.map_or_else(String::new, |until| format!(". Its exception ended on {until}"));
    let Some(more) = old::closing(gaps) else {
        return format!("{ended}. No exception helps: it has nothing that is safe to use, so update its SSH server");
    };
    let names: BTreeSet<&str> = accepts.exceptions.iter().map(String::as_str).chain(more).collect();
    let names: Vec<_> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        "{ended}. Update its SSH server; until that is done `exceptions = {{ algorithms = [{}], reason = \"...\", until = \
         \"YYYY-MM-DD\" }}` in its inventory file (*Old algorithms by exception* in the portal) lets it be spoken to",
        names.join(", ")
    )
}
