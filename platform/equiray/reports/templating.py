"""The templates of every report, and how a page comes to stand in its run directory."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

REPORT_NAME = "report.html"


def template(name: str) -> Template:
    """A template whose every value is escaped and must be there."""
    environment = Environment(
        loader=PackageLoader("equiray.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def write_page(run_dir: Path, html: str) -> Path:
    """``report.html``, which is whole whenever it is there."""
    path = run_dir / REPORT_NAME
    draft = path.with_suffix(".html.part")
    draft.write_text(html, encoding="utf-8")
    draft.replace(path)
    return path
