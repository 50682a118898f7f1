//! Logging in by a browser: a code is shown, and its owner allows the login in the portal. What that means control decides.

use bytes::Bytes;
use sallyport_gateway::socket::Socket;
use sallyport_gateway::spine::{Authenticated, Login, Step};
use sallyport_model::access::Denial;
use sallyport_model::authority::{Asking, Evidence, LATEST, LoginCode};
use sallyport_model::{Address, Handle, Kind};
use sallyport_ssh_transport::{Error, Leg, auth};
use std::time::Duration;
use tokio::time::Instant;

/// What is asked where a browser may take the place of the answer.
pub(crate) const PROMPT: &str = "Password or token, or Enter alone to sign in with a browser: ";
/// How soon control is asked again at the earliest whether somebody has answered.
const ASK: Duration = Duration::from_millis(500);
/// What is told while nobody has.
const WAITS: &str = "Waiting until it is allowed in the browser; Ctrl-C to leave.";
/// What is told where nobody has answered.
const LATE: &str = "nobody allowed it in a browser in time: connect again";
/// The most that is told of a client.
const CLIENT: usize = 80;

/// What came of waiting.
pub(crate) enum Waited {
    /// This is who it is.
    In(Authenticated),
    /// No.
    No(Denial),
    /// The client wants something else meanwhile.
    Spoken(Bytes),
}

/// The handle of a user name. Without one nobody can be asked to allow anything.
pub(crate) fn handle(user: &str) -> Option<Handle> {
    user.parse::<Address>().ok()?.handle().cloned()
}

/// Has a code made: the question that shows it, and until when it is good.
pub(crate) async fn begin(login: &Login, user: &str, client: &str) -> Result<(String, Instant), Denial> {
    let nobody = || Denial::new(Kind::Usage, "write your handle in front, `HANDLE+ACCOUNT@TARGET`, and connect again");
    let address: Address = user.parse().map_err(|_| nobody())?;
    let handle = address.handle().cloned().ok_or_else(nobody)?;
    let client = client.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(CLIENT).collect();
    let (account, target) = match address {
        Address::Place { account, target, .. } => (Some(account), Some(target)),
        Address::Chooser { .. } => (None, None),
    };
    let code = login.by_browser(handle, Asking { account, target, client }).await?;
    Ok((text(&code), Instant::now() + Duration::from_secs(code.seconds.into())))
}

/// All of it is the question, since that is what every client shows, however quiet it was made.
fn text(LoginCode { page, code, .. }: &LoginCode) -> String {
    format!("Sign in at {page} and enter {code}, then press Enter here (or type your password): ")
}

/// Waits until somebody has answered, the code is over, or the client speaks.
pub(crate) async fn wait(
    leg: &mut Leg<Socket>,
    login: &Login,
    (handle, until): (Option<&Handle>, Instant),
) -> Result<Waited, Error> {
    let mut told = false;
    loop {
        let begun = Instant::now();
        let left = u32::try_from(until.saturating_duration_since(begun).as_secs()).unwrap_or(LATEST);
        // The first answer comes at once: whoever has been to the browser already is in. And so does the last, behind the end.
        let over = until <= begun;
        let late = if told && !over { left.saturating_add(1).min(LATEST) } else { 0 };
        let step = tokio::select! {
            biased;
            step = login.step(handle.cloned(), Evidence::Allowed(late)) => step,
            payload = leg.receive(), if told => return payload.map(Waited::Spoken),
        };
        match step {
            Ok(Step::Authenticated(who)) => return Ok(Waited::In(who)),
            Ok(Step::More) => {}
            // Control is away for a moment: the code is in the database, and outlives that.
            Err(denial) if denial.kind == Kind::Unavailable => {}
            Err(denial) => return Ok(Waited::No(denial)),
        }
        // Looked at here too: where nobody has that handle, control has nothing that could end.
        if over {
            return Ok(Waited::No(Denial::new(Kind::Denied, LATE)));
        }
        if !std::mem::replace(&mut told, true) {
            // Nothing is asked, so that a client shows it and goes on by itself (RFC 4256 section 3.2). Its answer must not
            // come behind a success.
            leg.send(|out| auth::questions(out, "", WAITS, &[]))?;
            let payload = leg.receive().await?;
            if payload.first() != Some(&auth::INFO_RESPONSE) {
                return Ok(Waited::Spoken(payload));
            }
            continue;
        }
        tokio::select! {
            payload = leg.receive() => return payload.map(Waited::Spoken),
            () = tokio::time::sleep_until(begun + ASK) => {}
        }
    }
}
