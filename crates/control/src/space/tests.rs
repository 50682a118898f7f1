use super::*;

#[test]
fn the_levels_are_at_80_and_95_percent_and_no_room_is_none() {
    let at = |used| level(used, 1000);
    assert_eq!(
        [at(0), at(799), at(800), at(949), at(950), at(2000)].map(Level::word),
        ["fine", "fine", "refuse", "refuse", "freeze", "freeze"]
    );
    assert_eq!(level(0, 0), Level::Freeze);
    assert_eq!(level(u64::MAX / 2, u64::MAX), Level::Fine);
}

#[test]
fn growth_and_forecast_come_from_the_last_seven_days() {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("recordings")).unwrap();
    let empty = measured(data.path(), Some(1000)).unwrap();
    assert_eq!((empty.used, empty.room, empty.per_day, empty.days_to_refuse), (0, 1000, 0, None));
    // 100 bytes a day for two days, and a flood a month ago that says nothing of tomorrow.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    for (name, bytes, age) in [("a", 100, 0), ("b", 100, 2), ("flood", 300, 30)] {
        let path = data.path().join("recordings").join(name);
        std::fs::write(&path, vec![0; bytes]).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(now - Duration::from_secs(age * DAY)).unwrap();
    }
    let space = measured(data.path(), Some(1000)).unwrap();
    assert_eq!((space.used, space.recordings, space.per_day, space.level), (500, 3, 100, Level::Fine));
    assert_eq!((space.days_to_refuse, space.days_to_freeze), (Some(3), Some(4)));
    assert_eq!(measured(data.path(), Some(600)).unwrap().level, Level::Refuse);
    assert_eq!(measured(data.path(), Some(510)).unwrap().level, Level::Freeze);
    let disk = measured(data.path(), None).unwrap();
    assert!(disk.room > disk.used && disk.level == Level::Fine);
}
