"""Bulk transfer, running: partners' files behind the SFTP server, transfers of feeds, errands. Loaded only where there are any.

It stands once; what a reload changes is `Prepared`, made for each reading of the deployment file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import structlog

from fiveways.clock import micros, micros_of, moment_of
from fiveways.correlation import new_id
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.outbound import Outbound
from fiveways.delivery.queue import Delivery, GiveUp, Queue, Retry
from fiveways.errors import DeploymentError
from fiveways.ledger.audit import AuditEvent, AuditLog
from fiveways.ledger.pseudonym import Pseudonyms
from fiveways.methods.bulk import file_records, receiving, records, releasing, working
from fiveways.methods.bulk.agreement import Agreements
from fiveways.methods.bulk.at_rest import Wrapping
from fiveways.methods.bulk.contents import Contents
from fiveways.methods.bulk.errands.book import Book, Known
from fiveways.methods.bulk.errands.errands import Errands
from fiveways.methods.bulk.errands.remote import Secured
from fiveways.methods.bulk.examining import Examining
from fiveways.methods.bulk.files import Files, PartnerFiles
from fiveways.methods.bulk.quality.findings import Unreadable
from fiveways.methods.bulk.quality.models import resolved
from fiveways.methods.bulk.quality.rules import Rules
from fiveways.methods.bulk.quality.settings import QualitySettings
from fiveways.methods.bulk.receipt import TYPE
from fiveways.methods.bulk.receiving import Receiving
from fiveways.methods.bulk.registered import Registered
from fiveways.methods.bulk.releasing import Releasing
from fiveways.methods.bulk.service import Transfers
from fiveways.methods.bulk.settings import PartnerSettings, ToMailbox
from fiveways.methods.bulk.sftp.host_keys import host_keys
from fiveways.methods.bulk.sftp.partners import Partner, resolve
from fiveways.methods.bulk.sftp.server import SftpListener
from fiveways.methods.bulk.sftp.sessions import Session
from fiveways.methods.bulk.sinks.make import make
from fiveways.methods.bulk.sinks.sink import Piece, Put
from fiveways.methods.bulk.unnamed import Unnamed
from fiveways.methods.bulk.usage import Usage
from fiveways.methods.bulk.watch import Visit
from fiveways.methods.bulk.working import Working
from fiveways.methods.messaging.records import Details, Draft
from fiveways.methods.messaging.refusals import LocalIdUsed
from fiveways.platform.http1.listener import DRAIN_PATIENCE
from fiveways.platform.listeners import Listener
from fiveways.platform.mailboxes import Messages
from fiveways.platform.model import Deployment
from fiveways.security.keys import PlatformKeys
from fiveways.store.group import Settled

log = structlog.get_logger("fiveways.bulk")

_KNOWN = timedelta(days=15)
"""For how long a message that a batch was put into is known, should it come again: longer than batches are tried
(`releasing.queues`)."""
_UNNAMED = timedelta(days=1)
"""How long a content that nothing names is left alone: an upload of it may be going on."""


@dataclass(slots=True, frozen=True)
class Prepared:
    """What one reading of the deployment file says of bulk transfer."""

    agreements: Agreements
    partners: Mapping[str, Partner]
    puts: Mapping[str, Sequence[Put]]
    records: Mapping[str, QualitySettings]
    """What the records of each feed are, models and all."""
    secrets: Mapping[str, Sequence[bytes]]
    """What receipts are signed with where they are posted, by feed."""
    wrapping: Wrapping | None
    errands: Errands
    deployment: Deployment


class Bulk:
    """Bulk transfer, in this process."""

    def __init__(
        self,
        deliveries: Deliveries,
        audit: AuditLog,
        pseudonyms: Pseudonyms,
        keys: PlatformKeys,
        data: Path,
        base: Path,
        *,
        prepared: Callable[[], Prepared],
        outbound: Callable[[], Outbound],
        messages: Callable[[], Messages | None],
    ) -> None:
        """`data`: the data folder; `base`: the deployment file's. The others are what runs when they are asked for."""
        clock, group = deliveries.clock, deliveries.group
        self._deliveries = deliveries
        self._audit = audit
        self._keys = keys
        self._clock = clock
        self._data = data
        self._base = base
        self._prepared = prepared
        self._outbound = outbound
        self._messages = messages
        self.registered = Registered(group, clock)
        self.late: dict[tuple[str, str], str] = {}
        """Feeds of which a file is late, as alerts (`Alerts.others`)."""
        self._since = clock.now()
        agreements = lambda: prepared().agreements  # noqa: E731
        self.contents = Contents(group, deliveries.payloads, clock, None)
        self.transfers = Transfers(deliveries, audit, clock)
        self.receiving = Receiving(self.transfers, self.contents, agreements)
        self.files = Files(self.contents, audit, pseudonyms.of, self.receiving, Usage(group, clock.monotonic))
        self.releasing = Releasing(
            self.transfers,
            self.contents,
            agreements,
            lambda feed: prepared().puts[feed],
            self._mail,
            self._post,
            lambda feed: prepared().secrets[feed],
        )
        self.examining = Examining(self.transfers, self.contents, base, data / "scratch")
        self.working = Working(self.transfers, self.contents, agreements, self.examining, self.releasing, self.sign)
        self.book = Book(group, clock, deliveries.node, self._witness)
        self._listeners: list[SftpListener] = []

    # --- a reading of the deployment file --------------------------------------------------------------------------------

    def prepare(self, deployment: Deployment) -> Prepared:
        """What `deployment` says, made ready. DeploymentError, KeyError or OSError where it refers to what cannot be had."""
        at_rest = deployment.bulk.at_rest
        keys = [key.resolve(self._base) for key in (at_rest.key, *at_rest.former)] if at_rest is not None else []
        partners = {
            name: resolve(name, partner.access, self._base)
            for name, partner in deployment.partners.items()
            if partner.access is not None
        }
        puts = {
            name: [
                make(f"feeds.{name}.deliver_to.{number}", sink, self._base, self._post, self._mail)
                for number, sink in enumerate(feed.deliver_to)
            ]
            for name, feed in deployment.feeds.items()
        }
        secrets = {
            name: [secret.resolve(self._base) for secret in feed.receipt.secrets] if feed.receipt is not None else []
            for name, feed in deployment.feeds.items()
        }
        found = {
            name: _records(name, feed.records, self._base) for name, feed in deployment.feeds.items() if feed.records is not None
        }
        servers = {name: partner.server for name, partner in deployment.partners.items()}
        errands = Errands(deployment.errands, servers.get, self._errand_tree, self.book, self._deliveries, self._clock, self._base)
        wrapping = Wrapping(keys) if keys else None
        return Prepared(Agreements(deployment.feeds), partners, puts, found, secrets, wrapping, errands, deployment)

    def taken_up(self) -> None:
        """Another reading is in force: have it known where it is kept."""
        prepared = self._prepared()
        self.contents.wrapping = prepared.wrapping
        self.examining.most = prepared.deployment.bulk.set_aside
        self.examining.feeds = dict(prepared.records)
        self.transfers.unaudited = frozenset(name for name, feed in prepared.deployment.feeds.items() if not feed.audit)
        for listener in self._listeners:
            listener.reload()

    @property
    def queues(self) -> list[Queue]:
        """What is to be delivered."""
        return [
            receiving.queue(self.receiving),
            working.queue(self.working),
            *releasing.queues(self.releasing),
            self._prepared().errands.queue(),
        ]

    # --- files -----------------------------------------------------------------------------------------------------------

    def tree(self, partner: str, visit: Visit) -> PartnerFiles:
        """A partner's files."""
        prepared = self._prepared()
        settings = self._partner(partner)
        declared = [*settings.folders, *prepared.agreements.folders(partner)]
        return self.files.tree(visit, settings.quota, list(dict.fromkeys(declared)))

    def _partner(self, name: str) -> PartnerSettings:
        """A partner of the deployment file, or one that was registered."""
        return self._prepared().deployment.partners.get(name) or self.registered.partners[name]

    def _accounts(self) -> dict[str, Partner]:
        """Who may come in. A partner of the deployment file is what the file says."""
        found: dict[str, Partner] = {}
        for name, partner in self.registered.partners.items():
            if partner.access is not None:
                try:
                    found[name] = resolve(name, partner.access, self._base)
                except DeploymentError as error:
                    log.error("a registered partner cannot be let in", partner=name, reason=str(error))
        return {**found, **self._prepared().partners}

    async def follow(self) -> None:
        """Learn which partners were registered. StoreError where the store fails."""
        if await self.registered.follow():
            for listener in self._listeners:
                listener.reload()

    def _errand_tree(self, partner: str, secured: Secured) -> PartnerFiles:
        facts = {"cipher": secured.cipher, "host_key": secured.host_key, "by": "errand"}
        return self.tree(partner, Visit(partner, new_id(), facts))

    def listener(self, listener: Listener, *, shared: bool) -> SftpServing:
        """What partners connect to; `shared`: other processes listen there too. StoreError where host keys cannot be had."""
        server = SftpListener(
            listener.address,
            self._prepared().deployment.bulk.sftp,
            host_keys=host_keys(self._data / "keys" / "sftp"),
            accounts=self._accounts,
            tree=lambda partner, session: self.tree(partner, _visit(session)),
            record=self._record,
            clock=self._clock,
            shared=shared,
        )
        self._listeners.append(server)
        self.files.unnamed = self.files.unnamed or Unnamed(self.contents, alone=not shared)
        return SftpServing(server)

    async def _record(self, event: str, partner: str, address: str, session: Session | None, details: Mapping[str, Any]) -> None:
        told: dict[str, Any] = {"address": address, **details}
        if session is not None:
            told |= {"cipher": session.cipher, "by": session.by, "key": session.key, "client": session.client[:100]}
        await self._audit.durable(
            AuditEvent(
                at=micros(self._clock), kind=event, id=new_id(), application=partner, context="sftp", details=told,
                correlation_id=session.correlation if session is not None else "",
            )
        )  # fmt: skip

    # --- what goes out ---------------------------------------------------------------------------------------------------

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A receipt, signed with the platform's key."""
        issuer = self._prepared().deployment.identity.tokens.issuer
        return self._keys.current.sign({"iss": issuer, **claims}, typ=TYPE)

    async def _post(self, delivery: Delivery, headers: Mapping[str, str], secrets: Sequence[bytes]) -> None:
        await self._outbound()(delivery, headers, secrets)

    async def _mail(self, target: ToMailbox, piece: Piece) -> str:
        messages = self._messages()
        if messages is None:
            raise Retry("there is no messaging just now")
        details = Details(subject=piece.feed, file_name=piece.name, content_type=piece.content_type)
        draft = Draft(target.sender, target.to, target.workflow, piece.id, 1, details, piece.correlation)
        try:
            return (await messages.service.send(draft, piece.read(), None, once_within=_KNOWN)).id
        except LocalIdUsed:
            raise GiveUp("its id was used before for another message") from None

    # --- what time brings ------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Find transfers that time has made complete or too late, feeds that are late, and errands that are due."""
        prepared = self._prepared()
        await self.receiving.look()
        await prepared.errands.promise()
        for name, feed in prepared.deployment.feeds.items():
            if feed.schedule is None:
                continue
            last = (await self.transfers.ask(records.find_last, b_feed=name))[0][0]
            arrived = moment_of(int(last)) if last is not None else None
            since = self._since if arrived is None else None  # of a feed of which nothing has come yet, nobody knows better
            due = feed.schedule.late(arrived, self._clock.now(), since=since)
            before = self.late.pop(("late", name), None)
            if due is not None:
                said = self.late["late", name] = f"a file of {name} was to have come by {due:%Y-%m-%d %H:%M} UTC, and has not"
                if said != before:
                    await self._tell_late(name, feed.sender, due.isoformat())

    async def _tell_late(self, feed: str, partner: str, due: str) -> None:
        await self._audit.durable(
            AuditEvent(
                at=micros(self._clock), kind="bulk.feed.late", id=new_id(), application=partner, api=feed, details={"due": due}
            )
        )

    async def tell_partner(self, partner: str, what: str, by: str) -> None:
        """Have the audit say that a partner was registered, or removed."""
        event = AuditEvent(
            at=micros(self._clock), kind=f"bulk.partner.{what}", id=new_id(), application=partner, details={"by": by}
        )  # fmt: skip
        await self._audit.durable(event)

    def _witness(self, happening: str, file: Known, reason: str) -> Settled:
        """What happens to a file of an errand is audited; reasons are not, as they may name it."""
        event = AuditEvent(
            at=micros(self._clock), kind=f"bulk.errand.{happening}", id=file.id, api=file.errand,
            details={"size": file.size},
        )  # fmt: skip
        missed = AuditEvent(at=micros(self._clock), kind="bulk.errand.missed", id=file.id, api=file.errand)
        settle = self._audit.attest(event, missed)
        return lambda results: settle(results[0].rowcount > 0)

    async def purge(self) -> None:
        """Forget what need not be kept any more. StoreError where the store fails."""
        now = self._clock.now()
        deployment = self._prepared().deployment
        for name, feed in deployment.feeds.items():
            await self.transfers.purge(name, micros_of(now - feed.keep))
        for name, errand in deployment.errands.items():
            await self.book.purge(name, errand.keep)
        before = int((now - deployment.bulk.keep).timestamp())
        while True:
            old = await self.transfers.ask(file_records.find_old_names, b_before=before)
            for partner, folder, name in old:
                row = {"b_partner": partner, "b_folder": folder, "b_name": name}
                await self.contents.group.submit(file_records.remove_name, row)
            if len(old) < file_records.MOST:
                break
        while True:
            orphans = await self.transfers.ask(_ORPHANS, b_before=micros_of(now - _UNNAMED))
            gone = [await self.contents.forget(id_) for (id_,) in orphans]
            if len(orphans) < file_records.MOST or not any(gone):
                break


