use super::*;

fn screen(cols: u16, rows: u16) -> Screen {
    Screen::new(Size { cols, rows }).unwrap()
}

#[test]
fn a_repainted_terminal_is_the_one_it_was_wherever_the_bytes_were_cut() {
    let text =
        "\x1b[1;31mréd ☃\x1b[0m\r\nplain \x1b]0;title\x07\x1b[?2004h\x1b[?1049h\x1b[5;5Hedit\x1b[?1000;1006h\x1b[32";
    for cut in 0..text.len() {
        let mut first = screen(20, 6);
        first.feed(&text.as_bytes()[..cut]);
        let mut second = screen(20, 6);
        second.feed(&first.repaint());
        for screen in [&mut first, &mut second] {
            screen.feed(&text.as_bytes()[cut..]);
            screen.feed(b"mgreen");
        }
        assert_eq!(first.lines(), second.lines(), "cut at {cut}");
        assert_eq!(first.repaint(), second.repaint(), "cut at {cut}");
    }
}

#[test]
fn modes_of_keyboard_and_mouse_are_kept_and_given_back() {
    let mut screen = screen(10, 2);
    screen.feed(b"\x1b[?2004h\x1b[?1002;1006h");
    screen.feed(b"\x1b[?10");
    screen.feed(b"02l");
    assert_eq!(screen.modes.set(), "\x1b[?1006h\x1b[?2004h");
    screen.feed(b"\x1bc");
    assert_eq!(screen.modes.set(), "");
}

#[test]
fn a_sequence_that_is_cut_off_swallows_nothing() {
    let mut screen = screen(20, 2);
    screen.feed(b"a\x1b]0;never ended");
    screen.cut();
    screen.feed(b"b");
    assert_eq!(screen.lines(), ["ab"]);
}

#[test]
fn no_bytes_make_it_panic_and_pictures_are_bounded() {
    let mut screen = screen(1000, 1000);
    let mut state = 7u32;
    for _ in 0..200 {
        let noise: Vec<u8> = (0..500)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect();
        screen.feed(&noise);
        screen.feed(b"\x1b[");
    }
    screen.resize(Size { cols: 1, rows: 1 });
    screen.feed("x☃".as_bytes());
    assert!(screen.lines().len() <= PICTURE.0);
}
