"""Messages of HL7 V3 as the NHS Spine exchanges them: the transmission wrapper, the control act, and what is in it.

The shape is that of the Spine's public examples: acknowledgement and detected issues, `queryAck`, the answer of a retrieval in a
`retrievalQueryResponse`. What is a guess: that an advanced trace is answered at once, as a simple one is (the Spine answers later,
by ebXML), and with the version code given here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from lxml import etree

from fiveways.methods.synchronous.transformation.v3.datatypes import V3, tag
from fiveways.methods.synchronous.transformation.xml.document import Element, make

INTERACTIONS: Final = "2.16.840.1.113883.2.1.3.2.4.12"
ASID: Final = "1.2.826.0.1285.0.2.0.107"
USER: Final = "1.2.826.0.1285.0.2.0.65"
ROLE_PROFILE: Final = "1.2.826.0.1285.0.2.0.67"
JOB_ROLE: Final = "1.2.826.0.1285.0.2.1.104"
ISSUES: Final = "2.16.840.1.113883.2.1.3.2.4.17.42"
VERSION: Final = "3NPfIT6.3.00"


class Interaction(NamedTuple):
    """A query, and its answer; `within`: the element that the answer is in, '' where there is none; `subject`: a person's."""

    name: str
    query: str
    answer: str
    within: str
    subject: str


SIMPLE_TRACE: Final = Interaction("SimpleTrace", "QUPA_IN000005UK01", "QUPA_IN000007UK01", "", "PdsTraceMatch")
ADVANCED_TRACE: Final = Interaction("AdvancedTrace", "QUPA_IN000006UK02", "QUPA_IN000011UK02", "", "PdsTraceMatch")
RETRIEVAL: Final = Interaction("Retrieval", "QUPA_IN000008UK02", "QUPA_IN000009UK03", "retrievalQueryResponse", "PDSResponse")
QUERIES: Final = {each.query: each for each in (SIMPLE_TRACE, ADVANCED_TRACE, RETRIEVAL)}
FAILED: Final = "QUQI_IN010000UK14"
"""The answer that says that there is none."""


class Issue(NamedTuple):
    """A detected issue: `severity` is ER (error) or WG (warning), '' where it says neither."""

    code: str
    display: str
    system: str = ISSUES
    severity: str = "ER"


@dataclass(frozen=True, slots=True)
class Parties:
    """Who sends and who receives, by their ids at the Spine (ASID)."""

    sender: str
    receiver: str


@dataclass(frozen=True, slots=True)
class Agent:
    """The person in whose name it is asked."""

    user: str
    role_profile: str
    job_role: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """What a message says of itself."""

    interaction: str
    id: str
    root: Element
    control_act: Element | None
    acknowledgement: str
    """AA, AE or AR; '' in a query."""
    issues: tuple[Issue, ...]
    response: str
    """OK, NF, AE, QE, ID …: the code of queryAck."""


def read(body: Element) -> Message:
    """The message in a body, whatever it is wrapped in. ValueError where there is none."""
    root = body
    if root.find(tag("interactionId")) is None and len(root) == 1:
        root = root[0]
    interaction = root.find(tag("interactionId"))
    if interaction is None or etree.QName(root).namespace != V3:
        raise ValueError("there is no message of HL7 V3 in the Body")
    name = etree.QName(root).localname
    if interaction.get("extension", name) != name:
        raise ValueError("the interactionId is not that of the message")
    act = root.find(tag("ControlActEvent"))
    ids = root.find(tag("id"))
    acknowledgement = root.find(tag("acknowledgement"))
    response = root.find(f"{tag('ControlActEvent')}/{tag('queryAck')}/{tag('queryResponseCode')}")
    return Message(
        name,
        (ids.get("root", "") if ids is not None else "")[:64],
        root,
        act,
        acknowledgement.get("typeCode", "") if acknowledgement is not None else "",
        tuple(_issues(root, act)),
        response.get("code", "") if response is not None else "",
    )


