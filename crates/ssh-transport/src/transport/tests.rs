//! A client and a server, in memory.

use super::settings::REKEY;
use super::*;
use crate::key::HostKey;
use crate::message::KEX_REPLY;
use crate::negotiate::{self, Method};
use proptest::prelude::*;

fn random() -> Random {
    Arc::new(|bytes: &mut [u8]| bytes.fill(42))
}

/// Both sides, and what is on its way between them.
struct Pair {
    client: Transport,
    server: Transport,
    to_client: BytesMut,
    to_server: BytesMut,
}

fn host_key() -> HostKey {
    HostKey::from_seed(&[7; 32]).unwrap()
}

impl Pair {
    fn new(rekey: u64) -> Self {
        let accepted = vec![host_key().public().to_vec()];
        let client = Settings::client(accepted, random()).rekey_after(rekey);
        let server = Settings::server(host_key(), random()).rekey_after(rekey);
        Self::with(client, server)
    }

    fn with(client: Settings, server: Settings) -> Self {
        Self {
            client: Transport::new(Arc::new(client)).unwrap(),
            server: Transport::new(Arc::new(server)).unwrap(),
            to_client: BytesMut::new(),
            to_server: BytesMut::new(),
        }
    }

    /// Lets everything arrive, in pieces; gives what came out on each side.
    fn run(&mut self, step: usize) -> Result<(Vec<Bytes>, Vec<Bytes>), Error> {
        let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
        loop {
            let up = std::mem::take(self.client.output());
            let down = std::mem::take(self.server.output());
            if up.is_empty() && down.is_empty() {
                return Ok((at_client, at_server));
            }
            for piece in up.chunks(step) {
                self.to_server.extend_from_slice(piece);
                while let Some(payload) = self.server.next(&mut self.to_server)? {
                    at_server.push(payload);
                }
            }
            for piece in down.chunks(step) {
                self.to_client.extend_from_slice(piece);
                while let Some(payload) = self.client.next(&mut self.to_client)? {
                    at_client.push(payload);
                }
            }
        }
    }
}

#[test]
fn both_sides_have_one_session_and_talk() {
    let mut pair = Pair::new(REKEY);
    pair.run(usize::MAX).unwrap();
    assert_eq!(pair.client.session(), pair.server.session());
    assert!(pair.client.session().is_some());
    let agreed = pair.client.algorithms().unwrap();
    assert!(agreed.method.post_quantum() && pair.client.strict && pair.server.strict);
    assert!(pair.client.their_signatures().unwrap().contains("sk-ssh-ed25519@openssh.com"));
    pair.client.send(|out| out.bytes(b"\x32hello")).unwrap();
    let (_, at_server) = pair.run(1).unwrap();
    assert_eq!(at_server, [&b"\x32hello"[..]]);
}

#[test]
fn a_key_that_is_not_accepted_is_named_and_nothing_is_sent_to_it() {
    let other = HostKey::from_seed(&[8; 32]).unwrap().public().to_vec();
    let mut pair = Pair::with(Settings::client(vec![other], random()), Settings::server(host_key(), random()));
    match pair.run(usize::MAX) {
        Err(Error::HostKey(key)) => assert_eq!(key, host_key().public()),
        other => panic!("{other:?}"),
    }
    assert!(pair.client.session().is_none());
    assert!(pair.client.send(|out| out.bytes(b"\x32password")).is_err());
}

/// `SSH_MSG_EXT_INFO` with so many names, of which one is there (RFC 8308 section 2.3).
fn extension(count: u32, value: &[u8]) -> Vec<u8> {
    let mut out = vec![EXT_INFO];
    out.uint32(count);
    out.string(b"server-sig-algs");
    out.string(value);
    out
}

