"""Where the two disagree, as a small readable story."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

from tests.reference.interpreter import Interpreter
from tests.reference.stage import Played, Rows, Stage
from tests.reference.worlds import (
    Beat,
    Calendar,
    Happening,
    Sequence,
    Step,
    Universe,
    Way,
    World,
    condition_text,
)

# A smaller world is looked for as long as this.
PATIENCE_SECONDS = 100
NUMBERS = count(1)


def find_differences(
    playground: Path, universe: Universe, seen: Counter[str] | None = None
) -> dict[str, list[str]]:
    """Let both live through the universe; differences by world, in words."""
    room = playground / f"room-{next(NUMBERS)}"
    room.mkdir()
    stage = Stage(playground / "empty", room, universe)
    try:
        played = stage.play()
    finally:
        stage.close()
        room.rmdir()
    differences, moments = {}, []
    for world in universe.worlds:
        interpreter = Interpreter(world, played.names, universe.start)
        next_ats = []
        for number, (beat, now) in enumerate(zip(universe.beats, played.instants, strict=True)):
            interpreter.tick(number, beat, now)
            next_ats.append(interpreter.next_at)
        moments.append(next_ats)
        rows = interpreter.rows()
        found = compare(rows_of(world, played.rows), rows)
        if found:
            differences[world.name] = found
        if seen is not None:
            count_rows(seen, world, rows)
    if not differences:
        # What is due next is next for all worlds together.
        for number, (found_at, *ours) in enumerate(zip(played.next_ats, *moments, strict=True)):
            known = min((moment for moment in ours if moment), default=None)
            if found_at != known:
                told = f"tick {number}: the engine says {found_at} is next, the reference {known}"
                differences[universe.worlds[0].name] = [told]
                break
    return differences


def rows_of(world: World, rows: Rows) -> Rows:
    """The rows of one world: one of the columns holds its lead's name."""
    prefix = f"{world.name}-l"
    return {
        table: [row for row in found if any(str(value).startswith(prefix) for value in row[:2])]
        for table, found in rows.items()
    } | {
        "halts": [
            row for row in rows["halts"] if row[0] is None or row[0].startswith(f"{world.name}-")
        ]
    }


def compare(engine: Rows, reference: Rows) -> list[str]:
    told = []
    for table in reference:
        ours, theirs = Counter(engine[table]), Counter(reference[table])
        told += [f"{table:12} engine     {show(row)}" for row in ours - theirs]
        told += [f"{table:12} reference  {show(row)}" for row in theirs - ours]
    return told


def show(row: tuple[Any, ...]) -> str:
    return " | ".join(
        f"{value:%a %m-%d %H:%M:%S}"
        if isinstance(value, datetime)
        else f"{value:%m-%d}"
        if isinstance(value, date)
        else "-"
        if value is None
        else str(value)
        for value in row
    )


def count_rows(seen: Counter[str], world: World, rows: Rows) -> None:
    seen["worlds"] += 1
    seen["leads"] += len(world.leads)
    for row in rows["why"]:
        seen[f"{row[4]} {row[5] or ''}".strip()] += 1
    for row in rows["outcomes"]:
        seen[row[4] + (f" {row[5]}" if row[4] == "withdrawn" else "")] += 1
    for row in rows["ends"]:
        seen[f"{row[3]} {row[4] or ''}".strip()] += 1
    for row in rows["pauses"]:
        seen["paused"] += 1
        seen["resumed"] += row[3] is not None
    why = Counter((row[1], row[2], row[3]) for row in rows["why"] if row[4] == "claimed")
    calls = {(row[0], row[1], row[2]) for row in rows["sends"] if row[4] == "call"}
    seen["called again"] += sum(why[call] > 1 for call in calls)
    for row in rows["sends"]:
        seen[f"sent by {row[9]}"] += 1
    for row in rows["halts"]:
        scope = "everything" if row[0] is None else "sequence"
        seen[f"{scope} paused by {row[1]}"] += 1
        seen[f"{scope} resumed by {row[1]}"] += row[3] is not None
    for row in rows["suppressions"]:
        seen["lifted"] += row[4] is not None
    for row in rows["events"]:
        seen[row[4]] += 1
    for row in rows["assignments"]:
        seen["assigned (holdout)" if row[2] == "(holdout)" else "assigned"] += 1
    for row in rows["hours"]:
        seen["hour drawn for later" if row[4] > row[3] else "hour drawn for now"] += 1
    seen["of an account"] += len(rows["members"])
    for row in rows["requests"]:
        seen[f"request {row[7] or row[6] or 'open'}"] += 1
    for row in rows["enrollments"]:
        seen[f"entered by {row[6]}"] += 1
        seen[f"entered again by {row[6]}"] += row[5] > 1
        seen["starts later"] += row[7] is not None
    seen["second version"] += sum(row[3] > 0 for row in rows["enrollments"])


