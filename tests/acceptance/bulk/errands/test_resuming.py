"""A line that is cut is taken up again where it was, in both directions, and what is there is not believed without looking."""

from __future__ import annotations

import hashlib
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.bulk.errands.conftest import Make
from tests.acceptance.bulk.errands.digesting import digesting
from tests.acceptance.bulk.errands.partner import Partner

from fiveways.methods.bulk.errands import pull
from fiveways.methods.bulk.errands.book import Book
from fiveways.methods.bulk.errands.failures import LineLost

pytestmark = pytest.mark.anyio
LARGE = os.urandom(12 * 2**20 + 7)


def cut_at(number: int, what: str) -> Any:
    """Cuts the line when something is asked for the so-manieth time."""
    left = [number]

    def on(partner: Partner, asked: str) -> None:
        if asked.startswith(what):
            left[0] -= 1
            if left[0] == 0:
                partner.cut()

    return on


def first(partner: Partner, what: str) -> list[int]:
    """Where writing or reading began after each opening of a file."""
    found: list[int] = []
    opened = False
    for asked in partner.asked:
        if asked.startswith("open"):
            opened = True
        elif asked.startswith(what) and opened:
            found.append(int(asked.split()[1]))
            opened = False
    return found


def part(folder: Path) -> Path:
    """What is under a temporary name."""
    (found,) = (path for path in folder.iterdir() if ".part" in path.name)
    return found


async def test_bringing_goes_on_where_the_line_was_cut(partner: Partner, ours: Path, errands: Make) -> None:
    (ours / "a.bin").write_bytes(LARGE)
    partner.on = cut_at(30, "write")
    report = await errands("push").run("errand")
    assert partner.files("in") == {"a.bin": LARGE}
    assert report.moved[0].digest == hashlib.sha256(LARGE).hexdigest()
    begun = first(partner, "write")
    assert begun[0] == 0
    assert begun[-1] > 3 * 2**20, "it went on"


async def test_fetching_goes_on_where_the_line_was_cut(partner: Partner, ours: Path, errands: Make, book: Book) -> None:
    partner.put("out/a.bin", LARGE)
    partner.on = cut_at(30, "read")
    report = await errands("pull").run("errand")
    assert (ours / "a.bin").read_bytes() == LARGE
    assert report.moved[0].digest == hashlib.sha256(LARGE).hexdigest()
    begun = first(partner, "read")
    assert begun[0] == 0
    assert begun[-1] > 2 * 2**20, "it went on, after comparing the last megabyte"
    assert [row.state for row in await book.listed()] == ["settled"]


async def test_what_was_brought_before_is_compared(partner: Partner, ours: Path, errands: Make) -> None:
    """The server's disk has lost what was written last."""
    (ours / "a.bin").write_bytes(LARGE)
    once = cut_at(30, "write")

    def on(partner: Partner, asked: str) -> None:
        once(partner, asked)
        if not partner.connections:
            partner.on = None
            with part(partner.root / "in").open("r+b") as file:
                file.seek(-1000, os.SEEK_END)
                file.write(bytes(1000))

    partner.on = on
    await errands("push").run("errand")
    assert partner.files("in") == {"a.bin": LARGE}
    assert first(partner, "write")[-1] == 0, "it began anew"


async def test_what_was_fetched_before_is_compared(partner: Partner, ours: Path, errands: Make) -> None:
    """The server has put another file of the same size and time in its place."""
    partner.put("out/a.bin", LARGE)
    other = os.urandom(len(LARGE))
    once = cut_at(30, "read")

    def on(partner: Partner, asked: str) -> None:
        once(partner, asked)
        if not partner.connections:
            partner.on = None
            partner.put("out/a.bin", other)

    partner.on = on
    await errands("pull").run("errand")
    assert (ours / "a.bin").read_bytes() == other, "of one file, and not of two"


async def test_what_is_lost_here_is_fetched_anew(partner: Partner, ours: Path, errands: Make) -> None:
    partner.put("out/a.bin", LARGE)
    once = cut_at(30, "read")

    def on(partner: Partner, asked: str) -> None:
        once(partner, asked)
        if asked.startswith("list") and partner.connections and any(ours.iterdir()):
            part(ours).unlink()
            partner.on = None

    partner.on = on
    await errands("pull").run("errand")
    assert (ours / "a.bin").read_bytes() == LARGE


