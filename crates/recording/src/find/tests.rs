use super::*;
use crate::lines::LINE;

fn found(wanted: &str, events: &[(u64, WhatRef<'_>)]) -> Vec<(u64, String)> {
    let mut finder = Finder::new(wanted, 3);
    for (at, what) in events {
        if !finder.look(&EventRef { at: *at, channel: 1, what: *what }) {
            break;
        }
    }
    finder.hits().into_iter().map(|hit| (hit.at, hit.line)).collect()
}

#[test]
fn words_are_found_across_cuts_colours_and_titles_whatever_their_case() {
    let events = [
        (1, WhatRef::Output(b"\x1b]0;secret title\x07plain\r\n\x1b[1mDrop\x1b[0m ta")),
        (2, WhatRef::Output(b"ble users;\r\n")),
    ];
    assert_eq!(found("drop TABLE", &events), [(2, "Drop table users;".to_owned())]);
    assert_eq!(found("secret", &events), []);
}

#[test]
fn what_was_typed_and_what_was_run_is_found_and_mended_typing_is_read_as_it_ended() {
    let events = [
        (1, WhatRef::Input(b"rm -rg\x7ff /srv\r")),
        (2, WhatRef::Mark { kind: "command", text: "rm -rf /srv" }),
        (3, WhatRef::Open { kind: sallyport_model::access::Channel::Exec, detail: "rm -rf /srv" }),
    ];
    assert_eq!(found("rm -rf", &events).iter().map(|hit| hit.0).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_screen_that_is_painted_makes_lines_and_hits_are_bounded() {
    let painted = [(5, WhatRef::Output(b"\x1b[1;1Hfirst\x1b[2;1Hneedle\x1b[3;1Hthird"))];
    assert_eq!(found("needle", &painted), [(5, "needle".to_owned())]);
    assert_eq!(found("first needle", &painted), []);
    let many = vec![b'x'; 3 * LINE];
    assert_eq!(found("x", &[(1, WhatRef::Output(&many)), (2, WhatRef::Output(b"\nx\nx\nx\n"))]).len(), 3);
}
