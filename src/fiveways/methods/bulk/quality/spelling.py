"""How dates are written: the pattern of a format."""

from __future__ import annotations

import re

_DIRECTIVES = {
    "Y": "[0-9]{4}", "y": "[0-9]{2}", "m": "[0-9]{2}", "d": "[0-9]{2}", "H": "[0-9]{2}", "M": "[0-9]{2}", "S": "[0-9]{2}",
    "j": "[0-9]{3}", "b": "[A-Za-z]{3}", "B": "[A-Za-z]{3,9}", "%": "%",
}  # fmt: skip


def spelling(format_: str) -> str:
    """The pattern of what is written in this format, strictly: a parser would take 2026-1-1 too. ValueError for what is not
    known."""
    found, at = [], 0
    while at < len(format_):
        if format_[at] == "%":
            directive = format_[at + 1 : at + 2]
            if directive not in _DIRECTIVES:
                raise ValueError(f"format: expected of the directives {' '.join(f'%{each}' for each in _DIRECTIVES)}")
            found.append(_DIRECTIVES[directive])
            at += 2
        else:
            found.append(re.escape(format_[at]))
            at += 1
    return f"^{''.join(found)}$"
