"""The certificates that a deployment names: whoever runs it is told before one of them expires."""

from __future__ import annotations

from pathlib import Path

from fiveways.deployment.settings import Reference
from fiveways.platform.model import Deployment


def certificate_files(deployment: Deployment, base: Path) -> dict[str, Path]:
    """Files of certificates, those that Fiveways presents and the authorities that it trusts, by what they are for."""
    found: dict[str, Reference | None] = {}
    for name, listener in deployment.listeners.items():
        found[f"listener {name}"] = listener.certificate
        if listener.client_certificates is not None:
            found[f"listener {name}, client authorities"] = listener.client_certificates.ca
    for name, api in deployment.apis.items():
        oauth2 = api.present.oauth2 if api.present is not None else None
        for what, at in ((f"API {name}", api.target or api.mllp), (f"API {name}, token endpoint", oauth2)):
            if at is not None and at.tls is not None:
                found[what] = at.tls.certificate
                found[f"{what}, authority"] = at.tls.ca
    return {what: reference.path(base) for what, reference in found.items() if reference is not None}
