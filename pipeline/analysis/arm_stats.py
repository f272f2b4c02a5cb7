"""What an arm's leads did, as the few sums that every decision is made of.

Belongs here: sums of one outcome, what can be read off them alone. Does not: two arms beside each
other (`pairs`, `single_look`), where the sums come from (dbt models, `foreign`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

# One number, or a column of numbers: the formulas are the same, and what comes out is what went in.
Numbers: TypeAlias = Any

# Burn-in of statistics.md 2.2: below it the normal approximation does not hold the error rate.
LEAST_LEADS = 100
LEAST_EVENTS = 10


@dataclass(frozen=True)
class ArmStats:
    """Sufficient statistics of one metric in one arm, or in many, column by column.

    Add two to merge their leads.
    """

    n: Numbers = 0
    sum: Numbers = 0.0
    sum_squares: Numbers = 0.0

    def __add__(self, other: "ArmStats") -> "ArmStats":
        """Return the statistics of both groups of leads together."""
        return ArmStats(
            self.n + other.n, self.sum + other.sum, self.sum_squares + other.sum_squares
        )

    @classmethod
    def columns(cls, arms: Sequence["ArmStats"]) -> "ArmStats":
        """Return arms as columns, one a row."""
        return cls(
            np.array([arm.n for arm in arms]),
            np.array([arm.sum for arm in arms], dtype=np.float64),
            np.array([arm.sum_squares for arm in arms], dtype=np.float64),
        )

    def rows(self, which: Any) -> "ArmStats":
        """Return these rows of the columns."""
        return ArmStats(self.n[which], self.sum[which], self.sum_squares[which])

    @property
    def mean(self) -> Numbers:
        """Mean per lead; 0 without leads."""
        return self.sum / _divisor(self.n)

    @property
    def variance(self) -> Numbers:
        """Plug-in variance per lead (divisor n, as the confidence sequence has it)."""
        return np.maximum(0.0, self.sum_squares / _divisor(self.n) - self.mean**2)

    @property
    def is_binary(self) -> Numbers:
        """Whether every lead counts 0 or 1."""
        return (self.sum == self.sum_squares) & (self.sum >= 0) & (self.sum <= self.n)

    @property
    def events(self) -> Numbers:
        """Leads with an event; of money the least number that can have given these sums.

        sum² ≤ (leads that are not zero) × sum_squares, and the two are equal when all counts are 1.
        """
        return self.sum**2 / _divisor(self.sum_squares)

    @property
    def is_burned_in(self) -> Numbers:
        """Whether there are leads, events and non-events enough for a normal approximation."""
        return (
            (self.n >= LEAST_LEADS)
            & (self.events >= LEAST_EVENTS)
            & (self.n - self.events >= LEAST_EVENTS)
        )


def _divisor(count: Numbers) -> Numbers:
    """Return the count, or 1 where it is 0: the sum above it is 0 as well."""
    return count + (count == 0)
