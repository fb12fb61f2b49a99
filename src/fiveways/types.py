"""The architecture in a page: an interaction comes in, policies wrap a handler, an outcome goes out.

Every method of exchange speaks in these words. A policy takes the interaction and the handler behind it and is, with that
handler, a handler again: that is the only mechanism there is for security, limits, de-duplication and audit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from uuid_utils import NAMESPACE_OID, uuid5

if TYPE_CHECKING:
    from fiveways.correlation import Correlation
    from fiveways.errors import Fault

Headers = list[tuple[bytes, bytes]]
"""Header fields in the order received; names in lower case, values as they were on the wire."""


@dataclass(slots=True)
class Consumer:
    """Who calls, once an identity policy has established it.

    `application` and `organisation` are ids of the deployment file ('' for an anonymous caller of an open API);
    `scopes` are OAuth scopes, `level` the NHS access level ('level0' API key, 'level3' signed JWT, 'aal3' or 'P9' a person), and
    `token` the id of the access token it came with. Where it acts on behalf of a person, `subject` is that person and `issuer` who
    vouched for them; `roles` are those they may act in, with the organisation of each, `organisations` those they work for, `told`
    the header fields in which back ends learn of them, and `facts` what the audit does.
    """

    application: str = ""
    organisation: str = ""
    context: str = "open"
    level: str = ""
    scopes: frozenset[str] = frozenset()
    token: str = ""
    subject: str = ""
    issuer: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    organisations: tuple[str, ...] = ()
    told: Headers = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)


ANONYMOUS: Final = Consumer()


class Known(NamedTuple):
    """What a repeat is recognised by: `key`, unique for its consumer and API, and `fingerprint`, a hash that is the same for a
    repeat and another for whatever else comes under the same key."""

    key: str
    fingerprint: bytes

    @property
    def name(self) -> str:
        """A GUID for the key: always the same."""
        return str(uuid5(NAMESPACE_OID, self.key))


class Interaction:
    """One exchange, from its first byte to its last.

    `id` is this exchange's own message id: it names the fault a consumer is shown and the audit event behind it. `path` is the
    raw path as received, `below` what of it lies below the API's base path, and `query` the raw query without its '?'.
    `headers` are the end-to-end fields that may go on to a back end; `fields` the single-valued ones that Fiveways itself reads
    (names in lower case). `body` yields the request's bytes once, or is None where the request has none, and `length` is its
    declared length. `calls` counts the requests made to back ends for it, and `telling` are header fields to be added to the
    answer whatever it will be. `api` and `name` say which declared API and which of its interactions this is ('Patient.read');
    `facts` collects what policies want the audit to remember (no bodies, no credentials, no patient identifiers). A handler that
    writes may `attest` the status it is about to answer: the event of it is then durable in the very commit of the write, which
    takes what `attest` returns (`GroupWriter.transact(…, settled=…)`); `attested` is that status. `known` is what a repeat of it is
    recognised by, where its content says so and not its request id.
    """

    __slots__ = (
        "api", "attest", "attested", "below", "body", "calls", "consumer", "correlation", "facts", "fields", "headers", "id",
        "known", "length", "method", "name", "path", "query", "route", "scope", "started", "telling",
    )  # fmt: skip

    def __init__(
        self,
        id: str,  # noqa: A002
        method: str,
        path: bytes,
        query: bytes,
        headers: Headers,
        fields: dict[bytes, bytes],
        body: AsyncIterator[bytes] | None,
        length: int | None,
        correlation: Correlation,
        started: float,
        scope: Any = None,
    ) -> None:
        self.id = id
        self.method = method
        self.path = path
        self.below = path
        self.query = query
        self.headers = headers
        self.fields = fields
        self.body = body
        self.length = length
        self.correlation = correlation
        self.started = started
        self.scope = scope
        self.calls = 0
        self.telling: Headers = []
        self.api = ""
        self.name = ""
        self.route: Any = None
        self.consumer = ANONYMOUS
        self.facts: dict[str, Any] = {}
        self.attest: Attest | None = None
        self.attested = 0
        self.known: Known | None = None


Attest = Callable[[Interaction, int], Callable[[bool], None]]
"""Records a status that is about to be answered; returns what is to be told whether the write was made."""


class Outcome:
    """What an interaction came to: a status, header fields, and a body that is whole (bytes) or still arriving.

    A streaming body is closed by whoever stops reading it (`aclose`), which cancels what feeds it. `fault` is set where the
    answer was made by Fiveways because something went wrong.
    """

    __slots__ = ("body", "fault", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes | AsyncIterator[bytes] = b"", fault: Fault | None = None) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.fault = fault

    async def aclose(self) -> None:
        """Stop the body, which nobody is going to read."""
        close = getattr(self.body, "aclose", None)
        if close is not None:
            await close()


Handler = Callable[[Interaction], Awaitable[Outcome]]
"""Takes an interaction to its outcome."""

Policy = Callable[[Interaction, Handler], Awaitable[Outcome]]
"""Wraps a handler. One that has nothing left to do once it has let the request through is a plain function that returns
`handler(interaction)`: a coroutine of its own would only cost."""

Observer = Callable[[Interaction, Outcome], None]
"""Looks at every outcome on its way out, faults too, and may add header fields to it."""


def wrap(handler: Handler, *policies: Policy) -> Handler:
    """`handler` behind `policies`; the first policy named is the outermost."""
    for policy in reversed(policies):
        handler = _behind(getattr(policy, "__call__", policy), handler)  # noqa: B004 (a bound method is called at less cost)
    return handler


def _behind(policy: Policy, handler: Handler) -> Handler:
    return lambda interaction: policy(interaction, handler)
