//! Logins that their owner allows in a browser, by the code that the client shows.

use super::house::*;
use super::sign_in::{Hand, Person, by_hand};
use crate::{Control, Error, Op};
use sallyport_model::access::From;
use sallyport_model::authority::{Asking, AuthStep, Call, Evidence, LATEST, LoginCode, Reply};
use sallyport_model::{AuthId, Kind, LoginId};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const MINUTE: Duration = Duration::from_secs(60);

/// A house with a clock that is moved, with ada in it, who has a browser.
async fn house() -> (Arc<House>, Hand, Person) {
    let (env, hand) = by_hand();
    let house = House::founded_with(env, None).await;
    house.furnish().await;
    let ada = person(&house.control, "ada").await;
    (Arc::new(house), hand, ada)
}

pub(super) async fn person(control: &Control, handle: &str) -> Person {
    let link = control.link_on_host(&handle.parse().unwrap()).await.unwrap();
    Person::enrolled(control, &link.url).await
}

/// A connection of somebody who has nothing to show.
pub(super) struct Knock<'a> {
    gateway: &'a Gateway,
    login: LoginId,
    handle: &'a str,
    from: IpAddr,
}

impl<'a> Knock<'a> {
    pub(super) fn of(gateway: &'a Gateway, handle: &'a str) -> Self {
        Self { gateway, login: LoginId::new(&gateway.house.env), handle, from: HERE }
    }

    async fn step(&self, evidence: Evidence) -> Reply {
        let handle = Some(self.handle.parse().unwrap());
        let step = AuthStep { handle, from: From(self.from), evidence, exchange: None };
        self.gateway.call(Call::AuthStep(self.login, step)).await
    }

    async fn begin_to(&self, place: Option<(&str, &str)>) -> Reply {
        let (account, target) = place.map(|(a, t)| (a.parse().unwrap(), t.parse().unwrap())).unzip();
        self.step(Evidence::Browser(Asking { account, target, client: "SSH-2.0-OpenSSH_10.0".into() })).await
    }

    /// The code that is shown.
    pub(super) async fn begin(&self) -> String {
        match self.begin_to(Some(("ops", "web-1"))).await {
            Reply::LoginCode(LoginCode { page, code, seconds }) => {
                assert_eq!((page.as_str(), seconds), ("http://localhost:8022/link", 300));
                code
            }
            Reply::Denied(denial) => panic!("{denial}"),
            _ => panic!("misfit"),
        }
    }

    async fn ask(&self) -> Reply {
        self.step(Evidence::Allowed(0)).await
    }

    /// The same, late.
    pub(super) async fn ask_late(&self) -> Reply {
        self.step(Evidence::Allowed(LATEST)).await
    }

    async fn waits(&self) -> bool {
        matches!(self.ask().await, Reply::More)
    }

    pub(super) async fn is_in(&self) -> AuthId {
        match self.ask().await {
            Reply::Authenticated(who) => {
                assert_eq!(who.handle.as_str(), self.handle);
                who.auth
            }
            Reply::Denied(denial) => panic!("{denial}"),
            _ => panic!("misfit"),
        }
    }

    async fn told(&self) -> String {
        denial(self.ask().await).message
    }
}

fn denial(reply: Reply) -> sallyport_model::access::Denial {
    match reply {
        Reply::Denied(denial) => denial,
        _ => panic!("not denied"),
    }
}

pub(super) async fn allow(control: &Control, op: &Op, code: &str) -> Result<(), Error> {
    control.answer_login(op, code, true).await
}

