"""What the bulk part of a deployment file may say, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fiveways.methods.bulk.settings import AtRest, BulkSettings, FeedSettings, PartnerSettings, Sink


def feed(**said: Any) -> FeedSettings:
    """A feed."""
    return FeedSettings.model_validate({"from": "northshire", **said})


def test_what_is_not_said_is_safe() -> None:
    settings = feed()
    assert (settings.repeats, settings.over, settings.audit, settings.largest) == ("reject", "sftp", True, 100 * 2**30)
    assert settings.complete_when.manifest is None
    assert PartnerSettings.model_validate({"organisation": "RXN"}).access is None
    assert BulkSettings().at_rest is None


@pytest.mark.parametrize(
    "said",
    [
        {"folder": "activity"},
        {"folder": "/"},
        {"folder": "/a/../b"},
        {"folder": "/a/./b"},
        {"folder": "/a//b"},
        {"folder": "/a/"},
        {"folder": "/a\x00"},
        {"folder": "/" + "a" * 256},
        {"folder": "/a" * 600},
        {"files": "a/b"},
        {"files": ""},
        {"over": "ftp"},
        {"complete_when": {"manifest": "*.json", "marker": "{name}.done"}},
        {"complete_when": {"marker": "done"}},
        {"complete_when": {"trailer": "("}},
        {"complete_when": {"still_for": "-1s"}},
        {"digest": {"by": "manifest"}},
        {"digest": {"algorithm": "md5"}},
        {"sequence": "ACT_(\\d+)"},
        {"sequence": "["},
        {"repeats": "maybe"},
        {"deliver_to": [{}]},
        {"deliver_to": [{"folder": "out", "s3": "s3://a/b"}]},
        {"deliver_to": [{"s3": "http://a/b"}]},
        {"deliver_to": [{"http": "ftp://a"}]},
        {"deliver_to": [{"mailbox": {"from": "a", "to": "B", "workflow": "W"}}]},
        {"to": [{"partner": "southshire", "folder": "../x"}]},
        {"unheard": "of"},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        feed(**said)


@pytest.mark.parametrize(
    "said",
    [
        {"folder": "/activity/ünïcode", "files": "*.csv", "complete_when": {"marker": "{name}.done"}},
        {"complete_when": {"manifest": "*.json"}, "digest": {"by": "manifest", "algorithm": "blake3"}},
        {"complete_when": {"trailer": "T,(?P<records>\\d+)"}, "sequence": "(?P<sequence>\\d+)"},
        {"complete_when": {"still_for": "5m"}, "within": "2h", "keep": "30d", "largest": "2GiB"},
    ],
    ids=range(4),
)
def test_what_can_be_meant_is_taken(said: dict[str, Any]) -> None:
    assert feed(**said).sender == "northshire"


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"folder": "out"}, "out"),
        ({"s3": "s3://bucket/prefix"}, "s3://bucket/prefix"),
        ({"mailbox": {"from": "A", "to": "B", "workflow": "W"}}, "mailbox B"),
        ({"call": "package.module:take"}, "package.module:take"),
    ],
)
def test_a_sink_says_where_it_is(said: dict[str, Any], where: str) -> None:
    assert Sink.model_validate(said).where == where


def test_keys_are_referred_to_and_never_written_out() -> None:
    assert AtRest.model_validate({"key": "env:KEY", "former": ["file:old.key"]}).former
    with pytest.raises(ValidationError):
        AtRest.model_validate({"key": "6b" * 32})
