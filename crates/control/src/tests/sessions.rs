//! The life of a session, seen from control.

use super::house::*;
use crate::{Asked, Error, Op, SessionsWanted};
use sallyport_model::access::{Channel, LeaseKind};
use sallyport_model::authority::{AuthStep, Call, Evidence, OpenChannel, PASSWORD_INFO, Reply, SshProof};
use sallyport_model::way::Stop;
use sallyport_model::{CallId, GatewayId, Kind, LoginId, SessionId};
use sallyport_policy::Act;
use sallyport_ssh_transport::auth;
use sallyport_ssh_transport::key::{self, HostKey};
use std::sync::Arc;

#[tokio::test]
async fn from_sign_in_to_close_each_step_is_an_entry() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    assert!(matches!(gateway.call(gateway.channel(session, Channel::Shell)).await, Reply::Done(_)));
    let Reply::Password(sealed) = gateway.call(Call::Password(session, Stop::Target)).await else {
        panic!("no password")
    };
    let password = gateway.private.open(PASSWORD_INFO, session.as_bytes(), &sealed).unwrap();
    assert_eq!(password.expose(), PASSWORD.as_bytes());
    assert!(matches!(gateway.call(gateway.close(session)).await, Reply::Done(_)));
    for (action, count) in [("session.opened", 1), ("channel.opened", 1), ("credential.lent", 1), ("session.closed", 1)]
    {
        assert_eq!(house.entries(action).await, count, "{action}");
    }
    assert_eq!(house.control.status().sessions, 0);
    assert_eq!(
        denial(gateway.call(Call::Password(session, Stop::Target)).await).kind,
        Kind::NotFound,
        "a closed session lends nothing"
    );
}

#[tokio::test]
async fn the_permit_carries_limits_place_and_the_policy_that_decided() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let ask = gateway.ask(gateway.login("ada").await, "ops@web-1");
    let Reply::Opened(opened) = gateway.call(Call::Open(ask)).await else { panic!("denied") };
    assert_eq!(opened.terms.limits.max_duration, 3600);
    assert_eq!(opened.terms.place.port, 22);
    assert_eq!(opened.terms.place.grace, 60, "tier 1");
    assert!(opened.terms.determining.iter().any(|p| p.contains("ops-use-web")));
    assert_eq!(opened.lease, LeaseKind::Password);
}

#[tokio::test]
async fn the_invisible_and_the_unknown_get_the_same_answer() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let who = gateway.login("bob").await;
    let hidden = denial(gateway.call(Call::Open(gateway.ask(who, "ops@web-1"))).await);
    let unknown = denial(gateway.call(Call::Open(gateway.ask(who, "ops@web-9"))).await);
    let account = denial(gateway.call(Call::Open(gateway.ask(who, "root@web-1"))).await);
    assert_eq!(hidden, unknown);
    assert_eq!(hidden, account);
    assert_eq!(house.entries("session.denied").await, 3);
}

#[tokio::test]
async fn a_repeated_call_has_one_effect_and_the_same_answer() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let ask = gateway.ask(gateway.login("ada").await, "ops@web-1");
    let (id, session) = (CallId::new(&house.env), ask.session);
    let Reply::Opened(first) = gateway.call_as(id, Call::Open(ask.clone())).await else { panic!("denied") };
    let Reply::Opened(second) = gateway.call_as(id, Call::Open(ask.clone())).await else { panic!("denied") };
    assert_eq!(first.terms, second.terms);
    assert_eq!(house.entries("session.opened").await, 1);
    assert_eq!(denial(gateway.call(Call::Open(ask)).await).kind, Kind::Conflict, "the same session under another call");
    let close = CallId::new(&house.env);
    let Reply::Done(first) = gateway.call_as(close, gateway.close(session)).await else { panic!("not closed") };
    let Reply::Done(second) = gateway.call_as(close, gateway.close(session)).await else { panic!("not closed") };
    assert_eq!(first, second);
    assert_eq!(house.entries("session.closed").await, 1);
}

