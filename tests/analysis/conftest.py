"""What the rules keep of their promises on drawn data, written down by `make calibrate`."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "calibration.md"
LOOKS = "False winners among equal arms, looked at on 28 days"
POWER = "Real differences found, and the part of the planned leads it takes"
STOPPED = "What is shown after stopping"
OTHERS = "The other rules"
PARTS = (LOOKS, POWER, STOPPED, OTHERS)

HEAD = """# Calibration

What the rules keep of their promises where the truth is known: experiments are drawn by the thousand and judged by the functions that
judge real ones. Written by `make calibrate` on {on}; `make prove` asks for the same targets on half of the draws. Each target
has two errors of the draw as its tolerance; what the rules are, and what others make of such data, is in [statistics.md](statistics.md).
"""


@dataclass
class Calibration:
    """Takes down what was measured.

    Attributes:
        times: how many times as many draws as usual.
    """

    times: int
    rows: dict[tuple[str, str], str] = field(default_factory=dict)

    def note(
        self, part: str, question: str, measured: float | str, target: str, *, draws: int, seed: int
    ) -> None:
        """Take down one number, a share if it is no text, beside its target."""
        found = measured if isinstance(measured, str) else f"{100 * measured:.1f} %"
        self.rows[part, question] = f"| {question} | {found} | {target} | {draws:,} | {seed} |"

    def page(self, on: str) -> str:
        """Return the page, as of a day."""
        lines = [HEAD.format(on=on)]
        for part in PARTS:
            lines += [
                f"\n## {part}\n\n| | measured | target | draws | seed |\n|---|---|---|---|---|"
            ]
            lines += [row for (of, _), row in self.rows.items() if of == part]
        return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


NOTED = pytest.StashKey[Calibration]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin an empty page."""
    config.stash[NOTED] = Calibration(config.getoption("--calibration-times"))


@pytest.fixture
def calibration(request: pytest.FixtureRequest):
    """Where a test notes what it has measured; what is new must be on the page that stands."""
    noted = request.config.stash[NOTED]
    before = set(noted.rows)
    yield noted
    added = {question for _, question in set(noted.rows) - before}
    assert added, "nothing was noted"
    if not request.config.getoption("--calibrated-on"):
        page = PAGE.read_text(encoding="utf-8")
        missing = sorted(question for question in added if f"| {question} |" not in page)
        assert not missing, f"make calibrate: docs/calibration.md does not have {missing}"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page, if asked for, after a run in which every target was met."""
    on = session.config.getoption("--calibrated-on")
    if on and exitstatus == 0:
        PAGE.write_text(session.config.stash[NOTED].page(on), encoding="utf-8")
