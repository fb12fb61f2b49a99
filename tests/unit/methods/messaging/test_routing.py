"""Addresses of patients, and what a router makes of what its resolver says."""

from __future__ import annotations

import asyncio
import unicodedata
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fiveways.correlation import Correlation
from fiveways.methods.messaging.directory import Directory, Mailbox, MailboxProfile, Workflow, WorkflowSettings
from fiveways.methods.messaging.routing.demographics import Demographics, day, folded, read
from fiveways.methods.messaging.routing.resolver import Failure, Practice, Resolver, Unresolved
from fiveways.methods.messaging.routing.router import Router, patient_of

pytestmark = pytest.mark.anyio

NUMBER = "9990000018"
BORN = date(1985, 3, 20)


def patient(address: str) -> Demographics:
    found = read(address)
    assert found is not None
    return found


# --- addresses --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("born", ["19850320", "20031985"])
@pytest.mark.parametrize(
    "family", ["O'Neill", "O NEILL", "o_neill", "Ó’Neill", "O-Neill", "oneill", "O\N{COMBINING ACUTE ACCENT}neill"]
)
def test_an_address_names_a_patient_however_people_write_it(born: str, family: str) -> None:
    found = patient(f"GPPROVIDER_{NUMBER}_{born}_{family}")
    assert found.has_nhs_number
    assert found.fit(BORN, ["O'Neill"])
    assert not found.fit(BORN, ["Neill", ""])
    assert not found.fit(date(1985, 3, 21), ["O'Neill"])
    assert not found.fit(None, ["O'Neill"])


@pytest.mark.parametrize(
    ("one", "other"),
    [("Müller", "MULLER"), ("Łukasz", "lukasz"), ("Strauß", "STRAUSS"), ("Sørensen", "Sorensen"), ("Æthel", "aethel"),
     ("Nguyễn", "NGUYEN"), ("Yıldız", "YILDIZ"), ("van der Berg", "VAN_DER-BERG"), ("Ｗard", "ward"), ("Ǿre", "ore")],
)  # fmt: skip
def test_names_are_compared_as_people_compare_them(one: str, other: str) -> None:
    assert folded(one) == folded(other) != ""


@given(st.text())
def test_a_name_is_the_same_in_every_normal_form_and_case(name: str) -> None:
    assert folded(unicodedata.normalize("NFC", name)) == folded(unicodedata.normalize("NFD", name)) == folded(folded(name))


@pytest.mark.parametrize(
    "address",
    ["", "BOB", "GPPROVIDER", "GPPROVIDER_", f"GPPROVIDER_{NUMBER}", f"GPPROVIDER_{NUMBER}_19850320",
     f"GPPROVIDER_{NUMBER}_19850320_", f"GPPROVIDER_{NUMBER}_19850320_-", f"GPPROVIDER_{NUMBER}_1985-03-20_Smith",
     f"GPPROVIDER_{NUMBER}_Smith_19850320",
     f"XGPPROVIDER_{NUMBER}_19850320_Smith", f"GPPROVIDER_{NUMBER}_１９８５０３２０_Smith"],
)  # fmt: skip
def test_what_is_not_of_the_form_is_no_address_of_a_patient(address: str) -> None:
    assert read(address) is None


@pytest.mark.parametrize(
    "number", ["", "9990000019", "999000001", "99900000188", "999 000 0018", "９９９００００２６", "ABCDEFGHIJ"]
)
def test_an_address_with_another_number_is_one_with_a_wrong_number(number: str) -> None:
    assert not patient(f"GPPROVIDER_{number}_19850320_Smith").has_nhs_number


def test_a_day_that_there_is_not_is_nobodys_birthday() -> None:
    found = patient(f"gpprovider_{NUMBER}_19850231_Smith")
    assert found.date_of_birth is None
    assert not found.fit(None, ["Smith"])


@given(st.dates(min_value=date(1800, 1, 1), max_value=date(9999, 12, 31)))
def test_no_date_can_be_read_in_two_ways(born: date) -> None:
    assert day(f"{born:%Y%m%d}") == day(f"{born:%d%m%Y}") == born


