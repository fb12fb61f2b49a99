"""Files are brought to a partner's server and fetched there: whole, verified, under their names, and none twice."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from tests.acceptance.bulk.errands.conftest import Make
from tests.acceptance.bulk.errands.partner import Partner

from fiveways.methods.bulk.errands.book import Book
from fiveways.methods.bulk.errands.moving import Moment

pytestmark = pytest.mark.anyio
CONTENT = os.urandom(1_000_003)


def put(folder: Path, name: str, content: bytes = CONTENT, modified: int = 1_700_000_000) -> None:
    """A file of ours."""
    (folder / name).write_bytes(content)
    os.utime(folder / name, (modified, modified))


def names(folder: Path) -> dict[str, bytes]:
    """The files of a folder of ours."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


async def test_files_are_brought_once_and_stay(partner: Partner, ours: Path, errands: Make, book: Book) -> None:
    put(ours, "a.csv")
    put(ours, "b.csv", b"")
    put(ours, "notes.txt", b"not meant")
    (ours / "folder.csv").mkdir()
    moments: list[Moment] = []
    report = await errands("push", files="*.csv").run("errand", moments.append)
    assert [(each.path, each.target, each.size) for each in report.moved] == [
        ("/a.csv", "/in/a.csv", len(CONTENT)), ("/b.csv", "/in/b.csv", 0),
    ]  # fmt: skip
    assert report.moved[0].digest == hashlib.sha256(CONTENT).hexdigest()
    assert partner.files("in") == {"a.csv": CONTENT, "b.csv": b""}
    assert set(names(ours)) == {"a.csv", "b.csv", "notes.txt"}
    assert (moments[0].file, moments[0].done, moments[0].of, moments[0].files_of) == ("/a.csv", 0, len(CONTENT), 2)
    assert max(each.done for each in moments) == len(CONTENT)
    partner.asked.clear()
    assert (await errands("push", files="*.csv").run("errand")).moved == []
    assert partner.asked == [], "what was moved is not looked at again"
    life = [(each.happening, each.state) for each in await book.history((await book.listed())[0].id)]
    assert life == [("see", "seen"), ("begin", "moving"), ("ready", "ready"), ("place", "placed"), ("settle", "settled")]
    assert {row.cipher for row in await book.listed()} == {"aes128-gcm@openssh.com"}
    assert all(row.host_key.startswith("SHA256:") for row in await book.listed())


async def test_files_are_fetched_once_and_stay(partner: Partner, ours: Path, errands: Make) -> None:
    partner.put("out/a.csv", CONTENT)
    partner.put("out/ä ☃.csv", b"snow")
    partner.put("out/.hidden.csv", b"not meant")
    (partner.root / "out" / "folder.csv").mkdir()
    (partner.root / "out" / "link.csv").symlink_to("/etc/hostname")
    report = await errands("pull", files="*.csv").run("errand")
    assert sorted((each.path, each.target) for each in report.moved) == [("/out/a.csv", "/a.csv"), ("/out/ä ☃.csv", "/ä ☃.csv")]
    assert names(ours) == {"a.csv": CONTENT, "ä ☃.csv": b"snow"}
    partner.asked.clear()
    assert (await errands("pull", files="*.csv").run("errand")).moved == []
    assert partner.asked == ["list"]


async def test_what_is_brought_has_another_name_until_it_is_whole(partner: Partner, ours: Path, errands: Make) -> None:
    put(ours, "a.csv")
    seen: list[set[str]] = []
    partner.on = lambda partner, what: seen.append(set(partner.files("in"))) if what.startswith(("write", "rename")) else None
    await errands("push").run("errand")
    assert seen
    assert all("a.csv" not in each for each in seen)
    assert all(name.endswith(".part") for each in seen for name in each)


@pytest.mark.parametrize("do", ["push", "pull"])
async def test_a_file_that_has_become_another_is_moved_again(do: str, partner: Partner, ours: Path, errands: Make) -> None:
    put(ours, "a.csv", b"one")
    partner.put("out/a.csv", b"one")
    assert len((await errands(do, files="a*", existing="replace").run("errand")).moved) == 1
    put(ours, "a.csv", b"two", 1_700_000_001)
    partner.put("out/a.csv", b"two", 1_700_000_001)
    assert len((await errands(do, files="a*", existing="replace").run("errand")).moved) == 1
    assert (partner.files("in") if do == "push" else names(ours))["a.csv"] == b"two"


