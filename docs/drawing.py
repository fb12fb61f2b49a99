"""What is drawn: how a request travels through the policies, a life as a table has it, and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap

_AROUND = ("correlation", "tracing", "metrics", "audit", "faults")
"""The policies that stand around everything, refusals included; the others may end a request before it reaches the back end."""

_REFUSES = {
    "request-id": "400", "identity": "401", "entitlement": "403", "rate": "429", "behalf": "400, 403",
    "de-duplication": "409, 422", "concurrency": "503", "breaker": "503",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a plot: its value, and the lowest and the highest that was measured."""

    name: str
    value: float
    low: float
    high: float
    ours: bool


def request_diagram(policies: Sequence[str]) -> str:
    """An SVG of a request on its way through `policies` (outermost first), in the colours of the page."""
    row, width, left, box_width = 34, 560, 140, 236
    right, middle, last = left + box_width, left + box_width // 2, 4 + row * (len(policies) + 1)
    drawn = [_box(left, 4, box_width) + _text(middle, 21, "consumer", "middle")]
    for number, name in enumerate(policies, start=1):
        y = 4 + row * number
        drawn.append(_box(left, y, box_width, 0.9 if name in _AROUND else 0.45) + _text(middle, y + 17, name, "middle"))
        if name in _REFUSES:
            drawn.append(f'<path d="M{right} {y + 12} h34 m-6 -4 l6 4 l-6 4" stroke-opacity="0.6"/>')
            drawn.append(_text(right + 42, y + 16, f"may answer {_REFUSES[name]}"))
        if name == "retry":
            drawn.append(_text(right + 42, y + 16, "if asked for, if safe"))
    drawn.append(_box(left, last, box_width) + _text(middle, last + 17, "the back end, one call an attempt", "middle"))
    down, up = f"M{middle - 60} {{}} v10 m-3 -4 l3 4 l3 -4", f"M{middle + 60} {{}} v-10 m-3 4 l3 -4 l3 4"
    drawn += [f'<path d="{down.format(y)} {up.format(y + 10)}"/>' for y in range(28, last, row)]
    top, bottom = 4 + row, 4 + row * sum(name in _AROUND for name in policies) + 24
    drawn.append(f'<path d="M{left - 8} {top} h-6 V{bottom} h6" stroke-opacity="0.6"/>')
    drawn.append(_text(left - 22, (top + bottom) / 2, "around everything,", "end"))
    drawn.append(_text(left - 22, (top + bottom) / 2 + 17, "refusals too", "end"))
    drawn.append(_text(middle - 50, last + 46, "request ↓", "end") + _text(middle + 50, last + 46, "↑ answer"))
    return _figure(width, last + 56, ", ".join(policies), drawn, "Each policy wraps what is below it.")


def bars(rows: Sequence[Bar], caption: str) -> str:
    """An SVG of a bar a row, with the range around its end as a line, in the colours of the page."""
    row, width, left = 34, 560, 176
    scale = (width - left - 44) / max(bar.high for bar in rows)
    drawn = []
    for number, bar in enumerate(rows):
        y, end = 4 + row * number, left + bar.value * scale
        colour = 'class="fiveways-ours"' if bar.ours else 'fill-opacity="0.45"'
        drawn.append(
            f'<rect x="{left}" y="{y}" width="{bar.value * scale:.1f}" height="24" fill="currentColor" stroke="none" {colour}/>'
        )
        drawn.append(_text(left - 10, y + 17, bar.name, "end"))
        if bar.low < bar.high:
            ends = f"M{left + bar.low * scale:.1f} {y + 8} v8 m0 -4 H{left + bar.high * scale:.1f} m0 -4 v8"
            drawn.append(f'<path d="{ends}" stroke-width="1.5"/>')
        drawn.append(_text(max(end, left + bar.high * scale) + 8, y + 17, f"{bar.value:.0f}"))
    drawn.append(f'<path d="M{left} 0 V{row * len(rows)}" stroke-opacity="0.6"/>')
    spoken = ", ".join(f"{bar.name} {bar.value:g}" for bar in rows)
    return _figure(width, row * len(rows) + 4, spoken, drawn, caption)


