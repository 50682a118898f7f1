"""paramiko, with the questions of the gateway shown to whoever sits before it, as its own handler does."""
import os
import paramiko

transport = paramiko.Transport(("127.0.0.1", int(os.environ["PORT"])))
transport.start_client()
transport.auth_timeout = 300
transport.auth_interactive_dumb(os.environ["TARGET_USER"])
channel = transport.open_session()
channel.exec_command("echo in-$((40+2))")
print(channel.makefile().read().decode())
transport.close()
