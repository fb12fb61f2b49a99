"""Messaging, as a deployment declares it: its directory, its paths beside the APIs, and who administers what is registered."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import fiveways
from fiveways.clock import Clock
from fiveways.delivery.engine import Deliveries
from fiveways.errors import Fault
from fiveways.ledger.audit import AuditLog
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging.administration import Administration, Certificates
from fiveways.methods.messaging.administration_routes import LARGEST, AdministrationRoutes
from fiveways.methods.messaging.capacity import Capacity
from fiveways.methods.messaging.checks import Checks
from fiveways.methods.messaging.collecting import CollectTimes, Observations
from fiveways.methods.messaging.control import Control
from fiveways.methods.messaging.directory import Directory, Mailbox, MailboxSettings, MessagingSettings, Workflow
from fiveways.methods.messaging.history import History
from fiveways.methods.messaging.mesh.authorization import Tokens
from fiveways.methods.messaging.mesh.disturbed import CertificatesOnDemand, Disturbed
from fiveways.methods.messaging.mesh.faults import answer
from fiveways.methods.messaging.mesh.routes import Mesh
from fiveways.methods.messaging.registry import Registry
from fiveways.methods.messaging.registry_entries import EntryReader
from fiveways.methods.messaging.registry_vault import Vault
from fiveways.methods.messaging.routing.resolver import Resolver
from fiveways.methods.messaging.routing.router import Router
from fiveways.methods.messaging.sandbox import Sandbox
from fiveways.methods.messaging.service import Messaging
from fiveways.methods.messaging.trials import Trials
from fiveways.methods.messaging.webhook import Arrivals, Webhook, WebhookSettings
from fiveways.methods.synchronous.compile import Mounted
from fiveways.methods.synchronous.rendering import as_problem
from fiveways.platform.model import Deployment
from fiveways.types import Handler, Outcome

_CONTROL = ("/admin", "/health", "/healthcheck", "/messageexchange/admin", "/messageexchange/deepping", "/messageexchange/mailbox")


@dataclass(slots=True)
class Messages:
    """Messaging as it runs: who has a mailbox, and the paths that it is spoken to at."""

    directory: Directory
    service: Messaging
    mounted: list[Mounted] = field(default_factory=list)
    arrivals: Arrivals | None = None


def messaging(
    deployment: Deployment,
    ledger: Ledger,
    registry: Registry,
    clock: Clock,
    base: Path,
    *,
    deliveries: Deliveries,
    collected: CollectTimes,
    trials: Trials,
    resolver: Resolver | None = None,
) -> Messages | None:
    """Messaging; None where no mailbox can be used. KeyError, OSError or ValueError where a secret cannot be read, or is too
    short. `resolver`: what finds the practices of patients, where the deployment names one."""
    settings = deployment.messaging
    if settings.shared_key is None:
        return None
    shared_key = settings.shared_key.resolve(base)
    vault = Vault(shared_key)
    directory = directory_of(deployment, base)
    registry.serve(directory, EntryReader(_organisations(deployment), vault))
    told = any(each.webhook is not None for each in deployment.mailboxes.values())
    arrivals = Arrivals(deliveries, directory.webhook, settings.collect_within) if told else None
    certified = settings.client_certificates == "required"
    tokens, time = Tokens(directory, shared_key, clock, certified=certified), clock
    prove = tokens.check
    if settings.sandbox:
        prove, time = CertificatesOnDemand(tokens, trials).check, trials.clock
    else:
        trials.reset()
    service = Messaging(
        ledger,
        time,
        settings.largest_message,
        checks=Checks(directory, settings.largest_fhir_message),
        told=lambda workflow: directory.failures(workflow).told,
        arrivals=arrivals,
        collected=collected,
    )
    about = {"env": "sandbox" if settings.sandbox else "fiveways", "build_label": fiveways.__version__}
    about |= {"status": "running", "outcome": "Yes"}
    mesh = Mesh(
        service,
        directory,
        prove,
        ledger.group,
        capacity=Capacity(ledger.rates),
        history=History(ledger),
        observations=Observations(ledger.database, time),
        clock=time,
        about=about,
        collect_within=settings.collect_within,
        router=_router(settings, resolver, directory),
    )
    handler: Handler = Disturbed(mesh, trials) if settings.sandbox else mesh
    paths = [Mounted("messaging", "/messageexchange", handler, _render, settings.largest_request)]
    if settings.sandbox:
        control = Sandbox(service, Control(ledger, service, trials), directory, about, settings.collect_within)
        paths += [Mounted("sandbox", at, control, _render, 1024 * 1024) for at in _CONTROL]
    if deployment.administration.keys:
        rules = Administration(registry, directory, vault, ledger.audit, clock, _certificates(deployment), settings.keep)
        routes = AdministrationRoutes(rules, deployment.administration.keys, ledger.rates)
        paths.append(Mounted("administration", "/_admin", routes, as_problem, LARGEST))
    return Messages(directory, service, paths, arrivals)


def administration(deployment: Deployment, registry: Registry, audit: AuditLog, clock: Clock, base: Path) -> Administration:
    """What the operator administers beside the running platform. Secrets that cannot be read here are done without: only where a
    password is to be kept is the shared key needed."""
    shared_key = deployment.messaging.shared_key
    try:
        vault = Vault(shared_key.resolve(base)) if shared_key is not None else None
    except (KeyError, OSError):
        vault = None
    directory = directory_of(deployment, None)
    registry.serve(directory, EntryReader(_organisations(deployment), vault))
    return Administration(registry, directory, vault, audit, clock, _certificates(deployment), deployment.messaging.keep)


def directory_of(deployment: Deployment, base: Path | None) -> Directory:
    """Mailboxes and workflows of the deployment file; without passwords where its folder is not given."""
    mailboxes = [_mailbox(deployment, id_, each, base) for id_, each in deployment.mailboxes.items()]
    workflows = [Workflow(id_, each) for id_, each in deployment.workflows.items()]
    return Directory(mailboxes, workflows, open_workflows=deployment.messaging.open_workflows)


def _mailbox(deployment: Deployment, id_: str, settings: MailboxSettings, base: Path | None) -> Mailbox:
    return Mailbox(
        id_,
        settings,
        org_name=deployment.organisations[settings.organisation].name,
        password=settings.password.resolve(base) if base is not None else None,
        webhook=_webhook(id_, settings.webhook, base) if settings.webhook is not None and base is not None else None,
    )


def _webhook(id_: str, settings: WebhookSettings, base: Path) -> Webhook:
    try:
        return Webhook(settings, [secret.resolve(base) for secret in settings.secrets])
    except ValueError as error:
        raise ValueError(f"mailboxes.{id_}.webhook.secrets: {error}") from None


def _router(settings: MessagingSettings, resolver: Resolver | None, directory: Directory) -> Router | None:
    if settings.routing is None or resolver is None:
        return None
    return Router(resolver, directory, settings.routing.within)


def _organisations(deployment: Deployment) -> dict[str, str]:
    return {code: each.name for code, each in deployment.organisations.items()}


def _certificates(deployment: Deployment) -> Certificates:
    asked_for = any(listener.client_certificates is not None for listener in deployment.listeners.values())
    return Certificates(asked_for, deployment.messaging.client_certificates == "required")


def _render(fault: Fault, message_id: str) -> Outcome:
    """What is refused before a request's version is known: version 2's shape, which both of mesh-client's readings take."""
    return answer(fault, 2, message_id)
