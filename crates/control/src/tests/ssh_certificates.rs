//! Certificates that control makes: for one session, minutes long, and no more than it needs; and for people, to sign in.

use super::house::*;
use super::sign_in::by_hand;
use crate::directory::kinds;
use crate::{CaKeyState, CaStep, Control, HOST_CERTIFICATE, NewOwnCertificate, SshCa};
use sallyport_model::access::{From, LeaseKind};
use sallyport_model::authority::{AuthStep, Call, Certified, Evidence, Reply, SshProof};
use sallyport_model::way::Stop;
use sallyport_model::{CallId, Kind, LoginId, SessionId};
use sallyport_ssh_transport::auth;
use sallyport_ssh_transport::certificate::{self, Certificate, Contents, Holder, read};
use sallyport_ssh_transport::key::{self, HostKey};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const EXCHANGE: [u8; 32] = [5; 32];

/// A house whose account certificates open, with these lines of terms.
async fn house(terms: &str) -> Arc<House> {
    let house = House::founded().await;
    let account = format!("class = \"standard\"\ncertificate = {{ {terms} }}\n");
    let mut files = checkout();
    for file in &mut files {
        file.text = file.text.replace("class = \"standard\"\n", &account);
    }
    house.control.apply(&house.admin(), &files, false).await.unwrap();
    Arc::new(house)
}

fn certified(reply: Reply) -> Certified {
    match reply {
        Reply::Certified(certified) => certified,
        Reply::Denied(denial) => panic!("{denial}"),
        _ => panic!("misfit"),
    }
}

async fn shown(gateway: &Gateway, session: SessionId) -> (Certificate, Certified) {
    let made = certified(gateway.call(Call::Certify(session, EXCHANGE.to_vec(), Stop::Target)).await);
    (read(&made.certificate).unwrap(), made)
}

#[tokio::test]
async fn a_certificate_is_for_one_session_and_says_no_more_than_it_needs() {
    let house = house("").await;
    let gateway = house.gateway().await;
    let ask = gateway.ask(gateway.login("ada").await, "ops@web-1");
    let session = ask.session;
    let Reply::Opened(opened) = gateway.call(Call::Open(ask)).await else { panic!("denied") };
    assert_eq!(opened.lease, LeaseKind::SshCertificate);
    let (certificate, made) = shown(&gateway, session).await;
    let said = &certificate.contents;
    assert_eq!((said.holder, said.principals.as_slice()), (Holder::User, ["ops".to_owned()].as_slice()));
    assert_eq!(said.id, format!("sallyport {session} ada"));
    assert_eq!(said.before - said.after, 360, "five minutes from a minute ago");
    let now = u64::try_from(house.env.now().0 / 1_000_000).unwrap();
    assert!(said.after < now && now < said.before);
    assert!(said.critical.is_empty());
    assert_eq!(said.extensions, ["permit-pty"], "policy permits a shell, and no forward, agent or display");

    let cas = house.control.ssh_cas(&house.admin()).unwrap();
    assert_eq!(key::print(&certificate.authority).unwrap(), cas[0].keys[0].public);
    let algorithm = key::kind(&made.certificate).unwrap();
    let proof = auth::proof(&EXCHANGE, "ops", algorithm, &made.certificate);
    assert!(key::verify(&said.key, "ssh-ed25519", &made.signature, &proof).is_ok());
    let other = auth::proof(&[6; 32], "ops", algorithm, &made.certificate);
    assert!(key::verify(&said.key, "ssh-ed25519", &made.signature, &other).is_err(), "another exchange of keys");

    // What people look at says the same.
    let file = house.dir.path().join("session-cert.pub");
    std::fs::write(&file, key::print(&made.certificate).unwrap()).unwrap();
    let shown = Command::new("ssh-keygen").arg("-L").arg("-f").arg(&file).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for line in ["user certificate", &format!("Key ID: \"sallyport {session} ada\""), "permit-pty"] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    assert!(shown.contains(&format!("Serial: {}\n", said.serial)), "{shown}");
    assert_eq!(house.entries("credential.certified").await, 1);
}

