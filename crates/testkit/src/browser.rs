//! A browser's end of the product's websockets: what it shows, what it is told, and how it leaves.

use crate::product::Product;
use crate::waiting::wait_for;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// Subprotocol of terminals.
pub const TERMINAL: &str = "sallyport.terminal.v1";
/// How long a read waits before it is looked for something else.
const READ: Duration = Duration::from_millis(100);
/// Messages that are read before it is looked at them.
const AT_ONCE: usize = 32;

/// An open websocket.
pub struct Browser {
    socket: WebSocket<TcpStream>,
    shown: Vec<u8>,
    told: Vec<Value>,
    forgotten: usize,
    over: bool,
}

/// The server's answer, where it opened no websocket.
#[derive(Debug)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Browser {
    /// Connects to a path of the API, as whoever has the token; the inner result is the server's.
    ///
    /// # Errors
    /// When the server is not reached.
    pub fn connect(product: &Product, token: &str, path: &str) -> Result<Result<Self, Refused>> {
        Self::connect_with(product, ("authorization", &format!("Bearer {token}")), path)
    }

    /// As `connect`, with this header in place of a token.
    ///
    /// # Errors
    /// As `connect`.
    pub fn connect_with(
        product: &Product,
        (name, value): (&'static str, &str),
        path: &str,
    ) -> Result<Result<Self, Refused>> {
        let address = product.url().strip_prefix("http://").context("no plain address")?;
        let mut request = format!("ws://{address}/api/v1{path}").into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(name, HeaderValue::from_str(value)?);
        headers.insert("origin", HeaderValue::from_str(product.url())?);
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(TERMINAL));
        #[expect(clippy::disallowed_methods, reason = "a browser is no gateway")]
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => {
                socket.get_ref().set_read_timeout(Some(READ))?;
                Ok(Ok(Self { socket, shown: Vec::new(), told: Vec::new(), forgotten: 0, over: false }))
            }
            Err(HandshakeError::Failure(Error::Http(response))) => {
                let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
                Ok(Err(Refused { status: response.status().as_u16(), body }))
            }
            Err(error) => bail!("no websocket: {error}"),
        }
    }

    /// Opens a terminal of 80 columns and 24 rows on the sample account of a target.
    ///
    /// # Errors
    /// When the server opens none.
    pub fn terminal(product: &Product, token: &str, target: &str, account: &str) -> Result<Self> {
        let path = format!("/terminal?target={target}&account={account}&cols=80&rows=24");
        match Self::connect(product, token, &path)? {
            Ok(browser) => Ok(browser),
            Err(refused) => bail!("refused: {refused:?}"),
        }
    }

    /// Types.
    ///
    /// # Errors
    /// When the connection has gone.
    pub fn type_in(&mut self, text: &str) -> Result<()> {
        Ok(self.socket.send(Message::Binary(text.as_bytes().to_vec().into()))?)
    }

    /// Says something that is no typing.
    ///
    /// # Errors
    /// When the connection has gone.
    pub fn say(&mut self, message: &Value) -> Result<()> {
        Ok(self.socket.send(Message::Text(message.to_string().into()))?)
    }

    /// Everything that was shown so far.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Bytes that were shown and forgotten.
    #[must_use]
    pub const fn forgotten(&self) -> usize {
        self.forgotten
    }

    /// Everything that was told so far.
    #[must_use]
    pub fn told(&self) -> &[Value] {
        &self.told
    }

    /// Waits until this text was shown, and forgets what was shown up to its end.
    ///
    /// # Errors
    /// With what was shown instead, when it does not come in 15 seconds.
    pub fn until_shown(&mut self, text: &str) -> Result<()> {
        self.shown_to(text).map(drop)
    }

    /// As `until_shown`; what was shown up to there, and with it.
    ///
    /// # Errors
    /// As `until_shown`.
    pub fn shown_to(&mut self, text: &str) -> Result<String> {
        let mut seen = 0;
        let found = wait_for("the text", 15, || {
            let rest = self.shown.get(seen..).unwrap_or_default();
            let place = rest.windows(text.len()).position(|window| window == text.as_bytes());
            let from = seen;
            seen = self.shown.len().saturating_sub(text.len());
            place.map(|place| Ok(from + place)).or_else(|| self.read_all().err().map(Err))
        });
        let place = found
            .and_then(|found| found)
            .with_context(|| format!("`{text}` was not shown, but `{}`; told {:?}", self.shown(), self.told))?;
        let taken: Vec<u8> = self.shown.drain(..place + text.len()).collect();
        self.forgotten += taken.len();
        Ok(String::from_utf8_lossy(&taken).into_owned())
    }

    /// Waits for a message of this name, and takes it out.
    ///
    /// # Errors
    /// With what was told instead, when it does not come in 15 seconds.
    pub fn until_told(&mut self, name: &str) -> Result<Value> {
        let found = wait_for("the message", 15, || {
            let place = self.told.iter().position(|message| message.get(name).is_some());
            place.map(Ok).or_else(|| self.read_all().err().map(Err))
        });
        let place = found
            .and_then(|found| found)
            .with_context(|| format!("`{name}` was not told, but {:?}; shown `{}`", self.told, self.shown()))?;
        let mut message = self.told.remove(place);
        message.get_mut(name).map(Value::take).context("no such field")
    }

    /// Reads what is there, and waits a little for it. What never pauses is looked at in between.
    fn read_all(&mut self) -> Result<()> {
        ensure!(!self.over, "the websocket is closed");
        for _ in 0..AT_ONCE {
            if !self.read()? {
                break;
            }
        }
        Ok(())
    }

    /// Reads one message; whether there was one.
    fn read(&mut self) -> Result<bool> {
        match self.socket.read() {
            Ok(Message::Binary(bytes)) => self.shown.extend_from_slice(&bytes),
            Ok(Message::Text(text)) => self.told.push(serde_json::from_str(&text)?),
            Ok(Message::Close(_)) => {
                self.over = true;
                return Ok(false);
            }
            Ok(_) => {}
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => {
                self.over = true;
                bail!("the websocket broke: {error}");
            }
        }
        Ok(true)
    }

    /// Leaves as somebody who is done.
    ///
    /// # Errors
    /// When the connection has gone.
    pub fn leave(mut self) -> Result<()> {
        Ok(self.socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))?)
    }

    /// Vanishes as a browser does whose machine was unplugged.
    ///
    /// # Errors
    /// When the connection has gone.
    pub fn vanish(self) -> Result<()> {
        Ok(self.socket.get_ref().shutdown(Shutdown::Both)?)
    }
}
