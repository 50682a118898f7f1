//! The book keeps its word: every `console` block of every page is run, in order, and shows what the page says.
//!
//! A page's files come from it too: a line that ends with a name in backticks and a colon stands before the block that is the
//! file. Names that a page invents are replaced by those of the test's world ([`World::real`]). `...` stands for any lines,
//! `…` for anything in a line. `<!-- as: carol -->` says who reads the page, the administrator where nothing does; `<!-- may: channel:sftp -->`
//! what its people may do there beside what they may anyway; `<!-- from: nothing -->`, that the page founds the installation
//! itself; `<!-- browser: first-minutes -->`, that what it says up to there happens in a browser, as that story plays it.

use crate::binary;
use sallyport_testkit::product::{PASSWORD, Product, json};
use sallyport_testkit::sshd::{ACCOUNT, public};
use sallyport_testkit::terminal::Terminal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Something of a page that a reader does.
enum Step {
    File { name: String, text: String },
    Run { command: String, shown: Vec<String> },
    Browse { story: String },
}

fn book() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/book")
}

/// The steps of a page, in order.
fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut lines, mut before) = (Vec::new(), page.lines(), "");
    while let Some(line) = lines.next() {
        if let Some(story) = line.strip_prefix("<!-- browser: ").and_then(|story| story.strip_suffix(" -->")) {
            steps.push(Step::Browse { story: story.into() });
        }
        let Some(language) = line.strip_prefix("```").filter(|language| !language.is_empty()) else {
            before = if line.is_empty() { before } else { line };
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let name =
            before.strip_suffix("`:").and_then(|line| line.rsplit('`').next()).filter(|name| !name.contains('/'));
        match (language, name) {
            ("console", _) => steps.extend(commands(&block)),
            (_, Some(name)) => steps.push(Step::File { name: name.into(), text: block.join("\n") + "\n" }),
            _ => {}
        }
        before = "";
    }
    steps
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut steps = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step::Run { command: command.into(), shown: Vec::new() }),
            (None, Some(Step::Run { command, shown })) if shown.is_empty() && command.ends_with('\\') => {
                command.push('\n');
                command.push_str(line);
            }
            (None, Some(Step::Run { shown, .. })) => shown.push((*line).to_owned()),
            (None, _) => unreachable!("a console block begins with `$ `, not with `{line}`"),
        }
    }
    steps
}

