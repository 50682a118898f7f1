use super::*;

#[test]
fn what_is_no_address_of_a_site_is_refused_with_what_to_write() {
    for bad in ["sallyport", "http://pam.example.org", "https://pam.example.org/x", "ftp://localhost", "https://u@h"] {
        let error = Site::parse(bad).unwrap_err();
        assert!(error.contains("write https://"), "{bad}: {error}");
    }
    for good in ["https://pam.example.org", "https://pam.example.org:8443", "http://localhost:1", "http://127.0.0.1:1"]
    {
        Site::parse(good).unwrap();
    }
}

#[test]
fn a_page_of_another_site_is_not_its_own() {
    let site = Site::parse("https://pam.example.org").unwrap();
    assert!(site.is_own("https://pam.example.org", Some("pam.example.org")));
    for foreign in ["https://evil.example.org", "http://pam.example.org", "null", "https://pam.example.org.evil.org"] {
        assert!(!site.is_own(foreign, Some("pam.example.org")), "{foreign}");
    }
    let local = Site::local(8022);
    assert!(local.is_own("http://127.0.0.1:8022", Some("127.0.0.1:8022")));
    assert!(!local.is_own("http://127.0.0.1:9", Some("127.0.0.1:8022")), "another server of this host");
    assert!(!local.is_own("http://evil.example.org", Some("evil.example.org")), "a name that was made to point here");
}
