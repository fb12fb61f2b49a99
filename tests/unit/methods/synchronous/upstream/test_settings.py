"""What a `target:` in the deployment file may say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from fiveways.methods.synchronous.upstream import Target


def test_a_url_is_enough() -> None:
    target = Target.model_validate({"url": "https://records.example/fhir/R4"})
    assert (target.http, target.connections, target.idle) == ("1.1", 128, timedelta(seconds=30))
    assert target.timeout.total == timedelta(seconds=60)
    assert target.limits.header_bytes == 65536


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"url": "ftp://a.example"}, "pattern"),
        ({"url": "https://user:secret@a.example"}, "pattern"),
        ({"url": "https://a.example/?x=1"}, "pattern"),
        ({"url": "https://caf\u00e9.example"}, "ASCII"),
        ({"url": "https://:443"}, "with a host"),
        ({"url": "https://a.example:99999"}, "out of range"),
        ({"url": "http://a.example", "tls": {}}, "not https"),
        ({"url": "https://a.example", "tls": {"certificate": "file:a.pem"}}, "go together"),
        ({"url": "https://a.example", "tls": {"ca": "env:CA"}}, "file:PATH"),
        ({"url": "https://a.example", "http": "2", "tls": {"server_name": "b.example"}}, "server_name"),
        ({"url": "https://a.example", "proxy": "https://proxy.example"}, "clear text"),
        ({"url": "https://a.example", "connections": 0}, "greater than 0"),
        ({"url": "https://a.example", "retries": 3}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Target.model_validate(settings)
