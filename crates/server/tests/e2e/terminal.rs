//! Terminals in a browser: opened, typed in, resized, taken up again, ended; and nothing that ssh would not be allowed.

use sallyport_testkit::browser::Browser;
use sallyport_testkit::http::Api;
use sallyport_testkit::product::{PASSWORD, Product, json, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use serde_json::json as value;

on_both!(
    a_terminal_opens_runs_a_shell_and_tells_its_exit_code,
    somebody_without_a_right_gets_no_terminal_and_learns_nothing,
    a_kill_ends_a_terminal_and_says_so,
    a_lost_browser_finds_its_session_again_and_nobody_else_does,
    a_terminal_outlives_control,
    nothing_is_lost_of_what_runs_on_while_a_browser_is_away,
    a_terminal_that_nobody_comes_back_to_ends_at_its_linger,
    a_screen_is_painted_again_for_who_comes_back_and_for_who_watches,
    the_wall_ends_for_who_may_watch_no_more,
    a_browser_that_does_not_read_holds_up_nobody_else,
    somebody_who_is_done_leaves_no_session_behind,
);

/// The same browser's owner with a new window on a session.
fn again(product: &Product, token: &str, session: &str) -> Browser {
    let path = format!("/terminal?session={session}&cols=80&rows=24");
    wait_for("the session again", 15, || Browser::connect(product, token, &path).ok().and_then(Result::ok)).unwrap()
}

pub(crate) fn token(product: &Product, who: &str) -> String {
    let token = json(&product.ok(&["token", who, "--output", "json"]).unwrap()).unwrap();
    token["token"].as_str().unwrap().to_owned()
}

fn terminal(product: &Product, who: &str) -> Browser {
    Browser::terminal(product, &token(product, who), "web-1", ACCOUNT).unwrap()
}

fn a_terminal_opens_runs_a_shell_and_tells_its_exit_code(product: &mut Product) {
    let mut browser = terminal(product, "ada");
    let opened = browser.until_told("opened").unwrap();
    browser.type_in("stty size; tty; echo $TERM\r").unwrap();
    browser.until_shown("24 80").unwrap();
    browser.until_shown("/dev/pts/").unwrap();
    browser.until_shown("xterm-256color").unwrap();
    browser.say(&value!({"resize": {"cols": 132, "rows": 43}})).unwrap();
    browser.type_in("stty size\r").unwrap();
    browser.until_shown("43 132").unwrap();
    // The target sees a signal of the keyboard, not only bytes.
    browser.type_in("echo sleeps-$((40+2)); sleep 600\r").unwrap();
    browser.until_shown("sleeps-42").unwrap();
    browser.type_in("\x03").unwrap();
    browser.until_shown("^C").unwrap();
    browser.until_shown("$ ").unwrap();
    browser.type_in("echo interrupted-$((40+2))\r").unwrap();
    browser.until_shown("interrupted-42").unwrap();
    browser.type_in("exit 7\r").unwrap();
    let closed = browser.until_told("closed").unwrap();
    assert_eq!((closed["reason"].as_str(), closed["code"].as_u64()), (Some("target_close"), Some(7)), "{closed}");
    assert!(!browser.shown().contains(PASSWORD));
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    assert_eq!((&session["id"], &session["recording"]), (&opened["session"], &opened["recording"]));
    assert_eq!((&session["handle"], &session["complete"]), (&value!("ada"), &value!(true)));
    let played = product.as_carol(&["play", session["id"].as_str().unwrap()]).unwrap();
    assert!(played.contains("interrupted-42"), "{played}");
    let entry = product.ok(&["ledger", "list", "--actions", "session.opened", "--output", "json"]).unwrap();
    assert_eq!(json(&entry).unwrap()["items"][0]["facts"]["sign_in"], "api", "{entry}");
}

fn somebody_without_a_right_gets_no_terminal_and_learns_nothing(product: &mut Product) {
    let before = product.target.log().lines().count();
    let bob = token(product, "bob");
    let told = |target: &str| {
        let mut browser = Browser::terminal(product, &bob, target, ACCOUNT).unwrap();
        browser.until_told("closed").unwrap()
    };
    let (hidden, unknown) = (told("web-1"), told("web-9"));
    assert_eq!(hidden, unknown);
    assert_eq!((&hidden["reason"], &hidden["code"]), (&value!("not_found"), &value!(6)));
    assert_eq!(product.target.log().lines().count(), before, "the target saw a connection");
    let denied = product.ok(&["ledger", "list", "--actions", "session.denied"]).unwrap();
    assert_eq!(denied.lines().count(), 2, "{denied}");
    // Nobody at all, a size that no screen has, and half an ask are answered before there is a websocket.
    let path = |query: &str| format!("/terminal?{query}");
    let ask = format!("target=web-1&account={ACCOUNT}");
    let cases = [
        ("nonsense", format!("{ask}&cols=80&rows=24"), 401),
        (&bob, format!("{ask}&cols=0&rows=24"), 400),
        (&bob, format!("{ask}&cols=80&rows=5000"), 400),
        (&bob, "cols=80&rows=24".into(), 400),
        (&bob, "session=ses_00000000000000000000000000&cols=80&rows=24".into(), 400),
    ];
    for (token, query, status) in cases {
        let refused = Browser::connect(product, token, &path(&query)).unwrap().err().unwrap();
        assert_eq!(refused.status, status, "{query}: {}", refused.body);
        assert!(refused.body.contains("\"detail\""), "{}", refused.body);
    }
}

fn a_kill_ends_a_terminal_and_says_so(product: &mut Product) {
    let mut browser = terminal(product, "ada");
    let opened = browser.until_told("opened").unwrap();
    product.ok(&["kill", opened["session"].as_str().unwrap(), "--reason", "drill"]).unwrap();
    let closed = browser.until_told("closed").unwrap();
    assert_eq!(closed["reason"], "kill");
    assert!(closed["text"].as_str().unwrap().contains("drill"), "{closed}");
    product.idle().unwrap();
    assert_eq!(product.newest_session().unwrap()["reason"], "kill");
}

fn a_lost_browser_finds_its_session_again_and_nobody_else_does(product: &mut Product) {
    let (ada, bob) = (token(product, "ada"), token(product, "bob"));
    let mut browser = terminal(product, "ada");
    let opened = browser.until_told("opened").unwrap();
    let session = opened["session"].as_str().unwrap();
    browser.type_in("kept=here-$((40+2)); echo ready-$kept\r").unwrap();
    browser.until_shown("ready-here-42").unwrap();
    browser.vanish().unwrap();
    let at = |session: &str| format!("/terminal?session={session}&cols=100&rows=30");
    let foreign = Browser::connect(product, &bob, &at(session)).unwrap().err().unwrap();
    assert_eq!(foreign.status, 404, "{}", foreign.body);
    assert!(foreign.body.contains("is not live, or is not yours"), "{}", foreign.body);
    let mut browser = Browser::connect(product, &ada, &at(session)).unwrap().unwrap();
    assert_eq!(browser.until_told("opened").unwrap(), opened);
    browser.type_in("echo again-$kept; stty size\r").unwrap();
    browser.until_shown("again-here-42").unwrap();
    browser.until_shown("30 100").unwrap();
    // A second window takes the session over, and the first one hears of it.
    let mut second = again(product, &ada, session);
    assert_eq!(browser.until_told("closed").unwrap()["reason"], "moved");
    second.type_in("exit\r").unwrap();
    assert_eq!(second.until_told("closed").unwrap()["reason"], "target_close");
    product.idle().unwrap();
    assert_eq!(product.newest_session().unwrap()["id"], session);
}

/// The numbers of the lines `tick-N`, in the order in which they were shown.
fn ticks(lines: &str) -> Vec<u32> {
    lines
        .split("tick-")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .collect()
}

fn nothing_is_lost_of_what_runs_on_while_a_browser_is_away(product: &mut Product) {
    let ada = token(product, "ada");
    let mut browser = terminal(product, "ada");
    let opened = browser.until_told("opened").unwrap();
    let session = opened["session"].as_str().unwrap();
    // The line as it is typed shows no tick: it may still stand on the screen that is painted again.
    browser.type_in("i=0; t=tick; while :; do i=$((i+1)); echo $t-$i; sleep 0.02; done\r").unwrap();
    browser.until_shown("tick-10").unwrap();
    browser.vanish().unwrap();
    // In the middle of the output, twice: what is painted and what comes after it fit without a gap.
    for _ in 0..2 {
        let mut browser = again(product, &ada, session);
        assert_eq!(browser.until_told("opened").unwrap(), opened);
        browser.until_shown("tick-").unwrap();
        let first = browser.shown_to("tick-").unwrap();
        let number = ticks(&format!("tick-{first}"))[0];
        let rest = browser.shown_to(&format!("tick-{}", number + 60)).unwrap();
        let seen = ticks(&format!("tick-{first}{rest}"));
        assert!(seen.len() == 61 && seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}");
        browser.vanish().unwrap();
    }
    let mut last = again(product, &ada, session);
    last.until_told("opened").unwrap();
    last.type_in("\x03").unwrap();
    last.until_shown("^C").unwrap();
    last.leave().unwrap();
    product.idle().unwrap();
}

fn a_terminal_that_nobody_comes_back_to_ends_at_its_linger(product: &mut Product) {
    product.stop().unwrap();
    product.configure("[terminal]\nlinger = \"1s\"\n").unwrap();
    product.serve().unwrap();
    let ada = token(product, "ada");
    let mut browser = terminal(product, "ada");
    let opened = browser.until_told("opened").unwrap();
    assert_eq!(opened["limits"]["linger_seconds"], 1, "{opened}");
    browser.until_shown("$ ").unwrap();
    browser.vanish().unwrap();
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    assert_eq!((&session["id"], &session["complete"]), (&opened["session"], &value!(true)), "{session}");
    assert_eq!(session["reason"], "client_close", "{session}");
    let path = format!("/terminal?session={}&cols=80&rows=24", opened["session"].as_str().unwrap());
    assert_eq!(Browser::connect(product, &ada, &path).unwrap().err().unwrap().status, 404);
}

fn a_terminal_outlives_control(product: &mut Product) {
    let ada = token(product, "ada");
    let mut browser = terminal(product, "ada");
    let opened = browser.until_told("opened").unwrap();
    browser.type_in("kept=here-$((40+2)); echo ready-$kept\r").unwrap();
    browser.until_shown("ready-here-42").unwrap();
    product.kill("control").unwrap();
    assert!(browser.until_shown("anything more").is_err(), "the websocket was control's");
    product.ready().unwrap();
    let mut browser = again(product, &ada, opened["session"].as_str().unwrap());
    browser.type_in("echo again-$kept; exit 3\r").unwrap();
    browser.until_shown("again-here-42").unwrap();
    assert_eq!(browser.until_told("closed").unwrap()["code"], 3);
    product.idle().unwrap();
    assert_eq!(product.newest_session().unwrap()["complete"], true);
}

fn a_browser_that_does_not_read_holds_up_nobody_else(product: &mut Product) {
    const SIZE: usize = 20_000_000;
    let mut slow = terminal(product, "ada");
    slow.until_told("opened").unwrap();
    slow.type_in(&format!("head -c {SIZE} /dev/zero | tr '\\0' x; echo; echo all-$((40+2))\r")).unwrap();
    slow.until_shown("xxxxxxxxxxxxxxxx").unwrap();
    let mut other = terminal(product, "ada");
    other.type_in("echo quick-$((40+2))\r").unwrap();
    other.until_shown("quick-42").unwrap();
    slow.type_in("exit\r").unwrap();
    slow.until_shown("all-42").unwrap();
    assert!(slow.forgotten() > SIZE, "bytes were lost: {}", slow.forgotten());
    slow.until_told("closed").unwrap();
    other.leave().unwrap();
    product.idle().unwrap();
}

fn somebody_who_is_done_leaves_no_session_behind(product: &mut Product) {
    let mut browser = terminal(product, "ada");
    browser.until_told("opened").unwrap();
    browser.leave().unwrap();
    product.idle().unwrap();
    assert_eq!(product.newest_session().unwrap()["reason"], "client_close");
}

fn the_wall_ends_for_who_may_watch_no_more(product: &mut Product) {
    let (carol, admin) = (Api::new(product, &token(product, "carol")), Api::new(product, product.token()));
    let mut browser = terminal(product, "ada");
    browser.type_in("echo first-$((1+1))\r").unwrap();
    browser.until_shown("first-2").unwrap();
    let mut seen = 0;
    let wall = carol.events("/live/screens", |_, screen| {
        if screen["lines"].to_string().contains("first-2") {
            seen += 1;
            if seen == 1 {
                let _ = admin.post("/users/carol/disable", &value!({})).is(204);
                browser.type_in("echo more\r").unwrap();
            }
        }
        seen > 1
    });
    assert_eq!((wall, seen), (None, 1), "a screen was shown to somebody who is disabled");
}

fn a_screen_is_painted_again_for_who_comes_back_and_for_who_watches(product: &mut Product) {
    let (ada, carol) = (token(product, "ada"), token(product, "carol"));
    let mut browser = terminal(product, "ada");
    let opened = browser.until_told("opened").unwrap();
    let session = opened["session"].as_str().unwrap();
    // A full-screen program, as it were: it draws once, and then is silent.
    let draw =
        "printf '\\033[?1049h\\033[2J\\033[5;10Hdrawn-%s' once; read line; printf '\\033[?1049l'; echo back-$line";
    browser.type_in(&format!("{draw}\r")).unwrap();
    browser.until_shown("drawn-once").unwrap();
    // Whoever watches sees it at once, with its size; who may not, does not.
    let watch = format!("/sessions/{session}/watch?format=terminal");
    let mut watcher = Browser::connect(product, &carol, &watch).unwrap().unwrap();
    assert_eq!(watcher.until_told("size").unwrap(), value!({"cols": 80, "rows": 24}));
    watcher.until_shown("drawn-once").unwrap();
    assert_eq!(Browser::connect(product, &ada, &watch).unwrap().err().unwrap().status, 403);
    let wall = Api::new(product, &carol)
        .event("/live/screens", |_, screen| screen["lines"].to_string().contains("drawn-once"));
    assert_eq!(
        (&wall["session"], &wall["cols"], &wall["lines"][4]),
        (&value!(session), &value!(80), &value!("         drawn-once"))
    );
    assert_eq!(Api::new(product, &ada).get("/live/screens").is(403)["type"], "denied");
    let out = product.as_carol(&["ledger", "list", "--actions", "screens.watched,session.watched"]).unwrap();
    assert_eq!(out.lines().count(), 2, "{out}");
    // Whoever comes back sees it too, in the right screen.
    browser.vanish().unwrap();
    let mut browser = again(product, &ada, session);
    browser.until_shown("\x1b[?1047h").or_else(|_| browser.until_shown("\x1b[?1049h")).unwrap();
    browser.until_shown("drawn-once").unwrap();
    browser.type_in("in-time\r").unwrap();
    browser.until_shown("back-in-time").unwrap();
    watcher.until_shown("back-in-time").unwrap();
    browser.type_in("exit\r").unwrap();
    assert_eq!(watcher.until_told("closed").unwrap()["reason"], "ended");
    product.idle().unwrap();
}
