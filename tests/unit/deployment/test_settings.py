"""The values of a deployment file: what is written is what is read, and what is read is written back the same."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fiveways.deployment.settings import (
    Duration,
    HttpUrl,
    Name,
    OdsCode,
    Percent,
    Rate,
    Reference,
    Settings,
    Size,
    format_duration,
    format_percent,
    parse_duration,
    parse_percent,
    parse_size,
)

DURATIONS = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=100_000))


class Everything(Settings):
    """A value of every kind."""

    duration: Duration
    size: Size
    percent: Percent
    rate: Rate
    reference: Reference


@given(DURATIONS)
def test_a_duration_is_written_as_it_is_read(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@given(st.integers(0, 10**6))
def test_a_percentage_is_written_as_it_is_read(millionths: int) -> None:
    share = parse_percent(f"{millionths / 10_000:f}%")
    assert parse_percent(format_percent(share)) == share


@given(st.floats(0, 1))
def test_any_share_is_written_in_plain_digits(share: float) -> None:
    assert parse_percent(format_percent(share)) == pytest.approx(share, rel=1e-12, abs=1e-300)


@given(st.builds(Rate, st.integers(1, 10**12 - 1), st.sampled_from([1, 60, 3600, 86400])))
def test_a_rate_is_written_as_it_is_read(value: Rate) -> None:
    assert Rate.parse(str(value)) == value


@given(
    DURATIONS, st.integers(0, 2**50), st.integers(0, 1000), st.integers(1, 10**9), st.from_regex(r"env:[A-Z_]{1,9}", fullmatch=True)
)
def test_a_settings_model_reads_what_it_writes(duration: timedelta, size: int, permille: int, limit: int, reference: str) -> None:
    percent = f"{permille / 10}%"
    made = Everything.model_validate(
        {"duration": duration, "size": size, "percent": percent, "rate": f"{limit}/min", "reference": reference}
    )
    assert Everything.model_validate_json(made.model_dump_json()) == made
    assert Everything.model_validate(made.model_dump(mode="json")) == made


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("3s", 3),
        ("10m", 600),
        ("24h", 86400),
        ("5d", 432000),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("0s", 0),
        ("1d1h1m1s1ms", 90061.001),
        ("90s", 90),
    ],
)
def test_durations_in_use(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(seconds=60), "1m"),
        (timedelta(hours=36), "36h"),
        (timedelta(days=30), "30d"),
        (timedelta(0), "0ms"),
        (timedelta(seconds=1.5), "1.5s"),
        (timedelta(microseconds=1), "0.001ms"),
        (timedelta(seconds=1234567, milliseconds=500), "1234567.5s"),
        (timedelta(seconds=61), "61s"),
    ],
)
def test_durations_are_written_short(value: timedelta, text: str) -> None:
    assert format_duration(value) == text


@pytest.mark.parametrize(("share", "text"), [(0.02, "2%"), (0.999, "99.9%"), (1.0, "100%"), (0.0, "0%"), (0.9999999, "99.99999%")])
def test_percentages_are_written_short(share: float, text: str) -> None:
    assert format_percent(share) == text


@pytest.mark.parametrize(
    "value",
    [
        "",
        "3",
        "s",
        "3 s",
        "3x",
        "-3s",
        "3s ",
        "1h 30m",
        "3S",
        "1.s",
        ".5s",
        "1e3s",
        3,
        3.5,
        None,
        True,
        [],
        "9" * 20 + "d",
        "9" * 400 + "d",
    ],
)
def test_what_is_no_duration(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 0),
        (5, 5),
        ("5", 5),
        ("5B", 5),
        ("64KiB", 65536),
        ("10 MiB", 10485760),
        ("2GiB", 2**31),
        ("1kB", 1000),
        ("3MB", 3_000_000),
    ],
)
def test_sizes_in_use(value: Any, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", [-1, True, 1.5, "", "KiB", "1KIB", "1TiB", "-1", "1.5MiB", "1  MiB", "1MiB ", None, [1]])
def test_what_is_no_size(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(value)


@pytest.mark.parametrize("value", ["", "2", "%", "-1%", "101%", "100.1%", "1 %", "nan%", "1e1%", 2, 1.1, None, True])
def test_what_is_no_percentage(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a percentage"):
        parse_percent(value)


@pytest.mark.parametrize(
    "value", ["", "5", "0/s", "5/m", "5/min ", "-1/s", "1.5/s", "05/s", "5 / s", "5/week", 5, None, "1" * 13 + "/s"]
)
def test_what_is_no_rate(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a rate"):
        Rate.parse(value)


@pytest.mark.parametrize("value", ["", "secret", "env:", "env:1A", "env:A B", "file:", "FILE:a", " env:A", "env:A\n", 5, None])
def test_a_secret_written_in_place_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="never written in the deployment file"):
        Reference.parse(value)


def test_a_reference_is_read_where_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_bytes(b"of the file\n")
    monkeypatch.setenv("SECRET", "of the environment")
    assert Reference.parse("file:secret").resolve(tmp_path) == b"of the file"
    assert Reference.parse(f"file:{tmp_path}/secret").resolve(Path("/elsewhere")) == b"of the file"
    assert Reference.parse("env:SECRET").resolve(tmp_path) == b"of the environment"
    assert str(Reference.parse("env:SECRET")) == "env:SECRET"
    monkeypatch.delenv("SECRET")
    with pytest.raises(KeyError):
        Reference.parse("env:SECRET").resolve(tmp_path)
    with pytest.raises(FileNotFoundError):
        Reference.parse("file:none").resolve(tmp_path)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Name, ["a", "A1", "a.b-c_d", "a" * 63], ["", "-a", ".a", "a b", "a/b", "a" * 64, "é", "a\n"]),
        (OdsCode, ["RXN", "A81001", "ABC123456789"], ["rxn", "AB", "A" * 13, "A-1", "RXN\n"]),
        (
            HttpUrl,
            ["http://a", "https://a.b:1/c/d", "http://[::1]:80/"],
            ["a", "ftp://a", "http://", "http://a?b", "http://a#b", "http://u@a", "http://a b"],
        ),
    ],
)
def test_names_codes_and_urls(kind: Any, good: list[str], bad: list[str]) -> None:
    adapter = TypeAdapter(kind)
    for value in good:
        assert adapter.validate_python(value) == value
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
