use super::*;
use proptest::prelude::*;

fn written(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        encode(event.at, event.channel, event.as_ref().what, &mut out);
    }
    out
}

fn read(bytes: &[u8]) -> Result<Vec<Event>, Error> {
    events(bytes).map(|event| event.map(|event| event.to_owned())).collect()
}

fn whats() -> impl Strategy<Value = What> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        bytes.clone().prop_map(What::Output),
        bytes.clone().prop_map(What::Stderr),
        bytes.prop_map(What::Input),
        any::<u64>().prop_map(What::Hidden),
        (any::<u32>(), proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(file, bytes)| What::Content { file, bytes }),
        (any::<(u32, bool, u64, u64)>(), any::<Option<[u8; 32]>>(), ".{0,9}")
            .prop_map(|((number, up, size, kept), sum, path)| What::Kept(File { number, up, size, kept, sum, path })),
        any::<(u16, u16)>().prop_map(|(cols, rows)| What::Resize { cols, rows }),
        (0..Channel::ALL.len(), ".{0,20}").prop_map(|(kind, detail)| What::Open { kind: Channel::ALL[kind], detail }),
        (any::<Option<u32>>(), proptest::option::of(".{0,9}")).prop_map(|(exit, signal)| What::Close { exit, signal }),
        ".{0,9}".prop_map(What::Signal),
        (".{0,9}", ".{0,30}").prop_map(|(kind, text)| What::Mark { kind, text }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_goes_in_comes_out(list in proptest::collection::vec((any::<u64>(), any::<u32>(), whats()), 0..12)) {
        let list: Vec<_> = list.into_iter().map(|(at, channel, what)| Event { at, channel, what }).collect();
        prop_assert_eq!(read(&written(&list)).unwrap(), list);
    }

    #[test]
    fn no_bytes_panic_and_what_is_read_has_one_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(list) = read(&bytes) {
            prop_assert_eq!(written(&list), bytes);
        }
    }

    #[test]
    fn a_cut_event_is_refused(what in whats(), at: u64, cut in any::<prop::sample::Index>()) {
        let bytes = written(&[Event { at, channel: 7, what }]);
        let cut = 1 + cut.index(bytes.len() - 1);
        prop_assume!(cut < bytes.len());
        prop_assert_eq!(read(&bytes[..cut]), Err(Error::Short(0)));
    }
}

#[test]
fn the_encoding_is_compact_and_stands() {
    let mut out = Vec::new();
    encode(300, 0, WhatRef::Output(b"hi"), &mut out);
    assert_eq!(out, [1, 0xac, 2, 0, 2, b'h', b'i']);
}

#[test]
fn numbers_have_one_form() {
    assert_eq!(read(&[7, 0x80, 0, 0, 0]), Err(Error::Number(0)));
    let mut most = vec![7];
    most.extend([0xff; 9]);
    assert!(read(&[most.as_slice(), &[1, 0, 0]].concat()).is_ok());
    assert_eq!(read(&[most.as_slice(), &[2, 0, 0]].concat()), Err(Error::Number(0)));
    assert_eq!(read(&[4, 0, 0, 0xff, 0xff, 7, 0]), Err(Error::Number(0)));
}

#[test]
fn what_is_unknown_is_refused_and_ends_the_reading() {
    let mut bytes = vec![7, 0, 0, 0];
    bytes.extend([99, 0, 0, 0]);
    let mut iterator = events(&bytes);
    assert!(iterator.next().unwrap().is_ok());
    assert_eq!(iterator.next(), Some(Err(Error::Unknown(4))));
    assert_eq!(iterator.next(), None);
    assert_eq!(read(&[6, 0, 0, 4]), Err(Error::Unknown(0)));
    assert_eq!(read(&[5, 0, 0, 10, 0]), Err(Error::Unknown(0)));
    assert_eq!(read(&[7, 0, 0, 1, 0xff]), Err(Error::Text(0)));
}
