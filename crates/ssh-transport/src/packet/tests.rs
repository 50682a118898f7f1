use super::*;
use proptest::prelude::*;

const LONGEST: usize = 1 << 18;

fn pair(suite: Option<Suite>) -> (Sealer, Opener) {
    let (mut sealer, mut opener) = (Sealer::new(), Opener::new());
    if let Some(suite) = suite {
        let Lengths { key, iv, mac } = suite.lengths();
        let (key, iv, mac) = (vec![7; key], vec![255; iv], vec![9; mac]);
        let secrets = Secrets { key: &key, iv: &iv, mac: &mac };
        sealer.rekey(suite, &secrets, true).unwrap();
        opener.rekey(suite, &secrets, true).unwrap();
    }
    (sealer, opener)
}

fn suites() -> impl Iterator<Item = Suite> {
    CipherName::ALL.into_iter().chain(CipherName::OLD).flat_map(|cipher| {
        let macs = MacName::ALL.into_iter().chain(MacName::OLD).map(Some);
        let macs = if cipher.wants_mac() { macs.collect() } else { vec![None] };
        macs.into_iter().map(move |mac| Suite { cipher, mac })
    })
}

fn ciphers() -> impl Iterator<Item = Option<Suite>> {
    std::iter::once(None).chain(suites().map(Some))
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened_however_it_arrives(payloads: Vec<Vec<u8>>, step in 1_usize..64) {
        for cipher in ciphers() {
            let (mut sealer, mut opener) = pair(cipher);
            let mut out = Vec::new();
            for payload in &payloads {
                sealer.seal(&mut out, |out| { out.byte(94); out.bytes(payload); }).unwrap();
            }
            let (mut input, mut opened) = (BytesMut::new(), Vec::new());
            for chunk in out.chunks(step) {
                input.extend_from_slice(chunk);
                while let Some(payload) = opener.open(&mut input, LONGEST).unwrap() {
                    opened.push(payload[1..].to_vec());
                }
            }
            prop_assert_eq!(&opened, &payloads);
        }
    }

    #[test]
    fn a_changed_bit_is_noticed(payload: Vec<u8>, at: prop::sample::Index, bit in 0..8_u8) {
        for cipher in suites() {
            let (mut sealer, mut opener) = pair(Some(cipher));
            let mut out = Vec::new();
            sealer.seal(&mut out, |out| { out.byte(94); out.bytes(&payload); }).unwrap();
            let at = at.index(out.len());
            out[at] ^= 1 << bit;
            // A length that is longer now waits for bytes that never come: that is no packet either.
            let opened = opener.open(&mut BytesMut::from(out.as_slice()), LONGEST);
            prop_assert!(!matches!(opened, Ok(Some(_))));
        }
    }

    #[test]
    fn no_bytes_are_too_strange(bytes: Vec<u8>) {
        for cipher in ciphers() {
            let (_, mut opener) = pair(cipher);
            let mut input = BytesMut::from(bytes.as_slice());
            while let Ok(Some(_)) = opener.open(&mut input, LONGEST) {}
        }
    }
}

#[test]
fn packets_neither_repeat_nor_change_places() {
    for cipher in suites() {
        let (mut sealer, mut opener) = pair(Some(cipher));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        sealer.seal(&mut first, |out| out.bytes(b"^first")).unwrap();
        sealer.seal(&mut second, |out| out.bytes(b"^second")).unwrap();
        // Under CBC what is no packet may seem to have a length whose end has not come.
        let opened = |opener: &mut Opener, bytes: &[u8]| opener.open(&mut BytesMut::from(bytes), LONGEST);
        assert!(!matches!(opened(&mut opener, &second), Ok(Some(_))));
        let (_, mut opener) = pair(Some(cipher));
        assert!(opened(&mut opener, &first).unwrap().is_some());
        assert!(!matches!(opened(&mut opener, &first), Ok(Some(_))));
    }
}

#[test]
fn under_cbc_a_length_that_cannot_be_looks_like_any_packet_that_is_not_authentic() {
    let suite = Suite { cipher: CipherName::Aes128Cbc, mac: Some(MacName::Sha1Before) };
    let (_, mut opener) = pair(Some(suite));
    let mut input = BytesMut::from(&[0x5a; 64][..]);
    assert!(opener.open(&mut input, 1024).unwrap().is_none(), "it waits as for a packet");
    input.extend_from_slice(&[0x5a; 1024]);
    assert!(matches!(opener.open(&mut input, 1024), Err(Error::Mac)));
}

#[test]
fn a_length_is_refused_before_its_bytes_come() {
    let (_, mut opener) = pair(None);
    let mut input = BytesMut::from(&[0x7f, 0xff, 0xff, 0xfc][..]);
    assert!(matches!(opener.open(&mut input, LONGEST), Err(Error::Length)));
}
