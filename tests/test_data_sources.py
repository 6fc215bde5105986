"""Where files are looked for, in which order, and what happens when their bytes are not the official ones."""

import hashlib
import http.server
import shutil
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from equiray.data import sources
from equiray.data.sources import DataFile, digest_of, locate
from equiray.errors import BadInput

BYTES = b"the official bytes\n"
GOOD = hashlib.sha256(BYTES).hexdigest()


def data_file(name: str = "rows.data", **changes) -> DataFile:
    fields = {"name": name, "mirror_folder": "rows", "sha256": (GOOD,), "package": ("row_assets", "data/rows.data")}
    return DataFile(**(fields | changes))


def put(path: Path, content: bytes = BYTES) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A folder, a mirror and an importable asset package that must never be imported; all of them still empty."""
    package = tmp_path / "site" / "row_assets"
    put(package / "__init__.py", b"raise RuntimeError('an asset package is never imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv(sources.MIRROR_VARIABLE, str(tmp_path / "mirror"))
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "cache")
    return {"mirror": tmp_path / "mirror" / "rows" / "rows.data", "package": package / "data" / "rows.data"}


def test_the_mirror_goes_before_the_package_and_the_package_before_a_download(places):
    put(places["package"])
    found = locate([(data_file(),)])
    assert found is not None
    assert found.paths == (places["package"],)
    assert "row_assets" not in sys.modules
    put(places["mirror"])
    found = locate([(data_file(),)])
    assert found is not None
    assert found.paths == (places["mirror"],)
    assert found.sha256 == GOOD


def test_a_given_folder_is_the_only_place_looked_at(places, tmp_path):
    put(places["mirror"])
    own = put(tmp_path / "own" / "rows.data")
    found = locate([(data_file(),)], folder=own.parent)
    assert found is not None
    assert found.paths == (own,)
    own.unlink()
    with pytest.raises(BadInput, match=r"does not hold rows\.data"):
        locate([(data_file(),)], folder=own.parent)


def test_a_changed_file_is_named_with_both_digests_and_never_skipped(places):
    put(places["package"])
    put(places["mirror"], b"changed")
    with pytest.raises(BadInput) as error:
        locate([(data_file(),)])
    assert str(places["mirror"]) in str(error.value)
    assert GOOD in str(error.value)
    assert hashlib.sha256(b"changed").hexdigest() in str(error.value)


def test_a_mirror_that_does_not_exist_is_said(places, monkeypatch, tmp_path):
    monkeypatch.setenv(sources.MIRROR_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(BadInput, match="EQUIRAY_DATA names no folder"):
        locate([(data_file(),)])


def test_files_of_a_variant_come_from_one_place(places):
    second = data_file("more.data", package=("row_assets", "data/more.data"))
    put(places["mirror"])
    put(places["package"])
    put(places["package"].parent / "more.data")
    found = locate([(data_file(), second)])
    assert found is not None
    assert {path.parent for path in found.paths} == {places["package"].parent}


def test_the_digest_of_several_files_is_that_of_their_sha256sum_lines(tmp_path):
    a, b = put(tmp_path / "a", b"1"), put(tmp_path / "b", b"2")
    lines = f"{hashlib.sha256(b'1').hexdigest()}  a\n{hashlib.sha256(b'2').hexdigest()}  b\n"
    assert digest_of([a, b]) == hashlib.sha256(lines.encode()).hexdigest()


@pytest.fixture
def site(tmp_path):
    """A web server with one folder to download from: its base URL, the folder, and a way to stop it."""
    (tmp_path / "site_files").mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "site_files"))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", tmp_path / "site_files"
    server.shutdown()
    server.server_close()


def test_downloads_once_and_keeps_the_file(places, site):
    url, folder = site
    served = put(folder / "rows.data")
    file = data_file(url=url + "rows.data")
    assert locate([(file,)], download=False) is None
    first = locate([(file,)])
    assert first is not None
    assert first.origin == "download"
    served.unlink()
    again = locate([(file,)])
    assert again == first


def test_a_download_of_other_bytes_is_refused(places, site):
    url, folder = site
    put(folder / "rows.data", b"a login page")
    with pytest.raises(BadInput, match=f"expected {GOOD}"):
        locate([(data_file(url=url + "rows.data"),)])


def test_a_failed_download_says_what_to_do_instead(places, site):
    url, _ = site
    with pytest.raises(BadInput) as error:
        locate([(data_file(url=url + "rows.data"),)])
    assert url in error.value.place
    assert "pip install --no-deps row_assets" in error.value.fix
    assert "EQUIRAY_DATA" in error.value.fix
    shutil.rmtree(sources.cache_folder(), ignore_errors=True)