def sequence(parties: Sequence[str], steps: Sequence[tuple[int, int, str]], caption: str) -> str:
    """An SVG of who says what to whom, from top to bottom. `steps`: from which party to which, and what."""
    width, row, box = 560, 32, 128
    across, edge = (width - 2 - box) / (len(parties) - 1), 1 + box / 2
    height = 44 + row * len(steps)
    drawn = []
    for number, party in enumerate(parties):
        x = edge + number * across
        drawn.append(_box(x - box / 2, 4, box) + _text(x, 21, party, "middle"))
        drawn.append(f'<path d="M{x:g} 28 V{height}" stroke-opacity="0.35"/>')
    for number, (source, target, said) in enumerate(steps):
        y, x1, x2 = 58 + row * number, edge + source * across, edge + target * across
        way = 1 if x2 > x1 else -1
        drawn.append(f'<path d="M{x1:g} {y} H{x2 - way:g} m{-6 * way} -4 l{6 * way} 4 l{-6 * way} 4"/>')
        drawn.append(_text((x1 + x2) / 2, y - 6, said, "middle").replace("<text ", '<text class="fiveways-halo" '))
    spoken = "; ".join(f"{parties[source]} to {parties[target]}: {said}" for source, target, said in steps)
    return _figure(width, height + 4, spoken, drawn, caption)


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a plot: what it is of, and its figures at equal distances. `ours` is drawn in the page's colour."""

    name: str
    values: Sequence[float]
    ours: bool


def curves(lines: Sequence[Curve], step: float, caption: str) -> str:
    """An SVG of lines over time, one figure for every `step` seconds, each at the middle of them."""
    width, height, left, top = 560, 150, 44, 8
    most, many = max(max(line.values) for line in lines), max(len(line.values) for line in lines)
    across, down = (width - left - 150) / many, (height - top) / most
    drawn = [f'<path d="M{left} {top} V{height} H{left + many * across:g}" stroke-opacity="0.6"/>']
    drawn += [_text(left - 6, top + 10, f"{most:,.0f}", "end"), _text(left - 6, height + 2, "0", "end")]
    drawn += [_text(left + number * across, height + 18, f"{number * step:g} s", "middle") for number in (0, many)]
    for line in lines:
        points = [(left + (number + 0.5) * across, height - value * down) for number, value in enumerate(line.values)]
        colour = 'class="fiveways-ours"' if line.ours else 'stroke-opacity="0.6"'
        path = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        drawn.append(f'<path d="M{path}" stroke="currentColor" stroke-width="2" {colour}/>')
        drawn.append(_text(points[-1][0] + 8, points[-1][1] + 5, f"{line.name}: {line.values[-1]:,.0f}"))
    spoken = "; ".join(f"{line.name} {', '.join(f'{value:g}' for value in line.values)}" for line in lines)
    return _figure(width, height + 24, spoken, drawn, caption)


