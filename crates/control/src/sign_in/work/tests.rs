use super::*;
use sallyport_model::Kind;
use std::sync::mpsc;

#[tokio::test]
async fn the_queue_is_bounded_and_says_so() {
    let work = Arc::new(PasswordWork::default());
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    let waiting: Vec<_> = (0..AT_ONCE + QUEUE)
        .map(|_| {
            let (work, held) = (work.clone(), held.clone());
            tokio::spawn(async move {
                work.apart(move || {
                    let _ = held.lock().unwrap().recv();
                    Ok(())
                })
                .await
            })
        })
        .collect();
    while work.queue.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let error = work.matches(PasswordVerifier::of_nobody(), Secret::new("x".into())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(error.to_string(), FULL);
    drop(release);
    for one in waiting {
        one.await.unwrap().unwrap();
    }
    assert!(!work.matches(PasswordVerifier::of_nobody(), Secret::new("x".into())).await.unwrap());
}