@pytest.mark.parametrize("do", ["push", "pull"])
async def test_the_same_content_is_moved_again_or_not(do: str, partner: Partner, ours: Path, errands: Make) -> None:
    def again(modified: int) -> None:
        put(ours, "b.csv", b"same", modified)
        partner.put("out/a.csv", b"same", modified)

    make = {"files": "b.csv" if do == "push" else "a.csv", "existing": "replace"}
    again(1)
    assert len((await errands(do, **make).run("errand")).moved) == 1
    again(2)
    report = await errands(do, same_content="skip", **make).run("errand")
    assert (len(report.moved), report.skipped) == (0, 1)
    assert (await errands(do, same_content="skip", **make).run("errand")).skipped == 0, "that is known"
    again(3)
    assert len((await errands(do, **make).run("errand")).moved) == 1
    assert not [name for name in (*partner.files("in"), *names(ours)) if "part" in name]


async def test_a_name_that_is_taken_is_not_taken_over(partner: Partner, ours: Path, errands: Make) -> None:
    put(ours, "a.csv", b"ours")
    put(ours, "b.csv", b"another")
    partner.put("in/a.csv", b"theirs")
    report = await errands("push").run("errand")
    assert [(each.path, each.reason) for each in report.refusals] == [("/a.csv", "there is a file of its name on the server")]
    assert [each.path for each in report.moved] == ["/b.csv"], "one bad file does not stop the others"
    assert partner.files("in") == {"a.csv": b"theirs", "b.csv": b"another"}
    (partner.root / "in/a.csv").unlink()
    assert [each.path for each in (await errands("push").run("errand")).moved] == ["/a.csv"], "the reason is gone"


async def test_a_name_that_is_taken_here_is_not_taken_over(partner: Partner, ours: Path, errands: Make) -> None:
    put(ours, "a.csv", b"ours")
    partner.put("out/a.csv", b"theirs")
    report = await errands("pull").run("errand")
    assert [each.reason for each in report.refusals] == ["there is a file of its name here"]
    assert names(ours) == {"a.csv": b"ours"}
    assert [each.path for each in (await errands("pull", existing="replace").run("errand")).moved] == ["/out/a.csv"]
    assert names(ours) == {"a.csv": b"theirs"}


async def test_what_was_brought_can_be_removed_here(partner: Partner, ours: Path, errands: Make) -> None:
    put(ours, "a.csv")
    await errands("push", after="remove").run("errand")
    assert (partner.files("in"), names(ours)) == ({"a.csv": CONTENT}, {})


async def test_what_was_fetched_can_be_removed_there(partner: Partner, ours: Path, errands: Make) -> None:
    partner.put("out/a.csv", CONTENT)
    await errands("pull", after="remove").run("errand")
    assert (partner.files("out"), names(ours)) == ({}, {"a.csv": CONTENT})


async def test_what_was_fetched_can_be_moved_there(partner: Partner, ours: Path, errands: Make) -> None:
    partner.put("out/a.csv", b"one")
    await errands("pull", after="move").run("errand")
    (ours / "a.csv").unlink()
    partner.put("out/a.csv", b"two", 1_700_000_001)
    await errands("pull", after="move").run("errand")
    assert partner.files("out") == {}
    done = partner.files("out/done")
    assert (done["a.csv"], sorted(done.values())) == (b"one", [b"one", b"two"])


async def test_a_file_is_fetched_once_its_marker_is_there_and_both_go(partner: Partner, ours: Path, errands: Make) -> None:
    make = {"complete_when": {"marker": "{stem}.ok"}, "after": "remove", "files": "*"}
    partner.put("out/a.csv", CONTENT)
    partner.put("out/b.csv", b"whole")
    partner.put("out/b.ok", b"")
    report = await errands("pull", **make).run("errand")
    assert ([each.path for each in report.moved], report.waiting) == (["/out/b.csv"], 1)
    assert set(partner.files("out")) == {"a.csv"}
    partner.put("out/a.ok", b"")
    assert [each.path for each in (await errands("pull", **make).run("errand")).moved] == ["/out/a.csv"]
    assert (partner.files("out"), set(names(ours))) == ({}, {"a.csv", "b.csv"})


