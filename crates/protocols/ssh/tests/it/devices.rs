//! Network devices, emulated behind a real sshd: what their prompts, pagers, help and completion make of lines.

use crate::rig::Rig;
use crate::typing::Typing;
use sallyport_model::inventory::Platform;
use sallyport_model::rules::{Act, CommandRule, Grammar, RuleSet};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn set() -> RuleSet {
    let rule = |id: &str, line: &str| CommandRule {
        id: id.into(),
        act: Act::Block,
        why: format!("it is {id}"),
        line: line.into(),
        ..CommandRule::default()
    };
    RuleSet {
        name: "mine".parse().unwrap(),
        description: "for tests".into(),
        grammar: Grammar::Device,
        unknown: Act::Alert,
        otherwise: Act::Pass,
        commands: vec![
            rule("erase", "wr[ite] er[ase]"),
            rule("reload", "rel[oad]"),
            rule("zeroize", "req[uest] sys[tem] zero[ize]"),
        ],
        files: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_a_device_is_read_whatever_its_pager_help_and_completion_show() {
    for platform in [Platform::CiscoIos, Platform::Junos] {
        let place = tempfile::tempdir().unwrap();
        let (program, log) = (place.path().join("router.py"), place.path().join("log"));
        std::fs::write(&program, include_str!("devices/router.py")).unwrap();
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let forced = format!("ForceCommand python3 {} {} {}\n", program.display(), platform.word(), log.display());
        let rig = Rig::configured(&forced, |target, _| {
            target.platform = platform;
            target.limits.commands = ["mine".to_owned()].into();
            target.rules = vec![set()];
        })
        .await;
        let prompt = if platform == Platform::CiscoIos { "core-1#" } else { "ada@edge-1> " };
        let mut shell = Typing::of(rig.ssh(&["-tt"], ""), prompt).await;
        shell.keys("wr er\r").await;
        shell.told("the rule mine/erase").await;
        // The key that leaves the pager begins no line: what stands behind the next prompt does.
        shell.keys("show version\r").await;
        shell.until("ore").await;
        shell.keys("q").await;
        shell.until(prompt).await;
        shell.keys("req sys zero\r").await;
        shell.told("the rule mine/zeroize").await;
        shell.keys("wr ?").await;
        shell.until("Erase it").await;
        shell.until("wr ").await;
        shell.keys("er\r").await;
        shell.told("the rule mine/erase").await;
        shell.keys("rel\t").await;
        shell.until("reload ").await;
        shell.keys("\r").await;
        shell.told("the rule mine/reload").await;
        // An apostrophe is a letter here: no line waits for its end.
        shell.keys("show it's\r").await;
        shell.until("done: show it's").await;
        shell.keys("show clock\r").await;
        shell.until("it is 12:00").await;
        shell.keys("exit\r").await;
        rig.bench.returned(SOON).await.unwrap();
        let ran = std::fs::read_to_string(&log).unwrap();
        assert_eq!(ran, "show version\nshow it's\nshow clock\nexit\n", "{}", platform.word());
        let blocked = rig.bench.desk.entries_of("command.blocked");
        assert_eq!(blocked.len(), 4, "{blocked:?}");
        assert!(blocked.iter().all(|entry| !entry.text.contains(prompt.trim())), "{blocked:?}");
    }
}
