"""What a deployment file may say of tokens and credentials, and what it is told where it is wrong."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from pydantic import ValidationError

from fiveways.clock import ManualClock
from fiveways.deployment import document
from fiveways.errors import DeploymentError
from fiveways.security.jwks import FetchedKeys, FileKeys, FixedKeys, KeySources
from fiveways.security.settings import Credentials, Tokens


def test_tokens_live_ten_minutes_unless_told_otherwise() -> None:
    assert Tokens().lifetime == timedelta(minutes=10)
    assert Tokens.model_validate({"lifetime": "5m", "urls": ["https://api.northshire.test"]}).lifetime == timedelta(minutes=5)


@pytest.mark.parametrize("wrong", [{"lifetime": "500ms"}, {"lifetime": "2d"}, {"lifetime": 600}, {"urls": ["api"]}, {"issuer": ""}])
def test_wrong_token_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Tokens.model_validate(wrong)


def test_keys_come_from_the_file_a_file_or_a_url(tmp_path: Path, clock: ManualClock, rsa_key: RSAKey) -> None:
    inline = {"keys": [rsa_key.as_dict(private=False)]}
    (tmp_path / "app.jwks.json").write_text(json.dumps(inline))
    sources = KeySources(clock)
    kinds: list[type[object] | None] = []
    for jwks in (inline, "file:app.jwks.json", "https://ward.example/jwks", "http://localhost:9/jwks", None):
        source = Credentials.model_validate({"jwks": jwks}).key_source(Tokens(), tmp_path, clock, sources)
        kinds.append(type(source) if source else None)
    assert kinds == [FixedKeys, FileKeys, FetchedKeys, FetchedKeys, None]


def test_a_reload_keeps_what_was_fetched(tmp_path: Path, clock: ManualClock) -> None:
    sources = KeySources(clock)
    for jwks in ("https://ward.example/jwks", "file:app.jwks.json"):
        before, after = (
            Credentials.model_validate({"jwks": jwks}).key_source(Tokens(), tmp_path, clock, sources) for _ in range(2)
        )
        assert before is after


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"jwks": "http://ward.example/jwks"}, "https"),
        ({"jwks": "keys.json"}, "file:PATH"),
        ({"jwks": {"keys": []}}, "at least 1"),
        ({"jwks": {"keys": [{"kty": "EC", "kid": "a"}]}}, "RS512"),
        ({"jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "a"}]}}, "expected 2048"),
        ({"api_keys": ["fwk_plain-text-key"]}, "64 hexadecimal digits"),
        ({"api_keys": ["sha256:" + "A" * 64]}, "64 hexadecimal digits"),
        ({"client_id": "two words"}, "pattern"),
        ({"certificates": [{}]}, "at least one of"),
        ({"certificates": [{"sha256": "ab"}]}, "pattern"),
        ({"certificates": [{"subject": "ward-tablet"}]}, "RFC 4514"),
        ({"secret": "hunter2"}, "Extra inputs"),
    ],
)
def test_a_wrong_credential_is_refused_with_what_was_expected(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Credentials.model_validate(wrong)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("5", "jwks: found 5, expected file:PATH, https://… (http:// only to this machine), or {keys: […]}"),
        ("true", "jwks: found True, expected file:PATH, https://… (http:// only to this machine), or {keys: […]}"),
        ("[a]", "jwks: found a list, expected file:PATH, https://… (http:// only to this machine), or {keys: […]}"),
        ("keys.json", "jwks: found 'keys.json', expected file:PATH, https://… (http:// only to this machine), or {keys: […]}"),
        ("{keys: 5}", "jwks.keys: found 5, expected a list"),
        ("{keys: []}", "jwks.keys: found a list, expected at least 1"),
        ("{kees: []}", "jwks.kees: unknown key; did you mean 'keys'?"),
    ],
)
def test_one_mistake_in_a_key_set_is_one_message(wrong: str, told: str) -> None:
    with pytest.raises(DeploymentError) as refused:
        document.validate(document.parse(f"jwks: {wrong}\n"), Credentials)
    messages = [line.partition(": ")[2] for line in str(refused.value).splitlines()]
    assert [message for message in messages if "is missing" not in message] == [told]


def test_a_private_key_in_the_file_is_refused(rsa_key: RSAKey) -> None:
    with pytest.raises(ValidationError, match="private key"):
        Credentials.model_validate({"jwks": {"keys": [rsa_key.as_dict(private=True)]}})


def test_every_setting_is_described_in_the_schema() -> None:
    for model in (Tokens, Credentials):
        schema = model.model_json_schema()
        for definition in [schema, *schema.get("$defs", {}).values()]:
            assert all("description" in field for field in definition["properties"].values())
