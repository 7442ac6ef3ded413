"""One row per figure: what, measured, floor or peer, ratio, bar, met?  A table for people, JSON for comparisons."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import RESULTS


@dataclass(frozen=True)
class Row:
    """`bar`: what may not be passed; None where none is set. `more`: whether a larger figure is the better one."""

    what: str
    measured: float
    unit: str
    bar: float | None = None
    floor: float | None = None
    floor_name: str = ""
    more: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.measured / self.floor if self.floor else None

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return self.measured >= self.bar if self.more else self.measured <= self.bar


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def shown(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 10 else f"{value:.0f}"


def table(rows: Sequence[Row]) -> str:
    head = ["what", "measured", "floor or peer", "ratio", "bar", "met"]
    lines = [head, ["---", "---:", "---", "---:", "---:", "---"]]
    for row in rows:
        floor = f"{shown(row.floor)} {row.floor_name}".strip() if row.floor is not None else "-"
        bar = "-" if row.bar is None else f"{'≥' if row.more else '≤'} {shown(row.bar)} {row.unit}"
        met = "" if row.met is None else "yes" if row.met else "NO"
        what = f"{row.what} ({row.note})" if row.note else row.what
        lines.append([what, f"{shown(row.measured)} {row.unit}", floor, shown(row.ratio), bar, met])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def publish(part: str, rows: Sequence[Row], *, detail: dict[str, Any] | None = None) -> None:
    """Prints the table and writes `bench/results/<part>.json`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {
        "rows": [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in rows],
        "detail": detail or {},
    }
    (RESULTS / f"{part}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    print(f"\n{table(rows)}\n", flush=True)


def read(part: str) -> list[Row]:
    content = json.loads((RESULTS / f"{part}.json").read_text())
    return [Row(**{k: v for k, v in row.items() if k not in ("ratio", "met")}) for row in content["rows"]]
