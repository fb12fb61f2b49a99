"""Messages to a patient's practice, and workflows of FHIR messages, through `fiveways serve` with the public client.

Nothing of an address is anywhere afterwards: not in the database or its log, the audit's files, the log, the metrics.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date

import pytest
import uvicorn
from mesh_client import MeshClient, MeshError
from requests import HTTPError
from tests.acceptance.conftest import Backend as RawBackend
from tests.acceptance.conftest import Serve, Served, after, free_port, response
from tests.acceptance.messaging.wire import V1, V2, Wire

from fiveways.demo.backend import Backend

MAILBOXES = """
mailboxes:
  HOSPITAL: {organisation: RXN, password: env:MESH_PASSWORD}
  SURGERY: {organisation: A81001, password: env:MESH_PASSWORD}
  SURGERY-TOO: {organisation: A81001, password: env:MESH_PASSWORD}
workflows:
  LETTER: {from: [HOSPITAL], to: [SURGERY]}
  AMBIGUOUS: {from: [HOSPITAL], to: [SURGERY, SURGERY-TOO]}
  NOBODY: {from: [HOSPITAL], to: [HOSPITAL]}
  OTHERS: {from: [SURGERY], to: [SURGERY]}
  FHIR: {from: [HOSPITAL], to: [SURGERY], payload: fhir-message}
"""
PEOPLE = """
programme: {name: Routing tests}
organisations: {RXN: {name: Northshire}, A81001: {name: The Surgery}}
"""
SEARCHED = (
    PEOPLE
    + """
applications:
  ward: {organisation: RXN, products: [%(products)s]}
products: {demographics: {apis: [patients], quota: 1000/min}, other: {apis: [more]}}
apis:
  patients:
    {pattern: pass-through, at: /demographics, target: {url: "%(url)s"}, security: [signed-jwt], model: {fhir: {version: R4}}}
  more: {pattern: pass-through, at: /more, target: {url: "%(url)s"}, security: [signed-jwt]}
messaging: {shared_key: env:MESH_KEY, routing: {fhir: {api: patients, as: ward}, within: 1s}}
"""
    + MAILBOXES
)
ENVIRONMENT = {"MESH_KEY": "TestKey", "MESH_PASSWORD": "password"}
MESSAGE = json.dumps(
    {"resourceType": "Bundle", "type": "message", "entry": [{"resource": {"resourceType": "MessageHeader"}}]}
).encode()


@pytest.fixture(autouse=True)
def clean() -> None:
    """There is no sandbox here to be cleaned."""


class Registry:
    """The demo's FHIR server, in a thread of its own."""

    def __init__(self) -> None:
        self.backend = Backend()
        self.port = free_port()
        self._server = uvicorn.Server(uvicorn.Config(self.backend.app, port=self.port, log_level="error", ws="none"))
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    made = Registry()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def served(serve: Serve, registry: Registry) -> Iterator[Served]:
    text = SEARCHED % {"products": "demographics", "url": f"http://127.0.0.1:{registry.port}/FHIR/R4"}
    with serve(text, environment=ENVIRONMENT) as served:
        yield served


@pytest.fixture
def mesh() -> Iterator[Callable[..., MeshClient]]:
    """Opens mesh-client on a mailbox; in chunks of 100 bytes."""
    opened: list[MeshClient] = []

    def make(served: Served, mailbox: str) -> MeshClient:
        opened.append(MeshClient(served.url, mailbox, "password", shared_key=b"TestKey", max_retries=0, max_chunk_size=100))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def person(registry: Registry, index: int = 0) -> tuple[str, date, str]:
    """NHS number, date of birth, surname."""
    patient = list(registry.backend.patients.values())[index]
    return patient["id"], date.fromisoformat(patient["birthDate"]), patient["name"][0]["family"]


def reports(client: MeshClient) -> list[tuple[str, str, str]]:
    """Code, words and message of the reports that wait, acknowledged."""
    found = []
    for message in client.iterate_all_messages():
        with message:
            headers = dict(message.mex_headers())
            assert message.message_type == "REPORT"
            found.append((headers["statuscode"], headers["statusdescription"], headers["linkedmsgid"]))
    return found


def tracked(client: MeshClient, message: str) -> tuple[str, str, str]:
    found = client.track_message(message)
    return str(found["status"]), str(found.get("status_code", "")), str(found["recipient"])


