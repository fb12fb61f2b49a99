"""The policies of a deployment's APIs, loaded, for rules that look into them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fiveways.deployment.callables import load_callable
from fiveways.deployment.document import Loc
from fiveways.platform.model import Deployment


def policies(deployment: Deployment, base: Path, pattern: str = "") -> Iterator[tuple[Loc, str, Any]]:
    """Where each stands, its name, and it; of APIs of one pattern, or all. What cannot be loaded is told of elsewhere (REF)."""
    for name, api in deployment.apis.items():
        for index, python_name in enumerate(api.policies if pattern in ("", api.pattern) else ()):
            try:
                yield ("apis", name, "policies", index), python_name, load_callable(python_name, base)
            except (ImportError, AttributeError):
                continue