/// Whether a line is as the page says.
fn fits(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// Where a page is tried: the product, and a directory with its programs on the path.
struct World {
    product: Product,
    /// Of who reads the page; empty until they have one.
    token: String,
    /// What `init` printed, where the page founds the installation.
    founded: String,
}

impl World {
    fn of(page: &str) -> Self {
        let (product, token) = match page.contains("<!-- from: nothing -->") {
            true => (Product::unfounded(binary(), None).unwrap(), String::new()),
            false => Self::founded(page),
        };
        for directory in ["bin", "work"] {
            fs::create_dir(product.at(directory)).unwrap();
        }
        // Only where a page names it: a directory that is planned holds policies and inventory, and nothing else.
        if page.contains("--config sallyport.toml") {
            fs::copy(product.at("sallyport.toml"), product.at("work/sallyport.toml")).unwrap();
        }
        let program = |name: &str, line: String| {
            let path = product.at("bin").join(name);
            fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("sallyport", format!("exec {} \"$@\"", binary().display()));
        let quiet =
            "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes";
        for client in ["ssh", "scp", "sftp"] {
            program(client, format!("exec /usr/bin/{client} {quiet} -i {} \"$@\"", product.at("ada").display()));
        }
        fs::write(product.at("place"), product.at("work").display().to_string()).unwrap();
        fs::write(product.at("exported"), "").unwrap();
        Self { product, token, founded: String::new() }
    }

    /// An installation with its people, and the token of who reads the page.
    fn founded(page: &str) -> (Product, String) {
        // What the page's reader may do beside what anybody here may.
        let more = page.lines().find_map(|line| line.strip_prefix("<!-- may: ")?.strip_suffix(" -->")).map(|actions| {
            let actions: Vec<_> = actions.split(' ').map(|action| format!("Action::\"{action}\"")).collect();
            format!(
                "@id(\"more\")\npermit (principal in Group::\"ops\", action in [{}], resource);\n",
                actions.join(", ")
            )
        });
        let product = Product::start_with(binary(), &more.unwrap_or_default()).unwrap();
        let reader = page.lines().find_map(|line| line.strip_prefix("<!-- as: ")?.strip_suffix(" -->"));
        let token = match reader {
            None => product.token().to_owned(),
            Some(reader) => {
                let made = json(&product.ok(&["token", reader, "--output", "json"]).unwrap()).unwrap();
                made["token"].as_str().unwrap().to_owned()
            }
        };
        (product, token)
    }

    /// A page's text with the names that are real here.
    fn real(&self, text: &str) -> String {
        let session = if text.contains("SESSION") {
            self.product.newest_session().unwrap()["id"].as_str().unwrap().to_owned()
        } else {
            String::new()
        };
        text.replace("deploy", ACCOUNT)
            .replace("gateway.example.net", "127.0.0.1")
            .replace("-p 2222", &format!("-p {}", self.product.ssh_port()))
            .replace("Port 2222", &format!("Port {}", self.product.ssh_port()))
            .replace("/var/lib/sallyport", &self.product.data().display().to_string())
            .replace("ssh-ed25519 AAAA...", &public(&self.product.at("ada.pub")).unwrap())
            .replace("SESSION", &session)
    }

    /// A shell where the last command has left off: in its directory, with what it exported.
    fn shell(&self, command: &str) -> Command {
        let [place, exported] = ["place", "exported"].map(|name| self.product.at(name).display().to_string());
        let mut shell = Command::new("bash");
        let path = format!("{}:/usr/bin:/bin", self.product.at("bin").display());
        shell.arg("-c").arg(format!(
            "exec 2>&1\n. {exported}\ncd {}\n{command}\nleft=$?; export -p > {exported}; pwd > {place}; exit $left",
            self.place().display()
        ));
        shell.stdin(Stdio::null());
        shell.env_clear().env("PATH", path).env("HOME", self.product.at("work"));
        shell.env("SALLYPORT_URL", self.product.url()).env("COLUMNS", "120");
        if !self.token.is_empty() {
            shell.env("SALLYPORT_TOKEN", &self.token);
        }
        shell
    }

    fn place(&self) -> PathBuf {
        fs::read_to_string(self.product.at("place")).unwrap().trim_end().into()
    }

    fn write(&self, name: &str, text: &str) {
        let mut text = self.real(text);
        if name == "sallyport.toml" && self.token.is_empty() {
            // As the page has it, but for the ports, which are free ones here.
            let free = fs::read_to_string(self.product.at(name)).unwrap();
            let (_, ports) = free.split_once("[api]").unwrap();
            text.push_str(&format!("[api]{ports}"));
            fs::write(self.product.at(name), &text).unwrap();
        }
        fs::write(self.place().join(name), text).unwrap();
    }

    fn run(&mut self, command: &str) -> (bool, String) {
        match command.split(" #").next().unwrap_or_default().trim_end() {
            "sallyport serve" => {
                self.product.serve().unwrap();
                (true, String::new())
            }
            "sudo systemctl stop sallyport" => {
                self.product.stop().unwrap();
                (true, String::new())
            }
            "sudo systemctl start sallyport" => {
                self.product.serve().unwrap();
                (true, String::new())
            }
            "sallyport login" => {
                let mut terminal = Terminal::run(&self.shell(command)).unwrap();
                let token = self.printed("First token of ");
                self.product.sign_in(&token);
                terminal.until_shown("Token").unwrap();
                terminal.type_in(&format!("{token}\r")).unwrap();
                (terminal.ended().unwrap() == 0, terminal.shown())
            }
            other => {
                let output = self.shell(&self.real(command)).output().unwrap();
                let shown = String::from_utf8(output.stdout).unwrap();
                if other.starts_with("sallyport init") {
                    self.founded.clone_from(&shown);
                }
                (output.status.success(), shown)
            }
        }
    }

    /// How many sessions there were, where this command is one that must make a single one, however many steps it has.
    fn sessions(&self, command: &str) -> Option<usize> {
        command.contains("ansible ").then(|| {
            let page = json(&self.product.ok(&["sessions", "--output", "json"]).unwrap()).unwrap();
            page["items"].as_array().unwrap().len()
        })
    }

    /// What `init` printed under a line that begins so.
    fn printed(&self, under: &str) -> String {
        let mut lines = self.founded.lines().skip_while(|line| !line.starts_with(under)).skip(1);
        lines.find(|line| !line.is_empty()).unwrap().trim().to_owned()
    }

    /// The page's reader in a browser.
    fn browse(&self, story: &str) {
        let key = self.product.target.host_key().unwrap();
        let facts = serde_json::json!({
            "links": { "ada": self.printed("To sign in with a browser") },
            "port": self.product.target.address().port(),
            "fingerprint": crate::portal::fingerprint(&self.product, &key),
            "account": ACCOUNT,
            "password": PASSWORD,
        });
        crate::portal::play(&self.product, story, &[], &facts);
    }
}

fn follow(name: &str, page: &str) {
    let mut world = World::of(page);
    for step in steps(page) {
        match step {
            Step::File { name, text } => world.write(&name, &text),
            Step::Browse { story } => world.browse(&story),
            Step::Run { command, shown } => {
                let fails = shown.iter().any(|line| line.starts_with("sallyport: "));
                let before = world.sessions(&command);
                let (good, output) = world.run(&command);
                let made = world.sessions(&command).zip(before).map(|(after, before)| after - before);
                assert!(made.is_none_or(|made| made == 1), "{name}: `{command}` made {made:?} sessions");
                assert_eq!(good, !fails, "{name}: `{command}` gave {output}\n{}", world.product.log());
                let mut lines = output.lines().map(str::trim_end);
                for wanted in shown.iter().filter(|line| *line != "..." && !line.is_empty()) {
                    let wanted = world.real(wanted);
                    let found = lines.any(|line| fits(wanted.trim_end(), line));
                    assert!(found, "{name}: `{command}` does not show `{wanted}` (in this order):\n{output}");
                }
            }
        }
    }
}

#[test]
fn every_console_block_of_the_book_shows_what_the_page_says() {
    let mut tried = 0;
    for page in fs::read_dir(book()).unwrap() {
        let path = page.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if steps(&text).iter().any(|step| matches!(step, Step::Run { .. })) {
            follow(&path.file_name().unwrap().to_string_lossy(), &text);
            tried += 1;
        }
    }
    assert!(tried > 2, "{tried} pages have console blocks");
}

#[test]
fn a_page_that_is_wrong_is_noticed() {
    assert!(fits("a … c", "a b c") && fits("…", "x") && fits("ses_…: …", "ses_1: x") && fits("plain", "plain"));
    assert!(!fits("a … c", "a b d") && !fits("plain", "plainer") && !fits("plainer", "plain"));
    let page = "Write `a.txt`:\n\n```toml\nx = 1\n```\n\n```console\n$ echo one \\\n  two\none two\n$ false\n```\n```sh\nnot run\n```\n<!-- browser: x -->\n";
    let found: Vec<String> = steps(page)
        .into_iter()
        .map(|step| match step {
            Step::File { name, text } => format!("{name}={text:?}"),
            Step::Run { command, shown } => format!("{command:?} {shown:?}"),
            Step::Browse { story } => story,
        })
        .collect();
    assert_eq!(found, ["a.txt=\"x = 1\\n\"", "\"echo one \\\\\\n  two\" [\"one two\"]", "\"false\" []", "x"]);
}
