"""What an arm's leads did, as the few sums that every decision is made of.

Belongs here: sums of one outcome, what can be read off them alone. Does not: two arms beside each
other (`comparisons`, `single_look`), where the sums come from (dbt models, `foreign`).
"""

from dataclasses import dataclass

# Burn-in of statistics.md 2.2: below it the normal approximation does not hold the error rate.
LEAST_LEADS = 100
LEAST_EVENTS = 10


@dataclass(frozen=True)
class ArmStats:
    """Sufficient statistics of one metric in one arm: add two to merge their leads."""

    n: int = 0
    sum: float = 0.0
    sum_squares: float = 0.0

    def __add__(self, other: "ArmStats") -> "ArmStats":
        """Return the statistics of both groups of leads together."""
        return ArmStats(
            self.n + other.n, self.sum + other.sum, self.sum_squares + other.sum_squares
        )

    @property
    def mean(self) -> float:
        """Mean per lead; 0 without leads."""
        return self.sum / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """Plug-in variance per lead (divisor n, as the confidence sequence has it)."""
        return max(0.0, self.sum_squares / self.n - self.mean**2) if self.n else 0.0

    @property
    def is_binary(self) -> bool:
        """Whether every lead counts 0 or 1."""
        return self.sum == self.sum_squares and 0 <= self.sum <= self.n

    @property
    def events(self) -> float:
        """Leads with an event; of money the least number that can have given these sums.

        sum² ≤ (leads that are not zero) × sum_squares, and the two are equal when all counts are 1.
        """
        return self.sum**2 / self.sum_squares if self.sum_squares > 0 else 0.0

    @property
    def is_burned_in(self) -> bool:
        """Whether there are leads, events and non-events enough for a normal approximation."""
        return (
            self.n >= LEAST_LEADS
            and self.events >= LEAST_EVENTS
            and self.n - self.events >= LEAST_EVENTS
        )