#[tokio::test]
async fn a_sign_in_serves_its_gateway_alone_and_an_offer_is_no_factor() {
    let house = Arc::new(House::applied().await);
    let (one, other) = (house.gateway().await, house.gateway().await);
    let who = one.login("ada").await;
    assert_eq!(denial(other.call(Call::Open(other.ask(who, "ops@web-1"))).await).kind, Kind::Denied);
    let mut elsewhere = one.ask(who, "ops@web-1");
    elsewhere.ask.from = sallyport_model::access::From("192.0.2.9".parse().unwrap());
    assert_eq!(denial(one.call(Call::Open(elsewhere)).await).kind, Kind::Denied);

    let own = HostKey::from_seed(&[3; 32]).unwrap();
    let key = &key::print(own.public()).unwrap();
    let files: Vec<_> = checkout()
        .into_iter()
        .map(|f| {
            file(
                &f.name,
                &f.text.replace("groups = [\"ops\"]", &format!("groups = [\"ops\"]\nssh_keys = [\"{key} ada@home\"]")),
            )
        })
        .collect();
    house.control.apply(&house.admin(), &files, false).await.unwrap();
    let step = |proof: Option<SshProof>, handle: Option<&str>| AuthStep {
        handle: handle.map(|h| h.parse().unwrap()),
        from: sallyport_model::access::From(HERE),
        evidence: Evidence::SshKey { key: key.clone(), proof },
        exchange: None,
    };
    let signed = |exchange: u8, user: &str| {
        let signature = own.sign(&auth::proof(&[exchange; 32], user, "ssh-ed25519", own.public()));
        let (user, algorithm) = (user.to_owned(), "ssh-ed25519".to_owned());
        Some(SshProof { exchange: vec![exchange; 32], user, algorithm, signature })
    };
    let call = async |login, proof, handle: Option<&str>| one.call(Call::AuthStep(login, step(proof, handle))).await;
    let login = || LoginId::new(&house.env);
    assert!(matches!(call(login(), None, None).await, Reply::More));
    let first = login();
    assert!(matches!(call(first, signed(1, "ops@web-1"), None).await, Reply::Authenticated(_)));
    assert!(matches!(call(first, signed(1, "ops@web-1"), None).await, Reply::Authenticated(_)), "a reply was lost");
    assert!(matches!(call(login(), signed(2, "ada+ops@web-1"), Some("ada")).await, Reply::Authenticated(_)));
    let denied = async |proof, handle| denial(call(login(), proof, handle).await).kind;
    assert_eq!(denied(signed(3, "bob+ops@web-1"), Some("bob")).await, Kind::Denied, "another's handle");
    // A gateway that says more than its client has signed is not believed.
    assert_eq!(denied(signed(4, "ops@web-1"), Some("ada")).await, Kind::Denied, "a handle that was not signed");
    assert_eq!(denied(signed(1, "ops@web-1"), None).await, Kind::Denied, "a proof that served another login");
    let unsigned = signed(5, "ops@web-1").map(|proof| SshProof { signature: Vec::new(), ..proof });
    assert_eq!(denied(unsigned, None).await, Kind::Denied, "no signature");
    let moved = signed(6, "ops@web-1").map(|proof| SshProof { exchange: vec![7; 32], ..proof });
    assert_eq!(denied(moved, None).await, Kind::Denied, "another exchange of keys");
    let short = own.sign(&auth::proof(&[8; 4], "ops@web-1", "ssh-ed25519", own.public()));
    let short = signed(8, "ops@web-1").map(|proof| SshProof { exchange: vec![8; 4], signature: short, ..proof });
    assert_eq!(denied(short, None).await, Kind::Denied, "no hash is that short");
}

#[tokio::test]
async fn another_gateway_cannot_use_close_or_extend_a_session() {
    let house = Arc::new(House::applied().await);
    let (one, other) = (house.gateway().await, house.gateway().await);
    let session = one.open("ada").await;
    for call in [Call::Password(session, Stop::Target), other.channel(session, Channel::Shell), other.close(session)] {
        assert_eq!(denial(other.call(call).await).kind, Kind::Denied);
    }
    assert_eq!(house.entries("credential.lent").await, 0);
    let thief = Gateway::join(house.clone(), GatewayId::new(&house.env), vec![session]).await;
    house.control.kill(&house.admin(), session, "drill").await.unwrap();
    assert!(thief.orders.lock().unwrap().is_empty(), "orders of a session went to a gateway that only claims it");
    assert_eq!(one.orders.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn each_channel_is_an_action_of_its_own() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    for kind in Channel::ALL {
        let permitted = matches!(gateway.call(gateway.channel(session, kind)).await, Reply::Done(_));
        assert_eq!(permitted, matches!(kind, Channel::Shell | Channel::Exec), "{}", kind.action());
    }
    assert_eq!(house.entries("channel.denied").await, Channel::ALL.len() - 2);
}

#[tokio::test]
async fn a_channel_that_the_gateway_does_not_carry_is_an_entry_and_opens_nothing() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    let Call::Channel(ask) = gateway.channel(session, Channel::Shell) else { panic!("misfit") };
    let refused = Call::Channel(OpenChannel { refused: Some("a later version brings it".into()), ..ask });
    assert!(matches!(gateway.call(refused).await, Reply::Denied(_)), "policy would permit it");
    let rows = house.rows(&["channel.denied", "channel.opened"]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].entry.fact("why"), "a later version brings it");
}

