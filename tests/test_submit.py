"""Submission: what is planned and refused before anything is sent; then the real thing, on a real head."""

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.job_submission import JobStatus, JobSubmissionClient

from equiray import submission
from equiray.errors import BadInput, EquirayError, Incomplete
from equiray.job_plan import JobPlan, plan_job
from equiray.policies import load_policy
from equiray.specs.any_run import load_any_spec
from ray_heads import BIN, Head, ray_head

SPEC = """
schema: equiray.run/1
name: {name}
tasks: [{{name: {task}}}]
stages: [baseline]
models: [raw]
intrinsic: null
statistics: {{replicates: 100}}
"""


def write_spec(folder: Path, name: str, task: str = "german", more: str = "") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(SPEC.format(name=name, task=task) + more)
    return path


def plan(path: Path, out: str | None = None, policy: str | Path | None = None) -> JobPlan:
    return plan_job(load_any_spec(path), path, out, None if policy is None else load_policy(policy))


def write_fairnet_spec(folder: Path, source: str = "minilm") -> Path:
    path = folder / "fairnet.yaml"
    path.write_text(f"schema: equiray.fairnet/1\nname: x\ntasks: [{{name: adult}}]\nbackbone: {{source: {source}}}\n")
    return path


def write_policy(folder: Path, least: float) -> Path:
    path = folder / "my limits.yaml"
    path.write_text(f"schema: equiray.policy/1\nrules: [{{metric: accuracy, min: {least}}}]\n")
    return path


def test_equal_specs_have_one_job_however_they_are_written(tmp_path: Path):
    first = write_spec(tmp_path, "one")
    second = tmp_path / "same.yaml"
    second.write_text("# a comment\n" + first.read_text().replace("[raw]", "\n  - raw"))
    assert plan(first).base_id == plan(second).base_id
    assert plan(first).base_id != plan(write_spec(tmp_path, "two")).base_id
    assert plan(first).out.startswith("~/") and plan(first).out.endswith(plan(first).base_id)


def test_entrypoint_survives_a_shell():
    job = JobPlan(base_id="x", out="/data/it's; rm -rf", spec_path=Path("s.yaml"))
    shown = subprocess.run(f"printf '%s\\n' {job.entrypoint}", shell=True, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[5:7] == ["--out", "/data/it's; rm -rf"]


def test_another_policy_is_another_job_in_the_same_run_directory(tmp_path: Path):
    spec = write_spec(tmp_path, "one")
    plain, ready, own = plan(spec), plan(spec, policy="four_fifths"), plan(spec, policy=write_policy(tmp_path, 0.5))
    stricter = plan(spec, policy=write_policy(tmp_path, 0.6))
    assert len({job.base_id for job in (plain, ready, own, stricter)}) == 4
    assert {job.out for job in (plain, ready, own, stricter)} == {plain.out}
    assert ready.base_id == plan(spec, policy="four_fifths").base_id
    assert plain.entrypoint.endswith("--address auto")
    assert ready.entrypoint.endswith("--policy four_fifths") and ready.uploaded_policy is None
    assert own.entrypoint.endswith("--policy 'policy/my limits.yaml'")


def test_what_is_uploaded_is_the_spec_and_the_policys_file(tmp_path: Path):
    spec, policy, sent = write_spec(tmp_path, "one"), write_policy(tmp_path, 0.5), {}

    class Client:
        def submit_job(self, *, runtime_env, **more):
            folder = Path(runtime_env["working_dir"])
            sent.update({p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()})
            return more["submission_id"]

    for chosen in (policy, "four_fifths"):
        job = plan(spec, policy=chosen)
        sent.clear()
        assert submission._submit(cast(Any, Client()), job, 1) == job.base_id
        named = {"policy/my limits.yaml": policy.read_bytes()} if chosen == policy else {}
        assert sent == {"spec.yaml": spec.read_bytes(), **named}


def test_a_policy_that_is_wrong_is_refused_before_anything_is_sent(tmp_path: Path):
    with pytest.raises(BadInput, match="did you mean 'four_fifths'"):
        submission.submit_and_follow(write_spec(tmp_path, "one"), address="auto", policy="five_fifths")


def test_a_relative_run_directory_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="relative"):
        plan(write_spec(tmp_path, "one"), out="runs/one")


@pytest.mark.parametrize(
    "own", ["path: mine.csv, table_schema: /data/mine.yaml", "path: /d/m.csv, table_schema: m.yaml"]
)
def test_a_table_of_this_machine_is_refused(tmp_path: Path, own: str):
    path = write_spec(tmp_path, "own", task=f"mine, {own}")
    with pytest.raises(BadInput, match="path of this machine"):
        plan(path)


