use super::*;
use proptest::prelude::*;

fn packet(body: &[u8]) -> BytesMut {
    BytesMut::from(&*sealed(body))
}

fn names(entries: &[(&[u8], u32)]) -> Vec<u8> {
    let mut out = vec![kind::NAME, 0, 0, 0, 9];
    out.uint32(u32::try_from(entries.len()).unwrap());
    for (name, mode) in entries {
        out.string(name);
        out.string(b"-rw-r--r-- what ls would say");
        out.uint32(SIZE | OWNER | MODE | TIMES);
        out.extend_from_slice(&77_u64.to_be_bytes());
        out.extend_from_slice(&[0; 8]);
        out.uint32(*mode);
        out.uint32(1);
        out.uint32(1_700_000_000);
    }
    out
}

#[test]
fn a_directory_is_read_with_names_that_are_no_text() {
    let mut held = packet(&names(&[(b"\xff\nname", 0o100_644), (b"d", 0o040_755), (b"l", 0o120_777)]));
    let reply = Reply::take(&mut held).unwrap().unwrap();
    let Says::Names(names) = reply.says else { unreachable!("names") };
    assert_eq!((reply.id, names.len(), held.len()), (9, 3, 0));
    assert_eq!(&*names[0].0, b"\xff\nname");
    let known = names[0].1;
    assert_eq!((known.size, known.modified, known.rights()), (Some(77), Some(1_700_000_000), Some(0o644)));
    let sorts = names.iter().map(|(_, known)| (known.is_file(), known.is_directory(), known.is_link()));
    assert!(sorts.eq([(true, false, false), (false, true, false), (false, false, true)]));
}

#[test]
fn a_reply_is_taken_once_it_is_whole() {
    let whole = packet(&names(&[(b"name", 0o100_644)]));
    for cut in 0..whole.len() {
        let mut held = BytesMut::from(&whole[..cut]);
        assert_eq!(Reply::take(&mut held), Ok(None), "{cut}");
        held.extend_from_slice(&whole[cut..]);
        assert!(Reply::take(&mut held).unwrap().is_some() && held.is_empty(), "{cut}");
    }
}

#[test]
fn what_says_that_it_is_longer_than_it_is_is_refused() {
    let mut long = vec![kind::NAME, 0, 0, 0, 1];
    long.uint32(u32::MAX);
    for body in [&long[..], &[kind::DATA, 0, 0, 0, 1, 0, 0, 0, 9, 1], &[kind::HANDLE, 0, 0, 0, 1], &[77, 0, 0, 0, 1]] {
        assert!(Reply::take(&mut packet(body)).is_err(), "{body:?}");
    }
    assert!(Reply::take(&mut BytesMut::from(&[0xff_u8; 4][..])).is_err());
    assert!(Reply::take(&mut BytesMut::from(&[0_u8; 4][..])).is_err());
}

#[test]
fn room_is_what_whoever_asks_may_still_write() {
    let reply: Vec<u8> = [4096_u64, 1024, 100, 50, 7].iter().flat_map(|n| n.to_be_bytes()).collect();
    assert_eq!(room(&reply), Some(7 * 1024));
    assert_eq!(room(&reply[..39]), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut held = BytesMut::from(&*bytes);
        while let Ok(Some(_)) = Reply::take(&mut held) {}
        let mut held = packet(&[&[kind::NAME][..], &bytes].concat());
        let _ = Reply::take(&mut held);
        let _ = room(&bytes);
    }

    /// What is asked is understood by the part that reads along.
    #[test]
    fn requests_are_what_the_reader_along_takes_them_for(path in prop::collection::vec(1..=255u8, 1..80)) {
        use crate::files::{Gate, sftp::Sftp};
        use sallyport_model::limits::Crossing;
        let mut along = Sftp::new(Gate::new(Crossing::Both, &[]));
        prop_assert!(along.client(&greeting()).is_ok());
        let all = [
            Request::RealPath(&path), Request::Stat(&path), Request::LinkStat(&path), Request::OpenDir(&path),
            Request::MakeDir(&path), Request::Open(&path), Request::Create(&path, Some(0o600)), Request::Create(&path, None),
            Request::Remove(&path), Request::Rename(&path, &path), Request::Replace(&path, &path), Request::Room(&path),
        ];
        for (id, request) in all.iter().enumerate() {
            let packet = request.packet(u32::try_from(id).unwrap());
            let flow = along.client(&packet).unwrap();
            prop_assert_eq!(flow.to_target.concat(), packet.to_vec());
            prop_assert!(flow.to_client.is_empty());
        }
    }
}