_ORPHANS = file_records.find_orphans(*records.KEEPING)


class SftpServing:
    """The SFTP server among the other listeners (`listeners.Listening`)."""

    def __init__(self, server: SftpListener) -> None:
        self._server = server

    async def start(self) -> None:
        """Bind and begin to serve; OSError where the address is taken."""
        await self._server.start()

    def reload(self) -> None:
        """Accounts are taken up with the deployment (`Bulk.taken_up`)."""

    async def stop(self) -> None:
        """Take no more sessions, and let open files be finished, up to `DRAIN_PATIENCE`."""
        await self._server.stop(DRAIN_PATIENCE)


def _records(feed: str, said: QualitySettings, base: Path) -> QualitySettings:
    """What a feed's records are, with its model's columns. DeploymentError where the model, a check or a list cannot be had."""
    try:
        settings = resolved(said, base)
        Rules(settings, settings.columns, today=date(2000, 1, 1), base=base, feeds=lambda feed, column: ())
    except Unreadable as error:
        raise DeploymentError(f"feeds.{feed}.records: {str(error).splitlines()[0]}") from None
    return settings


def _visit(session: Session) -> Visit:
    facts = {
        "cipher": session.cipher, "kex": session.key_exchange, "client": session.client[:100], "by": session.by, "key": session.key,
        "address": session.address,
    }  # fmt: skip
    return Visit(session.partner, session.correlation, facts)
