"""Files of a bundle: what may enter, and every kind of tampering found by name. No model is loaded."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from bundles_made import equiray
from equiray.bundles.bundle import load_bundle
from equiray.bundles.checking import read_manifest, verify_bundle
from equiray.bundles.manifest import BackbonePart, DecisionPart, FairNetPart, Parts, Provenance, SerializerPart
from equiray.bundles.writing import Content, write_bundle
from equiray.errors import BadInput

BASE = BackbonePart(
    kind="backbone", source="minilm", name="minilm", identity="a" * 64, pooling="cls", dtype="float32", max_tokens=64
)
PROVENANCE = Provenance(
    origin="sweep",
    name="invented",
    point="t1p1",
    pick="knee",
    spec_sha256="b" * 64,
    spec={"schema": "equiray.fairnet/1"},
)
THRESHOLDS = {"sex": 0.25, "race": float("inf")}
PARTS = Parts(
    base=BASE,
    serializer=SerializerPart(file="serializer.json"),
    fairnet=FairNetPart(folder="fairnet", thresholds=THRESHOLDS),
    decision=DecisionPart(),
)


def fairnet_folder(folder: Path) -> Path:
    """What is read of a FairNet before it is loaded."""
    folder.mkdir(parents=True)
    save_file({"base.head.weight": np.ones((2, 3), np.float32)}, folder / "fairnet.safetensors")
    gates = {"sex": {"threshold": 0.25}, "race": {"threshold": "inf"}}
    (folder / "fairnet.json").write_text(json.dumps({"backbone": {"identity": "a" * 64}, "attributes": gates}))
    return folder


@pytest.fixture
def content(tmp_path: Path) -> Content:
    folders = {"fairnet": fairnet_folder(tmp_path / "trained")}
    return Content(parts=PARTS, folders=folders, documents={"serializer.json": {"schema": "equiray.serializer/1"}})


@pytest.fixture
def bundle(content: Content, tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", "invented", content, PROVENANCE)
    return tmp_path / "bundle"


def test_every_file_is_recorded_with_its_hash_and_size(bundle: Path, content: Content):
    assert verify_bundle(bundle) == []
    recorded = json.loads((bundle / "manifest.json").read_text())["files"]
    assert sorted(recorded) == ["fairnet/fairnet.json", "fairnet/fairnet.safetensors", "serializer.json"]
    for name, file in recorded.items():
        data = (bundle / name).read_bytes()
        assert file == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert (bundle / "fairnet/fairnet.safetensors").read_bytes() == (
        content.folders["fairnet"] / "fairnet.safetensors"
    ).read_bytes()
    assert not [path for path in bundle.parent.iterdir() if path.name.startswith(".")]


def test_an_infinite_threshold_comes_back(bundle: Path):
    text = (bundle / "manifest.json").read_text()
    assert '"race": "inf"' in text and "Infinity" not in text
    assert read_manifest(bundle).parts.fairnet == PARTS.fairnet


def test_equal_content_makes_equal_bytes(content: Content, tmp_path: Path):
    for name in ("one", "two"):
        write_bundle(tmp_path / name, "invented", content, PROVENANCE)
    assert (tmp_path / "one/manifest.json").read_bytes() == (tmp_path / "two/manifest.json").read_bytes()


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Tampering with the manifest alone."""

    def tamper(bundle: Path) -> None:
        document = json.loads((bundle / "manifest.json").read_text())
        change(document)
        (bundle / "manifest.json").write_text(json.dumps(document))

    return tamper


def appended(bundle: Path, name: str, data: bytes) -> None:
    (bundle / name).write_bytes((bundle / name).read_bytes() + data)


def flipped(bundle: Path) -> None:
    """One bit of a weight: size and header stay."""
    data = bytearray((bundle / "fairnet/fairnet.safetensors").read_bytes())
    data[-1] ^= 1
    (bundle / "fairnet/fairnet.safetensors").write_bytes(bytes(data))


def linked(bundle: Path) -> None:
    """A link to the same bytes elsewhere."""
    file = bundle / "serializer.json"
    os.link(file, bundle.parent / "elsewhere.json")
    file.unlink()
    file.symlink_to(bundle.parent / "elsewhere.json")


def folder_linked(bundle: Path) -> None:
    (bundle / "fairnet").rename(bundle.parent / "elsewhere")
    (bundle / "fairnet").symlink_to(bundle.parent / "elsewhere")


def manifest_linked(bundle: Path) -> None:
    (bundle / "manifest.json").rename(bundle.parent / "elsewhere.json")
    (bundle / "manifest.json").symlink_to(bundle.parent / "elsewhere.json")


def pickled(bundle: Path) -> None:
    """A pickle that the manifest owns to."""
    (bundle / "model.pkl").write_bytes(b"\x80\x04.")
    record = {"sha256": hashlib.sha256(b"\x80\x04.").hexdigest(), "bytes": 3}
    edited(lambda document: document["files"].update({"model.pkl": record}))(bundle)


def rewritten(bundle: Path, name: str, text: str) -> None:
    """A file, and its hash in the manifest."""
    (bundle / name).write_text(text)
    record = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "bytes": len(text)}
    edited(lambda document: document["files"].update({name: record}))(bundle)


def threshold_edited(bundle: Path) -> None:
    """Only the manifest's own copy still tells."""
    text = (bundle / "fairnet/fairnet.json").read_text()
    rewritten(bundle, "fairnet/fairnet.json", text.replace("0.25", "0.75"))


def replaced(bundle: Path) -> None:
    rewritten(bundle, "fairnet/fairnet.json", '["no", "FairNet"]')


