"""What is drawn: how a request travels through the policies, and the benchmark's bars."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

_AROUND = ("correlation", "tracing", "metrics", "audit", "faults")
"""The policies that stand around everything, refusals included; the others may end a request before it reaches the back end."""

_REFUSES = {
    "request-id": "400", "identity": "401", "entitlement": "403", "rate": "429", "de-duplication": "409, 422",
    "concurrency": "503", "breaker": "503",
}  # fmt: skip

GOALS = {"fiveways-all-policies": 1.0, "fiveways-open": 0.7}
"""CPU per request, as a multiple of bare Caddy's in the same run, that each is to stay within."""

_NAMES = {
    "fiveways-all-policies": "Fiveways, every policy on", "fiveways-open": "Fiveways, open access", "caddy": "Caddy",
    "envoy": "Envoy", "nginx": "nginx", "haproxy": "HAProxy",
}  # fmt: skip


def request_diagram(policies: Sequence[str]) -> str:
    """An SVG of a request on its way through `policies` (outermost first), in the colours of the page."""
    row, width, left = 34, 720, 180
    height = row * (len(policies) + 2) + 40
    svg = '<svg xmlns="http://www.w3.org/2000/svg" font-family="inherit" font-size="14" fill="none" stroke="currentColor"'
    parts = [f'{svg} viewBox="0 0 {width} {height}" role="img" aria-label="{escape(", ".join(policies))}">']
    box = '<rect x="{x}" y="{y}" width="{w}" height="24" rx="4" stroke-opacity="{o}"/>'
    text = '<text x="{x}" y="{y}" fill="currentColor" stroke="none" text-anchor="{a}" fill-opacity="{o}">{t}</text>'

    def label(x: float, y: float, content: str, anchor: str = "middle", opacity: float = 1.0) -> str:
        return text.format(x=x, y=y, a=anchor, o=opacity, t=escape(content))

    middle, box_width = left + 130, 260
    parts.append(box.format(x=left, y=4, w=box_width, o=1) + label(middle, 21, "consumer"))
    last = 4 + row * (len(policies) + 1)
    for number, name in enumerate(policies, start=1):
        y = 4 + row * number
        outer = name in _AROUND
        parts.append(box.format(x=left, y=y, w=box_width, o=0.9 if outer else 0.45) + label(middle, y + 17, name))
        if name in _REFUSES:
            parts.append(f'<path d="M{left + box_width} {y + 12} h34 m-6 -4 l6 4 l-6 4" stroke-opacity="0.6"/>')
            parts.append(label(left + box_width + 42, y + 16, f"may answer {_REFUSES[name]}", "start", 0.8))
        if name == "retry":
            parts.append(label(left + box_width + 42, y + 16, "only if asked for, only if safe", "start", 0.8))
    parts.append(box.format(x=left, y=last, w=box_width, o=1) + label(middle, last + 17, "the back end, one call an attempt"))
    down, up = f"M{middle - 60} {{y}} v10 m-3 -4 l3 4 l3 -4", f"M{middle + 60} {{up}} v-10 m-3 4 l3 -4 l3 4"
    parts += (f'<path d="{down.format(y=y)}"/><path d="{up.format(up=y + 10)}"/>' for y in range(28, last, row))
    around = sum(name in _AROUND for name in policies)
    top, bottom = 4 + row, 4 + row * around + 24
    parts.append(f'<path d="M{left - 8} {top} h-6 V{bottom} h6" stroke-opacity="0.6"/>')
    parts.append(label(left - 22, (top + bottom) / 2, "around everything,", "end", 0.8))
    parts.append(label(left - 22, (top + bottom) / 2 + 17, "refusals too", "end", 0.8))
    parts.append(
        label(middle - 72, height - 14, "request ↓", "end", 0.8) + label(middle + 72, height - 14, "↑ answer", "start", 0.8)
    )
    return "<figure>" + "".join(parts) + "</svg><figcaption>Each policy wraps what is below it.</figcaption></figure>"


def benchmark_page(docs: Path) -> str:
    """The table and the plot of the last run, or that there has been none."""
    result = _result(docs)
    if result is None:
        return "**Not measured yet.** `make bench-gateway` measures and writes `docs/benchmarks/gateway.json`."
    cpu, caddy = result["cpu_us_per_request"], result["cpu_us_per_request"].get("caddy")
    lines = ["| | CPU µs a request | times Caddy's | requests/s | p50 ms | p99 ms |", "| --- |" + " ---: |" * 5]
    for name, figure in cpu.items():
        ratio = f"{figure / caddy:.2f}" if caddy else "not measured"
        others = [_figure(result, key, name) for key in ("requests_per_second", "latency_p50_ms", "latency_p99_ms")]
        lines.append(" | ".join([f"| {_NAMES.get(name, name)}", f"{figure:g}", ratio, *others]) + " |")
    machine, method, versions = result.get("machine", {}), result.get("method", {}), result.get("versions", {})
    facts = [f"Measured on {result['measured']}"] if "measured" in result else []
    facts += [", ".join(f"{key} {value}" for key, value in each.items()) for each in (machine, method, versions) if each]
    goals = [_goal(name, most, cpu, caddy) for name, most in GOALS.items() if caddy and name in cpu]
    plot = "![CPU µs per request of each gateway, as bars](gateway.svg)"
    return "\n\n".join([plot, "\n".join(lines), "; ".join(facts) + ".", "\n".join(goals)])


def benchmark_plot(docs: Path) -> bytes | None:
    """The bars of the last run, with the range of its rounds, as SVG; None where there has been none."""
    result = _result(docs)
    if result is None:
        return None
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    cpu: dict[str, float] = result["cpu_us_per_request"]
    names = list(reversed(cpu))
    rounds = result.get("cpu_us_rounds", {})
    spread = [
        [cpu[n] - min([cpu[n], *rounds.get(n, [])]) for n in names],
        [max([cpu[n], *rounds.get(n, [])]) - cpu[n] for n in names],
    ]
    with pyplot.rc_context({"svg.hashsalt": "fiveways", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure, axes = pyplot.subplots(figsize=(7, 0.5 * len(names) + 0.9), layout="constrained")
        colours = ["#00796b" if name.startswith("fiveways") else "#607d8b" for name in names]
        bars = axes.barh(
            [_NAMES.get(name, name) for name in names], [cpu[name] for name in names], color=colours, xerr=spread, ecolor="#455a64"
        )
        axes.bar_label(bars, fmt="%.0f", padding=4, label_type="center", color="white")
        axes.set_xlabel("CPU µs a request: median of the rounds, and their range")
        axes.spines[["top", "right"]].set_visible(False)
        drawing = io.BytesIO()
        figure.savefig(drawing, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return drawing.getvalue()


def _result(docs: Path) -> dict[str, Any] | None:
    file = docs / "benchmarks" / "gateway.json"
    try:
        result: dict[str, Any] = json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # not there, or being replaced at this moment
        return None
    return result if result.get("cpu_us_per_request") else None


def _figure(result: dict[str, Any], key: str, name: str) -> str:
    value = result.get(key, {}).get(name)
    return f"{value:,}" if value is not None else "–"


def _goal(name: str, most: float, cpu: dict[str, float], caddy: float) -> str:
    ratio = cpu[name] / caddy
    verdict = "met" if ratio <= most else "not met"
    return f"- {_NAMES[name]}: at most {most:g} times Caddy's CPU a request is the goal; {ratio:.2f} in this run: **{verdict}**."
