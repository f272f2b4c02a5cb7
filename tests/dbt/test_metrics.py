"""Every metric against its mart: its number, and its numbers by dimensions and by week."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.warehouse.definitions import Definitions, read_definitions
from pipeline.warehouse.metrics import Question, ask
from pipeline.warehouse.read import open_warehouse, query
from tests.published import publish

AWKWARD = Path(__file__).with_name("awkward.sql")


@dataclass(frozen=True)
class Source:
    """Where numbers are counted independently: rows, their day, and what to group them by."""

    rows: str
    day: str | None
    by: dict[str, str]
    numbers: dict[str, str]


def count(condition: str) -> str:
    return f"count(*) filter (where {condition})"


def share(part: str, whole: str) -> str:
    return f"cast({part} as double) / nullif({whole}, 0)"


ENROLLED = "not is_holdout"
CONTACT = "was_sent and channel in ('email', 'sms', 'call', 'whatsapp', 'form')"
MESSAGE = "was_sent and channel in ('email', 'sms', 'whatsapp')"
ATTEMPTED = "sum(count_attempted)"

CAMPAIGN = """(
    select max(q.campaign) from marts.sequence_leaderboard as q where q.sequence_id = s.sequence_id
)"""

SOURCES = [
    Source(
        rows="marts.sequence_leaderboard",
        day=None,
        by={"campaign": "campaign", "sequence": "sequence_id"},
        numbers={"sequences": "count(*)"},
    ),
    Source(
        rows="marts.leads",
        day="created_on",
        by={"lead__country": "country", "lead": "lead_id"},
        numbers={
            "leads": "count(*)",
            "leads_enrolled": count("count_enrollments >= 1"),
            "leads_contacted": "count(first_contacted_at)",
            "leads_responded": "count(responded_at)",
            "leads_converted": "count(converted_at)",
            "lead_revenue": "sum(revenue)",
            "enrollment_rate_per_lead": share(count("count_enrollments >= 1"), "count(*)"),
            "response_rate_per_lead": share("count(responded_at)", "count(*)"),
            "conversion_rate_per_lead": share("count(converted_at)", "count(*)"),
            "revenue_per_lead": share("sum(revenue)", "count(*)"),
        },
    ),
    Source(
        rows="marts.enrollments",
        day="enrolled_on",
        by={"sequence_id": "sequence_id", "end_reason": "end_reason", "campaign": CAMPAIGN},
        numbers={
            "enrolled": count(ENROLLED),
            "active": count(f"{ENROLLED} and status in ('active', 'paused')"),
            "completed": count(
                f"{ENROLLED} and status = 'completed' and end_reason is distinct from 'held_out'"
            ),
            "stopped": count(f"{ENROLLED} and status = 'exited'"),
            "dropped": count(
                f"{ENROLLED} and status = 'exited' and not (was_replied or was_converted)"
            ),
            "contacted": count(f"{ENROLLED} and count_sends > 0"),
            "answered": count(f"{ENROLLED} and was_replied"),
            "converted": count(f"{ENROLLED} and was_converted"),
            "converted_without_rate": count(f"{ENROLLED} and was_converted and revenue is null"),
            "held_out": count("is_holdout"),
            "held_out_converted": count("is_holdout and was_converted"),
            "enrollment_revenue": f"sum(revenue) filter (where {ENROLLED})",
            "completion_rate_per_enrolled": share(
                count(
                    f"{ENROLLED} and status = 'completed' and coalesce(end_reason, '-') != 'held_out'"
                ),
                count(ENROLLED),
            ),
            "conversion_rate_per_enrolled": share(
                count(f"{ENROLLED} and was_converted"), count(ENROLLED)
            ),
            "conversion_rate_per_held_out": share(
                count("is_holdout and was_converted"), count("is_holdout")
            ),
            "drop_off_rate_per_enrolled": share(
                count(f"{ENROLLED} and status = 'exited' and not (was_replied or was_converted)"),
                count(ENROLLED),
            ),
            "reply_rate_per_contacted": share(
                count(f"{ENROLLED} and was_replied"), count(f"{ENROLLED} and count_sends > 0")
            ),
            "revenue_per_enrolled": share(
                f"sum(revenue) filter (where {ENROLLED})", count(ENROLLED)
            ),
        },
    ),
    Source(
        rows="marts.sends",
        day="sent_on",
        by={
            "send__channel": "channel",
            "position": "position",
            "step": "step_id",
            "variant": "variant",
            "template": "template",
            # Campaigns are those of awkward.sql and of small_ledger.sql.
            "campaign": CAMPAIGN,
        },
        numbers={
            "sent": count("was_sent"),
            "delivered": count("was_sent and was_delivered"),
            "opened": count("was_sent and was_opened"),
            "opened_any": count("was_sent and was_opened_any"),
            "clicked": count("was_sent and was_clicked"),
            "replied": count("was_sent and was_replied"),
            "clicked_any": count("was_sent and was_clicked_any"),
            "replied_any": count("was_sent and was_replied_any"),
            "bounced": count("was_sent and was_bounced"),
            "complained": count("was_sent and was_complained"),
            "unsubscribed": count("was_sent and was_unsubscribed"),
            "credited": count("was_converted"),
            "sent_with_price": "count(cost)",
            "cost": "sum(cost)",
            "attributed_conversions": "sum(attributed_conversions)",
            "attributed_revenue": "sum(attributed_revenue)",
            "profit": "sum(attributed_revenue - cost) filter (where cost is not null)",
            "cost_per_sent_with_price": share("sum(cost)", "count(cost)"),
            "attributed_revenue_per_sent": share("sum(attributed_revenue)", count("was_sent")),
            "contacts": count(CONTACT),
            "contacts_delivered": count(f"{CONTACT} and was_delivered"),
            "contacts_opened": count(f"{CONTACT} and was_delivered and was_opened"),
            "contacts_clicked": count(f"{CONTACT} and was_delivered and was_clicked"),
            "contacts_unsubscribed": count(f"{CONTACT} and was_unsubscribed"),
            "delivery_rate_per_sent": share(count(f"{MESSAGE} and was_delivered"), count(MESSAGE)),
            "open_rate_per_sent": share(count("was_sent and was_opened"), count("was_sent")),
            "click_rate_per_sent": share(count("was_sent and was_clicked"), count("was_sent")),
            "reply_rate_per_sent": share(count("was_sent and was_replied"), count("was_sent")),
            "conversion_rate_per_sent": share(count("was_converted"), count("was_sent")),
            "open_rate_per_delivered": share(
                count(f"{CONTACT} and was_delivered and was_opened"),
                count(f"{CONTACT} and was_delivered"),
            ),
            "click_rate_per_delivered": share(
                count(f"{CONTACT} and was_delivered and was_clicked"),
                count(f"{CONTACT} and was_delivered"),
            ),
            "unsubscribe_rate_per_sent": share(
                count(f"{CONTACT} and was_unsubscribed"), count(CONTACT)
            ),
        },
    ),
    Source(
        rows="marts.engagement",
        day="sent_on",
        by={"weekday": "weekday", "hour_of_day": "hour"},
        numbers={
            "average_minutes_to_open": "avg(open_seconds) filter (where was_opened) / 60",
            "average_hours_to_click": "avg(click_seconds) filter (where was_clicked) / 3600",
            "average_hours_to_reply": "avg(reply_seconds) filter (where was_replied) / 3600",
        },
    ),
    Source(
        rows="marts.time_to_conversion",
        day="started_on",
        by={"sequence": "sequence_id"},
        numbers={
            "average_days_to_conversion": (
                "avg(duration_days) filter "
                "(where is_converted and not (was_won_before_contact or is_holdout))"
            )
        },
    ),
    Source(
        rows="marts.conversions",
        day="converted_on",
        by={"currency": "currency", "goal_name": "goal_name"},
        numbers={
            "conversions": "count(*)",
            "conversions_reversed": count("is_reversed"),
            "conversions_with_rate": "count(revenue)",
            "conversions_without_rate": count("revenue is null"),
            "revenue": "sum(revenue)",
            "revenue_per_conversion": share("sum(revenue)", "count(revenue)"),
        },
    ),
    Source(
        rows="marts.funnel_steps",
        day=None,
        by={"step": "step_id", "channel": "channel"},
        numbers={
            "steps_entered": "sum(count_entered)",
            "steps_sent": "sum(count_sent)",
            "steps_skipped": "sum(count_skipped)",
            "steps_postponed": "sum(count_postponed)",
            "steps_refused": "sum(count_refused)",
            "execution_rate_per_entered": share("sum(count_sent)", "sum(count_entered)"),
        },
    ),
    Source(
        rows="marts.step_endings",
        day=None,
        by={"step_id": "step_id", "ended_as": "ended_as"},
        numbers={"ended_at_step": "sum(count_enrollments)"},
    ),
    Source(
        rows="marts.step_endings",
        day=None,
        by={"step": "step_id", "sequence": "sequence_id"},
        numbers={
            "dropped_at_step": "coalesce(sum(count_enrollments) filter (where is_dropped), 0)"
        },
    ),
    Source(
        rows="""(
            select sequence_id, step_id, count_entered, 0 as count_dropped from marts.funnel_steps
            union all by name
            select sequence_id, step_id, 0 as count_entered, count_enrollments as count_dropped
            from marts.step_endings where is_dropped
        )""",
        day=None,
        by={"step": "step_id", "sequence": "sequence_id"},
        numbers={"drop_off_rate_per_entered": share("sum(count_dropped)", "sum(count_entered)")},
    ),
    Source(
        rows="marts.deliverability",
        day="sent_on",
        by={"recipient_domain": "recipient_domain", "sender": "sender"},
        numbers={
            "attempted": ATTEMPTED,
            "refused": "sum(count_refused)",
            "unknown": "sum(count_unknown)",
            "pending": "sum(count_pending)",
            "lost": "sum(count_lost)",
            "addresses_refused": "sum(count_bounced) + sum(count_bounced_at_once)",
            "attempted_sent": "sum(count_sent)",
            "attempted_delivered": "sum(count_delivered)",
            "attempted_complained": "sum(count_complained)",
            "attempted_unsubscribed": "sum(count_unsubscribed)",
            "bounce_rate_per_attempted": share(
                "(sum(count_bounced) + sum(count_bounced_at_once))", ATTEMPTED
            ),
            "delivery_rate_per_attempted_sent": share("sum(count_delivered)", "sum(count_sent)"),
            "complaint_rate_per_delivered": share("sum(count_complained)", "sum(count_delivered)"),
            "unsubscribe_rate_per_delivered": share(
                "sum(count_unsubscribed)", "sum(count_delivered)"
            ),
        },
    ),
    Source(
        rows="marts.operations",
        day="worked_on",
        by={"sequence": "sequence_id", "hour_at": "hour_at"},
        numbers={
            "steps_processed": "sum(count_steps)",
            "attempts": "sum(count_attempts)",
            "failed_attempts": "sum(count_failed_attempts)",
            "failure_rate_per_attempt": share("sum(count_failed_attempts)", "sum(count_attempts)"),
        },
    ),
    Source(
        rows="marts.backlog",
        day=None,
        by={"sequence": "sequence_id"},
        numbers={
            "backlog": "sum(count_due)",
            "retries_due": "sum(count_retry_due)",
            "scheduled": "sum(count_scheduled)",
            "in_flight": "sum(count_in_flight)",
            "paused": "sum(count_paused)",
        },
    ),
]


@pytest.fixture(scope="module")
def definitions(small_home: Path) -> Definitions:
    with open_warehouse(small_home) as con:
        return read_definitions(con)


@pytest.fixture(scope="module")
def awkward_home(definitions: Definitions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published warehouse whose facts make sums and rates go wrong."""
    home = tmp_path_factory.mktemp("awkward") / "home"
    with duckdb.connect(str(publish(home, facts=False))) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(AWKWARD.read_text(encoding="utf-8"))
        con.execute("insert into meta.definitions values ($1)", [definitions.semantic_manifest])
    return home


