"""Messaging, as a deployment declares it: its directory, and its paths beside the APIs."""

from __future__ import annotations

from pathlib import Path

import fiveways
from fiveways.clock import Clock
from fiveways.errors import Fault
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging.control import Control
from fiveways.methods.messaging.directory import Directory, Mailbox, Workflow
from fiveways.methods.messaging.history import History
from fiveways.methods.messaging.mesh.authorization import Tokens
from fiveways.methods.messaging.mesh.faults import answer
from fiveways.methods.messaging.mesh.routes import Mesh
from fiveways.methods.messaging.sandbox import Sandbox
from fiveways.methods.messaging.service import Messaging
from fiveways.methods.synchronous.compile import Mounted
from fiveways.platform.model import Deployment
from fiveways.types import Outcome

_CONTROL = ("/admin", "/health", "/healthcheck", "/messageexchange/admin", "/messageexchange/deepping", "/messageexchange/mailbox")


def mounted(deployment: Deployment, ledger: Ledger, clock: Clock, base: Path) -> list[Mounted]:
    """Messaging's paths; none where there are no mailboxes. KeyError or OSError where a secret cannot be read."""
    settings = deployment.messaging
    if not deployment.mailboxes or settings.shared_key is None:
        return []
    directory = _directory(deployment, base)
    messaging = Messaging(ledger, clock)
    about = {"env": "sandbox" if settings.sandbox else "fiveways", "build_label": fiveways.__version__}
    about |= {"status": "running", "outcome": "Yes"}
    mesh = Mesh(
        messaging,
        directory,
        Tokens(directory, settings.shared_key.resolve(base), clock, certified=settings.client_certificates == "required"),
        ledger.group,
        history=History(ledger),
        clock=clock,
        about=about,
        collect_within=settings.collect_within,
    )
    paths = [Mounted("messaging", "/messageexchange", mesh, _render, settings.largest_request)]
    if settings.sandbox:
        control = Sandbox(messaging, Control(ledger, messaging, clock), directory, about, settings.collect_within)
        paths += [Mounted("sandbox", at, control, _render, 1024 * 1024) for at in _CONTROL]
    return paths


def _directory(deployment: Deployment, base: Path) -> Directory:
    mailboxes = [
        Mailbox(
            id_,
            ods_code=each.organisation,
            name=each.name,
            org_name=deployment.organisations[each.organisation].name,
            password=each.password.resolve(base),
            active=each.active,
            certificates=each.certificates,
        )
        for id_, each in deployment.mailboxes.items()
    ]
    workflows = [Workflow(id_, each.senders, each.receivers) for id_, each in deployment.workflows.items()]
    return Directory(mailboxes, workflows, open_workflows=deployment.messaging.open_workflows)


def _render(fault: Fault, message_id: str) -> Outcome:
    """What is refused before a request's version is known: version 2's shape, which both of mesh-client's readings take."""
    return answer(fault, 2, message_id)
