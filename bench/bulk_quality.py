"""Quality control of a million records, beside a bare DuckDB and a bare Polars script that do the same.

python -m bench.bulk_quality [--rounds N] [--rows N] [--large N]

The file: CSV of 12 columns, with NHS-number check digits, dates, patterns, ranges, code lists, decimals and ids; one record in a
hundred is bad, in eleven ways: wrong check digit, impossible date, wrong pattern, out of range, not in the list, id that was there
before, end before start, too many values, too few, no number, no id. Each of the three is a process of its own that reads the file,
finds of every record all that is wrong, writes the good records as CSV and the bad with their number and every rule that they
broke. They run in turn; CPU is user and system time of the process as the kernel counts it, from its start. The run fails unless
all three name the same records and the same rules. Ours also writes the raw records, profiles every column and keeps its memory
flat, which is measured with a file of ten times as many records.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS, LARGE, ROUNDS = 1_000_000, 10_000_000, 5
NAMES = ("id", "nhs", "family", "born", "sex", "postcode", "site", "admitted", "discharged", "hrg", "days", "cost")
PATTERNS = {"id": r"E[0-9]{9}", "postcode": r"[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][A-Z]{2}", "hrg": r"[A-Z]{2}[0-9]{2}[A-Z]"}
SEXES, SITES = ["0", "1", "2", "9"], ["RXN", "RTR", "RX1", "A81001"]
_CODES = {
    "nhs": {"check-digit": "nhs", "type": "nhs"}, "born": {"type": "born"}, "admitted": {"type": "admitted"},
    "discharged": {"type": "discharged"}, "postcode": {"pattern": "postcode"}, "hrg": {"pattern": "hrg"},
    "days": {"range": "days", "type": "days"}, "sex": {"code": "sex"}, "site": {"code": "site"}, "cost": {"type": "cost"},
    "id": {"required": "no-id", "pattern": "id", "unique": "again"},
}  # fmt: skip


# --- the file -------------------------------------------------------------------------------------------------------------


def write(path: Path, rows: int) -> None:
    """Write the file."""
    import numpy as np

    random = np.random.default_rng(7)
    weights = np.arange(10, 1, -1)
    families = np.array(["Khan", "Smith", "O'Brien", "Patel", "Jones", "Williams-Ali"])
    with path.open("wb") as file:
        file.write(",".join(NAMES).encode() + b"\n")
        for start in range(0, rows, 100_000):
            size = min(100_000, rows - start)
            nine = random.integers(400_000_000, 499_999_999, size)
            digits = nine[:, None] // 10 ** np.arange(8, -1, -1) % 10
            check = (11 - digits @ weights % 11) % 11
            nine, check = np.where(check == 10, 943_476_591, nine), np.where(check == 10, 9, check)
            born = np.datetime64("1930-01-01") + random.integers(0, 30_000, size)
            admitted = np.datetime64("2026-10-01") + random.integers(0, 50, size)
            days = random.integers(0, 20, size)
            columns: list[list[Any]] = [
                [f"E{each:09}" for each in range(start, start + size)],
                [f"{a}{b}" for a, b in zip(nine.tolist(), check.tolist(), strict=True)],
                random.choice(families, size).tolist(),
                np.datetime_as_string(born).tolist(),
                random.choice(np.array(SEXES), size).tolist(),
                [f"TS{a} {b}AB" for a, b in random.integers(1, 10, (size, 2)).tolist()],
                random.choice(np.array(SITES), size).tolist(),
                np.datetime_as_string(admitted).tolist(),
                np.datetime_as_string(admitted + days).tolist(),
                [f"AA{each}B" for each in random.integers(10, 99, size).tolist()],
                [str(each) for each in days.tolist()],
                [f"{each:.2f}" for each in (random.random(size) * 9000).tolist()],
            ]
            lines = list(map(",".join, zip(*columns, strict=True)))
            for at in range(7, size, 100):
                lines[at] = _spoilt(lines[at].split(","), (start + at) // 100 % 11)
            file.write("\n".join(lines).encode() + b"\n")


def _spoilt(row: list[str], how: int) -> str:
    """One record, made bad in one of eleven ways."""
    changes = (
        {1: row[1][:9] + str((int(row[1][9]) + 1) % 10)}, {3: "2026-02-30"}, {5: "XX"}, {10: "9999"}, {4: "7"},
        {0: f"E{int(row[0][1:]) - 1:09}"}, {8: "2020-01-01"}, {11: "abc"}, {0: ""},
    )  # fmt: skip
    if how >= len(changes):
        return ",".join([*row, "x"] if how == len(changes) else row[:7])
    return ",".join(changes[how].get(place, value) for place, value in enumerate(row))


# --- the three ------------------------------------------------------------------------------------------------------------


def ours(source: Path, folder: Path) -> None:
    """As the product does it."""
    from datetime import date

    import msgspec

    from fiveways.methods.bulk.quality.batches import GoodRecords, Part
    from fiveways.methods.bulk.quality.examination import examine
    from fiveways.methods.bulk.quality.settings import QualitySettings

    columns: dict[str, dict[str, Any]] = {name: {} for name in NAMES}
    columns |= {name: {"pattern": pattern} for name, pattern in PATTERNS.items()}
    columns |= {name: {"type": "date"} for name in ("born", "admitted", "discharged")}
    columns |= {name: {"type": "code", "codes": codes} for name, codes in (("sex", SEXES), ("site", SITES))}
    columns |= {"nhs": {"type": "nhs_number"}, "days": {"type": "integer", "min": 0, "max": 365}, "cost": {"type": "decimal"}}
    columns["id"]["required"] = True
    said = QualitySettings.model_validate(
        {"columns": columns, "unique": ["id"], "rules": {"order": {"compare": "discharged >= admitted"}}}
    )
    encoder = msgspec.json.Encoder()
    with (folder / "good.csv").open("wb") as good, (folder / "bad.jsonl").open("wb") as bad, source.open("rb") as file:
        part: list[Part] = []

        def hand_on(records: GoodRecords) -> None:
            if not part:
                part.append(Part(records.header, records.encoding))
            good.write(part[0].add(records.batch))

        examine(
            iter(lambda: file.read(2**18), b""), said, good=hand_on, today=date(2026, 11, 23), scratch=folder,
            bad=lambda records: bad.writelines(encoder.encode(each) + b"\n" for each in records),
        )  # fmt: skip


def polars(source: Path, folder: Path) -> None:
    """All of the file in a frame, with PyArrow's reader, which tells which lines it could not take."""
    import numpy as np
    import polars as pl
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.csv as pc  # type: ignore[import-untyped]

    broken: dict[int, str] = {}

    def skip(row: Any) -> str:
        broken[row.number - 1] = row.text
        return "skip"

    table = pc.read_csv(
        source,
        read_options=pc.ReadOptions(use_threads=False),
        parse_options=pc.ParseOptions(invalid_row_handler=skip),
        convert_options=pc.ConvertOptions(
            column_types=dict.fromkeys(NAMES, pa.large_string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    numbers = np.delete(np.arange(table.num_rows + len(broken)), [each - 1 for each in broken]) + 1
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    c = pl.col
    number = c("nhs").cast(pl.Int64, strict=False)
    total = sum(((number // 10 ** (9 - place)) % 10 * (10 - place) for place in range(10)), pl.lit(0))
    born, admitted, discharged = (c(each).str.to_date("%Y-%m-%d", strict=False) for each in ("born", "admitted", "discharged"))
    rules = {
        "no-id": c("id").is_null(),
        "again": ~c("id").is_first_distinct() & c("id").is_not_null(),
        "nhs": ~(c("nhs").str.contains("^[0-9]{10}$") & (total % 11 == 0)),
        "born": c("born").is_not_null() & born.is_null(),
        "admitted": c("admitted").is_not_null() & admitted.is_null(),
        "discharged": c("discharged").is_not_null() & discharged.is_null(),
        "sex": ~c("sex").is_in(SEXES),
        "site": ~c("site").is_in(SITES),
        "days": ~c("days").cast(pl.Int64, strict=False).is_between(0, 365).fill_null(value=False) & c("days").is_not_null(),
        "cost": c("cost").is_not_null() & c("cost").cast(pl.Float64, strict=False).is_null(),
        "order": discharged < admitted,
        **{name: ~c(name).str.contains(f"^(?:{pattern})$") for name, pattern in PATTERNS.items()},
    }
    codes = pl.concat_str([pl.when(rule).then(pl.lit(name)) for name, rule in rules.items()], separator=" ", ignore_nulls=True)
    frame = frame.lazy().with_columns(number=pl.Series(numbers), codes=codes).collect()
    frame.filter(c("codes") == "").drop("number", "codes").write_csv(folder / "good.csv")
    bad = frame.filter(c("codes") != "")
    shape = pl.DataFrame({"number": list(broken), "codes": ["columns"] * len(broken), "raw": list(broken.values())})
    ruled = bad.select(c("number").cast(pl.Int64), "codes", raw=pl.concat_str(NAMES, separator=",", ignore_nulls=True))
    pl.concat([ruled, shape]).write_csv(folder / "bad.csv")


def duckdb(source: Path, folder: Path) -> None:
    """All of the file in a table, with DuckDB's reader, which keeps what it could not take in a table of its own."""
    import duckdb as db

    connection = db.connect()
    columns = "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in NAMES) + "}"
    connection.execute(
        "CREATE TABLE records AS SELECT row_number() OVER () AS place, * FROM"
        f" read_csv('{source}', header = true, auto_detect = false, columns = {columns}, store_rejects = true, delim = ',',"
        " quote = '\"', escape = '\"', null_padding = false)"
    )
    total = " + ".join(f"(n // {10 ** (9 - place)}) % 10 * {10 - place}" for place in range(10))
    rules = {
        "no-id": "id IS NULL",
        "again": "place <> earliest",
        "nhs": f"NOT (regexp_full_match(nhs, '[0-9]{{10}}') AND ({total}) % 11 = 0)",
        "born": "born IS NOT NULL AND try_cast(born AS DATE) IS NULL",
        "admitted": "admitted IS NOT NULL AND a IS NULL",
        "discharged": "discharged IS NOT NULL AND d IS NULL",
        "sex": f"sex NOT IN ({str(SEXES)[1:-1]})",
        "site": f"site NOT IN ({str(SITES)[1:-1]})",
        "days": "days IS NOT NULL AND NOT coalesce(try_cast(days AS BIGINT) BETWEEN 0 AND 365, false)",
        "cost": "cost IS NOT NULL AND try_cast(cost AS DOUBLE) IS NULL",
        "order": "d < a",
        **{name: f"NOT regexp_full_match({name}, '{pattern}')" for name, pattern in PATTERNS.items()},
    }
    cases = ", ".join(f"CASE WHEN {rule} THEN '{name}' END" for name, rule in rules.items())
    connection.execute(
        f"CREATE TABLE judged AS SELECT *, concat_ws(' ', {cases}) AS codes FROM (SELECT records.*, try_cast(nhs AS BIGINT) AS n,"
        " try_cast(admitted AS DATE) AS a, try_cast(discharged AS DATE) AS d, twice.earliest FROM records LEFT JOIN (SELECT id,"
        " min(place) AS earliest FROM records WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1) AS twice USING (id))"
    )
    names = ", ".join(NAMES)
    connection.execute(f"COPY (SELECT {names} FROM judged WHERE codes = '') TO '{folder / 'good.csv'}' (HEADER)")
    connection.execute(
        "CREATE TABLE broken AS SELECT DISTINCT line - 1 AS number, 'columns' AS codes, csv_line AS raw FROM reject_errors"
    )
    # A row's number is its place among those that were taken, and the lines before it that were not.
    connection.execute(
        "CREATE TABLE shifts AS SELECT number - row_number() OVER (ORDER BY number) AS after,"
        " row_number() OVER (ORDER BY number) AS more FROM broken"
    )
    connection.execute(
        "COPY (SELECT place + coalesce((SELECT max(more) FROM shifts WHERE after < place), 0) AS number, codes,"
        f" concat_ws(',', {names}) AS raw FROM judged WHERE codes <> '' UNION ALL SELECT * FROM broken)"
        f" TO '{folder / 'bad.csv'}' (HEADER)"
    )


THREE: dict[str, Callable[[Path, Path], None]] = {"ours": ours, "polars": polars, "duckdb": duckdb}


# --- measuring ------------------------------------------------------------------------------------------------------------


def run(name: str, source: Path, folder: Path) -> dict[str, float]:
    """One of them, in a process of its own: seconds of the clock and of CPU, and MiB at the most."""
    folder.mkdir(exist_ok=True)
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "bench.bulk_quality", "--run", name, str(source), str(folder)])
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} ended with exit code {process.returncode}")
    return {"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "rss_mib": used.ru_maxrss / 1024}


def judged(name: str, folder: Path) -> dict[int, frozenset[str]]:
    """What one of them found: codes, by record."""
    import polars as pl

    if name != "ours":
        rows = pl.read_csv(folder / "bad.csv", columns=["number", "codes"]).iter_rows()
        return {number: frozenset(codes.split()) for number, codes in rows}
    found = {}
    with (folder / "bad.jsonl").open("rb") as file:
        for line in file:
            record = json.loads(line)
            codes = (
                each["rule"] if each["column"] is None else _CODES[each["column"]][each["rule"]] for each in record["breaches"]
            )
            found[record["number"]] = frozenset(codes)
    return found


def measure(rows: int = ROWS, large: int = LARGE, rounds: int = ROUNDS) -> dict[str, Any]:
    """All figures. `large` 0: without the file that is larger."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in THREE}
    with tempfile.TemporaryDirectory(prefix="fiveways-bench-") as temporary:
        folder = Path(temporary)
        source = folder / "records.csv"
        write(source, rows)
        for round_ in range(rounds):
            for name in sorted(THREE, key=lambda each: (list(THREE).index(each) + round_) % len(THREE)):
                runs[name].append(run(name, source, folder / name))
        found = {name: judged(name, folder / name) for name in THREE}
        if any(each != found["ours"] for each in found.values()):
            raise SystemExit("they do not agree: " + _difference(found))
        good = {name: sum(1 for _ in (folder / name / "good.csv").open("rb")) - 1 for name in THREE}
        if set(good.values()) != {rows - len(found["ours"])}:
            raise SystemExit(f"they do not agree on the good records: {good}")
        size = source.stat().st_size
        more: dict[str, float] = {}
        if large:
            write(source, large)
            more = run("ours", source, folder / "ours")
    middle = {name: {key: round(statistics.median(each[key] for each in of), 2) for key in of[0]} for name, of in runs.items()}
    fastest = {key: min(middle[name][key] for name in ("polars", "duckdb")) for key in ("wall_s", "cpu_s")}
    return {
        "rows": rows,
        "bytes": size,
        "bad": len(found["ours"]),
        "rounds": rounds,
        "medians": middle,
        "all": {name: [{key: round(value, 2) for key, value in each.items()} for each in of] for name, of in runs.items()},
        "ratio_wall": round(middle["ours"]["wall_s"] / fastest["wall_s"], 2),
        "ratio_cpu": round(middle["ours"]["cpu_s"] / fastest["cpu_s"], 2),
        "large": {"rows": large, **{key: round(value, 2) for key, value in more.items()}},
        "ratio_rss_large": round(more["rss_mib"] / middle["ours"]["rss_mib"], 2) if more else None,
    }


def _difference(found: dict[str, dict[int, frozenset[str]]]) -> str:
    """The first records on which they do not."""
    numbers = sorted(set().union(*found.values()))
    apart = [each for each in numbers if len({one.get(each) for one in found.values()}) > 1]
    return f"{len(apart)} records: " + "; ".join(
        f"{each}: " + ", ".join(f"{name} {sorted(one.get(each, ()))}" for name, one in found.items()) for each in apart[:5]
    )


def main() -> None:
    """Measure, and print it; or be one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of each (default {ROUNDS})")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"records (default {ROWS})")
    parser.add_argument("--large", type=int, default=LARGE, help=f"records of the larger file, 0 for none (default {LARGE})")
    parser.add_argument("--run", nargs=3, metavar=("NAME", "FILE", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        THREE[asked.run[0]](Path(asked.run[1]), Path(asked.run[2]))
        return
    print(json.dumps(measure(asked.rows, asked.large, asked.rounds), indent=2))


if __name__ == "__main__":
    main()