#[test]
fn a_flood_of_extensions_is_bounded_before_a_peer_is_known_and_leaves_nothing_behind_after() {
    for by_client in [true, false] {
        for known in [true, false] {
            let mut pair = Pair::new(REKEY);
            pair.run(usize::MAX).unwrap();
            if known {
                pair.client.authenticated();
                pair.server.authenticated();
            }
            let flooding = if by_client { &mut pair.client } else { &mut pair.server };
            for number in 0..2 * EARLY_PACKETS {
                let message = extension(1, format!("names-{number}").as_bytes());
                flooding.send(|out| out.bytes(&message)).unwrap();
            }
            match pair.run(usize::MAX) {
                Ok((at_client, at_server)) => assert!(known && at_client.is_empty() && at_server.is_empty()),
                Err(error) => assert!(!known && matches!(error, Error::Overrun(_)), "{error}"),
            }
            if known && !by_client {
                assert_eq!(pair.client.their_signatures(), Some("names-1023"), "the last alone is kept");
            }
        }
    }
}

#[test]
fn extensions_that_claim_more_than_they_have_are_malformed() {
    for message in [extension(2, b"x"), extension(u32::MAX, b"x"), vec![EXT_INFO], vec![EXT_INFO, 0, 0, 0, 1, 0xff]] {
        let mut pair = Pair::new(REKEY);
        pair.run(usize::MAX).unwrap();
        pair.server.send(|out| out.bytes(&message)).unwrap();
        assert!(matches!(pair.run(usize::MAX), Err(Error::Malformed(_))), "{message:?}");
    }
    // None at all, and one that nobody knows.
    let mut pair = Pair::new(REKEY);
    pair.run(usize::MAX).unwrap();
    let mut unknown = vec![EXT_INFO];
    unknown.uint32(1);
    [&b"unheard-of@example.com"[..], b""].into_iter().for_each(|part| unknown.string(part));
    pair.server.send(|out| out.bytes(&[EXT_INFO, 0, 0, 0, 0])).unwrap();
    pair.server.send(|out| out.bytes(&unknown)).unwrap();
    pair.run(usize::MAX).unwrap();
}

#[test]
fn a_server_that_changes_its_key_at_a_later_exchange_is_left() {
    let mut pair = Pair::new(REKEY);
    pair.run(usize::MAX).unwrap();
    pair.server.settings = Arc::new(Settings::server(HostKey::from_seed(&[8; 32]).unwrap(), random()));
    pair.client.exchange().unwrap();
    assert!(matches!(pair.run(usize::MAX), Err(Error::HostKey(_))));
}

/// A client that speaks nothing but what is old, in one sort or in all.
fn old_client(strip: impl Fn(&mut crate::negotiate::Spoken)) -> Settings {
    let names: Vec<String> = crate::old::names().iter().map(|name| (*name).to_owned()).collect();
    let mut client = Settings::client(vec![host_key().public().to_vec()], random()).excepting(&names);
    strip(&mut client.spoken);
    client
}

#[test]
fn a_server_speaks_nothing_old_whatever_a_client_offers() {
    use crate::packet::{CipherName, MacName};
    let strips: [&dyn Fn(&mut crate::negotiate::Spoken); 4] = [
        &|spoken| spoken.methods = Method::OLD.to_vec(),
        &|spoken| spoken.ciphers = CipherName::OLD.to_vec(),
        &|spoken| (spoken.ciphers, spoken.macs) = (vec![CipherName::Aes256Ctr], MacName::OLD.to_vec()),
        &|spoken| spoken.signatures = vec!["ssh-rsa"],
    ];
    for strip in strips {
        let mut pair = Pair::with(old_client(strip), Settings::server(host_key(), random()));
        assert!(matches!(pair.run(usize::MAX), Err(Error::NoCommon(_))));
    }
    // Where both have something newer, that is it.
    let mut pair = Pair::with(old_client(|_| {}), Settings::server(host_key(), random()));
    pair.run(usize::MAX).unwrap();
    assert_eq!(pair.client.algorithms().unwrap().exceptions(), Vec::<&str>::new());
    assert!(pair.client.algorithms().unwrap().method.post_quantum());
}

