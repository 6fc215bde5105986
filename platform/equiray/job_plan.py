"""`JobPlan`: what a spec, and the policy that judges it, become on a cluster; nothing is sent yet."""

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from equiray.errors import BadInput
from equiray.policies.document import NamedPolicy
from equiray.specs.any_run import AnyRunSpec
from equiray.specs.chains import ChainsSpec
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.likelihood import LikelihoodSpec
from equiray.specs.open_ended import OpenEndedSpec
from equiray.specs.reward_run import RewardSpec


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """What a spec becomes on the cluster.

    Parameters
    ----------
    base_id : str
        Submission id of the first attempt; later ones carry the suffix -2, -3, ...
    out : str
        Run directory on the cluster, the same for every attempt, so that a later one resumes.
    spec_path : Path
        The spec here; it is uploaded as ``spec.yaml``.
    policy : NamedPolicy, optional
        The policy that judges the run; one that does not come with equiray is uploaded, too.
    """

    base_id: str
    out: str
    spec_path: Path
    policy: NamedPolicy | None = None

    @property
    def entrypoint(self) -> str:
        """The shell command that the head runs; its package comes from `py_modules`."""
        command = ["python", "-m", "equiray", "run", "spec.yaml", "--out", self.out, "--address", "auto"]
        if self.policy is not None:
            command += ["--policy", self.uploaded_policy or self.policy.name]
        return shlex.join(command)

    @property
    def uploaded_policy(self) -> str | None:
        """Where the policy's file stands in what is uploaded, its name kept; None if it comes with equiray."""
        if self.policy is None or self.policy.is_ready:
            return None
        return f"policy/{Path(self.policy.place).name}"

    def attempt_id(self, attempt: int) -> str:
        """Submission id of that attempt, counted from 1."""
        return self.base_id if attempt == 1 else f"{self.base_id}-{attempt}"


def plan_job(spec: AnyRunSpec, spec_path: Path, out: str | None = None, policy: NamedPolicy | None = None) -> JobPlan:
    """Submission id and run directory of a spec; see `submit_and_follow` for `out` and what it raises.

    Under another policy a spec is another job in the same run directory: nothing is computed again but the verdicts.
    """
    base_id = f"equiray-{spec.sha256()[:16]}"
    _refuse_local_paths(spec, spec_path)
    if out is None:
        out = f"~/equiray-runs/{base_id}"
    elif not out.startswith(("/", "~/")):
        # A job's working directory is a temporary copy that Ray deletes.
        raise BadInput(
            f"run directory {out!r} is relative", place="--out", fix="name an absolute path of the head node"
        )
    if policy is not None:
        both = f"{spec.sha256()} {policy.name} {policy.policy.sha256()}"
        base_id = f"equiray-{hashlib.sha256(both.encode()).hexdigest()[:16]}"
    return JobPlan(base_id=base_id, out=out, spec_path=spec_path, policy=policy)


def _refuse_local_paths(spec: AnyRunSpec, spec_path: Path) -> None:
    """A relative path would be looked for beside the uploaded spec, where there is nothing else."""
    models, named = _named(spec)
    for key, value in named.items():
        # A hub id looks like a relative path; it is one only where such a file exists.
        is_path = key not in models or (value is not None and Path(value).exists())
        if value is not None and is_path and "://" not in value and not value.startswith("/"):
            raise BadInput(
                f"{key}: {value} is a path of this machine",
                place=str(spec_path),
                fix="put the file on storage that the cluster's nodes see and name it by an absolute path",
            )


def _named(spec: AnyRunSpec) -> tuple[frozenset[str], dict[str, str | None]]:
    """What a spec names outside itself, by key; and the keys of models, which may be hub ids."""
    models: dict[str, str | None] = {}
    files: dict[str, str | None] = {}
    if isinstance(spec, RewardSpec):
        models = {"engine.source": spec.engine.source, "reward.source": spec.reward.source}
        files = {"engine.adapter": spec.engine.adapter, "cases.path": spec.cases.path}
        if spec.judge.engine is not None:
            models["judge.engine.source"] = spec.judge.engine.source
            files["judge.engine.adapter"] = spec.judge.engine.adapter
    elif isinstance(spec, ChainsSpec):
        models = {"engine.source": spec.engine.source}
        files = {"engine.adapter": spec.engine.adapter, "reward_model": spec.reward_model}
        files |= {f"cases.{number}.path": cases.path for number, cases in enumerate(spec.cases)}
    elif isinstance(spec, LikelihoodSpec):
        models = {"language_model.source": spec.language_model.source}
        files = {"language_model.adapter": spec.language_model.adapter}
    elif isinstance(spec, OpenEndedSpec):
        models = {"engine.source": spec.engine.source}
        files = {"engine.adapter": spec.engine.adapter}
        files |= {f"prompts.{number}.path": prompts.path for number, prompts in enumerate(spec.prompts)}
    else:
        if isinstance(spec, FairNetSpec):
            models = {"backbone.source": spec.backbone.source}
        else:
            models = {"language_model.source": spec.language_model.source}
        for number, task in enumerate(spec.tasks):
            files |= {f"tasks.{number}.{key}": getattr(task, key, None) for key in ("path", "table_schema")}
    return frozenset(models), {**models, **files}
