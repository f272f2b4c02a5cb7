"""The loop of a simulation: a virtual clock, ticks where something happens, refreshes, reactions.

Belongs here: setting up the demo's home, the order of things, what the loop counts.
Does not: people (`market`), requests (`callers`), mail (`sink`), what was found (`findings`).
"""

import hashlib
import heapq
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.analysis.refresh import refresh
from pipeline.engine.tick import load_files, tick
from pipeline.inbound.server import create_app
from pipeline.ledger.store import create_ledger
from pipeline.settings import DripError, Keys, Settings, create_keys, load_settings
from pipeline.simulation.callers import Callers, VirtualClock, seeded_ids
from pipeline.simulation.findings import DemoReport, write_report
from pipeline.simulation.inbox import read_mail
from pipeline.simulation.market import Market, Reaction
from pipeline.simulation.sink import Sink
from pipeline.simulation.truth import Truth

# A Monday; nothing depends on today.
START = datetime(2026, 1, 5, tzinfo=UTC)
MOST_TICKS = 150
REFRESHES = 4
_GRIDS = tuple(timedelta(minutes=m) for m in (15, 30, 60, 90, 120, 150, 180, 240, 360, 480))
_MARKET = Path(__file__).with_name("market")
_MARK = "made-by-drip-demo"
_OWN_TRANSPORT = "market: {kind: maildir}"


@dataclass(frozen=True)
class Progress:
    """How far a simulation is; `stage` is what it does right now."""

    day: float
    days: int
    stage: str
    count_leads: int
    count_messages: int
    count_reactions: int


