"""The middleware façade: a class with a life cycle hides old behaviour, and the consumer meets the same gateway."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.conftest import Backend, Serve, Served, after, response

DEPLOYMENT = """\
organisations: {{RXN: {{name: Northshire}}}}
applications:
  ward: {{organisation: RXN, jwks: file:keys/ward.json, products: [all]}}
products: {{all: {{apis: [slots]}}}}
apis:
  slots:
    pattern: middleware
    at: /slots
    facade: facades:Slots
    options: {{notes: {notes}, version: 1}}
    target: {{url: "{url}"}}
    security: [signed-jwt]
    debt: {{owner: Bookings, reason: two calls for one, target: pass-through, retire_by: 2199-01-01}}
"""


@pytest.fixture(scope="module")
def served(behind: Backend, serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    notes = tmp_path_factory.mktemp("facade") / "notes"
    with serve(DEPLOYMENT.format(url=behind.url, notes=notes), started=False) as made:
        shutil.copy(Path(__file__).parent / "facades.py", made.folder)
        made.start()
        yield made
        assert made.stop() == 0
    assert notes.read_text().splitlines()[-1].startswith("slots close")


def notes(served: Served) -> list[str]:
    (line,) = [line for line in served.file.read_text().splitlines() if "notes:" in line]
    return Path(line.partition("notes: ")[2].partition(",")[0]).read_text().splitlines()


def test_two_calls_are_one_and_what_it_remembers_is_its_own(served: Served, behind: Backend) -> None:
    held = behind.at(response(200, b"{}", ("X-Hold", "77")))
    for number in (1, 2):
        answer = served.call("POST", f"/slots{held}/book", headers=served.bearer(), content=b"")
        assert answer.status_code == 200
        hold, book = behind.requests(held)[-2:]
        assert hold.target == f"{held}/hold".encode()
        assert book.target == f"{held}/book/77/{number}".encode()
        assert book.all(b"nhsd-application") == [b"ward"]
    event = served.event(api="slots", request_id=answer.headers["x-request-id"])
    assert (event["calls"], event["status"]) == (2, 200)
    assert served.call("POST", f"/slots{held}/book").status_code == 401


def test_a_defect_of_its_own_is_a_500_that_says_nothing_of_it(served: Served, behind: Backend) -> None:
    answer = served.call("POST", f"/slots{behind.at(response())}/book", headers=served.bearer(), content=b"")
    assert (answer.status_code, "x-hold" in answer.text) == (500, False)


def test_a_reload_keeps_it_unless_what_it_is_told_has_changed(served: Served, behind: Backend) -> None:
    text = served.file.read_text()
    assert notes(served) == ["slots open 1"]
    try:
        served.file.write_text(text.replace("api: x", "").replace("reason: two calls", "reason: still two calls"))
        assert served.run("reload").returncode == 0
        assert notes(served) == ["slots open 1"]
        served.file.write_text(text.replace("version: 1", "version: 1, broken: yes"))
        refused = served.run("reload")
        assert (refused.returncode, "apis.slots.facade does not open: ConnectionError" in refused.stderr) == (1, True)
        assert notes(served) == ["slots open 1"]
        slow = behind.at(after(1.5))
        with served.connect() as connection:
            authorization = served.bearer()["Authorization"]
            connection.sendall(f"GET /slots{slow} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n".encode())
            behind.wait(lambda: behind.requests(slow))
            served.file.write_text(text.replace("version: 1", "version: 2"))
            assert served.run("reload").returncode == 0
            assert connection.recv(100).startswith(b"HTTP/1.1 200"), "what is under way in it ends as it began"
        until = time.monotonic() + 5
        while notes(served) != ["slots open 1", "slots open 2", "slots close 1"]:
            assert time.monotonic() < until, notes(served)
            time.sleep(0.05)
    finally:
        served.file.write_text(text)
        assert served.run("reload").returncode == 0


def test_it_is_debt_and_check_tells_it_from_a_policy(served: Served) -> None:
    assert "slots" in served.run("debt").stdout
    text = served.file.read_text()
    try:
        served.file.write_text("\n".join(line for line in text.splitlines() if "debt:" not in line))
        assert "GW05 apis.slots" in served.run("check").stdout
        served.file.write_text(text.replace("facades:Slots", "asyncio:sleep"))
        assert "GW07 apis.slots.facade" in served.run("check").stdout
    finally:
        served.file.write_text(text)


@pytest.mark.parametrize(
    ("api", "mistake"),
    [
        ("pattern: middleware, target: {url: 'http://x'}", "which has a facade:"),
        ("pattern: pass-through, target: {url: 'http://x'}, facade: 'facades:Slots'", "are for pattern: middleware"),
        ("pattern: pass-through, target: {url: 'http://x'}, options: {a: 1}", "are for pattern: middleware"),
        ("pattern: middleware, target: {url: 'http://x'}, facade: 'facades:Nothing'", "facades:Nothing cannot be loaded"),
    ],
)
def test_a_facade_that_cannot_be_is_refused_where_it_stands(serve: Serve, api: str, mistake: str) -> None:
    with serve(f"apis:\n  a: {{at: /a, security: [open], {api}}}\n", started=False) as served:
        shutil.copy(Path(__file__).parent / "facades.py", served.folder)
        refused = served.run("check")
        assert (refused.returncode, mistake in refused.stdout + refused.stderr) == (1, True), refused.stdout + refused.stderr
