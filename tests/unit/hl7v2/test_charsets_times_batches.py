"""What stands around the values: character sets, moments, batches and files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.hl7v2 import batch, charsets, times
from fiveways.hl7v2.errors import MalformedMessage, UnknownCharacterSet
from fiveways.hl7v2.message import Message

LONDON = ZoneInfo("Europe/London")


def header(charset: str) -> str:
    return f"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.4||||||{charset}\r"


@pytest.mark.parametrize(
    ("charset", "codec", "name"),
    [
        ("", "utf-8", "Zoë"), ("UNICODE UTF-8", "utf-8", "Łucja"), ("8859/1", "iso-8859-1", "Zoë"),
        ("8859/15", "iso-8859-15", "Š€"),
        ("8859/2", "iso-8859-2", "Łucja"), ("8859/7", "iso-8859-7", "Ελένη"), ("ASCII", "ascii", "Zoe"), ("utf-8", "utf-8", "Zoë"),
        ("8859/1~UNICODE UTF-8", "iso-8859-1", "Zoë"), ("GB 18030-2000", "gb18030", "王"),
    ],
)  # fmt: skip
def test_bytes_are_read_as_they_say(charset: str, codec: str, name: str) -> None:
    text = header(charset) + f"PID|1||1||{name}\r"
    read, found = charsets.decode(text.encode(codec))
    assert (found, Message.parse(read).get("PID-5.1")) == (codec, name)
    assert read.encode(found) == text.encode(codec)


@pytest.mark.parametrize(
    ("charset", "codec"), [("", "iso-8859-1"), ("ASCII", "utf-8"), ("UNICODE UTF-8", "iso-8859-1"), ("KLINGON", "utf-8")]
)
def test_what_is_not_of_the_set_that_it_names_is_refused(charset: str, codec: str) -> None:
    with pytest.raises(UnknownCharacterSet):
        charsets.decode((header(charset) + "PID|1||1||Zoë\r").encode(codec))


def test_a_sender_that_says_nothing_has_a_set_of_its_own() -> None:
    content = (header("") + "PID|1||1||Zoë\r").encode("iso-8859-1")
    assert "Zoë" in charsets.decode(content, default="8859/1")[0]


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_says_it_too(codec: str) -> None:
    content = (header("") + "PID|1||1||Zoë\r").encode(codec)
    read, found = charsets.decode(content)
    assert Message.parse(read).get("PID-5.1") == "Zoë"
    assert read.encode(found) == content


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for each in (content, b"MSH|^~\\&|" + content, header("8859/1").encode() + content):
        try:
            text, codec = charsets.decode(each)
        except UnknownCharacterSet:
            continue
        assert text.encode(codec) == each


@pytest.mark.parametrize(
    ("written", "fhir", "precision"),
    [
        ("2026", "2026", "year"), ("202611", "2026-11", "month"), ("20261123", "2026-11-23", "day"),
        ("2026112309", "2026-11-23T09:00:00+00:00", "hour"), ("202607230915", "2026-07-23T09:15:00+01:00", "minute"),
        ("20261123091507", "2026-11-23T09:15:07+00:00", "second"),
        ("20261123091507.25", "2026-11-23T09:15:07.250+00:00", "fraction"),
        ("20261123091507+0200", "2026-11-23T09:15:07+02:00", "second"),
        ("20261123091507-0330", "2026-11-23T09:15:07-03:30", "second"),
        ("20261123091507+0000", "2026-11-23T09:15:07Z", "second"), ("20261231235960", "2026-12-31T23:59:59+00:00", "second"),
    ],
)  # fmt: skip
def test_moments_are_as_precise_as_they_are_said(written: str, fhir: str, precision: str) -> None:
    moment = times.parse(written, LONDON)
    assert (moment.fhir, moment.precision) == (fhir, precision)
    assert fhir.startswith(moment.date)


@pytest.mark.parametrize(
    "text", ["", "26", "20261", "20261323", "20260230", "2026112325", "20261123091599", "2026+9900", "yesterday"]
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        times.parse(text, LONDON)


@given(st.datetimes(timezones=st.sampled_from([UTC, LONDON, timezone(timedelta(hours=-5))])))
def test_moments_come_back(at: datetime) -> None:
    if not 1900 < at.year < 9990:
        return
    said = times.Moment(at.replace(microsecond=0), "second").fhir
    again = times.parse(times.written(said, LONDON), LONDON)
    assert again.at == at.replace(microsecond=0, fold=again.at.fold) or again.at.astimezone(UTC) == datetime.fromisoformat(said)


ONE = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|{}|P|2.4\rPID|1\r"
HEAD, TAIL = "FHS|^~\\&|A\r", "FTS|1\r"


@pytest.mark.parametrize(
    ("text", "batches"),
    [
        (ONE.format(1), [["1"]]),
        (ONE.format(1) + ONE.format(2), [["1", "2"]]),
        ("BHS|^~\\&|A\r" + ONE.format(1) + ONE.format(2) + "BTS|2\r", [["1", "2"]]),
        (HEAD + "BHS|^~\\&|A\r" + ONE.format(1) + "BTS|1\r" + "BHS|^~\\&|A\r" + ONE.format(2) + "BTS\rFTS|2\r", [["1"], ["2"]]),
        (HEAD + ONE.format(1) + TAIL, [["1"]]),
        ("BHS|^~\\&|A\rBTS|0\r", [[]]),
    ],
)
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_batches_and_files(text: str, batches: list[list[str]], end: str) -> None:
    read = batch.parse(text.replace("\r", end))
    assert [[message.control_id for message in each.messages] for each in read.batches] == batches
    assert [message.control_id for message in read.messages] == [each for one in batches for each in one]


@pytest.mark.parametrize(
    "text",
    ["", "hello", "BHS|^~\\&|A\r" + ONE.format(1) + "BTS|2\r", HEAD + ONE.format(1) + "FTS|7\r", HEAD + "BTS|0\r", "BTS|0\r", HEAD],
)
def test_what_is_no_batch(text: str) -> None:
    with pytest.raises(MalformedMessage):
        batch.parse(text)


@given(st.text(max_size=100))
def test_any_text_is_a_batch_or_refused(text: str) -> None:
    for each in (text, f"FHS|^~\\&|{text}", ONE.format(1) + text):
        try:
            batch.parse(each)
        except MalformedMessage:
            pass
