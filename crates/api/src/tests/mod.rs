//! The API's description is a golden: a change is a reviewed diff. What it refuses is not quoted.

use crate::body::in_time;
use crate::problem::unquoted;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use sallyport_wire as wire;

#[test]
fn openapi_is_the_reviewed_one() {
    expect_test::expect_file!["openapi.json"].assert_eq(&crate::openapi());
}

#[test]
fn what_does_not_fit_is_never_quoted() {
    for body in [
        r#"{"pkcs11": "hunter2 , expected hunter2"}"#,
        r#"{"hunter2": 1}"#,
        r#"{"passphrase": ["hunter2"]}"#,
        r#""hunter2""#,
        r#"{"pkcs11": {"hunter2": 1}}"#,
    ] {
        let error = serde_json::from_str::<wire::Unseal>(body).err().unwrap().to_string();
        let told = unquoted(&format!("Failed to deserialize the JSON body into the target type: {error}"));
        assert!(!told.contains("hunter2") && told.starts_with("expected "), "{error}: {told}");
    }
    let error = serde_json::from_str::<wire::Share>("{}").err().unwrap().to_string();
    assert_eq!(unquoted(&error), "missing field `share` at line 1 column 2");
    assert_eq!(unquoted("hunter2"), "see /api/v1/openapi.json");
}

#[tokio::test]
async fn a_body_that_does_not_go_on_is_cut_off() {
    let whole = in_time(Request::new(Body::from("all of it"))).await;
    assert_eq!(to_bytes(whole.into_body(), 100).await.unwrap(), "all of it");
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<&str, std::io::Error>>(2);
    sender.send(Ok("a begin")).await.unwrap();
    let pieces =
        futures_util::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    let slow = crate::body::within(Request::new(Body::from_stream(pieces)), std::time::Duration::from_millis(50), None);
    let error = to_bytes(slow.into_body(), 100).await.unwrap_err();
    assert!(error.to_string().contains("too slowly"), "{error}");
    drop(sender);
}

#[test]
fn a_name_that_is_saved_under_misleads_nobody() {
    for (name, wanted) in [
        ("plain.txt", "attachment; filename=\"plain.txt\"; filename*=UTF-8''plain.txt"),
        ("a \"b\".sh", "attachment; filename=\"a _b_.sh\"; filename*=UTF-8''a%20%22b%22.sh"),
        ("t\u{fc}r\r\nX: y", "attachment; filename=\"t_r__X: y\"; filename*=UTF-8''t%C3%BCr__X%3A%20y"),
        // Turned around it would read as a picture.
        ("gpj\u{202e}exe.", "attachment; filename=\"gpj_exe.\"; filename*=UTF-8''gpj_exe."),
        ("../up\\there", "attachment; filename=\".._up_there\"; filename*=UTF-8''.._up_there"),
        ("", "attachment; filename=\"\"; filename*=UTF-8''"),
    ] {
        assert_eq!(crate::headers::attachment(name), wanted, "{name:?}");
    }
}
