"""What of a deployment does not fit together: names that lead nowhere, and things that cannot stand beside each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fiveways.delivery.guard import Guard, Refused
from fiveways.deployment.document import Loc, Mistake
from fiveways.methods.bulk.settings import ToMailbox
from fiveways.methods.messaging.directory import WorkflowSettings
from fiveways.methods.synchronous.settings import ApiSettings, Security, UserRestrictedContext, names
from fiveways.platform import realtime_misfits
from fiveways.security.users.providers import Provider, UserRestricted

if TYPE_CHECKING:
    from fiveways.platform.model import Deployment

RESERVED = ("/oauth2", "/.well-known", "/metrics", "/_ping", "/_status", "/_admin", "/messageexchange", "/realtime")
"""Paths that are the platform's own."""


def misfits(deployment: Deployment) -> Iterator[Mistake]:
    """Names that lead nowhere, and things that cannot stand beside each other."""
    for name, application in deployment.applications.items():
        where = ("applications", name)
        if application.organisation not in deployment.organisations:
            yield Mistake((*where, "organisation"), f"found {application.organisation!r}, expected one of organisations:")
        for index, product in enumerate(application.products):
            if product not in deployment.products:
                yield Mistake((*where, "products", index), f"found {product!r}, expected one of products:")
    for name, product_settings in deployment.products.items():
        for index, api in enumerate(product_settings.apis):
            if api not in deployment.apis:
                yield Mistake(("products", name, "apis", index), f"found {api!r}, expected one of apis:")
    yield from _shared_identities(deployment)
    yield from _people(deployment)
    yield from _apis(deployment)
    yield from _exchanges(deployment)
    yield from _feeds(deployment)
    yield from _bulk(deployment)
    yield from realtime_misfits.misfits(deployment)
    yield from _mailboxes(deployment)


def _exchanges(deployment: Deployment) -> Iterator[Mistake]:
    """Exchanges of APIs that are none, or have two stages already; callbacks that the outbound guard would not let pass."""
    guard = deployment.outbound.guard()
    for name, exchange in deployment.exchanges.items():
        where = ("exchanges", name)
        api = deployment.apis.get(name)
        if api is None:
            yield Mistake(where, f"found {name!r}, expected one of apis:")
        elif api.pattern == "sync-wrap":
            yield Mistake(where, "a sync-wrap passes its back end's own second stage to those who prefer it: it needs no exchange")
        elif api.promises:
            yield Mistake(where, "an API that promises says that it has received, and nothing more is owed: it needs no exchange")
        if exchange.provider is not None and exchange.provider not in deployment.applications:
            yield Mistake((*where, "provider"), f"found {exchange.provider!r}, expected one of applications:")
        if exchange.long_poll is not None and exchange.long_poll.listener not in deployment.listeners:
            yield Mistake((*where, "long_poll", "listener"), f"found {exchange.long_poll.listener!r}, expected one of listeners:")
        for consumer, receiver in (exchange.callback.consumers if exchange.callback is not None else {}).items():
            at = (*where, "callback", "consumers", consumer)
            if consumer not in deployment.applications:
                yield Mistake(at, f"found {consumer!r}, expected one of applications:")
            try:
                guard.judge(receiver.url)
            except Refused as refused:
                yield Mistake((*at, "url"), f"{refused} (outbound: says what may be called)")


def _feeds(deployment: Deployment) -> Iterator[Mistake]:
    """Feeds that nobody could send to, and mailboxes that a transformation could not put anything into."""
    for name, listener in deployment.listeners.items():
        where = ("listeners", name)
        if listener.mllp is None or listener.api is None:
            continue
        api = deployment.apis.get(listener.api)
        if api is None or api.pattern != "transformation":
            yield Mistake((*where, "api"), f"found {listener.api!r}, expected one of apis: whose pattern is transformation")
            continue
        taken = names(api.security)
        if listener.application is None and "client-certificate" not in taken:
            yield Mistake((*where, "api"), f"the API {listener.api!r} does not take client-certificate, which says who sends")
        elif listener.application is not None:
            if listener.application not in deployment.applications:
                yield Mistake((*where, "as"), f"found {listener.application!r}, expected one of applications:")
            if "signed-jwt" not in taken:
                yield Mistake(
                    (*where, "api"), f"the API {listener.api!r} does not take signed-jwt, with which messages are given to it"
                )
    for name, api in deployment.apis.items():
        if api.mailbox is None:
            continue
        at = ("apis", name, "mailbox")
        for side, mailbox in (("from", api.mailbox.sender), ("to", api.mailbox.to)):
            if mailbox not in deployment.mailboxes:
                yield Mistake((*at, side), f"found {mailbox!r}, expected one of mailboxes:")
        if api.mailbox.workflow not in deployment.workflows and not deployment.messaging.open_workflows:
            yield Mistake((*at, "workflow"), f"found {api.mailbox.workflow!r}, expected one of workflows:")


