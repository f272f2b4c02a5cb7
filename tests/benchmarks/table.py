"""What a benchmark says: one line per promise, as a table for people and as JSON.

Belongs here: lines, their verdict, how they are shown. Does not: measuring (`rows/`).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Line:
    """One number beside what it is held against.

    Attributes:
        what: is measured.
        ours: seconds, or whatever `unit` says.
        floor: the same of the other side; None where there is none.
        value: what the target is about, most often a ratio of the two.
        target: its bound; None = shown only.
        is_least: True where the value must be at least the target.
        peak_gib: peak resident memory of our process.
        floor_peak_gib: of the other.
    """

    what: str
    ours: float
    floor: float | None
    value: float
    target: float | None = None
    is_least: bool = False
    unit: str = "s"
    peak_gib: float | None = None
    floor_peak_gib: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the target holds; a line without one always does."""
        if self.target is None:
            return True
        return self.value >= self.target if self.is_least else self.value <= self.target

    @property
    def target_text(self) -> str:
        """The target as the table shows it."""
        if self.target is None:
            return "–"
        return f"{'≥' if self.is_least else '≤'} {self.target:,.4g}"


def show(lines: list[Line], console: Console) -> None:
    """Print the table."""
    table = Table()
    for head in ("what", "ours", "floor", "ratio", "target", "GiB", "floor", ""):
        table.add_column(head, justify="left" if head == "what" else "right", no_wrap=True)
    for line in lines:
        table.add_row(
            line.what,
            _number(line.ours, line.unit),
            _number(line.floor, line.unit),
            f"{line.value:,.3g}",
            line.target_text,
            _number(line.peak_gib),
            _number(line.floor_peak_gib),
            "met" if line.is_met else "MISSED",
        )
    console.print(table)


def write_json(lines: list[Line], conditions: dict[str, object], path: Path) -> None:
    """Write lines and the conditions of the run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(line) | {"is_met": line.is_met} for line in lines]
    path.write_text(json.dumps({"conditions": conditions, "lines": rows}, indent=1) + "\n")


def _number(value: float | None, unit: str = "") -> str:
    return "–" if value is None else f"{value:,.3g} {unit}".rstrip()