#[tokio::test]
async fn a_session_that_policy_no_longer_permits_is_revoked() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    let unrelated = [
        checkout(),
        vec![file("c.cedar", "permit (principal in Group::\"dba\", action == Action::\"see\", resource);")],
    ]
    .concat();
    assert_eq!(house.control.apply(&house.admin(), &unrelated, false).await.unwrap().revoked, 0);
    let without = vec![checkout().remove(0)];
    assert_eq!(house.control.apply(&house.admin(), &without, false).await.unwrap().revoked, 1);
    let orders = gateway.orders.lock().unwrap().clone();
    assert_eq!(orders, [format!("revoke {session} policy no longer permits it")]);
    assert_eq!(denial(gateway.call(gateway.channel(session, Channel::Exec)).await).kind, Kind::Denied);
}

#[tokio::test]
async fn kill_and_watch_need_their_rights_and_leave_entries() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    let (ada, admin) = (house.signed_in("ada").await, house.admin());
    assert_eq!(house.control.kill(&ada, session, "").await.err().unwrap().kind(), Kind::Denied);
    assert_eq!(house.control.watch(&ada, session).await.err().unwrap().kind(), Kind::Denied);
    house.control.kill(&admin, session, "maintenance").await.unwrap();
    assert_eq!(house.entries("session.killed").await, 1);
    assert!(gateway.orders.lock().unwrap()[0].contains("maintenance"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_killed_while_it_closes_is_closed() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let admin = house.admin();
    for _ in 0..20 {
        let session = gateway.open("ada").await;
        // In this order the kill is in the same batch, before the close.
        let (_, closed) = tokio::join!(house.control.kill(&admin, session, ""), gateway.call(gateway.close(session)));
        assert!(matches!(closed, Reply::Done(_)), "a gateway that is refused here does not ask again");
    }
    assert_eq!(house.entries("session.closed").await, 20);
    let live = SessionsWanted { live: true, limit: 100, ..SessionsWanted::default() };
    assert!(house.control.sessions(&admin, &live).await.unwrap().lines.is_empty());
}

#[tokio::test]
async fn a_session_is_ended_even_if_its_gateway_was_away() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let (killed, revoked) = (gateway.open("ada").await, gateway.open("ada").await);
    sallyport_model::authority::Desk::leave(&*house.control, gateway.id);
    house.control.kill(&house.admin(), killed, "maintenance").await.unwrap();
    house.control.apply(&house.admin(), &[checkout().remove(0)], false).await.unwrap();
    assert!(gateway.orders.lock().unwrap().is_empty(), "nobody was there to hear it");

    let back = Gateway::join(house.clone(), gateway.id, vec![killed, revoked]).await;
    let orders = back.orders.lock().unwrap().clone();
    assert_eq!(orders.len(), 2, "{orders:?}");
    assert!(orders.iter().any(|order| order.starts_with(&format!("kill {killed}"))), "{orders:?}");
    assert!(orders.iter().any(|order| order.starts_with(&format!("revoke {revoked}"))), "{orders:?}");
    assert_eq!(
        denial(back.call(Call::Password(killed, Stop::Target)).await).kind,
        Kind::Denied,
        "it uses no credential any more"
    );
    assert_eq!(denial(back.call(back.channel(killed, Channel::Exec)).await).kind, Kind::Denied);
    assert!(matches!(back.call(back.close(killed)).await, Reply::Done(_)), "but it can be closed");
}

