//! A house to test in: founded, applied, with a gateway that is only a handle.

use crate::{Actor, ApplyFile, Control, Error, Founding, Op, Opening, Progress, SignInRules, found, join};
use crate::{Listing, ReachLine};
use sallyport_model::access::{Ask, Channel, From};
use sallyport_model::authority::{
    AuthStep, Call, Close, Desk, Down, DownSink, Evidence, Hello, Open, OpenChannel, Reply, VERSION, Welcome,
};
use sallyport_model::sealed::{PrivateKey, PublicKey};
use sallyport_model::secret::SecretBytes;
use sallyport_model::{AuthId, CallId, ChannelId, Env, GatewayId, LoginId, RecordingId, Secret, SessionId};
use sallyport_store::{EntryRow, Filter, Place};
use sallyport_vault::Argon;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(super) const PASSWORD: &str = "correct horse battery staple";

const INVENTORY: &str = r#"
[[identity]]
handle = "ada"
groups = ["ops"]

[[identity]]
handle = "bob"

[[target]]
name = "web-1"
host = "127.0.0.1"
port = 22
environment = "demo"
tier = 1
tags = ["web"]
host_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]

[[target.account]]
name = "ops"
class = "standard"
"#;

const POLICY: &str = r#"
@id("ops-use-web")
@max_duration("1h")
permit (
  principal in Group::"ops",
  action in [Action::"see", Action::"connect", Action::"channel:shell", Action::"channel:exec"],
  resource
) when { resource.tags.contains("web") };
"#;

pub(super) fn file(name: &str, text: &str) -> ApplyFile {
    ApplyFile { name: name.into(), text: text.into() }
}

pub(super) fn checkout() -> Vec<ApplyFile> {
    vec![file("inventory.toml", INVENTORY), file("a.cedar", POLICY)]
}

pub(super) fn secret(text: &str) -> Secret<String> {
    Secret::new(text.into())
}

fn control(env: &Env, dir: &TempDir, node: &str, place: Option<Place>) -> Arc<Control> {
    let control = Control::new(env.clone(), dir.path(), node);
    Arc::new(match place {
        Some(place) => control.at(place),
        None => control,
    })
}

/// What a test told this process, which it has started.
#[expect(clippy::disallowed_methods, reason = "a process that a test has started is told by its environment")]
pub(super) fn told(name: &str) -> String {
    std::env::var(format!("SALLYPORT_TEST_{name}")).unwrap()
}

pub(super) struct House {
    pub(super) env: Env,
    pub(super) dir: TempDir,
    pub(super) control: Arc<Control>,
    pub(super) recovery: Secret<String>,
    pub(super) link: Secret<String>,
    token: Secret<String>,
}

impl House {
    pub(super) async fn founded() -> Self {
        Self::founded_at(None).await
    }

    pub(super) async fn founded_at(place: Option<Place>) -> Self {
        Self::founded_with(Env::system(), place).await
    }

    /// A house that one person administers.
    pub(super) async fn founded_solo() -> Self {
        Self::founded_as(Env::system(), None, true).await
    }

    pub(super) async fn founded_with(env: Env, place: Option<Place>) -> Self {
        Self::founded_as(env, place, false).await
    }

    async fn founded_as(env: Env, place: Option<Place>, solo: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let founding = Founding {
            admin: "admin".parse().unwrap(),
            ssh_keys: Vec::new(),
            token_seconds: 3600,
            argon: Argon::cheapest(),
            place: place.clone(),
            solo,
            sign_in: SignInRules::default(),
        };
        let founded = found(&env, dir.path(), "node-1", &founding).await.unwrap();
        let mut house = Self {
            control: control(&env, &dir, "node-1", place),
            env,
            dir,
            recovery: founded.recovery,
            link: founded.link.url,
            token: founded.token,
        };
        house.unseal().await;
        house
    }

    /// Another node of the same installation, with a data directory of its own.
    pub(super) async fn joined(&self, node: &str, place: &Place) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = std::fs::read(self.dir.path().join("keys/vault.key")).unwrap();
        join(&self.env, dir.path(), node, place, &key).await.unwrap();
        let copy = |text: &Secret<String>| Secret::new(text.expose().clone());
        let control = control(&self.env, &dir, node, Some(place.clone()));
        let mut house = Self {
            env: self.env.clone(),
            dir,
            control,
            recovery: copy(&self.recovery),
            link: copy(&self.link),
            token: copy(&self.token),
        };
        house.unseal().await;
        house
    }

    pub(super) async fn unseal(&mut self) {
        let key = std::fs::read(self.dir.path().join("keys/vault.key")).unwrap();
        self.control.unseal_with_key_file(&key).await.unwrap();
    }

    /// The admin's inventory, policies and a credential.
    pub(super) async fn furnish(&self) {
        let op = self.admin();
        self.control.apply(&op, &checkout(), false).await.unwrap();
        let password = crate::NewSecret::Password(Secret::new(PASSWORD.as_bytes().to_vec()));
        self.control.put_secret(&op, &"ops@web-1".parse().unwrap(), password).await.unwrap();
    }

    /// With inventory, policies and a credential.
    pub(super) async fn applied() -> Self {
        let house = Self::founded().await;
        house.furnish().await;
        house
    }

    /// All that somebody may use or ask for.
    pub(super) fn reach(&self, op: &Op) -> Vec<ReachLine> {
        self.control.reach(op, &Listing { limit: 1000, ..Listing::default() }).unwrap().lines
    }

    pub(super) fn op_of(&self, token: &Secret<String>) -> Op {
        let who = self.control.sign_in(token).unwrap();
        Op {
            actor: Actor::Identity(who.identity.id, who.identity.handle),
            from: HERE,
            correlation: String::new(),
            device: None,
        }
    }

    pub(super) fn admin(&self) -> Op {
        self.op_of(&self.token)
    }

    pub(super) async fn token(&self, handle: &str) -> Secret<String> {
        self.control.create_token(&self.admin(), Some(&handle.parse().unwrap()), HOUR, "test").await.unwrap().text
    }

    pub(super) async fn signed_in(&self, handle: &str) -> Op {
        self.op_of(&self.token(handle).await)
    }

    pub(super) async fn unseal_by(&self, passphrase: &str) -> Result<Option<Progress>, Error> {
        self.control.unseal(HERE, Opening::Passphrase(secret(passphrase))).await
    }

    pub(super) async fn entries(&self, action: &str) -> usize {
        self.rows(&[action]).await.len()
    }

    /// Entries with these actions, oldest first.
    pub(super) async fn rows(&self, actions: &[&str]) -> Vec<EntryRow> {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        let filter = Filter { actions, limit: 1000, ..Filter::default() };
        self.control.opened().unwrap().store.entries(&filter).await.unwrap()
    }

    pub(super) async fn gateway(self: &Arc<Self>) -> Gateway {
        Gateway::join(self.clone(), GatewayId::new(&self.env), Vec::new()).await
    }
}

