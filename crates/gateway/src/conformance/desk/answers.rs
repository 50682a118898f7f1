//! What the reference desk answers, by its tables.

use super::{
    Becomes, CODE, Credential, DENIED_ACCOUNT, Entry, HELD_ACCOUNT, OpenSession, PASSWORD_TYPED, Reference, State,
    Target,
};
use sallyport_model::access::{Ask, Denial, Terms};
use sallyport_model::authority::{
    AuthStep, Authenticated, BECOMING_INFO, Call, Choice, Close, Evidence, LoginCode, Open, Opened, PASSWORD_INFO,
    Places, Reply, password_aad,
};
use sallyport_model::inventory::{Logon, Place, SessionKey};
use sallyport_model::rules::Act;
use sallyport_model::way::Stop;
use sallyport_model::{AccountName, AuthId, Env, GatewayId, Handle, IdentityId, Kind, SessionId, TargetName};

impl Reference {
    pub(super) fn answer(&self, gateway: GatewayId, call: Call) -> Reply {
        let mut state = self.state();
        if state.down && !matches!(call, Call::AuthStep(..)) {
            return Reply::Denied(Denial::unavailable("the ledger"));
        }
        match call {
            Call::AuthStep(_, step) => state.login(&self.env, gateway, step),
            Call::Open(open) => state.open(gateway, open),
            Call::Channel(ask) => {
                let text = format!("{} {}", ask.kind.action(), ask.detail);
                let forbidden = state.forbidden.contains(&ask.kind).then(|| format!("{text} is not permitted"));
                match ask.refused.or(forbidden) {
                    None => state.done("channel.opened", Some(ask.session), text),
                    Some(why) => {
                        state.done("channel.denied", Some(ask.session), text);
                        Reply::Denied(Denial::new(Kind::Denied, why))
                    }
                }
            }
            Call::Places(asked) => state.places(&asked),
            Call::Password(session, stop) => state.password(session, stop),
            Call::Becoming(session) => state.becoming(session),
            Call::Sign(session, challenge, stop) => state.sign(session, &challenge, stop),
            Call::Certify(session, exchange, stop) => state.certify(session, &exchange, stop),
            Call::Anchor(anchor) => {
                let text = format!("{} {}", anchor.segments, hex(&anchor.chain));
                state.done("recording.anchored", Some(anchor.session), text)
            }
            Call::Thawed(thawed) => {
                let text = format!("{} {}", thawed.without.word(), thawed.millis);
                state.done("session.frozen", Some(thawed.session), text)
            }
            Call::Company(told) => {
                let (who, part) = told.whom.map_or_else(Default::default, |g| (g.handle.to_string(), g.part.word()));
                state.done(
                    "session.company",
                    Some(told.session),
                    format!("{:?} {who} {part} {}", told.change, told.why),
                )
            }
            Call::Judged(_) if state.unjudging => Reply::Denied(Denial::unavailable("the ledger")),
            Call::Judged(judged) => {
                let text = format!("{} {} {}", judged.guarantee.word(), judged.rule, judged.command);
                let done = state.done(judged.action(), Some(judged.session), text);
                if judged.act == Act::Hold && !state.approved {
                    return Reply::Denied(Denial::new(Kind::NeedsApproval, "nobody has approved it"));
                }
                done
            }
            Call::Signature(_) if state.unjudging => Reply::Denied(Denial::unavailable("the ledger")),
            Call::Signature(told) => {
                let text = format!("{} {} {} {} {}", told.by.word(), told.what, told.key, told.why, told.times);
                state.done(told.outcome.action(), Some(told.session), text)
            }
            Call::Close(close) => state.close(close),
        }
    }
}

