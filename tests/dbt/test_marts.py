"""The marts of nine leads, against numbers told by hand (small_ledger.sql)."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

Ask = Callable[[str], list[tuple[object, ...]]]


def at(month: int, day: int, hour: int = 14, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, second, tzinfo=UTC)


def test_a_lead_has_the_first_status_that_holds(ask: Ask) -> None:
    assert ask("select lead_id, status from marts.leads order by lead_id") == [
        (1, "converted"),
        (2, "converted"),
        (3, "converted"),
        (4, "converted"),
        (5, "rejected"),
        (6, "contacted"),
        (7, "converted"),
        (8, "do_not_contact"),
        (9, "new"),
    ]


def test_a_held_out_entry_is_no_enrollment_of_its_lead(ask: Ask) -> None:
    assert ask(
        "select lead_id, count_enrollments, count_sends, revenue from marts.leads "
        "where lead_id in (1, 3, 9) order by 1"
    ) == [(1, 1, 2, Decimal(100)), (3, 0, 0, Decimal(50)), (9, 0, 0, Decimal(0))]


def test_a_conversion_counts_after_enrollment_and_within_the_goals_time(ask: Ask) -> None:
    assert ask(
        "select enrollment_id, was_converted, converted_at, revenue, was_won_before_contact "
        "from marts.enrollments order by 1"
    ) == [
        (1, True, at(3, 5), Decimal(100), False),
        (2, False, at(3, 20), Decimal(0), False),  # late: a fact, in no rate
        (3, True, at(3, 10), Decimal(50), False),
        (4, False, at(3, 1), Decimal(0), True),  # before enrollment
        (5, True, at(3, 6), Decimal(0), False),  # reversed: its money is taken back
        (6, False, None, Decimal(0), False),
        (7, True, at(3, 6), None, False),  # euros without a rate
        (8, False, None, Decimal(0), False),
    ]


def test_the_zero_of_time_is_the_first_hand_over_or_the_ghost(ask: Ask) -> None:
    assert ask(
        "select enrollment_id, time_zero_at, was_contacted, is_holdout from marts.enrollments "
        "where enrollment_id in (1, 3, 7) order by 1"
    ) == [
        (1, at(3, 2, 15, 0, 30), True, False),
        (3, at(3, 3, 15), False, True),
        (7, None, False, False),
    ]


def test_dates_are_those_of_the_workspace_and_status_tells_pauses(ask: Ask) -> None:
    assert ask(
        "select enrollment_id, enrolled_on, status, end_reason from marts.enrollments "
        "where enrollment_id in (6, 7, 8) order by 1"
    ) == [
        (6, date(2026, 3, 30), "active", None),
        (7, date(2026, 3, 3), "paused", None),
        (8, date(2026, 3, 2), "exited", "do_not_contact"),
    ]


def test_days_are_those_of_the_workspace_everywhere(ask: Ask) -> None:
    # 03:00 UTC on the 3rd is the evening before in New York.
    assert ask("select started_on from marts.time_to_conversion where enrollment_id = 8") == [
        (date(2026, 3, 2),)
    ]
    assert ask("select distinct created_on from marts.leads") == [(date(2026, 1, 1),)]
    assert ask("select sent_on from marts.sends where send_id in (3, 7) order by send_id") == [
        (date(2026, 2, 2),),
        (None,),
    ]
    assert ask("select min(worked_on), max(worked_on) from marts.operations") == [
        (date(2026, 2, 2), date(2026, 3, 31))
    ]


def test_the_calendar_has_every_day_from_the_first_fact_on(ask: Ask) -> None:
    assert ask("select min(day_on), max(day_on), count(*) from marts.days") == [
        (date(2026, 1, 1), date(2026, 3, 31), 90)
    ]


def test_a_reply_known_by_address_counts_for_the_running_enrollment(ask: Ask) -> None:
    assert ask("select enrollment_id from marts.enrollments where was_replied") == [(1,)]
    assert ask("select count(*) from marts.sends where was_replied") == [(0,)]


def test_a_machine_opens_only_any_and_a_click_shows_an_open(ask: Ask) -> None:
    assert ask(
        "select send_id, was_opened, was_opened_any, was_clicked, first_opened_at "
        "from marts.sends where was_opened_any order by 1"
    ) == [(1, True, True, True, at(3, 2, 17)), (3, False, True, False, None)]


def test_delivery_is_known_by_receipt_or_reaction_else_inferred_after_72_hours(ask: Ask) -> None:
    assert ask(
        "select send_id, was_sent, was_delivered, is_delivery_inferred from marts.sends order by 1"
    ) == [
        (1, True, True, False),  # clicked
        (2, True, True, False),  # receipt
        (3, True, True, True),
        (4, True, False, False),  # bounced
        (5, True, True, True),
        (6, True, False, False),  # 18 hours old
        (7, False, False, False),  # refused
    ]


def test_the_last_message_before_a_conversion_gets_it(ask: Ask) -> None:
    assert ask("select send_id from marts.sends where was_converted order by 1") == [(2,), (5,)]


def test_lateness_counts_from_the_slot(ask: Ask) -> None:
    assert ask(
        "select send_id, late_seconds, attempts from marts.sends where send_id in (1, 7) order by 1"
    ) == [(1, 30, 2), (7, None, 1)]


def test_a_sequence_has_its_shares_of_everybody_so_far(ask: Ask) -> None:
    assert ask(
        "select sequence_id, count_enrolled, count_running, count_completed, count_contacted, "
        "count_replied, count_converted, count_sent, count_delivered, count_opened, revenue, "
        "count_converted_without_rate, enrollment_rate_per_lead, open_rate_per_delivered, "
        "last_enrolled_at from marts.sequence_leaderboard"
    ) == [("welcome", 7, 3, 1, 5, 1, 3, 6, 4, 1, Decimal(100), 1, 7 / 9, 0.25, at(3, 30))]


def test_a_contact_has_its_place_among_those_of_its_enrollment(ask: Ask) -> None:
    assert ask(
        "select position, channel, count_sent, count_delivered, count_opened, count_bounced, "
        "count_converted, conversion_rate_per_sent from marts.channel_positions order by 1"
    ) == [(1, "email", 5, 3, 1, 1, 1, 0.2), (2, "sms", 1, 1, 0, 0, 1, 1.0)]


def test_every_enrollment_stands_at_its_last_step_and_says_how_it_ended(ask: Ask) -> None:
    assert ask(
        "select step_ix, variant, ended_as, is_dropped, count_enrollments from marts.step_endings "
        "order by step_ix, variant, ended_as"
    ) == [
        (0, "a", "active", False, 1),
        (0, "a", "bounced", True, 1),
        (0, "a", "converted", False, 1),
        (0, "a", "do_not_contact", True, 1),
        (0, "b", "converted", False, 1),  # reversed later: its money is taken back, not the fact
        (1, "long", "completed", False, 1),  # converted too late for its goal
        (1, "short", "converted", False, 1),
    ]


def test_the_funnel_sums_up_and_leaves_the_held_out_beside(ask: Ask) -> None:
    assert ask(
        "select step_ix, variant, count_entered, count_sent, count_delivered, count_opened, "
        "count_opened_any, count_clicked, count_converted, count_skipped, count_postponed, "
        "count_refused, count_held_out, click_rate_per_sent from marts.funnel_steps "
        "order by step_ix, variant nulls last"
    ) == [
        (0, "a", 5, 3, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1 / 3),
        (0, "b", 2, 2, 2, 0, 1, 0, 1, 0, 0, 0, 0, 0.0),
        (0, None, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, None),
        (1, "long", 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, None),
        (1, "short", 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0.0),
    ]


def test_one_funnel_leads_from_all_leads_to_money(ask: Ask) -> None:
    assert ask(
        "select stage_ix, stage, step_id, count_reached, count_dropped, reach_rate_per_previous, "
        "reach_rate_per_enrolled, revenue from marts.sequence_funnel order by stage_ix"
    ) == [
        (0, "leads", None, 9, None, None, None, None),
        (1, "enrolled", None, 7, 0, 7 / 9, 1.0, None),
        (2, "step", "hello", 7, 2, 1.0, 1.0, None),
        (3, "step", "nudge", 2, 0, 2 / 7, 2 / 7, None),
        (4, "converted", None, 3, None, 1.5, 3 / 7, None),
        # One was reversed, one was paid in euros without a rate.
        (5, "revenue", None, 1, None, 1 / 3, 1 / 7, Decimal(100)),
    ]


def test_the_funnel_of_a_sequence_is_that_of_its_steps_and_of_the_leaderboard(ask: Ask) -> None:
    steps = "select step_id, count_reached, count_dropped from marts.sequence_funnel where stage = 'step'"
    assert ask(f"{steps} order by stage_ix") == ask(
        "select step_id, sum(count_entered)::bigint, sum(count_dropped)::bigint "
        "from marts.funnel_steps group by step_id order by max(step_ix)"
    )
    assert ask(
        "select max(count_reached) filter (where stage = 'enrolled'), "
        "max(reach_rate_per_previous) filter (where stage = 'enrolled'), "
        "max(count_reached) filter (where stage = 'converted'), "
        "max(reach_rate_per_enrolled) filter (where stage = 'converted'), max(revenue) "
        "from marts.sequence_funnel"
    ) == ask(
        "select count_enrolled, enrollment_rate_per_lead, count_converted, "
        "conversion_rate_per_enrolled, revenue from marts.sequence_leaderboard"
    )
    assert ask("select sum(count_dropped) from marts.sequence_funnel") == ask(
        "select sum(count_enrollments) from marts.step_endings where is_dropped"
    )


def test_cohorts_grow_by_week_and_say_when_they_are_mature(ask: Ask) -> None:
    # Monday 2 March: leads 1, 4, 5, 7, 8; of these 1, 5, 7 converted within a week.
    assert ask(
        "select weeks_since, count_enrolled, count_converted, conversion_rate_per_enrolled, is_mature "
        "from marts.cohort_conversion where cohort_week = '2026-03-02' order by 1"
    ) == [
        (0, 5, 3, 0.6, True),
        (1, 5, 3, 0.6, True),
        (2, 5, 3, 0.6, True),
        (3, 5, 3, 0.6, False),
        (4, 5, 3, 0.6, False),
    ]
    assert ask(
        "select sum(count_converted) from marts.cohort_conversion where cohort_week < '2026-03-01'"
    ) == [(0,)]


def test_durations_end_at_conversion_or_at_the_moment_of_the_facts(ask: Ask) -> None:
    assert ask(
        "select enrollment_id, duration_whole_days, is_converted, was_won_before_contact, "
        "is_holdout from marts.time_to_conversion order by 1"
    ) == [
        (1, 3, True, False, False),
        (2, 47, True, False, False),
        (3, 8, True, False, True),
        (4, 0, True, True, False),
        (5, 3, True, False, False),
        (6, 1, False, False, False),
        (7, 3, True, False, False),
        (8, 29, False, False, False),  # from the evening of 2 March in New York
    ]
    assert ask(
        "select duration_days, observed_until from marts.time_to_conversion where enrollment_id = 6"
    ) == [(22 / 24, at(3, 31, 12))]
    # 4 bounced, but had bought before; of 8 it is not known that it will ever.
    assert ask(
        "select enrollment_id, left_as, left_whole_days from marts.time_to_conversion "
        "where left_as is not null"
    ) == [(8, "unsubscribed", 1)]
    assert ask("select distinct observed_from_whole_days from marts.time_to_conversion") == [(0,)]


def arms(ask: Ask, experiment_id: str, metric: str) -> list[tuple[object, ...]]:
    return ask(
        "select arm, sum(n_assigned)::int, sum(n)::int, sum(sum), sum(sum_squares), "
        "bool_and(is_primary) from marts.experiment_arms "
        f"where experiment_id = '{experiment_id}' and metric = '{metric}' group by arm order by arm"
    )


def test_only_matured_units_of_one_arm_are_in_the_sums(ask: Ask) -> None:
    # 6 is too fresh, 7 saw both arms, 8 got the winner.
    assert arms(ask, "subject_1", "replied") == [("a", 3, 2, 1, 1, True), ("b", 2, 2, 0, 0, True)]
    assert ask(
        "select count_units, count_conflicting_units, control, count_arms "
        "from marts.experiments where experiment_id = 'subject_1'"
    ) == [(6, 1, "a", 2)]


def test_the_last_ruling_of_a_person_holds(ask: Ask) -> None:
    assert ask(
        "select experiment_id, declared_arm, declared_at::date, paused_at::date "
        "from marts.experiments where experiment_id in ('subject_1', 'wait_1') order by all"
    ) == [("subject_1", "b", date(2026, 3, 2), None), ("wait_1", None, None, date(2026, 3, 3))]


def test_every_experiment_has_its_sequences_goal_and_its_money_beside(ask: Ask) -> None:
    assert arms(ask, "subject_1", "goal(sale)") == [
        ("a", 3, 2, 1, 1, False),
        ("b", 2, 2, 1, 1, False),
    ]
    assert arms(ask, "subject_1", "revenue(sale)") == [
        ("a", 3, 2, 100, 10_000, False),
        ("b", 2, 2, 0, 0, False),
    ]
    assert arms(ask, "subject_1", "clicked")[0] == ("a", 3, 2, 1, 1, False)
    assert arms(ask, "subject_1", "unsubscribed")[0] == ("a", 3, 2, 0, 0, False)


def test_guardrails_count_everybody_drawn_so_far_and_the_lost_are_told_by_arm(ask: Ask) -> None:
    assert ask(
        "select metric, arm, sum(n_assigned)::int, sum(sum_so_far)::int, sum(sum)::int "
        "from marts.experiment_arms where experiment_id = 'subject_1' "
        "and metric in ('bounced', 'complained', 'unsent') group by all order by all"
    ) == [
        ("bounced", "a", 3, 1, 1),
        ("bounced", "b", 2, 0, 0),
        ("complained", "a", 3, 0, 0),
        ("complained", "b", 2, 0, 0),
        ("unsent", "a", 3, 0, 0),
        ("unsent", "b", 2, 0, 0),
    ]


def test_who_had_answered_before_the_draw_is_a_covariate(ask: Ask) -> None:
    assert ask(
        "select arm, sum(n)::int, sum(n_engaged)::int, sum(sum_engaged)::int "
        "from marts.experiment_arms where experiment_id = 'subject_1' and metric = 'replied' "
        "group by all order by all"
    ) == [("a", 2, 1, 0), ("b", 2, 0, 0)]  # 4 had bought before, and did not reply


def test_units_are_counted_by_day_of_assignment(ask: Ask) -> None:
    assert ask(
        "select arm, assigned_on, n_assigned, n, probability from marts.experiment_arms "
        "where experiment_id = 'subject_1' and metric = 'replied' order by 1, 2"
    ) == [
        ("a", date(2026, 3, 2), 1, 1, 0.5),
        ("a", date(2026, 3, 3), 1, 1, 0.5),
        ("a", date(2026, 3, 30), 1, 0, 0.5),
        ("b", date(2026, 2, 2), 1, 1, 0.5),
        ("b", date(2026, 3, 3), 1, 1, 0.5),
    ]


def test_an_arm_that_nobody_drew_is_there_with_zeros(ask: Ask) -> None:
    assert arms(ask, "wait_1", "goal(sale)") == [
        ("long", 1, 1, 0, 0, True),
        ("longer", 0, 0, 0, 0, True),
        ("short", 1, 1, 1, 1, True),
    ]


def test_delays_show_what_they_led_to(ask: Ask) -> None:
    assert ask(
        "select arm, delay_seconds, role, n_assigned, n, count_replied, count_converted "
        "from marts.delay_arms order by delay_seconds"
    ) == [
        ("short", 3600, "control", 1, 1, 1, 1),
        ("long", 86400, "treatment", 1, 1, 0, 0),
        ("longer", 172800, "treatment", 0, 0, 0, 0),
    ]


def test_each_unit_of_a_delay_waits_once_for_each_metric(ask: Ask) -> None:
    assert ask(
        "select arm, metric, whole_days, outcome, count_units from marts.delay_times order by all"
    ) == [
        ("long", "converted", 14, None, 1),
        ("long", "replied", 14, None, 1),
        ("short", "converted", 2, "converted", 1),
        ("short", "replied", 2, "replied", 1),
    ]


def test_hours_show_what_was_answered_within_a_week_and_what_was_drawn_by_lot(ask: Ask) -> None:
    assert ask(
        "select weekday, hour, count_sent, count_converted, n, count_responded, count_randomised, "
        "propensity from marts.send_hours order by all"
    ) == [
        (0, 10, 2, 0, 2, 1, 1, 0.9),
        # Of yesterday: not yet judged.
        (0, 14, 1, 0, 0, 0, 0, None),
        (1, 10, 2, 1, 2, 0, 0, None),
        # Drawn for the afternoon, and sent in the morning: no lot decided that.
        (2, 10, 1, 1, 1, 0, 0, None),
    ]


def test_money_of_another_currency_warns_and_does_not_stop(ask: Ask) -> None:
    assert ask("select has_rate, revenue from intermediate.int_conversions where lead_id = 7") == [
        (False, None)
    ]


def test_the_broad_funnel_counts_who_got_there_and_who_came_through(ask: Ask) -> None:
    stages = "stage, count_reached, count_through, count_dropped, revenue, "
    assert ask(
        f"select {stages} count_conversions_without_rate from marts.funnel_stages "
        "where scope = 'workspace' order by stage_ix"
    ) == [
        ("leads", 9, 9, 0, Decimal(220), 1),
        ("contacted", 5, 5, 4, Decimal(170), 0),
        ("responded", 1, 1, 4, Decimal(100), 0),
        ("converted", 6, 1, 0, Decimal(220), 1),
        ("revenue", 4, 1, 0, Decimal(220), 0),
    ]
    # Without the held-out lead; late and earlier sales do not count.
    assert ask(
        f"select {stages} count_conversions_without_rate from marts.funnel_stages "
        "where sequence_id = 'welcome' order by stage_ix"
    ) == [
        ("leads", 7, 7, 0, Decimal(100), 1),
        ("contacted", 5, 5, 2, Decimal(100), 0),
        ("responded", 1, 1, 4, Decimal(100), 0),
        ("converted", 3, 1, 0, Decimal(100), 1),
        ("revenue", 1, 1, 0, Decimal(100), 0),
    ]


def test_what_arrived_stands_on_the_day_of_its_message_and_few_people_name_no_domain(
    ask: Ask,
) -> None:
    assert ask(
        "select sender, recipient_domain, sent_on, count_attempted, count_refused, count_sent, "
        "count_delivered, count_delivery_inferred, count_bounced, count_pending, count_lost, "
        "bounce_rate_per_attempted from marts.deliverability order by 1, 3"
    ) == [
        ("sales", "(few)", date(2026, 2, 2), 1, 0, 1, 1, 1, 0, 0, 0, 0.0),
        ("sales", "(few)", date(2026, 3, 2), 1, 0, 1, 1, 0, 0, 0, 0, 0.0),
        ("sales", "(few)", date(2026, 3, 3), 3, 1, 2, 1, 1, 1, 0, 0, 1 / 3),
        ("sales", "(few)", date(2026, 3, 30), 1, 0, 1, 0, 0, 0, 1, 0, 0.0),
        ("texts", "(none)", date(2026, 3, 4), 1, 0, 1, 1, 0, 0, 0, 0, 0.0),
    ]


def test_days_sum_up_to_the_same_by_event_time_and_by_send_cohort(ask: Ask) -> None:
    assert ask(
        "select counted_by, sum(count_enrolled), sum(count_completed), sum(count_exited), "
        "sum(count_sent), sum(count_delivered), sum(count_opened), sum(count_clicked), "
        "sum(count_bounced), sum(count_converted), sum(revenue), "
        "sum(count_conversions_without_rate) from marts.daily_metrics group by 1 order by 1"
    ) == [
        ("event_time", 7, 1, 2, 6, 4, 1, 1, 1, 3, Decimal(100), 1),
        # Lead 7 was never sent anything: its sale has no message.
        ("send_cohort", None, None, None, 6, 4, 1, 1, 1, 2, Decimal(100), 0),
    ]


def test_a_day_has_what_happened_on_it_or_what_came_of_its_messages(ask: Ask) -> None:
    assert ask(
        "select metric_on, counted_by, count_sent, count_delivered, count_bounced, "
        "count_converted, revenue, is_complete from marts.daily_metrics "
        "where metric_on in ('2026-03-03', '2026-03-06', '2026-03-30') order by 1, 2"
    ) == [
        (date(2026, 3, 3), "event_time", 2, 0, 1, 0, Decimal(0), True),
        (date(2026, 3, 3), "send_cohort", 2, 1, 1, 1, Decimal(0), True),
        (date(2026, 3, 6), "event_time", 0, 1, 0, 2, Decimal(0), True),
        (date(2026, 3, 6), "send_cohort", 0, 0, 0, 0, Decimal(0), True),
        (date(2026, 3, 30), "event_time", 1, 0, 0, 0, Decimal(0), True),
        (date(2026, 3, 30), "send_cohort", 1, 0, 0, 0, Decimal(0), False),
    ]


def test_pressure_counts_leads_by_the_contacts_of_their_week(ask: Ask) -> None:
    assert ask(
        "select week, count_contacts, count_leads, count_leads_of_several_channels, "
        "count_responded, is_complete from marts.contact_pressure where count_contacts > 0 "
        "order by 1, 2"
    ) == [
        (date(2026, 2, 2), 1, 1, 0, 0, True),
        (date(2026, 3, 2), 1, 2, 0, 0, True),
        (date(2026, 3, 2), 2, 1, 1, 1, True),
        (date(2026, 3, 30), 1, 1, 0, 0, False),
    ]


def test_hours_count_steps_attempts_and_lateness(ask: Ask) -> None:
    assert ask(
        "select hour_at, count_steps, count_sent, count_skipped, count_held_out, count_refused, "
        "count_attempts, count_failed_attempts, failure_rate_per_attempt, late_seconds_p50 "
        "from marts.operations where count_steps > 0 order by 1"
    ) == [
        (at(2, 2, 15), 1, 1, 0, 0, 0, 1, 0, 0.0, 0.0),
        (at(2, 3, 15), 1, 0, 1, 0, 0, 0, 0, None, None),
        (at(3, 2, 15), 1, 1, 0, 0, 0, 2, 1, 0.5, 30.0),
        (at(3, 3, 15), 4, 2, 0, 1, 1, 3, 1, 1 / 3, 0.0),
        (at(3, 4, 15), 1, 1, 0, 0, 0, 1, 0, 0.0, 0.0),
        (at(3, 30, 18), 1, 1, 0, 0, 0, 1, 0, 0.0, 0.0),
    ]


def test_a_time_series_has_no_holes(ask: Ask) -> None:
    # From the first enrollment, 1 February, to the day of the facts, by either way of counting.
    assert ask(
        "select counted_by, count(*), min(metric_on) from marts.daily_metrics group by 1 order by 1"
    ) == [("event_time", 59, date(2026, 2, 1)), ("send_cohort", 59, date(2026, 2, 1))]
    # All 28 days of hours before the facts, and two hours that are older and were busy.
    assert ask(
        "select count(*), count(*) filter (where count_steps > 0) from marts.operations"
    ) == [(28 * 24 + 1 + 3, 6)]
    assert ask(
        "select week, count_leads from marts.contact_pressure where count_contacts = 0 "
        "and week > '2026-02-20' order by 1"
    ) == [
        (date(2026, 2, 23), 9),
        (date(2026, 3, 2), 6),
        (date(2026, 3, 9), 9),
        (date(2026, 3, 16), 9),
        (date(2026, 3, 23), 9),
        (date(2026, 3, 30), 8),
    ]
    assert ask(
        "select count(distinct cohort_week), count(distinct cohort_week) "
        "filter (where count_enrolled > 0) from marts.cohort_conversion"
    ) == [(10, 3)]


def test_the_backlog_leaves_out_what_is_paused(ask: Ask) -> None:
    assert ask(
        "select count_active, count_paused, count_held_out, count_due, count_scheduled, "
        "count_scheduled_next_day, oldest_due_seconds, next_slot_at from marts.backlog"
    ) == [(3, 1, 1, 0, 3, 0, None, at(4, 5, 15))]


def test_each_conversion_says_where_it_counts(ask: Ask) -> None:
    assert ask(
        "select lead_id, value, currency, revenue, is_reversed, count_enrollments, "
        "is_of_holdout, is_late, is_before_enrollment from marts.conversions order by 1"
    ) == [
        (1, Decimal(100), "USD", Decimal(100), False, 1, False, False, False),
        (2, Decimal(40), "USD", Decimal(40), False, 0, False, True, False),
        (3, Decimal(50), "USD", Decimal(50), False, 0, True, False, False),
        (4, Decimal(30), "USD", Decimal(30), False, 0, False, False, True),
        (5, Decimal(80), "USD", Decimal(0), True, 1, False, False, False),
        (7, Decimal(70), "EUR", None, False, 1, False, False, False),
    ]


def test_durations_of_reactions_are_censored_at_the_moment_of_the_facts(ask: Ask) -> None:
    assert ask(
        "select send_id, weekday, hour, was_opened, open_seconds, was_replied, reply_seconds "
        "from marts.engagement where send_id in (1, 6, 7) order by 1"
    ) == [
        (1, 0, 10, True, 7170.0, False, 2494770.0),
        (6, 0, 14, False, 64800.0, False, 64800.0),
    ]


def test_no_personal_data_is_published(ask: Ask) -> None:
    columns = ask(
        "select schema_name, table_name, column_name from duckdb_columns() "
        "where not internal and data_type in ('VARCHAR', 'JSON')"
    )
    assert len(columns) > 50
    told = [
        f"{schema}.{table}.{column}"
        for schema, table, column in columns
        if ask(
            f'select count(*) from "{schema}"."{table}" where "{column}"::varchar ilike \'%untold%\''
        )
        != [(0,)]
    ]
    assert told == []


def test_each_model_shares_out_the_same_conversions(ask: Ask) -> None:
    # 1 had a mail and a text before its order, 5 (reversed) a mail, the others no message in 30 days.
    of_text = {"first": 0, "last": 100, "linear": 50, "position": 50, "time_decay": 54.9341}
    assert ask(
        "select model, is_default, sum(conversions), sum(conversions_without_rate), sum(revenue), "
        "sum(revenue) filter (where step_id = 'nudge'), sum(revenue) filter (where sequence_id is "
        "null) from marts.revenue_attribution where not is_causal group by all order by 1"
    ) == [
        (model, model == "last", 6.0, 1.0, Decimal(220), Decimal(str(of_text[model])), Decimal(120))
        for model in of_text
    ]


def test_nothing_is_called_caused_before_anybodys_time_is_over(ask: Ask) -> None:
    assert ask("select count(*) from marts.revenue_attribution where is_causal") == [(0,)]


def test_the_texts_of_a_test_stand_beside_what_their_arms_brought(ask: Ask) -> None:
    """Of arm a 1 and 4 are matured and in one arm; 1's reply counts for it."""
    assert ask(
        "select variant, is_randomised, channel, contact_no, subject, body, n, count_reached "
        "from marts.message_texts where comparison = 'subject_1' and metric = 'replied' order by 1"
    ) == [
        ("a", True, "email", 1, "Hello", "Read **this**", 2, 1),
        ("b", True, "email", 1, "A question", "Read **this**", 2, 0),
    ]
    assert ask("select distinct comparison from marts.message_texts") == [("subject_1",)]


