"""Whatever a client sends, it is answered or the channel ends: never a traceback, never without an answer, nothing left open."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.acceptance.bulk.sftp.folder_tree import FolderTree

from fiveways.methods.bulk.sftp import wire
from fiveways.methods.bulk.sftp.conversation import _EXTENDED, Conversation
from fiveways.methods.bulk.sftp.wire import Frames, Malformed

PATHS = st.sampled_from([b"/", b"", b"a", b"/a", b"b/c", b"..", b"/a/../b", b"\xff", b"x" * 300, b"a\0", b"/d", b"/d/e"])
HANDLES = st.one_of(st.integers(0, 6).map(lambda number: number.to_bytes(8, "big")), st.binary(max_size=9))
NUMBERS = st.one_of(st.integers(0, 40), st.sampled_from([2**16, 2**31, 2**32 - 1]))
LONGS = st.one_of(st.integers(0, 40), st.sampled_from([2**20, 2**40, 2**63, 2**64 - 1]))
FIELD = st.one_of(
    PATHS.map(wire.string), HANDLES.map(wire.string), NUMBERS.map(lambda number: number.to_bytes(4, "big")),
    LONGS.map(lambda number: number.to_bytes(8, "big")), st.binary(max_size=40),
)  # fmt: skip
STRAY = st.tuples(st.integers(0, 255), st.lists(FIELD, max_size=5).map(b"".join))


def _fields(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


STRING, NUMBER, LONG = (
    PATHS.map(wire.string),
    NUMBERS.map(lambda n: n.to_bytes(4, "big")),
    LONGS.map(lambda n: n.to_bytes(8, "big")),
)
HANDLE = HANDLES.map(wire.string)
ATTRS = st.one_of(
    st.just(bytes(4)), LONG.map(lambda size: b"\0\0\0\1" + size), st.just(b"\0\0\0\x08\0\0\0\1\0\0\0\2"), st.binary(max_size=12)
)
FLAGS = st.integers(0, 63).map(lambda n: n.to_bytes(4, "big"))
SENSIBLE = st.one_of(
    st.tuples(st.just(wire.OPEN), _fields(STRING, FLAGS, ATTRS)),
    st.tuples(st.just(wire.CLOSE), HANDLE),
    st.tuples(st.just(wire.READ), _fields(HANDLE, LONG, NUMBER)),
    st.tuples(st.just(wire.WRITE), _fields(HANDLE, LONG, st.binary(max_size=50).map(wire.string))),
    st.tuples(
        st.sampled_from([wire.OPENDIR, wire.REMOVE, wire.RMDIR, wire.REALPATH, wire.STAT, wire.LSTAT, wire.READLINK]), STRING
    ),
    st.tuples(st.sampled_from([wire.FSTAT, wire.READDIR]), HANDLE),
    st.tuples(st.sampled_from([wire.MKDIR, wire.SETSTAT]), _fields(STRING, ATTRS)),
    st.tuples(st.just(wire.FSETSTAT), _fields(HANDLE, ATTRS)),
    st.tuples(st.sampled_from([wire.RENAME, wire.SYMLINK]), _fields(STRING, STRING)),
    st.tuples(
        st.just(wire.EXTENDED),
        _fields(st.sampled_from(sorted(_EXTENDED)).map(wire.string), st.lists(FIELD, max_size=5).map(b"".join)),
    ),
)


async def _answers(folder: Path, requests: list[tuple[int, bytes]]) -> None:
    tree = FolderTree(folder / "files", quota=2**21)
    (folder / "files" / "d").mkdir()
    talk, frames = Conversation(tree, 4), Frames()
    frames.add(wire.answer(wire.INIT, 3, b""))
    for number, (kind, body) in enumerate(requests):
        frames.add(wire.answer(kind, number, body))
    try:
        while (packet := frames.next()) is not None:
            answer = talk.take(packet)
            answer = answer if isinstance(answer, tuple) else await answer
            answered = Frames()
            answered.add(b"".join(answer))
            told = answered.next()
            assert told is not None
            assert answered.held == 0
            assert told.number == packet.number
            assert told.kind in (wire.VERSION, wire.STATUS, wire.HANDLE, wire.DATA, wire.NAME, wire.ATTRS, wire.EXTENDED_REPLY)
    except Malformed:  # the channel ends
        pass
    await talk.abandon()
    assert tree.open == 0
    assert not list(folder.glob("../escaped"))


class Failures(logging.Handler):
    """What was logged as an error: something that nobody had thought of."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.seen: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record)


@settings(max_examples=150)
@given(st.lists(st.one_of(SENSIBLE, SENSIBLE, SENSIBLE, STRAY), max_size=12))
def test_everything_is_answered_and_nothing_stays_open(requests: list[tuple[int, bytes]]) -> None:
    handler = Failures(logging.ERROR)
    logger = logging.getLogger("fiveways.methods.bulk.sftp")
    logger.addHandler(handler)
    try:
        with TemporaryDirectory() as folder:
            asyncio.run(_answers(Path(folder), requests))
    finally:
        logger.removeHandler(handler)
    assert not handler.seen, handler.seen[0].exc_info


@pytest.mark.parametrize("first", [(wire.STAT, 1), (wire.INIT, 2)])
def test_it_begins_with_init_of_version_3(tmp_path: Path, first: tuple[int, int]) -> None:
    frames = Frames()
    frames.add(wire.answer(*first, b""))
    packet = frames.next()
    assert packet is not None
    with pytest.raises(Malformed):
        Conversation(FolderTree(tmp_path / "files"), 4).take(packet)
