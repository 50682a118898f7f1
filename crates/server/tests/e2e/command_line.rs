//! The command line in a terminal, as a person has it.

use crate::browser::{Browser, WORDS};
use crate::sign_in::link;
use reqwest::Method;
use sallyport_testkit::product::{Product, json, wait_for};
use sallyport_testkit::terminal::{CTRL_C, Terminal};
use serde_json::json as value;
use std::process::{Command, Stdio};

on_both!(a_person_signs_in_with_password_and_code_and_stays_signed_in);

/// A command with nothing remembered and no token but what `login` keeps for this person.
fn own(product: &Product, who: &str, args: &[&str]) -> Command {
    let mut command = product.command(args);
    command.env("XDG_CONFIG_HOME", product.at(&format!("settings-{who}"))).env_remove("SALLYPORT_TOKEN");
    command
}

fn said(command: &mut Command) -> (i32, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn a_person_signs_in_with_password_and_code_and_stays_signed_in(product: &mut Product) {
    let mut browser = Browser::of(product);
    browser.enrol(&link(product, "ada")).unwrap();
    let codes = browser.ok(Method::POST, "/api/v1/me/recovery-codes", Some(&value!({})));
    let code = |n: usize| codes["codes"][n].as_str().unwrap().to_owned();

    // Wrong at first, then right: the code is asked for again, the password is not.
    let mut terminal = Terminal::run(&own(product, "ada", &["login", "--password", "--ttl", "2h"])).unwrap();
    terminal.until_shown("User name").unwrap();
    terminal.type_in("ada\r").unwrap();
    terminal.until_shown("Password").unwrap();
    terminal.type_in(&format!("{WORDS}\r")).unwrap();
    terminal.until_shown("Code of your app, or a recovery code").unwrap();
    terminal.type_in("000000\r").unwrap();
    terminal.until_shown("does not confirm it is you").unwrap();
    terminal.until_shown("Code of your app, or a recovery code").unwrap();
    terminal.type_in(&format!("{}\r", code(0))).unwrap();
    terminal.until_shown("Signed in as ada, 1 h 59 min left").unwrap();
    assert_eq!(terminal.ended().unwrap(), 0);
    let shown = terminal.shown();
    assert!(!shown.contains(WORDS) && !shown.contains(&code(0)), "what is secret is not echoed: {shown}");

    // What its certificate rests on is in it.
    let mut shown = Command::new("ssh-keygen");
    shown.arg("-L").arg("-f").arg(product.at("settings-ada/sallyport/ssh/id-cert.pub"));
    let shown = said(&mut shown).1;
    assert!(shown.contains("Key ID: \"sallyport ada (password, recovery)\""), "{shown}");

    // `sallyport` alone says where one is; the session of the sign-in itself is over, the token is one's own.
    let (code_of, out, err) = said(&mut own(product, "ada", &[]));
    assert!(code_of == 0 && out.contains("Signed in as ada (") && out.contains("1 h 59 min left"), "{out}{err}");
    let devices = browser.ok(Method::GET, "/api/v1/me/devices", None);
    assert_eq!(devices["items"].as_array().unwrap().len(), 1, "only the browser that asks: {devices}");
    let (_, out, _) = said(&mut own(product, "ada", &["ls"]));
    assert!(out.contains("web-1"), "{out}");

    // A wrong password is told as the API tells it, and nothing is remembered.
    let mut terminal = Terminal::run(&own(product, "eve", &["login", "--password", "--handle", "ada"])).unwrap();
    terminal.until_shown("Password").unwrap();
    terminal.type_in("not the words at all\r").unwrap();
    assert_eq!(terminal.ended().unwrap(), 3, "{}", terminal.shown());
    assert!(!product.at("settings-eve/sallyport/cli.toml").exists());

    // Somebody who has only a password is told what is missing; without a terminal nobody is asked.
    let mut half = Browser::of(product);
    let token = link(product, "bob").rsplit('/').next().unwrap().to_owned();
    half.ok(Method::POST, "/api/v1/enroll", Some(&value!({ "token": token, "password": WORDS })));
    let mut terminal = Terminal::run(&own(product, "bob", &["login", "--password", "--handle", "bob"])).unwrap();
    terminal.until_shown("Password").unwrap();
    terminal.type_in(&format!("{WORDS}\r")).unwrap();
    terminal.until_shown("no second factor yet").unwrap();
    assert_eq!(terminal.ended().unwrap(), 3);
    let (code_of, _, err) = said(&mut own(product, "eve", &["login", "--password"]));
    assert!(code_of == 2 && err.contains("in a terminal"), "{code_of} {err}");
    let (code_of, _, err) = said(&mut own(product, "eve", &["login", "--password", "--ttl", "8"]));
    assert!(code_of == 2 && err.contains("no duration"), "{code_of} {err}");
}

#[test]
fn a_session_is_watched_in_a_terminal_which_is_left_as_it_was() {
    let product = crate::product();
    let mut shell = Terminal::run(product.ssh("ada").arg("-tt")).unwrap();
    shell.until_shown("$ ").unwrap();
    // Something with a screen of its own, in colour, on the alternate screen.
    shell.type_in("printf '\\033[?1049h\\033[31mheron-%s\\033[0m' on-the-wall\r").unwrap();
    shell.until_shown("heron-on-the-wall").unwrap();
    let live = || json(&product.ok(&["sessions", "--live", "--output", "json"]).ok()?).ok();
    let session =
        wait_for("a live session", 10, || live()?.pointer("/items/0/id")?.as_str().map(str::to_owned)).unwrap();
    let token = json(&product.ok(&["token", "carol", "--output", "json"]).unwrap()).unwrap();
    let watch = || {
        let mut command = product.command(&["watch", &session]);
        command.env("SALLYPORT_TOKEN", token["token"].as_str().unwrap());
        Terminal::run(&command).unwrap()
    };
    // Who comes late sees the screen at once, then what happens, and leaves with Ctrl-C: the session goes on.
    let mut first = watch();
    first.until_shown("Watching").unwrap();
    first.until_shown("heron-on-the-wall").unwrap();
    shell.type_in("echo plover-$((40+2))\r").unwrap();
    first.until_shown("plover-42").unwrap();
    first.type_in(CTRL_C).unwrap();
    first.until_shown("You stopped watching.").unwrap();
    assert_eq!(first.ended().unwrap(), 0);
    assert!(first.shown().contains("\x1b[?1049l"), "the main screen is back: {:?}", first.shown());
    let mut second = watch();
    second.until_shown("heron-on-the-wall").unwrap();
    shell.type_in("printf '\\033[?1049l'; exit\r").unwrap();
    second.until_shown("The session has ended.").unwrap();
    assert_eq!((second.ended().unwrap(), shell.ended().unwrap()), (0, 0));
}
