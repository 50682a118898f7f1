use super::*;
use crate::certificate::{Contents, signed};
use crate::key::HostKey;

fn made(change: impl FnOnce(&mut Contents)) -> Vec<u8> {
    let authority = HostKey::from_seed(&[7; 32]).unwrap();
    let mut contents = Contents {
        key: HostKey::from_seed(&[9; 32]).unwrap().public().to_vec(),
        serial: 1,
        holder: Holder::Host,
        id: "web-1".into(),
        principals: vec!["web-1.example.org".into()],
        after: 1_000,
        before: 2_000,
        critical: Vec::new(),
        extensions: Vec::new(),
    };
    change(&mut contents);
    let unsigned = contents.unsigned(&[3; 32], authority.public()).unwrap();
    let signature = authority.sign(&unsigned);
    signed(unsigned, &signature)
}

fn judged(blob: &[u8], seed: u8, now: u64) -> Result<Vec<u8>, Unbelieved> {
    let keys = vec![HostKey::from_seed(&[seed; 32]).unwrap().public().to_vec()];
    let names = vec!["10.0.0.7".into(), "Web-1.example.org".into()];
    Authorities { keys, names, now: Arc::new(move || now) }.judge(blob)
}

#[test]
fn a_certificate_is_believed_of_its_host_in_its_time_from_a_listed_authority_and_no_other() {
    let key = HostKey::from_seed(&[9; 32]).unwrap().public().to_vec();
    assert_eq!(judged(&made(|_| {}), 7, 1_500), Ok(key));
    assert_eq!(judged(&made(|_| {}), 8, 1_500), Err(Unbelieved::Foreign));
    assert_eq!(judged(&made(|c| c.holder = Holder::User), 7, 1_500), Err(Unbelieved::User));
    for (now, fine) in [(999, false), (1_000, true), (1_999, true), (2_000, false)] {
        assert_eq!(judged(&made(|_| {}), 7, now).is_ok(), fine, "{now}");
    }
    let other = made(|c| c.principals = vec!["web-2.example.org".into(), "*.example.org".into()]);
    let names = "web-2.example.org, *.example.org".to_owned();
    assert_eq!(judged(&other, 7, 1_500), Err(Unbelieved::Names(names)));
    assert_eq!(judged(&made(|c| c.principals.clear()), 7, 1_500), Err(Unbelieved::Names(String::new())));
    let critical = made(|c| c.critical = vec![("force-command".into(), "true".into())]);
    assert_eq!(judged(&critical, 7, 1_500), Err(Unbelieved::Critical));
    let mut altered = made(|_| {});
    *altered.last_mut().unwrap() ^= 1;
    assert_eq!(judged(&altered, 7, 1_500), Err(Unbelieved::Unreadable));
}