impl Target {
    /// What somebody who asked for it is permitted.
    pub(crate) fn opened(&self, ask: &Ask, (identity, handle): (IdentityId, &Handle), entry: u64) -> Opened {
        let login = self.login.clone().unwrap_or(ask.account.clone());
        let place = Place {
            target: ask.target.clone(),
            host: self.host.clone(),
            port: self.port,
            account: self.becomes.as_ref().map_or_else(|| login.clone(), |becomes| becomes.account.clone()),
            host_keys: self.host_keys.clone(),
            grace: self.grace,
            anchor: self.anchor,
            freezes: self.freezes,
            logon: self.becomes.as_ref().map(|becomes| Logon { account: login, by: becomes.by }),
            platform: self.platform,
            hops: self.hops.iter().map(|(name, hop)| hop.as_hop(name, &ask.account)).collect(),
            accepts: self.accepts.clone(),
        };
        let terms = Terms {
            identity,
            handle: handle.clone(),
            place,
            limits: self.limits.clone(),
            policy: "0".repeat(64),
            determining: vec!["suite".into()],
            entry,
            rules: self.rules.clone(),
        };
        Opened { terms, lease: self.credential.lease() }
    }
}

impl State {
    fn done(&mut self, action: &'static str, session: Option<SessionId>, text: String) -> Reply {
        self.entries.push(Entry { action, session, text });
        Reply::Done(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    fn login(&mut self, env: &Env, gateway: GatewayId, step: AuthStep) -> Reply {
        let (known, proved) = match &step.evidence {
            Evidence::SshKey { key, proof: None } => (self.keys.get(key).cloned(), false),
            // Without what verifies it a proof is none: nothing is believed because a gateway says so.
            Evidence::SshKey { key, proof: Some(proof) } => {
                let good = self.verify.as_ref().is_some_and(|verify| verify(key, proof));
                (self.keys.get(key).cloned().filter(|_| good), true)
            }
            Evidence::Token(token) if token.expose() == PASSWORD_TYPED => return Reply::More,
            Evidence::Token(token) => (self.tokens.get(token.expose()).cloned(), true),
            Evidence::Code(code) if code.expose() == CODE => (step.handle.clone(), true),
            Evidence::Browser(_) if self.browsers => {
                let (page, code) = ("https://sallyport.example/link".into(), "CCCC-CCCC".into());
                return Reply::LoginCode(LoginCode { page, code, seconds: 300 });
            }
            Evidence::Allowed(_) if self.browsers => {
                self.asked += 1;
                return Reply::More;
            }
            Evidence::Code(_) | Evidence::Browser(_) | Evidence::Allowed(_) => (None, true),
            Evidence::Misnamed => {
                self.done("login.failed", None, "user_name".into());
                (None, true)
            }
        };
        let named = |handle: &Handle| step.handle.as_ref().is_none_or(|wanted| wanted == handle);
        match known.filter(named) {
            Some(_) if !proved => Reply::More,
            Some(handle) => match self.authenticated(env, &handle, gateway) {
                Some(who) => Reply::Authenticated(who),
                None => Reply::Denied(Denial::unknown()),
            },
            None => Reply::Denied(Denial::new(Kind::Denied, "this proof is not accepted")),
        }
    }

    pub(super) fn authenticated(&mut self, env: &Env, handle: &Handle, gateway: GatewayId) -> Option<Authenticated> {
        let identity = *self.people.get(handle)?;
        let auth = AuthId::new(env);
        self.auths.insert(auth, (handle.clone(), gateway));
        Some(Authenticated { auth, identity, handle: handle.clone() })
    }

    fn open(&mut self, gateway: GatewayId, open: Open) -> Reply {
        let Some((handle, _)) = self.auths.get(&open.who).filter(|(_, by)| *by == gateway).cloned() else {
            return Reply::Denied(Denial::new(Kind::Denied, "log in again"));
        };
        let account = open.ask.account.as_str();
        if account == HELD_ACCOUNT && !self.approved {
            return Reply::Denied(Denial::new(Kind::NeedsApproval, "request req_1 waits for an approval"));
        }
        let (Some(target), Some(identity)) = (self.targets.get(&open.ask.target), self.people.get(&handle)) else {
            return Reply::Denied(Denial::unknown());
        };
        if account == DENIED_ACCOUNT {
            return Reply::Denied(Denial::unknown());
        }
        let entry = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        let opened = target.opened(&open.ask, (*identity, &handle), entry);
        let becomes = target.becomes.clone();
        let credential = target.credential.clone();
        let hops = target.hops.iter().map(|(_, hop)| hop.credential.clone()).collect();
        let key = open.key;
        let session = OpenSession { recording: open.recording, gateway, key, credential, becomes, hops };
        self.open.insert(open.session, session);
        self.headers.insert(open.recording, open.header.clone());
        let text = format!("{handle} {} {} {}", open.ask.account, open.ask.target, hex(&open.header));
        self.done("session.opened", Some(open.session), text);
        Reply::Opened(Box::new(opened))
    }

    /// Every target, for the account that the suite uses.
    fn places(&self, asked: &Places) -> Reply {
        let Ok(account) = "ops".parse::<AccountName>() else { return Reply::Denied(Denial::unknown()) };
        if !self.auths.contains_key(&asked.who) {
            return Reply::Denied(Denial::new(Kind::Denied, "the sign-in is over its time: connect again"));
        }
        let mut names: Vec<_> = self.targets.keys().filter(|name| name.as_str().contains(&asked.search)).collect();
        names.sort();
        let choice = |target: &TargetName| Choice {
            account: account.clone(),
            target: target.clone(),
            usable: true,
            note: String::new(),
            ago: None,
        };
        Reply::Places(names.into_iter().map(choice).collect())
    }

    /// The key of a session, and which of its credentials is meant.
    fn lent(&self, session: SessionId, stop: Stop) -> Option<(SessionKey, &Credential)> {
        let open = self.open.get(&session)?;
        let credential = match stop {
            Stop::Target => &open.credential,
            Stop::Hop(number) => open.hops.get(usize::from(number))?,
        };
        Some((open.key, credential))
    }

    fn note_lent(&mut self, session: SessionId, what: &str, stop: Stop) {
        let text = match stop {
            Stop::Target => what.to_owned(),
            Stop::Hop(number) => format!("{what} of hop {number}"),
        };
        self.done("credential.lent", Some(session), text);
    }

    fn password(&mut self, session: SessionId, stop: Stop) -> Reply {
        let (key, password) = match self.lent(session, stop) {
            Some((key, Credential::Password(password))) => (key, password.clone()),
            _ => return Reply::Denied(Denial::unknown()),
        };
        self.lend((session, stop), (key, &password), (PASSWORD_INFO, "password"))
    }

    fn becoming(&mut self, session: SessionId) -> Reply {
        let (key, password) = match self.open.get(&session) {
            Some(OpenSession { key, becomes: Some(Becomes { password: Some(password), .. }), .. }) => {
                (*key, password.clone())
            }
            _ => return Reply::Denied(Denial::new(Kind::Unavailable, "no password is stored for that")),
        };
        self.lend((session, Stop::Target), (key, &password), (BECOMING_INFO, "becoming"))
    }

    fn lend(
        &mut self,
        (session, stop): (SessionId, Stop),
        (key, password): (SessionKey, &str),
        (info, what): (&[u8], &str),
    ) -> Reply {
        match key.seal(info, &password_aad(session, stop), password.as_bytes()) {
            Ok(sealed) => {
                self.note_lent(session, what, stop);
                Reply::Password(sealed)
            }
            Err(error) => Reply::Denied(Denial::new(Kind::Failed, error.to_string())),
        }
    }

    fn sign(&mut self, session: SessionId, challenge: &[u8], stop: Stop) -> Reply {
        let signature = match self.lent(session, stop) {
            Some((_, Credential::Key(_, sign))) => sign(challenge),
            _ => return Reply::Denied(Denial::unknown()),
        };
        self.note_lent(session, "signature", stop);
        Reply::Signature(signature)
    }

    fn certify(&mut self, session: SessionId, exchange: &[u8], stop: Stop) -> Reply {
        let certified = match self.lent(session, stop) {
            Some((_, Credential::Certificate(certify))) => certify(exchange),
            _ => return Reply::Denied(Denial::unknown()),
        };
        self.note_lent(session, "certificate", stop);
        Reply::Certified(certified)
    }

    fn close(&mut self, close: Close) -> Reply {
        if self.open.remove(&close.session).is_none() {
            return Reply::Denied(Denial::unknown());
        }
        let (up, down) = close.bytes;
        let text = format!(
            "{} complete={} segments={} bytes={up}/{down} {}",
            close.reason, close.complete, close.anchor.segments, close.note
        );
        self.closes.insert(close.session, close.clone());
        self.done("session.closed", Some(close.session), text)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