def test_a_message_to_a_patients_practice_arrives_there(
    served: Served, registry: Registry, mesh: Callable[..., MeshClient]
) -> None:
    hospital, surgery = mesh(served, "HOSPITAL"), mesh(served, "SURGERY")
    number, born, family = person(registry)
    for address in (f"GPPROVIDER_{number}_{born:%Y%m%d}_{family.upper()}", f"gpprovider_{number}_{born:%d%m%Y}_{family}"):
        sent = hospital.send_message(address, b"x" * 250, workflow_id="LETTER", local_id="mine")
        assert tracked(hospital, sent) == ("accepted", "", "SURGERY")
        (message,) = surgery.iterate_all_messages()
        with message:
            assert (message.sender, message.recipient, message.read()) == ("HOSPITAL", "SURGERY", b"x" * 250)
    assert reports(hospital) == []


@pytest.mark.parametrize(
    ("address", "workflow", "code"),
    [
        ("GPPROVIDER_{number}_{born}_{family}", "AMBIGUOUS", "EPL-150"),
        ("GPPROVIDER_{number}_{born}_{family}", "NOBODY", "EPL-151"),
        ("GPPROVIDER_9990000019_{born}_{family}", "LETTER", "EPL-152"),
        ("GPPROVIDER_9449305552_{born}_{family}", "LETTER", "EPL-153"),
        ("GPPROVIDER_{number}_{born}_Else", "LETTER", "EPL-154"),
        ("GPPROVIDER_{number}_19010101_{family}", "LETTER", "EPL-154"),
        ("GPPROVIDER_{number}_99999999_{family}", "LETTER", "EPL-154"),
    ],
)
def test_one_that_finds_no_mailbox_comes_back_as_a_report(
    served: Served, registry: Registry, mesh: Callable[..., MeshClient], address: str, workflow: str, code: str
) -> None:
    hospital, surgery = mesh(served, "HOSPITAL"), mesh(served, "SURGERY")
    number, born, family = person(registry)
    address = address.format(number=number, born=f"{born:%Y%m%d}", family=family)
    for content in (b"short", b"in several chunks" * 20):
        sent = hospital.send_message(address, content, workflow_id=workflow)
        assert tracked(hospital, sent) == ("error", code, "")
        assert [(told[0], told[2]) for told in reports(hospital)] == [(code, sent)]
        assert surgery.list_messages() == []
        assert served.events(name="message.send")[-1]["details"] == {"refused": code}


@pytest.mark.parametrize(
    "to", ["GPPROVIDER_", "GPPROVIDER_{number}_{born}", "GPPROVIDER_{number}_1-1-1950_{family}", "GP_{number}_{born}_{family}"]
)
def test_what_is_not_of_the_form_is_an_address_that_nobody_has(served: Served, registry: Registry, to: str) -> None:
    number, born, family = person(registry)
    wire, fields = (
        Wire(served.url),
        {"mex-to": to.format(number=number, born=f"{born:%Y%m%d}", family=family), "mex-workflowid": "LETTER"},
    )
    answer = wire("POST", "/messageexchange/HOSPITAL/outbox", "HOSPITAL", accept=V2, headers=fields, body=b"x")
    assert (answer.status, answer.json()["detail"][0]["code"]) == (417, "12")
    wire.close()


def test_who_may_not_send_the_workflow_has_nobody_looked_up(
    served: Served, registry: Registry, mesh: Callable[..., MeshClient]
) -> None:
    number, born, family = person(registry)
    before = len(registry.backend.seen), registry.backend.seen[-1:]
    with pytest.raises(MeshError, match="not registered"):
        mesh(served, "HOSPITAL").send_message(f"GPPROVIDER_{number}_{born:%Y%m%d}_{family}", b"x", workflow_id="OTHERS")
    assert (len(registry.backend.seen), registry.backend.seen[-1:]) == before


def test_the_search_is_a_request_like_any_other_of_the_same_conversation(served: Served, registry: Registry) -> None:
    number, born, family = person(registry, 3)
    fields = {
        "mex-to": f"GPPROVIDER_{number}_{born:%Y%m%d}_{family}",
        "mex-workflowid": "LETTER",
        "x-correlation-id": "conversation-7",
    }
    wire = Wire(served.url)
    assert wire("POST", "/messageexchange/HOSPITAL/outbox", "HOSPITAL", headers=fields, body=b"x").status == 202
    wire.close()
    search = served.event(correlation_id="conversation-7", api="patients")
    assert (search["application"], search["organisation"], search["name"], search["status"]) == (
        "ward",
        "RXN",
        "Patient.search",
        200,
    )
    assert search["details"]["patient"].startswith("nhs:")
    assert "conversation-7" in registry.backend.seen[-1][2]["nhsd-correlation-id"]
    issued = served.events(kind="token.issued", application="ward")[0]
    assert issued["details"]["grant_type"] == "messaging.routing"


