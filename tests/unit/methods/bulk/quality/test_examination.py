"""Examining as a whole: the same bytes give the same, stop policies, mini-batches, mended records, profiles and reports."""

from __future__ import annotations

import io
import json
import random
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Annotated, Any, Literal
from unittest import mock

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from pydantic import BaseModel, Field
from tests.unit.methods.bulk.quality.examined import TODAY, Found, look, settings, stop

from fiveways.clock import ManualClock
from fiveways.methods.bulk.quality import lines
from fiveways.methods.bulk.quality.batches import Cutter, MiniBatch
from fiveways.methods.bulk.quality.findings import Examination, Progress
from fiveways.methods.bulk.quality.mending import recheck
from fiveways.methods.bulk.quality.models import As, columns_of
from fiveways.methods.bulk.quality.page import html
from fiveways.methods.bulk.quality.report import Delivery, ages, json_report, operation_outcome
from fiveways.methods.bulk.quality.settings import Column, CutSettings

SAID = settings(
    columns={
        "id": {"required": True, "pattern": "E[0-9]+"},
        "nhs": {"type": "nhs_number"},
        "on": {"type": "date", "max": "today"},
        "n": {"type": "integer", "min": 0},
    },
    unique=["id"],
)
HEAD = b"id,nhs,on,n\n"


def rows(count: int, bad: int = 7) -> list[bytes]:
    """Records, of which every so-manieth is bad."""
    found = [f"E{at},9434765919,2026-11-{1 + at % 20:02},{at}\n".encode() for at in range(count)]
    wrong = [b"E1,x\n", b"E0,9434765919,,\n", b",9434765918,2030-01-01,-1\n", b'"\n', b"Ex,,,\n"]
    for place, at in enumerate(range(bad, count, bad)):
        found[at] = wrong[place % len(wrong)]
    return found


def test_the_same_bytes_give_the_same_however_they_come() -> None:
    source, dice = HEAD + b"".join(rows(2000)), random.Random(3)
    with mock.patch.object(lines, "BLOCK", 5000):
        first = look(source, SAID)
        for _ in range(3):
            places = sorted(dice.sample(range(len(source)), 40))
            again = look((source[a:b] for a, b in zip([0, *places], [*places, None], strict=True)), SAID)
            assert again.examination == first.examination
            assert again.bad == first.bad
            assert [each.batch.body(0, each.records) for each in again.batches] == [  # type: ignore[union-attr]
                each.batch.body(0, each.records)  # type: ignore[union-attr]
                for each in first.batches
            ]
    assert len(first.batches) > 5


def test_everything_adds_up() -> None:
    records = rows(5000)
    with mock.patch.object(lines, "BLOCK", 5000):
        found = look(HEAD + b"".join(records), SAID)
    examination = found.examination
    assert (examination.records, examination.good, examination.bad) == (5000, 5000 - 714, 714)
    assert [each.raw for each in found.bad] == [records[at] for at in range(7, 5000, 7)]
    assert found.good == HEAD + b"".join(each for at, each in enumerate(records) if at % 7 or not at)
    assert [each.number for each in found.bad] == [at + 1 for at in range(7, 5000, 7)]
    assert sum(examination.places) == 714
    assert examination.stretch * (len(examination.places) - 1) < 5000 <= examination.stretch * len(examination.places)
    for tally in examination.tallies:
        numbers = [
            each.number for each in found.bad if (tally.rule, tally.column) in {(one.rule, one.column) for one in each.breaches}
        ]
        assert (tally.records, list(tally.first)) == (len(numbers), numbers[:10])
        assert sum(tally.places) == tally.records
    assert msgspec.json.decode(msgspec.json.encode(examination), type=Examination) == examination


def test_progress_is_told() -> None:
    told: list[Progress] = []
    with mock.patch.object(lines, "BLOCK", 5000):
        look(HEAD + b"".join(rows(1000)), SAID, progress=told.append)
    assert [each.records for each in told] == sorted(each.records for each in told)
    assert (told[-1].records, told[-1].bad) == (1000, 142)
    assert len(told) > 4


