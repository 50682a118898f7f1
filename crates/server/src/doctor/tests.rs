use super::{Level, certificate, ssh_certificates, unobserved};
use crate::config::Config;
use crate::edge::Tls;
use rcgen::{CertificateParams, KeyPair};
use sallyport_wire::Status;
use serde_json::{Value, json};
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// The status of a server that is well, but for this.
fn status(but: &Value) -> Status {
    let mut status = json!({
        "version": "0", "sealed": false, "entries": 1, "gateways": 1, "sessions": 2, "anchors": 0, "anchors_late": 0,
        "frozen": false, "quarantined": 0, "pulse": "well", "space": "fine",
    });
    for (name, value) in but.as_object().into_iter().flatten() {
        status[name] = value.clone();
    }
    serde_json::from_value(status).unwrap()
}

/// A certificate in a file, which ends in so many days.
fn ends_in(home: &Path, days: i64) -> Config {
    let mut params = CertificateParams::new(vec!["pam.example.org".into()]).unwrap();
    let now = OffsetDateTime::now_utc();
    // An hour more: it is looked at later than now.
    (params.not_before, params.not_after) = (now - Duration::days(100), now + Duration::days(days) + Duration::HOUR);
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let (cert, key) = (home.join("cert.pem"), home.join("key.pem"));
    std::fs::write(&cert, made.pem()).unwrap();
    let mut config = Config::default();
    config.api.tls = Tls::Files { cert, key };
    config
}

#[test]
fn the_certificate_in_a_file_is_told_by_the_days_that_it_has_left() {
    let home = tempfile::tempdir().unwrap();
    for (days, level, told) in [
        (90, Level::Ok, "is good for 90 days"),
        (21, Level::Ok, "is good for 21 days"),
        (20, Level::Risk, "ends in 20 days"),
        (0, Level::Risk, "ends in 0 days"),
        (-2, Level::Wrong, "is over its time"),
    ] {
        let found = certificate(&ends_in(home.path(), days));
        assert!(found.level == level && found.what.ends_with(told), "{days}: {found:?}");
        assert_eq!(found.advice.is_empty(), level == Level::Ok, "{found:?}");
    }
    let config = ends_in(home.path(), 90);
    std::fs::write(home.path().join("cert.pem"), "no certificate").unwrap();
    let found = certificate(&config);
    assert!(found.level == Level::Wrong && found.what.contains("there is no certificate in it"), "{found:?}");
}

#[test]
fn ssh_certificates_are_told_of_where_something_is_left_undone() {
    assert!(ssh_certificates(&status(&Value::Null)).is_empty());
    let late = "2027-01-31T00:00:00.000Z";
    let found = ssh_certificates(&status(&json!({ "ssh_cas_waiting": 2, "host_certificate_late": late })));
    let [waiting, ended] = found.as_slice() else { unreachable!("{found:?}") };
    assert_eq!((waiting.level, ended.level), (Level::Risk, Level::Wrong));
    assert!(waiting.what.contains("the next key of 2 SSH authorities waits"), "{waiting:?}");
    assert!(waiting.advice.contains("rotate-ca NAME activate"), "{waiting:?}");
    assert!(ended.what.contains(late) && !ended.advice.is_empty(), "{ended:?}");
}

#[test]
fn sessions_that_nobody_looks_on_at_are_told_of() {
    let told = |waiting: u32| unobserved(&status(&json!({ "sessions_waiting": waiting })));
    assert!(told(0).is_none());
    assert_eq!(told(1).unwrap().what, "1 session waits for an observer");
    let three = told(3).unwrap();
    assert_eq!((three.level, three.what.as_str()), (Level::Risk, "3 sessions wait for an observer"));
}