/// A database that stalls: the gateway no longer waits for its session, or has died, and then it begins all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_begins_late_is_ended_by_whoever_asked_for_it_or_comes_after() {
    use sallyport_model::authority::{Desk as _, Hello, VERSION};
    use sqlx::Connection as _;
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let asks =
        [gateway.ask(gateway.login("ada").await, "ops@web-1"), gateway.ask(gateway.login("ada").await, "ops@web-1")];
    let [early, late] = [asks[0].session, asks[1].session];
    let path = format!("sqlite:{}", house.dir.path().join("sallyport.db").display());
    let mut lock = sqlx::SqliteConnection::connect(&path).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
    let opens = asks.map(|ask| {
        let (house, id) = (house.clone(), gateway.id);
        tokio::spawn(async move { house.control.call(id, CallId::new(&house.env), Call::Open(ask)).await })
    });
    while !(house.control.live.is_opening(early) && house.control.live.is_opening(late)) {
        tokio::task::yield_now().await;
    }
    let told = denial(gateway.call(gateway.close(early)).await);
    assert_eq!(told.kind, Kind::Unavailable, "it is not said to be unknown: {told}");
    house.control.leave(gateway.id);
    let hello =
        Hello { version: VERSION, gateway: GatewayId::new(&house.env), zone: "default".parse().unwrap(), open: vec![] };
    let refused = house.control.join(hello, Arc::new(|_| true)).await.err().unwrap();
    assert_eq!(refused.kind, Kind::Unavailable, "the next gateway would not be told of it: {refused}");
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    for open in opens {
        assert!(matches!(open.await.unwrap(), Reply::Opened(_)));
    }
    let next = house.gateway().await;
    assert_eq!(next.welcome.orphans.len(), 2);
    for session in [early, late] {
        assert!(matches!(next.call(next.close(session)).await, Reply::Done(_)));
    }
}

#[tokio::test]
async fn orphans_of_a_dead_gateway_are_named_to_the_next_and_can_be_closed_by_it() {
    let house = Arc::new(House::applied().await);
    let dead = house.gateway().await;
    let session = dead.open("ada").await;
    sallyport_model::authority::Desk::leave(&*house.control, dead.id);
    let next = house.gateway().await;
    assert_eq!(next.welcome.orphans.iter().map(|o| o.session).collect::<Vec<_>>(), [session]);
    for call in [Call::Password(session, Stop::Target), next.channel(session, Channel::Shell)] {
        assert_eq!(denial(next.call(call).await).kind, Kind::Denied, "an orphan's credential is nobody's to use");
    }
    assert!(matches!(next.call(next.close(session)).await, Reply::Done(_)));
    let third = Gateway::join(house.clone(), GatewayId::new(&house.env), Vec::new()).await;
    assert!(third.welcome.orphans.is_empty());
}

#[tokio::test]
async fn a_key_signs_authentication_requests_of_its_account_and_nothing_else() {
    let house = Arc::new(House::applied().await);
    let line = house
        .control
        .put_secret(&house.admin(), &"ops@web-1".parse().unwrap(), crate::NewSecret::GenerateSshKey)
        .await
        .unwrap();
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    let blob = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(line.public.unwrap().split(' ').nth(1).unwrap()).unwrap()
    };
    let request = |user: &str, service: &str| {
        let mut out = Vec::new();
        let mut string = |s: &[u8]| {
            out.extend_from_slice(&u32::try_from(s.len()).unwrap().to_be_bytes());
            out.extend_from_slice(s);
        };
        string(&[7; 32]);
        let mut tail = Vec::new();
        for s in [user.as_bytes(), service.as_bytes(), b"publickey"] {
            tail.extend_from_slice(&u32::try_from(s.len()).unwrap().to_be_bytes());
            tail.extend_from_slice(s);
        }
        tail.push(1);
        for s in [b"ssh-ed25519".as_slice(), &blob] {
            tail.extend_from_slice(&u32::try_from(s.len()).unwrap().to_be_bytes());
            tail.extend_from_slice(s);
        }
        out.push(50);
        out.extend_from_slice(&tail);
        out
    };
    assert!(
        matches!(gateway.call(Call::Sign(session, request("ops", "ssh-connection"), Stop::Target)).await, Reply::Signature(s) if s.len() == 83)
    );
    let mut longer = request("ops", "ssh-connection");
    longer.push(0);
    for wrong in [request("root", "ssh-connection"), request("ops", "other"), longer, b"anything".to_vec(), Vec::new()]
    {
        assert_eq!(denial(gateway.call(Call::Sign(session, wrong, Stop::Target)).await).kind, Kind::Denied);
    }
    assert_eq!(house.entries("credential.signed").await, 1);
    assert_eq!(
        denial(gateway.call(Call::Password(session, Stop::Target)).await).kind,
        Kind::Denied,
        "a key is never lent"
    );
}