/// The other side of the Authority, by hand.
pub(super) struct Gateway {
    pub(super) house: Arc<House>,
    pub(super) id: GatewayId,
    pub(super) welcome: Welcome,
    pub(super) orders: Arc<Mutex<Vec<String>>>,
    pub(super) private: PrivateKey,
    pub(super) public: PublicKey,
}

impl Gateway {
    pub(super) async fn join(house: Arc<House>, id: GatewayId, open: Vec<SessionId>) -> Self {
        let orders = Arc::new(Mutex::new(Vec::new()));
        let sink: DownSink = {
            let orders = orders.clone();
            Arc::new(move |order| {
                orders.lock().unwrap().push(match order {
                    Down::Kill(session, why) => format!("kill {session} {why}"),
                    Down::Revoke(session, why) => format!("revoke {session} {why}"),
                    Down::Seal => "seal".into(),
                    Down::RecordingKey(key) => format!("recording key {}", key.epoch),
                    Down::Watch(..) => "watch".into(),
                    Down::Unwatch(..) => "unwatch".into(),
                    Down::Steer(session, steering) => format!("steer {session} {}", steering.count),
                    _ => "other".into(),
                });
                true
            })
        };
        let hello = Hello { version: VERSION, gateway: id, zone: "default".parse().unwrap(), open };
        let welcome = house.control.join(hello, sink).await.unwrap();
        let (private, public) = PrivateKey::generate(&house.env).unwrap();
        Self { house, id, welcome, orders, private, public }
    }

    pub(super) async fn call(&self, call: Call) -> Reply {
        self.call_as(CallId::new(&self.house.env), call).await
    }

    pub(super) async fn call_as(&self, id: CallId, call: Call) -> Reply {
        self.house.control.call(self.id, id, call).await
    }

    pub(super) async fn login(&self, handle: &str) -> AuthId {
        self.login_over(handle, None).await
    }

    /// A login of a client with whom keys were exchanged by this method.
    pub(super) async fn login_over(&self, handle: &str, exchange: Option<&str>) -> AuthId {
        let exchange = exchange.map(str::to_owned);
        let token = self.house.token(handle).await;
        let evidence = Evidence::Token(SecretBytes::new(token.expose().as_bytes().to_vec()));
        let step = AuthStep { handle: None, from: From(HERE), evidence, exchange };
        match self.call(Call::AuthStep(LoginId::new(&self.house.env), step)).await {
            Reply::Authenticated(found) => found.auth,
            _ => panic!("{handle} does not sign in"),
        }
    }

    pub(super) fn ask(&self, who: AuthId, address: &str) -> Open {
        let (account, target) = address.rsplit_once('@').unwrap();
        Open {
            session: SessionId::new(&self.house.env),
            who,
            ask: Ask {
                account: account.parse().unwrap(),
                target: target.parse().unwrap(),
                protocol: "ssh".into(),
                from: From(HERE),
                reason: String::new(),
            },
            recording: RecordingId::new(&self.house.env),
            header: vec![1; 32],
            key: self.public,
        }
    }

    pub(super) async fn open(&self, handle: &str) -> SessionId {
        let ask = self.ask(self.login(handle).await, "ops@web-1");
        let session = ask.session;
        match self.call(Call::Open(ask)).await {
            Reply::Opened(_) => session,
            Reply::Denied(denial) => panic!("{denial}"),
            _ => panic!("misfit"),
        }
    }

    pub(super) fn channel(&self, session: SessionId, kind: Channel) -> Call {
        Call::Channel(OpenChannel {
            session,
            channel: ChannelId::new(&self.house.env),
            kind,
            detail: "id".into(),
            refused: None,
        })
    }

    pub(super) fn close(&self, session: SessionId) -> Call {
        let anchor = sallyport_model::authority::Anchor { session, segments: 1, chain: vec![2; 32] };
        let reason = sallyport_model::access::EndReason::ClientClose;
        Call::Close(Close {
            session,
            reason,
            anchor,
            complete: true,
            bytes: (1, 2),
            note: String::new(),
            frozen: 0,
            exchanges: Vec::new(),
            not_become: None,
        })
    }
}

pub(super) fn denial(reply: Reply) -> sallyport_model::access::Denial {
    match reply {
        Reply::Denied(denial) => denial,
        _ => panic!("not denied"),
    }
}
