"""Run a spec on a Ray cluster through Ray's Jobs API, from any machine that reaches the head's dashboard.

Notable: a job's id is made from the content hashes of spec and policy, so the same submitted twice is one job; what is
uploaded are these two and this copy of the package (`py_modules`), never the folder one happens to stand in; and
the job's exit code becomes ours, that of a verdict too. The token is Ray's own: RAY_AUTH_MODE=token with
RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.
"""

import asyncio
import logging
import os
import shlex
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import equiray
from equiray.errors import BadInput, EquirayError, Incomplete
from equiray.job_plan import JobPlan, plan_job
from equiray.policies.document import load_policy
from equiray.specs.any_run import load_any_spec

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

DETACHED = 130
_POLL_S = 0.5
_RECONNECT_S = 60.0
# Ray lets these override the address that a client names, without a word.
_OVERRIDES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
# They say every step at level INFO, between the lines of the job's log.
_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)


def submit_and_follow(spec_path: Path, *, address: str, out: str | None = None, policy: str | None = None) -> int:
    """Submit the spec, or find the job that already runs it, print its logs, and return its exit code.

    Parameters
    ----------
    spec_path : Path
        A run's YAML; checked here before anything is uploaded. Paths inside it are read on the cluster.
    address : str
        URL of the head's dashboard, ``http://HEAD:8265``.
    out : str, optional
        Run directory on the cluster, absolute or under ``~``; default ``~/equiray-runs/equiray-<hash of the spec>``.
    policy : str, optional
        What judges the run, a ready policy's name or a path here; checked here before anything is uploaded.

    Returns
    -------
    int
        The job's own exit code, with a policy 0 for PASS, 1 for FAIL, 2 for INCONCLUSIVE; 130 when Ctrl-C detached
        from it (the job goes on).

    Raises
    ------
    BadInput
        The spec or the policy is not valid, nothing answers at the address, the token is refused, `out` is relative or
        differs from that of the same spec's earlier job.
    Incomplete
        The job was stopped, or the cluster could not be reached for a minute while following it.
    EquirayError
        The cluster could not start the job.
    """
    plan = plan_job(load_any_spec(spec_path), spec_path, out, None if policy is None else load_policy(policy))
    client = _connect(address)
    job_id = _attach_or_submit(client, plan, explicit_out=out is not None)
    click.echo(f"job {job_id}; results on the head node in {plan.out}", err=True)
    try:
        details = asyncio.run(_follow(client, job_id))
    except KeyboardInterrupt:
        judged = [] if policy is None else ["--policy", policy]
        again = shlex.join(["equiray", "submit", str(spec_path), "--address", address, *judged])
        click.echo(f"\ndetached, the job goes on; follow it again with: {again}", err=True)
        return DETACHED
    return _exit_code(job_id, details)


def _exit_code(job_id: str, details: "JobDetails") -> int:
    code = details.driver_exit_code
    if code is not None:
        return code if code >= 0 else 128 - code  # killed by a signal: as a shell says it
    if details.status.value == "STOPPED":
        raise Incomplete(f"job {job_id} was stopped; submit the same spec again to resume it")
    raise EquirayError(f"job {job_id} could not run: {details.message}")


def _connect(address: str) -> "JobSubmissionClient":
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    if not address.startswith(("http://", "https://")):
        raise BadInput(f"{address!r} is not the URL of a dashboard", place="--address", fix="write http://HEAD:8265")
    for name in _OVERRIDES:
        if os.environ.get(name, address) != address:
            raise BadInput(
                f"{name}={os.environ[name]} overrides --address {address} inside Ray",
                place=f"environment variable {name}",
                fix=f"unset {name}, or give it as --address",
            )
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise BadInput(
            f"the cluster refuses the token ({error.message.splitlines()[0]})",
            place=f"RAY_AUTH_MODE={os.environ.get('RAY_AUTH_MODE', 'unset')}, asking {address}",
            fix="set RAY_AUTH_MODE=token and the head's token in RAY_AUTH_TOKEN, a file named by RAY_AUTH_TOKEN_PATH, "
            "or ~/.ray/auth_token",
        ) from error
    except (ConnectionError, OSError) as error:  # requests' errors are OSErrors
        raise BadInput(
            f"no Ray dashboard answers ({str(error).splitlines()[0]})",
            place=f"--address {address}",
            fix="start the head, or forward its port with `ray dashboard cluster.yaml`",
        ) from error