def test_a_token_that_was_taken_back_is_replaced(served: Served, registry: Registry, mesh: Callable[..., MeshClient]) -> None:
    number, born, family = person(registry)
    hospital = mesh(served, "HOSPITAL")
    hospital.send_message(f"GPPROVIDER_{number}_{born:%Y%m%d}_{family}", b"x", workflow_id="LETTER")
    before = len(served.events(kind="token.issued", application="ward"))
    revoked = served.run("token", "revoke", "--application", "ward")
    assert revoked.returncode == 0, revoked.stdout + revoked.stderr
    time.sleep(1.5)
    hospital.send_message(f"GPPROVIDER_{number}_{born:%Y%m%d}_{family}", b"x", workflow_id="LETTER")
    assert len(served.events(kind="token.issued", application="ward")) > before


def test_nothing_of_an_address_is_kept_anywhere(served: Served, registry: Registry, mesh: Callable[..., MeshClient]) -> None:
    registry.backend.patients["9434765919"] = {
        **next(iter(registry.backend.patients.values())),
        "id": "9434765919",
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9434765919"}],
        "birthDate": "1947-11-23",
        "name": [{"family": "Featherstonehaugh"}],
    }
    hospital = mesh(served, "HOSPITAL")
    for name in ("Featherstonehaugh", "Cholmondeley"):
        for workflow in ("LETTER", "AMBIGUOUS"):
            hospital.send_message(f"GPPROVIDER_9434765919_19471123_{name}", b"x", workflow_id=workflow)
    hospital.send_message("GPPROVIDER_9434765918_19471123_Featherstonehaugh", b"x", workflow_id="LETTER")
    metrics = served.call("GET", "/metrics").text
    time.sleep(0.5)
    kept = {str(path): path.read_bytes() for path in served.data.rglob("*") if path.is_file()}
    assert any(b"EPL-150" in content for content in kept.values()), "this is where it would be"
    kept |= {"log": served.log.encode(), "metrics": metrics.encode()}
    for secret in (
        b"9434765919",
        b"9434765918",
        b"19471123",
        b"1947-11-23",
        b"eatherstonehaugh",
        b"FEATHERSTONEHAUGH",
        b"holmondeley",
        b"GPPROVIDER",
    ):
        assert [path for path, content in kept.items() if secret in content] == []


def test_where_nobody_can_say_nothing_is_accepted(serve: Serve) -> None:
    back_end = RawBackend()
    answers = {"down": response(503, b"{}", ("Retry-After", "7")), "slow": after(20), "nonsense": response(200, b"<html>")}
    try:
        for answer in answers.values():
            text = SEARCHED % {"products": "demographics", "url": back_end.url + back_end.at(answer)}
            with serve(text, environment=ENVIRONMENT) as served:
                wire, fields = Wire(served.url), {"mex-to": "GPPROVIDER_9990000018_19850320_Smith", "mex-workflowid": "LETTER"}
                for version in (V1, V2):
                    begun = time.monotonic()
                    outbox = "/messageexchange/HOSPITAL/outbox"
                    refused = wire("POST", outbox, "HOSPITAL", accept=version, headers=fields, body=b"x")
                    assert time.monotonic() - begun < 5
                    assert refused.status == 503
                    assert int(refused.headers["retry-after"]) in (7, 10)
                    said = refused.json()
                    assert (said["detail"][0]["code"] if version == V2 else said["errorCode"]) == "ROUTING_UNAVAILABLE"
                assert wire("GET", "/messageexchange/HOSPITAL/outbox/rich", "HOSPITAL").json()["messages"] == []
                assert wire("GET", "/messageexchange/HOSPITAL/inbox", "HOSPITAL").json()["messages"] == []
                wire.close()
                assert "Smith" not in served.log
    finally:
        back_end.stop()


