"""What answers in production: the combined model behind a guarded, audited endpoint on Ray Serve.

`build` is the application: ``import_path: equiray.serving:build`` in serve/config.yaml.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve import Application


def build(args: Mapping[str, Any]) -> "Application":
    """The application of a serving spec (docs/contracts/serve.yaml); raises BadInput where it cannot be used."""
    from equiray.serving.application import application  # Ray, and all that it brings

    return application(args)