def _attach_or_submit(client: "JobSubmissionClient", plan: JobPlan, *, explicit_out: bool) -> str:
    """Id of the job to follow: the last attempt where it lives or succeeded, else a new one after it."""
    jobs = {job.submission_id: job for job in client.list_jobs()}
    attempt = 1
    while plan.attempt_id(attempt + 1) in jobs:
        attempt += 1
    last = jobs.get(plan.attempt_id(attempt))
    if last is None:
        return _submit(client, plan, attempt)
    earlier_out = (last.metadata or {}).get("out", plan.out)
    if explicit_out and earlier_out != plan.out:
        raise BadInput(
            f"this spec was submitted before, to {earlier_out}",
            place=f"--out {plan.out}",
            fix=f"give --out {earlier_out}, or change the spec's name",
        )
    status = last.status.value
    if status in ("FAILED", "STOPPED"):
        click.echo(f"job {plan.attempt_id(attempt)} is {status}: resuming it", err=True)
        return _submit(client, plan, attempt + 1)
    click.echo(f"job {plan.attempt_id(attempt)} is {status}: following it", err=True)
    return plan.attempt_id(attempt)


def _submit(client: "JobSubmissionClient", plan: JobPlan, attempt: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "spec.yaml").write_bytes(plan.spec_path.read_bytes())
        if plan.policy is not None and plan.uploaded_policy is not None:
            copy = Path(folder) / plan.uploaded_policy
            copy.parent.mkdir()
            copy.write_bytes(Path(plan.policy.place).read_bytes())
        return client.submit_job(
            entrypoint=plan.entrypoint,
            submission_id=plan.attempt_id(attempt),
            runtime_env=runtime_env(Path(folder)),
            metadata={"out": plan.out, "equiray": equiray.__version__},
        )


def runtime_env(working_dir: Path) -> dict[str, Any]:
    """Ray's runtime environment of a job: that folder, and this copy of the package ahead of any installed one."""
    return {
        "working_dir": str(working_dir),
        "py_modules": [str(Path(equiray.__file__).parent)],
        "excludes": ["__pycache__", "*.pyc"],
        "env_vars": {"PYTHONUNBUFFERED": "1"},  # logs are followed line by line
    }


class _Log:
    """Prints a job's log and knows how much of it stands printed: a broken connection repeats nothing."""

    def __init__(self, client: "JobSubmissionClient", job_id: str) -> None:
        self._client, self._job_id, self._printed = client, job_id, 0

    async def follow(self) -> None:
        seen = 0
        async for chunk in self._client.tail_job_logs(self._job_id):  # from the start, whenever one connects
            seen += len(chunk)
            if seen > self._printed:
                click.echo(chunk[self._printed - seen :], nl=False)
                self._printed = seen


async def _follow(client: "JobSubmissionClient", job_id: str) -> "JobDetails":
    """Print the job's logs until it ends; a connection lost in between is made again for a minute."""
    from aiohttp import ClientError

    log, lost_at = _Log(client, job_id), None
    while True:
        try:
            await log.follow()
            details = client.get_job_info(job_id)
            if details.status.is_terminal():
                return details
            lost_at = None
        except (RuntimeError, OSError, ClientError) as error:
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > _RECONNECT_S:
                raise Incomplete(f"lost the cluster while following job {job_id}, which may go on: {error}") from error
        await asyncio.sleep(_POLL_S)