@pytest.fixture(params=["small", "awkward"])
def published(request: pytest.FixtureRequest) -> Path:
    home: Path = request.getfixturevalue(f"{request.param}_home")
    return home


def counted(home: Path, source: Source, *by: str, where: str = "true") -> dict[Any, Sequence[Any]]:
    """Count the numbers of a source in SQL of our own: by key, in the order of `numbers`."""
    keys = ", ".join(by) or "'all'"
    numbers = ", ".join(source.numbers.values())
    rows = query(
        home, f"select {keys}, {numbers} from {source.rows} as s where {where} group by {keys}"
    )
    return {row[0]: row[1:] for row in rows.rows()}


def test_every_metric_is_held_against_a_mart(definitions: Definitions) -> None:
    told = [name for source in SOURCES for name in source.numbers]
    assert sorted(told) == sorted(definitions.metrics)


def agree(said: Sequence[Any], meant: Sequence[Any]) -> bool:
    """Equal, null where null; sums of doubles in another order may differ in the last digit."""
    return [one is None for one in said] == [one is None for one in meant] and all(
        one is None or float(one) == pytest.approx(float(other))
        for one, other in zip(said, meant, strict=True)
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: next(iter(source.numbers)))
def test_a_metric_is_what_its_mart_says(published: Path, source: Source) -> None:
    names = tuple(source.numbers)
    (said,) = ask(published, Question(names)).rows.rows()
    (meant,) = counted(published, source).values()
    assert agree(said, meant), list(zip(names, said, meant, strict=True))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: next(iter(source.numbers)))
