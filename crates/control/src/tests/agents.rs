//! What targets want of agents that users lend them, as gateways tell it.

use super::house::*;
use sallyport_model::agent::{By, Outcome, Signature};
use sallyport_model::authority::{Call, Reply};
use sallyport_model::{Kind, SessionId};
use std::sync::Arc;

fn told(session: SessionId, outcome: Outcome, by: By) -> Call {
    Call::Signature(Signature {
        session,
        outcome,
        by,
        what: "sign in as `git`".into(),
        key: "SHA256:ab (ED25519)".into(),
        why: String::new(),
        times: 1,
    })
}

#[tokio::test]
async fn a_signature_without_a_question_is_allowed_where_the_limits_of_the_session_say_so_and_nowhere_else() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let asked = gateway.open("ada").await;
    for by in [By::Policy, By::Gateway] {
        let refused = denial(gateway.call(told(asked, Outcome::Allowed, by)).await);
        assert_eq!(refused.kind, Kind::Denied, "{by:?}: {refused}");
        assert!(refused.message.contains("must be asked"), "{refused}");
    }
    assert!(house.rows(&["agent.allowed"]).await.is_empty());
    assert!(matches!(gateway.call(told(asked, Outcome::Allowed, By::User)).await, Reply::Done(_)));
    assert!(matches!(gateway.call(told(asked, Outcome::Signed, By::User)).await, Reply::Done(_)));
    let rows = house.rows(&["agent.allowed", "agent.signed"]).await;
    let sentences: Vec<String> = rows.iter().map(|row| row.entry.sentence()).collect();
    let key = "sign in as `git`, with the key SHA256:ab (ED25519)";
    assert!(sentences.contains(&format!("ada let ops@web-1 have their agent {key}")), "{sentences:?}");
    assert!(sentences.contains(&format!("the agent of ada signed for ops@web-1, to {key}")), "{sentences:?}");
    assert!(rows.iter().all(|row| row.entry.session == Some(asked)));

    let mut files = checkout();
    let limit = "@limit @agent(\"unattended\") permit (principal, action, resource is Account);\n";
    files.push(file("agent.cedar", limit));
    house.control.apply(&house.admin(), &files, false).await.unwrap();
    let unattended = gateway.open("ada").await;
    assert!(matches!(gateway.call(told(unattended, Outcome::Allowed, By::Policy)).await, Reply::Done(_)));
    // What was opened before goes on under what it was opened with.
    let refused = denial(gateway.call(told(asked, Outcome::Allowed, By::Policy)).await);
    assert_eq!(refused.kind, Kind::Denied, "{refused}");
}

#[tokio::test]
async fn of_a_session_that_is_being_ended_or_is_anothers_no_signature_is_allowed() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    let other = house.gateway().await;
    assert_eq!(denial(other.call(told(session, Outcome::Allowed, By::User)).await).kind, Kind::Denied);
    house.control.kill(&house.admin(), session, "enough").await.unwrap();
    assert_eq!(denial(gateway.call(told(session, Outcome::Allowed, By::User)).await).kind, Kind::Denied);
    // What became of one that was allowed before is still told.
    assert!(matches!(gateway.call(told(session, Outcome::Failed, By::User)).await, Reply::Done(_)));
    assert!(matches!(gateway.call(gateway.close(session)).await, Reply::Done(_)));
    assert_eq!(denial(gateway.call(told(session, Outcome::Allowed, By::User)).await).kind, Kind::NotFound);
    assert!(house.rows(&["agent.allowed"]).await.is_empty());
}
