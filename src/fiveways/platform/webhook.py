"""Alerts by webhook: a signed POST of JSON to where the programme says; a receiver that is down is logged and left alone."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from fiveways.methods.synchronous.alerting import Alert, Webhook

log = structlog.get_logger("fiveways.alerts")

PATIENCE = timedelta(seconds=5)


def teller(webhook: Webhook | None, base: Path) -> Callable[[Alert], Awaitable[None]]:
    """What tells of an alert; `base` is the deployment file's folder."""

    async def tell(alert: Alert) -> None:
        if webhook is not None:
            await _post(webhook, base, alert)

    return tell


async def _post(webhook: Webhook, base: Path, alert: Alert) -> None:
    body = msgspec.json.encode(alert)
    headers = {"content-type": "application/json"}
    try:
        if webhook.secret is not None:
            signature = hmac.new(webhook.secret.resolve(base), body, hashlib.sha256).hexdigest()
            headers["x-fiveways-signature"] = f"sha256={signature}"
        async with ClientBuilder().follow_redirects(False).timeout(PATIENCE).error_for_status(True).build() as client:
            await client.post(webhook.url).headers(headers).body_bytes(body).build().send()
    except (PyreqwestError, KeyError, OSError) as error:
        log.warning("alert not delivered", rule=alert.rule, subject=alert.subject, reason=type(error).__name__)
