"""A load generator in a process of its own: requests for decisions about one row each.

    python benchmarks/load.py PORT SECRET SECONDS [RATE]

With a rate, requests come at random moments (Poisson), whether earlier ones have been answered or not; without one,
every connection asks again as soon as it is answered, which is the server's peak. Prints JSON: answers, seconds.
"""

import asyncio
import gc
import json
import random
import sys
import time
from typing import NamedTuple

CONNECTIONS = 256
ROW = {
    "age": 33, "sex": "female", "job": "skilled", "housing": "own", "purpose": "car", "amount": 4200, "months": 24,
    "savings": "little", "checking": None, "children": 1,
}  # fmt: skip


class Target(NamedTuple):
    """Where requests go, and the bytes of one."""

    port: int
    request: bytes


def target(port: int, secret: str) -> Target:
    """One request, written once."""
    body = json.dumps({"task": "benchmark", "rows": [ROW]}).encode()
    head = f"POST /v1/decisions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {secret}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return Target(port, head.encode() + body)


class Connection:
    """One connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
        self._reader, self._writer, self._request = reader, writer, request

    @classmethod
    async def open(cls, to: Target) -> "Connection":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", to.port), to.request)

    async def ask(self) -> None:
        """Send a request and read its answer, which is 200."""
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        _, _, rest = head.lower().partition(b"content-length:")
        body = await self._reader.readexactly(int(rest.partition(b"\r\n")[0]))
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"refused: {head.decode()}{body.decode()}")


async def peak(to: Target, seconds: float) -> int:
    """Answers to clients that ask again at once."""
    end, answers = time.perf_counter() + seconds, 0

    async def client() -> None:
        nonlocal answers
        connection = await Connection.open(to)
        while time.perf_counter() < end:
            await connection.ask()
            answers += 1

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return answers


async def steady(to: Target, seconds: float, rate: float) -> int:
    """Answers to requests that come at a rate."""
    idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS):
        idle.put_nowait(await Connection.open(to))
    draw, due, asking, answers = random.Random(7), time.perf_counter(), set[asyncio.Task[None]](), 0
    end = due + seconds

    async def ask() -> None:
        nonlocal answers
        connection = await idle.get()
        await connection.ask()
        idle.put_nowait(connection)
        answers += 1

    while due < end:
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        task = asyncio.create_task(ask())
        asking.add(task)
        task.add_done_callback(asking.discard)
        due += draw.expovariate(rate)
    await asyncio.gather(*asking)
    return answers


async def main(port: str, secret: str, seconds: str, rate: str | None = None) -> None:
    """Ask, and say what came of it."""
    gc.disable()  # its pauses would make requests come in bursts
    to = target(int(port), secret)
    began = time.perf_counter()
    if rate is None:
        answers = await peak(to, float(seconds))
    else:
        answers = await steady(to, float(seconds), float(rate))
    print(json.dumps({"answers": answers, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
