"""What a running platform's metrics show of a deployment; and that nothing is said on too little, or on what is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.linter.facade_cases import API, STRICT, WRAPPER, one
from tests.unit.linter.metrics import observed, written
from tests.unit.linter.ms0_cases import POSTGRES, messages

from fiveways.linter.lint import Finding, lint_all
from fiveways.linter.observed import ObservationError, Times, parse

LEVEL = "service_level: {latency: 500ms, availability: 99%}"
HURRIED = messages("W: {to: [A], need: {latency_budget: 10m}}")
ONCE = messages("W: {to: [A], need: {once_only: true}}", store=POSTGRES)

BUDGET = "workflows.W.need.latency_budget"


def found(folder: Path, text: str, metrics: str, after: float = 3600.0) -> list[Finding]:
    """What is found because of what was observed."""
    file = folder / "deployment.yaml"
    file.write_text(text)
    return [each for each in lint_all([file], observed=observed(metrics, after))[file] if "observed: " in each.message]


@pytest.mark.parametrize(
    ("text", "metrics", "expected"),
    [
        pytest.param(one(API), written([(100, 6.0, 200)]), [("SY01", "apis.a", "warning")], id="slow"),
        pytest.param(one(API), written([(940, 0.1, 200), (60, 6.0, 200)]), [("SY01", "apis.a", "warning")], id="one in sixteen"),
        pytest.param(one(API), written([(960, 0.1, 200), (40, 6.0, 200)]), [], id="one in twenty-five"),
        pytest.param(one(API), written([(100, 4.0, 200)]), [("SY01", "apis.a", "warning")], id="within a bucket, by the sum"),
        pytest.param(one(API), written([(100, 3.05, 200)]), [("SY01", "apis.a", "note")], id="left open by the bucket"),
        pytest.param(one(API), written([(100, 0.2, 200)]), [], id="quick"),
        pytest.param(one(API), written([(29, 6.0, 200)]), [], id="too few"),
        pytest.param(one(API.replace("pass-through", "sync-wrap")), written([(100, 6.0, 200)]), [], id="held on purpose"),
        pytest.param(
            one(API, LEVEL), written([(90, 0.1, 200), (10, 0.6, 200)], budget=0.5),
            [("SY01", "apis.a.service_level.latency", "warning")], id="over its budget",
        ),
        pytest.param(one(API, LEVEL), written([(100, 0.1, 200), (5, 0.6, 200)], budget=0.5), [], id="within its budget"),
        pytest.param(
            one(API, LEVEL), written([(90, 0.1, 200), (10, 0.1, 503)]),
            [("SY02", "apis.a", "warning"), ("SY02", "apis.a.service_level.availability", "warning")], id="faults",
        ),
        pytest.param(one(API, LEVEL), written([(995, 0.1, 200), (5, 0.1, 502)]), [("SY02", "apis.a", "warning")], id="some faults"),
        pytest.param(one(API, LEVEL), written([(90, 0.1, 200), (10, 0.1, 404)]), [], id="consumers' faults"),
        pytest.param(one(API, LEVEL), written([(29, 0.1, 503)]), [], id="too few with faults"),
        pytest.param(one(API), written([(36_000, 0.01, 200)]), [("SY04", "apis.a", "warning")], id="chatty"),
        pytest.param(
            one(API), written([(36_000, 0.01, 200)], interaction="Patient.read"), [("SY04", "apis.a", "warning")], id="chatty FHIR"
        ),
        pytest.param(one(API), written([(35_000, 0.01, 200)]), [], id="not so often"),
        pytest.param(one(API), written([(36_000, 0.1, 200)]), [], id="not so small"),
        pytest.param(one(API), written([(36_000, 0.01, 200)], interaction="POST"), [], id="nothing is got"),
        pytest.param(one(API), written([(36_000, 0.01, 404)]), [], id="there is nothing"),
        pytest.param(one(WRAPPER), written([(36_000, 0.01, 200)]), [], id="no pass-through"),
        pytest.param(HURRIED, written(collected=[(40, 4000.0)]), [("MS06", BUDGET, "warning")], id="late"),
        pytest.param(HURRIED, written(collected=[(40, 700.0)]), [("MS06", BUDGET, "warning")], id="sum"),
        pytest.param(HURRIED, written(collected=[(40, 610.0)]), [("MS06", BUDGET, "note")], id="open"),
        pytest.param(HURRIED, written(collected=[(40, 30.0)]), [], id="soon"),
        pytest.param(HURRIED, written(collected=[(29, 4000.0)]), [], id="too few messages"),
        pytest.param(messages("W: {to: [A], need: {}}"), written(collected=[(40, 4000.0)]), [], id="no hurry"),
        pytest.param(ONCE, written(replicated=False), [("MS04", "workflows.W.need.once_only", "warning")], id="not replicated"),
        pytest.param(ONCE, written(replicated=True), [], id="replicated"),
        pytest.param(ONCE, written(), [], id="not known whether replicated"),
        pytest.param(ONCE.replace(POSTGRES, "store: {}"), written(replicated=False), [], id="the file has shown it"),
    ],
)  # fmt: skip
def test_what_is_observed_is_found(tmp_path: Path, text: str, metrics: str, expected: list[tuple[str, str, str]]) -> None:
    assert [(each.rule, each.path, each.severity) for each in found(tmp_path, text, metrics)] == expected


def test_a_finding_says_what_was_observed_over_how_many(tmp_path: Path) -> None:
    text = one(API, LEVEL, before=STRICT)
    said = {each.rule: each.message for each in found(tmp_path, text, written([(1900, 0.1, 200), (200, 6.0, 503)]))}
    assert said["SY01"] == (
        "observed: the 95th centile of 2,100 requests is between 5s and 10s, longer than the programme's patience of 2s"
    )
    assert "observed: 200 of 2,100 requests had a fault of the platform's or the provider's" in said["SY02"]
    (said_of_it,) = found(tmp_path, one(API), written([(36_000, 0.01, 200)]))
    assert "ward has made 36,000 small requests of it, 10 a second on average" in said_of_it.message
    (said_of_it,) = found(tmp_path, HURRIED, written(collected=[(40, 4000.0)]))
    assert "A collects nineteen in twenty of 40 messages within a time between 1h and 4h" in said_of_it.message


def test_a_short_burst_is_no_habit(tmp_path: Path) -> None:
    assert not found(tmp_path, one(API), written([(599, 0.01, 200)]), after=2)
    assert found(tmp_path, one(API), written([(600, 0.01, 200)]), after=2)


def test_what_nobody_observed_is_not_missed(tmp_path: Path) -> None:
    said = "linting: {suppress: [{rule: SY01, at: apis.a, reason: old, until: 2099-01-01}]}\n"
    file = tmp_path / "deployment.yaml"
    file.write_text(said + one(API))
    assert "LINT" not in {each.rule for each in lint_all([file])[file]}
    slow, quick = (observed(written([(100, seconds, 200)])) for seconds in (6.0, 0.1))
    assert {"LINT", "SY01"} & {each.rule for each in lint_all([file], observed=slow)[file]} == set()
    assert "LINT" in {each.rule for each in lint_all([file], observed=quick)[file]}


def test_what_a_prometheus_server_federates_is_added_up(tmp_path: Path) -> None:
    text = written([(20, 6.0, 200)])
    nodes = "".join(text.replace('api="a"', f'api="a",instance="n{node}"') for node in range(2))
    bare = "\n".join(f"{line} 1800000000000" for line in nodes.splitlines() if not line.startswith("#"))
    (finding,) = found(tmp_path, one(API), bare)
    assert "of 40 requests" in finding.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html><body>welcome</body></html>",
        '{"fiveways_messaging_waiting": 3}',
        "up 1\n",
        "fiveways_messaging_waiting\n",
        "fiveways_messaging_waiting many\n",
        'fiveways_messaging_waiting{mailbox="A" 1\n',
        "fiveways_messaging_waiting NaN\n",
        "fiveways_messaging_waiting -1\n",
        "fiveways_messaging_waiting 1e400\n",
        "fiveways_store_replicated 1e308\n" * 3,
        'fiveways_gateway_request_duration_seconds_bucket{api="a"} 1\n',
        'fiveways_gateway_request_duration_seconds_bucket{api="a",le="high"} 1\n',
        'fiveways_gateway_request_duration_seconds_bucket{api="a",le="-1"} 1\n',
        'fiveways_gateway_request_duration_seconds_bucket{api="a",le="1e300"} 1\n',
        'fiveways_gateway_request_duration_seconds_bucket{api="a",le="NaN"} 1\n',
    ],
)
def test_what_is_no_metrics_of_a_platform_is_refused(text: str) -> None:
    with pytest.raises(ObservationError, match="what it answers"):
        parse(text, 0.0)


def test_a_histogram_that_goes_down_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    name = "fiveways_gateway_request_duration_seconds"
    lines = [f'{name}_bucket{{api="a",le="{bound}"}} {count}' for bound, count in (("1", 50), ("5", 10), ("+Inf", 60))]
    times = parse("\n".join([*lines, f'{name}_sum{{api="a"}} 1']), 0.0).durations("a")
    assert times.buckets == ((1.0, 50.0), (5.0, 0.0), (float("inf"), 10.0))
    assert times.count == 60


BOUNDS = (0.1, 1.0, 2.5, 5.0, 10.0)


@given(
    st.lists(st.floats(0.001, 20.0), min_size=1, max_size=60),
    st.floats(0.01, 15.0),
    st.sampled_from((0.5, 0.9, 0.95)),
)
def test_what_is_said_of_a_centile_for_certain_is_so(took: list[float], limit: float, share: float) -> None:
    buckets = []
    low = 0.0
    for bound in (*BOUNDS, float("inf")):
        buckets.append((bound, float(sum(low < each <= bound for each in took))))
        low = bound
    times = Times(tuple(buckets), sum(took))
    centile = sorted(took)[max(0, -int(-share * len(took) // 1) - 1)]
    between = times.centile(share)
    assert between[0] <= centile <= between[1]
    if times.exceeds(limit, share):
        assert centile > limit - 1e-9
    if between[1] <= limit:
        assert times.exceeds(limit, share) is False