# A smaller world -------------------------------------------------------------------------------------


def explain(playground: Path, universe: Universe, differences: dict[str, list[str]]) -> str:
    """Make the world in which they disagree as small as time allows, and tell it."""
    name = next(iter(differences))
    alone = replace(universe, worlds=tuple(w for w in universe.worlds if w.name == name))
    found = find_differences(playground, alone)
    if not found:
        lines = "\n".join(differences[name])
        return f"World {name} is only different beside the others: worlds touch.\n{lines}"
    smaller, found = reduce_universe(playground, alone, found)
    return tell(smaller, found[name], instants(playground, smaller))


def instants(playground: Path, universe: Universe) -> list[datetime]:
    room = playground / f"room-{next(NUMBERS)}"
    room.mkdir()
    stage = Stage(playground / "empty", room, universe)
    try:
        played: Played = stage.play()
    finally:
        stage.close()
        room.rmdir()
    return played.instants


def reduce_universe(
    playground: Path, universe: Universe, found: dict[str, list[str]]
) -> tuple[Universe, dict[str, list[str]]]:
    until = time.monotonic() + PATIENCE_SECONDS
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for candidate in smaller_universes(universe):
            if time.monotonic() > until:
                return universe, found
            try:
                differences = find_differences(playground, candidate)
            except Exception:  # noqa: S112 - a cut too far: files that do not compile
                continue
            if differences:
                universe, found, is_smaller = candidate, differences, True
                break
    return universe, found


def smaller_universes(universe: Universe) -> Iterator[Universe]:
    world = universe.worlds[0]

    def with_world(**parts: Any) -> Universe:
        return replace(universe, worlds=(replace(world, **parts),))

    yield from fewer_beats(universe)
    for edits in fewer(world.edits):
        yield with_world(edits=edits)
    for orders in fewer(world.orders):
        yield with_world(orders=orders)
    for leads in fewer(world.leads):
        names = {lead.name for lead in leads}
        yield with_world(
            leads=leads, happenings=tuple(h for h in world.happenings if h.lead in names)
        )
    for sequences in fewer(world.sequences):
        names = {sequence.name for sequence in sequences}
        yield with_world(
            sequences=sequences,
            edits=tuple(edit for edit in world.edits if edit.name in names),
            orders=tuple(order for order in world.orders if order.name in names),
            happenings=tuple(h for h in world.happenings if h.sequence in {"", *names}),
        )
    arrivals = tuple(h for h in world.happenings if h.kind == "arrives")
    for happenings in fewer(tuple(h for h in world.happenings if h.kind != "arrives")):
        yield with_world(happenings=arrivals + happenings)
    if len(set(world.answers)) > 1:
        for answer in world.answers:
            yield with_world(answers=(answer,))
    for place, sequence in enumerate(world.sequences):
        for simple in simpler_sequences(sequence):
            yield with_world(sequences=swap(world.sequences, place, simple))


