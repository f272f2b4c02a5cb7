"""What is wrong with a file a person wrote: where, and what to write instead.

Belongs here: the problem, its order, its one line. Does not: finding problems (`model`, `compile`,
`check`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.settings import DripError


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in one place.

    Attributes:
        file: Path inside the sequences folder.
        line: From 1; 0 when the file itself is missing.
        field: Path of the key, such as `steps[2].when`; empty for the whole file.
        message: What is wrong, and what to write.
        severity: An error keeps the engine from running; a warning is advice.
    """

    file: str
    line: int
    field: str
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Return the problem as one line: file, line, field, message."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.field, self.message) if part)


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """Keep the errors, in the order of files and lines."""
    return sorted({problem for problem in problems if problem.severity == "error"})


def as_error(problems: Iterable[Problem]) -> DripError:
    """Make one error that lists every error among the problems."""
    errors = errors_of(problems)
    count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    lines = "\n".join(f"  {error}" for error in errors)
    return DripError(f"{count} in the sequences folder, nothing was started. Mend:\n{lines}")
