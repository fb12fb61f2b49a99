"""Messages are read without loss and written back as they came; what is set is read again, and nothing beside it changes."""

from __future__ import annotations

from pathlib import Path as File

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiveways.hl7v2 import charsets
from fiveways.hl7v2.delimiters import STANDARD, Delimiters
from fiveways.hl7v2.errors import MalformedMessage
from fiveways.hl7v2.escapes import escape, unescape
from fiveways.hl7v2.message import Message
from fiveways.hl7v2.path import Path

GIVEN = File(__file__).parents[4] / "shared" / "data" / "hl7v2"
ADT = (
    "MSH|^~\\&|PAS|RXN|FIVEWAYS|RXN|20261123091500||ADT^A01^ADT_A01|42|P|2.4\r"
    "PID|1||9000000009^^^NHS^NH~K123^^^RXN^MR||O\\T\\Neill&van^Anna^Maria^^Mrs||19800102|F|||1 High St^^Thornaby^^TS17 6AA\r"
    "PV1|1|I|WARD^BAY^BED|||||C1^Who^Doctor\r"
    "OBX|1|NM|a||1\rOBX|2|NM|b||2\r"
)


def test_values_by_their_paths() -> None:
    message = Message.parse(ADT)
    assert [message.get(path) for path in ("MSH-9.2", "MSH-10", "PID-3.1", "PID-3[2].1", "PID-3[2].4", "PID-5.1.2", "PID-5.2")] == [
        "A01", "42", "9000000009", "K123", "RXN", "van", "Anna",
    ]  # fmt: skip
    assert (message.get("MSH-1"), message.get("MSH-2")) == ("|", "^~\\&")
    assert message.get("PID-5.1") == "O&Neill", "whoever expects no more structure reads the first part"
    assert (message.get("OBX(2)-3"), message.get("OBX(3)-3"), message.get("ZZZ-1"), message.get("PID-40")) == ("b", "", "", "")
    assert (message.code, message.event, message.control_id) == ("ADT", "A01", "42")


@pytest.mark.parametrize("path", ["", "pid-5", "PID-0", "PID-5.", "PID-5.1.2.3", "PID-5[0]", "PID-99999", "PID(0)-1", "P1-1"])
def test_what_is_no_path_to_a_value(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        Path.parse(path)


def test_what_is_set_stands_where_it_was_put() -> None:
    message = Message.parse(ADT)
    message.set("PID-3[3].4.2", "2.16")
    message.set("PID-11.3", "a|b^c~d\\e&f\rg\nh")
    assert (message.get("PID-3[3].4.2"), message.get("PID-11.3")) == ("2.16", "a|b^c~d\\e&f\rg\nh")
    assert message.get("PID-3.1") == "9000000009"
    assert message.text.split("\r")[0] == ADT.split("\r")[0]
    assert Message.parse(message.text).get("PID-11.3") == "a|b^c~d\\e&f\rg\nh"


def test_a_message_is_made() -> None:
    message = Message.new()
    message.set("MSH-9.1", "ACK")
    message.set("MSA-1", "AA")
    assert message.text == "MSH|^~\\&|||||||ACK\rMSA|AA\r"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "\ufeff", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_of_every_kind_are_kept(end: str, before: str, last: bool) -> None:
    text = before + ADT.rstrip("\r").replace("\r", end) + (end if last else "")
    message = Message.parse(text)
    assert message.text == text
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "PV1", "OBX", "OBX"]


def test_a_value_with_a_line_end_in_it_is_one_value() -> None:
    text = ADT + "OBX|3|TX|c||first line\nsecond line|x\r"
    message = Message.parse(text)
    assert message.get("OBX(3)-5") == "first line\nsecond line"
    assert message.get("OBX(3)-6") == "x"
    assert message.text == text


@pytest.mark.parametrize(
    "text",
    ["", "PID|1", "MSH", "MSH|", "MSH||a", "MSHA^~\\&", "MSH|^^\\&|", "MSH|^~\\&#!|", "MSH|ab|", "x MSH|^~\\&|", "MSH|^~|&|"[:4]],
)
def test_what_is_no_message(text: str) -> None:
    with pytest.raises(MalformedMessage):
        Message.parse(text)


