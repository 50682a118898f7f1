use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn each_address_and_all_of_them_are_bounded_and_places_come_back() {
    let counts = Arc::new(Mutex::new(Counts::default()));
    let bounds = Bounds { per_address: 2, total: 3 };
    let enter = |address: &str| enter(&counts, bounds, ip(address)).map(|(place, _)| place);
    let first = enter("192.0.2.1").unwrap();
    let second = enter("192.0.2.1").unwrap();
    assert!(enter("192.0.2.1").is_none());
    let third = enter("192.0.2.2").unwrap();
    for place in [&first, &second, &third] {
        place.stay();
    }
    assert!(enter("192.0.2.3").is_none(), "whoever is counted on does not give way");
    drop(first);
    let _fourth = enter("192.0.2.3").unwrap();
    drop((second, third));
    assert_eq!(lock(&counts).all, 1);
    assert_eq!(lock(&counts).by_address.len(), 1);
}

#[test]
fn the_oldest_of_the_largest_crowd_gives_way_to_who_comes_from_elsewhere() {
    let counts = Arc::new(Mutex::new(Counts::default()));
    let bounds = Bounds { per_address: 3, total: 4 };
    let enter = |address: &str| enter(&counts, bounds, ip(address));
    let (_alone, alone) = enter("192.0.2.1").unwrap();
    let (kept, _) = enter("192.0.2.2").unwrap();
    kept.stay();
    let (gone, oldest) = enter("192.0.2.2").unwrap();
    let (_newer, newer) = enter("192.0.2.2").unwrap();
    let (_neighbour, neighbour) = enter("192.0.2.3").unwrap();
    assert!(oldest.is_cancelled(), "the oldest that may give way");
    assert!(!newer.is_cancelled() && !alone.is_cancelled() && !neighbour.is_cancelled());
    drop(gone);
    assert_eq!(lock(&counts).all, 4, "whoever gave way has no place left to give back");
    assert!(enter("192.0.2.2").is_none(), "a crowd does not push itself forward");
    enter("192.0.2.4").unwrap();
    assert!(alone.is_cancelled(), "where all have as many, the oldest of all");
}

#[test]
fn a_whole_slash_64_counts_as_one_address() {
    assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff:1".parse().unwrap()));
    assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
    assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
}
