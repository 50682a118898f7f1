//! Post-quantum exchanges of keys that policy demands: of the client's leg, and of those towards the target.

use super::house::*;
use crate::{ApplyFile, Asked};
use sallyport_model::access::Denial;
use sallyport_model::authority::{Call, Opened, Reply};
use sallyport_model::limits::Legs;
use sallyport_model::{AuthId, Kind};
use sallyport_policy::Act;
use std::sync::Arc;

const QUANTUM: &str = "mlkem768x25519-sha256";

/// The sample files with a jump host before `web-1`, where everything is bound by this.
fn files(legs: &str) -> Vec<ApplyFile> {
    let mut files = checkout();
    files[0].text = files[0].text.replace("tags = [\"web\"]\n", "tags = [\"web\"]\nvia = \"ops@outer\"\n");
    files[0].text.push_str(
        "[[target]]\nname = \"outer\"\nhost = \"10.0.0.7\"\nenvironment = \"demo\"\ntier = 1\nhost_keys = [\"ssh-ed25519 \
         AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\"]\n[[target.account]]\nname = \"ops\"\n\
         class = \"standard\"\ncertificate = {}\n",
    );
    let limit = format!("@limit @post_quantum(\"{legs}\") permit (principal, action, resource is Account);\n");
    files.push(file("quantum.cedar", &limit));
    files
}

async fn open(gateway: &Gateway, who: AuthId) -> Result<Opened, Denial> {
    match gateway.call(Call::Open(gateway.ask(who, "ops@web-1"))).await {
        Reply::Opened(opened) => Ok(*opened),
        reply => Err(denial(reply)),
    }
}

#[tokio::test]
async fn a_demand_of_policy_holds_for_the_clients_leg_and_goes_along_to_the_targets() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    house.control.apply(&house.admin(), &files("client"), false).await.unwrap();
    let opened = open(&gateway, gateway.login_over("ada", Some(QUANTUM)).await).await.unwrap();
    assert_eq!(opened.terms.limits.post_quantum, Legs::Client);
    let place = &opened.terms.place;
    assert!(!place.accepts.post_quantum && !place.hops[0].accepts.post_quantum, "the client's leg alone");

    for (spoke, wanted) in [
        (
            Some("curve25519-sha256"),
            "of the client's leg, which spoke `curve25519-sha256`: connect with an SSH client that",
        ),
        (None, "of the client's leg, which came through the portal or the API"),
    ] {
        let refused = open(&gateway, gateway.login_over("ada", spoke).await).await.err().unwrap();
        assert_eq!(refused.kind, Kind::Denied);
        assert!(refused.message.contains("ops@web-1 is yours to use, but policy demands"), "{refused}");
        assert!(refused.message.contains(wanted) && refused.message.contains(QUANTUM), "{refused}");
    }
    let rows = house.rows(&["session.denied"]).await;
    assert!(rows[0].entry.fact("why").contains("which spoke `curve25519-sha256`"), "{:?}", rows[0].entry);
    // Whom no policy lets in learns nothing of it.
    let refused = open(&gateway, gateway.login_over("bob", None).await).await.err().unwrap();
    assert_eq!(refused, Denial::unknown());

    house.control.apply(&house.admin(), &files("both"), false).await.unwrap();
    let opened = open(&gateway, gateway.login_over("ada", Some(QUANTUM)).await).await.unwrap();
    let place = opened.terms.place;
    assert!(place.accepts.post_quantum && place.hops[0].accepts.post_quantum, "every leg");
    let (ada, address) = ("ada".parse().unwrap(), "ops@web-1".parse().unwrap());
    let why = house.control.why(&house.admin(), Some(&ada), &Asked::of(&address, Act::Connect)).unwrap();
    let told = format!("{:?}", why.explanation);
    assert!(told.contains("post_quantum") && told.contains("both"), "{told}");
}
