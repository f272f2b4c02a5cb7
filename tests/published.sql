-- Made-up facts of two sequences and six experiments, one of each kind of state, for reviews and notebooks.
-- Everything is counted by number, so that tests can say what must come out.
insert into marts.experiments by name
select
    experiment_id, sequence_id, step_id, varies, metric, window_seconds, is_auto, origin, control,
    'open' as mode, null as planned_leads, 0.05 as alpha, 3 as count_arms, 6000 as count_units,
    0 as count_conflicting_units, 'lead' as unit, 'weights' as allocation, false as has_changing_shares, ['unsubscribed', 'complained', 'bounced'] as guardrails, timestamptz '2026-10-01 08:00:00+00' as registered_at
from (
    values
    ('welcome_subject', 'new_lead', 'welcome', 'content', 'clicked', 604800, true, 'live', 'plain'),
    ('question_delay', 'webinar', 'question', 'delay', 'replied', 1468800, false, 'live', 'one_day'),
    ('either_body', 'new_lead', 'nudge', 'content', 'clicked', 604800, false, 'live', 'a'),
    ('fresh_offer', 'webinar', 'offer', 'content', 'goal(sale)', 1209600, true, 'live', 'a'),
    ('broken_split', 'webinar', 'thanks', 'content', 'replied', 604800, false, 'live', 'a'),
    ('it''s <b>"50 $"</b>', null, null, 'content', 'revenue(sale)', 1209600, false, 'import', 'a')
) as t (experiment_id, sequence_id, step_id, varies, metric, window_seconds, is_auto, origin, control);

insert into marts.experiment_arms by name
select
    t.experiment_id, t.metric, e.metric = t.metric as is_primary, t.arm, t.role, t.share, t.n_assigned, t.n,
    t.sum, t.sum_squares, day.assigned_on
from (
    values
    ('welcome_subject', 'clicked', 'plain', 'control', 0.3, 2000, 1900, 285, 285),
    ('welcome_subject', 'clicked', 'question', 'treatment', 0.3, 2020, 1910, 439, 439),
    ('welcome_subject', 'clicked', 'course', 'treatment', 0.3, 1980, 1890, 302, 302),
    ('welcome_subject', 'clicked', '(holdout)', 'held_out', 0.1, 660, 630, 0, 0),
    ('welcome_subject', 'goal(sale)', 'plain', 'control', 0.3, 2000, 1900, 95, 95),
    ('welcome_subject', 'goal(sale)', 'question', 'treatment', 0.3, 2020, 1910, 101, 101),
    ('welcome_subject', 'goal(sale)', 'course', 'treatment', 0.3, 1980, 1890, 90, 90),
    ('question_delay', 'replied', 'one_day', 'control', 0.5, 700, 610, 61, 61),
    ('question_delay', 'replied', 'three_days', 'treatment', 0.5, 690, 600, 72, 72),
    ('either_body', 'clicked', 'a', 'control', 0.34, 2000, 2000, 200, 200),
    ('either_body', 'clicked', 'b', 'treatment', 0.33, 1950, 1950, 390, 390),
    ('either_body', 'clicked', 'c', 'treatment', 0.33, 1960, 1960, 394, 394),
    ('fresh_offer', 'goal(sale)', 'a', 'control', 0.5, 60, 41, 1, 1),
    ('fresh_offer', 'goal(sale)', 'b', 'treatment', 0.5, 63, 40, 2, 2),
    ('broken_split', 'replied', 'a', 'control', 0.5, 900, 900, 90, 90),
    ('broken_split', 'replied', 'b', 'treatment', 0.5, 600, 600, 90, 90),
    ('it''s <b>"50 $"</b>', 'revenue(sale)', 'a', 'control', 0.5, 4000, 4000, 26000, 910000),
    ('it''s <b>"50 $"</b>', 'revenue(sale)', 'none', 'held_out', 0.5, 4000, 4000, 21500, 700000)
) as t (experiment_id, metric, arm, role, share, n_assigned, n, sum, sum_squares)
inner join marts.experiments as e using (experiment_id)
cross join (values (date '2026-10-05')) as day (assigned_on);

insert into marts.delay_arms by name
select *
from (
    values
    ('question_delay', 'one_day', 86400, 'control', 700, 610, 61, 20),
    ('question_delay', 'three_days', 259200, 'treatment', 690, 600, 72, 22)
) as t (experiment_id, arm, delay_seconds, role, n_assigned, n, count_replied, count_converted);

insert into marts.delay_times by name
select
    'question_delay' as experiment_id, *
from (
    values
    ('one_day', 'replied', 1, 'replied', 40), ('one_day', 'replied', 3, 'replied', 21),
    ('one_day', 'replied', 2, 'unsubscribed', 4), ('one_day', 'replied', 20, null, 635),
    ('three_days', 'replied', 3, 'replied', 52), ('three_days', 'replied', 5, 'replied', 20),
    ('three_days', 'replied', 20, null, 618), ('one_day', 'converted', 4, 'converted', 20),
    ('one_day', 'converted', 30, null, 680), ('three_days', 'converted', 6, 'converted', 22),
    ('three_days', 'converted', 30, null, 668)
) as t (arm, metric, whole_days, outcome, count_units);

