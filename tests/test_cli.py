"""The installed command: every exit code, and what a person reads when something goes wrong."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

EQUIRAY = Path(sys.executable).with_name("equiray")
SPEC = "schema: equiray.run/1\nname: try\ntasks: [{name: german}]\n"

# A stand-in for the evaluation, put in place before the command imports it: these tests are about the way out.
STAND_IN = """
import sys, types
module = types.ModuleType("equiray.runs.evaluation")
def run_evaluation(spec, out, *, policy, address, command):
{body}
module.run_evaluation = run_evaluation
sys.modules["equiray.runs.evaluation"] = module
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return path


def equiray(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    command = [str(EQUIRAY), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=120)


def stand_in(folder: Path, body: str) -> str:
    """The PYTHONPATH with which the evaluation is only that."""
    lines = "\n".join("    " + line for line in body.splitlines())
    (folder / "sitecustomize.py").write_text(STAND_IN.format(body=lines))
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


def run_with(body: str, spec: Path, *more: object) -> subprocess.CompletedProcess:
    return equiray("run", spec, "--out", spec.parent / "out", *more, PYTHONPATH=stand_in(spec.parent, body))


def test_0_done_and_the_evaluation_gets_what_was_typed(spec: Path):
    body = "print(spec.unlearning.steps, spec.name, out.name, address, command)"
    done = run_with(body, spec, "--set", "unlearning.steps=7", "--set", "name=other", "--address", "auto")
    assert done.returncode == 0, done.stderr
    typed = f"equiray run {spec} --out {spec.parent / 'out'} --set unlearning.steps=7 --set name=other --address auto"
    assert f"7 other out auto {typed}" in done.stdout


def test_0_version():
    from equiray import __version__

    done = equiray("--version")
    assert (done.returncode, done.stdout) == (0, f"equiray, version {__version__}\n")


@pytest.mark.parametrize("arguments", [("run",), ("run", "x.yaml", "--oops"), ("nonsense",), ("report", "nowhere")])
def test_3_wrong_usage_is_bad_input_not_inconclusive(arguments: tuple[str, ...]):
    done = equiray(*arguments)
    assert done.returncode == 3
    assert "Usage:" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (SPEC + "stagse: [baseline]\n", "stagse"),
        (SPEC + "seed: many\n", "seed"),
        ("tasks: [", "YAML"),
        (SPEC.replace("equiray.run/1", "equiray.run/9"), "schema"),
    ],
)
def test_3_a_bad_spec_names_key_and_file(spec: Path, text: str, named: str):
    spec.write_text(text)
    done = equiray("run", spec, "--out", spec.parent / "out")
    assert done.returncode == 3
    assert named in done.stderr and str(spec) in done.stderr and "fix:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (spec.parent / "out").exists()


def test_3_an_absent_or_binary_spec(tmp_path: Path):
    (tmp_path / "weights.yaml").write_bytes(b"\x80\x04\x95\xff")
    for name in ("none.yaml", "weights.yaml"):
        done = equiray("run", tmp_path / name, "--out", tmp_path / "out")
        assert done.returncode == 3 and name in done.stderr


@pytest.mark.parametrize(
    "override",
    [
        "unlearning.steps",
        "unlearning.stepps=4",
        "name.deep=1",
        "name.deep.er=1",
        "tasks.9.rows=100",
        "tasks.first.rows=100",
        "tasks.0.rows=[",
        "unlearning.steps=few",
    ],
)
def test_3_a_bad_override(spec: Path, override: str):
    done = equiray("run", spec, "--out", spec.parent / "out", "--set", override)
    assert done.returncode == 3, done.stderr
    assert override.partition("=")[0] in done.stderr and "fix:" in done.stderr


@pytest.mark.parametrize(
    "body",
    [
        "raise RuntimeError('a task failed') from error",
        "wrapped = RuntimeError('a task failed'); wrapped.cause = error; raise wrapped",
    ],
)
def test_3_bad_input_found_by_a_worker_is_still_bad_input(spec: Path, body: str):
    found = "from equiray.errors import BadInput\nerror = BadInput('NaN in `age`', place='row 7', fix='drop it')\n"
    done = run_with(found + body, spec)
    assert done.returncode == 3
    assert done.stderr == "error: NaN in `age`\n  where: row 7\n  fix:   drop it\n"


def test_4_incomplete(spec: Path):
    done = run_with("from equiray.errors import Incomplete\nraise Incomplete('disk full after 3 of 9 blocks')", spec)
    assert (done.returncode, done.stderr) == (4, "error: disk full after 3 of 9 blocks\n")


def test_3_a_package_that_is_not_installed_names_the_extra_that_brings_it(spec: Path):
    done = run_with("raise ModuleNotFoundError('No module named optuna', name='optuna.samplers')", spec)
    assert done.returncode == 3
    assert "optuna.samplers is not installed" in done.stderr and "pip install 'equiray[search]'" in done.stderr


def test_70_internal_error_is_one_line_and_debug_shows_where(spec: Path):
    body = "raise ZeroDivisionError('first line\\nsecond line')"
    done = run_with(body, spec)
    assert done.returncode == 70
    assert done.stderr.splitlines() == [
        "internal error: ZeroDivisionError: first line (--debug prints the traceback)",
    ]
    debugged = run_with(body, spec, "--debug")
    assert debugged.returncode == 70
    assert "Traceback" in debugged.stderr and "run_evaluation" in debugged.stderr


