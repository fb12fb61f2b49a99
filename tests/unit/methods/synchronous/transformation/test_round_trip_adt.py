"""What a table names comes back: every field that the field lists of ADT say so of, and whatever else a message is made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fiveways.hl7v2.message import NULL, Message
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.v2.coverage import IGNORED, Field, fields
from fiveways.methods.synchronous.transformation.v2.families.adt import ADT
from fiveways.methods.synchronous.transformation.v2.messages import Header, UnsupportedMessage, to_fhir, to_v2
from fiveways.methods.synchronous.transformation.v2.tables.segment import FieldRow
from fiveways.methods.synchronous.transformation.v2.tables.table import Context, Table

LONDON = Context(ZoneInfo("Europe/London"), authorities={"RXN": "https://northshire.test/Id/hospital-number"})
HEADER = Header("BACK1", datetime(2026, 11, 23, 10, 15, tzinfo=UTC))
EVENTS = sorted(ADT.events)
TIME, LATER = "20200102030405+0000", "20210102030405+0000"
OID = "2.16.840.1.113883.2.1.3"

NAME = {"": "Khan", ".2": "van", ".3": "Own", ".4": "de", ".5": "Partner"}
TYPES: dict[str, list[dict[str, str]]] = {
    "CX": [
        {"1": "K12345", "4.1": "PAS", "4.2": OID, "4.3": "ISO", "5": "MR", "7": "20200101", "8": "20211231"},
        {"1": "9000000009", "4.1": "NHS", "5": "NH"},
    ],
    "XPN": [{
        **{f"1{place}": text for place, text in NAME.items()}, "2": "Aisha", "3": "Maria Jo", "4": "III", "5": "Dr", "6": "MBE",
        "7": "L", "12": TIME, "13": LATER, "14": "FRCP",
    }],
    "XCN": [{
        "1": "C123", "9.1": "GMC", "9.2": OID, "9.3": "ISO", "13": "PRN", **{f"2{place}": text for place, text in NAME.items()},
        "3": "Aisha", "4": "Maria", "5": "III", "6": "Dr", "7": "MBE", "10": "L", "19": TIME, "20": LATER, "21": "FRCP",
    }],
    "XAD": [{
        "1.1": "1", "1.2": "High St", "1.3": "A", "2": "Flat 2", "3": "Thornaby", "4": "Cleveland", "5": "TS17 6AA", "6": "GBR",
        "7": "H", "9": "E06", "13": TIME, "14": LATER, "19": "Somebody",
    }],
    "XTN": [
        {"1": "01642 123456", "3": "PH", "5": "44", "6": "1642", "7": "123456", "8": "7", "13": TIME, "14": LATER, "18": "1"},
        {"3": "Internet", "4": "a@b.test"},
    ],
    "CWE": [{
        "1": "A", "2": "Words", "3": "L1", "4": "B", "5": "Other", "6": "L2", "7": "1", "8": "2", "9": "Said", "10": "C",
        "11": "Third", "12": "L3", "13": "3",
    }],
    "PL": [{
        **{f"{n}.{m}": text for n in (1, 2, 3, 4, 7, 8) for m, text in ((1, f"P{n}"), (2, f"1.2.{n}"), (3, "ISO"))},
        "9": "By the door", "10": "L77", "11.1": "EST", "11.2": OID, "11.3": "ISO",
    }],
    "XON": [{"1": "North Surgery", "6.1": "ODS", "6.2": OID, "6.3": "ISO", "7": "XX", "10": "A81001"}, {"1": "South"}],
    "DLN": [{"1": "KHAN801020", "2": "DVLA", "3": "20300101"}],
    "ST": [{"1": "AB123456C"}],
    "EI": [{"1": "D77", "2": "PAS", "3": OID, "4": "ISO"}],
    "DLD": [{"1.1": "22", "1.2": "Home", "1.3": "L1"}],
    "HD": [{"1": "Ward 5", "2": OID, "3": "ISO"}],
}  # fmt: skip
"""Values of each component of a data type; what excludes another is in a sample of its own."""
FIELDS = {
    "EVN-2": TIME, "EVN-6": LATER, "PID-6": "Begum", "PID-7": TIME, "PID-8": "F", "PID-12": "E07", "PID-23": "Leeds",
    "PID-24": "Y", "PID-25": "2", "PID-29": TIME, "PID-30": "Y", "PID-32": "01", "PID-33": TIME, "NK1-16": "19600102",
    "PV1-40": "O", "PR1-4": "Said", "PR1-5": TIME, "PR1-7": "45", "PR1-20": "D", "GT1-8": "19600102", "GT1-9": "F",
    "GT1-13": TIME, "GT1-14": LATER, "IN1-4": "Insurers", "IN1-8": "G1", "IN1-9": "Group", "IN1-11": "Employer", "IN1-12": TIME,
    "IN1-13": LATER, "IN1-18": "19600102", "IN1-22": "1", "IN1-43": "F", "IN1-49": "S123", "ROL-5": TIME, "ROL-6": LATER,
    "PV2-12": "Some <pain>", "PV2-22": "Y", "PD1-14": "St Mary", "NK1-8": TIME, "NK1-9": LATER, "NK1-15": "M", "PV1-2": "I",
    "PV1-44": TIME, "PV1-45": LATER, "PV1-53": "Hip", "PV2-8": TIME, "PV2-9": LATER, "PV2-11": "3", "DG1-4": "Said",
    "DG1-5": TIME, "DG1-15": "1", "DG1-19": LATER, "DG1-21": "D", "AL1-2": "FA", "AL1-4": "SV", "AL1-5": "Rash", "AL1-6": TIME,
}  # fmt: skip
"""Values of fields that are single ones."""
PARTICULAR = {
    "PID-13": {"2": "PRN"}, "PID-14": {"2": "WPN"}, "PID-40": {"2": "PRS"}, "NK1-5": {"2": "PRN"}, "NK1-6": {"2": "WPN"},
    "NK1-40": {"2": "PRS"}, "NK1-7": {"1": "N", "3": "HL70131"}, "PV1-19": {"5": "VN"}, "PID-15": {"1": "en"},
    "MRG-1": {"1": "OLD1"}, "MRG-2": {"1": "OLD2"}, "MRG-4": {"1": "OLD4"}, "PV1-18": {"3": "HL70018"}, "NK1-12": {"5": "EI"},
    "NK1-20": {"1": "en"}, "NK1-31": {"2": "WPN"}, "ROL-3": {"1": "PP", "3": "HL70443"}, "GT1-2": {"1": "GUARANTOR1"},
    "GT1-7": {"2": "WPN"}, "GT1-36": {"1": "en"}, "ROL-12": {"2": "WPN"}, "GT1-6": {"2": "PRN"}, "IN1-7": {"2": "WPN"},
    "PID-21": {"1": "MUM1"}, "PID-9": {"7": "N"},
}  # fmt: skip
"""What the value of a field has that others of its type have not."""


@cache
def listed_of(event: str) -> list[Field]:
    return fields(f"ADT^{event}")


@cache
def sample(event: str, name: str, number: int, variant: int) -> dict[str, str]:
    """A value of a field by its places; '' is the field itself."""
    table = next(table for table in ADT.tables[event] if table.name == name)
    row = next(row for row in table.rows if row.number == number)
    path = f"{table.name}-{row.number}"
    if not isinstance(row.said, Table):
        return {"": FIELDS[path]}
    samples = TYPES[row.said.name]
    listed = {each.path.removeprefix(f"{path}.") for each in listed_of(event) if each.path.startswith(f"{path}.")}
    found = {**samples[variant % len(samples)], **PARTICULAR.get(path, {})}
    return {place: text for place, text in found.items() if place.removesuffix(".1") in listed or place in listed}


def message(event: str, filled: Iterator[tuple[str, str]]) -> Message:
    made = Message.new()
    for path, text in (
        ("MSH-3", "PAS"), ("MSH-4", "RXN"), ("MSH-7", "20261123101500+0000"), ("MSH-9.1", "ADT"), ("MSH-9.2", event),
        ("MSH-10", "1"),
        *((f"{table.name}-1", "1") for table in ADT.tables[event]),
    ):  # fmt: skip
        made.set(path, text)
    for path, text in filled:
        made.set(path, text)
    return made


def whole(event: str, number: int) -> Message:
    return message(
        event,
        (
            (f"{table.name}-{row.number}{'.' if place else ''}{place}", text)
            for table in ADT.tables[event]
            for row in table.rows
            for place, text in sample(event, table.name, row.number, number).items()
        ),
    )


@pytest.mark.parametrize("event", EVENTS)
def test_every_listed_field_comes_back(event: str) -> None:
    """Each is in one of two messages, which have all that can be said at once."""
    kind = f"ADT^{event}"
    ways = []
    for number in range(2):
        said = whole(event, number)
        ways.append((said, to_v2(to_fhir(said, LONDON).bundle, kind, HEADER, LONDON)))
    listed = [each for each in fields(kind) if each.back]
    assert len(listed) > 250
    never = [each.path for each in listed if not any(said.get(each.path) for said, _ in ways)]
    lost = [
        each.path
        for each in listed
        if not any(said.get(each.path) and back.get(each.path) == said.get(each.path) for said, back in ways)
    ]
    assert (never, lost) == ([], [])


@pytest.mark.parametrize("event", EVENTS)
def test_what_does_not_come_back_says_why(event: str) -> None:
    listed = fields(f"ADT^{event}")
    assert len({each.path for each in listed}) == len(listed)
    assert all(bool(each.why) != each.back for each in listed)
    assert {each.path for each in listed if each.element == IGNORED} >= {"EVN-1", "PID-1"}


def test_a_type_that_is_not_read_has_no_fields() -> None:
    with pytest.raises(UnsupportedMessage, match="ADT\\^A99 is not read here"):
        fields("ADT^A99")


def leaves(message: Message) -> Iterator[tuple[str, str]]:
    """Every value of a message with its path."""
    counts: Counter[str] = Counter()
    for segment in message.segments:
        counts[segment.name] += 1
        name = segment.name if counts[segment.name] == 1 else f"{segment.name}({counts[segment.name]})"
        for number in range(1, len(segment.fields)):
            for repetition, text in enumerate(segment.repetitions(number), start=1):
                at = f"{name}-{number}" + (f"[{repetition}]" if repetition > 1 else "")
                if segment.is_header and number <= 2:
                    yield at, text
                    continue
                for component, part in enumerate(text.split("^"), start=1):
                    for subcomponent, leaf in enumerate(part.split("&"), start=1):
                        if leaf:
                            yield f"{at}.{component}" + (f".{subcomponent}" if subcomponent > 1 else ""), leaf


def told(coverage: Coverage) -> list[str]:
    return [*coverage.unmapped, *(path for path, _ in coverage.wrong), *coverage.ignored]


def is_told(path: str, paths: list[str]) -> bool:
    """Whether it is one of them, or is within a field, a repetition or a segment that is."""
    return any(path == each or ("." not in each and path.startswith(each) and path[len(each)] in "-.[") for each in paths)


WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
FREE = {
    "XPN.2",
    "XPN.5",
    "XAD.3",
    "XAD.4",
    "XAD.5",
    "XAD.6",
    "XAD.9",
    "CX.1",
    "XCN.1",
    "XCN.3",
    "PL.9",
    "CWE.9",
    "XON.1",
    "DLN.2",
    "EI.1",
}
"""Components that say anything."""


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, Message]:
    """A message of some of the fields that tables name, with some of their components, and of fields that none names."""
    event = draw(st.sampled_from(EVENTS))
    filled = []
    for table in ADT.tables[event]:
        for row in draw(st.lists(st.sampled_from(table.rows or [FieldRow(1, "")]), max_size=8, unique_by=lambda row: row.number)):
            if not row.path:
                continue
            number = draw(st.integers(0, 1))
            places = sample(event, table.name, row.number, number)
            first = next(iter(places))
            dropped = draw(st.sets(st.sampled_from(sorted(places)), max_size=4)) - {first} if len(places) > 1 else set()
            for place, text in places.items():
                free = isinstance(row.said, Table) and f"{row.said.name}.{place}" in FREE
                if place not in dropped:
                    filled.append((f"{table.name}-{row.number}{'.' if place else ''}{place}", draw(WORDS) if free else text))
        if draw(st.booleans()):
            odd = draw(st.sampled_from(["", "yesterday", NULL, " "]))
            filled.append((f"{table.name}-{draw(st.integers(2, 60))}.{draw(st.integers(1, 25))}", odd))
    return event, message(event, iter(filled))


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(messages())
def test_every_value_is_accounted_for(made: tuple[str, Message]) -> None:
    """Mapped, not mapped, wrong, or ignored: all values, and none twice."""
    _, said = made
    coverage = to_fhir(said, LONDON).coverage
    paths = told(coverage)
    found = list(leaves(said))
    left = [path for path, _ in found if not is_told(path, paths)]
    assert coverage.mapped == len(left), (left, coverage)
    assert all(re.fullmatch(r"[A-Z0-9]{3}(\(\d+\))?(-\d+(\[\d+\])?(\.\d+){0,2})?", path) for path in paths)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(messages())
def test_every_mapped_value_comes_back(made: tuple[str, Message]) -> None:
    """Wherever it stood, word by word: what FHIR has one place for comes back in one, and further names are parted by blanks."""
    event, said = made
    done = to_fhir(said, LONDON)
    back = to_v2(done.bundle, f"ADT^{event}", HEADER, LONDON)
    paths = told(done.coverage)
    words = {word for path, text in leaves(said) if not (path.startswith("MSH") or is_told(path, paths)) for word in text.split()}
    missing = words - {word for _, text in leaves(back) for word in text.split()}
    assert not missing, (sorted(missing), said.text, back.text)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(messages())
def test_the_same_message_is_the_same_bundle(made: tuple[str, Message]) -> None:
    _, said = made
    assert to_fhir(said, LONDON) == to_fhir(Message.parse(said.text), LONDON)
