use super::*;
use crate::testing::{grown, leaves, naive_root};
use crate::tree::complete_root;
use proptest::prelude::*;

#[test]
fn paths_are_those_of_the_specification() {
    // The example of c2sp.org/tlog-tiles: index 1234067 is x001/x234/067.
    let id = TileId { level: 0, index: 1_234_067, width: 256 };
    assert_eq!(id.to_string(), "tile/0/x001/x234/067");
    assert_eq!(TileId { level: 3, index: 0, width: 8 }.to_string(), "tile/3/000.p/8");
    let entries = entries::EntriesId { index: 1067, width: 8 };
    assert_eq!(entries.to_string(), "tile/entries/x001/067.p/8");
    assert_eq!(entries::EntriesId::parse("tile/entries/x001/067.p/8").unwrap(), entries);
}

#[test]
fn a_path_has_one_form() {
    for bad in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/1",
        "tile/0/0001",
        "tile/00/001",
        "tile/8/001",
        "tile/0/x000/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/08",
        "tile/0/001.p",
        "tile/0/001.p/",
        "tile/0/001/",
        "tile/0/x001",
        "tile/0/001/002",
        "tile/0/+01",
        "tile/-1/001",
        "/tile/0/001",
        "tile/0/001.p/8.p/8",
        "tile/entries/001",
        "tile/0/x018/x446/x744/x073/x709/x551/616/000",
    ] {
        assert!(TileId::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn paths_round_trip_and_equal_a_second_implementation(level in 0_u8..8, index: u64, width in 1_u16..=256) {
        let index = index >> 8;
        let id = TileId { level, index, width };
        prop_assert_eq!(TileId::parse(&id.to_string()).unwrap(), id);
        let other = tlog_tiles::Tile::new(8, level, index, width.into(), false).path();
        prop_assert_eq!(id.to_string(), other.replacen("tile/8/", "tile/", 1));
    }

    #[test]
    fn no_text_panics(text in "(tile/)?[0-9x/.p]{0,30}|.{0,30}") {
        if let Ok(id) = TileId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), width in 0_u16..300) {
        if let Ok(list) = entries::unpack(&bytes, width) {
            prop_assert_eq!(entries::pack(list).unwrap(), bytes);
        }
    }
}

#[test]
fn batches_of_every_size_grow_the_same_tree() {
    let leaves = leaves(1300);
    let (one, by_one) = grown(&leaves, 1);
    for batch in [2, 7, 255, 256, 257, 1024, 1300] {
        let (appender, tiles) = grown(&leaves, batch);
        assert_eq!(appender.root(), one.root());
        assert!(tiles.iter().all(|(id, bytes)| by_one[id] == *bytes), "batch {batch}");
    }
    assert_eq!(one.root(), naive_root(&leaves));
}

#[test]
fn tiles_hold_what_their_names_say() {
    let leaves = leaves(700);
    let (_, tiles) = grown(&leaves, 1);
    for (id, bytes) in &tiles {
        assert_eq!(bytes.len(), id.length());
        for (n, hash) in bytes.as_chunks::<32>().0.iter().enumerate() {
            let at = usize::try_from(id.index).unwrap() * 256 + n;
            let expected = match id.level {
                0 => leaves[at],
                _ => complete_root(leaves[at * 256..(at + 1) * 256].iter().copied()).unwrap(),
            };
            assert_eq!(*hash, expected, "{id}");
        }
    }
}

#[test]
fn a_tree_is_loaded_from_its_right_edge_and_grows_on() {
    let leaves = leaves(600);
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 599] {
        let (whole, tiles) = grown(&leaves[..size], 1);
        let count = u64::try_from(size).unwrap();
        let mut loaded = Appender::load(count, &tiles).unwrap();
        assert_eq!((loaded.size(), loaded.root()), (whole.size(), whole.root()));
        let growth = loaded.append(&leaves[size..]);
        assert_eq!(growth.root, naive_root(&leaves));
        assert_eq!(growth.size, 600);
        for needed in Appender::needed(count) {
            let mut without = tiles.clone();
            without.remove(&needed);
            assert_eq!(Appender::load(count, &without).err(), Some(Error::Tile(needed)));
            without.insert(needed, vec![0; needed.length() - 1]);
            assert_eq!(Appender::load(count, &without).err(), Some(Error::Tile(needed)));
        }
    }
}

#[test]
fn growth_beyond_one_level_of_tiles() {
    let leaves = leaves(256 * 256 + 3);
    let (appender, tiles) = grown(&leaves, 1024);
    assert_eq!(appender.root(), naive_root(&leaves));
    let top = TileId { level: 2, index: 0, width: 1 };
    assert_eq!(tiles[&top], complete_root(leaves[..65_536].iter().copied()).unwrap());
    assert_eq!(Appender::needed(appender.size()).len(), 2);
    assert_eq!(Appender::load(appender.size(), &tiles).unwrap().root(), appender.root());
}

#[test]
fn entry_bundles_refuse_what_does_not_fit() {
    let packed = entries::pack([b"one".as_slice(), b"", b"three"]).unwrap();
    assert_eq!(packed, b"\0\x03one\0\0\0\x05three");
    assert_eq!(entries::unpack(&packed, 3).unwrap(), [b"one".as_slice(), b"", b"three"]);
    assert_eq!(entries::unpack(&packed, 2), Err(Error::Entries(7)));
    assert_eq!(entries::unpack(&packed, 4), Err(Error::Entries(14)));
    assert_eq!(entries::unpack(&packed[..13], 3), Err(Error::Entries(7)));
    assert_eq!(entries::pack([vec![0; 65_536].as_slice()]), Err(Error::TooLong(0)));
    assert_eq!(entries::pack(std::iter::repeat_n(b"x".as_slice(), 257)), Err(Error::TooLong(256)));
}