def test_results_and_cost_are_grouped_in_every_way(ask: Ask) -> None:
    rows = {
        (kind, name): rest
        for kind, name, *rest in ask(
            "select kind, name, count_sent, count_delivered, count_clicked, conversions, revenue, "
            "cost, count_without_price, profit from marts.message_results"
        )
    }
    # The first mail was before any price, the last one dearer; the text's price is in euros.
    mails = [5, 3, 1, 1.0, Decimal(0), Decimal("0.05"), 1, Decimal("-0.05")]
    texts = [1, 1, 0, 1.0, Decimal(100), Decimal(0), 1, None]
    both = [6, 4, 1, 2.0, Decimal(100), Decimal("0.05"), 2, Decimal("-0.05")]
    assert rows == {
        ("channel", "email"): mails,
        ("channel", "sms"): texts,
        ("sender", "sales"): mails,
        ("sender", "texts"): texts,
        ("step", "hello"): mails,
        ("step", "nudge"): texts,
        ("template", "templates/hello.md"): [
            *(3, 1, 1, 0.0, Decimal(0), Decimal("0.04"), 0, Decimal("-0.04"))
        ],
        ("template", "templates/b.md"): [
            *(2, 2, 0, 1.0, Decimal(0), Decimal("0.01"), 1, Decimal("-0.01"))
        ],
        ("template", "welcome/nudge"): texts,
        ("variant", "a"): [3, 1, 1, 0.0, Decimal(0), Decimal("0.04"), 0, Decimal("-0.04")],
        ("variant", "b"): [2, 2, 0, 1.0, Decimal(0), Decimal("0.01"), 1, Decimal("-0.01")],
        ("variant", "short"): texts,
        ("sequence", "welcome"): both,
        ("campaign", "spring"): both,
        ("tag", "offer"): both,
        ("tag", "b2b"): both,
    }


