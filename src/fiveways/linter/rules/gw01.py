"""GW01: a back end that can be reached without the gateway, as far as the file shows (S34)."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from fiveways.delivery.guard import Guard, Refused
from fiveways.linter.rule import Found, Rule
from fiveways.methods.synchronous.settings import ApiSettings
from fiveways.platform.model import Deployment

_INSIDE = (".internal", ".local", ".localhost", ".lan", ".home.arpa", ".svc", ".cluster.local", ".test", ".example", ".invalid")


def find(deployment: Deployment) -> Found:
    """Targets at public addresses that the gateway proves itself to by nothing; and those that deliveries may be sent to."""
    guard = deployment.outbound.guard()
    for name, api in deployment.apis.items():
        if api.target is None:
            continue
        where = ("apis", name, "target", "url")
        if _public(api.target.url) and not _proves_itself(api):
            yield where, "its address is public, and the gateway shows it nothing by which it could tell who calls"
        if deployment.outbound.allow and _allowed(guard, api.target.url):
            yield where, "outbound.allow lets deliveries be sent to it, past the gateway's policies and audit"


def _public(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_INSIDE)


def _proves_itself(api: ApiSettings) -> bool:
    tls = api.target.tls if api.target is not None else None
    return api.present is not None or (tls is not None and tls.certificate is not None)


def _allowed(guard: Guard, url: str) -> bool:
    try:
        guard.judge(url)
    except Refused:
        return False
    return True


rule = Rule(
    id="GW01",
    severity="warning",
    anti_pattern="Who finds the back end calls it directly: no identity, no quota, no audit.",
    best_practice="Put it on a private network, or have it take only the gateway's client certificate or credential.",
    statements=("S34",),
    find=find,
)
