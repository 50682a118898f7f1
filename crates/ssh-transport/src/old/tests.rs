use super::*;

fn gap(what: &'static str, theirs: &str) -> Gap {
    Gap { what, theirs: theirs.into() }
}

#[test]
fn the_table_has_nothing_that_is_broken() {
    let all = names().join(" ");
    for broken in ["group1-", "3des", "dss", "md5", "arcfour", "group-exchange-sha1", "none", "96"] {
        assert!(!all.contains(broken), "{broken}");
    }
}

#[test]
fn the_best_exception_for_each_gap_is_named_and_none_where_none_helps() {
    let gaps = [
        gap(METHODS, "diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,diffie-hellman-group14-sha256"),
        gap(HOST_KEYS, "ssh-rsa,ssh-dss"),
        gap(CIPHERS, "aes128-cbc,3des-cbc"),
        gap(MACS, "hmac-md5,hmac-sha1"),
    ];
    let wanted = ["diffie-hellman-group14-sha256", "ssh-rsa", "aes128-cbc", "hmac-sha1"];
    assert_eq!(closing(&gaps).unwrap(), wanted);
    assert_eq!(closing(&[gap(METHODS, "diffie-hellman-group1-sha1")]), None);
}
