"""The page of a sweep in a real browser: resting on a point shows its configuration, without any script of the page."""

import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from equiray.reports import write_report
from equiray.reports.search import load_search
from equiray.reports.search.space import value_words
from search_sample import search_document, write_search
from test_report_browser import CHROMIUM, measured, recorder

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

SHOWN = """[...document.querySelectorAll('.card')].filter(e => getComputedStyle(e).display !== 'none')
  .map(e => ({text: e.textContent, box: e.getBoundingClientRect().toJSON()}))"""
PLACE = """(() => { const e = document.querySelector('.spot.LINK .hit');
  e.scrollIntoView({block: 'center', behavior: 'instant'});
  return e.getBoundingClientRect().toJSON(); })()"""
LIT = "getComputedStyle(document.querySelector('.way.LINK')).getPropertyValue('--lit').trim()"


class Tab:
    """A tab of a browser that is steered through a pipe (the DevTools protocol)."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive = os.fdopen(send, "wb", buffering=0), os.fdopen(receive, "rb")
        self._told, self._session = 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._told += 1
        message = {"id": self._told, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        self._send.write(json.dumps(message).encode() + b"\0")
        while True:  # events of the page come in between
            answer = json.loads(b"".join(iter(lambda: self._receive.read(1), b"\0")))
            if answer.get("id") == self._told:
                assert "error" not in answer, answer
                return answer["result"]

    def ask(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, page: Path, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=page.as_uri())
        loaded = "new Promise(done => document.readyState === 'complete' ? done(location.href) : "
        self.ask(loaded + "addEventListener('load', () => done(location.href)))")

    def rest_on(self, box: dict[str, float]) -> None:
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


@contextmanager
def browser() -> Iterator[Tab]:
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (theirs_in, theirs_out)]

    def steered() -> None:  # the browser reads commands from 3 and answers on 4
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "--disable-background-networking"]
        process = subprocess.Popen(
            command, preexec_fn=steered, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for end in (theirs_in, theirs_out, *high):
            os.close(end)
        try:
            yield Tab(ours_out, ours_in)
        finally:
            process.kill()
            process.wait()


def test_resting_on_a_point_shows_its_configuration_at_a_desk_and_on_a_phone(tmp_path: Path) -> None:
    run_dir = write_search(tmp_path / "run")
    page, front = write_report(run_dir), load_search(run_dir).ordered_front
    point, link = front[-1], f"p{len(front) - 1}"  # the front's end, where no other point lies upon it
    place, lit = PLACE.replace("LINK", link), LIT.replace("LINK", link)
    with browser() as tab:
        for width, height in ((1280, 900), (390, 800)):
            tab.open(page, width, height)
            assert tab.ask(SHOWN) == [], "no card before anybody rests on a point"
            assert tab.ask(lit) == "0"
            tab.rest_on(tab.ask(place))
            (card,) = tab.ask(SHOWN)
            assert card["text"].split()[0] == point.id
            for value in point.settings.values():
                assert value_words(value) in card["text"]
            assert card["box"]["left"] >= 0 and card["box"]["right"] <= width, "the card lies on the page"
            assert card["box"]["top"] >= 0 and card["box"]["bottom"] <= height
            assert tab.ask(lit) == "1", "the same configuration lights up among the trials"
            tab.rest_on({"x": 2, "y": 2, "width": 0, "height": 0})
            assert tab.ask(SHOWN) == []
            tab.ask(f"document.querySelector('.spot.{link} .hit').focus()")
            (focused,) = tab.ask(SHOWN)
            assert focused["text"] == card["text"], "a tap or the keyboard shows the same"


def test_the_page_of_a_sweep_fits_a_phone_and_asks_for_nothing(tmp_path: Path) -> None:
    document = search_document(third=True)
    document["trials"][15]["reason"] = "a-reason-that-never-breaks-" * 12
    run_dir = write_search(tmp_path / "run", document)
    write_report(run_dir)
    with recorder(run_dir) as server:
        assert measured(server, run_dir) == "width=360 wide= asked="