def test_a_model_directory_of_this_machine_is_refused_and_a_hub_id_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_spec(tmp_path, "own", more="language_model: {source: org/model}\n")
    assert plan(path)
    (tmp_path / "org" / "model").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"language_model\.source"):
        plan(path)


def test_a_fairnet_spec_is_a_job_like_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = plan(write_fairnet_spec(tmp_path))
    assert job.base_id == f"equiray-{load_any_spec(tmp_path / 'fairnet.yaml').sha256()[:16]}"
    assert job.entrypoint.endswith("--address auto")
    (tmp_path / "org" / "model").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"backbone\.source: org/model is a path of this machine"):
        plan(write_fairnet_spec(tmp_path, "org/model"))


@pytest.mark.parametrize("name", ["RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"])
def test_an_address_that_ray_would_swap_for_another_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "http://elsewhere:8265")
    with pytest.raises(BadInput, match=name):
        submission.submit_and_follow(write_spec(tmp_path, "one"), address="http://127.0.0.1:8265")


@pytest.mark.parametrize("address", ["127.0.0.1:8265", "ray://head:10001", "auto"])
def test_an_address_that_is_no_dashboards_is_refused(tmp_path, address):
    with pytest.raises(BadInput, match="dashboard"):
        submission.submit_and_follow(write_spec(tmp_path, "one"), address=address)


def test_nobody_answers(tmp_path):
    with socket.socket() as nobody:  # bound, so that no one else takes the port; not listening
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(BadInput, match="no Ray dashboard answers"):
            submission.submit_and_follow(write_spec(tmp_path, "one"), address=address)


@pytest.mark.parametrize(("given", "ours"), [(0, 0), (1, 1), (4, 4), (-9, 137)])
def test_the_jobs_exit_code_is_ours(given: int, ours: int):
    assert submission._exit_code("j", cast(Any, SimpleNamespace(driver_exit_code=given))) == ours


@pytest.mark.parametrize(("status", "raised"), [(JobStatus.STOPPED, Incomplete), (JobStatus.FAILED, EquirayError)])
def test_a_job_without_an_exit_code(status: JobStatus, raised: type[EquirayError]):
    details = SimpleNamespace(driver_exit_code=None, status=status, message="no such image")
    with pytest.raises(EquirayError) as caught:
        submission._exit_code("j", cast(Any, details))
    assert type(caught.value) is raised


class LossyClient:
    """Answers like Ray's client whose log connection breaks after each chunk but the last."""

    def __init__(self, chunks: list[str], forever: bool = False):
        self.chunks, self.calls, self.forever = chunks, 0, forever

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        self.calls += 1
        for chunk in self.chunks[: self.calls]:
            yield chunk
        if self.forever or self.calls < len(self.chunks):
            raise RuntimeError("connection closed")

    def get_job_info(self, job_id: str):
        return SimpleNamespace(status=JobStatus.SUCCEEDED)


def test_a_lost_connection_repeats_and_drops_no_line(monkeypatch, capsys):
    monkeypatch.setattr(submission, "_POLL_S", 0.0)
    client = LossyClient(["one\n", "two\n", "three\n"])
    asyncio.run(submission._follow(cast(Any, client), "j"))
    assert client.calls == 3
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def test_a_cluster_lost_for_good_is_incomplete(monkeypatch):
    monkeypatch.setattr(submission, "_POLL_S", 0.0)
    monkeypatch.setattr(submission, "_RECONNECT_S", 0.0)
    with pytest.raises(Incomplete, match="may go on"):
        asyncio.run(submission._follow(cast(Any, LossyClient(["one\n"], forever=True)), "j"))


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with ray_head() as running:
        yield running


@pytest.fixture(scope="module")
def client(head: Head) -> JobSubmissionClient:
    return JobSubmissionClient(head.address, headers={"Authorization": f"Bearer {head.token}"})


def submit(head: Head, spec: Path, *more: str, **environment: str) -> subprocess.CompletedProcess:
    command = [str(BIN / "equiray"), "submit", str(spec), "--address", head.address, *more]
    return subprocess.run(command, env=head.environment | environment, capture_output=True, text=True, timeout=200)


