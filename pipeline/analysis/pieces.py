"""What every piece that people read is made of: a query to show, a rate with its interval.

Belongs here: queries with their values, rates, percentages as text. Does not: which pieces there
are (`findings`, `advice`), pages (`review`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
from statsmodels.stats.proportion import proportion_confint


@dataclass(frozen=True)
class Query:
    """One query on the published warehouse and the values of its `$names`."""

    sql: str
    values: Mapping[str, str] = field(default_factory=dict)

    def rows(self, con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
        """Return the rows, by column name."""
        found = con.sql(self.sql, params=dict(self.values)) if self.values else con.sql(self.sql)
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]

    @property
    def text(self) -> str:
        """The SQL with its values written in."""
        return re.sub(
            r"\$(\w+)",
            lambda name: "'" + self.values[name[1]].replace("'", "''") + "'",
            self.sql.strip(),
        )

    @property
    def command(self) -> str:
        """The line to paste into a shell."""
        quoted = re.sub(r'([\\"$`])', r"\\\1", self.text)
        return f'drip query "{quoted}"'


@dataclass(frozen=True)
class Rate:
    """A count of something, with the name of that something, and Wilson's 95 % interval."""

    count: int
    of: int
    denominator: str

    @property
    def share(self) -> float | None:
        """The rate, 0 to 1; None of nothing."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval; None of nothing."""
        if not self.of:
            return None
        low, high = proportion_confint(self.count, self.of, method="wilson")
        return max(0.0, float(low)), min(1.0, float(high))

    @property
    def text(self) -> str:
        """The rate in per cent."""
        return "–" if self.share is None else percent(self.share)

    @property
    def interval_text(self) -> str:
        """The interval in per cent."""
        return "" if self.interval is None else percent_range(*self.interval)


def percent(share: float) -> str:
    """Return a share as text, with the unit kept on its line."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def percent_range(low: float, high: float) -> str:
    """Return an interval of shares as text."""
    return f"{100 * low:.1f} to {percent(high)}"