def test_130_interrupted(spec: Path):
    path = stand_in(spec.parent, "import time\nprint('started', flush=True)\ntime.sleep(60)")
    process = subprocess.Popen(
        [str(EQUIRAY), "run", str(spec), "--out", str(spec.parent / "out")],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A job in a shell's background inherits SIGINT ignored, and would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "resumes" in stderr and "Traceback" not in stderr


def test_data_list_says_what_is_here_and_what_to_know(mirror: Path):
    listed = equiray("data", "list", COLUMNS="200")
    assert listed.returncode == 0, listed.stderr
    for name, rows in [("adult", "48,842"), ("german", "1,000"), ("compas", "6,172")]:
        assert re.search(rf"^\s+{name}\s.*\s{rows}\s.*mirror", listed.stdout, flags=re.MULTILINE)
    assert "No claim about women and men" in " ".join(listed.stdout.split())


def test_3_data_list_marks_what_was_changed_and_lists_the_rest(mirror: Path, tmp_path: Path):
    for folder in ("adult", "german_credit", "acs"):
        (tmp_path / folder).symlink_to(mirror / folder)
    (tmp_path / "compas").mkdir()
    (source,) = (mirror / "compas").glob("compas-scores-two-years.csv")
    changed = tmp_path / "compas" / source.name
    changed.write_bytes(source.read_bytes()[:-1])
    listed = equiray("data", "list", EQUIRAY_DATA=str(tmp_path), COLUMNS="200")
    assert listed.returncode == 3
    for name, rows in [("adult", "48,842"), ("german", "1,000")]:
        assert re.search(rf"^\s+{name}\s.*\s{rows}\s.*mirror", listed.stdout, flags=re.MULTILINE)
    assert re.search(r"^\s+compas\s.*\s\?\s.*cannot be used, see below", listed.stdout, flags=re.MULTILINE)
    assert listed.stderr.count("error: checksum mismatch") == 1
    assert str(changed) in listed.stderr and "fix:   the file was changed or cut short" in listed.stderr


def test_3_data_list_says_once_that_the_mirror_is_not_there(tmp_path: Path):
    listed = equiray("data", "list", EQUIRAY_DATA=str(tmp_path / "gone"), COLUMNS="200")
    assert listed.returncode == 3
    assert listed.stdout.count("cannot be used, see below") == 4
    assert listed.stderr.count("error: EQUIRAY_DATA names no folder") == 1


REAL = SPEC + "stages: [baseline]\nmodels: [raw]\nintrinsic: null\nstatistics: {replicates: 100}\n"


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    (folder / "spec.yaml").write_text(REAL)
    done = equiray("run", folder / "spec.yaml", "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_0_a_real_run_leaves_what_outsiders_rely_on_and_runs_once(finished_run: Path):
    results = json.loads((finished_run / "results.json").read_text())
    assert (results["schema"], results["task"], results["n_rows"]) == ("equiray.results/1", "german", 1000)
    predictions = {file: file.stat().st_mtime_ns for file in finished_run.glob("predictions/*.parquet")}
    assert predictions
    again = equiray("run", finished_run.parent / "spec.yaml", "--out", finished_run)
    assert again.returncode == 0, again.stderr
    assert predictions == {file: file.stat().st_mtime_ns for file in finished_run.glob("predictions/*.parquet")}


def test_3_a_run_directory_belongs_to_one_spec(finished_run: Path):
    done = equiray("run", finished_run.parent / "spec.yaml", "--out", finished_run, "--set", "seed=5")
    assert done.returncode == 3
    assert str(finished_run) in done.stderr and "fix:" in done.stderr


def test_report_is_written_anew_and_witnessed(finished_run: Path):
    from equiray.reports import verify_evidence

    before = (finished_run / "report.html").read_text()
    (finished_run / "report.html").write_text("overwritten")
    assert any("report.html" in line for line in verify_evidence(finished_run))
    done = equiray("report", finished_run)
    assert done.returncode == 0, done.stderr
    assert (finished_run / "report.html").read_text() == before
    assert verify_evidence(finished_run) == []


def test_3_a_report_of_a_folder_that_is_no_run(tmp_path: Path):
    done = equiray("report", tmp_path)
    assert done.returncode == 3
    assert str(tmp_path) in done.stderr and "fix:" in done.stderr


def test_help_imports_nothing_heavy():
    heavy = "{'torch', 'ray', 'pyarrow', 'numpy', 'sklearn', 'pydantic', 'rich', 'transformers'}"
    asked = f"import sys, equiray.cli; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_an_audit_and_its_gate_start_without_what_they_do_not_use(tmp_path: Path):
    """Each of these costs .2 s to 4 s: a gate stands in every CI job."""
    rows, out = tmp_path / "rows.csv", tmp_path / "out"
    rows.write_text("sex,race,y,yhat,p\n" + "".join(f"{'fm'[n % 2]},{'abc'[n % 3]},1,0,.5\n" for n in range(60)))
    heavy = "{'torch', 'ray', 'sklearn', 'transformers', 'matplotlib', 'scipy.stats'}"
    loaded = f"print(sorted({heavy} & set(sys.modules)))"
    body = f"import sys, equiray.cli\ntry: equiray.cli.main(sys.argv[1:])\nfinally: {loaded}"
    columns = ("--label", "y", "--prediction", "yhat", "--score", "p", "--attributes", "sex,race")
    for command in (("audit", rows, *columns, "--out", out), ("gate", out, "--policy", "four_fifths")):
        answer = subprocess.run([sys.executable, "-c", body, *map(str, command)], capture_output=True, text=True)
        assert answer.returncode in (0, 1, 2), answer.stderr
        assert answer.stdout.splitlines()[-1] == "[]"


def test_entry_script_takes_the_arguments_of_run(spec: Path):
    script = Path(__file__).resolve().parent.parent / "jobs" / "run_evaluation.py"
    path = stand_in(spec.parent, "print(command)")
    done = subprocess.run(
        [sys.executable, str(script), str(spec), "--out", "somewhere"],
        cwd=spec.parent,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"equiray run {spec} --out somewhere" in done.stdout