@pytest.mark.slow
def test_a_job_that_succeeds_is_followed_and_never_run_twice(head, client, tmp_path):
    spec, out = write_spec(tmp_path, "succeeds"), tmp_path / "out"
    done = submit(head, spec, "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (out / "results.json").exists() and (out / "report.html").exists()
    written = (out / "results.json").stat().st_mtime_ns

    again = submit(head, spec, "--out", str(out))
    assert again.returncode == 0
    assert again.stdout == done.stdout
    assert (out / "results.json").stat().st_mtime_ns == written
    attempts = [
        job.submission_id for job in client.list_jobs() if (job.submission_id or "").startswith(plan(spec).base_id)
    ]
    assert attempts == [plan(spec).base_id]

    elsewhere = submit(head, spec, "--out", str(tmp_path / "other"))
    assert elsewhere.returncode == 3 and str(out) in elsewhere.stderr


@pytest.mark.slow
def test_a_job_that_fails_gives_its_code_and_is_tried_anew(head, client, tmp_path):
    spec = write_spec(tmp_path, "fails", task="no_such_task")
    for attempt in (1, 2):
        done = submit(head, spec, "--out", str(tmp_path / "out"))
        assert done.returncode == 3, done.stdout + done.stderr
        assert "no_such_task" in done.stdout
        assert client.get_job_info(plan(spec).attempt_id(attempt)).driver_exit_code == 3


@pytest.mark.slow
def test_a_jobs_verdict_is_our_exit_code(head, tmp_path):
    spec, out = write_spec(tmp_path, "judged"), tmp_path / "out"
    for least, code, answer in ((0.99, 1, "FAIL"), (0.5, 0, "PASS"), (0.72, 2, "INCONCLUSIVE")):
        done = submit(head, spec, "--out", str(out), "--policy", str(write_policy(tmp_path, least)))
        assert done.returncode == code, done.stdout + done.stderr
        assert f"{answer}: policy my limits" in done.stdout
    again = submit(head, spec, "--out", str(out), "--policy", str(write_policy(tmp_path, 0.99)))
    assert again.returncode == 1 and "FAIL: policy my limits" in again.stdout


@pytest.mark.slow
def test_ctrl_c_detaches_and_the_job_goes_on(head, client, tmp_path):
    spec = write_spec(tmp_path, "detached")
    command = [str(BIN / "equiray"), "submit", str(spec), "--address", head.address, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        command,
        env=head.environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        # A job in a shell's background inherits SIGINT ignored, and would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert plan(spec).base_id in process.stderr.readline()
    time.sleep(1)  # it follows the log by now
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"equiray submit {spec} --address {head.address}" in stderr and "Traceback" not in stderr
    assert _wait_for_end(client, plan(spec).base_id) == JobStatus.SUCCEEDED  # not STOPPED
    assert submit(head, spec).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong", [{"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_TOKEN": ""}, {"RAY_AUTH_MODE": "disabled"}], ids=str
)
def test_a_token_that_is_wrong_or_missing(head, tmp_path, wrong):
    done = submit(head, write_spec(tmp_path, "locked"), **wrong, HOME=str(tmp_path))
    assert done.returncode == 3
    assert "refuses the token" in done.stderr and "RAY_AUTH_TOKEN" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_token_file_opens_too(head, tmp_path):
    (tmp_path / "token").write_text(head.token)
    spec = write_spec(tmp_path, "file", task="no_such_task")
    done = submit(head, spec, "--out", str(tmp_path), RAY_AUTH_TOKEN="", RAY_AUTH_TOKEN_PATH=str(tmp_path / "token"))
    assert "no_such_task" in done.stdout


@pytest.mark.slow
def test_driver_and_workers_import_the_uploaded_copy(head, client, tmp_path):
    (tmp_path / "where.py").write_text(
        "import equiray, ray\n"
        "ray.init('auto', log_to_driver=False)\n"
        "where = ray.remote(lambda: __import__('equiray').__file__)\n"
        "print('imported', equiray.__file__, ray.get(where.remote()))\n"
    )
    job = client.submit_job(entrypoint="python where.py", runtime_env=submission.runtime_env(tmp_path))
    assert _wait_for_end(client, job) == JobStatus.SUCCEEDED
    (line,) = [line for line in client.get_job_logs(job).splitlines() if line.startswith("imported")]
    _, driver, worker = line.split()
    assert driver == worker
    assert "py_modules_files" in driver and not Path(driver).is_relative_to(Path(submission.__file__).parent)


def _wait_for_end(client: JobSubmissionClient, job_id: str) -> JobStatus:
    while not client.get_job_status(job_id).is_terminal():
        time.sleep(0.5)
    return client.get_job_status(job_id)