def test_the_value_of_a_step_is_told_of_messages_as_old_as_its_horizon(ask: Ask) -> None:
    assert ask(
        "select step_id, horizon_days, count_matured, count_immature, is_mature, count_converted, "
        "revenue, revenue_per_matured from marts.step_values where horizon_days < 365 order by 1, 2"
    ) == [
        ("hello", 30, 1, 4, False, 0, Decimal(0), 0.0),
        ("hello", 90, 0, 5, False, 0, Decimal(0), None),
        ("nudge", 30, 0, 1, False, 0, Decimal(0), None),
        ("nudge", 90, 0, 1, False, 0, Decimal(0), None),
    ]


def test_the_leaderboard_says_to_what_a_sequence_belongs(ask: Ask) -> None:
    assert ask("select campaign, tags from marts.sequence_leaderboard") == [
        ("spring", ["offer", "b2b"])
    ]


def test_leads_are_told_apart_by_each_trait(ask: Ask) -> None:
    rows = ask(
        "select trait, value, count_leads, count_contacted, count_responded, count_converted, "
        "revenue, count_sent, count_clicked from marts.recipient_breakdowns "
        "where trait <> 'status' order by 1, 2"
    )
    assert rows == [
        ("engagement", "no reaction", 4, 4, 0, 3, Decimal(70), 4, 0),
        ("engagement", "not contacted", 4, 0, 0, 2, Decimal(50), 0, 0),
        ("engagement", "responded", 1, 1, 1, 1, Decimal(100), 2, 1),
        ("lead.country", "(none)", 1, 0, 0, 0, Decimal(0), 0, 0),
        ("lead.country", "US", 8, 5, 1, 6, Decimal(220), 6, 1),
        ("lead.industry", "(none)", 5, 2, 0, 2, Decimal(0), 2, 0),
        ("lead.industry", "food", 2, 1, 0, 2, Decimal(80), 1, 0),
        ("lead.industry", "steel", 2, 2, 1, 2, Decimal(140), 3, 1),
        ("lead.source", "META", 9, 5, 1, 6, Decimal(220), 6, 1),
        ("lead.title", "(none)", 7, 3, 0, 4, Decimal(80), 3, 0),
        ("lead.title", "cto", 2, 2, 1, 2, Decimal(140), 3, 1),
    ]


def test_rates_of_mail_stand_beside_their_targets_by_week(ask: Ask) -> None:
    # The week of 2 March has three mails: one clicked, one bounced, one delivered as none came back.
    assert ask(
        "select metric, is_complete, is_latest, numerator, denominator, target, is_met, "
        "is_surely_missed from marts.targets where week = '2026-03-02' order by 1"
    ) == [
        ("bounce_rate_per_sent", True, True, 1, 3, 0.03, False, False),
        ("click_rate_per_delivered", True, True, 1, 2, 0.03, True, False),
        ("complaint_rate_per_delivered", True, True, 0, 2, 0.001, True, False),
        ("delivery_rate_per_sent", True, True, 2, 3, 0.95, False, False),
    ]
    assert ask("select distinct week, is_complete, is_latest from marts.targets order by 1") == [
        (date(2026, 2, 2), True, False),
        (date(2026, 3, 2), True, True),
        (date(2026, 3, 30), False, False),
    ]
