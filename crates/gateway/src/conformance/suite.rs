//! The suite as tests of the crate that calls it: each case over both transports, named `<transport>_<case>`.

use super::{Case, Fixture, Transport};

/// Runs one case. `mutant` names the case whose guard is broken, in a build that can break one.
///
/// # Panics
/// When the case fails: this is a test's body.
#[expect(clippy::panic, reason = "a test says how it failed")]
pub async fn run<F: Fixture>(case: Case, fixture: F, transport: Transport, mutant: Option<String>) {
    #[cfg(feature = "sabotage")]
    crate::sabotage::choose(mutant.as_deref().unwrap_or_default());
    #[cfg(not(feature = "sabotage"))]
    drop(mutant);
    if let Err(failure) = case.run(&fixture, transport).await {
        panic!("{failure:?}");
    }
}

/// Makes the tests of a protocol: `sallyport_gateway::conformance_suite!(Fixture::new());`
#[macro_export]
macro_rules! conformance_suite {
    ($fixture:expr) => {
        $crate::conformance_suite! { $fixture;
            unix_denied = Denied over Unix,
            unix_recorder = Recorder over Unix,
            unix_ledger = Ledger over Unix,
            unix_kill = Kill over Unix,
            unix_lease = Lease over Unix,
            unix_block = Block over Unix,
            unix_credential = Credential over Unix,
            unix_busy = Busy over Unix,
            tls_denied = Denied over Tls,
            tls_recorder = Recorder over Tls,
            tls_ledger = Ledger over Tls,
            tls_kill = Kill over Tls,
            tls_lease = Lease over Tls,
            tls_block = Block over Tls,
            tls_credential = Credential over Tls,
            tls_busy = Busy over Tls,
        }
    };
    ($fixture:expr; $($name:ident = $case:ident over $transport:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            #[expect(clippy::disallowed_methods, reason = "which mutant it must find")]
            let mutant = std::env::var("SALLYPORT_SABOTAGE").ok();
            let (case, transport) = ($crate::conformance::Case::$case, $crate::conformance::Transport::$transport);
            $crate::conformance::suite::run(case, $fixture, transport, mutant).await;
        }
    )*};
}
