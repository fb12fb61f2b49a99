"""What ADT messages become is FHIR R4, and UK Core where it says so, as others see it."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.unit.methods.synchronous.transformation.test_round_trip_adt import whole
from tests.unit.methods.synchronous.transformation.validators import problems

from fiveways.hl7v2 import charsets
from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.v2.messages import to_fhir
from fiveways.methods.synchronous.transformation.v2.tables.table import Context

OWN = Path(__file__).parent / "messages"
LONDON = Context(ZoneInfo("Europe/London"), authorities={"RXN": "https://northshire.test/Id/hospital-number"}, original="binary")
MSH = "MSH|^~\\&|PAS|RXN|||20261123101500||ADT^A01|N1|P|2.5.1\r"


@pytest.mark.parametrize("file", sorted(OWN.glob("ADT_*.hl7")), ids=lambda file: file.stem)
def test_our_own_messages(file: Path) -> None:
    assert problems(to_fhir(Message.parse(charsets.decode(file.read_bytes())[0]), LONDON).bundle) == []


@pytest.mark.parametrize("event", ["A01", "A02", "A05", "A28", "A40"])
def test_messages_that_say_all_that_a_table_names(event: str) -> None:
    """But for what their codes are called, which are samples."""
    found = problems(to_fhir(whole(event, 0), LONDON).bundle)
    assert [each for each in found if "Wrong Display Name" not in each] == []


@pytest.mark.parametrize(
    "segments",
    [
        "PID|1||K1^^^A B^X Y||Khan|SMITH^A|20201345|X9||Q^Race^L|^^^^^^ZZ||1^XXX^YYY||zzz^Klingon^OURS|Z^Words^HL70002|Q",
        "PID|1||K1^^^&1.x.3&ISO~K2^^^&not a uri&URI~K3^^^&x y z&DNS||Khan|||U|||||||EN-gb||||||||Birth  place|Y|0|GBR|||2020||Q||Q",
        "PID|1||9000000009^^^NHS^NH||A||19000101+1900|\rNK1|1||SPO\rNK1|2|^^^^^^L|ZZ^x^HL70063\rPV1|1|  |^^^X|ZZ\rPV2|||^^^^^",
        'PID|1||""||""\rPV1|1|""|""\rDG1|1||A  B^^LN|||ZZ^^HL70052|||||||||0\rAL1|1|ZZ|X^Y^Z|ZZ| |never\rDG1|2||||2020',
        "PID|1\rPV1|1\rEVN|A01|yesterday||X^^HL70062|^^^^^^^^GMC",
    ],
    ids=["codes", "authorities", "times", "nothing", "empty"],
)
def test_messages_that_say_what_fhir_cannot_have(segments: str) -> None:
    done = to_fhir(Message.parse(MSH + segments + "\r"), LONDON)
    assert problems(done.bundle) == []
