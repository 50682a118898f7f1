"""paramiko: password login, exec, a shell with a terminal, SFTP, a forward."""
import os, socket, threading, time
import paramiko

port, user, token, scratch = int(os.environ["PORT"]), os.environ["TARGET_USER"], os.environ["TOKEN"], os.environ["SCRATCH"]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", port, user, token, allow_agent=False, look_for_keys=False)

_, out, err = client.exec_command("echo out; echo err >&2; exit 7")
assert out.read() == b"out\n" and err.read() == b"err\n" and out.channel.recv_exit_status() == 7

sftp = client.open_sftp()
data = os.urandom(5_000_000)
with sftp.open(scratch + "/paramiko", "wb") as file:
    file.set_pipelined(True)
    file.write(data)
with sftp.open(scratch + "/paramiko", "rb") as file:
    file.prefetch()
    assert file.read() == data

shell = client.invoke_shell("xterm", 100, 30)
shell.send("stty size; exit\n")
seen = b""
while True:
    part = shell.recv(4096)
    if not part:
        break
    seen += part
assert b"30 100" in seen, seen
assert shell.recv_exit_status() == 0

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
threading.Thread(target=lambda: listener.accept()[0].sendall(b"forwarded"), daemon=True).start()
channel = client.get_transport().open_channel("direct-tcpip", listener.getsockname(), ("127.0.0.1", 1))
assert channel.recv(9) == b"forwarded"
client.close()
print("paramiko is content")