def test_delimiters_of_its_own() -> None:
    text = "MSH#*!?%#PAS#RXN#####ADT*A01#1#P#2.4\rPID#1##1*2!3*4##A%B*C?F?D\r"
    message = Message.parse(text)
    assert message.delimiters == Delimiters("#", "*", "!", "?", "%", "", "*!?%")
    assert [message.get(path) for path in ("PID-3.2", "PID-3[2].2", "PID-5.1.2", "PID-5.2")] == ["2", "4", "B", "C#D"]
    message.set("PID-8", "a#b|c")
    assert "a?F?b|c" in message.text


def test_too_much_of_anything_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="segments"):
        Message.parse(ADT + "ZZZ|1\r" * 10_001)
    with pytest.raises(MalformedMessage, match="fields"):
        Message.parse(ADT + "ZZZ" + "|" * 2000 + "\r").get("ZZZ-1")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)


@given(TEXT)
def test_what_is_escaped_is_meant_again(text: str) -> None:
    escaped = escape(text, STANDARD)
    assert unescape(escaped, STANDARD) == text
    assert not set(escaped) & set("|^~&\r\n")


@given(TEXT)
def test_any_text_is_unescaped_without_an_error(text: str) -> None:
    unescape(text, STANDARD)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"), ("\\X41\\\\X0D0A\\", "A\r\n"), ("\\.br\\", "\n"),
        ("\\H\\high\\N\\", "\\H\\high\\N\\"), ("\\Zown\\", "\\Zown\\"), ("\\XZZ\\", "\\XZZ\\"), ("C:\\dir", "C:\\dir"),
        ("\\C2842\\", "\\C2842\\"), ("\\.sp 3\\", "\\.sp 3\\"),
    ],
)  # fmt: skip
def test_escape_sequences(written: str, meant: str) -> None:
    assert unescape(written, STANDARD) == meant


FIELD = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=12)


@settings(max_examples=200)
@given(
    segments=st.lists(st.tuples(st.sampled_from(["PID", "OBX", "ZX1", "NTE"]), st.lists(FIELD, max_size=6)), max_size=6),
    end=st.sampled_from(["\r", "\n", "\r\n"]),
)
def test_every_message_comes_back_to_the_byte(segments: list[tuple[str, list[str]]], end: str) -> None:
    lines = ["MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.4", *("|".join([name, *fields]) for name, fields in segments)]
    text = end.join(lines) + end
    message = Message.parse(text)
    assert message.text == text
    assert [segment.name for segment in message.segments] == ["MSH", *(name for name, _ in segments)]
    for segment, (_, fields) in zip(message.segments[1:], segments, strict=True):
        assert segment.fields[1:] == "|".join(fields).split("|") if fields else segment.fields == [segment.name]


@settings(max_examples=200)
@given(
    value=TEXT,
    field=st.integers(3, 30),
    repetition=st.integers(1, 4),
    component=st.integers(1, 5),
    subcomponent=st.integers(1, 4),
)
def test_whatever_is_set_is_read_again(value: str, field: int, repetition: int, component: int, subcomponent: int) -> None:
    message = Message.parse(ADT)
    path = f"PV1-{field}[{repetition}].{component}.{subcomponent}"
    message.set(path, value)
    assert Message.parse(message.text).get(path) == value
    assert [s.text for s in message.segments if s.name != "PV1"] == [s.text for s in Message.parse(ADT).segments if s.name != "PV1"]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for each in (text, f"MSH|^~\\&|{text}", f"MSH{text}"):
        try:
            message = Message.parse(each)
        except MalformedMessage:
            continue
        assert message.text == each
        message.get("MSH-9.1")


@pytest.mark.parametrize("file", sorted(GIVEN.glob("*/*.hl7")) or [None], ids=lambda file: file.name if file else "none here")
def test_messages_of_others_come_back_to_the_byte(file: File | None) -> None:
    if file is None:
        pytest.skip("the messages of others are not on this machine")
    content = file.read_bytes()
    text, codec = charsets.decode(content)
    message = Message.parse(text)
    for segment in message.segments:
        for number in range(1, len(segment.fields)):
            segment.value(number)
    assert message.text.encode(codec) == content
