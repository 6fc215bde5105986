"""The live page: one HTML file without any other asset, put together from its parts here and the reports' style."""

import base64
import hashlib
from functools import cache
from importlib import resources


@cache
def dashboard_page() -> str:
    """The page for ``/dashboard``. It asks ``v1/fairness`` beside it, with a key that its reader types in.

    Its policy allows no script and no style but its own, by their hashes, and no other server.
    """
    here = resources.files(__name__)
    shared = resources.files("equiray.reports") / "templates" / "style.css"
    style = "\n" + shared.read_text(encoding="utf-8") + (here / "live.css").read_text(encoding="utf-8")
    script = "\n" + (here / "live.js").read_text(encoding="utf-8")
    page = (here / "index.html").read_text(encoding="utf-8")
    for place, text in (("STYLE_HASH", _hash(style)), ("SCRIPT_HASH", _hash(script)), ("STYLE", style)):
        page = page.replace(f"{{{place}}}", text)
    return page.replace("{SCRIPT}", script)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