#[test]
fn what_begins_behind_an_exchange_is_what_one_leads_to() {
    let client = || Arc::new(Settings::client(vec![host_key().public().to_vec()], random()));
    let server = || Arc::new(Settings::server(host_key(), random()));
    let mut made = Pair::new(REKEY);
    made.run(usize::MAX).unwrap();
    let [client, server] = Transport::behind(client(), server()).unwrap();
    let mut pair = Pair { client, server, to_client: BytesMut::new(), to_server: BytesMut::new() };
    for (side, like) in [(&pair.client, &made.client), (&pair.server, &made.server)] {
        let (agreed, wanted) = (side.algorithms().unwrap().told(), like.algorithms().unwrap().told());
        assert_eq!((agreed, side.strict), (wanted, like.strict));
    }
    for again in [false, true] {
        if again {
            pair.client.exchange().unwrap();
        }
        pair.client.send(|out| out.bytes(b"\x5ato the server")).unwrap();
        pair.server.send(|out| out.bytes(b"\x5ato the client")).unwrap();
        let (at_client, at_server) = pair.run(usize::MAX).unwrap();
        assert_eq!((&*at_client[0], &*at_server[0]), (&b"\x5ato the client"[..], &b"\x5ato the server"[..]));
    }
}

#[test]
fn whoever_wants_a_post_quantum_exchange_has_no_other() {
    let mut server = Settings::server(host_key(), random());
    server.spoken.methods.retain(|method| !method.post_quantum());
    let client = || Settings::client(vec![host_key().public().to_vec()], random());
    let mut pair = Pair::with(client().post_quantum(), server);
    assert!(matches!(pair.run(usize::MAX), Err(Error::NoCommon(_))));
    let mut pair = Pair::with(client().post_quantum(), Settings::server(host_key(), random()));
    pair.run(usize::MAX).unwrap();
}

#[test]
fn no_later_exchange_falls_behind_a_post_quantum_one() {
    let classic = |mut settings: Settings| {
        settings.spoken.methods.retain(|method| !method.post_quantum());
        Arc::new(settings)
    };
    for by_client in [true, false] {
        let mut pair = Pair::new(REKEY);
        pair.run(usize::MAX).unwrap();
        let (forgetful, settings) = match by_client {
            true => (&mut pair.client, Settings::client(vec![host_key().public().to_vec()], random())),
            false => (&mut pair.server, Settings::server(host_key(), random())),
        };
        // A peer that does not keep to it: it wants other keys, by less.
        (forgetful.settings, forgetful.algorithms) = (classic(settings), None);
        forgetful.exchange().unwrap();
        assert!(matches!(pair.run(usize::MAX), Err(Error::NoCommon(_))));
    }
}

