use super::size;

#[test]
fn bytes_are_told_in_units() {
    let told = [0, 17, 1023, 1024, 1536, 12 << 30, 5 << 40].map(size);
    assert_eq!(told, ["0 B", "17 B", "1023 B", "1.0 KiB", "1.5 KiB", "12.0 GiB", "5.0 TiB"]);
}
