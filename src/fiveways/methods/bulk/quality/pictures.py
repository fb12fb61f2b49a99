"""Pictures of a report, as SVG inside the page: they take their colours from the page's style, and every mark has a title."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

WIDTH: Final = 1032
_LABEL: Final = 230
"""Width of the labels on the left."""
_ROW: Final = 24


class Bar(NamedTuple):
    """One row of a bar chart."""

    label: str
    value: int
    title: str
    part: int = 0
    """How much of the value is bad: drawn in its colour, at the end."""


def _svg(width: int, height: int, name: str, marks: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">{"".join(marks)}</svg>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, kind: str, title: str, opacity: float | None = None) -> str:
    faint = f' fill-opacity="{opacity:.2f}"' if opacity is not None else ""
    said = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}"{faint}>{said}</rect>'


def shortened(text: str, most: int = 30) -> str:
    """As much of a label as there is room for."""
    return text if len(text) <= most else text[: most - 1] + "…"


def number(value: int) -> str:
    """A number for people."""
    return f"{value:,}"


def along(places: Sequence[int], stretch: int, records: int) -> str:
    """Which share of the records is bad, along the file."""
    height, top, bottom = 150, 18, 24
    inner = height - top - bottom
    shares = [count / min(stretch, records - at * stretch) for at, count in enumerate(places)]
    most = max(shares, default=0.0) or 1.0
    step = WIDTH / max(1, len(places))
    marks = [f'<line x1="0" y1="{height - bottom}" x2="{WIDTH}" y2="{height - bottom}" class="axis"/>']
    for at, (count, share) in enumerate(zip(places, shares, strict=True)):
        if count:
            last = min(records, (at + 1) * stretch)
            title = f"Records {number(at * stretch + 1)} to {number(last)}: {number(count)} bad, {share:.2%}"
            size = max(1.5, inner * share / most)
            marks.append(_rect(at * step, height - bottom - size, max(0.8, step - 1), size, "bad", title))
    marks.append(f'<line x1="0" y1="{top}" x2="{WIDTH}" y2="{top}" class="grid"/>')
    marks.append(_text(0, top - 6, f"{most:.2%} of a stretch of {number(stretch)}" if any(places) else "no bad record", "small"))
    marks.append(_text(0, height - 6, "record 1", "small"))
    marks.append(_text(WIDTH, height - 6, f"record {number(records)}", "small", "end"))
    return _svg(WIDTH, height, "Share of bad records along the file", marks)


def where(rows: Sequence[tuple[str, Sequence[int]]], stretch: int) -> str:
    """Which rule was broken where in the file: a row for each, darker where it was broken more often."""
    marks = []
    for row, (label, places) in enumerate(rows):
        y, most = row * _ROW, max(places, default=0) or 1
        step = (WIDTH - _LABEL) / max(1, len(places))
        marks.append(f"<g><title>{escape(label)}</title>{_text(0, y + 16, shortened(label))}</g>")
        marks.append(_rect(_LABEL, y + 3, WIDTH - _LABEL, _ROW - 6, "track", ""))
        for at, count in enumerate(places):
            if count:
                title = f"{label}: {number(count)} in records {number(at * stretch + 1)} to {number((at + 1) * stretch)}"
                marks.append(_rect(_LABEL + at * step, y + 3, max(1, step), _ROW - 6, "bad", title, 0.25 + 0.75 * count / most))
    return _svg(WIDTH, len(rows) * _ROW, "What was broken where in the file", marks)


def bars(rows: Sequence[Bar], name: str) -> str:
    """A bar for each row, with its number behind it."""
    most = max((each.value for each in rows), default=0) or 1
    room = WIDTH - _LABEL - 110
    marks = []
    for row, each in enumerate(rows):
        y, size = row * _ROW, room * each.value / most
        marks.append(f"<g><title>{escape(each.label)}</title>{_text(0, y + 16, shortened(each.label))}</g>")
        bad = room * each.part / most
        if each.part:
            bad = max(1.5, bad)
        good = size - bad
        if each.value > each.part:
            marks.append(_rect(_LABEL, y + 4, max(1, good), _ROW - 8, "good", each.title))
        if each.part:
            marks.append(_rect(_LABEL + good, y + 4, bad, _ROW - 8, "bad", each.title))
        marks.append(_text(_LABEL + size + 8, y + 16, number(each.value), "small"))
    return _svg(WIDTH, len(rows) * _ROW, name, marks)


def spark(values: Sequence[float], name: str) -> str:
    """How a share went, delivery by delivery; the last is marked."""
    width, height, most = 120, 22, max([*values, 0.0]) or 1.0
    step = (width - 8) / max(1, len(values) - 1)
    points = [(4 + at * step, height - 4 - (height - 8) * value / most) for at, value in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = [f"<title>{escape(name)}</title>", f'<polyline points="{line}" class="line"/>']
    if points:
        marks.append(f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3" class="point"/>')
    return f'<svg viewBox="0 0 {width} {height}" class="spark" role="img" aria-label="{escape(name)}">{"".join(marks)}</svg>'
