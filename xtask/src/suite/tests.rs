use super::mutants;
use super::totals::{Reader, Totals, worth_reading};

const LOG: &str = "\
     Running unittests src/lib.rs (target/debug/deps/sallyport_model-5f3c)
running 3 tests
test id::tests::round_trip ... ok
test conformance::tests::unix_kill ... FAILED
test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.41s
   Doc-tests sallyport_model
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

fn read(log: &str) -> Reader {
    let mut reader = Reader::default();
    for line in log.lines() {
        reader.line(line);
    }
    reader
}

#[test]
fn totals_are_summed_over_all_runs() {
    assert_eq!(read(LOG).totals, Totals { passed: 3, failed: 1 });
    assert_eq!(read("").totals, Totals::default());
}

#[test]
fn progress_names_the_binary() {
    let mut reader = Reader::default();
    let told: Vec<_> = LOG.lines().filter_map(|line| reader.line(line)).collect();
    assert!(told[0].contains("sallyport_model src/lib.rs"), "{told:?}");
    assert!(told[0].contains("1 FAILED"));
    assert!(told[1].contains("Doc-tests sallyport_model"));
}

#[test]
fn a_mutant_is_caught_by_its_own_case_alone() {
    let caught = |case: &str, log: &str| mutants::caught(case, &read(log));
    assert!(caught("kill", LOG));
    assert!(!caught("busy", LOG), "another case failed");
    assert!(!caught("kill", ""), "nothing failed");
    assert!(!caught("kill", &format!("{LOG}test conformance::tests::tls_busy ... FAILED\n")));
}

#[test]
fn results_of_two_at_once_are_in_order() {
    let slow_first = |n: u64| {
        std::thread::sleep(std::time::Duration::from_millis(20 - n));
        n * 2
    };
    assert_eq!(crate::run::two_at_once((0..10).collect(), slow_first), (0..20).step_by(2).collect::<Vec<_>>());
    assert!(crate::run::two_at_once(Vec::<u8>::new(), |n| n).is_empty());
}

#[test]
fn every_case_of_the_suite_has_a_mutant() {
    let list = "tls_busy: test\nunix_busy: test\nunix_kill: test\n\n3 tests, 0 benchmarks\n";
    assert_eq!(mutants::cases(list).into_iter().collect::<Vec<_>>(), ["busy", "kill"]);
}

#[test]
fn what_is_worth_reading_begins_at_the_failure() {
    let said = worth_reading("test a ... ok\n---- b stdout ----\nno\ntest result: FAILED.\nrunning\nerror: 1 target\n");
    assert_eq!(said, "---- b stdout ----\nno\nerror: 1 target");
}