#[tokio::test]
async fn failed_sign_ins_are_ledgered_within_a_budget() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    for _ in 0..20 {
        let evidence = Evidence::Token(sallyport_model::secret::SecretBytes::new(b"spt_wrong".to_vec()));
        let step = AuthStep { handle: None, from: sallyport_model::access::From(HERE), evidence, exchange: None };
        assert_eq!(denial(gateway.call(Call::AuthStep(LoginId::new(&house.env), step)).await).kind, Kind::Denied);
    }
    assert_eq!(house.entries("login.failed").await, 5);
    // So is a user name that is none, from elsewhere.
    let from = sallyport_model::access::From("192.0.2.7".parse().unwrap());
    let step = AuthStep { handle: None, from, evidence: Evidence::Misnamed, exchange: None };
    assert_eq!(denial(gateway.call(Call::AuthStep(LoginId::new(&house.env), step)).await).kind, Kind::Denied);
    let rows = house.rows(&["login.failed"]).await;
    assert!(rows.iter().any(|row| row.entry.sentence() == "a sign-in as no handle failed from 192.0.2.7"), "{rows:?}");
}

#[tokio::test]
async fn what_staff_want_of_a_session_stands_in_its_document_and_is_told_again_to_a_gateway_that_was_away() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    let (ada, admin) = (house.signed_in("ada").await, house.admin());
    for denied in [
        house.control.message(&ada, session, "hello").await,
        house.control.pause(&ada, session, "").await,
        house.control.resume(&ada, session).await,
    ] {
        assert_eq!(denied.unwrap_err().kind(), Kind::Denied);
    }
    house.control.message(&admin, session, "save your work").await.unwrap();
    assert_eq!(*gateway.orders.lock().unwrap(), [format!("steer {session} 1")]);
    sallyport_model::authority::Desk::leave(&*house.control, gateway.id);
    house.control.pause(&admin, session, "drill").await.unwrap();
    assert_eq!(house.control.pause(&admin, session, "").await.unwrap_err().kind(), Kind::Conflict);
    let live = SessionsWanted { live: true, limit: 10, ..SessionsWanted::default() };
    let lines = house.control.sessions(&admin, &live).await.unwrap().lines;
    assert_eq!(lines[0].paused.as_ref().unwrap().reason, "drill");
    let back = Gateway::join(house.clone(), gateway.id, vec![session]).await;
    assert_eq!(*back.orders.lock().unwrap(), [format!("steer {session} 2")]);
    house.control.resume(&admin, session).await.unwrap();
    assert_eq!(house.control.resume(&admin, session).await.unwrap_err().kind(), Kind::Conflict);
    for (action, count) in [("session.messaged", 1), ("session.paused", 1), ("session.resumed", 1)] {
        assert_eq!(house.entries(action).await, count, "{action}");
    }
    house.control.kill(&admin, session, "").await.unwrap();
    assert_eq!(house.control.pause(&admin, session, "").await.unwrap_err().kind(), Kind::Conflict, "it is being ended");
    assert!(matches!(back.call(back.close(session)).await, Reply::Done(_)));
    assert_eq!(house.control.message(&admin, session, "x").await.unwrap_err().kind(), Kind::NotFound);
}

