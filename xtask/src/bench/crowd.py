"""Holds a crowd of sessions through a gateway: most of them idle, some typing all the time. Says what they saw, as JSON.

crowd.py PORT USER KEY IDLE ACTIVE SECONDS PID
"""

import asyncio
import json
import os
import sys
import time

import asyncssh

port, user, key, idle, active, seconds, pid = sys.argv[1:]
asyncssh.set_log_level("ERROR")
TICK = os.sysconf("SC_CLK_TCK")


def family(root):
    """The process and all that it started."""
    known = {int(root)}
    while True:
        more = set()
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                fields = open(f"/proc/{name}/stat").read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) in known and int(name) not in known:
                more.add(int(name))
        if not more:
            return known
        known |= more


def used(pids):
    """CPU seconds and KiB of memory, shared memory counted in parts."""
    cpu = memory = 0
    for one in pids:
        fields = open(f"/proc/{one}/stat").read().rsplit(")", 1)[1].split()
        cpu += (int(fields[11]) + int(fields[12])) / TICK
        lines = open(f"/proc/{one}/smaps_rollup").read().splitlines()
        memory += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return cpu, memory


async def main():
    options = dict(
        username=user, known_hosts=None, client_keys=[key], agent_path=None, config=None, preferred_auth="publickey",
        keepalive_interval=0, login_timeout=120, connect_timeout=120,
    )
    room, held, failed, echoes, lost = asyncio.Semaphore(6), [], [], [], []
    pids = family(pid)
    before = used(pids)

    async def one(command):
        async with room:
            try:
                connection = await asyncssh.connect("127.0.0.1", int(port), **options)
                process = await connection.create_process(command, term_type="xterm", term_size=(80, 24))
                held.append((connection, process, command))
            except (OSError, asyncssh.Error) as error:
                failed.append(repr(error))

    async def types(process, number, end):
        turn = 0
        while time.monotonic() < end:
            turn += 1
            line = f"session {number} line {turn}"
            began = time.monotonic()
            process.stdin.write(line + "\n")
            try:
                # The terminal's echo, and what the program says.
                for _ in range(2):
                    came = await asyncio.wait_for(process.stdout.readline(), 30)
                    if came.strip() != line:
                        lost.append(f"{line!r} came back as {came!r}")
                        return
            except (asyncio.TimeoutError, asyncssh.Error) as error:
                lost.append(f"{line!r}: {error!r}")
                return
            echoes.append(time.monotonic() - began)
            await asyncio.sleep(0.5)

    began = time.monotonic()
    await asyncio.gather(*(one("sleep 3600") for _ in range(int(idle))), *(one("cat") for _ in range(int(active))))
    opened = time.monotonic() - began
    crowd = used(pids)
    end = time.monotonic() + float(seconds)
    typing = [process for _, process, command in held if command == "cat"]
    await asyncio.gather(*(types(process, number, end) for number, process in enumerate(typing)))
    after = used(pids)
    died = sum(process.exit_status is not None or process.exit_signal is not None for _, process, _ in held)
    for connection, _, _ in held:
        connection.abort()
    await asyncio.sleep(30)
    end_memory = used(pids)[1]
    echoes.sort()
    at = lambda share: round(echoes[min(len(echoes) - 1, int(share * len(echoes)))] * 1000, 1) if echoes else None
    print(json.dumps(dict(
        test="crowd", ep="sallyport", idle=int(idle), active=len(typing), seconds=float(seconds), failed=failed[:3],
        not_opened=len(failed), died=died, wrong=lost[:3], lost=len(lost), lines=len(echoes), opened_s=round(opened, 1),
        line_p50_ms=at(0.5), line_p99_ms=at(0.99), line_max_ms=at(1), cpu_share=round((after[0] - crowd[0]) / float(seconds), 3),
        before_kib=before[1], crowd_kib=crowd[1], kib_per_session=round((crowd[1] - before[1]) / max(1, len(held)), 1),
        after_kib=end_memory,
    )))


asyncio.run(main())
