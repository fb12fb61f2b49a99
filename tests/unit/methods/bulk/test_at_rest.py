"""Encryption where files are kept: it opens with its own key only, piece by piece, and only as it was put."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.errors import DeploymentError, StoreError
from fiveways.methods.bulk.at_rest import PIECE, TAG, BlockCipher, Wrapping, new_data_key

KEYS = [bytes([number]) * 32 for number in (1, 2, 3)]


@pytest.mark.parametrize("said", [KEYS[0], KEYS[0].hex().encode(), base64.b64encode(KEYS[0])], ids=["raw", "hex", "base64"])
def test_a_key_may_be_written_in_three_ways(said: bytes) -> None:
    data_key = new_data_key()
    wrapping, plain = Wrapping([said]), Wrapping([KEYS[0]])
    assert plain.unwrap(wrapping.wrap(data_key), wrapping.current) == data_key
    assert wrapping.current == plain.current


@pytest.mark.parametrize("said", [b"", b"short", b"x" * 31, b"x" * 33, b"zz" * 32, base64.b64encode(b"x" * 16), b"\xff" * 64])
def test_another_key_is_refused_and_not_repeated(said: bytes) -> None:
    with pytest.raises(DeploymentError, match="32 bytes") as caught:
        Wrapping([said])
    assert not said or repr(said)[2:-1] not in str(caught.value)


def test_the_first_key_wraps_and_former_ones_open() -> None:
    old, new = Wrapping([KEYS[0]]), Wrapping([KEYS[1], KEYS[0]])
    data_key = new_data_key()
    assert new.unwrap(old.wrap(data_key), old.current) == data_key
    assert new.unwrap(new.wrap(data_key), new.current) == data_key
    assert new.current != old.current
    assert KEYS[0].hex()[:8] not in old.current


def test_a_key_that_is_not_there_a_wrong_one_and_a_damaged_one_are_store_errors() -> None:
    old, other = Wrapping([KEYS[0]]), Wrapping([KEYS[2]])
    wrapped = old.wrap(new_data_key())
    with pytest.raises(StoreError, match="does not name"):
        other.unwrap(wrapped, old.current)
    with pytest.raises(StoreError, match="does not open"):
        other.unwrap(wrapped, other.current)
    for damaged in (wrapped[:-1] + bytes([wrapped[-1] ^ 1]), wrapped[:-8], b"", b"x" * 7):
        with pytest.raises(StoreError):
            old.unwrap(damaged, old.current)


@given(st.binary(max_size=300), st.integers(0, 2**40))
def test_a_piece_comes_back_as_it_was(piece: bytes, number: int) -> None:
    cipher = BlockCipher(KEYS[0], b"salt")
    sealed = cipher.seal(number, piece)
    assert len(sealed) == len(piece) + TAG
    assert cipher.open(number, sealed) == piece


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_piece_that_was_altered_exchanged_or_cut_does_not_open(piece: bytes, data: st.DataObject) -> None:
    cipher = BlockCipher(KEYS[0], b"salt")
    sealed = bytearray(cipher.seal(3, piece))
    at = data.draw(st.integers(0, len(sealed) - 1))
    altered = bytes([*sealed[:at], sealed[at] ^ data.draw(st.integers(1, 255)), *sealed[at + 1 :]])
    for number, given_ in ((3, altered), (4, bytes(sealed)), (3, bytes(sealed[:at])), (3, bytes(sealed) + b"x")):
        with pytest.raises(StoreError, match="not what was put"):
            cipher.open(number, given_)
    for other in (BlockCipher(KEYS[1], b"salt"), BlockCipher(KEYS[0], b"other")):
        with pytest.raises(StoreError):
            other.open(3, bytes(sealed))


def test_a_whole_piece_and_an_empty_one_are_pieces_too() -> None:
    cipher = BlockCipher(new_data_key(), os.urandom(16))
    for piece in (b"", os.urandom(PIECE)):
        assert cipher.open(0, cipher.seal(0, piece)) == piece
