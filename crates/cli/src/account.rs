//! Signing in, tokens, status.

use crate::certificate::{self, Keys};
use crate::client::Client;
use crate::command::{Login, Token};
use crate::output::{Output, harmless, remark};
use crate::sign_in::{self, until};
use crate::{Common, Fail, Surroundings};
use sallyport_wire as wire;
use std::io::IsTerminal;
use std::time::Duration;

pub(crate) async fn login(args: Login, common: &Common, surroundings: &Surroundings, out: Output) -> Result<(), Fail> {
    let client = Client::open(common, surroundings)?;
    let keys = if args.no_certificate { None } else { told(Keys::make(surroundings)) };
    let mut certified = None;
    let token = match (&common.token, args.token_stdin) {
        _ if args.password => {
            let (token, made) = sign_in::with_password(&args, &client, keys.as_ref()).await?;
            certified = made;
            token
        }
        (Some(token), false) => token.clone(),
        (_, true) => read_line("the token")?,
        (None, false) => ask("Token")?,
    };
    let client = client.with_token(token.trim().to_owned());
    let me: wire::Me = client.get("/me", &[]).await?;
    client.remember(surroundings)?;
    if let Some(keys) = keys {
        let made = match certified {
            Some(made) => made,
            None => client.post("/me/certificates", &keys.ask()).await,
        };
        match told(made) {
            Some(made) => keys.take(&made)?,
            None => keys.forget(),
        }
        certificate::know_gateways(&client, surroundings).await?;
    }
    out.show(&me, |me| {
        format!("Signed in as {}, {}. `sallyport ls` shows what you can reach.", me.handle, until(&me.token_expires))
    })
}

pub(crate) async fn token(args: Token, client: &Client, out: Output) -> Result<(), Fail> {
    let ask = wire::NewToken { handle: args.handle, seconds: seconds(&args.ttl)?, label: args.label };
    let token: wire::Token = client.post("/tokens", &ask).await?;
    out.show(&token, |token| {
        format!("{}\n\nfor {}, until {}; it is not shown again.", token.token, token.handle, token.expires)
    })
}

pub(crate) async fn status(client: &Client, out: Output) -> Result<(), Fail> {
    let status: wire::Status = client.get("/status", &[]).await?;
    let me = if status.sealed { None } else { client.get::<wire::Me>("/me", &[]).await.ok() };
    let reach = match &me {
        Some(_) => client.get::<wire::Listing<wire::Reach>>("/reach", &[("limit", "1".into())]).await.ok(),
        None => None,
    };
    out.show(&(&status, &me), |(status, me)| {
        let who = me.as_ref().map_or_else(
            || "Not signed in: run `sallyport login`.".into(),
            |me| {
                let (groups, until) = (me.groups.join(" "), until(&me.token_expires));
                format!("Signed in as {} ({groups}), {until}; {} live sessions.", me.handle, me.sessions)
            },
        );
        let reach = reach.as_ref().map_or_else(String::new, |reach| match reach.total {
            0 => "\nReach     nothing yet: ask an administrator for a policy that permits you something".into(),
            1 => "\nReach     1 account: `sallyport ls`".into(),
            total => format!("\nReach     {total} accounts: `sallyport ls`"),
        });
        let vault = match (status.quarantined, status.sealed) {
            (0, false) => "open".to_owned(),
            (0, true) => "sealed: run `sallyport vault unseal`".to_owned(),
            (found, _) => format!("IN QUARANTINE, {found} findings: on the host, run `sallyport quarantine show`"),
        };
        let anchors = match (status.anchors_late, status.frozen) {
            (0, _) => format!("{}, none late", status.anchors),
            (late, false) => format!("{}, {late} LATE: see `sallyport ledger anchors`", status.anchors),
            (late, true) => format!("{}, {late} LATE, new sessions are refused: see `sallyport ledger anchors`", status.anchors),
        };
        let ledger = match status.pulse.as_str() {
            "mute" if status.space == "freeze" => "",
            "mute" => ", TAKES NO MORE: sessions are frozen; run `sallyport doctor` on the host",
            "deaf" if !status.sealed => ", but its DATABASE IS AWAY: sessions end at their grace",
            _ => "",
        };
        let banner = status.recovery.as_ref().map_or_else(String::new, |until| {
            format!("RECOVERY: on the host, somebody was made an administrator until {until}. `sallyport ledger list --actions admin.recovered` says who.\n\n")
        });
        let solo = if status.solo { "\nSolo      one person administers this installation" } else { "" };
        let space = match status.space.as_str() {
            "fine" => "",
            "refuse" => "\nSpace     new sessions are REFUSED: see `sallyport space`",
            _ => "\nSpace     sessions are FROZEN: see `sallyport space`",
        };
        format!(
            "{banner}{who}\n\nServer    {} (version {})\nVault     {vault}\nLedger    {} entries{ledger}\nAnchors   {anchors}\nBackup    {}{space}{solo}\nSessions  {} live on {} gateways\nSSH       {}{reach}",
            client.url(),
            status.version,
            status.entries,
            status.backup.as_deref().unwrap_or("none known"),
            status.sessions,
            status.gateways,
            status.ssh.as_deref().unwrap_or("not served"),
        )
    })
}

/// What came of getting a certificate. Without one there is still a token, so that a failure is but told.
fn told<T>(outcome: Result<T, Fail>) -> Option<T> {
    outcome.inspect_err(|fail| remark(&format!("No SSH certificate: {}", harmless(&fail.message)))).ok()
}

/// Asks without echo.
pub(crate) fn ask(what: &str) -> Result<String, Fail> {
    somebody_is_here(what)?;
    dialoguer::Password::new().with_prompt(what).interact().map_err(Fail::failed)
}

/// Asks for what is no secret.
pub(crate) fn ask_openly(what: &str) -> Result<String, Fail> {
    somebody_is_here(what)?;
    dialoguer::Input::new().with_prompt(what).interact_text().map_err(Fail::failed)
}

fn somebody_is_here(what: &str) -> Result<(), Fail> {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    let what = what.to_lowercase();
    Err(Fail::usage(format!(
        "nobody is here to type the {what}: run this in a terminal, or give it on standard input where there is a -stdin option; programs sign in with a token, `SALLYPORT_TOKEN`"
    )))
}

/// A time in words, its two greatest units: `7 h 12 min`.
pub(crate) fn left(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let parts = units.iter().scan(seconds, |rest, (unit, name)| {
        let count = *rest / unit;
        *rest %= unit;
        Some((count, *name))
    });
    let words: Vec<String> = parts
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    if words.is_empty() { "no time".into() } else { words.join(" ") }
}

/// One line of standard input.
pub(crate) fn read_line(what: &str) -> Result<String, Fail> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Fail::failed)?;
    let line = line.trim_end_matches(['\r', '\n']).to_owned();
    if line.is_empty() {
        Err(Fail::usage(format!("standard input holds no line: {what} is expected there")))
    } else {
        Ok(line)
    }
}

/// `90s`, `15m`, `8h`, `30d` in seconds.
///
/// # Errors
/// When it is none of these.
pub fn seconds(text: &str) -> Result<u32, Fail> {
    let wrong = || Fail::usage(format!("`{text}` is no duration: write 90s, 15m, 8h or 30d"));
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor: u32 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    number.parse::<u32>().ok().and_then(|n| n.checked_mul(factor)).filter(|n| *n > 0).ok_or_else(wrong)
}
