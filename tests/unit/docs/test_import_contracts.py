"""The import contracts hold, and each would notice: a contract that cannot fail holds nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def broken(house: Path) -> list[str]:
    """The contracts that a copy of the house breaks."""
    environment = {**os.environ, "PYTHONPATH": str(house / "src")}
    run = subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=house, env=environment, capture_output=True, text=True, check=False)
    assert "Contracts: " in run.stdout, run.stdout + run.stderr
    found = [line.removesuffix(" BROKEN") for line in run.stdout.splitlines() if line.endswith(" BROKEN")]
    assert (run.returncode != 0) == bool(found)
    return found


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The source as it is, to be spoilt."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def test_the_house_breaks_no_contract(house: Path) -> None:
    assert broken(house) == []


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("store/settings.py", "import fiveways.methods.synchronous.api", "Imports run one way"),
        ("utils/__init__.py", "", "Imports run one way"),
        ("methods/messaging/__init__.py", "import fiveways.methods.synchronous.api", "No method imports another"),
        ("methods/synchronous/upstream/tls.py", "import fiveways.ledger.keys", "The connection to a back end"),
        ("client/__init__.py", "import fiveways.store.tables", "The consumer's half"),
        ("linter/rules/sy05.py", "import fiveways.linter.rules.fh01", "No lint rule imports another"),
        ("demo/stories/messaging.py", "import fiveways.demo.stories.gateway", "No story of the demo imports another"),
    ],
)
def test_a_violation_breaks_the_contract_meant_for_it(house: Path, file: str, line: str, contract: str) -> None:
    path = house / "src" / "fiveways" / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as source:
        source.write(f"\n{line}\n")
    assert [name for name in broken(house) if name.startswith(contract)]