def write(
    interaction: str, id_: str, at: datetime, parties: Parties, act: Sequence[Element], answer: tuple[str, str] | None
) -> Element:
    """A message. `act` is what is in its control act, after who asks; `answer`: what kind of acknowledgement, of which message."""
    root = make(tag(interaction), {None: V3})
    _add(root, "id", root=id_)
    _add(root, "creationTime", value=f"{at:%Y%m%d%H%M%S}")
    _add(root, "versionCode", code=VERSION)
    _add(root, "interactionId", root=INTERACTIONS, extension=interaction)
    for name, code in (("processingCode", "P"), ("processingModeCode", "T"), ("acceptAckCode", "NE")):
        _add(root, name, code=code)
    if answer is not None:
        _add(_add(_add(root, "acknowledgement", typeCode=answer[0]), "messageRef"), "id", root=answer[1])
    root.extend(communication(parties))
    control = _add(root, "ControlActEvent", classCode="CACT", moodCode="EVN")
    control.extend(act)
    return root


def communication(parties: Parties) -> list[Element]:
    """Who receives and who sends: in the message, and again in the headers of the envelope."""
    made = []
    for name, code, asid in (("Rcv", "RCV", parties.receiver), ("Snd", "SND", parties.sender)):
        function = make(tag(f"communicationFunction{name}"), {None: V3})
        function.set("typeCode", code)
        _add(_add(function, "device", classCode="DEV", determinerCode="INSTANCE"), "id", root=ASID, extension=asid)
        made.append(function)
    return made


def authors(parties: Parties, agent: Agent | None) -> list[Element]:
    """Who asks: the person, where there is one, and the system."""
    made = []
    if agent is not None:
        author = make(tag("author"), {None: V3})
        author.set("typeCode", "AUT")
        person = _add(author, "AgentPersonSDS", classCode="AGNT")
        _add(person, "id", root=ROLE_PROFILE, extension=agent.role_profile)
        _add(_add(person, "agentPersonSDS", classCode="PSN", determinerCode="INSTANCE"), "id", root=USER, extension=agent.user)
        if agent.job_role:
            role = _add(_add(person, "part", typeCode="PART"), "partSDSRole", classCode="ROL")
            _add(role, "id", root=JOB_ROLE, extension=agent.job_role)
        made.append(author)
    author = make(tag("author1"), {None: V3})
    author.set("typeCode", "AUT")
    system = _add(_add(author, "AgentSystemSDS", classCode="AGNT"), "agentSystemSDS", classCode="DEV", determinerCode="INSTANCE")
    _add(system, "id", root=ASID, extension=parties.sender)
    return [*made, author]


def reason(issue: Issue) -> Element:
    """A detected issue."""
    made = make(tag("reason"), {None: V3})
    made.set("typeCode", "RSON")
    code = _add(_add(made, "justifyingDetectedIssueEvent", classCode="ALRT", moodCode="EVN"), "code", code=issue.code)
    code.set("codeSystem", issue.system)
    code.set("displayName", issue.display)
    _add(code, "qualifier", code=issue.severity)
    return made


def query_ack(code: str) -> Element:
    """How the query went."""
    made = make(tag("queryAck"), {None: V3})
    made.set("type", "QueryAck")
    _add(made, "queryResponseCode", code=code)
    return made


def _issues(root: Element, act: Element | None) -> list[Issue]:
    found = []
    events = act.iterfind(f"{tag('reason')}/{tag('justifyingDetectedIssueEvent')}/{tag('code')}") if act is not None else ()
    details = root.iterfind(f"{tag('acknowledgement')}/{tag('acknowledgementDetail')}/{tag('code')}")
    for code in (*events, *details):
        qualifier = code.find(tag("qualifier"))
        within = qualifier.find(tag("value")) if qualifier is not None else None
        said = within if within is not None else qualifier
        display = code.get("displayName") or code.get("name") or ""
        severity = said.get("code", "") if said is not None else ""
        found.append(Issue(code.get("code", ""), display, code.get("codeSystem", ""), severity))
    return found


def _add(within: Element, name: str, /, **attributes: str) -> Element:
    return etree.SubElement(within, tag(name), attributes)