def run_demo(  # noqa: PLR0913 - a size, a seed and what a test makes smaller
    home: Path,
    *,
    leads: int = 6_000,
    days: int = 45,
    seed: int = 1,
    refreshes: int = REFRESHES,
    most_ticks: int = MOST_TICKS,
    truth: Truth | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> DemoReport:
    """Drive the real ring through a simulated market and compare what it found with the truth.

    Args:
        home: an empty or missing folder; afterwards a workspace like any other, its sequences in
            `sequences/` inside it.
        leads: how many arrive.
        days: in how many virtual days.
        seed: of everybody's behaviour, and of keys, so of every draw of the engine.
        refreshes: how often the warehouse is published, evenly, the last time at the end.
        most_ticks: ticks fall on a grid that is as fine as this number allows.
        truth: how people behave.
        progress: told how far it is, after each tick and at each refresh.

    Raises:
        DripError: the folder is not empty, or a part of the ring refused to work.
    """
    began = time.perf_counter()
    settings = create_home(home, seed)
    market = Market(truth or Truth(), leads=leads, days=days, start=START, seed=seed)
    grid = choose_grid(days, most_ticks)
    with Drive(settings, market, days=days, seed=seed, grid=grid, progress=progress) as drive:
        for ends_at in drive.parts(refreshes):
            drive.run_until(ends_at)
            drive.refresh(ends_at)
    drive.seconds["total"] = time.perf_counter() - began
    return write_report(settings, market, drive.counts, drive.seconds, drive.message_ids)


def create_home(home: Path, seed: int) -> Settings:
    """Make a fresh workspace with the market's sequences, and keys that the seed decides.

    An earlier demo's home is made anew.

    Raises:
        DripError: the folder holds something else.
    """
    if (home / _MARK).exists():
        shutil.rmtree(home)
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise DripError(
            f"{home} is not empty. The demo begins with nothing: name another folder, or remove it."
        )
    home.mkdir(parents=True, exist_ok=True)
    (home / _MARK).touch()
    create_keys(home, seeded_keys(seed))
    create_ledger(home)
    shutil.copytree(_MARKET, home / "sequences")
    return demo_settings(home)


def demo_settings(home: Path) -> Settings:
    """Return the settings of a demo's home, whose sequences stand inside it."""
    return load_settings(home=home, sequences=home / "sequences")


def seeded_keys(seed: int) -> Keys:
    """Return keys that are the same for the same seed. They protect nothing but made-up people."""

    def secret(name: str) -> bytes:
        return hashlib.sha256(f"demo:{seed}:{name}".encode()).digest()

    # "whsec_" and 24 bytes as base64, by which the standard's libraries know a secret.
    words = secret("webhook").hex()[:32]
    return Keys(
        token_key=secret("token"),
        webhook_secret=f"whsec_{words}",
        api_key=secret("api").hex(),
        salt=secret("salt").hex()[:32],
    )


def choose_grid(days: int, most_ticks: int) -> timedelta:
    """Return the finest distance between ticks that keeps their number within the limit."""
    for grid in _GRIDS:
        if timedelta(days=days) <= most_ticks * grid:
            return grid
    return timedelta(days=days) / most_ticks


@dataclass(order=True, frozen=True)
class _Entry:
    """A reaction's place in the queue: by time, then in the order in which it was thought of."""

    at: datetime
    number: int
    reaction: Reaction = field(compare=False)


class Drive:
    """One simulation between its first and its last virtual moment; use it in `with`."""

    def __init__(
        self,
        settings: Settings,
        market: Market,
        *,
        days: int,
        seed: int,
        grid: timedelta,
        progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.message_ids: Counter[str] = Counter()
        self._settings, self._market, self._days = settings, market, days
        self._progress = progress
        self._clock = VirtualClock(START)
        self._ids = seeded_ids(seed)
        self._grid = grid
        self._end = START + timedelta(days=days)
        self._heap: list[_Entry] = []
        self._count_queued = 0
        self._next_due: datetime | None = None
        self._stack = ExitStack()

    def __enter__(self) -> "Drive":
        settings = self._settings
        with self._stack as stack:
            self._sink = stack.enter_context(Sink(self._clock, self._market.answer))
            stack.enter_context(_handing_over_to(settings.sequences, self._sink.port))
            workspace, _ = load_files(settings.sequences)
            keys = create_keys(settings.home)
            app = create_app(
                settings.home,
                settings,
                workspace_name=workspace.name,
                now=self._clock,
                new_id=self._ids,
            )
            stack.callback(app.close)
            self._callers = stack.enter_context(Callers(app, self._clock, keys))
            self._workspace = workspace
            self._stack = stack.pop_all()
        self._queue(self._market.arrivals())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def parts(self, count: int) -> Iterator[datetime]:
        """Yield the ends of equal parts of the time, on the grid of ticks."""
        for part in range(1, count + 1):
            yield self._on_grid(START + timedelta(days=self._days) * part / count)

    def run_until(self, end: datetime) -> None:
        """Live until then: reactions at their moments, and a tick after each that has some."""
        while (moment := self._next_moment()) < end:
            self._live_until(moment)
        self._live_until(end)

    def refresh(self, now: datetime) -> None:
        """Publish a warehouse of this moment."""
        began = time.perf_counter()
        refresh(
            self._settings.home,
            self._settings,
            now,
            workspace=self._workspace,
            progress=lambda step: self._tell(f"refresh: {step}"),
        )
        self.counts["refreshes"] += 1
        self.seconds["refreshes"] += time.perf_counter() - began

    def _next_moment(self) -> datetime:
        """Return the next point of the grid at which something happens or is due."""
        after = self._clock.current + self._grid
        wishes = [self._heap[0].at] if self._heap else []
        wishes += [self._next_due] if self._next_due else []
        return max(after, self._on_grid(min(wishes, default=self._end)))

    def _on_grid(self, moment: datetime) -> datetime:
        """Return the moment, or the next one after it at which a tick may be."""
        return START - (START - moment) // self._grid * self._grid

    def _live_until(self, moment: datetime) -> None:
        reactions = []
        while self._heap and self._heap[0].at <= moment:
            reactions.append(heapq.heappop(self._heap).reaction)
        self._react(reactions)
        self._clock.current = moment
        began = time.perf_counter()
        report = tick(self._settings, self._clock)
        self.seconds["ticks"] += time.perf_counter() - began
        self.counts["ticks"] += 1
        self._next_due = report.next_at
        self._open_mail()
        self._tell("ticks")

    def _react(self, reactions: list[Reaction]) -> None:
        began = time.perf_counter()
        self._callers.call(reactions)
        for reaction in reactions:
            if reaction.what == "leads":
                self.counts["leads"] += len(reaction.leads)
                continue
            if reaction.is_repeat:
                self.counts["repeats"] += 1
                continue
            self.counts["reactions"] += 1
            who = "machine" if reaction.is_machine else "human"
            self.counts[f"{who}_{reaction.kind}"] += 1
        self.seconds["requests"] += time.perf_counter() - began

    def _open_mail(self) -> None:
        began = time.perf_counter()
        for received in self._sink.take():
            mail = read_mail(received.data)
            self.message_ids[mail.message_id] += 1
            self._queue(self._market.receive(mail, received.received_at))
        self.seconds["market"] += time.perf_counter() - began

    def _queue(self, reactions: Iterable[Reaction]) -> None:
        for reaction in reactions:
            self._count_queued += 1
            heapq.heappush(self._heap, _Entry(reaction.at, self._count_queued, reaction))

    def _tell(self, stage: str) -> None:
        passed = self._clock.current - START
        self._progress(
            Progress(
                day=passed / timedelta(days=1),
                days=self._days,
                stage=stage,
                count_leads=self.counts["leads"],
                count_messages=self.message_ids.total(),
                count_reactions=self.counts["reactions"],
            )
        )


@contextmanager
def _handing_over_to(sequences: Path, port: int) -> Iterator[None]:
    """Send mail to the market's server while the block runs, to files before and after."""
    path = sequences / "workspace.yml"
    text = path.read_text(encoding="utf-8")
    own = f"market: {{kind: smtp, host: 127.0.0.1, port: {port}, tls: none}}"
    path.write_text(text.replace(_OWN_TRANSPORT, own), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")
