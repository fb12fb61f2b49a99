"""A process is killed between every two steps of an errand: the next run does at most the last step again; no file is lost, and
none is moved twice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.bulk.errands.crashing import Crashing, crashing
from tests.acceptance.bulk.errands.partner import Partner

from fiveways.store.group import GroupWriter

pytestmark = pytest.mark.anyio
CONTENT = os.urandom(300_001)
"""Two blocks."""
NEVER = 0


@pytest.fixture(scope="module")
def processes() -> Iterator[Crashing]:
    """What runs errands to their death."""
    with crashing() as made:
        yield made


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir() if path.is_file())


@pytest.mark.parametrize(("after", "taken"), [("remove", False), ("keep", True)], ids=["it stays", "it is taken at once"])
async def test_a_push_that_is_killed_at_any_step(
    after: str, taken: bool, partner: Partner, ours: Path, tmp_path: Path, group: GroupWriter, processes: Crashing
) -> None:
    await group.flush()
    errand = {"do": "push", "partner": "rxn", "from": "/", "to": "/in", "after": after}
    kills = 0
    for step in range(1, 200):
        work = made(tmp_path, partner, ours, errand, step)
        shutil.rmtree(partner.root / "in")
        (partner.root / "in").mkdir()
        (ours / "a.csv").write_bytes(CONTENT)
        partner.asked.clear()
        killed = await processes.run(step, work)
        kills += killed
        there = names(partner.root / "in")
        assert len([name for name in there if not name.endswith(".part")]) == partner.asked.count("rename")
        if taken and "a.csv" in there:
            assert (partner.root / "in" / "a.csv").read_bytes() == CONTENT
            (partner.root / "in" / "a.csv").unlink()
        assert not await processes.run(NEVER, work)
        assert partner.asked.count("rename") == 1, f"killed at step {step}"
        if "a.csv" not in there or not taken:
            assert partner.files("in") == {"a.csv": CONTENT}
        else:
            assert partner.files("in") == {}, "what the partner has taken is not brought again"
        assert names(ours) == ([] if after == "remove" else ["a.csv"])
        if step % 5 == 0:
            partner.asked.clear()
            assert not await processes.run(NEVER, work)
            assert not [each for each in partner.asked if each.startswith(("write", "rename"))], "nor later"
        if not killed:
            break
    assert kills >= 12, kills


async def test_a_pull_that_is_killed_at_any_step(
    partner: Partner, ours: Path, tmp_path: Path, group: GroupWriter, processes: Crashing
) -> None:
    await group.flush()
    errand = {"do": "pull", "partner": "rxn", "from": "/out", "to": "/", "after": "move", "complete_when": {"still_for": "0s"}}
    kills = 0
    for step in range(1, 200):
        work = made(tmp_path, partner, ours, errand, step)
        shutil.rmtree(partner.root / "out")
        shutil.rmtree(ours)
        ours.mkdir()
        partner.put("out/a.csv", CONTENT)
        killed = await processes.run(step, work)
        kills += killed
        here = "a.csv" in names(ours)
        if here:
            assert (ours / "a.csv").read_bytes() == CONTENT, "never under its name before it is whole"
            (ours / "a.csv").unlink()
        assert not await processes.run(NEVER, work)
        if here:
            assert names(ours) == [], "what was handed on is not fetched again"
        else:
            assert names(ours) == ["a.csv"]
            assert (ours / "a.csv").read_bytes() == CONTENT
        assert names(partner.root / "out") == []
        assert partner.files("out/done") == {"a.csv": CONTENT}
        if step % 5 == 0:
            before = names(ours)
            assert not await processes.run(NEVER, work)
            assert names(ours) == before
        if not killed:
            break
    assert kills >= 12, kills


def made(folder: Path, partner: Partner, ours: Path, errand: dict[str, Any], step: int) -> dict[str, Any]:
    """What a run needs: a ledger of its own."""
    path = folder / f"step{step}.db"
    for suffix in ("", "-wal"):
        if (folder / f"fiveways.db{suffix}").exists():
            shutil.copyfile(folder / f"fiveways.db{suffix}", f"{path}{suffix}")
    return {
        "database": f"sqlite:///{path}", "server": partner.server.model_dump(mode="json"), "errand": errand, "ours": str(ours),
        "base": str(partner.base),
    }  # fmt: skip
