use super::{ClientStream, Cut, HARD, Meter, SOFT, Share, TargetStream};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn fill(meter: &Meter, bytes: i64) {
    assert!(meter.add(usize::try_from(bytes).unwrap()));
}

#[tokio::test]
async fn a_target_is_paused_above_its_bound_and_goes_on_below_half() {
    let meter = Meter::new();
    let (near, mut far) = tokio::io::duplex(64);
    let mut stream = TargetStream::new(near, meter.clone());
    far.write_all(b"bytes").await.unwrap();
    fill(&meter, 1 << 20);
    let mut buffer = [0; 5];
    let read = tokio::time::timeout(Duration::from_millis(50), stream.read_exact(&mut buffer)).await;
    assert!(read.is_err(), "a paused target was read");
    let (emptied, read) = tokio::join!(async { meter.sub(1 << 20) }, stream.read_exact(&mut buffer));
    assert_eq!((emptied, read.unwrap()), ((), 5));
}

#[tokio::test]
async fn a_client_is_slowed_and_never_paused() {
    let meter = Meter::new();
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let mut stream = ClientStream::new(near, meter.clone());
    fill(&meter, 8 * SOFT);
    far.write_all(&[1; 1000]).await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut buffer = [0; 1000];
    stream.read_exact(&mut buffer).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(240), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_slowed_client_wakes_early_when_its_backlog_is_taken() {
    let meter = Meter::new();
    let (near, mut far) = tokio::io::duplex(64);
    let mut stream = ClientStream::new(near, meter.clone());
    fill(&meter, 8 * SOFT);
    far.write_all(b"x").await.unwrap();
    let begun = tokio::time::Instant::now();
    let taken = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        meter.sub(usize::try_from(8 * SOFT).unwrap());
    };
    let ((), read) = tokio::join!(taken, stream.read_u8());
    assert_eq!(read.unwrap(), b'x');
    assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_dropped_cut_ends_reads_and_writes_that_wait() {
    for wait in ["read", "write"] {
        let meter = Meter::new();
        let cut = Cut(meter.clone());
        let (near, _far) = tokio::io::duplex(16);
        let mut stream = TargetStream::new(near, meter);
        let waiting = tokio::spawn(async move {
            if wait == "read" { stream.read_u8().await.map(drop) } else { stream.write_all(&[0; 64]).await }
        });
        tokio::task::yield_now().await;
        drop(cut);
        let ended = tokio::time::timeout(Duration::from_secs(1), waiting).await.expect(wait).unwrap();
        assert!(ended.is_err(), "{wait}");
    }
}

#[test]
fn windows_shrink_with_the_backlog_and_are_never_none() {
    let meter = Meter::new();
    let mut last = u32::MAX;
    for _ in 0..12 {
        let window = meter.window();
        assert!(window <= last && window > 1, "{window}");
        last = window;
        fill(&meter, SOFT / 2);
    }
    assert_eq!(last, 64);
}

#[test]
fn who_ignores_every_window_is_noticed() {
    let meter = Meter::new();
    fill(&meter, HARD - 200);
    assert!(!meter.over());
    assert!(!meter.add(100));
    assert!(meter.over());
}

#[test]
fn small_messages_are_bounded_by_their_number() {
    let meter = Meter::new();
    let sent = (0..).take_while(|_| meter.add(0)).count();
    assert!(sent < 400_000, "{sent}");
}

#[test]
fn what_a_closed_channel_leaves_is_taken_off() {
    let meter = Meter::new();
    let share = Share::new(meter.clone());
    assert!(share.add(1000) && share.add(2000));
    share.sub(1000);
    share.close();
    assert_eq!(meter.backlog(), 0);
    assert!(share.add(5000));
    assert_eq!(meter.backlog(), 0);
}
