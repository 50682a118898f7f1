use super::*;

#[test]
fn waits_grow_to_hours_and_are_not_the_same_everywhere() {
    assert_eq!(wait(false, 0, 0), Duration::from_secs(4));
    assert_eq!(wait(false, 0, u16::MAX), Duration::from_secs(6));
    assert_eq!(wait(true, 1, u16::MAX / 2).as_secs(), 119);
    for failed in [12, 16, 17, u32::MAX] {
        let longest = wait(true, failed, u16::MAX);
        assert!(longest > LONGEST && longest < LONGEST * 2, "{failed}: {longest:?}");
    }
}

#[test]
fn what_a_directory_cannot_be_asked_for_is_said() {
    let good = Acme {
        directory: "https://acme.example.org/dir".into(),
        contact: vec!["ops@example.org".into()],
        accept_terms: true,
        root: None,
    };
    assert_eq!(good.check(), Ok(()));
    let terms = Acme { accept_terms: false, ..good.clone() };
    assert!(terms.check().unwrap_err().contains("accept_terms = true"));
    let plain = Acme { directory: "http://acme.example.org".into(), ..good.clone() };
    assert!(plain.check().unwrap_err().contains("https://"));
    let contact = Acme { contact: vec!["mailto:ops@example.org".into()], ..good };
    assert!(contact.check().unwrap_err().contains("ops@example.org"));
}

#[test]
fn a_proof_names_what_is_proven_and_the_digest_of_it() {
    let shown = proof_of("pam.example.org", &[7; 32]).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&shown.cert[0]).unwrap();
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
    assert!(format!("{names:?}").contains("pam.example.org"));
    // id-pe-acmeIdentifier, critical, an OCTET STRING of 32 bytes (RFC 8737 section 3).
    let extension = parsed.extensions().iter().find(|found| found.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
    assert!(extension.critical);
    assert_eq!(extension.value, [&[4, 32][..], &[7; 32]].concat());
}
