"""The deployments to start from: whatever the need, the linter finds no error, and no method or pattern that is not advised."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests import forked
from tests.unit.advisor.test_verdict import CASES, NEEDS

from fiveways.advisor.profile import need, of_arguments
from fiveways.advisor.starting import start, written
from fiveways.advisor.verdict import advise
from fiveways.deployment.need import Need
from fiveways.errors import FivewaysError
from fiveways.linter import Finding, lint

TODAY = datetime.now(UTC).date()


def found(said: Need, folder: Path) -> list[Finding]:
    """What the linter finds in what is given for a need."""
    begun = start(advise(said), said, TODAY)
    file = folder / "deployment.yaml"
    for name, text in {file.name: begun.deployment, **begun.beside}.items():
        (folder / name).write_text(text)
    for reference in begun.references:
        (folder / reference).parent.mkdir(exist_ok=True)
        (folder / reference).touch()
    return lint(file)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=NEEDS)
def test_no_verdict_is_an_error_of_the_linter(said: Need, tmp_path: Path) -> None:
    findings = found(said, tmp_path)
    assert [each for each in findings if each.severity == "error"] == []
    assert {each.rule for each in findings} <= {"SY01", "SY02", "SY03", "SY04", "MS04", "MS06", "GW08", "SY06", "BK03", "BK05"}


@pytest.mark.parametrize("said", CASES)
def test_what_stands_in_it_is_the_need_that_was_asked_for(said: str, tmp_path: Path) -> None:
    asked = need(of_arguments(said.split()))
    assert need(of_arguments(written(asked).strip("{}").replace(": ", "=").split(", "))) == asked
    assert f"need: {written(asked)}" in start(advise(asked), asked, TODAY).deployment


def test_a_deployment_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    begun = start(advise(Need()), Need(), TODAY)
    assert [file.name for file in begun.write(tmp_path)] == ["deployment.yaml"]
    with pytest.raises(FivewaysError, match="is there already"):
        list(begun.write(tmp_path))


def test_each_key_is_made_anew_and_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    one, other = (start(advise(Need()), Need(), TODAY).deployment for _ in range(2))
    assert one != other
    done = forked.run(("advise", "intent=task", "--write", str(tmp_path / "mine")), {}, tmp_path)
    assert done.returncode == 0, done.stderr
    secrets = sorted((tmp_path / "mine" / "secrets").iterdir())
    assert [each.name for each in secrets] == ["A81001-OUT", "RXN-IN", "shared-key"]
    assert {each.stat().st_mode & 0o777 for each in secrets} == {0o600}


def test_thresholds_are_the_programme_s(tmp_path: Path) -> None:
    (tmp_path / "deployment.yaml").write_text("programme: {patience: 10s, availability: 90%}\n")
    said = ("advise", "intent=command", "expected_latency=5s", "availability=95%", "--json")
    assert '"rule": "D16"' in forked.run(said, {}, tmp_path).stdout
    assert '"rule": "D19"' in forked.run((*said, "--programme", "deployment.yaml"), {}, tmp_path).stdout
    assert '"rule": "D17"' in forked.run((*said, "--programme", "deployment.yaml", "--availability", "99%"), {}, tmp_path).stdout