async def test_a_file_is_brought_once_its_marker_is_there_and_both_go(partner: Partner, ours: Path, errands: Make) -> None:
    make = {"complete_when": {"marker": "{name}.done"}, "after": "remove", "most_files": 1}
    put(ours, "a.csv", modified=1)
    put(ours, "b.csv", b"whole", modified=2)
    put(ours, "b.csv.done", b"")
    report = await errands("push", **make).run("errand")
    assert ([each.path for each in report.moved], report.waiting) == (["/b.csv"], 1)
    assert (set(names(ours)), set(partner.files("in"))) == ({"a.csv"}, {"b.csv"})


async def test_a_file_is_fetched_once_it_is_still(partner: Partner, ours: Path, errands: Make) -> None:
    still = {"complete_when": {"still_for": "400ms"}}
    partner.put("out/a.csv", b"one")
    partner.put("out/b.csv", b"growing")

    def grow(partner: Partner, what: str) -> None:
        if what.startswith("open"):
            partner.put("out/b.csv", b"growing still", 1_700_000_009)
            partner.on = None

    partner.on = grow
    report = await errands("pull", **still).run("errand")
    assert [each.path for each in report.moved] == ["/out/a.csv"]
    assert [(each.path, each.reason) for each in report.failures] == [("/out/b.csv", "the file is another than was listed")]
    assert names(ours) == {"a.csv": b"one"}
    assert [each.path for each in (await errands("pull", **still).run("errand")).moved] == ["/out/b.csv"]
    report = await errands("pull", complete_when={"still_for": "1h"}, files="c*").run("errand")
    partner.put("out/c.csv", b"three")
    report = await errands("pull", complete_when={"still_for": "1h"}, files="c*").run("errand")
    assert (report.moved, report.waiting) == ([], 1)
    assert report.again_in is not None
    assert 3500 < report.again_in <= 3600


async def test_a_file_that_grows_while_it_is_read_is_not_taken(partner: Partner, ours: Path, errands: Make) -> None:
    path = partner.put("out/a.csv", CONTENT)

    def grow(partner: Partner, what: str) -> None:
        if what.startswith("read"):
            partner.on = None
            with path.open("ab") as file:
                file.write(b"more")

    partner.on = grow
    report = await errands("pull").run("errand")
    assert (report.moved, [each.reason for each in report.failures]) == ([], ["the file is another than was listed"])
    assert list(ours.iterdir()) == [], "nothing is left of it"
    assert [each.size for each in (await errands("pull").run("errand")).moved] == [len(CONTENT) + 4]


async def test_most_files_of_a_run_and_largest(partner: Partner, ours: Path, errands: Make) -> None:
    for number in range(5):
        put(ours, f"{number}.csv", b"x" * number, 1_700_000_000 - number)
    report = await errands("push", most_files=2, largest=3).run("errand")
    assert [each.path for each in report.moved] == ["/3.csv"], "oldest first"
    assert [(each.path, each.reason) for each in report.refusals] == [("/4.csv", "the file is over 3 bytes")]
    assert report.left == 3
    assert report.say() == "1 moved, 1 refused, 3 left for the next run; the file is over 3 bytes"


@pytest.mark.parametrize("do", ["push", "pull"])
async def test_several_files_at_once(do: str, partner: Partner, ours: Path, errands: Make) -> None:
    for number in range(40):
        put(ours if do == "push" else partner.root / "out", f"{number}.csv", f"{number}".encode())
    bad = ours if do == "pull" else partner.root / "in"
    (bad / "7.csv").write_bytes(b"in the way")
    report = await errands(do, at_once=8).run("errand")
    assert (len(report.moved), report.refused) == (39, 1)
    there = partner.files("in") if do == "push" else names(ours)
    assert there == {f"{number}.csv": f"{number}".encode() for number in range(40)} | {"7.csv": b"in the way"}


async def test_a_folder_of_the_machine(partner: Partner, tmp_path: Path, errands: Make) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    partner.put("out/a.csv", CONTENT)
    await errands("pull", to=f"file:{elsewhere}").run("errand")
    assert names(elsewhere) == {"a.csv": CONTENT}
    report = await errands("push", **{"from": f"file:{elsewhere}", "complete_when": {"still_for": "1h"}}).run("errand")
    assert report.waiting == 1, "another program may be writing it"
    await errands("push", **{"from": f"file:{elsewhere}", "complete_when": {"still_for": "0s"}}).run("errand")
    assert partner.files("in") == {"a.csv": CONTENT}
