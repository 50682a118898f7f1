use super::*;
use crate::conformance::bench::until;
use sallyport_model::Env;

const SOON: Duration = Duration::from_secs(5);

/// Somebody who looks on.
#[derive(Default)]
struct Nobody {
    views: Mutex<Vec<View>>,
    slow: std::sync::atomic::AtomicBool,
}

impl Nobody {
    fn show(self: &Arc<Self>) -> Show {
        let nobody = self.clone();
        Arc::new(move |view| {
            nobody.views.lock().unwrap().push(view);
            !nobody.slow.load(Ordering::Relaxed)
        })
    }
}

impl Nobody {
    /// What was viewed, as text.
    fn seen(&self) -> String {
        let views = self.views.lock().unwrap();
        String::from_utf8_lossy(&views.iter().flat_map(|view| view.events.clone()).collect::<Vec<_>>()).into_owned()
    }
}

fn push(live: &Live, what: WhatRef<'_>) {
    let mut event = Vec::new();
    event::encode(7, 1, what, &mut event);
    let written = if let WhatRef::Output(bytes) = what { bytes.len() } else { 0 };
    live.push(&event, written);
}

#[tokio::test]
async fn who_comes_late_sees_the_terminal_as_it_is_and_then_what_happens() {
    // As soon as nothing waits, the screen is folded.
    for quiet in [QUIET, Duration::ZERO] {
        comes_late(Live::begin(quiet)).await;
    }
}

async fn comes_late(live: Live) {
    let nobody = Arc::new(Nobody::default());
    push(&live, WhatRef::Resize { cols: 20, rows: 4 });
    for n in 0..1000 {
        push(&live, WhatRef::Output(format!("line {n}\r\n").as_bytes()));
    }
    live.onlooker().watch(nobody.show(), WatchId::new(&Env::system()));
    until(SOON, || nobody.seen().contains("line 999")).await.unwrap();
    assert!(!nobody.seen().contains("line 9\r"), "what has scrolled away is not sent");
    push(&live, WhatRef::Output(b"after"));
    until(SOON, || nobody.seen().contains("after")).await.unwrap();
    drop(live);
    until(SOON, || nobody.views.lock().unwrap().last().is_some_and(|view| view.last)).await.unwrap();
}

#[tokio::test]
async fn without_a_terminal_who_comes_late_sees_what_was_written_lately() {
    let (live, nobody) = (Live::start(), Arc::new(Nobody::default()));
    push(&live, WhatRef::Output(b"before"));
    live.onlooker().watch(nobody.show(), WatchId::new(&Env::system()));
    until(SOON, || nobody.seen().contains("before")).await.unwrap();
    assert!(live.onlooker().repaint(None).await.is_none() && live.onlooker().picture().await.is_none());
}

#[tokio::test]
async fn a_flood_is_cut_and_never_waits_and_who_was_too_slow_is_shown_the_screen_again() {
    let (live, nobody) = (Live::start(), Arc::new(Nobody::default()));
    push(&live, WhatRef::Resize { cols: 20, rows: 4 });
    live.onlooker().watch(nobody.show(), WatchId::new(&Env::system()));
    until(SOON, || !nobody.views.lock().unwrap().is_empty()).await.unwrap();
    nobody.slow.store(true, Ordering::Relaxed);
    // Nothing here waits for the task, which has no chance to run.
    for _ in 0..100 {
        push(&live, WhatRef::Output(&[b'x'; 30_000]));
    }
    push(&live, WhatRef::Output(b"\r\nthe end"));
    let painted = live.onlooker().repaint(None).await.unwrap();
    assert_eq!(painted.upto, 3_000_009);
    assert!(String::from_utf8_lossy(&painted.bytes).contains("the end"));
    nobody.views.lock().unwrap().clear();
    nobody.slow.store(false, Ordering::Relaxed);
    push(&live, WhatRef::Output(b"!"));
    until(SOON, || nobody.seen().contains("the end!")).await.unwrap();
    assert_eq!(live.onlooker().picture().await.unwrap().lines.last().unwrap(), "the end!");
}

#[test]
fn a_quiet_session_keeps_its_screen_small_and_goes_on_with_it_as_it_was() {
    let drawn = |seen: &mut Seen, text: &str| seen.draw(1, WhatRef::Output(text.as_bytes()));
    let (mut quiet, mut busy) = (Seen::default(), Seen::default());
    for seen in [&mut quiet, &mut busy] {
        seen.draw(1, WhatRef::Resize { cols: 200, rows: 60 });
        drawn(seen, "\x1b[?2004hada@web-1:~$ \x1b[1;32mvim\x1b[0m\r\n\x1b[?1049h\x1b[30;7Hedit \x1b[4mlines\x1b[3");
    }
    quiet.fold();
    let kept: Vec<usize> = quiet
        .screens
        .values()
        .map(|kept| match kept {
            Kept::Folded(folded) => folded.size_in_memory(),
            Kept::Drawn(_) => usize::MAX,
        })
        .collect();
    assert!(kept.len() == 1 && kept.iter().all(|bytes| *bytes < 8_192), "{kept:?} bytes for 24,000 cells of 16 bytes");
    for seen in [&mut quiet, &mut busy] {
        drawn(seen, "1m, in red\x1b[?1049l$ ");
    }
    assert_eq!(quiet.everything(), busy.everything());
    assert_eq!(quiet.newest().map(|screen| screen.lines()), busy.newest().map(|screen| screen.lines()));
}