#[tokio::test]
async fn what_an_account_says_of_its_certificates_is_in_them() {
    let terms =
        "principal = \"ops-role\", force_command = \"uptime\", source_addresses = [\"10.1.2.3/8\", \"192.0.2.7\"]";
    let house = house(terms).await;
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    let said = shown(&gateway, session).await.0.contents;
    assert_eq!(said.principals, ["ops-role"]);
    let critical = [("force-command", "uptime"), ("source-address", "10.0.0.0/8,192.0.2.7/32")];
    assert_eq!(said.critical, critical.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn a_forward_that_policy_may_permit_is_not_refused_by_the_certificate() {
    let house = house("").await;
    let mut files = checkout();
    for file in &mut files {
        file.text = file.text.replace("class = \"standard\"\n", "class = \"standard\"\ncertificate = {}\n").replace(
            "@id(\"ops-use-web\")",
            "@id(\"to-the-database\")\npermit (principal, action == Action::\"channel:forward_local\", resource)\n\
             when { context has destination && context.destination like \"127.0.0.1:*\" };\n@id(\"ops-use-web\")",
        );
    }
    house.control.apply(&house.admin(), &files, false).await.unwrap();
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    let said = shown(&gateway, session).await.0.contents;
    assert_eq!(said.extensions, ["permit-port-forwarding", "permit-pty"]);
}

#[tokio::test]
async fn nobody_gets_a_certificate_who_has_no_session_for_it() {
    let house = house("").await;
    let (gateway, other) = (house.gateway().await, house.gateway().await);
    let session = gateway.open("ada").await;
    let ask = |exchange: Vec<u8>| Call::Certify(session, exchange, Stop::Target);
    assert_eq!(denial(other.call(ask(EXCHANGE.to_vec())).await).kind, Kind::Denied);
    assert_eq!(denial(gateway.call(ask(vec![1; 7])).await).kind, Kind::Usage, "no hash is that long");
    assert_eq!(
        denial(gateway.call(Call::Password(session, Stop::Target)).await).kind,
        Kind::Failed,
        "there is no password"
    );
    // A call that is repeated is one use.
    let call = CallId::new(&house.env);
    let twice = [(); 2].map(|()| gateway.call_as(call, ask(EXCHANGE.to_vec())));
    let [one, two] = twice;
    let serial = |made: Certified| read(&made.certificate).unwrap().contents.serial;
    assert_eq!(serial(certified(one.await)), serial(certified(two.await)));
    assert_eq!(house.entries("credential.certified").await, 1);
    gateway.call(gateway.close(session)).await;
    assert_eq!(denial(gateway.call(ask(EXCHANGE.to_vec())).await).kind, Kind::NotFound);

    let stored = Arc::new(House::applied().await);
    let gateway = stored.gateway().await;
    let session = gateway.open("ada").await;
    assert_eq!(denial(gateway.call(Call::Certify(session, EXCHANGE.to_vec(), Stop::Target)).await).kind, Kind::Denied);
}

#[tokio::test]
async fn an_authority_changes_its_key_step_by_step() {
    let mut house = House::founded().await;
    let states = |house: &House| {
        let line = house.control.ssh_cas(&house.admin()).unwrap().remove(0);
        line.keys.iter().map(|key| (key.version, key.state)).collect::<Vec<_>>()
    };
    let step = async |house: &House, step| house.control.rotate_ssh_ca(&house.admin(), SshCa::Targets, step).await;
    let versions = |house: &House| {
        let open = house.control.opened().unwrap();
        open.store.working(|set| set.of_kind(kinds::VERSION).count())
    };
    let before = versions(&house);
    assert_eq!(states(&house), [(1, CaKeyState::Signs)]);
    assert_eq!(step(&house, CaStep::Activate).await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(step(&house, CaStep::Finish).await.unwrap_err().kind(), Kind::Conflict);
    step(&house, CaStep::Begin).await.unwrap();
    assert_eq!(states(&house), [(1, CaKeyState::Signs), (2, CaKeyState::Next)]);
    assert_eq!(step(&house, CaStep::Begin).await.unwrap_err().kind(), Kind::Conflict, "one at a time");
    step(&house, CaStep::Activate).await.unwrap();
    assert_eq!(states(&house), [(1, CaKeyState::Former), (2, CaKeyState::Signs)]);
    assert_eq!(versions(&house), before + 1);
    step(&house, CaStep::Finish).await.unwrap();
    assert_eq!(states(&house), [(2, CaKeyState::Signs)]);
    assert_eq!(versions(&house), before, "the former key is gone from the vault");
    house.control.seal(&house.admin()).await.unwrap();
    house.unseal().await;
    assert_eq!(states(&house), [(2, CaKeyState::Signs)]);
    assert_eq!(house.entries("ssh_ca.made").await, SshCa::ALL.len());
}

/// A certificate of a person, as it is made, and changed before it is signed.
#[tokio::test]
async fn only_a_certificate_of_ours_that_is_good_now_and_here_signs_in() {
    let (env, hand) = by_hand();
    let house = House::founded_with(env, None).await;
    house.furnish().await;
    let house = Arc::new(house);
    let gateway = house.gateway().await;
    let own = HostKey::from_seed(&[9; 32]).unwrap();
    let public = key::print(own.public()).unwrap();
    let ada = house.signed_in("ada").await;
    let ask = |life| NewOwnCertificate { public: public.clone(), life, networks: BTreeSet::new() };
    let late = house.env.now().plus(HOUR * 24);
    let (kept, line) = house.control.certify_own(&ada, ask(None), late).await.unwrap();
    assert_eq!(kept.expires.since(kept.made), HOUR * 8, "as long as the house permits");
    let soon = house.env.now().plus(HOUR);
    assert_eq!(
        house.control.certify_own(&ada, ask(None), soon).await.unwrap().0.expires,
        soon,
        "no longer than a token"
    );
    let good = read(&key::parse(&line).unwrap()).unwrap().contents;
    assert_eq!(
        (good.principals.as_slice(), good.id.as_str()),
        (["ada".to_owned()].as_slice(), "sallyport ada (token)")
    );

    let logs_in = async |blob: Vec<u8>| {
        let algorithm = "ssh-ed25519-cert-v01@openssh.com";
        let exchange: [u8; 32] = house.env.random();
        let signature = own.sign(&auth::proof(&exchange, "ada+ops@web-1", algorithm, &blob));
        let (user, algorithm) = ("ada+ops@web-1".to_owned(), algorithm.to_owned());
        let proof = Some(SshProof { exchange: exchange.to_vec(), user, algorithm, signature });
        let evidence = Evidence::SshKey { key: key::print(&blob).unwrap(), proof };
        let step = AuthStep { handle: Some("ada".parse().unwrap()), from: From(HERE), evidence, exchange: None };
        matches!(gateway.call(Call::AuthStep(LoginId::new(&house.env), step)).await, Reply::Authenticated(_))
    };
    let open = house.control.opened().unwrap();
    let sign = |ca, contents: &Contents| house.control.signer(&open, ca).unwrap().certify(contents, &[4; 32]).unwrap();
    assert!(logs_in(key::parse(&line).unwrap()).await);
    assert!(logs_in(sign(SshCa::People, &good)).await, "what is changed below is what refuses");
    let said = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let changed: [(&str, Contents); 8] = [
        ("an option that nobody knows", Contents { critical: said("verify-required", ""), ..good.clone() }),
        ("elsewhere", Contents { critical: said("source-address", "192.0.2.0/24"), ..good.clone() }),
        ("no network", Contents { critical: said("source-address", "everywhere"), ..good.clone() }),
        ("a host's", Contents { holder: Holder::Host, ..good.clone() }),
        ("another's name", Contents { principals: vec!["bob".into()], ..good.clone() }),
        ("every name", Contents { principals: Vec::new(), ..good.clone() }),
        ("a serial that nobody gave", Contents { serial: good.serial ^ 1, ..good.clone() }),
        ("over its time", Contents { before: good.after + 1, ..good.clone() }),
    ];
    for (what, contents) in changed {
        assert!(!logs_in(sign(SshCa::People, &contents)).await, "{what}");
    }
    assert!(!logs_in(sign(SshCa::Targets, &good)).await, "another authority of ours");
    let stranger = HostKey::from_seed(&[8; 32]).unwrap();
    let unsigned = good.unsigned(&[4; 32], stranger.public()).unwrap();
    let signature = stranger.sign(&unsigned);
    assert!(!logs_in(certificate::signed(unsigned, &signature)).await, "a stranger's");

    // A former key is believed, one that waits or is gone is not.
    let step = async |step| house.control.rotate_ssh_ca(&house.admin(), SshCa::People, step).await.unwrap();
    step(CaStep::Begin).await;
    step(CaStep::Activate).await;
    assert!(logs_in(key::parse(&line).unwrap()).await);
    step(CaStep::Finish).await;
    assert!(!logs_in(key::parse(&line).unwrap()).await, "its authority's key is gone");
    let again = sign(SshCa::People, &good);
    assert!(logs_in(again.clone()).await);
    hand.forward(HOUR * 9);
    assert!(!logs_in(again).await, "it is over its time");
    house.control.sweep().await.unwrap();
    assert_eq!(certificates(&house), 0, "and is cleared away");
}

fn certificates(house: &House) -> usize {
    let open = house.control.opened().unwrap();
    open.store.working(|set| set.of_kind(kinds::SSH_CERTIFICATE).count())
}

#[tokio::test]
async fn the_certificate_of_a_gateway_is_renewed_in_time_and_follows_its_authority() {
    let (env, hand) = by_hand();
    let house = House::founded_with(env, None).await;
    let shown = || {
        let line = std::fs::read_to_string(house.dir.path().join(HOST_CERTIFICATE)).unwrap();
        read(&key::parse(&line).unwrap()).unwrap()
    };
    let step = async |step| house.control.rotate_ssh_ca(&house.admin(), SshCa::Gateways, step).await.unwrap();
    let first = shown();
    assert_eq!((first.contents.holder, first.contents.principals[0].as_str()), (Holder::Host, "sallyport"));

    // It is by the key that signs: at once where another one does, and by one that only waits never.
    step(CaStep::Begin).await;
    assert_eq!((shown().contents.serial, house.control.status().ssh_cas_waiting), (first.contents.serial, 1));
    step(CaStep::Activate).await;
    let second = shown();
    assert_ne!(second.authority, first.authority);
    assert_eq!(second.contents.key, first.contents.key, "the host key itself stays");
    assert_eq!(house.control.status().ssh_cas_waiting, 0);
    step(CaStep::Finish).await;
    assert_eq!(shown().contents.serial, second.contents.serial);

    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    let pass = async |time| {
        hand.forward(time);
        house.control.provide_host_certificate().await.unwrap();
        shown().contents.serial
    };
    assert_eq!(pass(days(9)).await, second.contents.serial, "it is good for three more weeks");
    let third = pass(days(2)).await;
    assert_ne!(third, second.contents.serial, "under twenty days it is renewed");
    assert_eq!(house.control.status().host_certificate_late, None);
    // Where nobody renews it, that is told while it is still good.
    hand.forward(days(19));
    assert_eq!(house.control.status().host_certificate_late, None);
    hand.forward(days(2));
    let late = house.control.status().host_certificate_late.unwrap();
    assert!(late > house.env.now() && late < house.env.now().plus(days(10)), "{late}");
    assert_ne!(pass(days(0)).await, third);
    assert_eq!(house.control.status().host_certificate_late, None);
    assert_eq!(house.entries("gateway.host_certificate").await, 4);
}

#[tokio::test]
async fn a_gateway_is_certified_by_the_name_that_clients_are_told_and_anybody_signed_in_sees_its_key() {
    let house = House::founded().await;
    let control =
        Control::new(house.env.clone(), house.dir.path(), "node-1").with_ssh_host("gateway.example.net".into());
    let admin = house.admin();
    house.control.close().await;
    let key_file = std::fs::read(house.dir.path().join("keys/vault.key")).unwrap();
    control.unseal_with_key_file(&key_file).await.unwrap();
    let line = std::fs::read_to_string(house.dir.path().join(HOST_CERTIFICATE)).unwrap();
    let said = read(&key::parse(&line).unwrap()).unwrap().contents;
    assert_eq!(said.principals, ["sallyport", "localhost", "gateway.example.net"]);
    let told = control.host_key(&admin).unwrap();
    assert_eq!((told.names, key::parse(&told.public).unwrap()), (said.principals, said.key));
    assert_eq!(told.authority.len(), 1);
}

#[tokio::test]
async fn staff_with_the_right_revoke_anothers_certificate_and_figures_count_it() {
    let house = Arc::new(House::applied().await);
    let own = HostKey::from_seed(&[9; 32]).unwrap();
    let public = key::print(own.public()).unwrap();
    let (ada, bob, admin) = (house.signed_in("ada").await, house.signed_in("bob").await, house.admin());
    let ask = || NewOwnCertificate { public: public.clone(), life: None, networks: BTreeSet::new() };
    let late = house.env.now().plus(HOUR);
    let (kept, _) = house.control.certify_own(&ada, ask(), late).await.unwrap();
    let (other, _) = house.control.certify_own(&ada, ask(), late).await.unwrap();
    let handle = "ada".parse().unwrap();
    assert_eq!(house.control.certificates_of(&bob, &handle).unwrap_err().kind(), Kind::Denied);
    let refused = house.control.revoke_certificate_of(&bob, &handle, kept.serial).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Denied);
    let refused = house.control.revoke_own_certificate(&bob, kept.serial).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound, "it is another's");
    assert_eq!(house.control.certificates_of(&admin, &handle).unwrap().len(), 2);
    house.control.revoke_certificate_of(&admin, &handle, kept.serial).await.unwrap();
    let left = house.control.certificates_of(&admin, &handle).unwrap();
    assert_eq!(left.iter().map(|one| one.serial).collect::<Vec<_>>(), [other.serial]);
    let told = house.rows(&["ssh_certificate.revoked"]).await.remove(0).entry.sentence();
    assert_eq!(told, format!("admin revoked the SSH certificate {} of ada", kept.serial));
    let figures = house.control.figures();
    for line in [
        "sallyport_ssh_certificates_total{authority=\"people\"} 2",
        "sallyport_ssh_certificates_total{authority=\"gateways\"} 1",
        "sallyport_ssh_certificates_revoked_total 1",
        "sallyport_ssh_certificates_live 1",
    ] {
        assert!(figures.contains(line), "{line}: {figures}");
    }
}
