//! The package: what it installs, how its service is confined, and that the program works from there without root.

use crate::binary;
use sallyport_testkit::product::{free_port, outcome, wait_for};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exposure of the service as systemd scores it, in tenths: 0 is none, 100 all. Raising it needs a reason.
const EXPOSURE: u32 = 11;
/// A user without any privilege.
const NOBODY: u32 = 65534;

fn packaging() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../packaging")
}

fn run(command: &mut Command) -> String {
    let (code, out, err) = outcome(command.output().unwrap());
    assert_eq!(code, 0, "{out}{err}");
    out + &err
}

#[test]
fn the_service_is_confined_and_systemd_understands_all_of_it() {
    let unit = packaging().join("sallyport.service");
    let shown = run(Command::new("systemd-analyze").args(["security", "--offline=true"]).arg(&unit));
    let score = shown.lines().last().and_then(|line| line.split_whitespace().find_map(|word| word.parse::<f32>().ok()));
    assert!(score.unwrap() * 10.0 < f32::from(u16::try_from(EXPOSURE).unwrap()) + 0.5, "{shown}");

    // Words that it does not know are said, and do no harm otherwise: here they do.
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    fs::copy(&unit, at("etc/systemd/system/sallyport.service")).unwrap();
    fs::copy("/bin/true", at("usr/bin/sallyport")).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--recursive-errors=no", "--man=no", "--root"]).arg(root.path()).arg("sallyport.service");
    let said = run(&mut verify);
    assert!(!said.contains("sallyport.service:"), "{said}");
}

fn unpacked(root: &Path) -> String {
    let out = root.join("out");
    let mut build = Command::new(packaging().join("build-deb"));
    run(build.env("DEB_COMPRESSION", "none").arg(binary()).arg("0.1.0").arg(&out));
    let package = fs::read_dir(out).unwrap().next().unwrap().unwrap().path();
    run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(root.join("system")));
    run(Command::new("dpkg-deb").arg("-I").arg(&package));
    run(Command::new("dpkg-deb").arg("-c").arg(&package))
}

#[test]
fn what_the_package_installs_works_for_a_user_without_rights() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let listed = unpacked(root.path());
    for path in
        ["usr/bin/sallyport", "usr/lib/systemd/system/sallyport.service", "usr/share/doc/sallyport/book/index.md"]
    {
        assert!(listed.contains(path), "{path} in {listed}");
    }
    for line in listed.lines() {
        assert!(
            line.contains("root/root") && !line.starts_with("-rwxrwxrwx") && line.chars().nth(8) != Some('w'),
            "{line}"
        );
    }
    for script in ["postinst", "prerm", "postrm"] {
        run(Command::new("sh").arg("-n").arg(packaging().join("debian").join(script)));
    }

    let system = root.path().join("system");
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    let config = system.join("etc/sallyport/sallyport.toml");
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o640);
    chown(&config, None, Some(NOBODY)).unwrap();
    let program = || {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", "--no-new-privs"]);
        command.arg(system.join("usr/bin/sallyport")).arg("--config").arg(&config);
        command
            .env("SALLYPORT__DATA", &data)
            .env("SALLYPORT__API__LISTEN", format!("127.0.0.1:{}", free_port().unwrap()));
        command.env("SALLYPORT__SSH__LISTEN", format!("127.0.0.1:{}", free_port().unwrap()));
        command
    };
    run(program().args(["init", "--fast"]));
    let log = root.path().join("log");
    let mut server = program().arg("serve").stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    let ready = wait_for("a gateway", 30, || said().contains("The gateway is ready").then_some(()));
    // No core file takes what is in memory to the disk, and what /proc shows of each process is root's, not its user's: that
    // is how a process shows into which nobody but root looks.
    let parent = server.id().to_string();
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let looked: Vec<(String, u32)> = std::iter::once(parent.as_str())
        .chain(children.split_whitespace())
        .map(|pid| {
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
            let core = core.split_whitespace().skip(4).collect::<Vec<_>>().join(" ");
            (core, fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid())
        })
        .collect();
    run(Command::new("kill").arg(server.id().to_string()));
    assert!(server.wait().unwrap().success());
    assert!(ready.is_ok(), "{}", said());
    assert_eq!(looked, vec![("0 0 bytes".to_owned(), 0); 3]);
}
