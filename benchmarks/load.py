"""A load generator in a process of its own: requests for decisions about one row each.

    python benchmarks/load.py PORT SECRET SECONDS [--rate RATE] [--connections N] [--body JSON]

With a rate, requests come at random moments (Poisson), whether earlier ones have been answered or not; without one,
every connection asks again as soon as it is answered, which is the server's peak. Prints JSON: answers, seconds.
"""

import argparse
import asyncio
import gc
import json
import random
import time
from typing import NamedTuple

ROW = {
    "age": 33, "sex": "female", "job": "skilled", "housing": "own", "purpose": "car", "amount": 4200, "months": 24,
    "savings": "little", "checking": None, "children": 1,
}  # fmt: skip
BODY = json.dumps({"task": "benchmark", "rows": [ROW]})


class Target(NamedTuple):
    """Where requests go, the bytes of one, and over how many connections."""

    port: int
    request: bytes
    connections: int


def target(port: int, secret: str, connections: int, text: str) -> Target:
    """One request, written once."""
    body = text.encode()
    head = f"POST /v1/decisions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {secret}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return Target(port, head.encode() + body, connections)


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

    await asyncio.gather(*(client() for _ in range(to.connections)))
    return answers


async def steady(to: Target, seconds: float, rate: float) -> int:
    """Answers to requests that come at a rate."""
    idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    for _ in range(to.connections):
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


async def main(to: Target, seconds: float, rate: float | None) -> None:
    """Ask, and say what came of it."""
    gc.disable()  # its pauses would make requests come in bursts
    began = time.perf_counter()
    answers = await (peak(to, seconds) if rate is None else steady(to, seconds, rate))
    print(json.dumps({"answers": answers, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("secret")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--body", default=BODY)
    given = parser.parse_args()
    asyncio.run(main(target(given.port, given.secret, given.connections, given.body), given.seconds, given.rate))
