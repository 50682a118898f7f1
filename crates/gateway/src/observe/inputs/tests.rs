use super::script::reads_commands;
use super::*;

fn open(kind: Channel, detail: &str) -> Inputs {
    let inputs = Inputs::new(Detail::Standard);
    inputs.note(1, &WhatRef::Open { kind, detail });
    inputs
}

async fn written(inputs: &Inputs, bytes: &[u8]) -> Vec<(u64, String)> {
    let input = inputs.of(1).unwrap().1;
    let mut sort = input.lock().await;
    let records = sort.written(bytes).into_iter().chain(sort.end());
    records
        .map(|record| match record {
            Record::Bytes(bytes) => (0, String::from_utf8(bytes).unwrap()),
            Record::Hidden(bytes) => (bytes, "hidden".to_owned()),
        })
        .collect()
}

#[tokio::test]
async fn a_script_is_kept_and_data_is_told_by_its_size() {
    let shell = open(Channel::Shell, "");
    assert_eq!(written(&shell, b"id\nwho\n").await, [(0, "id\nwho\n".to_owned())]);
    let data = open(Channel::Exec, "cat >backup");
    assert_eq!(written(&data, b"hunter2\n").await, [(8, "hidden".to_owned())]);
    assert!(written(&data, b"").await.is_empty());
    for (command, script) in [
        ("bash", true),
        ("/bin/sh -s a b", true),
        ("sudo bash", true),
        ("python3 -", true),
        ("bash -c 'cat >x'", false),
        ("bash script.sh", false),
        ("sudo -S bash", false),
        ("sudo -kS sh", false),
        ("su", false),
        ("mysql -p", false),
        ("echo '", false),
    ] {
        assert_eq!(reads_commands(command), script, "{command}");
    }
}

#[tokio::test]
async fn an_enhanced_recording_keeps_data_but_no_password() {
    let inputs = Inputs::new(Detail::Enhanced);
    inputs.note(1, &WhatRef::Open { kind: Channel::Exec, detail: "cat >backup" });
    assert!(inputs.of(1).is_none(), "it is simply kept");
    inputs.note(1, &WhatRef::Open { kind: Channel::Exec, detail: "sudo -S tee x" });
    assert_eq!(written(&inputs, b"hunter2\n").await, [(8, "hidden".to_owned())]);
}

#[tokio::test]
async fn an_answer_to_who_asks_for_a_secret_is_not_kept_in_a_script() {
    let shell = open(Channel::Shell, "");
    shell.of(1).unwrap().1.lock().await.output(b"noise\r\n[sudo] password for ops: ");
    let kept = written(&shell, b"hunter2\nid\n").await;
    assert_eq!(kept, [(0, "hidden".to_owned()), (0, "id\n".to_owned())]);
    shell.of(1).unwrap().1.lock().await.output(b"passwords: 3\r\n");
    assert_eq!(written(&shell, b"ls\n").await, [(0, "ls\n".to_owned())]);
}

#[tokio::test]
async fn a_terminal_makes_keys_of_any_channel() {
    let inputs = open(Channel::Exec, "bash");
    inputs.note(1, &WhatRef::Resize { cols: 80, rows: 24 });
    assert_eq!(written(&inputs, b"hunter2").await, [(0, "hidden".to_owned())]);
    let before = inputs.of(1).unwrap().1;
    inputs.note(1, &WhatRef::Resize { cols: 90, rows: 24 });
    assert!(Arc::ptr_eq(&before, &inputs.of(1).unwrap().1), "a new size is no new terminal");
    inputs.close(1);
    assert!(inputs.of(1).is_none());
}
