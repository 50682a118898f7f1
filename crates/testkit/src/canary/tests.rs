use super::*;

fn search(secrets: &[String], bytes: &[u8]) -> Vec<(usize, &'static str)> {
    let mut canaries = Canaries::new(secrets).unwrap();
    canaries.bytes("here", bytes);
    canaries.take().0.into_iter().map(|trace| (trace.secret, trace.encoding)).collect()
}

#[test]
fn every_encoding_is_found_wherever_it_lies() {
    let secrets = vec![canary().unwrap(), canary().unwrap()];
    let noise = b"| noise that is long enough to be one |";
    for (encoding, bytes) in encodings(&secrets[1]) {
        for before in 0..4 {
            let text = [&noise[before..], &bytes[..], noise].concat();
            assert!(search(&secrets, &text).contains(&(1, encoding)), "{encoding}");
        }
        // All but the last byte of a form is not that form.
        let cut = [&noise[..], &bytes[..bytes.len() - 1], noise].concat();
        assert!(!search(&secrets, &cut).contains(&(1, encoding)), "{encoding}");
    }
    assert_eq!(search(&secrets, noise), []);
}

/// Encoders of others, and other text around the secret: what is searched for is what they write.
#[test]
fn what_real_encoders_write_is_found() {
    let secret = canary().unwrap();
    let secrets = vec![secret.clone()];
    for before in 0..7 {
        let text = format!("{}{secret}{}", "x".repeat(before), "y".repeat(before % 3));
        assert!(search(&secrets, STANDARD.encode(&text).as_bytes()).contains(&(0, "base64")), "{before}");
        assert!(search(&secrets, URL_SAFE.encode(&text).as_bytes()).contains(&(0, "base64url")), "{before}");
        let json = serde_json::to_string(&serde_json::json!({ "k": text })).unwrap();
        assert!(search(&secrets, json.as_bytes()).contains(&(0, "json")), "{json}");
        assert!(search(&secrets, format!("{text:?}").as_bytes()).contains(&(0, "its beginning")), "{text:?}");
    }
    let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(search(&secrets, &utf16).contains(&(0, "utf-16 be")));
}

#[test]
fn a_secret_over_the_end_of_a_piece_is_found_and_all_is_counted() {
    let secret = canary().unwrap();
    let mut canaries = Canaries::new(std::slice::from_ref(&secret)).unwrap();
    for at in [PIECE - 30, PIECE - 24, PIECE - 12, PIECE - 1, PIECE, 2 * PIECE - 7] {
        let mut bytes = vec![b'-'; 2 * PIECE + 99];
        bytes[at..at + secret.len()].copy_from_slice(secret.as_bytes());
        canaries.stream("long", &bytes[..]).unwrap();
        let (traces, searched) = canaries.take();
        assert!(traces.iter().any(|trace| trace.encoding == "raw"), "{at}");
        assert_eq!(searched, Searched { places: 1, bytes: u64::try_from(bytes.len()).unwrap() });
    }
}

#[test]
fn a_tree_is_searched_with_the_names_of_its_files() {
    let (named, within) = ("canary-0123456789ab".to_owned(), canary().unwrap());
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("a/b")).unwrap();
    fs::write(directory.path().join(format!("a/{named}")), "").unwrap();
    fs::write(directory.path().join("a/b/c"), format!("x{within}")).unwrap();
    std::os::unix::fs::symlink("/nowhere", directory.path().join("a/gone")).unwrap();
    let mut canaries = Canaries::new(&[named, within]).unwrap();
    canaries.tree(directory.path()).unwrap();
    let (traces, searched) = canaries.take();
    assert_eq!(searched.places, 2);
    assert!(traces.iter().any(|trace| trace.secret == 0) && traces.iter().any(|trace| trace.place.ends_with("a/b/c")));
    assert!(Canaries::new(&["short".to_owned()]).is_err());
}
