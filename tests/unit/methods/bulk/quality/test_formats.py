"""NDJSON, FHIR and Parquet; compressed files, broken ones, and ones that become far too large."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
import zstandard
from tests.unit.methods.bulk.quality.examined import look, settings

PLAIN = settings(columns={"id": {"required": True}, "n": {"type": "integer"}})
TEXT = b"id,n\n1,2\n2,x\n3,4\n"
GOOD = b"id,n\n1,2\n3,4\n"
NHS = "https://fhir.nhs.uk/Id/nhs-number"

OBJECTS = settings(
    format="ndjson",
    columns={
        "id": {"required": True},
        "n": {"type": "integer", "max": 9},
        "share": {"type": "decimal"},
        "alive": {"type": "boolean"},
        "born": {"type": "date"},
    },
    unique=["id"],
)


def test_objects_are_judged_line_by_line_and_one_malformed_line_costs_no_other() -> None:
    fine = b'{"id":"a","n":1,"share":0.5,"alive":true,"born":"2000-01-01","more":[1]}\n{"id":"b","share":2}\n'
    bad = (
        b'{"id":"c","n":1\n',
        b'[1]\n',
        b"null\n",
        b'{"id":"d","n":10}\n',
        b'{"n":null}\n',
        b'{"id":"a"}\n',
        b'{"id":"e","n":"1","share":"x","alive":1}\n',
        b'{"id":5}\n',
        b'{"id":"f","born":"2026-02-30"}\n',
        b'{"id":"g","n":99999999999999999999}\n',
        b'{"id":"\xff"}\n',
        b'{"id":"\\ud800"}\n',
        b"[" * 100_000 + b"\n",
        b'{"id":"h","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}\n",
    )  # fmt: skip
    found = look(fine + b"".join(bad) + b'\n{"id":"z"}', OBJECTS)
    assert found.good == fine + b'{"id":"z"}\n'
    assert [each.raw for each in found.bad] == list(bad)
    assert found.broken == {
        3: [("json", None)],
        4: [("json", None)],
        5: [("json", None)],
        6: [("range", "n")],
        7: [("required", "id")],
        8: [("unique", "id")],
        9: [("type", "n"), ("type", "share"), ("type", "alive")],
        10: [("type", "id")],
        11: [("type", "born")],
        12: [("type", "n")],
        13: [("encoding", None)],
        14: [("json", None)],
        15: [("json", None)],
        16: [("json", None)],
    }
    assert found.examination.blank == 1


def test_values_may_be_deep_inside_objects() -> None:
    said = settings(
        format="ndjson",
        columns={
            "family": {"path": "name[1].family", "required": True},
            "nhs": {"path": f"id[system={NHS}].value", "type": "nhs_number"},
        },
    )
    fine = {"name": [{}, {"family": "Khan"}], "id": [{"system": "x", "value": "1"}, {"system": NHS, "value": "9434765919"}]}
    lines = [
        fine,
        {"name": [{}]},
        {"name": "x"},
        {**fine, "id": [{"system": NHS, "value": "9434765918"}]},
        {**fine, "id": [1, None]},
    ]
    found = look("".join(json.dumps(each) + "\n" for each in lines).encode(), said)
    assert found.broken == {2: [("required", "family")], 3: [("required", "family")], 4: [("check-digit", "nhs")]}


def test_resources_are_of_the_types_expected_and_each_has_its_own_columns() -> None:
    said = settings(
        format="fhir",
        resources=["Patient", "Encounter"],
        columns={
            "id": {"required": True, "mask": "show"},
            "born": {"path": "birthDate", "type": "date", "resource": "Patient", "required": True},
            "status": {"codes": ["finished"], "resource": "Encounter"},
        },
        unique=["id"],
    )
    patient = {"resourceType": "Patient", "id": "1", "birthDate": "1980-01-01"}
    encounter = {"resourceType": "Encounter", "id": "1", "status": "finished"}
    lines = [
        patient, encounter, {"resourceType": "Device", "id": "1"}, {"id": "2"}, {**patient, "id": "3", "birthDate": None}, patient,
        {**encounter, "id": "2", "status": "planned"}, {**patient, "id": "4", "status": "planned"},
    ]  # fmt: skip
    found = look("".join(json.dumps(each) + "\n" for each in lines).encode(), said)
    assert found.broken == {
        3: [("resource", None)],
        4: [("resource", None)],
        5: [("required", "born")],
        6: [("unique", "id")],
        7: [("code", "status")],
    }
    assert found.examination.resources == {"Encounter": 2, "Patient": 4}
    assert found.examination.columns["born"].records == 4


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, row_group_size=2)
    return sink.getvalue()


def test_parquet_is_judged_by_its_own_types_and_by_text() -> None:
    said = settings(
        format="parquet",
        columns={
            "id": {"required": True},
            "n": {"type": "integer", "max": 9},
            "born": {"type": "date", "max": "today"},
            "on": {"type": "date"},
        },
        unique=["id"],
    )
    source = parquet(
        id=["a", None, "c", "a", "e"],
        n=pa.array([1, 2, 10, 3, None], pa.int16()),
        born=pa.array([date(2000, 1, 1)] * 4 + [date(2030, 1, 1)]),
        on=["2026-01-01", "", "2026-02-30", None, None],
    )
    found = look(source, said)
    assert found.broken == {
        2: [("required", "id")],
        3: [("range", "n"), ("type", "on")],
        4: [("unique", "id")],
        5: [("range", "born")],
    }
    assert pq.read_table(io.BytesIO(found.good)).to_pylist() == [{"id": "a", "n": 1, "born": date(2000, 1, 1), "on": "2026-01-01"}]
    assert json.loads(found.bad[1].raw) == {"id": "c", "n": 10, "born": "2000-01-01", "on": "2026-02-30"}


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"", "empty"),
        (b"PAR1 and nothing more PAR1", "parquet"),
        (parquet(id=["a"], n=[1])[:-20], "parquet"),
        (parquet(id=["a"]), "columns"),
        (parquet(id=["a"], n=[1], more=[1]), "columns"),
        (parquet(id=["a"], n=[1.5]), "columns"),
        (parquet(id=["a" * 5000] * 4, n=[1] * 4), "expansion"),
    ],
)
def test_parquet_that_cannot_be_read_safely_is_rejected(source: bytes, code: str) -> None:
    said = settings(format="parquet", columns={"id": {}, "n": {"type": "integer"}}, limits={"row_group": 4000}, compression="none")
    found = look(source, said)
    assert found.examination.fault is not None
    assert (found.examination.verdict, found.examination.fault.code) == ("rejected", code)


def zipped(*members: tuple[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return sink.getvalue()


COMPRESSED = {
    "none": TEXT,
    "gzip": gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]) + b"\0" * 7,
    "zstd": zstandard.compress(TEXT[:9]) + zstandard.compress(TEXT[9:]),
    "zip": zipped(("x.csv", TEXT)),
}


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("piece", [1, 5, 10_000])
def test_compressed_files_are_opened_as_they_come(kind: str, piece: int) -> None:
    data = COMPRESSED[kind]
    found = look((data[at : at + piece] for at in range(0, len(data), piece)), PLAIN)
    assert found.good == GOOD
    assert found.rules == {2: ["type"]}
    assert (found.examination.compression, found.examination.read, found.examination.expanded) == (kind, len(data), len(TEXT))


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (gzip.compress(TEXT)[:-9], "compression"),
        (gzip.compress(TEXT)[:-5] + b"x" * 5, "compression"),
        (gzip.compress(TEXT) + b"rubbish", "compression"),
        (zstandard.compress(TEXT * 50)[:-3], "compression"),
        (zstandard.compress(TEXT) + b"rubbish", "compression"),
        (zipped(("x.csv", TEXT))[:-9], "compression"),
        (zipped(("x.csv", TEXT)).replace(b"x.csv", b"y.csv", 1), "compression"),
        (zipped(("x.csv", TEXT), ("y.csv", TEXT)), "archive"),
        (zipped(), "archive"),
        (zipped(("folder/", b"")), "archive"),
        (gzip.compress(b""), "empty"),
    ],
    ids=range(11),
)
def test_a_broken_archive_is_rejected(source: bytes, code: str) -> None:
    found = look(source, PLAIN)
    assert found.examination.fault is not None
    assert (found.examination.verdict, found.examination.fault.code) == ("rejected", code)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "zip"])
@pytest.mark.parametrize("limit", [{"expansion": 100}, {"expanded": "3MiB", "expansion": 10**6}])
def test_a_bomb_goes_off_outside(kind: str, limit: dict[str, Any]) -> None:
    row = b"1,22222222222\n"
    content = b"id,n\n" + row * (40 * 2**20 // len(row))
    bomb = {
        "gzip": lambda: gzip.compress(content, 9),
        "zstd": lambda: zstandard.compress(content, 3),
        "zip": lambda: zipped(("x.csv", content)),
    }[kind]()
    assert len(bomb) < len(content) / 200
    found = look(bomb, settings(columns={"id": {}, "n": {"type": "integer"}}, limits=limit))
    assert found.examination.fault is not None
    assert found.examination.fault.code == "expansion"
    assert found.examination.expanded < 16 * 2**20
    assert not found.examination.complete


def test_a_compression_that_is_said_is_held_to() -> None:
    fault = look(TEXT, settings(columns={"id": {}, "n": {}}, compression="gzip")).examination.fault
    assert fault is not None
    assert fault.code == "compression"


def test_what_the_source_raises_ends_it() -> None:
    def source() -> Iterator[bytes]:
        yield TEXT
        raise ConnectionError

    with pytest.raises(ConnectionError):
        look(source(), PLAIN)