def _bulk(deployment: Deployment) -> Iterator[Mistake]:
    """Partners that cannot come in, feeds of and for nobody, sinks that nothing could be brought to, errands to nowhere."""
    listens = any(listener.sftp is not None for listener in deployment.listeners.values())
    partners, guard = deployment.partners, deployment.outbound.guard()
    for name, partner in partners.items():
        if partner.organisation not in deployment.organisations:
            yield Mistake(("partners", name, "organisation"), f"found {partner.organisation!r}, expected one of organisations:")
        if partner.access is not None and not listens:
            yield Mistake(("partners", name, "access"), "no listener takes files: listeners: {…: {sftp: HOST:PORT}}")
    for name, feed in deployment.feeds.items():
        at = ("feeds", name)
        if feed.sender not in partners:
            yield Mistake((*at, "from"), f"found {feed.sender!r}, expected one of partners:")
        for number, to in enumerate(feed.to):
            if to.partner not in partners:
                yield Mistake((*at, "to", number, "partner"), f"found {to.partner!r}, expected one of partners:")
        for column, said in (feed.records.columns if feed.records is not None else {}).items():
            for field, listed in (("codes", said.codes), ("references", said.references)):
                if listed is not None and listed.feed is not None and listed.feed not in deployment.feeds:
                    yield Mistake(
                        (*at, "records", "columns", column, field, "feed"), f"found {listed.feed!r}, expected one of feeds:"
                    )
        for number, sink in enumerate(feed.deliver_to):
            yield from _to_mailbox(deployment, (*at, "deliver_to", number, "mailbox"), sink.mailbox)
            yield from _posted_to(guard, (*at, "deliver_to", number, "http"), sink.http)
        if feed.receipt is not None:
            yield from _to_mailbox(deployment, (*at, "receipt", "mailbox"), feed.receipt.mailbox)
            yield from _posted_to(guard, (*at, "receipt", "http"), feed.receipt.http)
    for name, errand in deployment.errands.items():
        for field, known in (("partner", errand.partner), ("tree", errand.tree)):
            if known is not None and known not in partners:
                yield Mistake(("errands", name, field), f"found {known!r}, expected one of partners:")
        if errand.partner in partners and partners[errand.partner].server is None:
            yield Mistake(("errands", name, "partner"), f"the partner {errand.partner!r} has no server:")


def _to_mailbox(deployment: Deployment, at: Loc, said: ToMailbox | None) -> Iterator[Mistake]:
    if said is None:
        return
    for side, mailbox in (("from", said.sender), ("to", said.to)):
        if mailbox not in deployment.mailboxes:
            yield Mistake((*at, side), f"found {mailbox!r}, expected one of mailboxes:")
    if said.workflow not in deployment.workflows and not deployment.messaging.open_workflows:
        yield Mistake((*at, "workflow"), f"found {said.workflow!r}, expected one of workflows:")


def _posted_to(guard: Guard, at: Loc, url: str | None) -> Iterator[Mistake]:
    if url is not None:
        try:
            guard.judge(url)
        except Refused as refused:
            yield Mistake(at, f"{refused} (outbound: says what may be called)")


def _mailboxes(deployment: Deployment) -> Iterator[Mistake]:
    for name, mailbox in deployment.mailboxes.items():
        if mailbox.organisation not in deployment.organisations:
            where = ("mailboxes", name, "organisation")
            yield Mistake(where, f"found {mailbox.organisation!r}, expected one of organisations:")
    for name, workflow in deployment.workflows.items():
        for side, named in (("from", workflow.senders), ("to", workflow.receivers)):
            for index, mailbox_id in enumerate(named):
                if mailbox_id not in deployment.mailboxes:
                    yield Mistake(("workflows", name, side, index), f"found {mailbox_id!r}, expected one of mailboxes:")
        yield from _failures(deployment, ("workflows", name), workflow)
    if deployment.messaging.keep < deployment.messaging.collect_within:
        yield Mistake(("messaging", "keep"), "a message is kept at least as long as it may be collected (collect_within)")
    if deployment.mailboxes and deployment.messaging.shared_key is None:
        yield Mistake(("mailboxes",), "the tokens of mailboxes need messaging: {shared_key: env:NAME or file:path}")
    if deployment.administration.keys and deployment.messaging.shared_key is None:
        yield Mistake(("administration",), "mailboxes at run time need messaging: {shared_key: env:NAME or file:path}")
    yield from _certificates(deployment)
    yield from _patient_search(deployment)
    yield from _webhooks(deployment)