def leaving(name: str) -> Callable[[Path], None]:
    def tamper(bundle: Path) -> None:
        (bundle.parent / "outside.json").write_text("{}")
        record = {"sha256": hashlib.sha256(b"{}").hexdigest(), "bytes": 2}
        edited(lambda document: document["files"].update({name: record}))(bundle)

    return tamper


TAMPERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a file removed": (lambda bundle: (bundle / "serializer.json").unlink(), "missing: serializer.json"),
    "a file longer": (lambda bundle: appended(bundle, "serializer.json", b" "), "altered: serializer.json"),
    "a bit flipped": (flipped, "altered: fairnet/fairnet.safetensors"),
    "a file added": (lambda bundle: (bundle / "fairnet/more.json").write_text("{}"), "added: fairnet/more.json"),
    "a hidden file added": (lambda bundle: (bundle / ".more.json").write_text("{}"), "added: .more.json"),
    "a program added": (lambda bundle: (bundle / "modeling.py").write_text(""), "format: modeling.py"),
    "a pickle listed": (pickled, "format: model.pkl"),
    "a link": (linked, "no plain file: serializer.json"),
    "a linked folder": (folder_linked, "no plain file: fairnet"),
    "a linked manifest": (manifest_linked, "manifest.json: a link"),
    "a pipe": (lambda bundle: os.mkfifo(bundle / "pipe.json"), "no plain file: pipe.json"),
    "a path upwards": (leaving("../outside.json"), "leaves the bundle: ../outside.json"),
    "a path upwards, hidden": (leaving("fairnet/../../outside.json"), "leaves the bundle: fairnet/../../outside.json"),
    "an absolute path": (leaving("/etc/outside.json"), "leaves the bundle: /etc/outside.json"),
    "a path of Windows": (leaving("C:\\outside.json"), "leaves the bundle: C:\\outside.json"),
    "a part outside": (
        edited(lambda document: document["parts"]["fairnet"].update(folder="../trained")),
        "leaves the bundle: part fairnet names ../trained",
    ),
    "a part that is not there": (
        edited(lambda document: document["parts"]["serializer"].update(file="other.json")),
        "missing: part serializer names other.json",
    ),
    "another schema": (edited(lambda document: document.update(schema="equiray.bundle/9")), "'equiray.bundle/9'"),
    "an unknown key": (edited(lambda document: document.update(run_this="rm")), "run_this"),
    "an unknown part": (edited(lambda document: document["parts"].update(image={})), "parts.image"),
    "a part cut short": (edited(lambda document: document["parts"].update(reward={"folder": "r"})), "field required"),
    "no parts": (edited(lambda document: document.update(parts={})), "at least one part"),
    "no base": (edited(lambda document: document["parts"].update(base=None)), "`fairnet` needs a `base`"),
    "another base": (
        edited(lambda document: document["parts"]["base"].update(identity="c" * 64)),
        "contradiction: part fairnet was trained on aaaa",
    ),
    "thresholds edited": (
        edited(lambda document: document["parts"]["fairnet"]["thresholds"].update(sex=0.75)),
        "contradiction: thresholds",
    ),
    "thresholds edited below": (threshold_edited, "contradiction: thresholds"),
    "a part of another kind": (replaced, "contradiction: fairnet/fairnet.json is no document"),
    "no JSON": (lambda bundle: (bundle / "manifest.json").write_text("{"), "no JSON"),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampering_is_found_named_and_not_loaded(bundle: Path, kind: str, capsys: pytest.CaptureFixture[str]):
    tamper, words = TAMPERED[kind]
    tamper(bundle)
    problems = verify_bundle(bundle)
    assert any(words in problem for problem in problems), problems
    assert equiray("verify", bundle) == 1
    assert words in capsys.readouterr().out
    with pytest.raises(BadInput) as refused:
        load_bundle(bundle)
    assert words in refused.value.problem and str(bundle) in refused.value.place and refused.value.fix


def test_no_bundle_there_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert equiray("verify", tmp_path) == 3
    assert "no bundle there" in capsys.readouterr().err
    assert equiray("verify", tmp_path / "nowhere") == 3


@pytest.mark.parametrize("name", ["model.pkl", "weights.bin", "weights.pt", "run.py", "table.parquet", "manifest"])
def test_other_formats_may_not_enter(content: Content, tmp_path: Path, name: str):
    (content.folders["fairnet"] / name).write_bytes(b"x")
    with pytest.raises(BadInput, match="may not enter a bundle"):
        write_bundle(tmp_path / "bundle", "invented", content, PROVENANCE)
    assert not (tmp_path / "bundle").exists()


def test_links_may_not_enter(content: Content, tmp_path: Path):
    (content.folders["fairnet"] / "more.json").symlink_to(tmp_path / "trained" / "fairnet.json")
    with pytest.raises(BadInput, match="no links"):
        write_bundle(tmp_path / "bundle", "invented", content, PROVENANCE)


def test_what_is_there_stays(content: Content, tmp_path: Path):
    out = tmp_path / "bundle"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="not empty"):
        write_bundle(out, "invented", content, PROVENANCE)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    (out / "mine.txt").unlink()
    write_bundle(out, "invented", content, PROVENANCE)  # an empty folder is as good as none
    assert verify_bundle(out) == []


def test_a_failure_leaves_nothing_behind(content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("equiray.bundles.writing.record_of", broken)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "bundle", "invented", content, PROVENANCE)
    assert [path.name for path in tmp_path.iterdir()] == ["trained"]
