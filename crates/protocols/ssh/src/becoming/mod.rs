//! Becoming another account on the target, by `su` or `sudo`, before anything of the user's begins.
//!
//! What the target shows until then goes nowhere: not to the client, not into the recording. The password is typed once, at
//! the question that was waited for.

mod gate;
mod script;
#[cfg(any(test, fuzzing))]
pub(crate) mod walked;

use crate::events::string;
use crate::start::Terminal;
use bytes::Bytes;
use gate::{Gate, Step, Stream};
use sallyport_gateway::spine::{Clearance, DialError, Lease};
use sallyport_model::door::Size;
use sallyport_model::inventory::{By, Logon, NotBecome, Place};
use sallyport_model::secret::SecretBytes;
use sallyport_model::{AccountName, Kind, Secret};
use sallyport_ssh_transport::Random;
use sallyport_ssh_transport::link::{Gone, Link, Reader, Said, Writer};
pub(crate) use script::Wanted;
use script::{Marks, request};
use std::time::Duration;
use tokio::time::timeout;

/// How long it may take to become an account: `su` takes seconds to say no.
const PATIENCE: Duration = Duration::from_secs(20);
/// Words of the user's program that may come before both streams are known to be its.
const EARLY: usize = 64;

/// The terminal of a check, which nobody sees.
const PAPER: Size = Size { cols: 80, rows: 24 };

/// A line with a password, which is zeroed when it was sent.
struct Typed(SecretBytes);

impl AsRef<[u8]> for Typed {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// A logon account that is about to become another one.
pub(crate) struct Becoming<'a> {
    logon: &'a Logon,
    account: &'a AccountName,
    marks: Marks,
    terminal: bool,
}

impl<'a> Becoming<'a> {
    /// Where a place is reached by way of a logon account.
    pub(crate) fn of(place: &'a Place, terminal: bool, random: &Random) -> Option<Self> {
        let logon = place.logon.as_ref()?;
        Some(Self { logon, account: &place.account, marks: Marks::new(random), terminal })
    }

    /// What the target is to run.
    ///
    /// # Errors
    /// When that cannot be run so.
    pub(crate) fn request(&self, wanted: &Wanted<'_>) -> Result<Vec<u8>, DialError> {
        let made = request((self.account, self.logon.by), wanted, &self.marks);
        made.map_err(|unfit| DialError::new(Kind::Usage, unfit.to_string()))
    }

    /// What was done, for the recording.
    pub(crate) fn told(&self) -> String {
        format!("{} became {} by {}", self.logon.account, self.account, self.logon.by.word())
    }

    /// Waits until the account is become, and answers the one question. What the user's program has said by then is given back.
    ///
    /// # Errors
    /// When it is not become; the text says what to do.
    pub(crate) async fn become_it(
        &self,
        (read, write): (&mut Reader, &Writer),
        early: Vec<Said>,
        lease: &Lease,
    ) -> Result<Vec<Said>, DialError> {
        let becoming = self.pass((read, write), early, lease);
        timeout(PATIENCE, becoming).await.unwrap_or_else(|_| Err(self.slow()))
    }

    async fn pass(
        &self,
        (read, write): (&mut Reader, &Writer),
        early: Vec<Said>,
        lease: &Lease,
    ) -> Result<Vec<Said>, DialError> {
        let mut gate = Gate::new(self.logon.by, self.terminal, &self.marks);
        let (mut early, mut theirs) = (early.into_iter(), Vec::new());
        while !gate.is_open() {
            let said = match early.next() {
                Some(said) => said,
                None => read.next().await,
            };
            let (stream, bytes) = match &said {
                Said::Data(bytes) => (Stream::Output, bytes),
                Said::Extended(_, bytes) => (Stream::Errors, bytes),
                Said::Answer(true) => continue,
                // It may come before the last of what the program has shown.
                Said::Request(name, ..) if matches!(name.as_str(), "exit-status" | "exit-signal") => {
                    theirs.push(said);
                    continue;
                }
                Said::Request(_, reply, _) => {
                    if *reply {
                        let _ = write.answer(false);
                    }
                    continue;
                }
                Said::Answer(false) | Said::Eof | Said::Close => return Err(self.no(&gate)),
            };
            match gate.shown(stream, bytes) {
                Step::Wait => {}
                Step::Answer => self.answer(write, lease).await?,
                Step::Theirs(0) => {}
                Step::Theirs(_) if theirs.len() >= EARLY => return Err(self.flood()),
                Step::Theirs(count) => {
                    let bytes = bytes.slice(bytes.len().saturating_sub(count)..);
                    theirs.push(match said {
                        Said::Extended(code, _) => Said::Extended(code, bytes),
                        _ => Said::Data(bytes),
                    });
                }
                Step::Again => return Err(self.no(&gate)),
                Step::Flood => return Err(self.flood()),
            }
        }
        theirs.extend(early);
        Ok(theirs)
    }

