use super::*;

#[test]
fn each_address_and_all_of_them_are_bounded_and_places_come_back() {
    let counts = Arc::new(Mutex::new(Counts::default()));
    let bounds = Bounds { per_address: 2, total: 3 };
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    let first = enter(&counts, bounds, ip("192.0.2.1")).unwrap();
    let _second = enter(&counts, bounds, ip("192.0.2.1")).unwrap();
    assert!(enter(&counts, bounds, ip("192.0.2.1")).is_none());
    let _third = enter(&counts, bounds, ip("192.0.2.2")).unwrap();
    assert!(enter(&counts, bounds, ip("192.0.2.3")).is_none());
    drop(first);
    assert!(enter(&counts, bounds, ip("192.0.2.3")).is_some());
}

#[test]
fn a_whole_slash_64_counts_as_one_address() {
    assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff:1".parse().unwrap()));
    assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
    assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
}
