"""Python that a deployment file names (`module:name`): policies, plans, façades, workflows' rules."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from fiveways.errors import DeploymentError


def load_callable(python_name: str, base: Path) -> Any:
    """What `module:name` names; modules beside the deployment file (in `base`) are found too.

    ImportError or AttributeError where there is none, ImportError too where its module breaks.
    """
    module, _, attribute = python_name.partition(":")
    if str(base) not in sys.path:
        sys.path.append(str(base))
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        raise
    except Exception as error:
        raise ImportError(f"{type(error).__name__}: {error}") from error


def declared_callable(where: str, python_name: str, base: Path) -> Any:
    """The same for what stands at `where` in the file; DeploymentError, which says so, where it cannot be loaded."""
    try:
        return load_callable(python_name, base)
    except (ImportError, AttributeError) as error:
        raise DeploymentError(f"{where}: {python_name} cannot be loaded: {error}") from error
