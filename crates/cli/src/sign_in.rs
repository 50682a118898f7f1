//! Signing in with a password and a second factor, as a browser does; what is left of it is a token.

use crate::Fail;
use crate::account::{ask, ask_openly, left, seconds};
use crate::certificate::Keys;
use crate::client::Client;
use crate::command::Login;
use crate::output::{harmless, remark};
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE};
use reqwest::{Method, Response};
use sallyport_model::{Env, Kind, Timestamp};
use sallyport_wire as wire;
use serde::Serialize;

/// How often a code may be typed before the password is asked for again.
const TRIES: u8 = 3;
/// What the token is for, as its owner finds it in lists.
const LABEL: &str = "login with a password";

/// The token of somebody who has shown a password and a second factor. The browser's session that it took is ended.
/// A certificate for the key is asked for in the same sign-in, so that it says which factors it rests on.
pub(crate) async fn with_password(
    args: &Login,
    client: &Client,
    keys: Option<&Keys>,
) -> Result<(String, Certified), Fail> {
    let life = seconds(&args.ttl)?;
    let handle = match &args.handle {
        Some(handle) => handle.clone(),
        None => ask_openly("User name")?,
    };
    let password = ask("Password")?;
    let mut visit = Visit { client, cookie: None };
    let step: wire::SignedIn = visit.post("/sign-in", &wire::SignIn { handle, password }).await?;
    let token = match step.state.as_str() {
        "factor" => {
            visit.present_factor(&step.methods).await?;
            visit.post("/tokens", &wire::NewToken { handle: None, seconds: life, label: LABEL.into() }).await
        }
        "in" => visit.post("/tokens", &wire::NewToken { handle: None, seconds: life, label: LABEL.into() }).await,
        _ => Err(Fail::new(
            Kind::Denied,
            format!("you have no second factor yet: add one in a browser, at {}, and repeat", client.url()),
        )),
    };
    let mut certified = None;
    if let (Ok(_), Some(keys)) = (&token, keys) {
        certified = Some(visit.post("/me/certificates", &keys.ask()).await);
    }
    let over = visit.send("/sign-out", &wire::Nothing {}).await;
    let token: wire::Token = token?;
    over?;
    Ok((token.token, certified))
}

/// What came of asking for a certificate, where one was asked for.
type Certified = Option<Result<wire::CertifiedKey, Fail>>;

/// Calls that belong together by a cookie, and that come from no other site's page.
struct Visit<'a> {
    client: &'a Client,
    cookie: Option<String>,
}

impl Visit<'_> {
    async fn send<B: Serialize>(&mut self, path: &str, body: &B) -> Result<Response, Fail> {
        let mut request = self.client.anonymous(Method::POST, path).header(ORIGIN, self.client.url()).json(body);
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let response = self.client.answer(request).await?;
        let set = response.headers().get(SET_COOKIE).and_then(|value| value.to_str().ok());
        if let Some(pair) = set.and_then(|set| set.split(';').next()) {
            self.cookie = Some(pair.to_owned());
        }
        Ok(response)
    }

    async fn post<B: Serialize, T: serde::de::DeserializeOwned>(&mut self, path: &str, body: &B) -> Result<T, Fail> {
        let response = self.send(path, body).await?;
        response.json().await.map_err(|e| Fail::failed(format!("the server's answer is not understood: {e}")))
    }

    /// Asks for a code and presents it, again while it is wrong.
    async fn present_factor(&mut self, methods: &[String]) -> Result<(), Fail> {
        let has = |method: &str| methods.iter().any(|known| known == method);
        let what = match (has("totp"), has("recovery")) {
            (true, true) => "Code of your app, or a recovery code",
            (true, false) => "Code of your app",
            (false, true) => "Recovery code",
            (false, false) => {
                return Err(Fail::new(
                    Kind::Denied,
                    format!(
                        "your second factor is a passkey, which a browser asks for: sign in at {} and add an app there, or make a token there and run `sallyport login`",
                        self.client.url()
                    ),
                ));
            }
        };
        for left in (0..TRIES).rev() {
            let code = ask(what)?;
            let path = if is_of_app(&code) { "/sign-in/totp" } else { "/sign-in/recovery" };
            let done: Result<wire::SignedIn, Fail> = self.post(path, &wire::Code { code }).await;
            match done {
                Err(fail) if fail.kind == Kind::Denied && left > 0 => remark(&harmless(&fail.message)),
                other => return other.map(drop),
            }
        }
        Ok(())
    }
}

/// Six digits, however they are spaced: what an app shows. Anything else is meant as a recovery code.
fn is_of_app(code: &str) -> bool {
    let mut digits = code.chars().filter(|c| !c.is_whitespace());
    digits.by_ref().take(6).filter(char::is_ascii_digit).count() == 6 && digits.next().is_none()
}

/// Until when a token is good, for people: the time that is left, and the moment.
pub(crate) fn until(expires: &str) -> String {
    match expires.parse::<Timestamp>() {
        Ok(end) => format!("{} left, until {expires}", left(end.since(Env::system().now()))),
        Err(_) => format!("until {}", harmless(expires)),
    }
}

#[cfg(test)]
mod tests {
    use super::is_of_app;

    #[test]
    fn what_an_app_shows_is_told_from_a_recovery_code() {
        for code in ["123456", "123 456", " 123456 "] {
            assert!(is_of_app(code), "{code}");
        }
        for code in ["", "12345", "1234567", "12345a", "abcd-efgh-2345", "１２３４５６"] {
            assert!(!is_of_app(code), "{code}");
        }
    }
}
