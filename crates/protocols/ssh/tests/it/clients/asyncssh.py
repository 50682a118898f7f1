"""asyncssh: a hundred programs at once on one connection, each with its own bytes both ways; then a re-exchange."""
import asyncio, os
import asyncssh

async def one(connection, number):
    process = await connection.create_process("cat", encoding=None)
    data = bytes([number]) * 20_000
    process.stdin.write(data)
    await asyncio.sleep(0)
    got = await process.stdout.readexactly(len(data))
    assert got == data, number
    return process

async def main():
    async with asyncssh.connect(
        "127.0.0.1", int(os.environ["PORT"]), username=os.environ["TARGET_USER"], password=os.environ["TOKEN"],
        known_hosts=None, client_keys=None, agent_path=None, config=None, rekey_bytes=1 << 20,
    ) as connection:
        processes = await asyncio.gather(*(one(connection, number) for number in range(100)))
        for process in processes:
            process.stdin.write_eof()
        for process in processes:
            await process.wait()
            assert process.exit_status == 0
        result = await connection.run("head -c 20000000 /dev/zero", encoding=None)
        assert len(result.stdout) == 20_000_000
    print("asyncssh is content")

asyncio.run(main())