def test_profiles_say_what_columns_are_like() -> None:
    found = look(HEAD + b"".join(rows(5000, 9999)) + b"E9999,,,\n", SAID).examination.columns
    assert (found["on"].least, found["on"].greatest, found["on"].nulls, found["on"].distinct) == ("2026-11-01", "2026-11-20", 1, 20)
    assert (found["n"].least, found["n"].greatest) == ("0", "4999")
    assert abs(found["id"].distinct - 5001) < 500
    assert (found["nhs"].least, found["nhs"].greatest, found["nhs"].distinct) == (None, None, 1)
    assert (found["id"].shortest, found["id"].longest, found["id"].least) == (2, 5, None)


def test_the_first_bad_record_may_reject_the_file() -> None:
    with mock.patch.object(lines, "BLOCK", 5000):
        found = look(HEAD + b"".join(rows(2000)), SAID, stop=stop("reject-file"))
    assert found.examination.verdict == "rejected"
    assert not found.batches
    assert not found.examination.complete
    assert found.bad[0].number == 8
    assert look(HEAD + b"".join(rows(6)), SAID, stop=stop("reject-file")).examination.verdict == "good"


@pytest.mark.parametrize(("percent", "verdict"), [("20%", "part"), ("10%", "rejected"), ("14.25%", "part"), ("14.15%", "rejected")])
def test_too_many_bad_records_reject_the_file(percent: str, verdict: str) -> None:
    found = look(HEAD + b"".join(rows(1000)), SAID, stop=stop("stop-at", percent))
    assert (found.examination.verdict, found.examination.complete) == (verdict, True)
    assert (found.examination.stopped is None) == (verdict == "part")


def test_too_many_are_known_early_once_it_is_certain() -> None:
    good, bad = rows(3000, 9999), [b"x\n"] * 3000
    source = HEAD + b"".join([*bad, *good])
    with mock.patch.object(lines, "BLOCK", 5000):
        early = look(source, SAID, stop=stop("stop-at", "10%"), size=len(source))
        assert not early.examination.complete
        assert early.examination.verdict == "rejected"
        late = look(source, SAID, stop=stop("stop-at", "10%"))
        assert (late.examination.complete, late.examination.verdict) == (True, "rejected")
        others = HEAD + b"".join([*bad[:300], *good])
        fine = look(others, SAID, stop=stop("stop-at", "10%"), size=len(others))
        assert (fine.examination.verdict, fine.examination.records) == ("part", 3300)


# --- mini-batches ---------------------------------------------------------------------------------------------------------


