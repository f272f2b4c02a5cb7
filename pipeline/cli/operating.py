"""Commands of an operator: what runs, what waits, what ends.

Belongs here: arguments and printing. Does not: what a pause or an end means (`engine`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from pipeline.cli.app import app
from pipeline.cli.terminal import AsJson, as_text, current_settings, print_json, say, table
from pipeline.settings import DripError, utc_now

if TYPE_CHECKING:
    from pipeline.engine.pauses import PauseReport, Target
    from pipeline.engine.rulings import Ruling

By = Annotated[str | None, typer.Option(help="Who asks, for whoever reads it later.")]

ScopeName = Annotated[
    str,
    typer.Argument(
        metavar="SCOPE", help="enrollment, sequence, campaign or everything; experiment to pause."
    ),
]
TargetName = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="An enrollment's number; the name of a sequence, campaign or experiment.",
    ),
]


@app.command()
def pause(
    scope: ScopeName,
    name: TargetName = None,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")] = "operator",
    as_json: AsJson = False,
) -> None:
    """Pause an enrollment, a sequence, a campaign, an experiment or everything."""
    from pipeline.engine.pauses import pause as run_pause

    if scope == "experiment":
        _show_ruling(_pause_experiment(name, is_paused=True, reason=reason), as_json)
        return

    report = run_pause(current_settings(), _target(scope, name), utc_now(), reason)
    _show(report, "paused", as_json)


@app.command()
def resume(scope: ScopeName, name: TargetName = None, as_json: AsJson = False) -> None:
    """Resume what was paused; due times move by the length of the pause."""
    from pipeline.engine.pauses import resume as run_resume

    if scope == "experiment":
        _show_ruling(_pause_experiment(name, is_paused=False), as_json)
        return
    report = run_resume(current_settings(), _target(scope, name), utc_now())
    _show(report, "resumed", as_json)


@app.command()
def stop(scope: ScopeName, name: TargetName = None, as_json: AsJson = False) -> None:
    """End an enrollment or all of a sequence for good; `everything` stops the hand-over at once."""
    from pipeline.engine.stops import stop as run_stop

    report = run_stop(current_settings(), _target(scope, name), utc_now())
    if scope == "everything" and not as_json:
        say("Nothing more goes out, nobody is ended: [bold]drip resume everything[/] goes on.")
        return
    _show(report, "stopped", as_json)


@app.command()
def declare(
    experiment: Annotated[str, typer.Argument(help="The experiment's id.")],
    arm: Annotated[str | None, typer.Argument(help="The arm that wins.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the declaration back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Declare the winner of an experiment by hand: every further lead gets it."""
    from pipeline.engine.rulings import declare as run_declare

    if (arm is None) != undo:
        raise DripError("Write `drip declare EXPERIMENT ARM`, or `--undo` without an arm.")
    _show_ruling(run_declare(current_settings(), experiment, arm, utc_now()), as_json)


@app.command()
def resolve(
    send: Annotated[int | None, typer.Argument(help="The send's number.")] = None,
    sent: Annotated[
        bool | None, typer.Option("--sent/--not-sent", help="Whether it went out.")
    ] = None,
    is_list: Annotated[bool, typer.Option("--list", help="List the unknown sends.")] = False,
    as_json: AsJson = False,
) -> None:
    """Settle a send of which nobody knows whether it went out."""
    from pipeline.engine.resolve import list_unknown
    from pipeline.engine.resolve import resolve as run_resolve

    if is_list:
        found = list_unknown(current_settings())
        if as_json:
            print_json(found)
        else:
            columns = ["send_id", "sequence_id", "step_id", "sender", "begun_at", "reason"]
            rows = [[row[name] for name in columns] for row in found]
            table("Unknown sends (UTC)", columns, rows)
        return
    if send is None or sent is None:
        raise DripError(
            "Write `drip resolve SEND --sent` or `--not-sent`; `drip resolve --list` names them."
        )
    report = run_resolve(current_settings(), send, utc_now(), is_sent=sent)
    if as_json:
        print_json(vars(report))
        return
    again = "; its step is due again now" if report.is_reopened else ""
    say(f"Send {send} is {report.status}{again}.")


