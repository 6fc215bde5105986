"""`Webhook`: alarms sent to an address as JSON, from a thread of its own, so that nothing waits for it."""

import json
import logging
import queue
import threading
from collections.abc import Callable

import httpx

from equiray.serving.monitor.state import Failed

_LOG = logging.getLogger(__name__)
WAITING_AT_MOST = 1000
_SECONDS = 10.0


class Webhook:
    """Posts each alarm until it is taken (a status of 2xx), after 1, 2, 4, ... seconds, `attempts` times at most.

    The header ``Idempotency-Key`` is the alarm's id, the same after a restart. With `WAITING_AT_MOST` alarms waiting a
    further one is dropped, and logged: an alarm also stands in the monitor's document.

    Parameters
    ----------
    address : str
    attempts : int
    wait : callable, optional
        Waits that many seconds, true if the hook is being closed; for tests.
    """

    def __init__(self, address: str, *, attempts: int = 8, wait: Callable[[float], bool] | None = None) -> None:
        self.address, self.attempts = address, attempts
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._waiting: queue.Queue[Failed | None] = queue.Queue(WAITING_AT_MOST)
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def send(self, alarm: Failed) -> None:
        """Queue an alarm; returns at once."""
        try:
            self._waiting.put_nowait(alarm)
        except queue.Full:
            _LOG.error("alarm %s of %s dropped: %d are waiting", alarm.id, alarm.version, WAITING_AT_MOST)

    def close(self, timeout: float = _SECONDS) -> None:
        """Send what waits, without further attempts after a failure, and end the thread."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        with httpx.Client(timeout=_SECONDS) as client:
            while (alarm := self._waiting.get()) is not None:
                self._post(client, alarm)

    def _post(self, client: httpx.Client, alarm: Failed) -> None:
        body = json.dumps({"schema": "equiray.alarm/1", **alarm._asdict()})
        headers = {"Content-Type": "application/json", "Idempotency-Key": alarm.id}
        for attempt in range(self.attempts):
            try:
                answer = client.post(self.address, content=body, headers=headers)
                if answer.is_success:
                    return
                problem = f"status {answer.status_code}"
            except httpx.HTTPError as error:
                problem = type(error).__name__
            _LOG.warning("alarm %s not delivered (attempt %d of %d): %s", alarm.id, attempt + 1, self.attempts, problem)
            if attempt + 1 < self.attempts and self._wait(2.0**attempt):
                break
        _LOG.error("alarm %s of %s given up: %s", alarm.id, alarm.version, alarm.rule)