#[tokio::test]
async fn a_login_is_allowed_in_a_browser_for_the_place_that_was_shown_and_with_what_that_browser_has_shown() {
    let (house, _, ada) = house().await;
    let gateway = house.gateway().await;
    let knock = Knock::of(&gateway, "ada");
    let code = knock.begin().await;
    assert!(knock.waits().await);
    let op = ada.op(&house.control).await;
    let line = house.control.pending_login(&op, &code.to_lowercase().replace('-', " ")).await.unwrap();
    assert_eq!((line.login.wants().as_str(), line.same_address), ("ops@web-1", true));
    assert_eq!((line.login.client.as_str(), line.login.from), ("SSH-2.0-OpenSSH_10.0", HERE));
    allow(&house.control, &op, &code).await.unwrap();
    let who = knock.is_in().await;
    let elsewhere = denial(gateway.call(Call::Open(gateway.ask(who, "root@web-1"))).await);
    assert!(elsewhere.message.contains("allowed for ops@web-1"), "{elsewhere}");
    let ask = gateway.ask(who, "ops@web-1");
    let session = ask.session;
    assert!(matches!(gateway.call(Call::Open(ask)).await, Reply::Opened(_)));
    let known = house.control.live_session(session).unwrap();
    let shown: BTreeSet<_> = ["password", "totp"].map(str::to_owned).into();
    assert_eq!(known.factors, shown, "the browser's factors and no more");
    assert!(known.met.contains("step-up"), "a factor is fresh where a login is allowed");
    let said: Vec<_> = house
        .rows(&["login.pending", "login.allowed", "login.by_browser"])
        .await
        .iter()
        .map(|row| row.entry.sentence())
        .collect();
    assert_eq!(
        said,
        [
            "a login as ada from 127.0.0.1, to ops@web-1 waits to be allowed in a browser",
            "ada allowed in a browser a login from 127.0.0.1, to ops@web-1",
            "ada logged in from 127.0.0.1, to ops@web-1, as allowed in a browser by password and totp",
        ]
    );
    assert!(knock.waits().await, "it is good once");
    assert_eq!(house.control.pending_login(&op, &code).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn whoever_asks_late_is_told_in_the_moment_that_it_is_answered_and_spends_nothing_by_waiting() {
    let (house, _, ada) = house().await;
    let gateway = house.gateway().await;
    let op = ada.op(&house.control).await;
    let (knock, other) = (Knock::of(&gateway, "ada"), Knock::of(&gateway, "ada"));
    let (code, second) = (knock.begin().await, other.begin().await);
    let soon = Duration::from_secs(u64::from(LATEST) / 2);
    let mut late = Box::pin(timeout(soon, knock.ask_late()));
    // What is said of another login is not said of this one.
    let answered = async {
        house.control.answer_login(&op, &second, false).await.unwrap();
        assert!(other.told().await.contains("refused"));
    };
    tokio::select! {
        biased;
        _ = &mut late => panic!("nobody has answered it"),
        () = answered => {}
    }
    let (reply, allowed) = tokio::join!(late, allow(&house.control, &op, &code));
    allowed.unwrap();
    assert!(matches!(reply.expect("it waits on"), Reply::More), "it is to be asked again");
    assert_eq!(house.entries("login.by_browser").await, 0, "somebody who may have left is in");
    knock.is_in().await;
}

#[tokio::test]
async fn who_waits_late_cannot_tell_whether_anybody_has_the_handle_and_takes_up_no_more_than_a_share() {
    let (house, _, _) = house().await;
    let gateway = house.gateway().await;
    for handle in ["ada", "nobody-has-this"] {
        let knock = Knock::of(&gateway, handle);
        knock.begin().await;
        let late = timeout(Duration::from_millis(300), knock.ask_late()).await;
        assert!(late.is_err(), "{handle} is answered at once");
    }
    let knock = Knock::of(&gateway, "nobody-has-this");
    let mut waiting: Vec<_> = (0..64).map(|_| Box::pin(knock.ask_late())).collect();
    for one in &mut waiting {
        assert!(timeout(Duration::from_millis(1), one).await.is_err(), "it does not wait");
    }
    let at_once = Duration::from_secs(u64::from(LATEST) / 2);
    assert!(matches!(timeout(at_once, knock.ask_late()).await.expect("it waits too"), Reply::More));
    drop(waiting);
    assert!(timeout(Duration::from_millis(300), knock.ask_late()).await.is_err(), "those who left still wait");
}

#[tokio::test]
async fn nobody_else_finds_a_login_by_its_code_or_answers_it() {
    let (house, _, ada) = house().await;
    let gateway = house.gateway().await;
    let knock = Knock::of(&gateway, "ada");
    let code = knock.begin().await;
    let bob = person(&house.control, "bob").await.op(&house.control).await;
    let error = allow(&house.control, &bob, &code).await.unwrap_err();
    let nothing = allow(&house.control, &bob, "CCCC-CCCC").await.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (Kind::NotFound, nothing.to_string()), "as if there were none");
    assert_eq!(house.control.pending_login(&bob, &code).await.unwrap_err().kind(), Kind::NotFound);
    let token = house.signed_in("ada").await;
    assert_eq!(allow(&house.control, &token, &code).await.unwrap_err().kind(), Kind::Usage, "a token is no browser");
    // What another gateway, or another address, says of the same login is of no use to it.
    let other = house.gateway().await;
    allow(&house.control, &ada.op(&house.control).await, &code).await.unwrap();
    assert!(Knock { gateway: &other, ..Knock::of(&other, "ada") }.waits().await);
    assert!(Knock { gateway: &other, login: knock.login, handle: "ada", from: HERE }.waits().await);
    let far = Knock { gateway: &gateway, login: knock.login, handle: "ada", from: "192.0.2.9".parse().unwrap() };
    assert!(far.waits().await);
    let bobs = Knock { gateway: &gateway, login: knock.login, handle: "bob", from: HERE };
    assert_eq!(denial(bobs.ask().await).kind, Kind::Denied);
    knock.is_in().await;
}

#[tokio::test]
async fn a_login_is_refused_or_ends_with_its_five_minutes_and_is_answered_once() {
    let (house, hand, mut ada) = house().await;
    let gateway = house.gateway().await;
    let op = ada.op(&house.control).await;
    let refused = Knock::of(&gateway, "ada");
    let code = refused.begin().await;
    house.control.answer_login(&op, &code, false).await.unwrap();
    assert!(refused.told().await.contains("refused"));
    assert_eq!(allow(&house.control, &op, &code).await.unwrap_err().kind(), Kind::Conflict);
    // Asked again by the same connection, it is another login.
    let again = refused.begin().await;
    assert_ne!(again, code);
    assert_eq!(allow(&house.control, &op, &code).await.unwrap_err().kind(), Kind::NotFound);
    let (late, left) = (Knock::of(&gateway, "ada"), Knock::of(&gateway, "ada"));
    let (late_code, _) = (late.begin().await, left.begin().await);
    hand.forward(5 * MINUTE);
    assert_eq!(house.control.pending_login(&op, &late_code).await.unwrap_err().kind(), Kind::NotFound);
    assert!(late.told().await.contains("in time"));
    assert_eq!(house.entries("login.unanswered").await, 1);
    house.control.sweep().await.unwrap();
    assert_eq!(house.entries("login.unanswered").await, 3, "those whose clients have left are told of too");
    // The factor that was shown is stale by now.
    let stale = Knock::of(&gateway, "ada");
    let code = stale.begin().await;
    assert!(matches!(allow(&house.control, &op, &code).await, Err(Error::StepUp)));
    assert!(house.control.answer_login(&op, &code, false).await.is_ok(), "no needs none");
    ada.sign_in(&house.control).await.unwrap();
    let code = stale.begin().await;
    allow(&house.control, &ada.op(&house.control).await, &code).await.unwrap();
    stale.is_in().await;
}

#[tokio::test]
async fn whoever_is_disabled_or_signed_out_meanwhile_has_allowed_nothing() {
    let (house, _, mut ada) = house().await;
    let gateway = house.gateway().await;
    let knock = Knock::of(&gateway, "ada");
    let code = knock.begin().await;
    allow(&house.control, &ada.op(&house.control).await, &code).await.unwrap();
    house.control.sign_out(&ada.cookie).await.unwrap();
    assert!(knock.told().await.contains("signed out"));
    ada = person(&house.control, "ada").await;
    let op = ada.op(&house.control).await;
    let (before, after) = (Knock::of(&gateway, "ada"), Knock::of(&gateway, "ada"));
    let (code, second) = (before.begin().await, after.begin().await);
    allow(&house.control, &op, &code).await.unwrap();
    let files: Vec<_> = checkout()
        .into_iter()
        .map(|f| file(&f.name, &f.text.replace("handle = \"ada\"", "handle = \"ada\"\ndisabled = true")))
        .collect();
    house.control.apply(&house.admin(), &files, false).await.unwrap();
    assert_eq!(allow(&house.control, &op, &second).await.unwrap_err().kind(), Kind::Denied);
    assert!(before.told().await.contains("disabled"));
}

#[tokio::test]
async fn codes_are_bounded_for_an_address_and_wrong_ones_cost_time() {
    let (house, hand, _) = house().await;
    let gateway = house.gateway().await;
    // Whether anybody has the handle is not to be told from the answer, nor from how often it may be asked.
    for handle in ["ada", "nobody-has-this"] {
        hand.forward(24 * 60 * MINUTE);
        for _ in 0..20 {
            Knock::of(&gateway, handle).begin().await;
        }
        let refused = denial(Knock::of(&gateway, handle).begin_to(None).await);
        assert!(refused.kind == Kind::Unavailable && refused.message.contains("wait a few minutes"), "{refused}");
    }
    assert!(Knock::of(&gateway, "nobody-has-this").waits().await);
    assert_eq!(house.entries("login.pending").await, 20);
    hand.forward(16 * MINUTE);
    let op = person(&house.control, "ada").await.op(&house.control).await;
    let knock = Knock::of(&gateway, "ada");
    let code = knock.begin().await;
    for wrong in ["", "0000-0000", "CCCC-CCCC", "CCCC-CCCCC", "a b c", "CCCC-CCCD"] {
        assert_eq!(allow(&house.control, &op, wrong).await.unwrap_err().kind(), Kind::NotFound, "{wrong}");
    }
    assert_eq!(allow(&house.control, &op, &code).await.unwrap_err().kind(), Kind::NotFound, "now the right one waits");
    hand.forward(MINUTE);
    allow(&house.control, &op, &code).await.unwrap();
    knock.is_in().await;
    let letters: BTreeSet<char> = code.chars().collect();
    assert!(letters.iter().all(|letter| "CDFGHJKMNPQRTVWX23456789-".contains(*letter)), "{code}");
}
