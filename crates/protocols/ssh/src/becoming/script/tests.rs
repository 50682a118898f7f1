use super::*;
use proptest::prelude::*;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};

/// The same ones each time, all different.
pub(in crate::becoming) fn marks() -> Marks {
    let count = AtomicU8::new(0);
    let random: Random = Arc::new(move |bytes: &mut [u8]| bytes.fill(count.fetch_add(1, Ordering::Relaxed)));
    Marks::new(&random)
}

fn shell(shell: &str, script: &[u8]) -> Command {
    let mut command = Command::new(shell);
    command.arg("-c").arg(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(script)).stdin(Stdio::null());
    command
}

/// Programs in the place of `su` and `sudo`, which start what they are told to, as an account whose shell shows its command.
struct Programs(tempfile::TempDir);

static PROGRAMS: LazyLock<Programs> = LazyLock::new(Programs::new);

impl Programs {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let write = |name: &str, text: String| {
            std::fs::write(at(name), text).unwrap();
            std::fs::set_permissions(at(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            // A child that another test is about to start may still hold it open for writing.
            while Command::new(at(name)).output().is_err_and(|error| error.kind() == ErrorKind::ExecutableFileBusy) {
                std::thread::yield_now();
            }
        };
        let shown = at("shows").display().to_string();
        write("shows", "#!/bin/sh\n[ \"$#$1\" = 2-c ] && exec printf %s \"$2\"\nprintf '%s ' \"$@\"\n".into());
        let su = "[ \"$#$1$2$3\" = 4-root-c ] || exit 9";
        write("su", format!("#!/bin/sh\n{su}\nSHELL={shown}; export SHELL; exec /bin/sh -c \"$4\"\n"));
        let sudo = "[ $# -gt 0 ] || exit 9; while [ \"$1\" != -- ]; do shift; done; shift";
        write("sudo", format!("#!/bin/sh\n{sudo}\nSHELL={shown}; export SHELL; exec \"$@\"\n"));
        Self(directory)
    }

    fn run(&self, outer: &str, by: By, program: &Program) -> Output {
        let root: AccountName = "root".parse().unwrap();
        let request = request((&root, by), &Wanted::Program(program), &marks()).unwrap();
        assert!(!request.contains(&b'\n'), "no shell sees a line break");
        let mut command = shell(outer, &request);
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        command.env("PATH", path).env("HOME", "/");
        command.output().unwrap()
    }
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop_oneof![
        1 => 1..=255_u8,
        1 => prop::sample::select(b"'\"\\!$`*?~#&;|<>(){}[] \t\r^=%".to_vec()),
    ];
    let no_break =
        prop::collection::vec(byte, 0..24).prop_map(|word| word.into_iter().filter(|b| *b != b'\n').collect());
    prop::collection::vec(no_break, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_quoted_word_is_that_word_to_every_shell(words in words()) {
        // The program, and not a shell's own, which may know other escapes.
        let mut script = b"/usr/bin/printf '%s\\n'".to_vec();
        for word in &words {
            script.push(b' ');
            script.extend(quoted(word));
        }
        let expected: Vec<u8> = words.iter().flat_map(|word| word.iter().copied().chain([b'\n'])).collect();
        for name in ["/bin/sh", "/bin/bash", "/usr/bin/tcsh"] {
            // csh holds words in characters: what is no text, it may show otherwise.
            if name.ends_with("csh") && !expected.is_ascii() {
                continue;
            }
            let output = shell(name, &script).output().unwrap();
            prop_assert_eq!(&output.stdout, &expected, "{}: {}", name, String::from_utf8_lossy(&output.stderr));
        }
    }

    #[test]
    fn a_command_arrives_as_it_was_written(lines in words(), by in prop::sample::select(vec![By::Su, By::Sudo])) {
        let command = lines.join(&b'\n');
        let output = PROGRAMS.run("/bin/sh", by, &Program::Command(command.clone().into()));
        let [errors, shown] = marks().done.map(|mark| mark.word());
        prop_assert_eq!(output.stdout, [shown, command].concat());
        prop_assert!(output.stderr.ends_with(&errors), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_shell_is_the_accounts_own_and_files_have_their_server() {
    let shown = marks().done.map(|mark| mark.word())[1].clone();
    for by in [By::Su, By::Sudo] {
        for outer in ["/bin/sh", "/bin/bash", "/usr/bin/tcsh"] {
            let output = PROGRAMS.run(outer, by, &Program::Shell);
            assert_eq!(output.stdout, [shown.as_slice(), b"-l "].concat(), "{outer} {}", by.word());
        }
        assert!(Path::new("/usr/lib/openssh/sftp-server").exists(), "apt-get install openssh-sftp-server");
        // It says nothing before it is spoken to, and ends with its input.
        let output = PROGRAMS.run("/bin/sh", by, &Program::Subsystem("sftp".into()));
        assert_eq!((output.stdout, output.status.code()), (shown.clone(), Some(0)));
    }
}

#[test]
fn no_mark_stands_in_a_request() {
    let marks = marks();
    let root: AccountName = "root".parse().unwrap();
    for by in [By::Su, By::Sudo] {
        let request = request((&root, by), &Wanted::Nothing, &marks).unwrap();
        let [errors, output] = &marks.done;
        for mark in [&marks.ready, &marks.prompt, errors, output] {
            let word = mark.word();
            assert!(!request.windows(word.len()).any(|window| window == word), "an echo would be taken for it");
        }
    }
}

#[test]
fn what_cannot_be_run_so_is_said() {
    let root: AccountName = "root".parse().unwrap();
    let refused = |program: &Program| request((&root, By::Su), &Wanted::Program(program), &marks()).unwrap_err();
    assert_eq!(refused(&Program::Subsystem("netconf".into())), Unfit::Subsystem);
    assert_eq!(refused(&Program::Command(vec![b'x'; LONGEST].into())), Unfit::Long);
    let long = Program::Command(vec![b'x'; LONGEST - 4096].into());
    assert!(request((&root, By::Su), &Wanted::Program(&long), &marks()).is_ok());
}
