"""The page in a real browser: fits a phone of 360 px, asks for nothing from outside, prints."""

import contextlib
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chains_sample import write_chains, write_likelihood, write_open_ended, write_reward
from equiray.reports import write_report
from fairnet_sample import sample_document, write_sample
from report_run import estimate, synthetic_estimates, write_synthetic_run

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

# Loads a page as a phone would and writes down how wide it turned out, which elements stand out, what it asked for.
PHONE = """<!doctype html><body><iframe id=f src=PAGE style="border:0;width:360px;height:800px"></iframe><script>
f.onload = () => {
  const d = f.contentDocument, wide = [...d.body.querySelectorAll('*')].filter(e => !e.closest('svg, .scroll'))
    .filter(e => e.getBoundingClientRect().right > 360.5).map(e => e.className || e.tagName);
  const asked = f.contentWindow.performance.getEntriesByType('resource').map(e => e.name);
  document.title = `width=${d.documentElement.scrollWidth} wide=${[...new Set(wide)]} asked=${asked}`;
}</script>"""
# At a desk: whether each table fits its box, also in what is folded, and what the folded sections still say.
DESK = """<!doctype html><body><iframe id=f src=report.html style="border:0;width:1280px;height:800px"></iframe><script>
f.onload = () => {
  const d = f.contentDocument, folded = [...d.querySelectorAll('details.attribute:not([open]) > summary')];
  d.querySelectorAll('details').forEach(e => e.open = true);
  const boxes = [...d.querySelectorAll('.scroll')].map(e => e.scrollWidth > e.clientWidth ? 'wide' : 'fits');
  document.title = `${boxes} | ${folded.map(e => e.textContent.trim())}`;
}</script>"""
TRACKER = "http://tracker.example/a.png"


class Recorder(ThreadingHTTPServer):
    """Serves a folder on the loopback and, as the browser's proxy, notes every request for anywhere else."""

    def __init__(self, folder: Path) -> None:
        outside: list[str] = []

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/"):
                    return super().do_GET()
                outside.append(self.path)
                return self.send_error(502)

            def do_CONNECT(self) -> None:
                outside.append(self.path)
                self.send_error(502)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's own name)
                pass

        super().__init__(("127.0.0.1", 0), lambda *args: Handler(*args, directory=str(folder)))
        self.outside, self.port = outside, self.server_address[1]


@contextlib.contextmanager
def recorder(folder: Path) -> Iterator[Recorder]:
    server = Recorder(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def browse(server: Recorder, page: str, *flags: str) -> str:
    """The page's DOM after loading, as a browser that never saw it before sees it."""
    assert CHROMIUM
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
        command += ["--disable-background-networking", f"--user-data-dir={profile}", "--virtual-time-budget=3000"]
        command += [f"--proxy-server=http://127.0.0.1:{server.port}", *flags]
        url = f"http://127.0.0.1:{server.port}/{page}"
        done = subprocess.run([*command, url], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def measured(server: Recorder, folder: Path, page: str = "report.html") -> str:
    (folder / "phone.html").write_text(PHONE.replace("PAGE", page))
    return browse(server, "phone.html", "--dump-dom").split("<title>")[1].split("</title>")[0]


def test_it_fits_a_phone_and_asks_for_nothing(tmp_path: Path) -> None:
    long_name = "a-group-whose-name-never-breaks-" * 8
    one = estimate("german", "baseline", "raw", "selection_rate", 0.5, attribute="sex", group=long_name)
    run_dir = write_synthetic_run(tmp_path / "run", estimates=[*synthetic_estimates(), one])
    page = write_report(run_dir).read_text()
    with recorder(run_dir) as server:
        assert measured(server, run_dir) == "width=360 wide= asked="
        # Both measures must be able to fail.
        probe = f'<div class="probe" style="width:500px">.</div><img src="{TRACKER}">'
        bare = page.replace("<main>", f"<main>{probe}").replace("Content-Security-Policy", "x-none")
        (run_dir / "bare.html").write_text(bare)
        assert measured(server, run_dir, "bare.html") == f"width=516 wide=probe asked={TRACKER}"
        assert TRACKER in server.outside


def test_the_tables_of_an_audit_fit_the_page_and_sections_beyond_the_first_are_folded(tmp_path: Path) -> None:
    metrics = ("selection_rate", "tpr", "fpr", "tnr", "fnr", "ppv", "accuracy", "impact_ratio", "auc", "brier", "ece")
    gap = "demographic_parity_difference"
    estimates = []
    for attribute in ("sex", "race", "age", "sex*race", "sex*age", "race*age"):
        estimates.append(estimate("y", "audit", "scorer", gap, 0.25, attribute=attribute))
        estimates += [
            estimate("y", "audit", "scorer", metric, 0.123, attribute=attribute, group=f"African-American*{group}")
            for metric in metrics
            for group in "abcdef"
        ]
    run_dir = write_synthetic_run(tmp_path / "run", estimates=estimates)
    write_report(run_dir)
    with recorder(run_dir) as server:
        (run_dir / "desk.html").write_text(DESK)
        boxes, folded = browse(server, "desk.html", "--dump-dom").split("<title>")[1].split("</title>")[0].split(" | ")
    assert len(boxes.split(",")) > 12 and set(boxes.split(",")) == {"fits"}  # tables, and those of folded sections
    assert folded.count("Demographic parity difference 0.250 [0.220, 0.280]") == 5


def test_the_page_of_a_fairnet_run_fits_a_phone_and_asks_for_nothing(tmp_path: Path) -> None:
    document = sample_document()
    document["tasks"][0]["seeds"][0]["flagged"][0]["text"] = "a-text-that-never-breaks-" * 12
    run_dir = write_sample(tmp_path / "run", document)
    write_report(run_dir)
    with recorder(run_dir) as server:
        assert measured(server, run_dir) == "width=360 wide= asked="


@pytest.mark.parametrize("write", [write_chains, write_reward, write_likelihood, write_open_ended])
def test_pages_of_text_and_choices_fit_a_phone_and_ask_for_nothing(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    run_dir = write(tmp_path / "run")
    write_report(run_dir)
    with recorder(run_dir) as server:
        assert measured(server, run_dir) == "width=360 wide= asked="


def test_its_security_policy_holds_back_a_page_that_was_tampered_with(tmp_path: Path) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    report = write_report(run_dir)
    attack = f'<main><img src="{TRACKER}"><script>document.title = "ran"</script>'
    report.write_text(report.read_text().replace("<main>", attack))
    with recorder(run_dir) as server:
        dom = browse(server, "report.html", "--dump-dom")
    assert TRACKER not in server.outside
    assert "<title>ran</title>" not in dom


def test_it_prints(tmp_path: Path) -> None:
    run_dir = write_synthetic_run(tmp_path / "run")
    write_report(run_dir)
    with recorder(run_dir) as server:
        browse(server, "report.html", f"--print-to-pdf={tmp_path / 'report.pdf'}")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
