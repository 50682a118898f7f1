//! `login`: who the client is, by key, certificate or token, and what its user name asks for.

use crate::by_browser::{self, Waited};
use crate::client::Connected;
use crate::{Client, config};
use bytes::Bytes;
use sallyport_gateway::listen::Downstream;
use sallyport_gateway::socket::Socket;
use sallyport_gateway::spine::{Arrival, Authenticated, Login, Step, Wish};
use sallyport_model::access::{Ask, Denial, From as Source};
use sallyport_model::authority::{Evidence, SshProof};
use sallyport_model::name::BadName;
use sallyport_model::{Address, Kind, Secret};
use sallyport_ssh_transport::auth::{self, Method, Request};
use sallyport_ssh_transport::link::Link;
use sallyport_ssh_transport::negotiate::Agreed;
use sallyport_ssh_transport::wire::{Cursor, Put as _};
use sallyport_ssh_transport::{Leg, SERVICE_ACCEPT, SERVICE_REQUEST, Settings, Transport, certificate, key};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Keys that a client may offer. An offer is never a factor.
const OFFERS: u32 = 10;
/// Requests of all sorts that a client may make.
const ATTEMPTS: u32 = 20;
/// What a client is told that offers more keys.
const TOO_MANY: &str = "ten keys were tried, and no more are: name the one that counts, as with \
                        `ssh -o IdentitiesOnly=yes -i KEY`";
/// So much of a user name is shown again, in characters.
const SHOWN: usize = 80;
/// Longest token.
const TOKEN: usize = 4096;
/// How long a refusal waits, so that guessing costs time; the question what there is costs none.
const REJECT: Duration = Duration::from_millis(500);
/// What may be tried.
const METHODS: [&str; 3] = ["publickey", "password", "keyboard-interactive"];

/// Speaks SSH with a client until it is known.
pub(crate) async fn login(settings: Arc<Settings>, io: Downstream, login: Login) -> Result<Arrival<Client>, Denial> {
    let from = io.from.ip();
    let transport = Transport::new(settings).map_err(|e| Denial::new(Kind::Failed, e.to_string()))?;
    let leg = Leg::new(io.stream, transport);
    let mut conversation =
        Conversation { leg, login, offers: 0, misnamed: false, asked: None, half: None, early: None };
    let (who, address) = conversation.run().await?;
    drop(io.half_open);
    let Conversation { mut leg, .. } = conversation;
    leg.authenticated();
    let agreed = leg.transport().algorithms().map(Agreed::told).unwrap_or_default();
    let (link, arrivals, driver) = Link::start(leg, config::CLIENT);
    let driver = AbortOnDropHandle::new(tokio::spawn(driver.run()));
    let client = Client::connected(Connected { link, agreed, driver }, arrivals);
    Ok(Arrival { client, who, wish: wish(address, from) })
}

struct Conversation {
    leg: Leg<Socket>,
    login: Login,
    offers: u32,
    /// It was told that its user name is none.
    misnamed: bool,
    /// Who was asked for what. An answer counts for that name alone, and once.
    asked: Option<(String, Question)>,
    /// Whose password or key was right, and is to ask for the next question by itself: the next request alone, under that name.
    half: Option<String>,
    /// What came while a browser was waited for.
    early: Option<Bytes>,
}

/// What a client is asked for.
#[derive(Clone, Copy)]
enum Question {
    /// A password, or a token in its place.
    Secret,
    /// The second factor.
    Code,
    /// Nothing: it is shown a code, which is good until then, and goes on once somebody has entered it in a browser.
    /// A password will do as well.
    Browser(Instant),
}

/// What a request came to.
enum Turn {
    /// This is who it is.
    In(Authenticated, Address),
    /// It was answered.
    Answered,
    /// The password or the key is right, and a second factor is wanted.
    Half(String),
    /// No.
    Rejected,
}