def test_a_metric_is_what_its_mart_says_by_every_dimension(published: Path, source: Source) -> None:
    names = tuple(source.numbers)
    for asked, column in source.by.items():
        rows = ask(published, Question(names, by=(asked,))).rows.rows()
        said = {row[0]: row[1:] for row in rows}
        meant = counted(published, source, column)
        assert len(rows) == len(said)
        assert set(said) == set(meant), asked
        for key, numbers in meant.items():
            assert agree(said[key], numbers), (asked, key, names, said[key], numbers)


@pytest.mark.parametrize(
    "source", [s for s in SOURCES if s.day], ids=lambda source: next(iter(source.numbers))
)
def test_a_metric_is_what_its_mart_says_over_time(published: Path, source: Source) -> None:
    names = tuple(source.numbers)
    day = f"cast(date_trunc('week', {source.day}) as date)"
    rows = ask(published, Question(names, grain="week")).rows.rows()
    meant = counted(published, source, day, where=f"{source.day} is not null")
    assert [row[0] for row in rows] == sorted(meant)
    for first, *said in rows:
        assert agree(said, meant[first]), (first, names, said, meant[first])


def test_a_rate_without_a_denominator_is_null_and_a_count_of_nothing_is_zero(
    awkward_home: Path,
) -> None:
    question = Question(
        ("enrolled", "conversion_rate_per_enrolled", "held_out", "conversion_rate_per_held_out"),
        by=("sequence",),
    )
    assert set(ask(awkward_home, question).rows.rows()) == {
        ("mixed", 6, 0.0, 0, None),
        ("twice", 2, 1.0, 0, None),
        ("pounds", 1, 1.0, 0, None),
        ("held", 0, None, 5, 2 / 5),
    }