def _webhooks(deployment: Deployment) -> Iterator[Mistake]:
    """Webhooks that the outbound guard would not let pass."""
    guard = deployment.outbound.guard()
    for name, mailbox in deployment.mailboxes.items():
        if mailbox.webhook is not None:
            try:
                guard.judge(mailbox.webhook.url)
            except Refused as refused:
                yield Mistake(("mailboxes", name, "webhook", "url"), f"{refused} (outbound: says what may be called)")


def _failures(deployment: Deployment, where: Loc, workflow: WorkflowSettings) -> Iterator[Mistake]:
    """What a workflow says of answers and failures, and is not there or cannot be."""
    if workflow.acknowledged_by is not None and workflow.acknowledged_by not in deployment.workflows:
        yield Mistake((*where, "acknowledged_by"), f"found {workflow.acknowledged_by!r}, expected one of workflows:")
    for index, mailbox_id in enumerate(workflow.failures.told if workflow.failures is not None else ()):
        if mailbox_id not in deployment.mailboxes:
            yield Mistake((*where, "failures", "told", index), f"found {mailbox_id!r}, expected one of mailboxes:")
    if workflow.undelivered_after is not None and workflow.undelivered_after > deployment.messaging.keep:
        yield Mistake((*where, "undelivered_after"), "a message is kept at least as long as it may be collected (messaging.keep)")


def _patient_search(deployment: Deployment) -> Iterator[Mistake]:
    """A search for patients that could not be made."""
    search = deployment.messaging.routing.fhir if deployment.messaging.routing is not None else None
    if search is None:
        return
    where = ("messaging", "routing", "fhir")
    api, application = deployment.apis.get(search.api), deployment.applications.get(search.application)
    if api is None:
        yield Mistake((*where, "api"), f"found {search.api!r}, expected one of apis:")
    elif "signed-jwt" not in api.security:
        yield Mistake((*where, "api"), f"the API {search.api!r} does not take signed-jwt, with which it is searched")
    if application is None or not application.approved:
        yield Mistake((*where, "as"), f"found {search.application!r}, expected one of applications: that is approved")
    elif not any(
        search.api in deployment.products[product].apis for product in application.products if product in deployment.products
    ):
        yield Mistake((*where, "as"), f"the application {search.application!r} is not subscribed to a product that contains it")


_NOBODY_ASKS = "no listener asks for client certificates: listeners: {…: {client_certificates: {ca: file:…}}}"


def _certificates(deployment: Deployment) -> Iterator[Mistake]:
    """Mailboxes that nobody could use, as the certificate they demand is never asked for, or not said."""
    asked_for = any(listener.client_certificates is not None for listener in deployment.listeners.values())
    required = deployment.messaging.client_certificates == "required"
    if required and not asked_for:
        yield Mistake(("messaging", "client_certificates"), f"found 'required', and {_NOBODY_ASKS}")
    for name, mailbox in deployment.mailboxes.items():
        if mailbox.certificates and not asked_for:
            yield Mistake(("mailboxes", name, "certificates"), _NOBODY_ASKS)
        if required and not mailbox.certificates:
            yield Mistake(("mailboxes", name), "names no certificates:, and messaging.client_certificates is 'required'")


def _shared_identities(deployment: Deployment) -> Iterator[Mistake]:
    applications = deployment.applications
    ids = Counter(application.client_id or name for name, application in applications.items())
    keys = Counter(key for application in applications.values() for key in set(application.api_keys))
    for name, application in applications.items():
        if ids[application.client_id or name] > 1:
            yield Mistake(("applications", name), f"client_id {application.client_id or name!r} belongs to another application too")
        for index, key in enumerate(application.api_keys):
            if keys[key] > 1:
                yield Mistake(("applications", name, "api_keys", index), "this key belongs to another application too")


