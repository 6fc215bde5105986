"""The house itself: what a wheel holds, which layers may import which, and what a stranger's clone relies on."""

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "platform" / "equiray"
NO_RAY = ("metrics", "data", "models", "mitigation", "bundles", "audits")


def test_no_module_of_ours_shadows_the_standard_librarys_platform():
    assert not list((ROOT / "platform").glob("*.py"))
    asked = "import platform, sys; print(platform.__file__, platform.python_version())"
    for start in (ROOT, ROOT / "platform"):  # `python -c` puts the current folder first on sys.path
        answer = subprocess.run([sys.executable, "-c", asked], cwd=start, capture_output=True, text=True, check=True)
        file, version = answer.stdout.split()
        assert Path(file).name == "platform.py" and ROOT not in Path(file).resolve().parents
        assert version == sys.version.split()[0]


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("equiray-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    on_disk = {
        file.relative_to(PACKAGE.parent).as_posix()
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert packed == on_disk
    assert "equiray/data/__init__.py" in packed  # an unanchored `data/` in .gitignore would drop it


@pytest.mark.parametrize("layer", NO_RAY)
def test_what_must_run_in_a_notebook_imports_no_ray(layer: str):
    for file in (PACKAGE / layer).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "ray"], f"{file}:{node.lineno}"


def test_every_direct_dependency_is_pinned_within_its_range():
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pins[_canonical(name)] = version
    extras = project["optional-dependencies"]
    for requirement in map(Requirement, [*project["dependencies"], *(r for extra in extras.values() for r in extra)]):
        assert requirement.specifier.contains(pins[_canonical(requirement.name)]), requirement


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "assets.txt", "Makefile", ".ci/run"])
def test_no_build_file_names_an_index(name: str):
    """Where packages come from is the machine's business: a mirror, a proxy, a wheel folder."""
    text = (ROOT / name).read_text()
    assert not re.search(r"index-url|find-links|https?://|file:/", text)


def test_cluster_file_is_one_that_rays_launcher_accepts():
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    validate_config(prepare_config(config))
    pins = (ROOT / "constraints.txt").read_text()
    (ray_pin,) = re.findall(r"^ray==(\S+)$", pins, flags=re.MULTILINE)
    assert f":{ray_pin}-" in config["docker"]["image"]  # head, workers and the submitting machine run one Ray
    for command in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        if "ray start" in command:
            assert "RAY_AUTH_MODE=token" in command


def test_entry_scripts_do_nothing_at_import_and_say_how_to_run_them():
    for script in sorted(ROOT.glob("jobs/*.py")) + sorted(ROOT.glob("tune/*.py")) + sorted(ROOT.glob("serve/*.py")):
        assert script.name.startswith("run_"), f"{script.name} can shadow a module: its folder is first on sys.path"
        tree = ast.parse(script.read_text(encoding="utf-8"))
        assert f"python {script.parent.name}/{script.name}" in (ast.get_docstring(tree) or "")
        assert "main" in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        done_at_import = [n for n in tree.body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
        assert not done_at_import
