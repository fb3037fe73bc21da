"""The report: one self-contained HTML file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tracker import __version__
from tracker.charts.style import Chart
from tracker.self_check import SelfCheck
from tracker.tables import Table

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2329;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem}h2{margin:2.4rem 0 .4rem}p.chart{margin:1.6rem 0 0}
nav a{margin-right:1rem}p.caption,footer{color:#5c6670}
img{max-width:100%;height:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .8rem .25rem 0;border-bottom:1px solid #e4e7ea;text-align:left}
td.n,th.n{text-align:right}.wide{overflow-x:auto}
"""
COLUMNS = {
    "track_id": ("vehicle", 0),
    "class": ("class", 0),
    "length_m": ("length (m)", 1),
    "first_time_s": ("from (s)", 1),
    "last_time_s": ("to (s)", 1),
    "distance_m": ("distance (m)", 1),
    "mean_speed_km_h": ("mean (km/h)", 1),
    "max_speed_km_h": ("maximum (km/h)", 1),
    "movement": ("movement", 0),
    "lane_id": ("lane", 0),
}
WORDS = {"truck_bus": "truck or bus", "two_wheeler": "two-wheeler"}
LONGEST_TABLE = 200


def write_report(  # noqa: PLR0913, PLR0917  what a report has
    path: Path, title: str, facts: dict[str, str], charts: Sequence[Chart], vehicles: Table, check: SelfCheck
) -> None:
    """Write the report next to the charts' PNG files."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    sections = list(dict.fromkeys(chart.section for chart in charts))
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in (*sections, "Judgement", "Vehicles"))
    parts = [f"<h1>{escape(title)}</h1><table>{rows}</table><nav><p>{links}</p></nav>"]
    for before, chart in zip((None, *charts), charts, strict=False):
        if before is None or before.section != chart.section:
            parts.append(f'<h2 id="{escape(chart.section)}">{escape(chart.section)}</h2>')
        data = base64.b64encode((path.parent / f"{chart.name}.png").read_bytes()).decode()
        parts.append(
            f'<p class="chart"><img alt="{escape(chart.title)}" src="data:image/png;base64,{data}"></p>'
            f'<p class="caption">{escape(chart.caption)} Data: {chart.name}.csv; vector graphic: {chart.name}.svg</p>'
        )
    parts += [_judgement(check), _vehicles(vehicles)]
    parts.append(f"<footer>tracker {__version__}</footer>")
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>"
    )
    path.write_text(page + "\n", encoding="utf-8")


def _judgement(check: SelfCheck) -> str:
    """What speaks for and against the result, without knowing the truth."""
    found = [(name.replace("_", " "), value) for name, value in check.figures.items() if not isinstance(value, dict)]
    rows = "".join(f"<tr><th>{escape(name)}</th><td class=n>{value}</td></tr>" for name, value in found)
    head = "<tr><th class=n>x (m)</th><th class=n>y (m)</th><th class=n>in</th><th class=n>out</th></tr>"
    arms = "".join(
        f"<tr>{''.join(f'<td class=n>{arm[name]}</td>' for name in ('x_m', 'y_m', 'in', 'out'))}</tr>"
        for arm in check.arms
    )
    doubts = "".join(f"<li>{escape(text)}</li>" for text in (*check.outside_of_what_was_tried, *check.doubts))
    return (
        f'<h2 id="Judgement">Judgement</h2><p>{escape(check.verdict)}.</p><ul>{doubts}</ul><table>{rows}</table>'
        '<p class="caption">Vehicles in and out, where they cross the border. The doubtful tracks are named in '
        f"quality.json.</p><table>{head}{arms}</table>"
    )


def _vehicles(table: Table) -> str:
    count = len(table["track_id"])
    head = "".join(f"<th{_align(name)}>{escape(label)}</th>" for name, (label, _) in COLUMNS.items())
    body = ""
    for index in range(min(count, LONGEST_TABLE)):
        cells = "".join(f"<td{_align(name)}>{_cell(table[name][index], COLUMNS[name][1])}</td>" for name in COLUMNS)
        body += f"<tr>{cells}</tr>"
    rest = f'<p class="caption">{count - LONGEST_TABLE} more in vehicles.csv</p>' if count > LONGEST_TABLE else ""
    return f'<h2 id="Vehicles">Vehicles</h2><div class="wide"><table><tr>{head}</tr>{body}</table></div>{rest}'


def _align(name: str) -> str:
    return "" if name in ("class", "movement", "lane_id") else ' class="n"'


def _cell(value: object, decimals: int) -> str:
    if isinstance(value, str):
        return escape(WORDS.get(value, value.replace("_", " "))) or "-"
    return f"{float(value):.{decimals}f}"  # type: ignore[arg-type]  # numbers of numpy
