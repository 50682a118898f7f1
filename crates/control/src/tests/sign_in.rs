//! Signing in with a browser: links, passwords, second factors, devices, limits.

use super::house::*;
use crate::{Actor, Begun, Client, Control, Error, Op, Proof};
use sallyport_model::sign_in::{DeviceState, FactorKind};
use sallyport_model::{Clock, Env, Handle, Kind, Secret, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use totp_rs::{Builder, Secret as TotpSecret, Totp};

pub(super) const WORDS: &str = "four quiet words here";

/// A clock that a test moves.
#[derive(Clone)]
pub(super) struct Hand(Arc<AtomicI64>);

impl Hand {
    pub(super) fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

struct Chance;

impl sallyport_model::Entropy for Chance {
    fn fill(&self, out: &mut [u8]) {
        let system = Env::system();
        out.iter_mut().for_each(|byte| *byte = system.random::<1>()[0]);
    }
}

pub(super) fn by_hand() -> (Env, Hand) {
    let hand = Hand(Arc::new(AtomicI64::new(Env::system().now().0)));
    (Env::new(Arc::new(hand.clone()), Arc::new(Chance)), hand)
}

pub(super) fn client() -> Client {
    Client { from: HERE, agent: "a test's browser".into() }
}

/// What stands behind `/enroll/` in a link.
pub(super) fn token_of(url: &Secret<String>) -> Secret<String> {
    secret(url.expose().rsplit('/').next().unwrap())
}

/// A person with a browser.
pub(super) struct Person {
    pub(super) handle: Handle,
    pub(super) cookie: Secret<String>,
    codes: Totp,
}

impl Person {
    /// Uses a link: sets the password, adds an app.
    pub(super) async fn enrolled(control: &Control, url: &Secret<String>) -> Self {
        let begun = control.enrol(&client(), &token_of(url), secret(WORDS)).await.unwrap();
        assert_eq!(begun.state, DeviceState::Enrolling);
        let who = control.by_cookie(&begun.cookie).await.unwrap();
        let handle = who.identity.handle.clone();
        let op = op_by(control, &begun.cookie).await;
        let new = control.begin_totp(&op).unwrap();
        let bytes = TotpSecret::try_from_base32(new.secret.expose()).unwrap();
        let codes =
            Builder::new().with_secret(bytes).with_account_name("x").with_issuer(Some("Sallyport")).build().unwrap();
        let code = code(control, &codes);
        let done = control.add_totp(&op, &code, "my phone").await.unwrap();
        assert_eq!(done.state, DeviceState::In);
        assert!(control.by_cookie(&begun.cookie).await.is_err(), "the cookie of before is worth nothing");
        Self { handle, cookie: done.cookie, codes }
    }

    pub(super) fn code(&self, control: &Control) -> Secret<String> {
        code(control, &self.codes)
    }

    pub(super) async fn op(&self, control: &Control) -> Op {
        op_by(control, &self.cookie).await
    }

    /// Signs in anew, by password and app.
    pub(super) async fn sign_in(&mut self, control: &Control) -> Result<(), Error> {
        let begun = control.sign_in_with_password(&client(), self.handle.as_str(), secret(WORDS)).await?;
        let done = control.complete_sign_in(&begun.cookie, &client(), Proof::Totp(self.code(control))).await?;
        self.cookie = done.cookie;
        Ok(())
    }
}

fn code(control: &Control, codes: &Totp) -> Secret<String> {
    let seconds = u64::try_from(control.now().0 / 1_000_000).unwrap();
    secret(&codes.generate(seconds).to_string())
}

pub(super) async fn op_by(control: &Control, cookie: &Secret<String>) -> Op {
    let who = control.by_cookie(cookie).await.unwrap();
    Op {
        actor: Actor::Identity(who.identity.id, who.identity.handle),
        from: HERE,
        correlation: String::new(),
        device: who.device.map(|device| device.id),
    }
}

/// A house with a clock that is moved, and its administrator with a browser.
async fn house() -> (House, Hand, Person) {
    let (env, hand) = by_hand();
    let house = House::founded_with(env, None).await;
    let admin = Person::enrolled(&house.control, &house.link).await;
    (house, hand, admin)
}

fn said(begun: Result<Begun, Error>) -> (Kind, String) {
    let error = begun.err().unwrap();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn the_first_link_is_good_once_and_leads_to_a_browser_that_is_signed_in() {
    let (house, hand, mut admin) = house().await;
    let control = &house.control;
    let again = control.enrol(&client(), &token_of(&house.link), secret(WORDS)).await;
    assert_eq!(said(again).0, Kind::Denied);
    assert!(control.enrolment_of(&client(), &token_of(&house.link)).await.is_err());

    hand.forward(Duration::from_secs(60));
    admin.sign_in(control).await.unwrap();
    let op = admin.op(control).await;
    assert!(control.own_rights(&op).unwrap().contains(&"identity.write"));
    for action in ["link.made", "link.used", "factor.added", "device.begun", "device.signed_in"] {
        assert_eq!(house.entries(action).await, 1, "{action}");
    }
    let rows = house.rows(&["device.signed_in"]).await;
    assert_eq!(rows[0].entry.sentence(), "admin signed in with a browser from 127.0.0.1, by password and totp");
}

#[tokio::test]
async fn a_link_ends_with_its_hour_and_with_the_next_one() {
    let (env, hand) = by_hand();
    let house = House::founded_with(env, None).await;
    let second = house.control.link_on_host(&"admin".parse().unwrap()).await.unwrap();
    assert!(
        house.control.enrolment_of(&client(), &token_of(&house.link)).await.is_err(),
        "the next one has replaced it"
    );
    assert_eq!(house.control.enrolment_of(&client(), &token_of(&second.url)).await.unwrap().as_str(), "admin");
    hand.forward(Duration::from_secs(3601));
    assert!(house.control.enrolment_of(&client(), &token_of(&second.url)).await.is_err());
}

#[tokio::test]
async fn whoever_does_not_sign_in_is_told_one_thing_for_the_same_work() {
    let (house, _, admin) = house().await;
    let control = &house.control;
    let mut answers = Vec::new();
    let mut work = Vec::new();
    for handle in [admin.handle.as_str(), "nobody-of-that-name", "ADMIN", "", "no handle at all\u{202e}"] {
        let before = control.password_checks();
        answers.push(said(control.sign_in_with_password(&client(), handle, secret("not the password")).await));
        work.push(control.password_checks() - before);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(work, [1; 5], "each attempt costs one derivation, whoever it names");
    let entries = house.rows(&["login.failed"]).await;
    assert!(entries.iter().all(|row| !row.entry.object.contains("no handle at all")), "what was typed is not told");
    assert!(entries.iter().any(|row| row.entry.object == "admin"));
}

#[tokio::test]
async fn after_five_wrong_passwords_the_right_one_waits_and_is_told_the_same() {
    let (house, hand, mut admin) = house().await;
    let control = &house.control;
    hand.forward(Duration::from_secs(60));
    for _ in 0..5 {
        control.sign_in_with_password(&client(), "admin", secret("wrong, wrong, wrong")).await.err().unwrap();
    }
    let before = control.password_checks();
    let locked = said(control.sign_in_with_password(&client(), "admin", secret(WORDS)).await);
    assert_eq!(control.password_checks() - before, 1, "the same work while locked");
    let unknown = said(control.sign_in_with_password(&client(), "somebody-else", secret(WORDS)).await);
    assert_eq!(locked, unknown);
    hand.forward(Duration::from_secs(2));
    admin.sign_in(control).await.unwrap();
}

#[tokio::test]
async fn many_wrong_passwords_at_once_are_not_more_than_one_after_the_other() {
    let (house, _, _) = house().await;
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let control = house.control.clone();
        set.spawn(async move {
            control.sign_in_with_password(&client(), "admin", secret("a wrong one here")).await.is_ok()
        });
    }
    assert!(set.join_all().await.into_iter().all(|passed| !passed));
    let open = house.control.opened().unwrap();
    let id = open.directory.identity(&"admin".parse().unwrap()).unwrap();
    let mark = open.store.mark(&format!("password {id}")).await.unwrap().unwrap();
    assert_eq!(mark.count, 5, "five were looked at, the others had to wait");
}

#[tokio::test]
async fn one_code_that_a_hundred_present_at_once_signs_one_in() {
    let (house, hand, admin) = house().await;
    hand.forward(Duration::from_secs(60));
    let code = admin.code(&house.control);
    let mut cookies = Vec::new();
    for _ in 0..4 {
        let begun = house.control.sign_in_with_password(&client(), "admin", secret(WORDS)).await.unwrap();
        assert_eq!(begun.methods, [FactorKind::Totp]);
        cookies.push(begun.cookie.expose().clone());
    }
    let mut set = tokio::task::JoinSet::new();
    for n in 0..100 {
        let (control, cookie, code) = (house.control.clone(), cookies[n % 4].clone(), code.expose().clone());
        set.spawn(async move {
            control.complete_sign_in(&secret(&cookie), &client(), Proof::Totp(secret(&code))).await.is_ok()
        });
    }
    let passed = set.join_all().await.into_iter().filter(|passed| *passed).count();
    assert_eq!(passed, 1);
    assert_eq!(house.entries("device.signed_in").await, 1);
}

#[tokio::test]
async fn a_code_is_good_once_and_a_recovery_code_too() {
    let (house, hand, mut admin) = house().await;
    let control = &house.control;
    hand.forward(Duration::from_secs(60));
    let codes = control.new_recovery_codes(&admin.op(control).await).await.unwrap();
    assert_eq!(codes.len(), 10);
    let used = admin.code(control);
    admin.sign_in(control).await.unwrap();
    let begin = || async { control.sign_in_with_password(&client(), "admin", secret(WORDS)).await.unwrap() };
    let begun = begin().await;
    let replayed = control.complete_sign_in(&begun.cookie, &client(), Proof::Totp(used)).await;
    assert_eq!(said(replayed).0, Kind::Denied);

    let first = Proof::Recovery(secret(codes[0].expose()));
    let done = control.complete_sign_in(&begun.cookie, &client(), first).await.unwrap();
    let op = op_by(control, &done.cookie).await;
    let who = control.by_cookie(&done.cookie).await.unwrap().identity;
    let left = control.own_factors(&who).unwrap().into_iter().find_map(|factor| factor.left);
    assert_eq!(left, Some(9));
    let again = Proof::Recovery(secret(codes[0].expose()));
    assert!(control.complete_sign_in(&begin().await.cookie, &client(), again).await.is_err());
    let fresh = control.new_recovery_codes(&op).await.unwrap();
    let old = Proof::Recovery(secret(codes[1].expose()));
    assert!(control.complete_sign_in(&begin().await.cookie, &client(), old).await.is_err(), "earlier ones died");
    let new = Proof::Recovery(secret(fresh[0].expose()));
    control.complete_sign_in(&begin().await.cookie, &client(), new).await.unwrap();
}

#[tokio::test]
async fn a_browser_that_has_shown_a_password_alone_may_do_nothing() {
    let (house, _, _) = house().await;
    let control = &house.control;
    let begun = control.sign_in_with_password(&client(), "admin", secret(WORDS)).await.unwrap();
    assert_eq!(begun.state, DeviceState::Factor);
    let op = op_by(control, &begun.cookie).await;
    assert_eq!(control.own_rights(&op).err().unwrap().kind(), Kind::Denied);
    assert_eq!(control.begin_totp(&op).err().unwrap().kind(), Kind::Denied, "nor add a factor of its own");
    assert_eq!(control.devices(&op).await.err().unwrap().kind(), Kind::Denied);
    assert_eq!(control.create_token(&op, None, HOUR, "").await.err().unwrap().kind(), Kind::Denied);
}

#[tokio::test]
async fn a_device_ends_when_it_is_idle_when_it_is_old_and_when_it_is_revoked() {
    let (house, hand, mut admin) = house().await;
    let control = &house.control;
    for _ in 0..3 {
        hand.forward(Duration::from_secs(29 * 60));
        control.by_cookie(&admin.cookie).await.unwrap();
    }
    hand.forward(Duration::from_secs(30 * 60));
    assert!(control.by_cookie(&admin.cookie).await.is_err(), "thirty minutes without a call");

    admin.sign_in(control).await.unwrap();
    for _ in 0..24 {
        hand.forward(Duration::from_secs(29 * 60));
        control.by_cookie(&admin.cookie).await.unwrap();
    }
    hand.forward(Duration::from_secs(25 * 60));
    assert!(control.by_cookie(&admin.cookie).await.is_err(), "twelve hours, whatever it does");
    control.sweep().await.unwrap();
    assert_eq!(house.entries("device.expired").await, 1);

    admin.sign_in(control).await.unwrap();
    let first = secret(admin.cookie.expose());
    hand.forward(Duration::from_secs(60));
    admin.sign_in(control).await.unwrap();
    let op = admin.op(control).await;
    let devices = control.devices(&op).await.unwrap();
    assert_eq!(devices.iter().map(|line| line.current).collect::<Vec<_>>(), [true, false]);
    control.end_device(&op, devices[1].device.id).await.unwrap();
    assert!(control.by_cookie(&first).await.is_err());
    control.sign_out(&admin.cookie).await.unwrap();
    assert!(control.by_cookie(&admin.cookie).await.is_err());
}

#[tokio::test]
async fn what_is_dangerous_needs_a_fresh_factor_from_a_browser_and_not_from_a_token() {
    let (house, hand, admin) = house().await;
    let control = &house.control;
    let op = admin.op(control).await;
    let bob: Handle = "bob".parse().unwrap();
    hand.forward(Duration::from_secs(6 * 60));
    let stale = [
        control.create_user(&op, &bob, ["ops".parse().unwrap()].into()).await.err().unwrap(),
        control.create_token(&op, None, HOUR, "").await.err().unwrap(),
        control.seal(&op).await.err().unwrap(),
        control.add_ssh_key(&op, "ssh-ed25519 AAAA").await.err().unwrap(),
        control.new_recovery_codes(&op).await.err().unwrap(),
        control.begin_totp(&op).err().unwrap(),
    ];
    assert!(stale.iter().all(|error| matches!(error, Error::StepUp)), "{stale:?}");
    control.users(&op, "", "", 50).await.unwrap();
    control.create_token(&house.admin(), None, HOUR, "").await.unwrap();

    control.step_up(&op, Proof::Totp(secret("000000"))).await.err().unwrap();
    control.step_up(&op, Proof::Totp(admin.code(control))).await.unwrap();
    control.create_user(&op, &bob, ["ops".parse().unwrap()].into()).await.unwrap();
    assert_eq!(house.entries("device.stepped_up").await, 1);
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_and_a_link_takes_away_what_was_before() {
    let (house, hand, admin) = house().await;
    let control = &house.control;
    let op = admin.op(control).await;
    let bob: Handle = "bob".parse().unwrap();
    let link = control.create_user(&op, &bob, ["sallyport:user".parse().unwrap()].into()).await.unwrap();
    let mut person = Person::enrolled(control, &link.url).await;
    assert_eq!(control.users(&op, "bo", "", 10).await.unwrap()[0].factors, [FactorKind::Password, FactorKind::Totp]);
    control.set_disabled(&op, &bob, true).await.unwrap();
    assert!(control.by_cookie(&person.cookie).await.is_err());
    hand.forward(Duration::from_secs(60));
    assert!(person.sign_in(control).await.is_err());
    control.set_disabled(&op, &bob, false).await.unwrap();
    assert!(control.by_cookie(&person.cookie).await.is_err(), "the browser of before stays out");
    person.sign_in(control).await.unwrap();

    let link = control.link_user(&op, &bob).await.unwrap();
    control.by_cookie(&person.cookie).await.unwrap();
    let again = Person::enrolled(control, &link.url).await;
    assert!(control.by_cookie(&person.cookie).await.is_err());
    assert!(person.sign_in(control).await.is_err(), "the app of before computes nothing any more");
    control.by_cookie(&again.cookie).await.unwrap();
}

#[tokio::test]
async fn nobody_raises_others_above_themselves_and_the_last_administrator_stays() {
    let (house, _, admin) = house().await;
    let control = &house.control;
    let op = admin.op(control).await;
    let groups = |list: &[&str]| list.iter().map(|group| group.parse().unwrap()).collect();
    let (bob, eve) = ("bob".parse().unwrap(), "eve".parse().unwrap());
    let link = control.create_user(&op, &bob, groups(&["sallyport:admin", "tier2-admin"])).await.unwrap();
    let lesser = Person::enrolled(control, &link.url).await.op(control).await;
    control.create_user(&lesser, &eve, groups(&["ops"])).await.unwrap();
    for refused in [
        control.set_groups(&lesser, &eve, groups(&["sallyport:auditor"])).await,
        control.set_groups(&lesser, &bob, groups(&["sallyport:admin", "tier0-admin"])).await,
        control.set_disabled(&lesser, &"admin".parse().unwrap(), true).await,
        control.link_user(&lesser, &"admin".parse().unwrap()).await.map(drop),
    ] {
        assert_eq!(refused.err().unwrap().kind(), Kind::Denied);
    }
    let own: Handle = "admin".parse().unwrap();
    assert_eq!(control.set_groups(&op, &own, groups(&[])).await.err().unwrap().kind(), Kind::Usage);
    assert_eq!(control.set_disabled(&op, &own, true).await.err().unwrap().kind(), Kind::Usage);
    assert_eq!(control.create_user(&op, &eve, groups(&[])).await.err().unwrap().kind(), Kind::Usage);
}

#[tokio::test]
async fn a_new_password_signs_the_other_browsers_out_and_an_easy_one_is_refused() {
    let (house, hand, mut admin) = house().await;
    let control = &house.control;
    let first = secret(admin.cookie.expose());
    hand.forward(Duration::from_secs(60));
    admin.sign_in(control).await.unwrap();
    let op = admin.op(control).await;
    for easy in ["short", "aaaaaaaaaaaaaaaa", "adminadminadmin!", "abababababababab"] {
        let error = control.change_password(&op, secret(WORDS), secret(easy)).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Usage, "{easy}");
    }
    assert!(control.change_password(&op, secret("not this one"), secret("another four words")).await.is_err());
    control.change_password(&op, secret(WORDS), secret("another four words")).await.unwrap();
    assert!(control.by_cookie(&first).await.is_err());
    control.by_cookie(&admin.cookie).await.unwrap();
    assert!(admin.sign_in(control).await.is_err());
}

#[tokio::test]
async fn the_last_factor_stays() {
    let (house, _, admin) = house().await;
    let control = &house.control;
    let op = admin.op(control).await;
    control.new_recovery_codes(&op).await.unwrap();
    let who = control.by_cookie(&admin.cookie).await.unwrap().identity;
    let factors = control.own_factors(&who).unwrap();
    let of = |kind| factors.iter().find(|factor| factor.kind == kind).unwrap().id;
    assert_eq!(control.remove_factor(&op, of(FactorKind::Totp)).await.err().unwrap().kind(), Kind::Usage);
    control.remove_factor(&op, of(FactorKind::Recovery)).await.unwrap();
}

#[tokio::test]
async fn nothing_that_signs_somebody_in_is_readable_in_the_database() {
    let (house, _, admin) = house().await;
    let control = &house.control;
    let op = admin.op(control).await;
    let codes = control.new_recovery_codes(&op).await.unwrap();
    let open = control.opened().unwrap();
    let stored: Vec<u8> = open.store.working(|set| set.all().flat_map(|(_, d)| d.body.to_vec()).collect());
    let text = String::from_utf8_lossy(&stored).to_string();
    let secret_text = {
        let factors = open.directory.factors(op.identity().unwrap());
        assert_eq!(factors.len(), 3);
        TotpSecret::new(admin.codes.secret().as_ref().to_vec().into_boxed_slice()).to_base32()
    };
    for hidden in [WORDS, admin.cookie.expose(), &secret_text, codes[0].expose(), "argon2"] {
        assert!(!text.contains(hidden), "`{hidden}` is in a document");
    }
    assert!(!stored.windows(20).any(|window| window == admin.codes.secret().as_ref()));
}

#[tokio::test]
async fn whoever_administers_alone_does_so_until_there_are_two() {
    let house = House::founded_solo().await;
    let control = &house.control;
    assert!(control.is_solo());
    let op = house.admin();
    let groups = |list: &[&str]| list.iter().map(|group| group.parse().unwrap()).collect();
    control.create_user(&op, &"bob".parse().unwrap(), groups(&["sallyport:admin"])).await.unwrap();
    assert!(control.is_solo(), "bob does not administer everything");
    control.set_groups(&op, &"bob".parse().unwrap(), groups(&["sallyport:admin", "tier0-admin"])).await.unwrap();
    assert!(!control.is_solo());
    control.set_groups(&op, &"bob".parse().unwrap(), groups(&[])).await.unwrap();
    assert!(!control.is_solo(), "for good");
    assert_eq!(house.entries("solo.ended").await, 1);
}

#[tokio::test]
async fn a_policy_demands_a_fresh_factor_of_any_client_and_a_session_that_had_it_goes_on() {
    let (env, hand) = by_hand();
    let house = House::founded_with(env, None).await;
    house.furnish().await;
    let control = house.control.clone();
    let mut files = checkout();
    files[1].text = files[1].text.replace("@max_duration", "@require_step_up\n@max_duration");
    control.apply(&house.admin(), &files, false).await.unwrap();
    let link = control.link_on_host(&"ada".parse().unwrap()).await.unwrap();
    let ada = Person::enrolled(&control, &link.url).await;
    let house = Arc::new(house);
    let gateway = house.gateway().await;
    hand.forward(Duration::from_secs(6 * 60));
    control.by_cookie(&ada.cookie).await.unwrap();

    let stale =
        gateway.call(sallyport_model::authority::Call::Open(gateway.ask(gateway.login("ada").await, "ops@web-1")));
    let refused = denial(stale.await);
    assert!(refused.message.contains("fresh second factor"), "{}", refused.message);
    control.step_up(&ada.op(&control).await, Proof::Totp(ada.code(&control))).await.unwrap();
    let session = gateway.open("ada").await;
    hand.forward(Duration::from_secs(6 * 60));
    control.apply(&house.admin(), &files, false).await.unwrap();
    let shell = gateway.call(gateway.channel(session, sallyport_model::access::Channel::Shell)).await;
    assert!(matches!(shell, sallyport_model::authority::Reply::Done(_)), "what was met stays met for the session");
}
