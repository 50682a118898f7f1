//! How keys were exchanged with a client, held against what the policies demand of it.

use sallyport_model::Limits;
use sallyport_ssh_transport::negotiate::Method;

/// Why a session with these limits is refused to a client with whom keys were exchanged by this method, where it is. One
/// whose method is not known has none that would do.
pub(crate) fn wrong(limits: &Limits, method: Option<&str>) -> Option<String> {
    let fits = |name| Method::ALL.into_iter().any(|known| known.post_quantum() && known.name() == name);
    if !limits.post_quantum.client() || method.is_some_and(fits) {
        return None;
    }
    let spoke = method.map_or_else(
        || "which came through the portal or the API, where no exchange is known".to_owned(),
        |method| format!("which spoke `{method}`"),
    );
    Some(format!(
        "policy demands a post-quantum key exchange of the client's leg, {spoke}: connect with an SSH client that speaks \
         `{}` or `{}`, such as that of OpenSSH 9.0 and later",
        Method::MlKem768X25519.name(),
        Method::Sntrup761X25519.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sallyport_model::limits::Legs;

    #[test]
    fn whoever_must_speak_post_quantum_and_does_not_is_told_what_does() {
        let demanding = |post_quantum| Limits { post_quantum, ..Limits::house() };
        for legs in [Legs::Client, Legs::Both] {
            let told = |method| wrong(&demanding(legs), method);
            for fits in ["mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"] {
                assert_eq!(told(Some(fits)), None);
            }
            let classic = told(Some("curve25519-sha256")).unwrap();
            assert!(classic.contains("the client's leg, which spoke `curve25519-sha256`"), "{classic}");
            let wanted = "speaks `mlkem768x25519-sha256` or `sntrup761x25519-sha512`, such as that of OpenSSH 9.0";
            assert!(classic.contains(wanted), "{classic}");
            assert!(told(None).unwrap().contains("came through the portal"));
            // Not ours to judge, and so nothing that would do.
            assert!(told(Some("mlkem768x25519-sha256,")).is_some() && told(Some("")).is_some());
        }
        for method in [None, Some("curve25519-sha256"), Some("mlkem768x25519-sha256")] {
            assert_eq!(wrong(&demanding(Legs::None), method), None);
        }
    }
}