@app.command()
def archive(
    name: Annotated[str, typer.Argument(help="The sequence.")],
    drain: Annotated[bool, typer.Option(help="Let those in it finish.")] = False,
    as_json: AsJson = False,
) -> None:
    """Archive a sequence in its file: nobody enters, and the next tick ends those in it."""
    from pipeline.sequences.archive import archive_file

    path = archive_file(current_settings().sequences, name, drain=drain)
    if as_json:
        print_json({"path": path, "drain": drain})
        return
    what = "whoever is in it finishes" if drain else "the next tick ends whoever is in it"
    say(f"{escape(str(path))} is archived: {what}.")


@app.command()
def migrate(
    sequence: Annotated[str, typer.Argument(help="The sequence.")],
    to: Annotated[
        str, typer.Option(help="The beginning of a version, or `file` for the one in the file.")
    ] = "file",
    renamed: Annotated[
        list[str] | None, typer.Option("--map", metavar="OLD=NEW", help="A step that is renamed.")
    ] = None,
    ends_others: Annotated[
        bool, typer.Option("--exit", help="End those whose open step is gone.")
    ] = False,
    is_applied: Annotated[
        bool, typer.Option("--apply", help="Move them; without it nothing is written.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Move those in a sequence to another of its versions; first only say who would move."""
    from pipeline.engine.migrating import migrate as run_migrate

    report = run_migrate(
        current_settings(),
        sequence,
        utc_now(),
        to=to,
        renamed=_pairs(renamed or []),
        ends_others=ends_others,
        is_applied=is_applied,
    )
    if as_json:
        print_json(report.as_dict() | {"count": report.count})
        return
    if report.first:
        columns = list(report.first[0])
        rows = [list(row.values()) for row in report.first]
        table(f"Due today: {report.contacted_today} (UTC)", columns, rows)
    if report.moved:
        columns = list(report.moved[0])
        table("Moved", columns, [list(row.values()) for row in report.moved])
    if report.busy:
        say(f"{report.busy} are in the middle of a message and stay: run this again later.")
    did = "moved" if is_applied else "would move"
    ended = sum(report.ended.values())
    say(f"{report.count} {did} to version {report.version[:12]}, {ended} end.")
    if not is_applied:
        say("Nothing was changed. [bold]--apply[/] does it.")


@app.command()
def merge_leads(
    keep: Annotated[str, typer.Argument(help="The lead that stays: id, address, +phone.")],
    other: Annotated[str, typer.Argument(help="The lead that becomes it.")],
    is_applied: Annotated[
        bool, typer.Option("--apply", help="Merge them; without it nothing is written.")
    ] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Make two leads one; first only say what that changes. It cannot be taken back."""
    from pipeline.engine.merging import merge_leads as run_merge

    report = run_merge(current_settings(), keep, other, utc_now(), by=by, is_applied=is_applied)
    if as_json:
        print_json(report.as_dict())
        return
    if not report.is_new:
        say(f"{escape(keep)} and {escape(other)} are one lead already: {report.kept}.")
        return
    table("Becomes the kept lead's", list(report.moved), [list(report.moved.values())])
    if report.ended:
        columns = list(report.ended[0])
        table("Ends", columns, [list(row.values()) for row in report.ended])
    for name in report.two_arms:
        say(f"[yellow]seen in two arms[/] of {escape(name)}: outside its analysis")
    did = "is merged" if is_applied else "would be merged"
    say(f"Lead {report.other} {did} into {report.kept}.")
    if not is_applied:
        say("Nothing was changed. [bold]--apply[/] does it.")


def _pairs(words: list[str]) -> dict[str, str]:
    pairs = [word.split("=") for word in words]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):  # noqa: PLR2004
        raise DripError("Write `--map OLD=NEW` with two ids of steps, once for each.")
    return {pair[0]: pair[1] for pair in pairs}


def _target(scope: str, name: str | None) -> "Target":
    from pipeline.engine.pauses import SCOPES, Target

    for known in SCOPES:
        if known == scope:
            return Target(known, name)
    raise DripError(f"{scope!r} is no scope. Write one of: {', '.join(SCOPES)}.")


def _pause_experiment(name: str | None, *, is_paused: bool, reason: str = "") -> "Ruling":
    from pipeline.engine.rulings import pause_experiment

    if name is None:
        raise DripError("Which experiment? `drip query 'from marts.experiments'` lists them.")
    return pause_experiment(current_settings(), name, utc_now(), is_paused=is_paused, reason=reason)


def _show_ruling(ruling: "Ruling", as_json: bool) -> None:
    if as_json:
        print_json(vars(ruling))
        return
    name = escape(ruling.experiment_id)
    if ruling.declared_arm is not None:
        say(
            f"{name}: every lead that is drawn from now on gets arm {escape(ruling.declared_arm)}; "
            f"[bold]drip promote {name}[/] writes it into the step."
        )
    elif ruling.is_paused:
        say(f"{name} is paused: whoever comes gets the control and is not counted.")
    else:
        say(f"{name} goes on: arms are drawn.")


def _show(report: "PauseReport", what: str, as_json: bool) -> None:
    if as_json:
        print_json(vars(report))
        return
    due = f", next step {as_text(report.due_at)} UTC" if report.due_at else ""
    say(f"{escape(report.target)} {what}: {report.count} running enrollments{due}")
    for other in report.still_paused_by:
        say(f"[yellow]still paused[/]: {escape(other)}")


@app.command()
def enroll(
    sequence: str,
    *,
    lead: Annotated[str | None, typer.Option(help="Address, +phone or external id.")] = None,
    file: Annotated[Path | None, typer.Option(help="CSV: email, phone or external_id.")] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="SQL", help="Query on the ledger with a column lead_id.")
    ] = None,
    starts_at: Annotated[str | None, typer.Option(help="When to start (ISO 8601).")] = None,
    context: Annotated[str | None, typer.Option(help="JSON object for the texts.")] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Ask to enroll one lead, a list, or who a query names; the next tick decides."""
    from pipeline.inbound.requests import request_enrollment, request_list, request_segment

    ways = [way for way in (lead, file, segment) if way is not None]
    if len(ways) != 1 or (lead is None and (starts_at or context)):
        raise DripError(
            "Say whom: --lead with one lead, and --starts-at and --context if you like, --file "
            "with a CSV, where both are columns, or --segment with a query."
        )
    settings, now, count = current_settings(), utc_now(), 1
    if file:
        count = request_list(settings, sequence, file, now, by=by)
    elif segment:
        count = request_segment(settings, sequence, segment, now, by=by)
    else:
        request_enrollment(
            settings, sequence, lead or "", now, starts_at=starts_at, context=context, by=by
        )
    if as_json:
        print_json({"sequence": sequence, "requests": count})
        return
    say(f"{count} asked for. The next tick decides; [bold]drip why LEAD[/] tells what it said.")


@app.command()
def suppress(
    lead: str,
    do_not_contact: Annotated[
        bool, typer.Option("--do-not-contact", help="By no channel, for ever.")
    ] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Never contact a lead again: whatever runs for it ends, and this cannot be taken back."""
    from pipeline.inbound.requests import request_block

    if not do_not_contact:
        raise DripError("This is for ever: say so with --do-not-contact.")
    request_block(current_settings().home, lead, utc_now(), by=by)
    if as_json:
        print_json({"lead": lead, "request": "do_not_contact"})
        return
    say(f"{escape(lead)} will not be contacted any more, from the next tick on.")
