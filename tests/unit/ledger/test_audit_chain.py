"""The chain's pure part: encoding, hash, signature, and the lines that segments leave."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from fiveways.ledger.audit.chain import GENESIS, Head, Segment, hash_event, head_of_row, holds, prefix, read_line, sign_line
from fiveways.ledger.audit.event import AuditEvent, decode, encode
from fiveways.ledger.audit.tables import key

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SEGMENT = Segment(1, "node", 1, 5, 5, "00", "01", 0, "00")
chains = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
links = st.binary(min_size=32, max_size=136)
seqs = st.integers(1, 2**62)
texts = st.text(max_size=50)


@given(at=st.integers(0, 2**63 - 1), kind=texts, id=texts, status=st.integers(0, 999), details=st.dictionaries(texts, texts))
def test_an_event_reads_back_from_its_canonical_form(at: int, kind: str, id: str, status: int, details: dict[str, str]) -> None:  # noqa: A002
    event = AuditEvent(at=at, kind=kind, id=id, status=status, details=details)
    assert decode(encode(event)) == event
    shuffled = msgspec.structs.replace(event, details=dict(reversed(details.items())))
    assert encode(shuffled) == encode(event)


@given(one=st.tuples(links, chains, seqs, st.binary()), other=st.tuples(links, chains, seqs, st.binary()))
def test_events_that_differ_in_anything_hash_differently(
    one: tuple[bytes, str, int, bytes], other: tuple[bytes, str, int, bytes]
) -> None:
    same_length = len(one[0]) == len(other[0])
    hashes = [hash_event(link, prefix(chain), seq, body) for link, chain, seq, body in (one, other)]
    assert (hashes[0] == hashes[1]) == (one == other) or not same_length


@given(position=st.integers(0, 103), bit=st.integers(0, 7))
def test_a_mark_with_one_bit_changed_does_not_hold(position: int, bit: int) -> None:
    head = Head("node", 7, b"h" * 32, 3, b"d" * 32).signed(KEY)
    mark = bytearray(head.mark())
    assert head_of_row("node", 7, b"h" * 32, bytes(mark)) == head
    mark[position] ^= 1 << bit
    changed = head_of_row("node", 7, b"h" * 32, bytes(mark))
    assert not holds(KEY.public_key(), changed.signature, changed.message())


@pytest.mark.parametrize("change", [{"chain": "mode"}, {"seq": 8}, {"hash": b"i" * 32}, {"segments": 4}, {"digest": GENESIS}])
def test_a_head_is_signed_in_all_its_parts(change: dict[str, object]) -> None:
    head = Head("node", 7, b"h" * 32, 3, b"d" * 32).signed(KEY)
    assert holds(KEY.public_key(), head.signature, head.message())
    changed = msgspec.structs.replace(head, **change)
    assert not holds(KEY.public_key(), changed.signature, changed.message())


def test_a_segments_line_reads_back_only_as_it_was_signed() -> None:
    line = sign_line(SEGMENT, KEY)
    read = read_line(line, KEY.public_key())
    assert read is not None
    assert msgspec.structs.replace(read, signature="") == SEGMENT
    assert read_line(line.replace(b'"rows":5', b'"rows":4'), KEY.public_key()) is None
    assert read_line(line, Ed25519PrivateKey.generate().public_key()) is None


@given(st.binary())
def test_any_other_line_is_refused_without_an_error(text: bytes) -> None:
    assert read_line(text, KEY.public_key()) is None


def test_keys_of_one_bucket_lie_together_and_nothing_has_none() -> None:
    assert key(1, "") is None
    first = [key(seq, "some id") for seq in (0, 4095, 4096)]
    assert first[0] == first[1] != first[2]
    assert first[2] is not None
    assert first[2] >> 32 == 1
