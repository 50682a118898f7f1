//! The API's description is a golden: a change is a reviewed diff.

#[test]
fn openapi_is_the_reviewed_one() {
    expect_test::expect_file!["openapi.json"].assert_eq(&crate::openapi());
}