class Folder:
    """Mini-batches, as they were written."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.ended: list[MiniBatch] = []

    def begin(self, number: int) -> None:
        self.files.append(b"")
        assert number == len(self.files)

    def write(self, data: bytes) -> None:
        self.files[-1] += data


def cut(found: Found, clock: ManualClock | None = None, cuts: tuple[int, ...] = (), wait: float = 0.0, **said: Any) -> Folder:
    folder, clock = Folder(), clock or ManualClock()
    cutter = Cutter(
        CutSettings.model_validate(said), clock, begin=folder.begin, write=folder.write, end=folder.ended.append, cuts=cuts
    )
    for each in found.batches:
        cutter.add(each)
        clock.advance(timedelta(seconds=wait))
    cutter.finish()
    return folder


@pytest.fixture
def found() -> Found:
    """A file in some ten chunks."""
    with mock.patch.object(lines, "BLOCK", 4000):
        return look(HEAD + b"".join(rows(1000)), SAID)


@pytest.mark.parametrize(
    "said", [{"records": 1}, {"records": 100}, {"bytes": 500}, {"bytes": 10}, {"bytes": "3KiB", "records": 64}, {}]
)
def test_mini_batches_are_whole_files_and_together_the_good_records(found: Found, said: dict[str, Any]) -> None:
    folder = cut(found, **said)
    assert all(each.startswith(HEAD) for each in folder.files)
    assert HEAD + b"".join(each.removeprefix(HEAD) for each in folder.files) == found.good
    assert [each.size for each in folder.ended] == [len(each) for each in folder.files]
    assert [each.first for each in folder.ended] == [
        sum(one.records for one in folder.ended[:at]) for at in range(len(folder.ended))
    ]
    most = CutSettings.model_validate(said)
    for each in folder.ended:
        assert each.records <= (most.records or 1000)
        assert each.records == 1 or each.size <= (most.bytes or 10**9)
    if said.get("bytes") == 500:
        for each, after in zip(folder.ended, folder.files[1:], strict=False):
            assert each.size + len(after.removeprefix(HEAD).splitlines(keepends=True)[0]) > 500


def test_time_cuts_and_a_repeat_cuts_there_again(found: Found) -> None:
    first = cut(found, wait=20, seconds="1m")
    assert {each.why for each in first.ended} == {"seconds", "end"}
    ends = tuple(each.first + each.records for each in first.ended)
    again = cut(found, cuts=ends, wait=500, seconds="1m")
    assert again.files == first.files
    half = cut(found, cuts=ends[:1], wait=20, seconds="1m")
    assert half.files[0] == first.files[0]


def test_parquet_is_cut_into_whole_files() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [f"E{at}" for at in range(100)]}), sink)
    found = look(sink.getvalue(), settings(format="parquet", columns={"id": {}}))
    folder = cut(found, records=30)
    tables = [pq.read_table(io.BytesIO(each)) for each in folder.files]
    assert [each.num_rows for each in tables] == [30, 30, 30, 10]
    assert pa.concat_tables(tables)["id"].to_pylist() == [f"E{at}" for at in range(100)]
    assert cut(found, records=30).files == folder.files


# --- mending --------------------------------------------------------------------------------------------------------------


def test_mended_records_are_judged_as_all_were(found: Found) -> None:
    mended = [
        b"E7,9434765919,2026-11-01,1",
        b"E14,9434765918,2030-01-01,1\n",
        b"E7,9434765919,,\n",
        b"E1,,,\n",
        b"E21,,,\nE28,,,\n",
        b"",
        b'E35,"x,,\n',
        b"E42,,,\r\n",
    ]
    said = recheck(mended, SAID, (found.good,), today=TODAY, header=found.examination.header)
    assert [[(each.rule, each.column) for each in one] for one in said.breaches] == [
        [],
        [("range", "on"), ("check-digit", "nhs")],
        [("unique", "id")],
        [("unique", "id")],
        [("columns", None)],
        [("columns", None)],
        [("quote", None)],
        [],
    ]
    assert said.good is not None
    assert said.good.batch.body(0, 2) == b"E7,9434765919,2026-11-01,1\nE42,,,\n"  # type: ignore[union-attr]


def test_mended_records_need_no_good_file() -> None:
    said = recheck([b"E1,,,"], SAID, (), today=TODAY, header=HEAD)
    assert (said.breaches, said.good is not None) == (((),), True)


def test_a_mended_record_takes_no_other_in() -> None:
    several = SAID.model_copy(update={"lines": 5})
    said = recheck([b'E1,,,"2', b'E2,,,3"', b'E3,,,"4"'], several, (), today=TODAY, header=HEAD)
    assert [[each.rule for each in one] for one in said.breaches] == [["quote"], ["quote"], []]


def test_mended_text_is_of_the_files_encoding() -> None:
    said = settings(columns={"name": {}}, encoding="cp1252")
    checked = recheck(["Zoë".encode(), "Ψ".encode(), b"\xff"], said, (), today=TODAY, header=b"name\n")
    assert [[each.rule for each in one] for one in checked.breaches] == [[], ["encoding"], ["encoding"]]


def test_mended_rows_of_a_table_have_its_types() -> None:
    sink = io.BytesIO()
    when = [datetime(2026, 1, 1), datetime(2026, 1, 2)]  # noqa: DTZ001 - as the file has it
    pq.write_table(pa.table({"id": ["a", "b"], "n": pa.array([1, 2], pa.int8()), "at": when}), sink)
    said = settings(
        format="parquet", columns={"id": {"required": True}, "n": {"type": "integer"}, "at": {"type": "datetime"}}, unique=["id"]
    )
    mended = [b'{"id":"c","n":3,"at":"2026-01-03 00:00:00"}', b'{"id":"a"}', b'{"id":"d","n":300}', b'{"n":1}', b"[]", b'{"x":1}']
    checked = recheck(mended, said, (sink.getvalue(),), today=TODAY)
    assert [[each.rule for each in one] for one in checked.breaches] == [
        [],
        ["unique"],
        ["type"],
        ["required"],
        ["json"],
        ["columns"],
    ]
    assert checked.good is not None
    assert checked.good.batch.table.to_pylist() == [{"id": "c", "n": 3, "at": datetime(2026, 1, 3)}]  # type: ignore[union-attr]  # noqa: DTZ001


# --- models ---------------------------------------------------------------------------------------------------------------


class Patient(BaseModel):
    """As a feed's people may say it."""

    id: str = Field(pattern="E[0-9]+", max_length=9)
    nhs: Annotated[str, As(type="nhs_number")]
    sex: Literal["1", "2"] | None = None
    n: int = Field(default=0, ge=0, le=9)
    share: float | None


