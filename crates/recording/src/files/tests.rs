use super::*;

fn file(size: u64, kept: u64, sum: Option<[u8; 32]>) -> What {
    What::Kept(File { number: 3, up: true, size, kept, sum, path: "/tmp/x".into() })
}

fn recorded(last: What) -> Vec<Result<Event, Wrong>> {
    let content = |file: u32, bytes: &[u8]| What::Content { file, bytes: bytes.to_vec() };
    let events =
        [(1, content(3, b"he")), (2, content(3, b"other channel")), (1, content(4, b"x")), (1, content(3, b"llo"))];
    let all = events.into_iter().chain([(1, last)]);
    all.map(|(channel, what)| Ok(Event { at: 7, channel, what })).collect()
}

#[test]
fn a_file_is_put_together_and_compared_with_its_hash() {
    let sum = sha256(&[b"hello"]);
    let (kept, bytes) = content(recorded(file(5, 5, Some(sum))), (1, 3)).unwrap().unwrap();
    assert_eq!((kept.at, bytes.as_slice()), (7, b"hello".as_slice()));
    assert_eq!(super::kept(recorded(file(5, 5, Some(sum)))).unwrap(), [kept]);
    // Of a part the hash says nothing.
    assert!(content(recorded(file(9, 5, Some([0; 32]))), (1, 3)).unwrap().is_some());
    assert!(content(recorded(file(5, 5, None)), (1, 3)).unwrap().is_some());
    assert!(content(recorded(file(5, 5, Some(sum))), (1, 9)).unwrap().is_none());
    for wrong in [file(5, 5, Some([0; 32])), file(5, 4, None), file(9, 6, Some(sum))] {
        assert!(matches!(content(recorded(wrong), (1, 3)), Err(Error::Misfit(path)) if path == "/tmp/x"));
    }
}
