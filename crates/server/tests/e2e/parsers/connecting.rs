//! Parsers of SSH: either side from its first byte on, exchanges of keys whose messages are long, certificates, and channels behind an exchange.

use sallyport_ssh_transport::certificate::{self, Contents, Holder};
use sallyport_ssh_transport::key::{self as ssh_key, HostKey};
use sallyport_ssh_transport::link::{Arrival, Bounds, Link};
use sallyport_ssh_transport::negotiate::Method;
use sallyport_ssh_transport::wire::Put as _;
use sallyport_ssh_transport::{Leg, Settings, Transport, auth as ssh_auth};
use std::sync::{Arc, OnceLock};
use tokio::io::DuplexStream;

fn settings_of(server: bool) -> Arc<Settings> {
    // Made once: a key costs more than most inputs.
    static BOTH: OnceLock<[Arc<Settings>; 2]> = OnceLock::new();
    let [client, own] = BOTH.get_or_init(|| {
        let key = HostKey::from_seed(&[7; 32]).unwrap();
        let random = Arc::new(|bytes: &mut [u8]| bytes.fill(3));
        let client = Settings::client(vec![key.public().to_vec()], random.clone());
        [client, Settings::server(key, random)].map(Arc::new)
    });
    if server { own.clone() } else { client.clone() }
}

/// Either side of a connection from its first byte on, and what authentication and keys are read from.
pub(super) fn ssh(bytes: &[u8]) {
    for server in [true, false] {
        let mut transport = Transport::new(settings_of(server)).unwrap();
        let mut input = bytes::BytesMut::from(bytes);
        assert!(!matches!(transport.next(&mut input), Ok(Some(_))), "a message is taken in the clear");
        // A client's half of an exchange is any number; a server's is signed.
        assert!(server || transport.session().is_none(), "keys without an exchange");
    }
    let _ = ssh_auth::answers(bytes);
    let _ = ssh_auth::asked(bytes);
    let _ = ssh_auth::refused(bytes);
    if let Ok(ssh_auth::Request { user, method: ssh_auth::Method::PublicKey { algorithm, key, signature } }) =
        ssh_auth::Request::read(bytes)
    {
        let signature = signature.unwrap_or_default();
        assert!(ssh_auth::proved(&[1; 32], user, algorithm, key, signature).is_err(), "a forged proof");
    }
    if let Ok(text) = ssh_key::print(bytes) {
        assert!(ssh_key::parse(&text).is_ok_and(|again| again == bytes), "{text:?}");
    }
}

pub(super) fn ssh_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for server in [true, false] {
        seeds.push(Transport::new(settings_of(server)).unwrap().output().clone());
    }
    seeds.push(ssh_auth::with_key("ada", "ssh-ed25519", &[1; 51], &[2; 83]));
    let mut out = Vec::new();
    ssh_auth::with_password(&mut out, "ada", b"secret");
    seeds.push(std::mem::take(&mut out));
    ssh_auth::questions(&mut out, "Sallyport", "", &[("Token: ", false)]);
    seeds.push(std::mem::take(&mut out));
    ssh_auth::answer(&mut out, &[b"token"]);
    seeds.push(out);
    seeds.push(HostKey::from_seed(&[7; 32]).unwrap().public().to_vec());
    seeds
}

/// The method by which a server proposes a group (RFC 4419), which a client speaks by exception.
const PROPOSED: &str = "diffie-hellman-group-exchange-sha256";

/// A client's side of such an exchange.
pub(super) fn groups(bytes: &[u8]) {
    let key = HostKey::from_seed(&[7; 32]).unwrap();
    let random = Arc::new(|bytes: &mut [u8]| bytes.fill(3));
    let settings = Settings::client(vec![key.public().to_vec()], random).excepting(&[PROPOSED.to_owned()]);
    let client = exchanging(Arc::new(settings), PROPOSED, bytes);
    assert!(client.session().is_none() && client.algorithms().is_none(), "keys without a signature");
}

/// Either side of a hybrid exchange.
pub(super) fn hybrids(bytes: &[u8]) {
    for method in [Method::MlKem768X25519, Method::Sntrup761X25519].map(Method::name) {
        // Whoever it is may exchange keys with a server, which shows who it is by its signature.
        exchanging(settings_of(true), method, bytes);
        let client = exchanging(settings_of(false), method, bytes);
        assert!(client.session().is_none() && client.algorithms().is_none(), "keys without a signature");
    }
}