def test_money_without_a_rate_is_null_and_never_added(awkward_home: Path) -> None:
    question = Question(("revenue", "conversions"), by=("currency",))
    told = {
        row[0]: (None if row[1] is None else float(row[1]), row[2])
        for row in ask(awkward_home, question).rows.rows()
    }
    assert told == {"USD": (269.75, 3), "EUR": (0.0, 1), "GBP": (None, 1), "CHF": (None, 1)}


def test_a_lead_that_entered_twice_has_its_sale_once_in_revenue(awkward_home: Path) -> None:
    rows = ask(
        awkward_home, Question(("revenue", "enrollment_revenue"), by=("lead",), where="lead = 1")
    )
    assert [(row[0], float(row[1]), float(row[2])) for row in rows.rows.rows()] == [
        (1, 120.25, 240.5)
    ]


LEADERBOARD = {
    "enrolled": "count_enrolled",
    "active": "count_running",
    "completed": "count_completed",
    "contacted": "count_contacted",
    "answered": "count_replied",
    "converted": "count_converted",
    "enrollment_revenue": "revenue",
    "contacts": "count_sent",
    "contacts_opened": "count_opened",
    "completion_rate_per_enrolled": "completion_rate_per_enrolled",
    "conversion_rate_per_enrolled": "conversion_rate_per_enrolled",
    "revenue_per_enrolled": "revenue_per_enrolled",
    "reply_rate_per_contacted": "reply_rate_per_contacted",
    "open_rate_per_delivered": "open_rate_per_delivered",
    "click_rate_per_delivered": "click_rate_per_delivered",
    "unsubscribe_rate_per_sent": "unsubscribe_rate_per_sent",
}


def test_a_metric_of_a_sequence_is_that_of_the_leaderboard(small_home: Path) -> None:
    said = ask(small_home, Question(tuple(LEADERBOARD), by=("sequence",))).rows.rows()
    columns = ", ".join(LEADERBOARD.values())
    meant = query(small_home, f"select {columns} from marts.sequence_leaderboard").rows()
    assert [row[1:] for row in said] == meant


