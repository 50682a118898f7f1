//! A target for demonstrations on machines without an OpenSSH server: it runs commands as whoever started it.
//!
//! `demo_target PORT HOST-KEY-FILE PASSWORD-FILE`; it listens on the loopback alone. It is no server to be used for
//! anything else, and says so to everybody who opens a shell.

use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, Session};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty};
use std::error::Error;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::{ChildStdin, Command};

const HELLO: &str = "This is Sallyport's built-in demo target, not an OpenSSH server.\r\n";
/// Bytes read from a program at once.
const PIECE: usize = 16 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, key, password] = arguments.as_slice() else {
        return Err("usage: demo_target PORT HOST-KEY-FILE PASSWORD-FILE".into());
    };
    let key = russh::keys::load_secret_key(key, None)?;
    let password: Arc<str> = std::fs::read_to_string(password)?.trim().into();
    let config = Arc::new(russh::server::Config { keys: vec![key], ..russh::server::Config::default() });
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (config, client) = (config.clone(), Client { password: password.clone() });
        tokio::spawn(async move {
            if let Ok(running) = russh::server::run_stream(config, stream, client).await {
                let _ = running.await;
            }
        });
    }
}

struct Client {
    password: Arc<str>,
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(if *password == *self.password { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        tokio::spawn(async move {
            let (mut read, write) = channel.split();
            let _ = serve(&mut read, &write).await;
            let _ = write.eof().await;
            let _ = write.close().await;
        });
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _cols: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }
}

/// Waits for what the channel is for, and runs it to its end.
async fn serve(read: &mut ChannelReadHalf, write: &ChannelWriteHalf<Msg>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut terminal = false;
    let mut command = loop {
        match read.wait().await {
            Some(ChannelMsg::RequestPty { .. }) => terminal = true,
            Some(ChannelMsg::RequestShell { .. }) => {
                write.data_bytes(HELLO).await?;
                break shell(terminal);
            }
            Some(ChannelMsg::Exec { command, .. }) => {
                let mut sh = Command::new("sh");
                sh.arg("-c").arg(String::from_utf8(command)?);
                break sh;
            }
            Some(_) => {}
            None => return Ok(()),
        }
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let input = child.stdin.take();
    let out = copy(child.stdout.take(), write, None);
    let err = copy(child.stderr.take(), write, Some(1));
    let done = async {
        let _ = tokio::join!(out, err);
        child.wait().await
    };
    tokio::select! {
        status = done => {
            let code = status?.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(255);
            write.exit_status(code).await?;
        }
        () = feed(read, input) => {}
    }
    Ok(())
}

/// A shell, in a terminal of its own where one was asked for: `script` (util-linux) makes it.
fn shell(terminal: bool) -> Command {
    if !terminal {
        return Command::new("sh");
    }
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-f", "-c", "sh -i", "/dev/null"]);
    script
}

/// Gives a program what its client sends; returns when the client is gone.
async fn feed(read: &mut ChannelReadHalf, mut input: Option<ChildStdin>) {
    loop {
        match read.wait().await {
            Some(ChannelMsg::Data { data }) => {
                if let Some(stdin) = &mut input
                    && stdin.write_all(&data).await.is_err()
                {
                    input = None;
                }
            }
            Some(ChannelMsg::Eof) => input = None,
            Some(ChannelMsg::Close) | None => return,
            Some(_) => {}
        }
    }
}

/// Gives a client what a program writes, on its error stream where `stream` names it (RFC 4254 section 5.2).
async fn copy(
    from: Option<impl AsyncRead + Unpin>,
    to: &ChannelWriteHalf<Msg>,
    stream: Option<u32>,
) -> Result<(), russh::Error> {
    let Some(mut from) = from else { return Ok(()) };
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let bytes = piece.get(..read).unwrap_or_default().to_vec();
        match stream {
            None => to.data_bytes(bytes).await?,
            Some(stream) => to.extended_data_bytes(stream, bytes).await?,
        }
    }
    Ok(())
}
