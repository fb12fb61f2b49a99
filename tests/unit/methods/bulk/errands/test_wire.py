"""SFTP's client side: whatever a server says is an answer, or the end of the session."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.methods.bulk.errands.scripted import Scripted, attrs, data, handle, names, status

from fiveways.methods.bulk.errands.failures import FileFailed, FileRefused, LineLost
from fiveways.methods.bulk.errands.remote import Remote, Secured
from fiveways.methods.bulk.errands.wire import LONGEST, Attributes, Kind, Unsupported, Wire, string

pytestmark = pytest.mark.anyio


class Sink:
    """Where requests go that nobody answers."""

    def write(self, data: bytes) -> None:
        """Nobody reads it."""


def wire_that_hears(said: bytes, *, over: bool = True) -> Wire:
    """A session in which a server says this, whatever it is asked."""
    reader = asyncio.StreamReader()
    reader.feed_data(struct.pack(">IBI", 5, Kind.VERSION, 3) + said)
    if over:
        reader.feed_eof()
    return Wire(reader, Sink(), 0.1)


def packet(kind: int, number: int, rest: bytes = b"") -> bytes:
    """What a server says."""
    return struct.pack(">IBI", 5 + len(rest), kind, number) + rest


async def remote(answer: bytes | None, extensions: dict[bytes, bytes] | None = None) -> Remote:
    """A server that always answers so."""
    return Remote(await Scripted(lambda kind, rest: answer, extensions).wire(), Secured("none", "none"))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "the line was cut"),
        (packet(Kind.ATTRS, 0)[:7], "the line was cut"),
        (struct.pack(">I", LONGEST + 1) + b"x", f"of {LONGEST + 1} bytes"),
        (struct.pack(">I", 0xFFFFFFFF), "of 4294967295 bytes"),
        (struct.pack(">I", 0), "of 0 bytes"),
        (packet(Kind.ATTRS, 7), "answers what was not asked"),
        (packet(Kind.DATA, 0, string(b"x")), "is to something else"),
        (packet(Kind.ATTRS, 0), "shorter than it says"),
        (packet(Kind.ATTRS, 0, struct.pack(">II", 0x80000000, 0xFFFFFFFF)), "shorter than it says"),
        (packet(Kind.STATUS, 0, b"\0"), "shorter than it says"),
        (packet(Kind.STATUS, 0, struct.pack(">I", 0)), "yes to a question"),
    ],
)
async def test_what_is_no_answer_ends_the_session(said: bytes, why: str) -> None:
    wire = wire_that_hears(said)
    await wire.begin()
    with pytest.raises(LineLost, match=why):
        (await wire.expect(Kind.ATTRS, wire.request(Kind.LSTAT, string(b"x")))).attributes()
    await wire.close()


@pytest.mark.parametrize(
    "said", [b"", b"\0\0\0\5", packet(Kind.STATUS, 3), packet(Kind.VERSION, 6), b"SSH-2.0-no SFTP at all\r\n" * 10]
)
async def test_what_does_not_begin_sftp(said: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(said)
    reader.feed_eof()
    with pytest.raises(LineLost):
        await Wire(reader, Sink(), 0.1).begin()


async def test_a_server_that_says_nothing() -> None:
    with pytest.raises(LineLost, match="does not begin"):
        await Wire(asyncio.StreamReader(), Sink(), 0.05).begin()
    wire = wire_that_hears(b"", over=False)
    await wire.begin()
    waiting = [wire.request(Kind.LSTAT, string(b"x")) for _ in range(3)]
    with pytest.raises(LineLost, match=r"no answer within 0.1 s"):
        await wire.expect(Kind.ATTRS, waiting[0])
    with pytest.raises(LineLost):
        await wire.expect(Kind.ATTRS, waiting[2])
    with pytest.raises(LineLost):
        wire.request(Kind.LSTAT, string(b"x"))
    await wire.close()


@given(st.binary(max_size=400))
async def test_whatever_a_server_says_is_an_answer_or_the_end(said: bytes) -> None:
    wire = wire_that_hears(said)
    there = Remote(wire, Secured("none", "none"))
    try:
        await wire.begin()
        await there.stat("x")
        async for _ in there.list("x"):
            pass
        async with there.open("x") as file:
            await file.read(0, 10)
    except (LineLost, FileFailed, FileRefused, FileNotFoundError, EOFError):
        pass
    finally:
        await wire.close()


@given(st.sampled_from(sorted(Kind)), st.binary(max_size=200), st.booleans())
async def test_whatever_an_answer_has_in_it(kind: Kind, rest: bytes, short: bool) -> None:
    answer = bytes((kind,)) + (rest if short else struct.pack(">I", 2) + rest)
    there = await remote(answer, {b"check-file": b"sha256", b"fsync@openssh.com": b"1"})
    for call in (there.stat("x"), there.digest("x", "sha256", 0, 1), there.remove("x"), _listed(there), _read(there)):
        try:
            await asyncio.wait_for(call, 5)
        except (LineLost, FileFailed, FileRefused, FileNotFoundError, EOFError):
            pass


async def _listed(there: Remote) -> None:
    pages = 0
    async for _ in there.list("x"):
        pages += 1
        if pages > 3:
            return


async def _read(there: Remote) -> None:
    async with there.open("x") as file:
        await file.attributes()
        await file.sync()
        await file.read(0, 10)


async def test_limits_are_the_servers_and_never_above_ours() -> None:
    for reading, writing, most in ((0, 0, 255 * 1024), (2**40, 2**40, 255 * 1024), (1000, 2000, 1000), (1, 1, 512)):
        told = bytes((Kind.EXTENDED_REPLY,)) + struct.pack(">QQQQ", 0, reading, writing, 0)
        wire = await Scripted(lambda kind, rest, told=told: told, {b"limits@openssh.com": b"1"}).wire()  # type: ignore[misc]
        assert wire.most == most
        await wire.close()
    assert (await Scripted(lambda kind, rest: None).wire()).most == 32 * 1024


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (1, EOFError), (2, FileNotFoundError), (3, FileRefused), (4, FileFailed), (5, FileFailed), (7, LineLost), (8, Unsupported),
        (10, FileNotFoundError), (14, FileFailed), (99, FileFailed), (2**32 - 1, FileFailed),
    ],
)  # fmt: skip
async def test_what_a_status_means(code: int, raised: type[Exception]) -> None:
    there = await remote(status(code))
    with pytest.raises(raised) as caught:
        async with there.open("x"):
            pass
    assert "what the server says" not in str(caught.value), "it may name whom a file is about"


async def test_more_than_was_asked_for_is_not_taken() -> None:
    scripted = Scripted(lambda kind, rest: handle() if kind == Kind.OPEN else data(b"x" * 11))
    there = Remote(await scripted.wire(), Secured("none", "none"))
    with pytest.raises(LineLost, match="more than was asked"):
        async with there.open("x") as file:
            await file.read(0, 10)


async def test_a_listing_that_never_says_anything_ends_the_session() -> None:
    scripted = Scripted(lambda kind, rest: handle() if kind == Kind.OPENDIR else names({}))
    there = Remote(await scripted.wire(), Secured("none", "none"))
    with pytest.raises(LineLost, match="does not go on"):
        await _listed(there)


async def test_attributes_that_are_not_said() -> None:
    there = await remote(bytes((Kind.ATTRS,)) + struct.pack(">I", 0))
    assert await there.stat("x") == Attributes(None, None, None)
    there = await remote(attrs(5, 7, 0o120777))
    said = await there.stat("x")
    assert said == Attributes(5, 7, 0o120777)
    assert not said.is_file


async def test_digests_are_asked_for_where_they_are_given() -> None:
    reply = bytes((Kind.EXTENDED_REPLY,)) + string(b"sha256") + b"d" * 32
    named = bytes((Kind.EXTENDED_REPLY,)) + string(b"check-file") + string(b"sha256") + b"d" * 32
    other = bytes((Kind.EXTENDED_REPLY,)) + string(b"md5") + b"d" * 16
    for answer, expected in ((reply, b"d" * 32), (named, b"d" * 32), (other, None), (status(8), None), (status(4), None)):
        there = await remote(answer, {b"check-file": b"md5,sha256"})
        assert list(there.digests) == ["sha256"]
        assert await there.digest("x", "sha256", 0, 1) == expected
        assert await there.digest("x", "blake3", 0, 1) is None
    for extensions in ({}, {b"check-file": b"md5,sha1"}, {b"check-file": b"1"}):
        assert list((await remote(reply, extensions)).digests) == []