impl Conversation {
    async fn run(&mut self) -> Result<(Authenticated, Address), Denial> {
        let left = |e: sallyport_ssh_transport::Error| {
            Denial::new(Kind::Usage, format!("the client left before it logged in: {e}"))
        };
        self.serve().await.map_err(left)?;
        for _ in 0..ATTEMPTS {
            let payload = match self.early.take() {
                Some(payload) => payload,
                None => self.leg.receive().await.map_err(left)?,
            };
            let interactive = payload.first() == Some(&auth::INFO_RESPONSE);
            match self.turn(&payload).await.map_err(left)? {
                Turn::In(who, address) => {
                    self.leg.send(|out| out.byte(auth::SUCCESS)).map_err(left)?;
                    self.leg.flush().await.map_err(left)?;
                    return Ok((who, address));
                }
                Turn::Answered => {}
                // RFC 4252 section 5.1: what was shown counts in part. A client that is asked goes on by itself.
                Turn::Half(user) if interactive => self.ask(user, Question::Code).map_err(left)?,
                Turn::Half(user) => {
                    self.half = Some(user);
                    self.leg.send(|out| auth::failure(out, &["keyboard-interactive"], true)).map_err(left)?;
                }
                Turn::Rejected => self.leg.send(|out| auth::failure(out, &METHODS, false)).map_err(left)?,
            }
        }
        // RFC 4253 section 11.1: no more authentication methods available.
        let (few, many) = ("too many attempts; no proof was accepted", format!("too many attempts: {TOO_MANY}"));
        self.leg.disconnect(14, if self.offers > OFFERS { &many } else { few }).await;
        Err(Denial::new(Kind::Denied, "no proof of the client's was accepted"))
    }

    /// The one service there is; and "Permission denied" would be a lie where nobody can be let in.
    async fn serve(&mut self) -> Result<(), sallyport_ssh_transport::Error> {
        let payload = self.leg.receive().await?;
        if let Some(agreed) = self.leg.transport().algorithms() {
            self.login.exchanged(agreed.method.name());
        }
        let mut cursor = Cursor::new(&payload);
        if cursor.byte()? != SERVICE_REQUEST || cursor.string()? != b"ssh-userauth" {
            self.leg.disconnect(7, "only ssh-userauth is served").await;
            return Err(sallyport_ssh_transport::Error::Closed);
        }
        self.leg.send(|out| {
            out.byte(SERVICE_ACCEPT);
            out.string(b"ssh-userauth");
        })?;
        if let Err(denial) = self.login.possible() {
            self.banner(&denial.to_string())?;
        }
        Ok(())
    }

    async fn turn(&mut self, payload: &[u8]) -> Result<Turn, sallyport_ssh_transport::Error> {
        if payload.first() == Some(&auth::INFO_RESPONSE) {
            let answers = auth::answers(payload)?;
            let Some((user, question)) = self.asked.take() else { return Ok(Turn::Rejected) };
            return match (question, answers.first()) {
                (Question::Secret, Some([])) => self.show_code(user).await,
                (Question::Secret, Some(answer)) => Ok(self.secret(&user, answer).await),
                (Question::Code, Some(answer)) => Ok(self.code(&user, answer).await),
                (Question::Browser(until), Some([])) => self.browser(&user, until).await,
                (Question::Browser(_), Some(answer)) => Ok(self.secret(&user, answer).await),
                _ => Ok(Turn::Rejected),
            };
        }
        self.asked = None;
        // RFC 4252 section 5: under another name, what was shown before counts no more.
        let half = self.half.take();
        let Request { user, method } = Request::read(payload)?;
        if let Err(bad) = user.parse::<Address>() {
            self.misnamed(user, &bad).await?;
            return Ok(Turn::Answered);
        }
        Ok(match method {
            Method::None => {
                self.leg.send(|out| auth::failure(out, &METHODS, false))?;
                Turn::Answered
            }
            Method::PublicKey { algorithm, key, signature: None } => self.offer(user, algorithm, key).await?,
            Method::PublicKey { algorithm, key, signature: Some(signature) } => {
                self.signed(user, (algorithm, key, signature)).await
            }
            Method::Password(secret) => self.secret(user, secret).await,
            Method::Interactive => {
                let question = if half.is_some_and(|half| half == user) { Question::Code } else { Question::Secret };
                self.ask(user.to_owned(), question)?;
                Turn::Answered
            }
            Method::Other => Turn::Rejected,
        })
    }