/// One side with a peer that says what it likes: after an offer of this method alone, each byte string of the input, behind
/// its length in two bytes, is one message.
fn exchanging(settings: Arc<Settings>, method: &str, bytes: &[u8]) -> Transport {
    let mut side = Transport::new(settings).unwrap();
    let mut input = bytes::BytesMut::from(&b"SSH-2.0-hostile\r\n"[..]);
    input.extend_from_slice(&unsealed(&offering(method)));
    assert!(side.next(&mut input).is_ok_and(|none| none.is_none()));
    assert_eq!(side.agreeing().map(|agreed| agreed.method.name()), Some(method));
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk() {
        let (message, after) = after.split_at(after.len().min(usize::from(u16::from_be_bytes(*length))));
        rest = after;
        input.extend_from_slice(&unsealed(message));
        match side.next(&mut input) {
            Ok(said) => assert!(said.is_none(), "a message before there are keys"),
            Err(_) => break,
        }
    }
    side
}

/// A packet before there are keys (RFC 4253 section 6).
fn unsealed(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (payload.len() + 9) % 8) % 8;
    let mut packet = u32::try_from(payload.len() + padding + 1).unwrap().to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// An offer of this one method, and of modern algorithms beside it.
fn offering(method: &str) -> Vec<u8> {
    let mut offer = [&[20][..], &[9; 16]].concat();
    let (cipher, mac) = ("aes256-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com");
    for list in [method, "ssh-ed25519", cipher, cipher, mac, mac, "none", "none", "", ""] {
        offer.string(list.as_bytes());
    }
    offer.boolean(false);
    offer.uint32(0);
    offer
}

/// Messages, each behind its length.
fn said(messages: &[&[u8]]) -> Vec<u8> {
    let with = |message: &&[u8]| [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat();
    messages.iter().flat_map(with).collect()
}

/// A server's answer: its key, its share, and a signature that does not hold.
fn reply(number: u8, share: &[u8]) -> Vec<u8> {
    let mut reply = vec![number];
    reply.string(HostKey::from_seed(&[7; 32]).unwrap().public());
    reply.string(share);
    let mut signature = Vec::new();
    signature.string(b"ssh-ed25519");
    signature.string(&[1; 64]);
    reply.string(&signature);
    reply
}

/// What either side of ours says in an exchange that both make, for either method: public values, ciphertexts and a signature
/// that are good for one conversation.
pub(super) fn hybrid_seeds() -> Vec<Vec<u8>> {
    let seeds = [Method::MlKem768X25519, Method::Sntrup761X25519].map(|method| {
        let ask = first_said(settings_of(false), method, &[], 30);
        let answer = first_said(settings_of(true), method, &[&ask], 31);
        [said(&[&ask, &[21]]), said(&[&answer, &[21]])]
    });
    seeds.concat()
}

/// The first message with this number that a side says to a peer which has offered this method alone, and then said this.
fn first_said(settings: Arc<Settings>, method: Method, heard: &[&[u8]], number: u8) -> Vec<u8> {
    let mut side = exchanging(settings, method.name(), &said(heard));
    let line = side.output().iter().position(|byte| *byte == b'\n').unwrap();
    let mut rest = side.output().get(line + 1..).unwrap();
    loop {
        let (length, behind) = rest.split_first_chunk().unwrap();
        let (packet, behind) = behind.split_at(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        let payload = &packet[1..packet.len() - usize::from(packet[0])];
        if payload[0] == number {
            return payload.to_vec();
        }
        rest = behind;
    }
}

pub(super) fn group_seeds() -> Vec<Vec<u8>> {
    let group = |modulus: &[u8], generator: &[u8]| {
        let mut message = vec![31];
        message.string(modulus);
        message.string(generator);
        message
    };
    // 2048 bits of the shape that is looked for; whether it is a prime only the server can know.
    let modulus = [&[0, 0xff][..], &[0x5a; 254], &[3]].concat();
    let reply = reply(33, &modulus[..200]);
    let sound = group(&modulus, &[2]);
    vec![
        said(&[&sound, &reply, &[21]]),
        said(&[&sound, &sound]),
        said(&[&group(&modulus[..130], &[2])]),
        said(&[&group(&modulus, &modulus)]),
        said(&[&reply]),
    ]
}

/// A certificate that is believed to be one says whose key it is about, and has one way to be written.
pub(super) fn certificates(bytes: &[u8]) {
    let Ok(read) = certificate::read(bytes) else { return };
    let kind = ssh_key::kind(&read.contents.key).unwrap().to_owned();
    assert!(ssh_key::kind(bytes).unwrap().starts_with(kind.split('@').next().unwrap()), "a certificate of another key");
    if read.authority == authority().public() {
        // Behind its type comes what its authority chose, and then what it says.
        let nonce = bytes[4 + ssh_key::kind(bytes).unwrap().len() + 4..].first_chunk().unwrap();
        assert!(bytes.starts_with(&read.contents.unsigned(nonce, &read.authority).unwrap()), "{read:?}");
    }
}

fn authority() -> HostKey {
    HostKey::from_seed(&[11; 32]).unwrap()
}

pub(super) fn certificate_seeds() -> Vec<Vec<u8>> {
    let mut plain = Vec::new();
    [b"sk-ssh-ed25519@openssh.com".as_slice(), &[5; 32], b"ssh:"].into_iter().for_each(|part| plain.string(part));
    let mut rsa = Vec::new();
    [b"ssh-rsa".as_slice(), &[1, 0, 1], &[0x5a; 256]].into_iter().for_each(|part| rsa.string(part));
    let own = HostKey::from_seed(&[7; 32]).unwrap().public().to_vec();
    let certified = [(own.clone(), Holder::Host), (own, Holder::User), (plain, Holder::User), (rsa, Holder::User)];
    let signed = certified.into_iter().map(|(key, holder)| {
        let contents = Contents {
            key,
            serial: 7,
            holder,
            id: "ada on a laptop".into(),
            principals: vec!["ada".into(), "ops".into()],
            after: 1_700_000_000,
            before: certificate::FOREVER,
            critical: vec![("source-address".into(), "192.0.2.0/24".into()), ("force-command".into(), "true".into())],
            extensions: vec!["permit-pty".into(), "permit-port-forwarding".into()],
        };
        let unsigned = contents.unsigned(&[9; 32], authority().public()).unwrap();
        let signature = authority().sign(&unsigned);
        certificate::signed(unsigned, &signature)
    });
    signed.collect()
}

/// Messages of one conversation: what goes wrong does so within a few, and an input of thousands keeps the fuzzer from others.
const MESSAGES: usize = 96;

/// Both sides of a connection, authenticated. The fuzzer begins behind an exchange of keys, which would cost it more than its
/// input; everywhere else there is one.
#[cfg(fuzzing)]
async fn behind_exchange() -> (Leg<DuplexStream>, Leg<DuplexStream>) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let [client, server] = Transport::behind(settings_of(false), settings_of(true)).unwrap();
    (Leg::new(near, client), Leg::new(far, server))
}

#[cfg(not(fuzzing))]
async fn behind_exchange() -> (Leg<DuplexStream>, Leg<DuplexStream>) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let leg = async |stream, server| {
        let mut leg = Leg::new(stream, Transport::new(settings_of(server)).unwrap());
        leg.send(|out| out.push(5)).unwrap();
        leg.receive().await.unwrap();
        leg.authenticated();
        leg
    };
    tokio::join!(leg(near, false), leg(far, true))
}

