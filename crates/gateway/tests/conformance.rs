//! The conformance suite over the toy protocol: each case over both transports of the authority.

use sallyport_gateway::conformance::toy::Toys;
use sallyport_gateway::conformance::{Case, Transport};

macro_rules! suite {
    ($($name:ident = $case:ident over $transport:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            #[cfg(feature = "sabotage")]
            sallyport_gateway::sabotage::choose(&std::env::var("SALLYPORT_SABOTAGE").unwrap_or_default());
            if let Err(failure) = Case::$case.run(&Toys, Transport::$transport).await {
                panic!("{failure:?}");
            }
        }
    )*};
}

suite! {
    unix_denied = Denied over Unix;
    unix_recorder = Recorder over Unix;
    unix_ledger = Ledger over Unix;
    unix_kill = Kill over Unix;
    unix_lease = Lease over Unix;
    unix_block = Block over Unix;
    unix_credential = Credential over Unix;
    unix_busy = Busy over Unix;
    tls_denied = Denied over Tls;
    tls_recorder = Recorder over Tls;
    tls_ledger = Ledger over Tls;
    tls_kill = Kill over Tls;
    tls_lease = Lease over Tls;
    tls_block = Block over Tls;
    tls_credential = Credential over Tls;
    tls_busy = Busy over Tls;
}
