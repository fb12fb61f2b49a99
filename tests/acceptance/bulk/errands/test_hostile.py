"""A partner's server that is not what it should be: another, silent, lying, or without end."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import TypeAdapter
from tests.acceptance.bulk.errands.conftest import Make
from tests.acceptance.bulk.errands.partner import HOST_KEY, OUR_KEY, Partner
from tests.unit.methods.bulk.errands.scripted import OK, Answering, Scripted, attributes, attrs, data, handle, names, status

from fiveways.clock import SystemClock
from fiveways.methods.bulk.errands.book import Book
from fiveways.methods.bulk.errands.errands import OutOfTime
from fiveways.methods.bulk.errands.failures import LineLost, NotAdmitted, NotTrusted
from fiveways.methods.bulk.errands.folder import Folder
from fiveways.methods.bulk.errands.pull import Pulling
from fiveways.methods.bulk.errands.push import Pushing
from fiveways.methods.bulk.errands.remote import Remote, Secured
from fiveways.methods.bulk.errands.settings import Errand
from fiveways.methods.bulk.errands.wire import Kind

pytestmark = pytest.mark.anyio
FINGERPRINT = HOST_KEY.get_fingerprint("sha256")
OTHER = asyncssh.generate_private_key("ssh-ed25519")


# --- who it is, and who we are ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pinned",
    [
        [HOST_KEY.export_public_key().decode()],
        [f"sftp.example.nhs.uk {HOST_KEY.export_public_key().decode()}"],
        [FINGERPRINT],
        [f"ssh-ed25519 {FINGERPRINT}"],
        [f"256 {FINGERPRINT} comment (ED25519)"],
        [OTHER.export_public_key().decode(), FINGERPRINT],
    ],
)
async def test_a_server_whose_key_is_pinned(pinned: list[str], errands: Make) -> None:
    assert (await errands("pull", {"host_keys": pinned}).run("errand")).say() == "0 moved"


async def test_a_server_whose_key_is_another(partner: Partner, ours: Path, errands: Make) -> None:
    (ours / "a.csv").write_bytes(b"secret")
    for pinned in ([OTHER.export_public_key().decode()], [OTHER.get_fingerprint("sha256")]):
        with pytest.raises(NotTrusted, match="none of those that are pinned; it has shown SHA256:") as caught:
            await errands("push", {"host_keys": pinned}).run("errand")
        assert FINGERPRINT in str(caught.value)
    with pytest.raises(NotTrusted, match="no algorithm in common"):
        await errands("push", {"host_keys": [f"ssh-rsa {FINGERPRINT}"]}).run("errand")
    assert partner.asked == []


async def test_known_hosts_of_the_account_are_not_looked_at(
    partner: Partner, tmp_path: Path, errands: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    known = f"[127.0.0.1]:{partner.port} {HOST_KEY.export_public_key().decode()}127.0.0.1 {HOST_KEY.export_public_key().decode()}"
    (tmp_path / ".ssh" / "known_hosts").write_text(known)
    (tmp_path / ".ssh" / "config").write_text("Host *\n  User somebody\n  StrictHostKeyChecking no\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NotTrusted):
        await errands("pull", {"host_keys": [OTHER.get_fingerprint("sha256")]}).run("errand")


async def test_a_server_that_does_not_let_us_in(partner: Partner, errands: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    (partner.base / "other").write_bytes(OTHER.export_private_key())
    (partner.base / "locked").write_bytes(OUR_KEY.export_private_key(passphrase="correct horse", rounds=16, ignore_few_rounds=True))
    monkeypatch.setenv("PHRASE", "correct horse")
    monkeypatch.setenv("WRONG", "battery staple")
    monkeypatch.setenv("PASSWORD", "open sesame")
    for said in ({"key": "file:other"}, {"user": "somebody"}, {"key": None, "password": "env:WRONG"}):
        with pytest.raises(NotAdmitted, match="does not take our key or password"):
            await errands("pull", said).run("errand")
    with pytest.raises(NotAdmitted, match="not where the deployment file says"):
        await errands("pull", {"key": "file:none"}).run("errand")
    for said in ({"key": "file:locked"}, {"key": "file:locked", "passphrase": "env:WRONG"}):
        with pytest.raises(NotAdmitted, match="cannot be read") as caught:
            await errands("pull", said).run("errand")
        assert "battery" not in str(caught.value)
    for said in ({"key": "file:locked", "passphrase": "env:PHRASE"}, {"key": None, "password": "env:PASSWORD"}):
        assert (await errands("pull", said).run("errand")).say() == "0 moved"


async def test_a_server_that_is_not_there(partner: Partner, errands: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(LineLost, match="cannot be reached"):
        await errands("pull", {"port": port}).run("errand")


async def test_a_server_that_is_silent_or_no_server(errands: Make) -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n" * 10)
        writer.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(LineLost, match=r"did not let us in within 0.2 s"):
            await errands("pull", {"port": silent.getsockname()[1], "connect": "200ms"}).run("errand")
    server = await asyncio.start_server(chatter, "127.0.0.1", 0)
    async with server:
        with pytest.raises(LineLost, match="cannot be reached"):
            await errands("pull", {"port": server.sockets[0].getsockname()[1]}).run("errand")


async def test_a_run_that_takes_too_long(partner: Partner, errands: Make) -> None:
    partner.put("out/a.csv", b"x")
    with pytest.raises(OutOfTime, match=r"not done within 0.3 s"):
        await errands("pull", time_limit="300ms", complete_when={"still_for": "1m"}).run("errand")


async def test_names_that_a_server_cannot_know_about(partner: Partner, ours: Path, errands: Make) -> None:
    """They are names, of no file of its own."""
    bad = [
        b"../escaped",
        b"/etc/passwd",
        b"a/b",
        b"a\\b",
        b"a\nb",
        b"a\x1b[2Jb",
        b"a\x00b",
        b"\xff\xfe",
        "a\u202eb".encode(),
        b"",
        b" a",
    ]
    partner.extra = dict.fromkeys((*bad, b"." * 3 + b"/x", b"n" * 256), b"1") | {b"gone.csv": b"1"}
    partner.put("out/good.csv", b"good")
    report = await errands("pull").run("errand")
    assert [each.path for each in report.moved] == ["/out/good.csv"]
    assert report.refused == len(bad) + 2
    assert {each.reason for each in report.refusals} == {
        "its name is none that we take: no UTF-8, characters that cannot be seen, or a slash"
    }  # fmt: skip
    assert [(each.path, each.reason) for each in report.failures] == [
        ("/out/gone.csv", "the file, or the folder that it goes to, is not there")
    ]  # fmt: skip
    assert [path.name for path in ours.iterdir()] == ["good.csv"]
    assert not (ours.parent / "escaped").exists()


async def test_folders_that_are_not_there(partner: Partner, ours: Path, errands: Make) -> None:
    (ours / "a.csv").write_bytes(b"x")
    report = await errands("push", to="/nowhere").run("errand")
    assert [each.reason for each in report.failures] == ["the file, or the folder that it goes to, is not there"]
    report = await errands("pull", **{"from": "/nowhere"}).run("errand")
    assert [(each.path, each.reason) for each in report.failures] == [("", "the folder that files come from is not there")]


# --- what it says -------------------------------------------------------------------------------------------------------------

Run = Callable[..., Any]


@pytest.fixture
def run(ours: Path, book: Book) -> Run:
    """Runs an errand against a server that answers as it is told to."""

    async def made(do: str, answering: Answering, extensions: dict[bytes, bytes] | None = None, **settings: Any) -> Any:
        where = {"from": "/", "to": "/in"} if do == "push" else {"from": "/out", "to": "/", "complete_when": {"still_for": "0s"}}
        errand = TypeAdapter[Any](Errand).validate_python({"do": do, "partner": "rxn", **where, **settings})
        remote = Remote(await Scripted(answering, extensions).wire(), Secured("none", "none"))
        kind: Any = Pushing if do == "push" else Pulling
        return await kind("errand", errand, remote, Folder(ours), book, SystemClock(), lambda moment: None).run()

    return made


def listing(files: dict[bytes, bytes], otherwise: Answering) -> Answering:
    """A server with files in its folder."""
    told = [False]

    def answering(kind: int, rest: bytes) -> bytes | None:
        if kind in (Kind.OPENDIR, Kind.OPEN):
            return handle()
        if kind == Kind.READDIR:
            if told[0]:
                return status(1)
            told[0] = True
            return names(files)
        if kind == Kind.CLOSE:
            return OK
        return otherwise(kind, rest)

    return answering


async def test_a_listing_without_end(run: Run, ours: Path) -> None:
    pages = [0]

    def answering(kind: int, rest: bytes) -> bytes | None:
        if kind == Kind.READDIR:
            pages[0] += 1
            return names({f"{pages[0]}-{number}.txt".encode(): attributes(1) for number in range(100)})
        return handle() if kind == Kind.OPENDIR else OK

    report = await run("pull", answering, files="*.csv", listing=1000)
    assert (report.moved, report.left) == ([], 100)
    assert pages[0] == 11


async def test_a_listing_of_one_name_again_and_again(run: Run) -> None:
    def answering(kind: int, rest: bytes) -> bytes | None:
        if kind == Kind.READDIR:
            return names({b"a.csv": attributes(1)})
        return handle() if kind in (Kind.OPENDIR, Kind.OPEN) else attrs(2) if kind == Kind.FSTAT else OK

    report = await run("pull", answering, listing=50)
    assert [each.path for each in report.failures] == ["/out/a.csv"]


@pytest.mark.parametrize(
    "answer", [data(b""), status(1), data(b"x" * 5)], ids=["nothing", "the end", "too little, and then the end"]
)
async def test_a_file_that_is_shorter_than_it_says(run: Run, ours: Path, answer: bytes) -> None:
    given = [answer]

    def answering(kind: int, rest: bytes) -> bytes | None:
        if kind == Kind.READ:
            return given.pop() if given else status(1)
        return attrs(10)

    report = await run("pull", listing({b"a.csv": attributes(10)}, answering))
    assert [each.reason for each in report.failures] == ["the file has become shorter while it was read"]
    assert list(ours.iterdir()) == []


async def test_a_file_that_is_longer_than_it_says(run: Run, ours: Path) -> None:
    def answering(kind: int, rest: bytes) -> bytes | None:
        return data(b"x" * int.from_bytes(rest[-4:], "big")) if kind == Kind.READ else attrs(10)

    report = await run("pull", listing({b"a.csv": attributes(10)}, answering))
    assert [each.reason for each in report.failures] == ["the file has grown while it was moved"]
    assert list(ours.iterdir()) == []


async def test_a_file_that_comes_one_byte_at_a_time(run: Run, ours: Path) -> None:
    content = os.urandom(300)

    def answering(kind: int, rest: bytes) -> bytes | None:
        if kind == Kind.READ:
            at = int.from_bytes(rest[5:13], "big")
            return data(content[at : at + 1]) if at < len(content) else status(1)
        return attrs(len(content))

    assert len((await run("pull", listing({b"a.csv": attributes(len(content))}, answering))).moved) == 1
    assert (ours / "a.csv").read_bytes() == content


async def test_what_is_listed_as_a_file_and_opened_as_something_else(run: Run, ours: Path) -> None:
    report = await run("pull", listing({b"a.csv": attributes(10)}, lambda kind, rest: attrs(10, mode=0o020666)))
    assert [each.reason for each in report.refusals] == ["it is no ordinary file"]


async def test_a_server_that_stalls_in_the_middle(run: Run, ours: Path) -> None:
    def answering(kind: int, rest: bytes) -> bytes | None:
        return None if kind == Kind.READ else attrs(10**6)

    with pytest.raises(LineLost, match=r"no answer within 0.2 s"):
        await run("pull", listing({b"a.csv": attributes(10**6)}, answering))


async def test_a_server_that_says_it_has_what_it_has_not(run: Run, ours: Path) -> None:
    (ours / "a.csv").write_bytes(b"x" * 100)

    def answering(kind: int, rest: bytes) -> bytes | None:
        if kind == Kind.LSTAT:
            return status(2)
        if kind == Kind.OPEN:
            return handle()
        return attrs(99) if kind == Kind.FSTAT else OK

    report = await run("push", answering)
    assert [each.reason for each in report.failures] == ["the server has another number of bytes than it was sent"]


async def test_a_server_that_loses_what_it_was_brought(run: Run, ours: Path) -> None:
    """Its temporary file is gone when it is to be renamed, and another has the name: it is brought once more in each run."""
    (ours / "a.csv").write_bytes(b"x" * 100)
    writes = [0]

    def answering(kind: int, rest: bytes) -> bytes | None:
        writes[0] += kind == Kind.WRITE
        if kind == Kind.RENAME or (kind == Kind.LSTAT and rest.endswith(b".part")):
            return status(2)
        if kind == Kind.LSTAT:
            return attrs(7)
        if kind == Kind.OPEN:
            return handle()
        return attrs(100) if kind == Kind.FSTAT else OK

    for number in range(1, 4):
        report = await run("push", answering, existing="replace")
        assert [each.reason for each in report.failures] == ["the file, or the folder that it goes to, is not there"]
        assert writes[0] == number


@pytest.mark.parametrize("code", [3, 4, 8, 14, 15])
async def test_a_server_that_refuses_everything(run: Run, ours: Path, code: int) -> None:
    (ours / "a.csv").write_bytes(b"x" * 100)
    report = await run("push", lambda kind, rest: status(2) if kind == Kind.LSTAT else status(code))
    assert len(report.failures) + len(report.refusals) == 1