/// Pages of a list, until there is no next one.
async fn pages(house: &House, op: &Op, wanted: SessionsWanted) -> Vec<Vec<(String, SessionId)>> {
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = house.control.sessions(op, &SessionsWanted { before, ..wanted }).await.unwrap();
        pages.push(page.lines.into_iter().map(|line| (line.actor, line.id)).collect());
        match page.next {
            Some(next) => before = Some(next),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn a_page_of_ones_own_sessions_is_not_spent_on_those_of_others() {
    let house = Arc::new(House::applied().await);
    let policy = "permit (principal, action, resource) when { resource is Account };";
    let mut files = checkout();
    files.push(file("all.cedar", policy));
    house.control.apply(&house.admin(), &files, false).await.unwrap();
    let gateway = house.gateway().await;
    let mut opened = Vec::new();
    for handle in ["bob", "bob", "ada", "ada", "bob", "ada", "ada"] {
        opened.push((handle.to_owned(), gateway.open(handle).await));
    }
    // Two that are over: past sessions are listed among the live ones.
    for (_, session) in [&opened[0], &opened[2]] {
        assert!(matches!(gateway.call(gateway.close(*session)).await, Reply::Done(_)));
    }
    let newest = |keep: &dyn Fn(usize) -> bool| -> Vec<(String, SessionId)> {
        (0..opened.len()).rev().filter(|number| keep(*number)).map(|number| opened[number].clone()).collect()
    };
    let (bob, admin) = (house.signed_in("bob").await, house.admin());
    let of = |live, own, limit| SessionsWanted { live, own, limit, before: None };
    let bobs = newest(&|number| [0, 1, 4].contains(&number));
    // One who may see his own alone, and has exactly a page, or less than the newest ones of others before his.
    assert_eq!(pages(&house, &bob, of(false, false, 3)).await, std::slice::from_ref(&bobs));
    assert_eq!(pages(&house, &bob, of(false, true, 2)).await, [bobs[..2].to_vec(), bobs[2..].to_vec()]);
    assert_eq!(pages(&house, &bob, of(true, false, 1)).await, [[bobs[0].clone()], [bobs[1].clone()]]);
    // One who may see all, and asks for all, for what is live, for her own.
    let all = newest(&|_| true);
    assert_eq!(pages(&house, &admin, of(false, false, 4)).await, [all[..4].to_vec(), all[4..].to_vec()]);
    let live = newest(&|number| ![0, 2].contains(&number));
    assert_eq!(pages(&house, &admin, of(true, false, 3)).await, [live[..3].to_vec(), live[3..].to_vec()]);
    assert_eq!(pages(&house, &admin, of(false, true, 3)).await, [Vec::new()]);
    assert_eq!(pages(&house, &admin, of(true, true, 3)).await, [Vec::new()]);
}

#[tokio::test]
async fn a_denied_forward_names_its_destination() {
    let house = Arc::new(House::applied().await);
    let mut files = checkout();
    let policy = "@id(\"to-the-database\")\npermit (principal, action == Action::\"channel:forward_local\", resource)\n\
        when { context has destination && context.destination like \"127.0.0.1:*\" };";
    files.push(file("forward.cedar", policy));
    house.control.apply(&house.admin(), &files, false).await.unwrap();
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    let to = |detail: &str| {
        let Call::Channel(ask) = gateway.channel(session, Channel::ForwardLocal) else { panic!("another call") };
        gateway.call(Call::Channel(OpenChannel { detail: detail.into(), ..ask }))
    };
    assert!(matches!(to("127.0.0.1:5432").await, Reply::Done(_)));
    let refused = denial(to("localhost\u{1b}[1m:5432").await).message;
    assert!(
        refused.starts_with("policy does not permit channel:forward_local to localhost[1m:5432 here: "),
        "{refused}"
    );

    // The same is said beforehand, where the destination is.
    let address = "ops@web-1".parse().unwrap();
    let ada = house.signed_in("ada").await;
    let ask = |channel, destination| {
        let asked = Asked { address: &address, act: Act::Channel(channel), destination };
        let why = house.control.why(&ada, None, &asked)?;
        Ok::<_, Error>((why.explanation.decision.permits(), why.explanation.depends.len()))
    };
    let local = Channel::ForwardLocal;
    assert_eq!(ask(local, Some("127.0.0.1:5432")).unwrap(), (true, 0));
    assert_eq!(ask(local, Some("localhost:5432")).unwrap(), (false, 0));
    assert_eq!(ask(local, None).unwrap(), (false, 1), "it hangs on the destination");
    for (channel, wrong, word) in [
        (local, "127.0.0.1", "HOST:PORT"),
        (local, ":5432", "HOST:PORT"),
        (Channel::ForwardSocket, "run/app.sock", "a path"),
        (Channel::Shell, "127.0.0.1:5432", "only forwards"),
    ] {
        let error = ask(channel, Some(wrong)).unwrap_err();
        assert!(error.kind() == Kind::Usage && error.to_string().contains(word), "{wrong}: {error}");
    }
}
