//! Hearing from the server that another node has written. Only a hint: polling stands behind it.

use crate::place::Place;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Between two attempts to listen.
const AGAIN: Duration = Duration::from_secs(1);

/// The largest size of the ledger that was told of. Ends with its last receiver.
pub(crate) fn listen(place: &Place) -> watch::Receiver<u64> {
    let (told, news) = watch::channel(0);
    if place.shared() {
        let place = place.clone();
        tokio::spawn(async move {
            let gone = told.clone();
            tokio::select! {
                () = hear(&place, &told) => {}
                () = gone.closed() => {}
            }
        });
    }
    news
}

async fn hear(place: &Place, told: &watch::Sender<u64>) {
    loop {
        match place.listen().await {
            Ok(Some(mut listener)) => {
                // A connection that is lost is made anew by us: the primary may be another host by then.
                while let Ok(Some(heard)) = listener.try_recv().await {
                    let size = heard.payload().parse().unwrap_or(0);
                    told.send_if_modified(|known| {
                        let more = size > *known;
                        *known = size.max(*known);
                        more
                    });
                }
            }
            Ok(None) => return,
            Err(error) => tracing::debug!(%error, "Not listening for other nodes yet; polling goes on"),
        }
        sleep(AGAIN).await;
    }
}
