//! Somebody at a terminal who moves files, and what those are made of.

use crate::terminal::token;
use aws_lc_rs::digest::{Context, SHA256};
use sallyport_testkit::browser::Browser;
use sallyport_testkit::http::{Answer, Api};
use sallyport_testkit::product::{Product, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;

/// What lets `ops` move files.
pub(crate) const FILES: &str = "permit (principal in Group::\"ops\", action == Action::\"channel:sftp\", resource);\n";
pub(crate) const MIB: usize = 1 << 20;

/// A terminal of ada's, and the API as she has it.
pub(crate) struct Desk {
    pub(crate) browser: Option<Browser>,
    pub(crate) api: Api,
    pub(crate) session: String,
    /// A directory on the target that she may write to.
    pub(crate) place: PathBuf,
}

pub(crate) fn permit(product: &Product, policy: &str) {
    product.write_checkout(policy).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
}

impl Desk {
    pub(crate) fn open(product: &Product) -> Self {
        let ada = token(product, "ada");
        let mut browser = Browser::terminal(product, &ada, "web-1", ACCOUNT).unwrap();
        let session = browser.until_told("opened").unwrap()["session"].as_str().unwrap().to_owned();
        browser.until_shown("$ ").unwrap();
        Self { browser: Some(browser), api: Api::new(product, &ada), session, place: product.target.scratch().unwrap() }
    }

    pub(crate) fn browser(&mut self) -> &mut Browser {
        self.browser.as_mut().unwrap()
    }

    /// Ends the session.
    pub(crate) fn leave(&mut self, product: &Product) {
        self.browser.take().unwrap().leave().unwrap();
        product.idle().unwrap();
    }

    pub(crate) fn base(&self) -> String {
        format!("/sessions/{}", self.session)
    }

    pub(crate) fn list(&self, path: &str) -> Value {
        self.api.get(&format!("{}/files?path={}", self.base(), encoded(path))).ok()
    }

    pub(crate) fn prepare(&self, wanted: &Value) -> Answer {
        self.api.post(&format!("{}/transfers", self.base()), wanted)
    }

    /// Where a file that may come is to be sent to.
    pub(crate) fn claim(&self, wanted: &Value) -> String {
        let prepared = self.prepare(wanted).is(201);
        format!("/transfers/{}", prepared["claim"].as_str().unwrap())
    }

    pub(crate) fn up(&self, path: &str, content: &[u8]) -> Value {
        let size = u64::try_from(content.len()).unwrap();
        let claim = self.claim(&json!({ "way": "up", "path": path, "size": size }));
        let mut stream = self.api.begin("PUT", &claim, size);
        stream.write_all(content).unwrap();
        self.api.answered(&claim, stream).ok()
    }

    pub(crate) fn down(&self, path: &str) -> Vec<u8> {
        let mut opened = self.api.open(&self.claim(&json!({ "way": "down", "path": path })));
        assert_eq!(opened.status, 200, "{}", opened.head);
        let mut content = Vec::new();
        opened.body.read_to_end(&mut content).unwrap();
        content
    }

    /// The newest transfer, as it is told.
    pub(crate) fn newest(&self) -> Value {
        self.api.get(&format!("{}/transfers", self.base())).ok().as_array().unwrap().last().cloned().unwrap()
    }

    /// Waits until the newest transfer has failed; why.
    pub(crate) fn failed(&self) -> String {
        let newest = wait_for("the transfer to fail", 15, || Some(self.newest()).filter(|it| it["stage"] == "failed"));
        newest.unwrap()["why"].as_str().unwrap().to_owned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.place).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn at(&self, name: &str) -> String {
        self.place.join(name).display().to_string()
    }
}

/// As it stands in a query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Bytes that no compression makes small, always the same.
pub(crate) struct Noise(u64, usize);

impl Read for Noise {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = out.len().min(self.1);
        for chunk in out[..count].chunks_mut(8) {
            // xorshift64 (Marsaglia 2003)
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            let length = chunk.len();
            chunk.copy_from_slice(&self.0.to_le_bytes()[..length]);
        }
        self.1 -= count;
        Ok(count)
    }
}

pub(crate) fn noise(size: usize) -> Noise {
    Noise(0x9e37_79b9_7f4a_7c15, size)
}

pub(crate) fn sum(mut of: impl Read) -> String {
    let (mut context, mut buffer) = (Context::new(&SHA256), vec![0; 1 << 16]);
    loop {
        match of.read(&mut buffer).unwrap() {
            0 => return context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
            count => context.update(&buffer[..count]),
        }
    }
}
