"""evidence.json: what it records, what it notices, and whose environment it names."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from equiray.errors import BadInput
from equiray.reports import environment, verify_evidence, write_evidence
from equiray.reports.evidence import EvidenceFile, read_evidence
from report_run import write_synthetic_run

CONTRACT = Path(__file__).parents[1] / "docs" / "contracts" / "evidence.json"


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_synthetic_run(tmp_path / "run")


def witness(run_dir: Path) -> dict:
    return json.loads(write_evidence(run_dir, seeds={"run": 11}, spec_sha256="5e" * 32).read_text())


def test_every_file_is_recorded_with_its_own_sha256_and_size(run_dir: Path) -> None:
    (run_dir / "unlearning" / "empty.bin").touch()
    manifest = witness(run_dir)
    expected = {
        str(path.relative_to(run_dir)): {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for path in run_dir.rglob("*")
        if path.is_file() and path.name != "evidence.json" and (content := path.read_bytes()) is not None
    }
    assert manifest["files"] == expected
    assert len(expected) == 7
    assert manifest["seeds"] == {"run": 11}
    assert manifest["spec_sha256"] == "5e" * 32


def test_an_untouched_run_verifies_and_its_manifest_is_stable(run_dir: Path) -> None:
    first = witness(run_dir)
    assert verify_evidence(run_dir) == []
    assert witness(run_dir) == first


def test_altered_missing_and_added_files_are_named(run_dir: Path) -> None:
    witness(run_dir)
    results = run_dir / "results.json"
    content = bytearray(results.read_bytes())
    content[-3] ^= 1  # one bit, same size
    results.write_bytes(content)
    (run_dir / "spec.yaml").unlink()
    (run_dir / "predictions" / "late.parquet").write_bytes(b"x")
    problems = verify_evidence(run_dir)
    assert [problem.split(" (")[0] for problem in problems] == [
        "added: predictions/late.parquet",
        "altered: results.json",
        "missing: spec.yaml",
    ]
    assert hashlib.sha256(content).hexdigest() in problems[1]


def test_the_environment_stays_that_of_the_results(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = witness(run_dir)["environment"]
    monkeypatch.setattr("platform.python_version", lambda: "9.9.9")
    (run_dir / "report.html").write_text("reported elsewhere")
    assert witness(run_dir)["environment"] == made
    (run_dir / "results.json").write_text("{}")
    assert witness(run_dir)["environment"]["python"] == "9.9.9"


@pytest.mark.parametrize("content", ["", "[]", '{"schema": "equiray.evidence/2"}', "\ufeff{"])
def test_a_broken_manifest_is_bad_input_and_can_be_replaced(run_dir: Path, content: str) -> None:
    (run_dir / "evidence.json").write_text(content)
    with pytest.raises(BadInput, match=r"evidence\.json"):
        verify_evidence(run_dir)
    witness(run_dir)
    assert verify_evidence(run_dir) == []


def test_without_manifest_or_directory(run_dir: Path) -> None:
    with pytest.raises(BadInput, match="equiray report"):
        verify_evidence(run_dir)
    with pytest.raises(BadInput, match="no such run directory"):
        write_evidence(run_dir / "absent", seeds={}, spec_sha256="")


def test_the_contract_example_has_the_keys_we_write(run_dir: Path) -> None:
    example = json.loads(CONTRACT.read_text())
    EvidenceFile.model_validate(example)
    written = witness(run_dir)
    assert example.keys() == written.keys()
    assert example["environment"].keys() == written["environment"].keys()
    assert read_evidence(run_dir).files["results.json"].bytes == (run_dir / "results.json").stat().st_size


def test_the_commit_is_ours_and_never_that_of_a_repository_around_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    package = tmp_path / "site" / "equiray"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(environment.equiray, "__file__", str(package / "__init__.py"))
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "somebody else's")
    assert environment.describe_environment()["git_commit"] is None
    git("add", ".")
    git("commit", "-q", "-m", "ours")
    assert environment.describe_environment()["git_commit"] == git("rev-parse", "HEAD")
    (package / "__init__.py").write_text("changed = True")
    assert environment.describe_environment()["git_commit"] == git("rev-parse", "HEAD") + "-dirty"
