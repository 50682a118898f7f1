//! A recording for the tests of this crate.

use crate::container::begin;
use crate::event::{WhatRef, encode};
use crate::{DataKey, Facts, Hash, Header, Kind, Sealer, Segment};
use sallyport_model::access::Channel;
use sallyport_model::authority::RecordingKey;
use sallyport_model::sealed::PrivateKey;
use sallyport_model::{ClusterId, Env, RecordingId, SessionId, Timestamp};

pub(crate) fn facts(env: &Env) -> Facts {
    Facts {
        recording: RecordingId::new(env),
        session: SessionId::new(env),
        cluster: ClusterId::new(env),
        started: Timestamp(1_767_225_600_000_000),
        handle: "anna".parse().unwrap(),
        target: "web-1".parse().unwrap(),
        account: "root".parse().unwrap(),
        protocol: "ssh".into(),
        size: Some((80, 24)),
    }
}

pub(crate) fn recording_key(env: &Env) -> (PrivateKey, RecordingKey) {
    let (private, key) = PrivateKey::generate(env).unwrap();
    (private, RecordingKey { epoch: 3, key })
}

/// A recording of three segments that ends in good order.
pub(crate) struct Sample {
    pub(crate) env: Env,
    pub(crate) header: Header,
    pub(crate) key: DataKey,
    pub(crate) segments: Vec<Segment>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let env = Env::system();
        let (_, public) = recording_key(&env);
        let (header, key) = Header::seal(&env, facts(&env), &public).unwrap();
        let mut sealer = Sealer::new(&key, &header).unwrap();
        let segments = (0..3)
            .map(|n| sealer.seal(&env, &events(n), if n == 2 { Kind::Final } else { Kind::Data }).unwrap())
            .collect();
        Self { env, header, key, segments }
    }

    pub(crate) fn start(&self) -> Vec<u8> {
        begin(&self.header).unwrap()
    }

    /// The file with these segments, in this order.
    pub(crate) fn file(&self, order: &[usize]) -> Vec<u8> {
        order.iter().fold(self.start(), |mut file, n| {
            file.extend_from_slice(&self.segments[*n].bytes);
            file
        })
    }

    /// What an anchor after `count` segments says.
    pub(crate) fn anchor(&self, count: u32) -> (u32, Hash) {
        let chain = match count {
            0 => self.header.hash(),
            _ => self.segments[usize::try_from(count).unwrap() - 1].chain,
        };
        (count, chain)
    }
}

/// The events of segment `n`.
pub(crate) fn events(n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if n == 0 {
        encode(0, 1, WhatRef::Open { kind: Channel::Shell, detail: "" }, &mut out);
    }
    encode(1_000 * n + 10, 1, WhatRef::Input(b"ls\r"), &mut out);
    encode(1_000 * n + 20, 1, WhatRef::Output(b"bin  etc  home  usr  bin  etc  home  usr\r\n"), &mut out);
    if n == 2 {
        encode(3_000, 1, WhatRef::Close { exit: Some(0), signal: None }, &mut out);
    }
    out
}
