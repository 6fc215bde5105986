"""The live page in a real browser, over documents of real monitors of simulated streams."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

from equiray.serving.monitor.page import dashboard_page
from monitor_cases import crowded, example
from test_report_browser import CHROMIUM
from test_search_browser import Tab, browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

KEY = "er_simulated"
WIDE = """[...document.body.querySelectorAll('*')].filter(e => !e.closest('svg, .scroll, .skip'))
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + .5)
  .map(e => e.className || e.tagName)"""
SHOWN = "getComputedStyle(document.getElementById('main')).display !== 'none'"


class Service:
    """A service of one page and one document, which tests may change while it runs."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document, self.status, self.asked = document, 200, list[str]()
        app = FastAPI()

        @app.middleware("http")
        async def note(request: Request, call_next: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
            self.asked.append(request.url.path)
            return await call_next(request)

        @app.get("/dashboard", response_class=HTMLResponse)
        def page() -> str:  # pyright: ignore[reportUnusedFunction]
            return dashboard_page()

        @app.get("/v1/fairness")
        def fairness(request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
            if request.headers.get("authorization") != f"Bearer {KEY}":
                return JSONResponse({"error": {"message": "unknown key: <b>create one</b>"}}, 401)
            return JSONResponse(self.document, self.status)

        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"


@contextmanager
def serving(document: dict[str, Any]) -> Iterator[Service]:
    service = Service(document)
    service.thread.start()
    while not service.server.started:
        time.sleep(0.02)
    try:
        yield service
    finally:
        service.server.should_exit = True
        service.thread.join()


def visit(tab: Tab, service: Service, width: int, *, dark: bool = False, height: int = 900) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    tab.call("Emulation.setEmulatedMedia", features=scheme)
    tab.call("Page.navigate", url=f"{service.address}/dashboard")
    become(tab, "document.readyState === 'complete' && document.getElementById('spoken') !== null")


def become(tab: Tab, expression: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if tab.ask(f"Boolean({expression})"):
            return
        time.sleep(0.05)
    raise AssertionError(f"never: {expression}; the page says {tab.ask('document.body.innerText')!r}")


def type_key(tab: Tab, key: str) -> None:
    become(tab, "!document.getElementById('ask').hidden && document.activeElement.id === 'key'")
    tab.call("Input.insertText", text=key)
    for kind in ("keyDown", "keyUp"):
        enter = {
            "key": "Enter",
            "code": "Enter",
            "windowsVirtualKeyCode": 13,
            "text": "\r" if kind == "keyDown" else "",
        }
        tab.call("Input.dispatchKeyEvent", type=kind, **enter)


def text(tab: Tab) -> str:
    return tab.ask("document.body.innerText")


def picture(tab: Tab, file: Path) -> None:
    taken = tab.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
    file.write_bytes(base64.b64decode(taken["data"]))


def test_the_page_needs_a_key_and_shows_what_the_document_says(tmp_path: Path) -> None:
    document = example()
    with serving(document) as service, browser() as tab:
        visit(tab, service, 1100)
        type_key(tab, "wrong")
        become(tab, "document.getElementById('spoken').textContent.includes('unknown key: <b>create one</b>')")
        assert not tab.ask(SHOWN) and tab.ask("sessionStorage.length") == 0
        type_key(tab, KEY)
        become(tab, SHOWN)
        said, (one,) = text(tab), document["versions"]
        assert KEY not in said and tab.ask("document.getElementById('key').value") == ""
        for series in one["series"]:
            assert series["reason"][1:] in said
            assert {series["verdict"]} <= set(said.split())
            if series["low"] is not None:
                assert f"[{series['low']:.3f}, {series['high']:.3f}]" in said
        assert f"{one['decisions']:,}" in said and "simulated" in said.lower()
        assert tab.ask("document.title").startswith("FAIL")
        assert set(service.asked) == {"/dashboard", "/v1/fairness"}, "nothing else is asked for"
        marks = tab.ask("document.querySelectorAll('#series .limit').length")
        assert marks == len(one["series"])
        place = "document.querySelector('#series .limit').x1.baseVal.valueAsString"
        assert tab.ask(place).endswith("%")
        tab.ask("document.getElementById('forget').click()")
        become(tab, f"!({SHOWN})")
        assert tab.ask("sessionStorage.length") == 0


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_a_desk_in_both_schemes(tmp_path: Path, dark: bool) -> None:
    with serving(crowded()) as service, browser() as tab:
        for width in (360, 1100):
            visit(tab, service, width, dark=dark)
            if width == 360:
                type_key(tab, KEY)
            become(tab, SHOWN)
            tab.ask("document.querySelectorAll('details').forEach(e => { e.open = true; })")
            assert tab.ask("document.documentElement.scrollWidth") <= width
            assert tab.ask(WIDE) == []
            tab.ask("document.body.append(Object.assign(document.createElement('div'), {className: 'probe', id: 'p'}))")
            tab.ask("document.getElementById('p').attributeStyleMap.set('width', CSS.px(2000))")
            assert tab.ask(WIDE) == ["probe"], "the measure can fail"
        ground = tab.ask("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(20, 23, 26)") == dark


def test_it_follows_the_document_says_when_it_is_old_and_runs_no_name(tmp_path: Path) -> None:
    document = crowded()
    with serving(document) as service, browser() as tab:
        visit(tab, service, 1100)
        type_key(tab, KEY)
        become(tab, SHOWN)
        assert "<img src=x onerror=" in text(tab) and tab.ask("window.taken === undefined"), "names are text"
        assert tab.ask("document.querySelectorAll('#version option').length") == 2
        tab.ask("const s = document.getElementById('version'); s.value = 'v1'; s.dispatchEvent(new Event('change'))")
        become(tab, "document.getElementById('spoken').textContent.startsWith('Version v1')")
        tab.ask("document.querySelector('details').open = true")
        service.document = {**document, "as_of": {**document["as_of"], "seq": 987_654}}
        become(tab, "document.body.innerText.includes('record 987,654')")
        assert tab.ask("document.querySelector('details').open"), "what is open stays open"
        service.status = 503
        become(tab, "!document.getElementById('stale').hidden")
        assert "status 503. The figures below are of" in tab.ask("document.getElementById('stale').textContent")
        service.status = 200
        become(tab, "document.getElementById('stale').hidden")


def test_every_part_has_a_name_for_who_cannot_see_it(tmp_path: Path) -> None:
    with serving(crowded()) as service, browser() as tab:
        visit(tab, service, 1100)
        type_key(tab, KEY)
        become(tab, SHOWN)
        bare = "e => !e.hasAttribute('aria-hidden') && !e.getAttribute('aria-label')"
        assert tab.ask(f"[...document.querySelectorAll('svg')].filter({bare}).length") == 0
        tree = tab.call("Accessibility.getFullAXTree")["nodes"]
        named = [(node.get("role", {}).get("value"), node.get("name", {}).get("value", "")) for node in tree]
        assert not [role for role, name in named if role in ("button", "link", "combobox", "image", "img") and not name]
        headings = {name for role, name in named if role == "heading"}
        assert {"Simulated stream", "Bounds", "Groups", "Gates", "Throughput", "Audit", capital_rule()} <= headings
        assert any(role == "status" for role, _ in named)
        focused = []
        for _ in range(6):
            for kind in ("rawKeyDown", "keyUp"):
                tab.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            focused.append(tab.ask("document.activeElement.id || document.activeElement.tagName"))
        assert "version" in focused and "A" in focused


def capital_rule() -> str:
    rule = crowded()["versions"][1]["series"][0]["rule"].replace("_", " ")
    return rule[0].upper() + rule[1:]


def test_the_page_allows_only_what_is_in_it() -> None:
    page = dashboard_page()
    assert "unsafe-inline" not in page and "{SCRIPT" not in page and "{STYLE" not in page
    assert page.count("sha256-") == 2 and "http" not in page.replace("http://www.w3.org/2000/svg", "").replace(
        "http-equiv", ""
    )
    assert json.dumps(example(), allow_nan=False)