def _people(deployment: Deployment) -> Iterator[Mistake]:
    """Identity providers that are not there, or do not say what is asked of them."""
    providers = deployment.identity.providers
    issuers: dict[str, str] = {}
    for name, provider in providers.items():
        if provider.issuer in issuers:
            at = ("identity", "providers", name, "issuer")
            yield Mistake(at, f"found {provider.issuer!r}, which is the issuer of {issuers[provider.issuer]} too")
        issuers[provider.issuer] = name
    for name, application in deployment.applications.items():
        for known_at in application.known_as:
            if known_at not in providers:
                yield Mistake(("applications", name, "known_as"), f"found {known_at!r}, expected one of identity.providers:")
        if application.redirect_uris and not application.client_secrets and application.jwks is None:
            uris = ("applications", name, "redirect_uris")
            yield Mistake(uris, "an application that people sign in to proves who it is: client_secrets:, or jwks:")
    for name, api in deployment.apis.items():
        for where, security in _securities(name, api):
            for index, each in enumerate(security):
                if isinstance(each, UserRestrictedContext):
                    yield from _vouched((*where, index, "user_restricted"), each.user_restricted, providers)


def _securities(name: str, api: ApiSettings) -> Iterator[tuple[Loc, Security]]:
    yield ("apis", name, "security"), api.security
    for index, operation in enumerate(api.operations):
        if operation.security is not None:
            yield ("apis", name, "operations", index, "security"), operation.security


def _vouched(where: Loc, wanted: UserRestricted, providers: Mapping[str, Provider]) -> Iterator[Mistake]:
    provider = providers.get(wanted.provider)
    if provider is None:
        yield Mistake((*where, "provider"), f"found {wanted.provider!r}, expected one of identity.providers:")
    elif wanted.assurance not in provider.convention.levels:
        levels = ", ".join(provider.convention.levels)
        yield Mistake((*where, "assurance"), f"found {wanted.assurance!r}; a provider of kind {provider.kind} says {levels}")


def _apis(deployment: Deployment) -> Iterator[Mistake]:
    at: dict[str, str] = {}
    for name, api in deployment.apis.items():
        where = ("apis", name)
        if api.at in at:
            yield Mistake((*where, "at"), f"found {api.at!r}, which is where {at[api.at]} is")
        at[api.at] = name
        if any(api.at == reserved or api.at.startswith(f"{reserved}/") for reserved in RESERVED):
            yield Mistake((*where, "at"), f"found {api.at!r}, which belongs to the platform itself")
        for index, used in enumerate(api.uses):
            known = deployment.apis.get(used)
            if known is None:
                yield Mistake((*where, "uses", index), f"found {used!r}, expected one of apis:")
            elif known.pattern == "transformation" and known.promise is not None:
                yield Mistake(
                    (*where, "uses", index), f"{used!r} promises what it transforms, and an orchestration needs an answer"
                )
            elif known.pattern == "orchestration":
                yield Mistake((*where, "uses", index), f"{used!r} is an orchestration itself: name the granular APIs")
        yield from _outcome(deployment, name, api)
        for index, operation in enumerate(api.operations):
            security = operation.security or api.security
            if operation.deduplicate is not None and "open" in security:
                yield Mistake(
                    (*where, "operations", index, "deduplicate"),
                    "repeats are recognised per consumer, but open access has none",
                )
            if operation.match[0].isupper() and "." in operation.match and " " not in operation.match and not _is_fhir(api):
                yield Mistake(
                    (*where, "operations", index, "match"),
                    f"found {operation.match!r}, expected a method and path (the API declares no model: fhir)",
                )


def _outcome(deployment: Deployment, name: str, api: ApiSettings) -> Iterator[Mistake]:
    """Outcomes of promises that could not be told."""
    said = api.promise.outcome if api.promise is not None else None
    if said is None:
        return
    where = ("apis", name, "promise", "outcome")
    workflow = deployment.workflows.get(said.workflow)
    if workflow is None and not deployment.messaging.open_workflows:
        yield Mistake((*where, "workflow"), f"found {said.workflow!r}, expected one of workflows:")
    for application, mailbox in said.to.items():
        if application not in deployment.applications:
            yield Mistake((*where, "to", application), f"found {application!r}, expected one of applications:")
        if mailbox not in deployment.mailboxes:
            yield Mistake((*where, "to", application), f"found {mailbox!r}, expected one of mailboxes:")
        elif workflow is not None and workflow.receivers and mailbox not in workflow.receivers:
            yield Mistake((*where, "to", application), f"{mailbox} does not receive {said.workflow}")
    if said.sender not in deployment.mailboxes:
        yield Mistake((*where, "from"), f"found {said.sender!r}, expected one of mailboxes:")
    elif workflow is not None and workflow.senders and said.sender not in workflow.senders:
        yield Mistake((*where, "from"), f"{said.sender} does not send {said.workflow}")


def _is_fhir(api: ApiSettings) -> bool:
    return api.model is not None and api.model.fhir is not None