    /// Types the password, which is let go of at once.
    async fn answer(&self, write: &Writer, lease: &Lease) -> Result<(), DialError> {
        let password = lease.becoming().await?;
        let mut line = Vec::with_capacity(password.len().saturating_add(1));
        line.extend_from_slice(password.expose());
        drop(password);
        line.push(b'\n');
        let typed = Typed(Secret::new(line));
        if typed.as_ref().iter().rev().skip(1).any(u8::is_ascii_control) {
            let text = format!("the password of `{}` holds what cannot be typed; rotate it", self.owner());
            return Err(self.failed(NotBecome::Password, &text));
        }
        let gone = |_| self.failed(NotBecome::Gone, "it has closed the channel");
        write.data(Bytes::from_owner(typed)).await.map_err(gone)
    }

    /// Whose password it is that was asked for.
    fn owner(&self) -> &AccountName {
        match self.logon.by {
            By::Su => self.account,
            By::Sudo => &self.logon.account,
        }
    }

    fn no(&self, gate: &Gate) -> DialError {
        let by = self.logon.by.word();
        if gate.is_answered() {
            let text = format!("check the password of `{}`, or rotate it", self.owner());
            return self.failed(NotBecome::Password, &text);
        }
        if gate.speaks_of_terminals() && !self.terminal {
            let text = format!("its `{by}` wants a terminal: connect with `ssh -tt`, or have it want none");
            return self.failed(NotBecome::Terminal, &text);
        }
        let text = format!(
            "`{by}` and a POSIX shell must be there, and its rules must let `{}` run `/bin/sh` so",
            self.logon.account
        );
        self.failed(NotBecome::Refused, &text)
    }

    fn slow(&self) -> DialError {
        let text = format!("in 20 seconds `{}` asked nothing that is known, nor went on", self.logon.by.word());
        self.failed(NotBecome::Silent, &text)
    }

    fn flood(&self) -> DialError {
        self.failed(NotBecome::Flood, "it shows too much before; look at what its profile prints")
    }

    fn failed(&self, reason: NotBecome, why: &str) -> DialError {
        let text = format!("the target did not let `{}` become `{}`: {why}", self.logon.account, self.account);
        DialError::new(Kind::Denied, text).not_become(reason)
    }
}

/// Sees whether the account of a place can be become, where it is to be, and leaves.
///
/// # Errors
/// When it cannot; the text says what to do.
pub(crate) async fn prove(go: &Clearance, link: &Link, random: &Random) -> Result<(), DialError> {
    let Some(becoming) = Becoming::of(go.place(), true, random) else { return Ok(()) };
    let gone = |_: Gone| DialError::new(Kind::Unavailable, "the target opens no session");
    let (mut read, write) = link.open("session", Bytes::new()).await.map_err(|_| gone(Gone))?;
    write.request("pty-req", true, Terminal::new("dumb", PAPER).request()).map_err(gone)?;
    write.request("exec", true, string(&becoming.request(&Wanted::Nothing)?)).map_err(gone)?;
    becoming.become_it((&mut read, &write), Vec::new(), go.lease()).await.map(drop)
}