class Stay(msgspec.Struct):
    """The same with msgspec."""

    id: Annotated[str, msgspec.Meta(pattern="E[0-9]+", max_length=9)]
    n: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0
    until: datetime | None = None


class Both(BaseModel):
    """What no column is."""

    x: int | str


def test_a_class_says_the_columns() -> None:
    text = Column(pattern="E[0-9]+", max_length=9, required=True)
    number = Column(type="integer", min=0, max=9)
    assert columns_of(Patient) == {
        "id": text,
        "nhs": Column(type="nhs_number", required=True),
        "sex": Column.model_validate({"type": "code", "codes": ["1", "2"]}),
        "n": number,
        "share": Column(type="decimal"),
    }
    assert columns_of(Stay) == {"id": text, "n": number, "until": Column(type="datetime")}
    for wrong in (Both, int, print):
        with pytest.raises(TypeError):
            columns_of(wrong)


def test_a_feed_may_name_a_class_and_say_more() -> None:
    said = settings(model=f"{__name__}:Patient", columns={"sex": {"required": True}})
    with mock.patch("fiveways.methods.bulk.quality.models.load_callable", return_value=Patient):
        found = look(b"id,nhs,sex,n,share\nE1,9434765919,1,5,0.5\nE2,9434765919,,10,x\n", said)
    assert found.broken == {2: [("required", "sex"), ("range", "n"), ("type", "share")]}
    fault = look(b"id\n", settings(model="nowhere_at_all:X")).examination.fault
    assert fault is not None


# --- reports --------------------------------------------------------------------------------------------------------------


def delivery(found: Found, number: int = 0) -> Delivery:
    return Delivery("a <b>&feed", f"t-{number}", datetime(2026, 11, 23, 4, tzinfo=UTC) - timedelta(days=number), found.examination)


def test_the_report_is_json_and_an_operation_outcome(found: Found) -> None:
    report = json.loads(json_report(delivery(found), [delivery(found, 1)]))
    assert report["examination"]["records"] == 1000
    assert report["earlier"][0]["null_rates"]["id"] > 0
    assert report["ages"] == [{"column": "on", "oldest": "2026-11-01", "newest": "2030-01-01", "days": -1135.0}]
    outcome = json.loads(operation_outcome(delivery(found)))
    assert outcome["resourceType"] == "OperationOutcome"
    assert {each["code"] for each in outcome["issue"]} >= {"structure", "duplicate", "required", "value"}
    unique = next(each for each in outcome["issue"] if each["code"] == "required")
    assert (
        unique["expression"][0]
        == f"record[{found.broken and min(at for at, each in found.rules.items() if 'required' in each) - 1}].id"
    )
    nothing = json.loads(operation_outcome(delivery(look(HEAD, SAID))))
    assert nothing["issue"][0]["severity"] == "information"
    rejected = json.loads(operation_outcome(delivery(look(b"", SAID))))
    assert rejected["issue"][0]["severity"] == "fatal"


class Strict(HTMLParser):
    """Fails where tags are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag not in ("meta", "line", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag


def test_the_page_stands_alone_and_shows_nothing_that_is_masked(found: Found) -> None:
    for each in (found, look(b"", SAID), look(HEAD, SAID), look(HEAD + b"E1,,,\n", SAID)):
        page, strict = html(delivery(each), [delivery(found, at) for at in (2, 1)]), Strict()
        strict.feed(page)
        assert strict.open == []
        assert "svg" in strict.seen
        assert "script" not in strict.seen
        assert "a &lt;b&gt;&amp;feed" in page
        assert "<b>&feed" not in page
    for text in (html(delivery(found)), json_report(delivery(found)).decode(), operation_outcome(delivery(found)).decode()):
        assert "943476591" not in text


def test_age_is_counted_from_the_day_it_came(found: Found) -> None:
    young = look(HEAD + b"E1,,2026-11-20,\n", SAID)
    assert [each.days for each in ages(delivery(young))] == [3.0]
