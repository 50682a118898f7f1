use super::fingerprint;

#[test]
fn a_fingerprint_is_of_the_bytes_and_not_of_their_form() {
    let one = "-----BEGIN CERTIFICATE-----\nAAEC\nAwQF\n-----END CERTIFICATE-----\n";
    let other = "text\n-----BEGIN CERTIFICATE-----\r\nAAECAwQF\r\n-----END CERTIFICATE-----";
    assert_eq!(fingerprint(one), fingerprint(other));
    assert!(fingerprint(one).unwrap().starts_with("SHA256:17:E8:8D"));
    assert_eq!(fingerprint("nothing"), None);
}
