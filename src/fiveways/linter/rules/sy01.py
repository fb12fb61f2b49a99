"""SY01: an API that is known to be slower than anybody is to be kept waiting (S11)."""

from __future__ import annotations

from fiveways.deployment.settings import format_duration
from fiveways.linter.observed import ENOUGH, SHARE, Observed
from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """APIs whose `need:` or `service_level:` declares a latency over `programme.patience`, or says that the provider is slow.

    A slow provider is no finding where consumers do not wait for it: behind a promise, a bounded wait or an HTTP exchange.
    """
    patience = deployment.programme.patience
    for name, api in deployment.apis.items():
        waited_for = api.pattern != "sync-wrap" and not api.promises and name not in deployment.exchanges
        need = api.need if waited_for else None
        if need is not None and need.slow:
            yield ("apis", name, "need", "slow"), "the provider may take longer than a consumer can wait"
        for group, said in (
            ("need", need.expected_latency if need is not None else None),
            ("service_level", api.service_level.latency),
        ):
            if said is not None and said > patience:
                key = "expected_latency" if group == "need" else "latency"
                message = f"{format_duration(said)} is longer than the programme's patience of {format_duration(patience)}"
                yield ("apis", name, group, key), message


def observe(deployment: Deployment, observed: Observed) -> Found:
    """APIs of whose requests more than one in twenty took longer than `programme.patience`, or than `service_level.latency`.

    Where requests are held on purpose, by a sync-wrap or long polling, only the latter counts. A note says that the histogram's
    buckets leave it open.
    """
    patience = deployment.programme.patience
    for name, api in deployment.apis.items():
        times = observed.durations(name)
        if times.count < ENOUGH:
            continue
        exchange = deployment.exchanges.get(name)
        held = api.pattern == "sync-wrap" or (exchange is not None and exchange.long_poll is not None)
        exceeds = False if held else times.exceeds(patience.total_seconds(), SHARE)
        if exceeds is not False:
            seen = f"observed: the 95th centile of {times.count:,} requests is {times.told(SHARE)}"
            over = f"{'longer' if exceeds else 'probably longer'} than the programme's patience of {format_duration(patience)}"
            yield ("apis", name), f"{seen}, {over}", "warning" if exceeds else "note"
        budget, slow = api.service_level.latency, observed.over_budget(name)
        if budget is not None and slow > (1 - SHARE) * times.count:
            message = f"observed: {slow:,} of {times.count:,} requests took longer than {format_duration(budget)}"
            yield ("apis", name, "service_level", "latency"), message


rule = Rule(
    id="SY01",
    severity="warning",
    anti_pattern="Users wait in front of a screen, time-outs fire, and what was asked for is asked for again.",
    best_practice="Have the provider redesigned; or answer with a promise of work, and let the outcome follow.",
    statements=("S11",),
    find=find,
    observe=observe,
)
