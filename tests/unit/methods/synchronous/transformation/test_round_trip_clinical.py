"""What messages with results, orders, appointments and documents say comes back, and what does not is told of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.methods.synchronous.transformation.clinical import FAMILIES, FIXTURES, LONDON, OTHERS, back, comparable, message
from tests.unit.methods.synchronous.transformation.validators import structure_problems

from fiveways.hl7v2.message import Message, Segment
from fiveways.methods.synchronous.transformation.encoding import encode
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.v2.codes.orders import Kept
from fiveways.methods.synchronous.transformation.v2.coverage import fields
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, CX, PL, XAD, XCN, XTN
from fiveways.methods.synchronous.transformation.v2.datatypes.identifiers import EI, EIP, PRODUCER, XON
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import CQ, UNIT, Number
from fiveways.methods.synchronous.transformation.v2.datatypes.repeats import DURATION
from fiveways.methods.synchronous.transformation.v2.datatypes.values import VALUES
from fiveways.methods.synchronous.transformation.v2.messages import READ, to_fhir
from fiveways.methods.synchronous.transformation.v2.segments.document import CONTENT
from fiveways.methods.synchronous.transformation.v2.segments.observation import OBX_EACH
from fiveways.methods.synchronous.transformation.v2.segments.specimen import SPS
from fiveways.methods.synchronous.transformation.v2.tables.segment import FieldRow, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import Coded, Own, Table

KINDS = sorted(kind for kind in READ if kind[:3] in FAMILIES)
PATIENT = ("PID", "PD1", "NK1", "PV1", "PV2", "AL1", "DG1")
"""Segments that are of every family, and tested with ADT."""
MOMENT = "20261101080500+0000"
CONCEPT = "A1^Apple^LOCAL^B2^Bee^SCT^1^2^In words"
SAMPLES: list[tuple[Table, str]] = [
    (EI, "A1^LIMS^1.2.3^ISO"), (EIP, "A1&ICE&1.2.3&ISO^B2&LIMS&1.2.4&ISO"), (CX, "A1^^^LIMS&1.2.3&ISO^MR"),
    (XCN, "C1^Osei^Ama^B^III^Dr^MBE^^LIMS&1.2.3&ISO^L"), (XON, "Lab^^^^^NHS&2.16.840.1.113883.2.1.4.3&ISO^^^^RX1"),
    (XAD, "1 Lab Lane^^Thornaby^^TS17 6AA"), (PL, "W7^B2^4^NSH"), (CWE, CONCEPT), (UNIT, "mg^milligram^UCUM"),
    (CQ, "5.0^mg&milligram&UCUM"), (DURATION, "5.0^min"), (XTN, "01642 1^WPN^PH"),
    (PRODUCER, "LAB^Laboratory^LOCAL"), (VALUES["SN"], ">=^5.0"), (VALUES["NR"], "1.0^2.0"),
    (VALUES["DR"], f"{MOMENT}^{MOMENT}"), (VALUES["NM"], "5.0"), (VALUES["ST"], "words"), (VALUES["CWE"], CONCEPT),
    (VALUES["TS"], MOMENT), (VALUES["TM"], "083000"), (VALUES["ED"], "^application^pdf^Base64^JVBERi0xLjQK"),
    (VALUES["RP"], "https://a.test/1^^image^jpeg"), (SPS, "BLD&Blood&LOCAL^^^LA&Arm&LOCAL"),
]  # fmt: skip
BY_NAME = {
    "TQ": f"^^^{MOMENT}^20261101090500+0000", "NDL": "B1&Byrne&Orla", "DR": f"{MOMENT}^20261101090500+0000", "OG": "1",
    "RPT": "BID&Twice&LOCAL^DW^1^3^2^d^^AC^30^min", "PPN": f"C1^Osei^Ama^^^^^^LIMS&1.2.3&ISO^L^^^PRN^^{MOMENT}",
    "DTM": MOMENT, "FT": "words", "ST": "words", "ID": "TX", "CWE": CONCEPT, "XPN": "Khan^Aisha",
}  # fmt: skip
SAID = {
    ("OBR", 24): "CH", ("ORC", 29): "O", ("SCH", 7): "ROUTINE", ("SCH", 8): "Normal", ("SCH", 6): "ROUTINE", ("SCH", 10): "MIN",
    ("AIS", 8): "MIN", ("AIG", 12): "MIN", ("AIL", 10): "MIN", ("AIP", 10): "MIN", ("SCH", 9): "30", ("AIS", 7): "30",
    ("AIG", 11): "30", ("AIL", 9): "30", ("AIP", 9): "30", ("OBX", 8): "H", ("OBX", 7): "1.0-2.0", ("TXA", 2): "CN",
    ("TXA", 18): "R", ("SPM", 24): "HEM", ("AIG", 3): "SCAN^Scanner^LOCAL", ("OBX", 3): CONCEPT,
    ("TQ1", 4): "083000", ("TQ1", 5): "30^min",
}  # fmt: skip
BASE = {
    "ORU": ["PID", "ORC|RE", "OBR|1||A1^LIMS^1.2.3^ISO|UE^Urea", "NTE|1||note", "TQ1|1", "OBX|1|NM|X^Some||5",
            "SPM|1|||BLD"],
    "ORM": ["PID", "ORC|NW", "TQ1|1", "OBR|1||A1^LIMS^1.2.3^ISO|UE^Urea", "NTE|1||note", "OBX|1|NM|X^Some||5", "SPM|1|||BLD"],
    "OML": ["PID", "ORC|NW", "TQ1|1", "OBR|1||A1^LIMS^1.2.3^ISO|UE^Urea", "NTE|1||note", "OBX|1|NM|X^Some||5", "SPM|1|||BLD"],
    "SIU": ["SCH|A1", "TQ1|1", "NTE|1||note", "PID", "OBX|1|NM|X^Some||5", "RGS|1",
            "AIS|1||CL^Clinic", "AIG|1||SC^Scanner", "AIL|1||W7", "AIP|1||C1"],
    "MDM": ["PID", "ORC|RE", "TQ1|1", "OBR|1||A1^LIMS^1.2.3^ISO|UE^Urea", "NTE|1||note", "TXA|1", "OBX|1|TX|^Letter||text"],
}  # fmt: skip
PID = "PID|1||9000000009^^^NHS^NH||Khan^Aisha||19800102|F"
NEEDS = {
    ("OBX", 6): {2: "NM", 5: "5.0"}, ("OBX", 24): {23: "Lab"}, ("OBR", 46): {4: "UE"}, ("SCH", 10): {9: "30"},
    ("SCH", 9): {10: "MIN"}, ("AIS", 8): {7: "30"}, ("AIS", 7): {8: "MIN"},
    ("AIG", 11): {8: MOMENT, 12: "MIN"}, ("AIL", 9): {6: MOMENT, 10: "MIN"},
    ("AIP", 9): {6: MOMENT, 10: "MIN"}, ("AIG", 12): {8: MOMENT, 11: "30"}, ("AIL", 10): {6: MOMENT, 9: "30"},
    ("AIP", 10): {6: MOMENT, 9: "30"}, ("NTE", 5): {3: "note"}, ("NTE", 6): {3: "note"}, ("OBR", 8): {7: "20261030"},
    ("ORC", 22): {21: "Lab"}, ("ORC", 23): {21: "Lab"}, ("TQ1", 5): {3: "^^^^^^^AC"}, ("OBR", 47): {4: "UE"},
}  # fmt: skip
"""Fields that say nothing without another."""


def sample(table: SegmentTable, row: FieldRow) -> str:
    """What stands in a field."""
    if table.fhir == "DocumentReference.content" and row.number == 3:
        return "^Letter"
    if (table.name, row.number) in SAID:
        return SAID[table.name, row.number]
    match row.said:
        case Table():
            known = next((text for known, text in SAMPLES if known is row.said), None)
            return known if known is not None else BY_NAME[row.said.name]
        case Coded() | Kept():
            return next(iter(row.said.codes.meanings))
        case Number():
            return "5.0"
    name = type(row.said).__name__
    return {"Time": MOMENT, "Instant": MOMENT, "Positive": "3"}.get(name, "words")


def built(kind: str, name: str, said: dict[int, str]) -> Message:
    """A message of a type in which a segment says these fields."""
    segments = []
    for text in BASE[kind[:3]]:
        segment = Segment(PID if text == "PID" else text, Message.parse("MSH|^~\\&|").delimiters)
        if segment.name == name:
            for number, value in said.items():
                segment.set_field(number, value)
        segments.append(segment.text)
    return Message.parse("\r".join((f"MSH|^~\\&|LIMS|NSH|||20261102093000||{kind}|X1|P|2.5.1", *segments)))


def rows() -> Iterator[Any]:
    for kind in KINDS:
        for table in READ[kind].tables[kind.partition("^")[2]]:
            for row in table.rows:
                if table.name not in PATIENT:
                    yield pytest.param(kind, table, row, id=f"{kind} {table.name}-{row.number} {getattr(row.said, 'name', '')}")


@pytest.mark.parametrize(("kind", "table", "row"), list(rows()))
def test_each_field_that_a_table_names_comes_back(kind: str, table: SegmentTable, row: FieldRow) -> None:
    text = sample(table, row)
    said = {**NEEDS.get((table.name, row.number), {}), row.number: text}
    if table.name == "OBX" and row.number == 5:
        values = [VALUES] if table in OBX_EACH else [{name: each.rows[1].said for name, each in CONTENT.items()}]
        said[2] = next(name for known in values for name, each in known.items() if each is row.said)
    of = built(kind, table.name, said)
    done = to_fhir(of, LONDON)
    assert done.coverage.wrong == []
    assert structure_problems(done.bundle) == []
    told = [path for path in done.coverage.unmapped if path.startswith(f"{table.name}-{row.number}")]
    assert told == []
    again = back(done.bundle, of)
    if row.moved or (isinstance(row.said, Table) and any(isinstance(each, Own) and 1 in each.moved for each in row.said.rows)):
        assert comparable(to_fhir(again, LONDON).bundle) == comparable(done.bundle)
        return
    written = again.segment(table.name)
    assert written is not None
    assert written.field(row.number) == text


@pytest.mark.parametrize("kind", KINDS)
def test_the_list_of_fields_names_each_that_a_table_does(kind: str) -> None:
    listed = {field.path.partition(".")[0] for field in fields(kind)}
    named = {f"{table.name}-{row.number}" for table in READ[kind].tables[kind.partition("^")[2]] for row in table.rows}
    assert named <= listed


@pytest.mark.parametrize("file", [*FIXTURES, *OTHERS], ids=lambda file: file.name)
def test_what_is_said_in_fhir_is_said_again(file: Path) -> None:
    of = message(file)
    done = to_fhir(of, LONDON)
    assert comparable(to_fhir(back(done.bundle, of), LONDON).bundle) == comparable(done.bundle)


@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.name)
def test_the_same_message_is_the_same_bundle(file: Path) -> None:
    assert encode(to_fhir(message(file), LONDON).bundle) == encode(to_fhir(message(file), LONDON).bundle)


def places(of: Message) -> Iterator[tuple[Segment, int, int, int, int, str]]:
    """Every value of a message after its header: segment, field, repetition, component, sub-component, and its path."""
    counts: dict[str, int] = {}
    for segment in of.segments[1:]:
        counts[segment.name] = counts.get(segment.name, 0) + 1
        name = segment.name + (f"({counts[segment.name]})" if counts[segment.name] > 1 else "")
        for number in range(1, len(segment.fields)):
            for repetition, text in enumerate(segment.repetitions(number), start=1):
                at = f"{name}-{number}" + (f"[{repetition}]" if repetition > 1 else "")
                for component, parts in enumerate(text.split("^"), start=1):
                    for subcomponent, value in enumerate(parts.split("&"), start=1):
                        if value:
                            path = f"{at}.{component}" + (f".{subcomponent}" if subcomponent > 1 else "")
                            yield segment, number, repetition, component, subcomponent, path


def told(coverage: Coverage) -> set[str]:
    return {*coverage.unmapped, *coverage.ignored, *(path for path, _ in coverage.wrong)}


def is_told(path: str, paths: set[str]) -> bool:
    """Whether a value is told of, or what it is in."""
    field, _, _ = path.partition(".")
    return any(
        each in paths
        for each in (path, path + ".1", field, field.partition("[")[0], path.rpartition(".")[0], field.partition("-")[0])
    )


def other(text: str) -> str:
    """A value of the same sort that is another one."""
    return f"{text[:-1]}{(int(text[-1]) + 1) % 10}" if text[-1:].isdigit() and text[-1:].isascii() else f"{text}x"


@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.name)
def test_no_value_can_change_unnoticed(file: Path) -> None:
    """Whichever value is another one, the Bundle is another, or the value is told of."""
    text = file.read_text()
    of = Message.parse(text)
    before = to_fhir(of, LONDON)
    bundle, known = encode(before.bundle), told(before.coverage)
    lost = []
    for segment, number, repetition, component, subcomponent, path in places(of):
        kept = segment.field(number)
        segment.set(other(segment.value(number, repetition, component, subcomponent)), number, repetition, component, subcomponent)
        after = to_fhir(of, LONDON)
        if encode(after.bundle) == bundle and told(after.coverage) == known and not is_told(path, known):
            lost.append(path)
        segment.set_field(number, kept)
    assert lost == []


WORD = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='|^~\\&"'), min_size=1, max_size=6)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message of these types, whose fields say what they may, nothing at all, or anything."""
    kind = draw(st.sampled_from(KINDS))
    segments = []
    tables = [table for table in READ[kind].tables[kind.partition("^")[2]] if table.name not in PATIENT and len(table.rows) > 1]
    for text in BASE[kind[:3]]:
        segment = Segment(PID if text == "PID" else text, Message.parse("MSH|^~\\&|").delimiters)
        for table in tables:
            if table.name != segment.name:
                continue
            for row in draw(st.lists(st.sampled_from(list(table.rows)), max_size=6, unique_by=id)):
                value = draw(st.one_of(st.just(sample(table, row)), st.just('""'), WORD, st.lists(WORD, max_size=4).map("^".join)))
                if (table.name, row.number) != ("ORC", 1):  # an order is not written without
                    segment.set_field(row.number, value)
        if segment.name == "OBX" and kind[:3] != "MDM":
            segment.set_field(
                2, draw(st.sampled_from(["NM", "ST", "TX", "CWE", "SN", "TS", "DT", "TM", "ED", "RP", "DR", "XPN", ""]))
            )
        segments.append(segment.text)
    return Message.parse("\r".join((f"MSH|^~\\&|LIMS|NSH|||20261102093000||{kind}|X1|P|2.5.1", *segments)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(messages())
def test_any_message_comes_back_and_every_value_is_accounted_for(of: Message) -> None:
    done = to_fhir(of, LONDON)
    paths = told(done.coverage)
    untold = [path for *_, path in places(of) if not is_told(path, paths)]
    assert len(untold) <= done.coverage.mapped
    assert comparable(to_fhir(back(done.bundle, of), LONDON).bundle) == comparable(done.bundle)