#[test]
fn a_certified_host_key_is_accepted_and_stays_accepted_when_its_time_is_over() {
    use crate::certificate::{Contents, Holder, signed};
    use std::sync::atomic::{AtomicU64, Ordering};
    let authority = HostKey::from_seed(&[3; 32]).unwrap();
    let contents = Contents {
        key: host_key().public().to_vec(),
        serial: 1,
        holder: Holder::Host,
        id: "web-1".into(),
        principals: vec!["web-1".into()],
        after: 1_000,
        before: 2_000,
        critical: Vec::new(),
        extensions: Vec::new(),
    };
    let unsigned = contents.unsigned(&[1; 32], authority.public()).unwrap();
    let signature = authority.sign(&unsigned);
    let certificate = signed(unsigned, &signature);
    let clock = Arc::new(AtomicU64::new(1_500));
    let client = || {
        let (keys, clock) = (vec![authority.public().to_vec()], clock.clone());
        let now = Arc::new(move || clock.load(Ordering::Relaxed));
        let authorities = crate::Authorities { keys, names: vec!["web-1".into()], now };
        Settings::client(Vec::new(), random()).believing(authorities)
    };
    let server = || Settings::server(host_key(), random()).certified(certificate.clone()).unwrap();
    let mut pair = Pair::with(client(), server());
    pair.run(usize::MAX).unwrap();
    clock.store(5_000, Ordering::Relaxed);
    pair.client.exchange().unwrap();
    pair.run(usize::MAX).unwrap();
    assert!(
        matches!(Pair::with(client(), server()).run(usize::MAX), Err(Error::HostCertificate(_))),
        "a new connection"
    );
    // One that has no certificate is not asked for its bare key.
    let bare = Settings::server(host_key(), random());
    assert!(matches!(Pair::with(client(), bare).run(usize::MAX), Err(Error::NoCommon(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn keys_change_in_the_middle_of_everything(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4000), 1..60),
        step in 1_usize..3000,
        rekey in 1_u64..20_000,
    ) {
        let mut pair = Pair::new(rekey);
        pair.run(usize::MAX).unwrap();
        pair.client.authenticated();
        pair.server.authenticated();
        let framed = |payload: &Vec<u8>| [&[94], payload.as_slice()].concat();
        let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
        for payload in &payloads {
            pair.client.send(|out| out.bytes(&framed(payload))).unwrap();
            pair.server.send(|out| out.bytes(&framed(payload))).unwrap();
            let (down, up) = pair.run(step).unwrap();
            at_client.extend(down);
            at_server.extend(up);
        }
        let sent: Vec<Bytes> = payloads.iter().map(|payload| framed(payload).into()).collect();
        prop_assert_eq!(&at_client, &sent);
        prop_assert_eq!(&at_server, &sent);
    }

    #[test]
    fn no_bytes_are_too_strange(bytes: Vec<u8>, identified: bool) {
        for settings in [Settings::server(host_key(), random()), Settings::looker(vec!["ssh-ed25519"], random())] {
            let mut transport = Transport::new(Arc::new(settings)).unwrap();
            let mut input = BytesMut::new();
            if identified {
                input.extend_from_slice(b"SSH-2.0-x\r\n");
            }
            input.extend_from_slice(&bytes);
            while let Ok(Some(_)) = transport.next(&mut input) {}
        }
    }
}

/// A peer that says what it likes before any key is agreed on.
fn says(payloads: &[&[u8]]) -> Result<Option<Bytes>, Error> {
    let mut server = Transport::new(Arc::new(Settings::server(host_key(), random()))).unwrap();
    let mut input = BytesMut::from(&b"SSH-2.0-peer\r\n"[..]);
    let mut sealer = Sealer::new();
    let mut out = Vec::new();
    for payload in payloads {
        sealer.seal(&mut out, |out| out.bytes(payload)).unwrap();
    }
    input.extend_from_slice(&out);
    server.next(&mut input)
}

/// CVE-2023-48795: nothing may be slipped in before keys are new, and nothing before the offer.
#[test]
fn nothing_is_slipped_into_a_strict_exchange() {
    let offer = negotiate::ours(Role::Client, &negotiate::Spoken::new(vec!["ssh-ed25519"]), [1; 16], true);
    assert!(matches!(says(&[&offer]), Ok(None)));
    for slipped in [&[IGNORE, 0, 0, 0, 0][..], &[DEBUG, 0], &[EXT_INFO, 0, 0, 0, 0], &[UNIMPLEMENTED, 0, 0, 0, 0]] {
        assert!(matches!(says(&[&offer, slipped]), Err(Error::OutOfTurn(_))), "after the offer: {slipped:?}");
        assert!(matches!(says(&[slipped, &offer]), Err(Error::OutOfTurn(_))), "before the offer: {slipped:?}");
    }
}

#[test]
fn nothing_but_the_exchange_comes_before_keys() {
    let offer = negotiate::ours(Role::Client, &negotiate::Spoken::new(vec!["ssh-ed25519"]), [1; 16], true);
    for early in [&[50_u8][..], &[90], &[SERVICE_REQUEST], &[NEWKEYS], &[KEX_INIT], &[KEX_REPLY, 1], &[80], &[200]] {
        assert!(says(&[early]).is_err(), "{early:?}");
        assert!(says(&[&offer, early]).is_err(), "{early:?} after the offer");
    }
    assert!(says(&[&offer, &offer]).is_err());
}

/// Both sides where each has the other's half, and has not heard yet that keys are new.
fn half_way() -> [Transport; 2] {
    let Pair { mut client, mut server, .. } = Pair::new(REKEY);
    let said = |side: &mut Transport| BytesMut::from(&std::mem::take(side.output())[..]);
    let (mut up, mut down) = (said(&mut client), said(&mut server));
    assert!(matches!((server.next(&mut up), client.next(&mut down)), (Ok(None), Ok(None))));
    assert!(matches!(server.next(&mut said(&mut client)), Ok(None)));
    let mut reply = said(&mut server);
    let length = u32::from_be_bytes(*reply.first_chunk().unwrap());
    reply.truncate(4 + usize::try_from(length).unwrap());
    assert!(matches!(client.next(&mut reply), Ok(None)));
    assert!(client.session().is_some() && client.session() == server.session());
    [client, server]
}

/// CVE-2023-46445 and CVE-2023-46446: a login or extensions in the clear, behind the halves and before the keys.
#[test]
fn nothing_is_taken_in_the_clear_once_keys_are_known_and_not_yet_new() {
    let request = [&[SERVICE_REQUEST, 0, 0, 0, 12], &b"ssh-userauth"[..]].concat();
    let accept = [&[SERVICE_ACCEPT, 0, 0, 0, 12], &b"ssh-userauth"[..]].concat();
    let slipped: [&[u8]; 9] =
        [&request, &accept, &[50], &[52], &[60, 1], &[80], &[90], &[EXT_INFO, 0, 0, 0, 0], &[IGNORE, 0, 0, 0, 0]];
    for payload in slipped {
        for mut side in half_way() {
            let mut packet = Vec::new();
            Sealer::new().seal(&mut packet, |out| out.bytes(payload)).unwrap();
            let taken = side.next(&mut BytesMut::from(&packet[..]));
            assert!(matches!(taken, Err(Error::OutOfTurn(_))), "{:?} takes {payload:?}", side.settings.role);
        }
    }
}

#[test]
fn chacha_without_strict_exchange_is_refused() {
    let offer = negotiate::ours(Role::Client, &negotiate::Spoken::new(vec!["ssh-ed25519"]), [1; 16], false);
    let text = String::from_utf8_lossy(&offer).replace("aes", "xes");
    // Lossy text would spoil the cookie; this one is text.
    assert_eq!(text.len(), offer.len());
    assert!(matches!(says(&[text.as_bytes()]), Err(Error::NotStrict)));
}

#[test]
fn a_wrong_guess_is_passed_over() {
    let mut offer =
        negotiate::ours(Role::Client, &negotiate::Spoken::new(vec!["rsa-sha2-512", "ssh-ed25519"]), [1; 16], true);
    let flag = offer.len() - 5;
    offer[flag] = 1;
    let guess = [KEX_INIT, 0, 0, 0, 1, 9];
    assert!(matches!(says(&[&offer, &guess]), Ok(None)));
    assert!(matches!(says(&[&offer, &guess, &guess]), Err(Error::Exchange)));
}

#[test]
fn identifications_are_bounded() {
    let begins = |bytes: &[u8], server: bool| {
        let settings = if server { Settings::server(host_key(), random()) } else { Settings::looker(vec![], random()) };
        let mut transport = Transport::new(Arc::new(settings)).unwrap();
        transport.next(&mut BytesMut::from(bytes)).map(drop)
    };
    assert!(begins(b"SSH-2.0-OpenSSH_9.2\r\n", true).is_ok());
    assert!(begins(b"SSH-1.5-old\r\n", true).is_err());
    assert!(begins(b"GET / HTTP/1.1\r\n", true).is_err());
    assert!(begins(b"welcome\r\nSSH-2.0-x\r\n", false).is_ok());
    assert!(begins(&b"a banner line\r\n".repeat(2000), false).is_err());
    assert!(begins(&[b'S'; 300], true).is_err());
}

#[test]
fn a_peer_that_is_not_known_yet_may_not_talk_for_ever() {
    let mut pair = Pair::new(REKEY);
    pair.run(usize::MAX).unwrap();
    for _ in 0..600 {
        pair.client.send(|out| out.bytes(&[IGNORE, 0, 0, 0, 0])).unwrap();
    }
    assert!(matches!(pair.run(usize::MAX), Err(Error::Overrun(_))));
}

#[test]
fn a_goodbye_says_why() {
    let mut pair = Pair::new(REKEY);
    pair.run(usize::MAX).unwrap();
    pair.server.disconnect(11, "the session is over\x1b[2J");
    assert!(matches!(pair.run(usize::MAX), Err(Error::Disconnected(why)) if why == "the session is over[2J"));
}
