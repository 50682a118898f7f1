//! The API does what its description says, whatever is sent: schemathesis makes calls from the description and looks at the answers.

use sallyport_testkit::product::outcome;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What ends the caller or the vault for all calls behind it, and streams, which have no end: each has tests of its own.
const LEFT_OUT: &str = "^/api/v1/(vault/(seal|unseal|slots|rotate)|live|sessions/[^/]+/watch|sign-out|terminal|me/(password|factors|tokens))";

/// A Python tool that `cargo xtask test` has installed.
pub(crate) fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin").join(name);
    assert!(path.exists(), "{} is missing: `cargo xtask test` installs it", path.display());
    path
}

/// What the description cannot say: objects that are there, and that a target which does not answer is answered with 503.
fn settings(session: &str) -> String {
    let session_paths: String = ["{session}", "{id}"]
        .map(|name| {
            format!(
                "[[operations]]\ninclude-path-regex = \"/(recordings|sessions)/\\\\{name}/\"\n\
                 parameters = {{ \"path.{}\" = \"{session}\" }}\n",
                name.trim_matches(['{', '}']),
            )
        })
        .concat();
    format!(
        // A body that is too long is refused for that.
        "[checks.negative_data_rejection]\nexpected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, \"5xx\"]\n\
         {session_paths}\
         [[operations]]\ninclude-path = \"/api/v1/targets/probe\"\n\
         checks.not_a_server_error.expected-statuses = [\"2xx\", \"3xx\", \"4xx\", 503]\n\
         [[operations]]\ninclude-path = \"/api/v1/targets/{{name}}/check\"\n\
         checks.not_a_server_error.expected-statuses = [\"2xx\", \"3xx\", \"4xx\", 503]\n"
    )
}

#[test]
fn the_api_conforms_to_its_description_whatever_is_sent() {
    let product = crate::product();
    assert!(product.ssh("ada").arg("id").status().unwrap().success());
    product.idle().unwrap();
    let session = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    fs::write(product.at("schemathesis.toml"), settings(&session)).unwrap();
    let mut command = Command::new(tool("schemathesis"));
    command
        .arg("--config-file")
        .arg(product.at("schemathesis.toml"))
        .args(["run", &format!("{}/api/v1/openapi.json", product.url())])
        .args(["--header", &format!("Authorization: Bearer {}", product.token())])
        .args(["--header", &format!("Origin: {}", product.url())])
        .args(["--exclude-path-regex", LEFT_OUT])
        // Names have a grammar that the description does not spell, so not all that fits it is accepted.
        .args(["--exclude-checks", "positive_data_acceptance"])
        // One worker: in CPython 3.11 two threads that parse at once may both fail (python/cpython#106905).
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", "20261128", "--workers", "1"])
        .args(["--suppress-health-check", "all", "--request-timeout", "20", "--generation-database", "none"])
        .args(["--no-color"])
        .current_dir(product.at(""));
    let (code, out, err) = outcome(command.output().unwrap());
    assert_eq!(code, 0, "{out}{err}\n{}", product.log());
    let tested = out.lines().find_map(|line| line.trim().strip_prefix("Tested: ")).unwrap().parse::<u32>().unwrap();
    assert!(tested >= 60, "{out}");
}
