//! `sallyport watch --join`: in somebody's session, from this terminal.

use crate::Fail;
use crate::client::Client;
use crate::output::{self, harmless};
use crate::play::Screen;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::BASE64;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode, Upgraded, header};
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use sallyport_model::{Env, Kind, SessionId};
use sallyport_recording::{EventRef, WhatRef};
use sallyport_wire::{self as wire, TerminalOut};
use std::io::{IsTerminal as _, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, frame::coding::CloseCode};

/// Leaves: Ctrl-], as in telnet. Every other key is for the session, Ctrl-C too.
const LEAVE: u8 = 0x1d;
/// What a websocket's key is answered with (RFC 6455 section 1.3).
const ACCEPT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Asks to be let in, then shows and types until one side ends it.
pub(crate) async fn join(session: SessionId, client: &Client) -> Result<(), Fail> {
    let mut socket = connect(&format!("/sessions/{session}/join"), client).await?;
    let mut screen = Screen::default();
    let mut keyboard = None;
    let ended = carry(&mut socket, &mut screen, &mut keyboard).await;
    drop(keyboard);
    output::write(&screen.restore())?;
    let _ = socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).await;
    match ended? {
        None => output::remark("You have left the session."),
        Some(closed) if matches!(closed.reason.as_str(), "ended" | "dismissed") => {
            output::remark(&harmless(&closed.text));
        }
        Some(closed) => return Err(Fail::new(Kind::of(&closed.reason), harmless(&closed.text))),
    }
    Ok(())
}

/// A websocket of the API.
pub(crate) type Socket = WebSocketStream<Upgraded>;

/// Connects to a path of the API as a websocket.
pub(crate) async fn connect(path: &str, client: &Client) -> Result<Socket, Fail> {
    let key = BASE64.encode(&Env::system().random::<16>());
    let request = client
        .asking(Method::GET, path)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_PROTOCOL, wire::TERMINAL)
        .header(header::SEC_WEBSOCKET_KEY, &key);
    let response = client.answer_with(request, StatusCode::SWITCHING_PROTOCOLS).await?;
    let wanted = BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{ACCEPT}").as_bytes()).as_ref());
    if response.headers().get(header::SEC_WEBSOCKET_ACCEPT).is_none_or(|accept| accept.as_bytes() != wanted.as_bytes())
    {
        return Err(Fail::failed("what answers there is no websocket: is there a proxy in between that carries none?"));
    }
    let upgraded = response.upgrade().await.map_err(Fail::failed)?;
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)
}

/// Until the session ends it (what was said), or the person does.
async fn carry(
    socket: &mut Socket,
    screen: &mut Screen,
    keyboard: &mut Option<Keyboard>,
) -> Result<Option<wire::TerminalClosed>, Fail> {
    loop {
        let typed = async {
            match keyboard {
                Some(keyboard) => keyboard.typed.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    let what = WhatRef::Output(&bytes);
                    output::write(&screen.show(&EventRef { at: 0, channel: 0, what }))?;
                }
                Some(Ok(Message::Text(text))) => match serde_json::from_str::<TerminalOut>(&text) {
                    Ok(TerminalOut::Notice(notice)) => output::remark(&harmless(&notice.text)),
                    Ok(TerminalOut::Company(_)) if keyboard.is_none() => {
                        output::remark("You are in: what you type is typed there. Ctrl-] leaves.\r");
                        *keyboard = Some(Keyboard::open());
                    }
                    Ok(TerminalOut::Closed(closed)) => return Ok(Some(closed)),
                    _ => {}
                },
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Fail::failed(format!("the line to the session broke: {error}"))),
            },
            bytes = typed => {
                let Some(bytes) = bytes else { return Ok(None) };
                let (before, leaves) = match bytes.iter().position(|byte| *byte == LEAVE) {
                    Some(at) => (bytes.get(..at).unwrap_or_default(), true),
                    None => (bytes.as_slice(), false),
                };
                if !before.is_empty() {
                    socket.send(Message::Binary(before.to_vec().into())).await.map_err(Fail::failed)?;
                }
                if leaves {
                    return Ok(None);
                }
            }
        }
    }
}

/// What is typed here, key by key where it is a terminal, until this is dropped.
struct Keyboard {
    typed: mpsc::Receiver<Vec<u8>>,
    before: Option<Termios>,
    stop: Arc<AtomicBool>,
}

impl Keyboard {
    fn open() -> Self {
        let stdin = std::io::stdin();
        let before = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // A read ends after a tenth of a second, so that the thread notices when it is to stop.
            raw.special_codes[SpecialCodeIndex::VMIN] = 0;
            raw.special_codes[SpecialCodeIndex::VTIME] = 1;
            let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        let (sender, typed) = mpsc::channel(16);
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, terminal) = (stop.clone(), before.is_some());
        std::thread::spawn(move || read(&sender, &stopped, terminal));
        Self { typed, before, stop }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn read(sender: &mpsc::Sender<Vec<u8>>, stop: &AtomicBool, terminal: bool) {
    let mut buffer = [0; 1024];
    while !stop.load(Ordering::Relaxed) {
        match std::io::stdin().read(&mut buffer) {
            // A terminal is silent; anything else has ended.
            Ok(0) if terminal => {}
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let typed = buffer.get(..length).unwrap_or_default().to_vec();
                if sender.blocking_send(typed).is_err() {
                    return;
                }
            }
        }
    }
}