@given(st.text(st.characters(codec="utf-8"), max_size=100))
def test_any_address_is_read_or_not(text: str) -> None:
    read(text)
    read(f"GPPROVIDER_{text}")
    patient_of(f"GPPROVIDER_{NUMBER}_19850320_{text}".encode().decode("latin-1"))


def test_a_surname_is_read_in_utf_8_or_latin_1() -> None:
    for encoding in ("utf-8", "latin-1"):
        found = patient_of(f"GPPROVIDER_{NUMBER}_19850320_Güneş"[:-1].encode(encoding).decode("latin-1"))
        assert found is not None
        assert found.family == "Güne"


def test_a_patient_is_not_shown() -> None:
    shown = f"{patient(f'GPPROVIDER_{NUMBER}_19850320_Smith')!r}"
    assert not any(secret in shown for secret in (NUMBER, "1985", "Smith"))


# --- the router -------------------------------------------------------------------------------------------------------------


def directory() -> Directory:
    codes = {"A-ONE": "A81001", "B-ONE": "B81002", "B-TWO": "B81002", "C-OFF": "C81003"}
    mailboxes = [Mailbox(id_, MailboxProfile(organisation=code, active=id_ != "C-OFF")) for id_, code in codes.items()]
    settings = {"LETTER": {"from": ["HOSPITAL"], "to": [*codes]}, "OTHER": {"from": [], "to": []}}
    return Directory(mailboxes, [Workflow(id_, WorkflowSettings.model_validate(said)) for id_, said in settings.items()])


def says(answer: Any) -> Resolver:
    async def resolver(_: Demographics, __: Correlation) -> Practice | Failure:
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[no-any-return]

    return resolver


async def routed(resolver: Resolver, *, number: str = NUMBER, workflow: str = "LETTER") -> str | Failure:
    router = Router(resolver, directory(), timedelta(milliseconds=50))
    return await router.mailbox(patient(f"GPPROVIDER_{number}_19850320_Smith"), workflow, Correlation())


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Practice("A81001"), "A-ONE"),
        (Practice("B81002"), Failure.SEVERAL_MAILBOXES),
        (Practice("C81003"), Failure.NO_MAILBOX),
        (Practice("X99999"), Failure.NO_MAILBOX),
        (Practice(""), Failure.NO_MAILBOX),
        (Failure.NOT_FOUND, Failure.NOT_FOUND),
        (Failure.MISMATCH, Failure.MISMATCH),
    ],
)
async def test_the_mailbox_is_the_one_of_the_practice_that_takes_the_workflow(answer: Any, found: str | Failure) -> None:
    assert await routed(says(answer)) == found


async def test_a_workflow_without_receivers_leads_nowhere() -> None:
    assert await routed(says(Practice("A81001")), workflow="OTHER") is Failure.NO_MAILBOX


async def test_nobody_is_asked_for_what_is_no_nhs_number() -> None:
    assert await routed(says(AssertionError("it was asked")), number="9990000019") is Failure.INVALID_NUMBER


@pytest.mark.parametrize("answer", [OSError(f"no route to {NUMBER}"), ValueError("Smith"), "A81001", None])
async def test_a_resolver_that_fails_has_nothing_accepted_and_tells_nothing_of_the_patient(answer: Any) -> None:
    with capture_logs() as logs, pytest.raises(Unresolved) as refused:
        await routed(says(answer))
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "10")
    assert refused.value.__context__ is None, "what went wrong could name the patient"
    said = f"{logs} {refused.value}"
    assert len(logs) == 1
    assert NUMBER not in said
    assert "Smith" not in said


async def test_a_resolver_has_so_long_and_is_then_stopped() -> None:
    stopped = asyncio.Event()

    async def slow(_: Demographics, __: Correlation) -> Practice | Failure:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        raise AssertionError

    with pytest.raises(Unresolved):
        await routed(slow)
    assert stopped.is_set()


@pytest.mark.parametrize(
    ("workflow", "sender", "may"),
    [("LETTER", "HOSPITAL", True), ("LETTER", "A-ONE", False), ("OTHER", "A-ONE", True), ("NONE", "A-ONE", False)],
)
def test_who_may_not_send_a_workflow_has_nobody_looked_up(workflow: str, sender: str, may: bool) -> None:
    assert Router(says(None), directory(), timedelta(1)).may_send(workflow, sender) is may
