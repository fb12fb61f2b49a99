"""What a reading of the deployment file is made into: the gateway and whatever stands around it, upon what stands already."""

from __future__ import annotations

import fiveways
from fiveways.errors import DeploymentError
from fiveways.methods.synchronous import contexts, probes
from fiveways.methods.synchronous.alerting import Alerts
from fiveways.methods.synchronous.compile import compile_gateway
from fiveways.methods.synchronous.policies.identity import open_access
from fiveways.methods.synchronous.services import Services
from fiveways.platform import directory, mailboxes, routing
from fiveways.platform.certificates import certificate_files
from fiveways.platform.exchanges import exchanges
from fiveways.platform.model import Deployment
from fiveways.platform.outcomes import Outcomes
from fiveways.platform.posts import Posts
from fiveways.platform.standing import Running, Standing
from fiveways.platform.telemetry import tracing
from fiveways.platform.webhook import teller
from fiveways.security.expiry import Expiry
from fiveways.security.tokens import TokenVerifier


def make(on: Standing, deployment: Deployment, previous: Running | None) -> Running:
    """What serves `deployment`, and goes on where `previous` leaves off. DeploymentError where a file or a value that it refers to
    is no good."""
    try:
        return _made(on, deployment, previous)
    except KeyError as missing:  # a Reference that names it
        raise DeploymentError(f"{on.file}: the environment has no {missing.args[0]}") from missing
    except (ValueError, OSError) as error:
        raise DeploymentError(f"{on.file}: {error}") from error


def _made(on: Standing, deployment: Deployment, previous: Running | None) -> Running:
    who = directory.directory(deployment)
    tokens, issuer = deployment.identity.tokens, on.issuer(deployment)
    verifier = TokenVerifier(on.foundation.keys, on.foundation.revocations.memory, issuer=tokens.issuer, audience=tokens.audience)
    bearer = contexts.bearer(verifier, who.organisations, on.clock)
    exchanged = exchanges(
        deployment,
        on.base,
        on.exchange,
        on.ledger,
        on.clock,
        compiled=lambda: on.running.compiled,
        outbound=lambda: on.running.outbound,
    )
    services = Services(
        clock=on.clock,
        ledger=on.ledger,
        deliveries=on.foundation.deliveries,
        tell=Outcomes(lambda: on.running.messaging),
        post=Posts(lambda: on.running.messaging),
        counts=on.counts,
        exchanged=exchanged.exchanged,
        contexts={
            "open": open_access,
            "signed-jwt": bearer,
            "user-restricted": bearer,
            "api-key": contexts.api_key(directory.api_keys(deployment), who.organisations),
            "client-certificate": contexts.client_certificate(directory.client_certificates(deployment), who.organisations),
        },
        metrics=on.metrics,
        release=probes.Release(fiveways.__version__),
        status_keys=deployment.status.keys,
        base=on.base,
        registry=on.registry,
        running=on.unfinished,
        checks={"store": on.foundation.check},
        tracing=tracing(deployment.telemetry) if deployment.telemetry is not None else None,
        gather_metrics=on.node_metrics.gather if on.node_metrics is not None else None,
    )
    resolver = routing.resolver(
        deployment,
        on.base,
        on.clock,
        gateway=lambda: on.running.compiled.gateway,
        issuer=issuer,
        record=on.tell_audit,
    )
    messaging = mailboxes.messaging(
        deployment,
        on.ledger,
        on.foundation.registry,
        on.clock,
        on.base,
        deliveries=on.foundation.deliveries,
        collected=on.tallies.collected,
        trials=on.trials,
        resolver=resolver,
    )
    realtime = on.realtime.prepare(deployment, on.base, verifier, who.organisations)
    beside = [*(messaging.mounted if messaging is not None else []), *realtime.mounted]
    compiled = compile_gateway(deployment.apis, who, services, previous.compiled if previous is not None else None, beside)
    alerts = Alerts(
        deployment.programme.alerts,
        on.clock,
        teller(deployment.programme.alerts.webhook, on.base),
        {name: api.service_level.budget for name, api in deployment.apis.items()},
        on.metrics,
        tuple(compiled.lasting.breakers.values()),
        Expiry(certificate_files(deployment, on.base), deployment.programme.alerts.certificates),
        lambda: on.bulk.late,
    )
    if previous is not None:
        alerts.go_on_from(previous.alerts)
    outbound = on.dispatch.made(deployment.outbound, on.base)
    authorization = on.servers.authorization(deployment, on.base, verifier, issuer, on.tell_audit)
    bulk = on.bulk.prepare(deployment)
    return Running(deployment, compiled, authorization, alerts, outbound, exchanged, realtime, messaging, bulk)
