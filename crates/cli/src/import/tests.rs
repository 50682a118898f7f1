use super::{collect, describe};
use crate::command::Import;
use sallyport_model::Kind;
use sallyport_model::inventory::Tier;
use std::fs;
use std::path::Path;
use std::process::Command;

fn import(directory: &Path) -> Import {
    Import {
        ssh_config: None,
        known_hosts: Vec::new(),
        csv: Vec::new(),
        tier: Tier::One,
        environment: "default".parse().unwrap(),
        zone: "default".parse().unwrap(),
        tag: vec!["imported".parse().unwrap()],
        account: None,
        into: Some(directory.join("imported.toml")),
    }
}

fn key(directory: &Path, name: &str) -> String {
    let path = directory.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "c", "-f"]).arg(&path).status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(path.with_extension("pub")).unwrap();
    public.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_configuration_of_openssh_means_what_it_means_to_openssh() {
    let home = tempfile::tempdir().unwrap();
    let ssh = home.path().join(".ssh");
    fs::create_dir_all(ssh.join("conf.d")).unwrap();
    // A relative one is of the home directory that the system knows, which is not this one.
    let more = ssh.join("conf.d/*");
    let config = "Include MORE ~/.ssh/missing\n\
        # Host commented\n\
        Host web-1 \"WEB-2\" # the web\n  HostName %h.internal\n  User deploy\n  Port 2222\n\
        Host=db\nHostName 10.0.0.7\nProxyJump web-1\nUser root\n\
        Host edge\nHostName edge.test\nProxyJump gone\n\
        Host bad_name\n  HostName x\n\
        Host *.internal !x\n  User nobody\n\
        Host *\n  User ada\n";
    fs::write(ssh.join("config"), config.replace("MORE", more.to_str().unwrap())).unwrap();
    fs::write(ssh.join("conf.d/more"), "Host deeper\n  HostName deeper.test\n").unwrap();
    let (one, two, bad) = (key(home.path(), "one"), key(home.path(), "two"), key(home.path(), "bad"));
    let known = home.path().join("known_hosts");
    let lines = format!(
        "[web-1.internal]:2222 {one} a comment\n@cert-authority *.test {two}\n10.0.0.7 {two}\n10.0.0.7 {bad}\n@revoked * {bad}\n"
    );
    fs::write(&known, lines).unwrap();
    // Hashed, as Debian's clients keep them.
    assert!(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&known).status().unwrap().success());
    let args = Import { ssh_config: Some(ssh.join("config")), known_hosts: vec![known], ..import(home.path()) };
    let imported = collect(&args).unwrap();
    let shown: Vec<_> = imported
        .targets
        .iter()
        .map(|t| format!("{} {}:{} {} {}", t.name, t.host, t.port, t.accounts.join(","), t.host_keys))
        .collect();
    let wanted = [
        "db 10.0.0.7:22 root 1",
        "deeper deeper.test:22 ada 1",
        "edge edge.test:22 ada 1",
        "web-1 web-1.internal:2222 deploy 1",
        "web-2 web-2.internal:2222 deploy 0",
    ];
    assert_eq!(shown, wanted);
    assert_eq!(imported.left_out.len(), 1);
    assert!(imported.left_out[0].what == "Host bad_name" && imported.left_out[0].why.contains("target"));
    let text = fs::read_to_string(home.path().join("imported.toml")).unwrap();
    assert_eq!(text, imported.file);
    assert!(
        text.contains(&format!("host_keys = [\"{two}\"]")) && !text.contains(bad.split(' ').nth(1).unwrap()),
        "{text}"
    );
    assert!(text.contains("via = \"deploy@web-1\""), "{text}");
    assert!(text.contains("host = \"edge.test\"") && text.contains("# was reached by `gone`"), "{text}");
    assert!(text.contains(&format!("host_authorities = [\"{two}\"]")), "{text}");
    assert!(text.contains("name = \"root\"\nclass = \"administrative\""), "{text}");
    let said = describe(&imported);
    assert!(said.contains("1 without a host key") && said.contains("run `sallyport plan`"), "{said}");
    assert_eq!(collect(&args).unwrap_err().kind, Kind::Usage, "a file that is there is not overwritten");
}

#[test]
fn rows_of_a_table_become_targets_and_bad_ones_are_named() {
    let home = tempfile::tempdir().unwrap();
    let csv = home.path().join("hosts.csv");
    let rows = "Name,Host,Port,Account,Class,Owner,Tier,Environment,Tags\n\
        web-1, 10.0.0.1 ,22,deploy,service,ada,2,prod,\"web;front\"\n\
        web-1,10.0.0.1,,root,,,,,\n\
        web-1,10.0.0.2,,root,,,,,\n\
        db-1,10.0.0.3,5432x,root,,,,,\n\
        db-2,10.0.0.3,,postgres,boss,,,,\n\
        db-3,10.0.0.3,,postgres,,,7,,\n\
        ,10.0.0.4,,,,,,,\n\
        bare,10.0.0.5,,,,,,,\n";
    fs::write(&csv, rows).unwrap();
    let imported = collect(&Import { csv: vec![csv.clone()], into: None, ..import(home.path()) }).unwrap();
    let names: Vec<_> = imported.targets.iter().map(|t| (t.name.as_str(), t.accounts.join(" "))).collect();
    assert_eq!(names, [("bare", String::new()), ("web-1", "deploy root".into())]);
    let why: Vec<_> =
        imported.left_out.iter().map(|l| format!("{} {}", l.what.rsplit('/').next().unwrap(), l.why)).collect();
    assert_eq!(why.len(), 5, "{why:?}");
    for (line, word) in [
        ("csv:4", "10.0.0.1:22"),
        ("csv:5", "no port"),
        ("csv:6", "no class"),
        ("csv:7", "tier"),
        ("csv:8", "names no target"),
    ] {
        assert!(why.iter().any(|text| text.contains(line) && text.contains(word)), "{line} {word} in {why:?}");
    }
    for part in ["tier = 2\nenvironment = \"prod\"", "tags = [\"front\", \"imported\", \"web\"]", "owner = \"ada\""] {
        assert!(imported.file.contains(part), "{part} in {}", imported.file);
    }
    assert!(!home.path().join("imported.toml").exists() && describe(&imported).contains("Nothing is written"));

    for (text, word) in [("name,host,colour\n", "colour"), ("name\nx\n", "`host`"), ("name,host\na,b,c\n", "CSV")] {
        fs::write(&csv, text).unwrap();
        let fail = collect(&Import { csv: vec![csv.clone()], ..import(home.path()) }).unwrap_err();
        assert!(fail.kind == Kind::Usage && fail.message.contains(word), "{}", fail.message);
    }
}

#[test]
fn sources_are_needed_and_must_be_there() {
    let home = tempfile::tempdir().unwrap();
    assert!(collect(&import(home.path())).unwrap_err().message.contains("name a source"));
    let missing = home.path().join("missing");
    let args = Import { ssh_config: Some(missing.clone()), ..import(home.path()) };
    assert!(collect(&args).unwrap_err().message.contains("cannot read"));
    let args = Import { csv: vec![missing.clone()], ..import(home.path()) };
    assert!(collect(&args).unwrap_err().message.contains("missing"));
    fs::write(home.path().join("h.csv"), "name,host\n").unwrap();
    let args = Import { csv: vec![home.path().join("h.csv")], known_hosts: vec![missing], ..import(home.path()) };
    assert!(collect(&args).unwrap_err().message.contains("cannot read"));
}
