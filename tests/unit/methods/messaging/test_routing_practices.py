"""A file of practices: found in it, read again when it changes, and told what is wrong by line and never by value."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fiveways.correlation import Correlation
from fiveways.errors import DeploymentError
from fiveways.methods.messaging.routing.demographics import read
from fiveways.methods.messaging.routing.practices import MOST_MISTAKES, PracticeFile
from fiveways.methods.messaging.routing.resolver import Failure, Practice

pytestmark = pytest.mark.anyio

HEADING = "nhs_number,date_of_birth,family,ods_code\n"
SMITH = "9990000018,1985-03-20,Smith,A81001\n"


async def found(
    practices: PracticeFile, number: str = "9990000018", born: str = "19850320", family: str = "SMITH"
) -> Practice | Failure:
    patient = read(f"GPPROVIDER_{number}_{born}_{family}")
    assert patient is not None
    return await practices(patient, Correlation())


async def test_a_patient_is_found_by_number_date_and_any_of_the_names(tmp_path: Path) -> None:
    file = tmp_path / "practices.csv"
    lines = "ods_code;family".replace(";", ",") + ",nhs_number,date_of_birth\nA81001,Smith,9990000018,20031985\n\n"
    lines += 'A81001,"Smith-Jones, née Brown",9990000018,19850320\n,Alone,9990000026,1990-01-01\n'
    file.write_text(lines, encoding="utf-8-sig")
    practices = PracticeFile(file)
    assert await found(practices) == Practice("A81001")
    assert await found(practices, family="smith jones nee brown") == Practice("A81001")
    assert await found(practices, "9990000026", "19900101", "Alone") == Practice("")
    assert await found(practices, family="Brown") is Failure.MISMATCH
    assert await found(practices, born="19850321") is Failure.MISMATCH
    assert await found(practices, "9990000034") is Failure.NOT_FOUND


async def test_a_change_is_seen_at_the_next_question_and_a_mistake_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "practices.csv"
    file.write_text(HEADING + SMITH)
    practices = PracticeFile(file)
    (tmp_path / "new").write_text(HEADING + SMITH.replace("A81001", "B81002"))
    (tmp_path / "new").replace(file)
    assert await found(practices) == Practice("B81002")
    file.write_text(HEADING + "9990000019,1985-03-20,Smith,A81001\n")
    with capture_logs() as logs:
        assert await found(practices) == Practice("B81002")
        assert await found(practices) == Practice("B81002")
    assert len(logs) == 1, "it is told once"
    assert ":2: nhs_number" in logs[0]["mistakes"]
    assert "999" not in f"{logs}".replace(str(tmp_path), "")
    file.unlink()
    assert await found(practices) == Practice("B81002")
    file.write_text(HEADING)
    assert await found(practices) is Failure.NOT_FOUND


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        ("", ":1: expected the columns"),
        ("nhs,dob,name,ods\n", ":1: expected the columns"),
        (HEADING + "9990000018,1985-03-20,Smith\n", ":2: found 3 columns"),
        (HEADING + SMITH + "\n9990000019,1985-03-20,Smith,A81001\n", ":4: nhs_number"),
        (HEADING + SMITH.replace("03-20", "13-20"), ":2: date_of_birth"),
        (HEADING + SMITH.replace("Smith", " - "), ":2: family"),
        (HEADING + SMITH.replace("A81001", "a81001"), ":2: ods_code"),
        (HEADING + SMITH + SMITH.replace("A81001", "B81002"), ":3: nhs_number: stands above"),
        (HEADING + SMITH + '"9990000018,1985-03-20,Smith,A81001\n', "not CSV"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_not_with_what_stands_there(tmp_path: Path, content: str, mistake: str) -> None:
    file = tmp_path / "practices.csv"
    file.write_text(content)
    with pytest.raises(DeploymentError) as refused:
        PracticeFile(file)
    said = str(refused.value)
    assert mistake in said
    assert not any(value in said.replace(str(file), "") for value in ("99900", "1985", "Smith", "81001"))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("none.csv", "binary"):
        with pytest.raises(DeploymentError, match="cannot be read"):
            PracticeFile(tmp_path / name)


def test_only_so_many_mistakes_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(HEADING + "x,x,x,x\n" * 1000)
    with pytest.raises(DeploymentError) as refused:
        PracticeFile(tmp_path / "file")
    assert len(str(refused.value).splitlines()) == MOST_MISTAKES


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60) | st.text(max_size=60).map(lambda text: HEADING + text))
def test_any_file_is_read_or_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    try:
        PracticeFile(file)
    except DeploymentError:
        pass