    /// Says once what a user name is, and lets nobody be asked for a secret: what is shown under a name that is none counts for
    /// nobody. With no method at all OpenSSH tries every one.
    async fn misnamed(&mut self, user: &str, bad: &BadName) -> Result<(), sallyport_ssh_transport::Error> {
        if !std::mem::replace(&mut self.misnamed, true) {
            self.banner(&no_name(user, bad))?;
            self.login.misnamed().await;
        }
        self.leg.send(|out| auth::failure(out, &["publickey"], false))
    }

    fn banner(&mut self, text: &str) -> Result<(), sallyport_ssh_transport::Error> {
        self.leg.send(|out| auth::banner(out, &format!("sallyport: {text}\r\n")))
    }

    fn ask(&mut self, user: String, question: Question) -> Result<(), sallyport_ssh_transport::Error> {
        let prompt = match question {
            Question::Secret if by_browser::handle(&user).is_some() => by_browser::PROMPT,
            Question::Secret => "Password or token: ",
            Question::Code | Question::Browser(_) => "Code: ",
        };
        self.asked = Some((user, question));
        self.leg.send(|out| auth::questions(out, "Sallyport", "", &[(prompt, false)]))
    }

    /// Shows a code to be entered in a browser.
    async fn show_code(&mut self, user: String) -> Result<Turn, sallyport_ssh_transport::Error> {
        let client = self.leg.transport().identification().map(String::from_utf8_lossy).unwrap_or_default();
        let begun = tokio::join!(by_browser::begin(&self.login, &user, &client), tokio::time::sleep(REJECT)).0;
        match begun {
            Ok((text, until)) => {
                self.asked = Some((user, Question::Browser(until)));
                self.leg.send(|out| auth::questions(out, "Sallyport", "", &[(&text, false)]))?;
                Ok(Turn::Answered)
            }
            Err(denial) => self.told(&denial),
        }
    }

    async fn browser(&mut self, user: &str, until: Instant) -> Result<Turn, sallyport_ssh_transport::Error> {
        let Ok(address) = user.parse::<Address>() else { return Ok(Turn::Rejected) };
        match by_browser::wait(&mut self.leg, &self.login, (address.handle(), until)).await? {
            Waited::In(who) => Ok(Turn::In(who, address)),
            Waited::No(denial) => self.told(&denial),
            Waited::Spoken(payload) => {
                self.early = Some(payload);
                Ok(Turn::Answered)
            }
        }
    }

    /// No, and why.
    fn told(&mut self, denial: &Denial) -> Result<Turn, sallyport_ssh_transport::Error> {
        self.leg.send(|out| auth::banner(out, &format!("sallyport: {denial}\r\n")))?;
        Ok(Turn::Rejected)
    }

    async fn offer(
        &mut self,
        user: &str,
        algorithm: &str,
        blob: &[u8],
    ) -> Result<Turn, sallyport_ssh_transport::Error> {
        self.offers = self.offers.saturating_add(1);
        if self.offers == OFFERS.saturating_add(1) {
            self.banner(TOO_MANY)?;
        }
        let plain = || key::SIGNATURES.contains(&algorithm).then(|| key::type_of(algorithm));
        let known = certificate::type_of(algorithm)
            .or_else(plain)
            .is_some_and(|sort| key::kind(blob).is_ok_and(|kind| kind == sort));
        let (Ok(address), Ok(text)) = (user.parse::<Address>(), key::print(blob)) else { return Ok(Turn::Rejected) };
        if !known || self.offers > OFFERS {
            return Ok(Turn::Rejected);
        }
        let evidence = Evidence::SshKey { key: text, proof: None };
        match self.login.step(address.handle().cloned(), evidence).await {
            Ok(Step::More) => {
                self.leg.send(|out| auth::welcome(out, algorithm, blob))?;
                Ok(Turn::Answered)
            }
            // An offer that is not welcome says nothing of a secret: no need to wait.
            Ok(Step::Authenticated(_)) | Err(_) => Ok(Turn::Rejected),
        }
    }

