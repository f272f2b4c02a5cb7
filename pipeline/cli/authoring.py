"""Commands of whoever writes sequences: begin, check, look at a message.

Belongs here: arguments and printing. Does not: what is right in a file (`sequences`).
"""

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from pipeline.cli.app import app
from pipeline.cli.terminal import AsJson, current_settings, print_json, say, table
from pipeline.sequences.problems import Problem
from pipeline.settings import DripError, utc_now


@app.command()
def init(
    email: Annotated[str, typer.Option(help="First lead: your own address.")] = "you@example.com",
    first_name: Annotated[str | None, typer.Option(help="First lead's name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create the workspace: starting sequences, keys, an empty ledger, you as first lead."""
    from pipeline.engine.starter import create_workspace

    made = create_workspace(current_settings(), email=email, first_name=first_name, now=utc_now())
    if as_json:
        print_json(made)
        return
    for line in made["created"]:
        say(f"  created {escape(line)}")
    say("Next: [bold]drip check[/], then [bold]drip tick[/], then open the mail it names.")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Find every mistake in the sequences folder, and say what is in force for each sequence."""
    from pipeline.engine.definitions import check_definitions
    from pipeline.sequences.check import inspect_folder
    from pipeline.sequences.outline import in_force

    settings = current_settings()
    problems, sequences = inspect_folder(settings.sequences)
    problems += _left_behind()
    problems = sorted({*problems, *check_definitions(settings.home, settings.sequences)})
    errors = [problem for problem in problems if problem.severity == "error"]
    if as_json:
        print_json([vars(problem) for problem in problems])
    else:
        for problem in problems:
            color = "red" if problem.severity == "error" else "yellow"
            say(f"[{color}]{problem.severity}[/] {escape(str(problem))}")
        if sequences:
            rows = [in_force(sequence) for sequence in sequences]
            table("In force", list(rows[0]), [list(row.values()) for row in rows])
        folder, count_warnings = (
            escape(str(settings.sequences)),
            len(problems) - len(errors),
        )
        say(f"{folder}: {len(errors)} errors, {count_warnings} warnings")
    if errors:
        raise typer.Exit(1)


def _left_behind() -> list[Problem]:
    """Warn of sequences whose file is gone while somebody is still in them."""
    from pipeline.engine.stops import count_left_behind

    names = [path.stem for path in current_settings().sequences.glob("*.yml")]
    return [
        Problem(
            f"{name}.yml",
            1,
            "",
            f"the file is gone, and {count} enrollments still run: they finish as in a drain; put "
            "the file back with `status: archived` to end them",
            "warning",
        )
        for name, count in count_left_behind(current_settings(), names).items()
    ]


@app.command()
def new(
    name: Annotated[str | None, typer.Argument(help="Id of the new sequence.")] = None,
    template: Annotated[str | None, typer.Option("--from", help="A shipped template.")] = None,
    is_list: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a new sequence, a draft, from a template."""
    from pipeline.engine.copying import start_from, templates

    if is_list:
        found = templates()
        if as_json:
            print_json(found)
        else:
            table("Templates", list(found[0]), [list(one.values()) for one in found])
        return
    if name is None or template is None:
        names = ", ".join(one["name"] for one in templates())
        raise DripError(f"Write `drip new NAME --from TEMPLATE`. Templates: {names}.")
    _show_made(start_from(current_settings(), name, template), as_json)


@app.command()
def duplicate(old: str, new: str, as_json: AsJson = False) -> None:
    """Copy a sequence as a draft: comments stay, texts are shared, experiments get new ids."""
    from pipeline.engine.copying import duplicate as copy

    _show_made(copy(current_settings(), old, new), as_json)


def _show_made(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    for path in made["created"]:
        say(f"  created {escape(path)}")
    for old, new in made.get("experiments", {}).items():
        say(f"  experiment {escape(old)} is {escape(new)} here: an id is used once, for ever")
    for problem in made["problems"]:
        say(f"[yellow]to mend[/] {escape(problem)}")
    say("It is a draft: change it, run [bold]drip check[/], then write `status: active`.")


@app.command()
def schema(as_json: AsJson = False) -> None:
    """Print every field of a sequence file with its default and examples, as Markdown."""
    from pipeline.sequences.schema import json_schema, schema_page

    if as_json:
        print_json(json_schema())
    else:
        sys.stdout.write(schema_page())


@app.command()
def preview(
    sequence: str,
    step: Annotated[
        str | None, typer.Argument(help="A message step; left out: the sequence's outline.")
    ] = None,
    lead: Annotated[str | None, typer.Option(help="Lead id, address or phone.")] = None,
    variant: Annotated[str | None, typer.Option(help="Arm of the step's experiment.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a step's message as a lead would get it, or the outline of the whole sequence."""
    from pipeline.engine.preview import preview_sequence, preview_step

    if step is None:
        _show_outline(preview_sequence(current_settings(), sequence), as_json)
        return
    found = preview_step(
        current_settings(), sequence, step, lead=lead, variant=variant, now=utc_now()
    )
    if as_json:
        print_json(found)
        return
    for name, value in found["headers"]:
        say(f"[bold]{escape(name)}[/]: {escape(value)}")
    say("")
    say(escape(found["text"]))
    for warning in found["warnings"]:
        say(f"[yellow]warning[/] {escape(warning)}")
    say(f"Page: {escape(found['page'])}")


@app.command()
def promote(
    experiment: Annotated[str, typer.Argument(help="The experiment's id.")],
    arm: Annotated[
        str | None, typer.Option(help="The arm; without it the winner of the last look.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the winner of an experiment the step itself, in the file, for review."""
    from pipeline.engine.promotion import promote as run_promote

    found = run_promote(current_settings(), experiment, arm)
    if as_json:
        print_json(asdict(found))
        return
    say(escape(found.diff))
    if found.warning:
        say(f"[yellow]{escape(found.warning)}[/]")
    say(
        f"Arm {escape(found.arm)} is the step now. Review the file and run `drip check`; whoever "
        f"is in the sequence stays on its version until `drip migrate {found.path.stem}`."
    )


@app.command()
def draft(sequence: str, step: str, as_json: AsJson = False) -> None:
    """Print subject lines to test, from phrases that brought more answers: a variant in YAML."""
    from pipeline.analysis.drafts import propose_subjects

    found = propose_subjects(current_settings(), sequence, step)
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(found["yaml"])


def _show_outline(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for name, value in found["in_force"].items():
        say(f"[bold]{name}[/]: {escape(value) or 'none'}")
    steps = found["steps"]
    table("Steps", list(steps[0]), [list(step.values()) for step in steps])
