use super::*;
use proptest::prelude::*;

#[test]
fn a_path_is_text_with_escapes_where_it_is_none() {
    let cases: [(&[u8], &str); 5] = [
        (b"/home/ada/notes.txt", "/home/ada/notes.txt"),
        ("/t\u{fc}r/\u{732b}".as_bytes(), "/t\u{fc}r/\u{732b}"),
        (b"/tmp/\xff\xfe", "/tmp/%FF%FE"),
        (b"/tmp/two\nlines\x1b[m", "/tmp/two%0Alines%1B[m"),
        (b"/tmp/100%", "/tmp/100%25"),
    ];
    for (bytes, text) in cases {
        let path = FilePath::new(bytes).unwrap();
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse(), Ok(path));
    }
    assert_eq!("/tmp/%fF".parse::<FilePath>().unwrap().bytes(), b"/tmp/\xff");
}

#[test]
fn what_is_no_path_is_refused_with_what_to_write_instead() {
    let longest = "a/".repeat(2048);
    for (text, wrong) in [
        ("", BadPath::Empty),
        (&format!("{longest}a"), BadPath::Long),
        (&"n".repeat(256), BadPath::Name),
        ("a%00b", BadPath::Nul),
        ("100%", BadPath::Escape),
        ("%4", BadPath::Escape),
        ("%+1", BadPath::Escape),
        ("%\u{fc}", BadPath::Escape),
    ] {
        assert_eq!(text.parse::<FilePath>(), Err(wrong), "{text}");
    }
    assert!(longest.parse::<FilePath>().is_ok() && "n".repeat(255).parse::<FilePath>().is_ok());
}

#[test]
fn a_file_is_a_name_in_a_directory() {
    let file = |text: &str| {
        let path: FilePath = text.parse().unwrap();
        path.file().map(|(directory, name)| (directory.to_vec(), name.to_vec()))
    };
    assert_eq!(file("/etc/motd"), Ok((b"/etc/".to_vec(), b"motd".to_vec())));
    assert_eq!(file("motd"), Ok((vec![], b"motd".to_vec())));
    for place in ["/", "/etc/", ".", "..", "/etc/..", "a/."] {
        assert_eq!(file(place), Err(BadPath::Place), "{place}");
    }
    let root: FilePath = "/".parse().unwrap();
    assert_eq!(root.join(b"etc").unwrap().join(b"a b").unwrap().bytes(), b"/etc/a b");
}

proptest! {
    #[test]
    fn every_path_has_one_text_that_leads_back_to_it(bytes in prop::collection::vec(1..=255u8, 1..200)) {
        if let Ok(path) = FilePath::new(&bytes) {
            let text = path.to_string();
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(text.parse(), Ok(path));
        }
    }
}
