//! The API by hand: a request on a connection of its own, and its answer as JSON.

use crate::product::Product;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API, as somebody.
pub struct Api {
    address: String,
    token: String,
}

/// An answer whose body is still to be read.
pub struct Opened {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub head: String,
    /// Its body.
    pub body: BufReader<TcpStream>,
}

impl Opened {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// What was answered to what.
#[derive(Debug)]
pub struct Answer {
    asked: String,
    status: u16,
    body: Value,
}

impl Answer {
    /// The body of an answer that is a success.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn ok(self) -> Value {
        self.is(200)
    }

    /// The body of a success, where it is no JSON.
    ///
    /// # Panics
    /// When it is none, or is JSON.
    #[must_use]
    #[track_caller]
    #[expect(clippy::expect_used, reason = "an answer of another kind fails the test that asked for it")]
    pub fn text(self) -> String {
        self.ok().as_str().expect("a text").to_owned()
    }

    /// Its status, whatever it is.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The body of an answer of this status.
    ///
    /// # Panics
    /// When it has another one.
    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.body);
        self.body
    }
}

impl Api {
    /// With this token.
    #[must_use]
    pub fn new(product: &Product, token: &str) -> Self {
        let address = product.url().trim_start_matches("http://").to_owned();
        Self { address, token: token.to_owned() }
    }

    /// Reads a stream of events until one is what is looked for: its name and its data.
    ///
    /// # Panics
    /// When it does not come.
    #[must_use]
    pub fn event(&self, path: &str, wanted: impl FnMut(&str, &Value) -> bool) -> Value {
        self.events(path, wanted).unwrap_or_else(|| unreachable!("the events of {path} ended"))
    }

    /// As `event`; nothing where the stream ends before it comes.
    ///
    /// # Panics
    /// When nothing comes for long.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "an API that is not there fails the test that asked it")]
    pub fn events(&self, path: &str, mut wanted: impl FnMut(&str, &Value) -> bool) -> Option<Value> {
        let mut stream = BufReader::new(self.ask("GET", path, ""));
        let (mut name, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(event) = line.strip_prefix("event: ") {
                event.trim().clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(data).unwrap();
                if wanted(&name, &data) {
                    return Some(data);
                }
            }
        }
    }

    /// Asks.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    /// Does something.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body))
    }

    /// Writes something.
    #[must_use]
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, Some(body))
    }

    /// Removes something.
    #[must_use]
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None)
    }

    /// Begins to send a body of so many bytes, of which the caller then writes as many as they like.
    ///
    /// # Panics
    /// When the API is not there.
    #[must_use]
    pub fn begin(&self, method: &str, path: &str, size: u64) -> TcpStream {
        self.head(method, path, "application/octet-stream", size)
    }

    /// Reads the answer to what was begun.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    pub fn answered(&self, asked: &str, mut stream: TcpStream) -> Answer {
        Self::answer(asked, &mut stream)
    }

    /// Asks, and leaves the body to be read.
    ///
    /// # Panics
    /// When the API is not there.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "an API that is not there fails the test that asked it")]
    pub fn open(&self, path: &str) -> Opened {
        let mut body = BufReader::new(self.ask("GET", path, ""));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(body.read_line(&mut head).unwrap() > 0, "{path}: the answer ends in its head: {head}");
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        Opened { status, head: head.replace('\r', ""), body }
    }

    #[expect(clippy::unwrap_used, reason = "an API that is not there fails the test that asked it")]
    fn ask(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = self.head(method, path, "application/json", body.len().try_into().unwrap());
        stream.write_all(body.as_bytes()).unwrap();
        stream
    }

    #[expect(clippy::disallowed_methods, reason = "a client is no gateway")]
    #[expect(clippy::unwrap_used, reason = "an API that is not there fails the test that asked it")]
    fn head(&self, method: &str, path: &str, kind: &str, size: u64) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} /api/v1{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n",
            self.address, self.token,
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(ToString::to_string).unwrap_or_default();
        Self::answer(&format!("{method} {path}"), &mut self.ask(method, path, &body))
    }

    #[expect(clippy::unwrap_used, reason = "an API that is not there fails the test that asked it")]
    fn answer(asked: &str, stream: &mut impl Read) -> Answer {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap_or(body.into()) };
        Answer { asked: asked.to_owned(), status, body }
    }
}
