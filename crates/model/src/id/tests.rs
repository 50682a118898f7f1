use super::*;

#[test]
fn text_form_round_trips_and_sorts_by_time() {
    let env = Env::system();
    let first = SessionId::new(&env);
    assert_eq!(first.to_string().parse::<SessionId>().unwrap(), first);
    assert!(first.to_string().starts_with("ses_"));
    assert_eq!(first.to_string().len(), 36);
}

#[test]
fn foreign_prefix_upper_case_and_wrong_length_are_refused() {
    for bad in [
        "",
        "ses_",
        "tgt_00000000000000000000000000000000",
        "ses_0000000000000000000000000000000",
        "ses_0000000000000000000000000000000A",
        "ses_00000000-0000-0000-0000-000000000000",
        "ses_é0000000000000000000000000000000",
    ] {
        assert!(bad.parse::<SessionId>().is_err(), "{bad}");
    }
}
