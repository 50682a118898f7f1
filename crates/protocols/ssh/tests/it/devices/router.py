"""The command line of a network device, as people see it: prompts, help at a question mark, completion, a pager."""
import os, sys, termios, tty

style, log = sys.argv[1], sys.argv[2]
PROMPT, MORE = ("core-1#", " --More-- ") if style == "cisco_ios" else ("ada@edge-1> ", "---(more 40%)---")
WORDS = ["clock", "erase", "memory", "reload", "request", "show", "system", "version", "write", "zeroize"]


def say(text):
    os.write(1, text.encode())


def key():
    read = os.read(0, 1)
    if not read:
        sys.exit(0)
    return read.decode("latin-1")


def page(lines):
    for number, line in enumerate(lines, 1):
        say(line + "\r\n")
        if number % 10 == 0:
            say(MORE)
            pressed = key()
            say("\b" * len(MORE) + " " * len(MORE) + "\b" * len(MORE))
            if pressed == "q":
                return


def run(line):
    with open(log, "a") as file:
        file.write(line + "\n")
    words = line.split()
    if words[:1] == ["exit"]:
        sys.exit(0)
    if line == "show version":
        page(["a line of %d" % n for n in range(40)])
    elif line == "show clock":
        say("it is 12:00\r\n")
    else:
        say("done: " + line + "\r\n")


def complete(line):
    head, _, last = line.rpartition(" ")
    found = [word for word in WORDS if last and word.startswith(last)]
    return (head + " " if head else "") + found[0] + " " if len(found) == 1 else line


before = termios.tcgetattr(0)
tty.setraw(0)
try:
    say("welcome\r\n" + PROMPT)
    line = ""
    while True:
        pressed = key()
        if pressed in "\r\n":
            say("\r\n")
            if line.strip():
                run(line.strip())
            line = ""
            say(PROMPT)
        elif pressed == "?":
            say("?\r\n  erase   Erase it\r\n  memory  Write it\r\n" + PROMPT + line)
        elif pressed == "\t":
            line = complete(line)
            say("\r\n" + PROMPT + line)
        elif pressed in "\x7f\b" and line:
            line = line[:-1]
            say("\b \b")
        elif pressed == "\x15":
            say("\b \b" * len(line))
            line = ""
        elif pressed >= " ":
            line += pressed
            say(pressed)
finally:
    termios.tcsetattr(0, termios.TCSADRAIN, before)
