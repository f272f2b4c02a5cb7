"""Commands about experiments: how large a test must be, and what anybody's table says.

Belongs here: arguments, tables. Does not: statistics (`analysis`).
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from pipeline.cli.app import app
from pipeline.cli.terminal import AsJson, current_settings, print_json, say, table
from pipeline.settings import DripError, utc_now

# What a plan is shown for when no target is named: relative lifts, and spans of weeks.
_LIFTS = (0.10, 0.20, 0.30, 0.50, 1.00)
_WEEKS = (4, 8, 12)


@app.command(name="plan-test")
def plan_test(
    *,
    base: Annotated[
        str | None, typer.Option(help="What the control reaches now: 5%, or money per lead.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="What the better arm should reach: 6%. Else several lifts.")
    ] = None,
    deviation: Annotated[
        float | None, typer.Option(help="For money: its standard deviation per lead.")
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="Read base and volume of this step: nurture/hello.")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="With --step: replied, clicked or opened.")
    ] = "replied",
    per_day: Annotated[
        float | None, typer.Option(help="Leads that reach the step per day.", min=0.001)
    ] = None,
    arms: Annotated[int, typer.Option(help="Arms, the control included.", min=2, max=20)] = 2,
    mode: Annotated[str, typer.Option(help="planned, or open: no size fixed before.")] = "planned",
    power: Annotated[str, typer.Option(help="How often a true effect is found.")] = "80%",
    alpha: Annotated[str, typer.Option(help="How often a false winner is named.")] = "5%",
    window: Annotated[str, typer.Option(help="How long each lead is watched.")] = "14d",
    machines: Annotated[
        str | None, typer.Option(help="Share of leads whose machine opens: tests of opens only.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how many leads a test needs, how long it takes, and what this volume could show."""
    from pipeline.analysis.planning import Outcome, TestRule, observed_rate
    from pipeline.analysis.volumes import read_volume
    from pipeline.sequences.durations import parse_seconds
    from pipeline.warehouse.read import open_warehouse

    if mode not in {"planned", "open"}:
        raise DripError(f"--mode {mode!r} is neither planned nor open: write one of them.")
    volume = None
    if step:
        with open_warehouse(current_settings().home) as con:
            volume = read_volume(con, step, metric)
    found_base = _number("--base", base, is_share=deviation is None) if base else None
    if volume:
        per_day = per_day or volume.leads_per_day
        found_base = volume.base if found_base is None else found_base
        machines = machines or (f"{100 * volume.machines}%" if volume.machines else None)
    if not found_base:
        raise DripError(
            "Nothing to start from: write --base with what the control reaches now, such as "
            "--base 5%, or --step SEQUENCE/STEP to read it from the warehouse."
        )
    try:
        days = parse_seconds(window) / 86400
    except ValueError as error:
        raise DripError(f"--window {window!r}: {error}.") from None
    hidden = _number("--machines", machines) if machines else 0.0
    rule = TestRule(arms, mode, _number("--alpha", alpha), _number("--power", power))  # type: ignore[arg-type]
    targets = [_number("--target", target, is_share=deviation is None)] if target else []
    outcome = Outcome(observed_rate(found_base, hidden), deviation)
    plans = _plans(outcome, found_base, targets, rule, (per_day, days, hidden))
    seen = _detectable(outcome, rule, (per_day, days, hidden))
    if as_json:
        print_json(
            {
                "base": found_base,
                "machines": hidden,
                "leads_per_day": per_day,
                "arms": arms,
                "mode": mode,
                "plans": plans,
                "detectable": seen,
            }
        )
        return
    _show_plan(plans, seen, found_base, hidden, is_money=deviation is not None)


def _plans(
    outcome: Any,
    base: float,
    targets: list[float],
    rule: Any,
    circumstances: tuple[float | None, float, float],
) -> list[dict[str, Any]]:
    from pipeline.analysis.planning import observed_rate, plan_for_effect

    per_day, days, hidden = circumstances
    highest = 1.0 if outcome.deviation is None else float("inf")
    wanted = targets or [base * (1 + lift) for lift in _LIFTS if base * (1 + lift) < highest]
    rows = []
    for target in wanted:
        if target == base:
            raise DripError("--target is the base itself: no test finds a difference of nothing.")
        plan = plan_for_effect(
            outcome,
            observed_rate(target, hidden),
            rule,
            leads_per_day=per_day,
            window_days=days,
        )
        rows.append(
            {
                "target": target,
                "lift": target / base - 1,
                "leads": plan.leads,
                "leads_expected": plan.leads_expected,
                "leads_looked_at_once": plan.leads_once,
                "days": plan.days,
                "days_expected": plan.days_expected,
            }
        )
    return rows


def _detectable(
    outcome: Any, rule: Any, circumstances: tuple[float | None, float, float]
) -> list[dict[str, Any]]:
    """Return what the volume could show in some weeks; nothing without a volume."""
    from pipeline.analysis.planning import detectable_target

    per_day, days, hidden = circumstances
    if not per_day:
        return []
    rows = []
    for weeks in _WEEKS:
        leads = per_day * max(0.0, 7 * weeks - days)
        seen = detectable_target(outcome, leads, rule)
        target = None if seen is None else (seen - hidden) / (1 - hidden)
        rows.append({"weeks": weeks, "leads": int(leads), "target": target})
    return rows