def life(transitions: Mapping[tuple[str | None, str], str], places: Mapping[str | None, tuple[int, int]], caption: str) -> str:
    """An SVG of states and what leads from one to another. `places` gives each its column and row; None is where a life begins."""
    width, across, down, box = 16, 222, 72, 112
    drawn, spoken = [], []

    def corner(state: str | None) -> tuple[float, float]:
        column, row = places[state]
        return width + column * across - (box - 16 if column else 0), 8 + row * down

    for (source, happening), target in transitions.items():
        (x1, y1), (x2, y2) = corner(source), corner(target)
        x1 += box if source is not None else 12
        drawn.append(f'<path d="M{x1:g} {y1 + 12:g} L{x2 - 2:g} {y2 + 12:g}" stroke-opacity="0.7" marker-end="url(#arrow)"/>')
        along, below = (0.46, 7) if y1 == y2 else (0.62, 16)
        name = _text(x1 + (x2 - x1) * along, y1 + (y2 - y1) * 0.62 + below, happening, "middle")
        drawn.append(name.replace("<text ", '<text class="fiveways-halo" '))
        spoken.append(f"{source or 'nothing'}, {happening}: {target}")
    for state in places:
        x, y = corner(state)
        if state is None:
            drawn.append(f'<circle cx="{x + 6:g}" cy="{y + 12:g}" r="5" fill="currentColor" stroke="none"/>')
        else:
            drawn.append(_box(x, y, box) + _text(x + box / 2, y + 17, state, "middle"))
    arrow = '<marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    drawn.insert(0, f'<defs>{arrow}<path d="M0 0 L8 4 L0 8" /></marker></defs>')
    columns, rows = (max(place[axis] for place in places.values()) for axis in (0, 1))
    return _figure(width + columns * across + 24, rows * down + 44, "; ".join(spoken), drawn, caption)


@dataclass(frozen=True, slots=True)
class Step:
    """A question of a ladder, and where it leads if it is answered with yes."""

    name: str
    question: str
    leads: str
    how: str
    dashed: bool


def ladder(steps: Sequence[Step], after: Sequence[tuple[str, str]], caption: str) -> str:
    """An SVG of questions that are asked from the top until one fits; then, in two columns, what is chosen `after` that."""
    width, left, wide, right, gap = 684, 44, 404, 484, 14
    drawn, spoken, y = [], [], 4
    for number, step in enumerate(steps):
        lines = wrap(step.question, 48)
        height, last = 12 + 18 * max(len(lines), 2), number == len(steps) - 1
        middle = y + height / 2
        dashes = ' stroke-dasharray="5 4"' if step.dashed else ""
        drawn.append(f'<rect x="{left}" y="{y}" width="{wide}" height="{height}" rx="4"{dashes}/>')
        drawn.append(_text(left - 8, middle + 5, step.name, "end"))
        for line, words in enumerate(lines):
            drawn.append(_text(left + 12, middle + 5 + 18 * (line - (len(lines) - 1) / 2), words))
        drawn.append(f'<path d="M{left + wide} {middle:g} H{right - 2} m-6 -4 l6 4 l-6 4"/>')
        drawn.append(_text(right + 6, middle - 3, step.leads).replace("<text ", '<text font-weight="bold" '))
        drawn.append(_text(right + 6, middle + 14, step.how))
        if not last:
            drawn.append(f'<path d="M{left + wide / 2:g} {y + height} v{gap - 1} m-3 -4 l3 4 l3 -4" stroke-opacity="0.6"/>')
        spoken.append(f"{step.name}, {step.question}: {step.leads}, {step.how}")
        y += height + gap
    drawn.append(f'<path d="M{left} {y} H{width - 4}" stroke-opacity="0.35"/>')
    for number, (found, chosen) in enumerate(after):
        drawn.append(_text(left + 12, y + 26 + 24 * number, found) + _text(left + 220, y + 26 + 24 * number, chosen))
        spoken.append(f"{found}: {chosen}")
    return _figure(width, y + 16 + 24 * len(after), "; ".join(spoken), drawn, caption)


def _figure(width: int, height: int, spoken: str, drawn: Sequence[str], caption: str) -> str:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" font-family="inherit" font-size="14" fill="none" stroke="currentColor"'
    size = f'width="{width}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(spoken)}"'
    return f"<figure>{svg} {size}>{''.join(drawn)}</svg><figcaption>{escape(caption)}</figcaption></figure>"


def _box(x: float, y: float, width: float, opacity: float = 1.0) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="24" rx="4" stroke-opacity="{opacity}"/>'


def _text(x: float, y: float, content: str, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="currentColor" stroke="none" text-anchor="{anchor}">{escape(content)}</text>'
