//! How keys were exchanged with a client, held against what the policies demand of it.

use sallyport_model::Limits;
use sallyport_ssh_transport::negotiate::Method;

/// Why a session with these limits is refused to a client with whom keys were exchanged by this method, where it is. One
/// whose method is not known has none that would do.
pub(crate) fn wrong(limits: &Limits, method: Option<&str>) -> Option<String> {
    let fits = Method::ALL.into_iter().filter(|known| known.post_quantum()).map(Method::name);
    if !limits.post_quantum.client() || fits.clone().any(|name| Some(name) == method) {
        return None;
    }
    let spoke = method.map_or_else(
        || "which came through the portal or the API, where no exchange is known".to_owned(),
        |method| format!("which spoke `{method}`"),
    );
    Some(format!(
        "policy demands a post-quantum key exchange of the client's leg, {spoke}: connect with an SSH client that speaks \
         `{}`, such as that of OpenSSH 9.9 and later (`sntrup761x25519-sha512` of earlier ones is not spoken here)",
        fits.collect::<Vec<_>>().join("` or `")
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
            assert_eq!(told(Some("mlkem768x25519-sha256")), None);
            let classic = told(Some("curve25519-sha256")).unwrap();
            assert!(classic.contains("the client's leg, which spoke `curve25519-sha256`"), "{classic}");
            assert!(classic.contains("`mlkem768x25519-sha256`, such as that of OpenSSH 9.9"), "{classic}");
            assert!(told(None).unwrap().contains("came through the portal"));
            // Not ours to judge, and so nothing that would do.
            assert!(told(Some("mlkem768x25519-sha256,")).is_some() && told(Some("")).is_some());
        }
        for method in [None, Some("curve25519-sha256"), Some("mlkem768x25519-sha256")] {
            assert_eq!(wrong(&demanding(Legs::None), method), None);
        }
    }
}