def _show_plan(
    plans: list[dict[str, Any]],
    seen: list[dict[str, Any]],
    base: float,
    hidden: float,
    *,
    is_money: bool,
) -> None:
    def amount(value: float | None) -> str:
        if value is None:
            return "nothing"
        return f"{value:.2f}" if is_money else f"{100 * value:.2f} %"

    def days(value: float | None) -> str:
        return "–" if value is None else f"{value:.0f}"

    rows = [
        [
            amount(plan["target"]),
            f"{100 * plan['lift']:+.0f} %",
            f"{plan['leads']:,}",
            f"{plan['leads_expected']:,}",
            days(plan["days"]),
            days(plan["days_expected"]),
        ]
        for plan in plans
    ]
    columns = ["to find", "lift", "leads", "on average", "days", "on average"]
    table(f"From {amount(base)}", columns, rows)
    if seen:
        rows = [[row["weeks"], f"{row['leads']:,}", amount(row["target"])] for row in seen]
        table("What this volume shows", ["weeks", "leads watched", "smallest to find"], rows)
    if hidden:
        say(f"{100 * hidden:.0f} % of opens are machines': test clicks or replies where you can.")
    say("Leads are those of all arms; days include the window. Write it as `leads:` of the test.")


def _number(name: str, text: str, *, is_share: bool = True) -> float:
    """Return a share written as 5% or 0.05, or an amount.

    Raises:
        DripError: it is no number, or no share.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise DripError(f"{name} {text!r} is no number: write 5% or 0.05.") from None
    if is_share and not 0 < value < 1:
        raise DripError(f"{name} {text!r} is no share: write one above 0% and below 100%.")
    return value


@app.command()
def analyze(
    *,
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, one row per subject, or sums.")],
    arm: Annotated[str, typer.Option(help="Column with the arm.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="Column of an outcome; the first one decides.")
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="The control; else the first by name.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Column that names a subject.")] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Column of what was drawn, such as the account.")
    ] = None,
    covariate: Annotated[
        str | None, typer.Option(help="Column known before the draw; takes out noise.")
    ] = None,
    share: Annotated[
        list[str] | None, typer.Option(help="How it was split: a=70% b=30%, one option each.")
    ] = None,
    planned: Annotated[
        int | None, typer.Option(help="Planned subjects (or clusters), all arms.", min=2)
    ] = None,
    alpha: Annotated[str, typer.Option(help="How often a false winner is named.")] = "5%",
    as_json: AsJson = False,
) -> None:
    """Decide anybody's test: the same rules on a table of subjects, or of sums."""
    from pipeline.analysis.foreign import Question, analyze_file

    question = Question(
        arm=arm,
        metrics=tuple(metric or ()),
        control=control,
        subject=subject,
        cluster=cluster,
        covariate=covariate,
        shares=dict(_share(text) for text in share or ()),
        planned=planned,
        alpha=_number("--alpha", alpha),
    )
    found = analyze_file(file, question, utc_now())
    if as_json:
        print_json(found)
        return
    _show_analysis(found)


def _share(text: str) -> tuple[str, float]:
    name, found, value = text.rpartition("=")
    if not found:
        raise DripError(f"--share {text!r} names no arm: write it like b=30%.")
    return name, _number("--share", value)


def _show_analysis(found: dict[str, Any]) -> None:
    from pipeline.analysis.reasons import difference

    decision = found["decision"]
    winner = f": {decision['winner']}" if decision["winner"] else ""
    say(f"[bold]{decision['state'].replace('_', ' ')}{escape(winner)}[/]")
    say(escape(decision["reason"]))

    def told(metric: str, values: tuple[float | None, ...]) -> str:
        if None in values:
            return "–"
        texts = [difference(metric, value) for value in values if value is not None]
        return " to ".join([*(text.partition(" ")[0] for text in texts[:-1]), texts[-1]])

    rows = [
        [
            pair["metric"],
            f"{pair['arm']} against {pair['baseline']}",
            told(pair["metric"], (pair["effect"],)),
            told(pair["metric"], (pair["interval_low"], pair["interval_high"])),
            told(pair["metric"], (pair["shrunk_effect"],)),
            f"{pair['p_value']:.4f}",
            "yes" if pair["is_decisive"] else "no",
        ]
        for pair in found["comparisons"]
    ]
    columns = ["metric", "arms", "difference", "interval", "honest", "p", "found"]
    looks = "right for one look" if found["few_clusters"] else "right however often one looks"
    table(f"Comparisons, {looks}", columns, rows)
    if found["conflicting_subjects"]:
        say(f"{found['conflicting_subjects']:,} subjects were seen in two arms and left out.")
    split = decision["sample_ratio_p"]
    say(f"{decision['n_assigned']:,} subjects, split p = {split:.4f} (alarm below 0.001).")
