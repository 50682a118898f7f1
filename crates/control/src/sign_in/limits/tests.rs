use super::*;

#[test]
fn the_wait_doubles_and_has_an_end() {
    let limit = Limit::password(None);
    let waits: Vec<u64> = (0..20).map(|count| limit.wait(count).as_secs()).collect();
    assert_eq!(waits.get(..9).unwrap(), [0, 0, 0, 0, 0, 1, 2, 4, 8]);
    assert_eq!(waits.last(), Some(&900));
    assert_eq!(limit.wait(u32::MAX).as_secs(), 900);
}

#[test]
fn a_network_of_ipv6_is_one_source_and_a_mapped_address_is_the_old_one() {
    let name = |text: &str| Limit::source(text.parse().unwrap()).name;
    assert_eq!(name("2001:db8:1:2:3:4:5:6"), name("2001:db8:1:2:ffff::1"));
    assert_ne!(name("2001:db8:1:2::1"), name("2001:db8:1:3::1"));
    assert_eq!(name("::ffff:192.0.2.1"), name("192.0.2.1"));
}