def test_practices_in_a_file_are_read_again_when_it_changes(serve: Serve, mesh: Callable[..., MeshClient]) -> None:
    text = PEOPLE + "messaging: {shared_key: env:MESH_KEY, routing: {file: practices.csv}}" + MAILBOXES
    with serve(text, environment=ENVIRONMENT, started=False) as served:
        file = served.folder / "practices.csv"
        file.write_text("nhs_number,date_of_birth,family,ods_code\n9990000019,1985-03-20,Smith,A81001\n")
        checked = served.run("check")
        assert checked.returncode == 1
        assert "practices.csv:2: nhs_number" in checked.stdout
        file.write_text("nhs_number,date_of_birth,family,ods_code\n9990000018,1985-03-20,Smith,A81001\n")
        assert served.run("check").returncode == 0
        served.start()
        hospital = mesh(served, "HOSPITAL")
        sent = [hospital.send_message("GPPROVIDER_9990000018_19850320_Smith", b"x", workflow_id="LETTER")]
        file.write_text("nhs_number,date_of_birth,family,ods_code\n")
        sent.append(hospital.send_message("GPPROVIDER_9990000018_19850320_Smith", b"x", workflow_id="LETTER"))
        assert [tracked(hospital, each)[:2] for each in sent] == [("accepted", ""), ("error", "EPL-153")]


FINDER = """
from fiveways.methods.messaging.routing.resolver import Failure, Practice
from datetime import date

async def find(patient, correlation):
    return Practice("A81001") if patient.fit(date(1985, 3, 20), ["Smith"]) else Failure.MISMATCH
"""


def test_a_callable_of_the_deployments_own_finds_practices(serve: Serve, mesh: Callable[..., MeshClient]) -> None:
    text = PEOPLE + "messaging: {shared_key: env:MESH_KEY, routing: {callable: 'my_practices:find'}}" + MAILBOXES
    with serve(text, environment=ENVIRONMENT, started=False) as served:
        assert "my_practices:find cannot be loaded" in served.run("check").stdout
        (served.folder / "my_practices.py").write_text(FINDER)
        served.start()
        hospital = mesh(served, "HOSPITAL")
        for name, state in (("Smith", "accepted"), ("Jones", "error")):
            sent = hospital.send_message(f"GPPROVIDER_9990000018_19850320_{name}", b"x", workflow_id="LETTER")
            assert tracked(hospital, sent)[0] == state


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        (("api: patients", "api: none"), "expected one of apis:"),
        (("as: ward", "as: nobody"), "expected one of applications:"),
        (("products: [demographics]", "products: [other]"), "is not subscribed"),
        (('/FHIR"}, security: [signed-jwt], model', '/FHIR"}, security: [api-key], model'), "does not take signed-jwt"),
        (("fhir: {api: patients, as: ward}, within: 1s", "within: 2s"), "expected one of file, fhir, callable"),
    ],
)
def test_a_search_that_could_not_be_made_is_a_mistake_of_the_file(serve: Serve, change: tuple[str, str], mistake: str) -> None:
    text = SEARCHED % {"products": "demographics", "url": "http://127.0.0.1:9/FHIR"}
    assert change[0] in text
    with serve(text.replace(*change), environment=ENVIRONMENT, started=False) as served:
        assert mistake in served.run("check").stderr.replace("\n", " ") + served.run("check").stdout


@pytest.mark.parametrize("compress", [False, True])
def test_a_workflow_of_fhir_messages_takes_nothing_else(served: Served, mesh: Callable[..., MeshClient], compress: bool) -> None:
    hospital, surgery = mesh(served, "HOSPITAL"), mesh(served, "SURGERY")
    for waiting in surgery.list_messages():
        surgery.acknowledge_message(waiting)
    reports(hospital)
    several = MESSAGE[:-1] + b', "id": "' + b"0123456789abcdef" * 40 + b'"}'
    good = [hospital.send_message("SURGERY", content, workflow_id="FHIR", compress=compress) for content in (MESSAGE, several)]
    assert surgery.list_messages() == good
    for bad in (MESSAGE[:-1], several.replace(b"MessageHeader", b"Patient")):
        sent = hospital.send_message("SURGERY", bad, workflow_id="FHIR", compress=compress)
        ((code, words, linked),) = reports(hospital)
        assert (code, linked) == ("Invalid file format", sent)
        assert words.startswith("Not a FHIR message: ")
        assert tracked(hospital, sent) == ("error", code, "SURGERY")
        with pytest.raises(HTTPError, match="410"):
            surgery.retrieve_message(sent)
    assert surgery.list_messages() == good
    for message in surgery.iterate_all_messages():
        with message:
            assert b"MessageHeader" in message.read()
