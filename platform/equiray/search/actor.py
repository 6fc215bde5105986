"""`TrialActor`: the process that runs trials, one after the other, for Ray Tune."""

import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

from ray import tune

from equiray.errors import EquirayError
from equiray.search.study import Outcome, Progress, Study, Trial, Worker


class TrialActor(tune.Trainable):
    """One process that runs trials one after the other; a step is a trial's next word."""

    def setup(self, config: dict[str, Any], study: Study) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._study = study
        self._worker: Worker | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._end()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        message: dict[str, Any]
        try:
            if self._worker is None:
                self._worker = self._study.worker()
                self._began = time.monotonic()  # what is loaded once is not this trial's
            if self._running is None:
                self._running = self._worker.run(self._trial)
            said = next(self._running)
            message = {"progress": vars(said)} if isinstance(said, Progress) else {"outcome": said.to_json()}
        except EquirayError as error:
            message = {"error": str(error)}
        except Exception as error:
            message = {"error": f"{type(error).__name__}: {error}"}
        message |= {
            "seconds": time.monotonic() - self._began,
            "worker": f"{socket.gethostname()}:{os.getpid()}",
        }
        return {"message": json.dumps(message), "done": "progress" not in message}

    def cleanup(self) -> None:
        self._end()

    def _begin(self, config: dict[str, Any]) -> None:
        self._trial = Trial(**config["trial"])
        self._running: Iterator[Progress | Outcome] | None = None
        self._began = time.monotonic()

    def _end(self) -> None:
        close = getattr(self._running, "close", None)
        if close is not None:
            close()  # gives the worker its weights back
        self._running = None