def fewer(parts: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    half = len(parts) // 2
    if half > 1:
        yield parts[:half]
        yield parts[half:]
    for place in range(len(parts)):
        yield parts[:place] + parts[place + 1 :]


def swap(parts: tuple[Any, ...], place: int, part: Any) -> tuple[Any, ...]:
    return parts[:place] + (part,) + parts[place + 1 :]


def fewer_beats(universe: Universe) -> Iterator[Universe]:
    """Fewer ticks: what lands before one that is gone lands before the next."""
    world, beats = universe.worlds[0], universe.beats
    if len(beats) > 2:
        yield replace(universe, beats=beats[: len(beats) // 2])
        yield replace(universe, beats=beats[:-1])
    for place in range(len(beats) - 1):
        following = beats[place + 1]
        merged = replace(following, minutes=following.minutes + beats[place].minutes)

        def earlier(beat: int, place: int = place) -> int:
            return beat - 1 if beat > place else beat

        yield replace(
            universe,
            beats=(*beats[:place], merged, *beats[place + 2 :]),
            worlds=(
                replace(
                    world,
                    happenings=tuple(replace(h, beat=earlier(h.beat)) for h in world.happenings),
                    edits=tuple(replace(e, beat=earlier(e.beat)) for e in world.edits),
                    orders=tuple(replace(o, beat=earlier(o.beat)) for o in world.orders),
                ),
            ),
        )
    for place, beat in enumerate(beats):
        if beat.leaves:
            yield replace(universe, beats=swap(beats, place, replace(beat, leaves=False)))
        if beat.everything:
            yield replace(universe, beats=swap(beats, place, replace(beat, everything="")))


def simpler_sequences(sequence: Sequence) -> Iterator[Sequence]:
    plain = Sequence(sequence.name, sequence.steps, sequence.sources)
    for name, value in vars(plain).items():
        if vars(sequence)[name] != value:
            yield replace(sequence, **{name: value})
    for steps in simpler_steps(sequence.steps):
        yield replace(sequence, steps=steps)


def simpler_steps(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    if len(steps) > 1:
        yield from fewer(steps)
    for place, step in enumerate(steps):
        for simple in simpler_step(step):
            yield swap(steps, place, simple)


def simpler_step(step: Step) -> Iterator[Step]:
    plain = Step(step.name, step.kind, ways=step.ways, after=step.after)
    for name, value in vars(plain).items():
        if vars(step)[name] != value:
            yield replace(step, **{name: value})
    if step.after:
        yield replace(step, after=None)
    for place, way in enumerate(step.ways):
        if len(step.ways) > 1:
            yield replace(step, ways=step.ways[:place] + step.ways[place + 1 :])
        for steps in simpler_steps(way.steps):
            yield replace(step, ways=swap(step.ways, place, Way(way.when, steps)))


# The story -------------------------------------------------------------------------------------------


def tell(universe: Universe, differences: list[str], moments: list[datetime]) -> str:
    world = universe.worlds[0]
    lines = ["The engine and the reference disagree.", ""]
    for sequence in world.sequences:
        lines += tell_sequence(sequence)
    lines.append("")
    for lead in world.leads:
        lines.append(f"lead {plain(lead)}")
    lines.append(f"the other side answers {', '.join(world.answers)}")
    lines.append("")
    for number, (beat, moment) in enumerate(zip(universe.beats, moments, strict=True)):
        lines += tell_beat(world, number, beat, moment)
    return "\n".join([*lines, "", *differences])


def tell_sequence(sequence: Sequence) -> list[str]:
    facts = [
        f"{name}={value}"
        for name, value in vars(sequence).items()
        if name not in ("steps", "name") and value not in (None, (), 0, Calendar())
    ]
    return [f"sequence {sequence.name}: {', '.join(facts)}", *tell_steps(sequence.steps, "  ")]


def tell_steps(steps: tuple[Step, ...], indent: str) -> list[str]:
    lines = []
    for step in steps:
        said = {
            name: value
            for name, value in vars(step).items()
            if name not in ("name", "kind", "ways", "when") and value != getattr(Step, name, None)
        }
        facts = [f"{name} {value}" for name, value in said.items()]
        if step.when:
            facts.append(f"when {condition_text(step.when)}")
        lines.append(f"{indent}{step.name} {step.kind} {', '.join(facts)}")
        for way in step.ways:
            lines.append(f"{indent}  {condition_text(way.when) if way.when else 'otherwise'}:")
            lines += tell_steps(way.steps, indent + "    ")
    return lines


def tell_beat(world: World, number: int, beat: Beat, moment: datetime) -> list[str]:
    how = f" beside a dispatcher that reaches {beat.reaches}" if beat.leaves else ""
    lines = [f"tick {number} at {moment:%a %Y-%m-%d %H:%M:%S}{how}"]
    if beat.everything:
        lines.append(f"  {beat.everything} everything")
    lines += [f"  {order.action} {order.name}" for order in world.orders if order.beat == number]
    for edit in world.edits:
        if edit.beat == number:
            lines.append(f"  file {edit.name} becomes")
            told = tell_sequence(edit.after) if edit.after else ["nothing"]
            lines += [f"    {line}" for line in told]
    return lines + [f"  {plain(h)}" for h in world.happenings if h.beat == number]


def plain(thing: Happening | Any) -> str:
    """What a thing says beyond the defaults of its kind."""
    return " ".join(
        f"{name}={value}"
        for name, value in vars(thing).items()
        if name != "beat" and value != getattr(type(thing), name, None)
    )