-- 400 leads: 300 enter new_lead, every tenth of them held out; 100 enter webinar.
insert into marts.enrollments by name
select
    i as enrollment_id, i as lead_id, if(i <= 300, 'new_lead', 'webinar') as sequence_id, 'v1' as version,
    1 as entry_no, timestamptz '2026-10-01 09:00:00+00' + interval (i % 20) day as enrolled_at,
    date '2026-10-01' + cast(i % 20 as integer) as enrolled_on, 'completed' as status, 'live' as origin,
    i <= 300 and i % 10 = 0 as is_holdout, cast(i > 300 or i % 10 > 0 as bigint) as count_sends,
    i > 300 or i % 10 > 0 as was_contacted, i % 7 = 1 and i % 10 > 0 as was_replied, i % 9 = 1 as was_converted,
    0 as revenue, i = 8 as was_won_before_contact
from range(1, 401) as t (i);

insert into marts.sends by name
select
    enrollment_id as send_id, enrollment_id, lead_id, sequence_id, version, 0 as step_ix,
    if(sequence_id = 'new_lead', 'welcome', 'thanks') as step_id,
    if(sequence_id = 'new_lead', 'email', 'sms') as channel, 'ann' as sender,
    'live' as origin, if(enrollment_id = 399, 'unknown', 'handed_over') as status, enrolled_at as claimed_at,
    enrollment_id != 399 as was_sent, enrollment_id != 399 as was_delivered, false as is_delivery_inferred,
    enrollment_id % 2 = 1 and enrollment_id != 399 as was_opened,
    (enrollment_id % 2 = 1 or enrollment_id % 5 = 3) and enrollment_id != 399 as was_opened_any,
    enrollment_id % 4 = 1 as was_clicked, enrollment_id % 4 = 1 as was_clicked_any, was_replied,
    enrollment_id = 12 as was_bounced, false as was_complained, enrollment_id = 13 as was_unsubscribed,
    was_converted
from marts.enrollments
where was_contacted;

insert into marts.funnel_steps by name
select
    sequence_id, version, 0 as step_ix, step_id, channel, count(*) as count_entered,
    count(*) filter (where was_sent) as count_sent, count(*) filter (where was_delivered) as count_delivered,
    count(*) filter (where was_opened) as count_opened, count(*) filter (where was_opened_any) as count_opened_any,
    count(*) filter (where was_clicked) as count_clicked, count(*) filter (where was_replied) as count_replied,
    count(*) filter (where was_converted) as count_converted, 0 as count_skipped, 0 as count_postponed,
    0 as count_refused, count(*) filter (where status = 'unknown') as count_unknown, 0 as count_in_flight,
    0 as count_held_out
from marts.sends
group by all;

insert into marts.step_endings by name
select
    e.sequence_id, e.version, 0 as step_ix, coalesce(m.step_id, '(before the first)') as step_id,
    case
        when e.was_converted then 'converted'
        when e.was_replied then 'replied'
        when m.was_bounced then 'bounced'
        when m.was_unsubscribed then 'do_not_contact'
        else 'active'
    end as ended_as,
    ended_as in ('bounced', 'do_not_contact') as is_dropped,
    count(*) as count_enrollments
from marts.enrollments as e
left join marts.sends as m using (enrollment_id)
where not e.is_holdout
group by all;

insert into marts.leads by name
select
    lead_id, enrolled_at as created_at, 'META' as source, 'live' as origin,
    if(was_converted, 'converted', 'contacted') as status, if(was_contacted, enrolled_at, null) as first_contacted_at,
    if(was_replied, enrolled_at, null) as responded_at, if(was_converted, enrolled_at, null) as converted_at,
    cast(not is_holdout as bigint) as count_enrollments, count_sends, 0 as revenue, '{}' as attributes
from marts.enrollments;

insert into marts.time_to_conversion by name
select
    enrollment_id, lead_id, sequence_id, is_holdout, enrolled_at as started_at,
    timestamptz '2026-11-16 09:00:00+00' as observed_until, was_won_before_contact,
    if(was_converted, enrollment_id % 23, 46 - enrollment_id % 20) as duration_days,
    if(was_converted, enrollment_id % 23, 46 - enrollment_id % 20) as duration_whole_days,
    was_converted as is_converted, if(enrollment_id in (12, 13) and not was_converted, 'bounced', null) as left_as,
    if(left_as is null, null, 2) as left_whole_days, 0 as observed_from_whole_days
from marts.enrollments;

-- Three complete weeks of one sender and a young one; complaints are missed beyond doubt, bounces maybe.
insert into marts.targets by name
select
    metric, 'ann' as sender, date '2026-10-05' + 7 * cast(i as integer) as week, i < 3 as is_complete, i = 2 as is_latest,
    numerator + i as numerator, denominator, (numerator + i) / denominator as rate, target, is_floor,
    if(is_floor, rate >= target, rate <= target) as is_met, metric like 'complaint%' as is_surely_missed
from (
    values
    ('delivery_rate_per_sent', 970, 1000, 0.95, true),
    ('bounce_rate_per_sent', 30, 1000, 0.03, false),
    ('complaint_rate_per_delivered', 9, 970, 0.001, false)
) as t (metric, numerator, denominator, target, is_floor)
cross join range(4) as week_no (i);