    async fn signed(&mut self, user: &str, (algorithm, blob, signature): (&str, &[u8], &[u8])) -> Turn {
        let Some(exchange) = self.leg.transport().session().map(|session| session.to_vec()) else {
            return reject().await;
        };
        // Control verifies it too. What is no proof need not keep it busy.
        let proved = auth::proved(&exchange, user, algorithm, blob, signature).is_ok();
        let (user_name, algorithm) = (user.to_owned(), algorithm.to_owned());
        let proof = SshProof { exchange, user: user_name, algorithm, signature: signature.to_vec() };
        match key::print(blob) {
            Ok(key) if proved => self.prove(user, Evidence::SshKey { key, proof: Some(proof) }).await,
            _ => reject().await,
        }
    }

    async fn secret(&mut self, user: &str, secret: &[u8]) -> Turn {
        if secret.is_empty() || secret.len() > TOKEN {
            return reject().await;
        }
        self.prove(user, Evidence::Token(Secret::new(secret.to_vec()))).await
    }

    async fn code(&mut self, user: &str, code: &[u8]) -> Turn {
        if code.is_empty() || code.len() > TOKEN {
            return reject().await;
        }
        self.prove(user, Evidence::Code(Secret::new(code.to_vec()))).await
    }

    /// Shows a proof. The user name of this very request counts, so that a client which changes it
    /// between requests gains nothing.
    async fn prove(&mut self, user: &str, evidence: Evidence) -> Turn {
        let Ok(address) = user.parse::<Address>() else { return reject().await };
        let first = matches!(evidence, Evidence::Token(_) | Evidence::SshKey { proof: Some(_), .. });
        match self.login.step(address.handle().cloned(), evidence).await {
            Ok(Step::Authenticated(who)) => Turn::In(who, address),
            Ok(Step::More) if first => Turn::Half(user.to_owned()),
            Ok(Step::More) | Err(_) => reject().await,
        }
    }
}

/// What is said of a user name that is none, and what would be one. A terminal is shown nothing else of it than plain characters.
fn no_name(user: &str, bad: &BadName) -> String {
    let mut shown = String::new();
    for c in user.chars().take(SHOWN) {
        if c.is_ascii_graphic() || c == ' ' {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    if user.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    let upper = matches!(bad, BadName::Handle | BadName::Target) && user.chars().any(char::is_uppercase);
    let lower = if upper { "; names are lower case" } else { "" };
    format!(
        "`{shown}` is no user name here: {bad}{lower}. It is [handle+]account@target, as in \
         `ssh ada+root@web-1@this-gateway`"
    )
}

async fn reject() -> Turn {
    tokio::time::sleep(REJECT).await;
    Turn::Rejected
}

fn wish(address: Address, from: IpAddr) -> Wish {
    match address {
        Address::Place { account, target, .. } => {
            let protocol = "ssh".into();
            Wish::Open(Ask { account, target, protocol, from: Source(from), reason: String::new() })
        }
        Address::Chooser { .. } => Wish::Choose(Source(from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_that_is_none_only_plain_characters_are_shown_and_not_many() {
        let name = format!("\u{1b}]0;title\u{7}\r\n\u{202e}{}", "x".repeat(10_000));
        let told = no_name(&name, &BadName::Handle);
        assert!(told.starts_with("`\\u{1b}]0;title\\u{7}\\u{d}\\u{a}\\u{202e}xxx"), "{told}");
        assert!(told.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && told.len() < 400, "{told}");
        let worst = no_name(&"\u{10ffff}".repeat(10_000), &BadName::Account);
        assert!(worst.len() < 1500, "{}", worst.len());
    }
}
