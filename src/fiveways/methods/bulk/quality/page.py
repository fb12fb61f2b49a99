"""The report as a page: one file of HTML with its style and pictures inside, for light and dark screens and for paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from fiveways.methods.bulk.quality import pictures
from fiveways.methods.bulk.quality.findings import Examination
from fiveways.methods.bulk.quality.pictures import number
from fiveways.methods.bulk.quality.report import Age, Delivery, ages, label, null_rates

EARLIER: Final = 12
"""Earlier deliveries that are shown."""
_ROWS: Final = 20
"""Rules that are shown in pictures; the table has all."""
_VERDICTS: Final = {
    "good": "Every record is good",
    "part": "Bad records are set aside, the others go on",
    "rejected": "The file is rejected",
}
_STYLE: Final = """
:root{color-scheme:light dark;--paper:#fff;--panel:#f4f6f8;--ink:#1b2733;--soft:#586674;--rule:#d5dce3;--good:#2f6fab;--bad:#c4471c;
--fine:#1f7a4d}
@media(prefers-color-scheme:dark){:root{--paper:#12181f;--panel:#1b242e;--ink:#e6ebf0;--soft:#9caab8;--rule:#33404d;--good:#6aa9e0;
--bad:#f08a5d;--fine:#5cc28f}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 24px 64px}h1{font-size:1.6rem;margin:0 0 4px}h2{font-size:1.1rem;margin:40px 0
10px} p{margin:6px 0}.soft{color:var(--soft)}.verdict{border-left:6px solid var(--bad);background:var(--panel);padding:12px
16px;margin:20px 0} .verdict.good{border-color:var(--fine)}.verdict strong{font-size:1.1rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:16px 0}
.tile{background:var(--panel);padding:12px 16px}.tile b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}svg{display:block;width:100%;max-width:1032px;height:auto}svg.spark{width:120px;height:22px}
text{fill:var(--ink);font:13px system-ui,sans-serif}text.small{fill:var(--soft);font-size:12px}
.good{fill:var(--good)}.bad{fill:var(--bad)}.track{fill:var(--panel)}.axis{stroke:var(--soft)}.grid{stroke:var(--rule);stroke-dasharray:3
4} .line{fill:none;stroke:var(--good);stroke-width:1.5}.point{fill:var(--bad)}
table{border-collapse:collapse;width:100%;font-size:.92rem}th,td{text-align:left;padding:6px 10px;border-bottom:1px solid
var(--rule);
vertical-align:top}th{color:var(--soft);font-weight:600}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.key{display:inline-block;width:12px;height:12px;margin:0 6px 0 14px;vertical-align:-1px}.key.good{background:var(--good)}
.key.bad{background:var(--bad)} @media print{main{max-width:none}h2{break-after:avoid}svg,table{break-inside:avoid}}
"""


def html(delivery: Delivery, earlier: Sequence[Delivery] = ()) -> str:
    """The page. `earlier`: deliveries before this one, oldest first; the last twelve are shown."""
    examination, earlier = delivery.examination, list(earlier)[-EARLIER:]
    aged = ages(delivery)
    parts = [_head(delivery), _verdict(examination), _tiles(examination, aged)]
    if examination.records:
        parts.append(_where(examination))
    if examination.tallies:
        parts.append(_broken(examination))
    parts.append(_volume(delivery, earlier))
    if examination.columns:
        parts.append(_columns(examination, earlier))
    if aged:
        parts.append(_ages(aged))
    title = escape(f"Quality of {delivery.feed}")
    return (
        f'<!doctype html><html lang="en-GB"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _head(delivery: Delivery) -> str:
    return (
        f"<h1>Quality of {escape(delivery.feed)}</h1>"
        f'<p class="soft">Transfer {escape(delivery.transfer)}, received {delivery.received:%d %B %Y, %H:%M} UTC</p>'
    )


def _verdict(examination: Examination) -> str:
    why = examination.fault.text if examination.fault is not None else examination.stopped
    trailer = examination.trailer
    counted = ""
    if trailer is not None and trailer.count is not None:
        same = trailer.count == examination.records
        agrees = "which is how many there are" if same else f"but there are {number(examination.records)}"
        counted = f"<p>The trailer says {number(trailer.count)} records, {agrees}.</p>"
    broken_off = "" if examination.complete else "<p>It was not read to its end.</p>"
    said = f"<p>{escape(why)}</p>" if why else ""
    verdict = f"<strong>{_VERDICTS[examination.verdict]}</strong>"
    return f'<div class="verdict {examination.verdict}">{verdict}{said}{counted}{broken_off}</div>'


def _tiles(examination: Examination, aged: Sequence[Age]) -> str:
    share = examination.bad / examination.records if examination.records else 0.0
    tiles = [
        ("records", number(examination.records)),
        ("good", number(examination.good)),
        (f"bad, {share:.2%}", number(examination.bad)),
        ("of these not well-formed", number(examination.malformed)),
    ]
    if aged:
        youngest = min(aged, key=lambda each: abs(each.days))
        tiles.append((f"days since the newest {youngest.column}", f"{youngest.days:.0f}"))
    made = "".join(f'<div class="tile"><b>{value}</b>{escape(name)}</div>' for name, value in tiles)
    return f'<div class="tiles">{made}</div>'


def _where(examination: Examination) -> str:
    parts = ["<h2>Where in the file</h2>", pictures.along(examination.places, examination.stretch, examination.records)]
    if examination.tallies:
        rows = [(label(each), each.places) for each in examination.tallies[:_ROWS]]
        parts += [
            '<p class="soft">Each rule along the file, from its first record on the left to its last on the right</p>',
            pictures.where(rows, examination.stretch),
        ]
    return "".join(parts)


def _broken(examination: Examination) -> str:
    rules: dict[str, int] = {}
    columns: dict[str, int] = {}
    for tally in examination.tallies:
        rules[tally.rule] = rules.get(tally.rule, 0) + tally.records
        columns[tally.column or "(the whole record)"] = columns.get(tally.column or "(the whole record)", 0) + tally.records
    rows = "".join(
        f'<tr><td>{escape(each.rule)}</td><td>{escape(each.column or "")}</td><td class="n">{number(each.records)}</td>'
        f"<td>{', '.join(number(one) for one in each.first)}{', …' if each.records > len(each.first) else ''}</td></tr>"
        for each in examination.tallies
    )
    return (
        f"<h2>By rule</h2>{_bars(rules, 'Breaches by rule')}<h2>By column</h2>{_bars(columns, 'Breaches by column')}"
        '<h2>What was broken</h2><div class="wide"><table><thead><tr><th>Rule</th><th>Column</th><th class="n">Records</th>'
        f"<th>The first of them</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _bars(counts: dict[str, int], name: str) -> str:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:_ROWS]
    return pictures.bars([pictures.Bar(each, count, f"{each}: {number(count)}", count) for each, count in ordered], name)


def _volume(delivery: Delivery, earlier: Sequence[Delivery]) -> str:
    rows = []
    for each in (*earlier, delivery):
        found = each.examination
        title = f"{each.received:%d %B %Y}: {number(found.records)} records, {number(found.bad)} bad, {found.verdict}"
        name = f"{each.received:%d %b %Y %H:%M}" + (" (this one)" if each is delivery else "")
        rows.append(pictures.Bar(name, found.records, title, found.bad))
    said = "" if earlier else '<p class="soft">There is no earlier delivery to compare with.</p>'
    return (
        '<h2>Records, beside earlier deliveries</h2><p class="soft"><span class="key good"></span>good'
        f'<span class="key bad"></span>bad</p>{said}{pictures.bars(rows, "Records by delivery")}'
    )


def _columns(examination: Examination, earlier: Sequence[Delivery]) -> str:
    before = [null_rates(each.examination) for each in earlier]
    now, rows = null_rates(examination), []
    for name, column in examination.columns.items():
        rates = [each[name] for each in before if name in each]
        usual = f"{sum(rates) / len(rates):.2%}" if rates else "–"
        drawn = pictures.spark([*rates, now[name]], f"Empty values of {name}, delivery by delivery") if rates else ""
        lengths = "" if column.shortest is None else f"{column.shortest} to {column.longest}"
        span = "" if column.least is None else f"{column.least} to {column.greatest}"
        rows.append(
            f'<tr><td>{escape(name)}</td><td>{escape(column.type)}</td><td class="n">{now[name]:.2%}</td><td class="n">{usual}</td>'
            f'<td>{drawn}</td><td class="n">{number(column.distinct)}</td><td>{escape(span)}</td><td class="n">{lengths}</td></tr>'
        )
    return (
        '<h2>Columns</h2><div class="wide"><table><thead><tr><th>Column</th><th>Type</th><th class="n">Empty</th>'
        '<th class="n">Before, on average</th><th>Empty, over time</th><th class="n">Different values</th><th>Range</th>'
        f'<th class="n">Characters</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _ages(aged: Sequence[Age]) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.column)}</td><td>{escape(each.oldest)}</td><td>{escape(each.newest)}</td>"
        f'<td class="n">{each.days:,.1f}</td></tr>'
        for each in aged
    )
    return (
        '<h2>Age of the data</h2><div class="wide"><table><thead><tr><th>Column</th><th>Oldest</th><th>Newest</th>'
        f'<th class="n">Days from the newest to when it came</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