RESULTS = {
    "sent": "count_sent",
    "cost": "cost",
    "attributed_conversions": "conversions",
    "attributed_revenue": "revenue",
    "profit": "profit",
    "cost_per_sent_with_price": "cost_per_priced_message",
    "attributed_revenue_per_sent": "revenue_per_sent",
    "contacts_opened": "count_opened",
    "open_rate_per_delivered": "open_rate_per_delivered",
    "click_rate_per_delivered": "click_rate_per_delivered",
}


@pytest.mark.parametrize("kind", ["channel", "sender", "template", "sequence", "campaign"])
def test_a_metric_of_messages_is_that_of_their_results(small_home: Path, kind: str) -> None:
    question = Question(tuple(RESULTS), by=(kind,), where="send__sent_on is not null")
    said = {row[0]: row[1:] for row in ask(small_home, question).rows.rows()}
    columns = ", ".join(RESULTS.values())
    meant = query(
        small_home, f"select name, {columns} from marts.message_results where kind = '{kind}'"
    ).rows()
    assert len(said) == len(meant)
    for name, *numbers in meant:
        # Nothing in the group has a price: the leaderboard says 0, a sum of nothing is null.
        assert agree([one or 0 for one in said[name]], [one or 0 for one in numbers]), (
            name,
            said[name],
            numbers,
        )


def test_contacts_by_position_are_those_of_the_channels(small_home: Path) -> None:
    names = ("contacts", "contacts_delivered", "contacts_opened", "contacts_clicked", "bounced")
    said = ask(
        small_home,
        Question(
            (*names, "credited", "reply_rate_per_sent", "conversion_rate_per_sent"),
            by=("position", "channel"),
            where="position is not null",
        ),
    ).rows.rows()
    meant = query(
        small_home,
        "select position, channel, count_sent, count_delivered, count_opened, count_clicked, "
        "count_bounced, count_converted, reply_rate_per_sent, conversion_rate_per_sent "
        "from marts.channel_positions",
    ).rows()
    assert sorted(said) == sorted(meant)
    assert {row[0] for row in said} == {1, 2}


def test_who_runs_is_who_the_backlog_says(small_home: Path) -> None:
    said = ask(small_home, Question(("active",), by=("sequence",))).rows.rows()
    assert said == query(small_home, "select sequence_id, count_active from marts.backlog").rows()


def test_rates_of_a_step_are_those_of_the_funnel(small_home: Path) -> None:
    rates = (
        "open_rate_per_sent",
        "click_rate_per_sent",
        "reply_rate_per_sent",
        "conversion_rate_per_sent",
    )
    rows = ask(small_home, Question(rates, by=("sequence", "step", "variant"))).rows.rows()
    meant = query(
        small_home,
        f"select sequence_id, step_id, variant, {', '.join(rates)} from marts.funnel_steps "
        "where count_sent > 0",
    ).rows()
    assert {row for row in rows if row[3] is not None} == set(meant)


def test_who_is_lost_at_a_step_is_the_same_in_the_funnel(small_home: Path) -> None:
    names = ("dropped_at_step", "drop_off_rate_per_entered")
    said = ask(small_home, Question(names, by=("sequence", "step"))).rows.rows()
    meant = query(
        small_home,
        "select sequence_id, step_id, sum(count_dropped)::bigint, "
        "sum(count_dropped) / sum(count_entered) from marts.funnel_steps group by all",
    ).rows()
    assert set(said) == set(meant)
    assert max(row[2] for row in said) > 0


def test_metrics_by_weekday_and_hour_are_those_of_the_week(small_home: Path) -> None:
    names = ("sent", "opened", "clicked", "replied", "conversion_rate_per_sent")
    question = Question(names, by=("weekday", "hour_of_day"), where="weekday is not null")
    meant = query(
        small_home,
        "select weekday, hour, sum(count_sent)::bigint, sum(count_opened)::bigint, "
        "sum(count_clicked)::bigint, sum(count_replied)::bigint, "
        "sum(count_converted) / sum(count_sent) from marts.send_hours group by all",
    ).rows()
    assert set(ask(small_home, question).rows.rows()) == set(meant)


def test_delivery_is_the_same_by_message_and_by_domain(small_home: Path) -> None:
    (rates,) = ask(
        small_home, Question(("delivery_rate_per_sent", "delivery_rate_per_attempted_sent"))
    ).rows.rows()
    assert rates == pytest.approx((4 / 6, 4 / 6))
