"""Clients of a served bundle that ask without end, and what must be true of whatever they were answered."""

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from equiray.serving.audit import AuditLog
from equiray.serving.audit.keys import ensure_key
from served import Server, until

CLIENTS = 4
ROWS = [{"income": 1.5, "sex": "female"}, {"income": 3.25, "sex": "male"}]


class Load:
    """Clients that ask, and ask again under the same idempotency key until they are answered."""

    def __init__(self, server: Server) -> None:
        self._url, self._server = server.url, server
        self._headers = {"Authorization": f"Bearer {server.secret('decide')}"}
        self.answers: dict[str, dict[str, Any]] = {}
        self.refused: Counter[int] = Counter()
        self.cut = 0
        self.wrong: list[str] = []
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        self.more(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def more(self, answers: int, seconds: float = 180) -> None:
        """Wait until so many more requests are answered."""
        goal = len(self.answers) + answers
        until(lambda: len(self.answers) >= goal, f"{answers} more answers", seconds)

    def _ask(self, number: int) -> None:
        count = 0
        while not self._enough.is_set():
            count += 1
            name = f"{number}.{count}"
            while name not in self.answers and not self._enough.is_set():
                self._try(name)

    def _try(self, name: str) -> None:
        body = {"task": "people", "rows": ROWS, "idempotency_key": f"{id(self)}.{name}"}
        try:
            answer = httpx.post(f"{self._url}/v1/decisions", json=body, headers=self._headers, timeout=60)
        except httpx.HTTPError:
            self.cut += 1
            time.sleep(0.1)
            return
        if answer.status_code == 200:
            self.answers[name] = answer.json()
            return
        self.refused[answer.status_code] += 1
        if answer.status_code != 503 or "retry-after" not in answer.headers or set(answer.json()) != {"error"}:
            self.wrong.append(f"{answer.status_code} {answer.headers} {answer.text[:300]}")
        time.sleep(0.1)

    def check(self) -> None:
        """Every answer is a record, every record of these clients one of a kind, and the log verifies."""
        assert self.wrong == []
        log = AuditLog.open(self._server.audit["store"], key=ensure_key("audit", Path(self._server.audit["secrets"])))
        there: list[Any] = []
        while found := log.records(after=there[-1].seq if there else 0):
            there += found
        log.close()
        ours = {each.idempotency_key: each for each in there if str(each.idempotency_key).startswith(f"{id(self)}.")}
        assert sum(str(each.idempotency_key).startswith(f"{id(self)}.") for each in there) == len(ours)
        assert len({each.record_id for each in there}) == len(there)
        for name, answer in self.answers.items():
            record = ours[f"{id(self)}.{name}"]
            assert (record.record_id, record.model_version) == (answer["id"], answer["model_version"])
            assert record.body["decisions"] == answer["decisions"]
        assert 0 <= len(ours) - len(self.answers) <= CLIENTS, "what was recorded and not told: one for each client"
        found = self._server.verify()
        assert found.problems == () and found.length == len(there)
        print(f"{len(self.answers)} answers, {dict(self.refused)} refused, {self.cut} cut off")