async def test_how_far_it_is_is_written_down_on_the_way(
    partner: Partner, ours: Path, errands: Make, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "CHECKPOINT", 2**20)
    partner.put("out/a.bin", LARGE)
    reached: list[int] = []
    reach = book.reach

    async def noted(file: Any, offset: int, prefix: str, tail: str) -> Any:
        assert prefix == hashlib.sha256(LARGE[:offset]).hexdigest()
        assert tail == hashlib.sha256(LARGE[max(0, offset - 2**20) : offset]).hexdigest()
        assert part(ours).stat().st_size >= offset
        reached.append(offset)
        return await reach(file, offset, prefix, tail)

    monkeypatch.setattr(book, "reach", noted)
    await errands("pull").run("errand")
    assert all(2**20 <= after - before < 2 * 2**20 for before, after in pairwise([0, *reached[:-1]]))
    assert reached[-1] == len(LARGE)


async def test_a_line_that_brings_nothing_is_given_up(partner: Partner, ours: Path, errands: Make) -> None:
    (ours / "a.bin").write_bytes(b"x")
    partner.on = lambda partner, asked: partner.cut()
    with pytest.raises(LineLost, match="the line was cut"):
        await errands("push").run("errand")
    assert sum(asked.startswith("open") for asked in partner.asked) == 3


# --- a server that computes digests -------------------------------------------------------------------------------------------


async def test_digests_are_compared_where_the_server_gives_them(partner: Partner, ours: Path, errands: Make) -> None:
    (ours / "a.bin").write_bytes(LARGE[:300_000])
    (ours / "empty").write_bytes(b"")
    with digesting(partner.root) as there:
        server = {"port": there.port}
        report = await errands("push", server).run("errand")
        assert len(report.moved) == 2
        assert partner.files("in") == {"a.bin": LARGE[:300_000], "empty": b""}
        assert there.asked == [(b"sha256", 0, 300_000)]
        partner.put("out/b.bin", LARGE[:300_000])
        report = await errands("pull", server).run("errand")
        assert [each.path for each in report.moved] == ["/out/b.bin"]
        assert (ours / "b.bin").read_bytes() == LARGE[:300_000]
        assert there.asked[1:] == [(b"sha256", 0, 300_000)]


async def test_what_was_moved_before_is_compared_by_digest(partner: Partner, ours: Path, errands: Make) -> None:
    """No byte of it goes over the line again."""
    (ours / "a.bin").write_bytes(LARGE)
    partner.put("out/b.bin", LARGE)
    with digesting(partner.root) as there:
        server = {"port": there.port}
        for do, kind in (("push", "write"), ("pull", "read")):
            there.cut(kind, 200)
            report = await errands(do, server, files=f"{'a' if do == 'push' else 'b'}*").run("errand")
            assert [each.digest for each in report.moved] == [hashlib.sha256(LARGE).hexdigest()]
            assert there.begun[-1] > 2 * 2**20
            lengths = {(start, length) for _, start, length in there.asked}
            assert any(start == 0 and 2 * 2**20 < length < len(LARGE) for start, length in lengths), "what was there"
            assert any(start + length == len(LARGE) for start, length in lengths), "and what was moved then"
            there.asked.clear()


async def test_what_a_server_has_otherwise_is_not_given_its_name(partner: Partner, ours: Path, errands: Make) -> None:
    (ours / "a.bin").write_bytes(LARGE[:300_000])
    with digesting(partner.root, spoil=True) as there:
        report = await errands("push", {"port": there.port}).run("errand")
    assert report.moved == []
    assert [each.reason for each in report.failures] == ["the server's digest is another: what it has is not what it was sent"]
    assert partner.files("in") == {}, "and does not stay"


async def test_what_came_otherwise_than_the_server_has_it_is_not_given_its_name(
    partner: Partner, ours: Path, errands: Make
) -> None:
    partner.put("out/a.bin", LARGE[:300_000])
    with digesting(partner.root, spoil=True) as there:
        report = await errands("pull", {"port": there.port}).run("errand")
    assert report.moved == []
    assert [each.reason for each in report.failures] == ["the server's digest is another: what came is not what it has"]
    assert [path.name for path in ours.iterdir() if "part" not in path.name] == []