/// A peer with keys that says what it likes: each byte string of the input, by its length, is one message.
pub(super) fn channels(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (mut hostile, honest) = behind_exchange().await;
        let bounds = Bounds { channels: 8, quiet: std::time::Duration::from_secs(60), patience: 1 };
        let (link, mut arrivals, driver) = Link::start(honest, bounds);
        let driver = tokio::spawn(driver.run());
        let honest = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Some(arrival) = arrivals.next().await {
                match arrival {
                    Arrival::Open(opening) if opening.kind == "session" => open.push(opening.accept()),
                    Arrival::Open(_) | Arrival::Global(_) => {}
                }
            }
        });
        let mut rest = bytes;
        for _ in 0..MESSAGES {
            let Some((length, after)) = rest.split_first() else { break };
            let (message, after) = after.split_at(after.len().min(usize::from(*length)));
            rest = after;
            if hostile.send(|out| out.extend_from_slice(message)).is_err() || hostile.flush().await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
            assert!(link.backlog() <= 8 * (256 << 10), "more is held than the windows allow");
        }
        drop(hostile);
        let (driver, honest) = tokio::join!(driver, honest);
        let _ = (driver.unwrap(), honest.unwrap());
    });
}

pub(super) fn channel_seeds() -> Vec<Vec<u8>> {
    let message = |number: u8, parts: &[&[u8]]| {
        let body = [&[number], parts.concat().as_slice()].concat();
        [&[u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
    };
    let word = |text: &[u8]| [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat();
    let (zero, one) = ([0; 4], 1_u32.to_be_bytes());
    let open = message(90, &[&word(b"session"), &zero, &[0, 1, 0, 0], &[0, 0, 128, 0]]);
    let exec = message(98, &[&zero, &word(b"exec"), &[1], &word(b"true")]);
    let data = message(94, &[&zero, &word(b"bytes")]);
    let adjust = message(93, &[&zero, &one]);
    let (eof, close) = (message(96, &[&zero]), message(97, &[&zero]));
    let global = message(80, &[&word(b"keepalive@openssh.com"), &[1]]);
    let forward = message(80, &[&word(b"tcpip-forward"), &[1], &word(b""), &one]);
    vec![
        [open.clone(), exec, data.clone(), adjust.clone(), eof, close].concat(),
        [global, forward, open.clone(), open, data, adjust].concat(),
        message(91, &[&zero, &zero, &one, &one]),
    ]
}
