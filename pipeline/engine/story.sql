-- The story of a lead, $lead_id; with $enrollment_id only what concerns that one of its enrollments.
with steps_named as (
    select
        s.version_id,
        s.step_ix,
        v.sequence_id,
        s.step_id
    from steps as s
    inner join sequence_versions as v on s.version_id = v.version_id
),

mine as (
    select
        e.*,
        coalesce(x.ended_at, 'infinity'::timestamptz) as ended_at
    from enrollments as e
    left join enrollment_ends as x on e.enrollment_id = x.enrollment_id
    where e.lead_id = $lead_id and coalesce(e.enrollment_id = $enrollment_id, true)
),

-- Pauses of a sequence or of everything, as far as an enrollment of the lead lived through them.
halts as (
    select distinct
        p.scope,
        coalesce(p.name, '') as detail,
        p.paused_at,
        p.resumed_at,
        case p.paused_by
            when 'operator' then p.reason
            when 'campaign' then 'campaign ' || p.reason
            else p.paused_by
        end as reason
    from pauses as p
    inner join mine as e on p.scope = 'everything' or (p.scope = 'sequence' and p.name = e.sequence_id)
    where
        (p.resumed_at is null or e.enrolled_at < p.resumed_at)
        and e.ended_at > p.paused_at
),

told as (
    select
        created_at as moment,
        0 as rank,
        'lead' as topic,
        'created' as what,
        source as detail,
        null as reason
    from leads
    where lead_id = $lead_id

    union all by name

    select
        enrolled_at as moment,
        1 as rank,
        'enrollment' as topic,
        if(is_holdout, 'enrolled as holdout', 'enrolled') as what,
        sequence_id as detail,
        enrolled_by as reason
    from mine

    union all by name

    select
        coalesce(c.decided_at, c.requested_at) as moment,
        1 as rank,
        'request' as topic,
        if(c.kind = 'enroll', 'asked to enroll: ' || coalesce(c.outcome, 'open'), 'asked never to contact') as what,
        c.sequence_id as detail,
        concat_ws(' by ', c.reason, c.requested_by) as reason
    from commands as c
    where c.lead_id = $lead_id and ($enrollment_id::bigint is null or c.enrollment_id = $enrollment_id)

    union all by name

    select
        if(a.reason = 'merge', a.assigned_at, coalesce(m.joined_at, a.assigned_at)) as moment,
        2 as rank,
        'experiment' as topic,
        if(a.reason = 'merge', 'outside, seen in ', 'assigned to ') || a.arm as what,
        a.experiment_id as detail,
        a.reason || if(m.unit_id != $lead_id, ', by account', '') as reason
    from assignments as a
    left join account_leads as m
        on a.experiment_id = m.experiment_id and a.unit_id = m.unit_id and m.lead_id = $lead_id
    where
        (a.unit_id = $lead_id or m.lead_id is not null)
        and coalesce(coalesce(m.enrollment_id, a.enrollment_id) = $enrollment_id, $enrollment_id::bigint is null)

    union all by name

    -- The wall clock is that of the zone in which the step was due.
    select
        h.drawn_at as moment,
        2 as rank,
        'step' as topic,
        format('drawn for {:02d}:00-{:02d}:00', 4 * h.block, 4 * h.block + 4) as what,
        n.sequence_id || '/' || n.step_id as detail,
        format(
            'preferred_hours: {} % of such messages, by the scores of {}',
            (100 * h.propensity)::decimal(4, 1),
            strftime(timezone('UTC', h.scored_at), '%Y-%m-%d %H:%M UTC')
        ) as reason
    from hour_draws as h
    semi join mine as m on h.enrollment_id = m.enrollment_id
    left join steps_named as n on h.version_id = n.version_id and h.step_ix = n.step_ix

    union all by name

    select
        w.planned_at as moment,
        3 as rank,
        'step' as topic,
        if(w.outcome in ('sent', 'refused', 'unknown', 'in_flight'), 'claimed', w.outcome) as what,
        n.sequence_id || '/' || n.step_id as detail,
        coalesce(w.reason, '') || coalesce(' until ' || strftime(w.until_at, '%Y-%m-%d %H:%M UTC'), '') as reason
    from why_outcomes as w
    semi join mine as m on w.enrollment_id = m.enrollment_id
    left join steps_named as n on w.version_id = n.version_id and w.step_ix = n.step_ix

    union all by name

    select
        o.settled_at as moment,
        4 as rank,
        'send' as topic,
        o.status as what,
        n.sequence_id || '/' || n.step_id || ' by ' || d.channel || coalesce(' (' || d.variant || ')', '') as detail,
        o.reason
    from send_outcomes as o
    inner join sends as d on o.send_id = d.send_id
    left join steps_named as n on d.version_id = n.version_id and d.step_ix = n.step_ix
    where d.lead_id = $lead_id and coalesce(d.enrollment_id = $enrollment_id, true)

    union all by name

    select
        e.occurred_at as moment,
        5 as rank,
        'event' as topic,
        e.kind || coalesce(' ' || e.name, '') as what,
        coalesce(e.url, e.value || ' ' || e.currency, e.source) as detail,
        e.verdict as reason
    from events as e
    -- What is known by address only concerns whatever ran then (R20).
    where
        e.lead_id = $lead_id
        and (
            $enrollment_id::bigint is null
            or coalesce(
                e.enrollment_id = $enrollment_id,
                exists (from mine as m where e.occurred_at between m.enrolled_at and m.ended_at)
            )
        )

    union all by name

    select
        s.created_at as moment,
        6 as rank,
        'suppression' as topic,
        'suppressed' as what,
        coalesce(s.channel, 'every channel') as detail,
        s.reason
    from suppressions as s
    where s.lead_id = $lead_id and (s.sequence_id is null or s.sequence_id in (select m.sequence_id from mine as m))

    union all by name

    select
        p.paused_at as moment,
        7 as rank,
        'enrollment' as topic,
        'paused' as what,
        m.sequence_id as detail,
        p.reason || coalesce(strftime(timezone('UTC', p.resumes_at), ', until %Y-%m-%d %H:%M UTC'), '') as reason
    from enrollment_pauses as p
    inner join mine as m on p.enrollment_id = m.enrollment_id

    union all by name

    select
        p.resumed_at as moment,
        7 as rank,
        'enrollment' as topic,
        'resumed' as what,
        m.sequence_id as detail,
        'after ' || (p.resumed_at - p.paused_at) as reason
    from enrollment_pauses as p
    inner join mine as m on p.enrollment_id = m.enrollment_id
    where p.resumed_at is not null

    union all by name

    select
        paused_at as moment,
        7 as rank,
        'pause' as topic,
        scope || ' paused' as what,
        detail,
        reason
    from halts

    union all by name

    select
        resumed_at as moment,
        7 as rank,
        'pause' as topic,
        scope || ' resumed' as what,
        detail,
        'after ' || (resumed_at - paused_at) as reason
    from halts
    where resumed_at is not null

    union all by name

    select
        s.lifted_at as moment,
        7 as rank,
        'suppression' as topic,
        'lifted' as what,
        coalesce(s.channel, 'every channel') as detail,
        s.reason
    from suppressions as s
    where s.lead_id = $lead_id and s.lifted_at is not null

    union all by name

    select
        g.migrated_at as moment,
        7 as rank,
        'enrollment' as topic,
        'migrated' as what,
        m.sequence_id || '/' || f.step_id || if(f.step_id = t.step_id, '', ' as ' || t.step_id) as detail,
        'to version ' || v.version[:12] as reason
    from migrations as g
    inner join mine as m on g.enrollment_id = m.enrollment_id
    inner join steps as f on g.from_version_id = f.version_id and g.from_step_ix = f.step_ix
    inner join steps as t on g.to_version_id = t.version_id and g.to_step_ix = t.step_ix
    inner join sequence_versions as v on g.to_version_id = v.version_id

    union all by name

    select
        g.merged_at as moment,
        7 as rank,
        'lead' as topic,
        'merged' as what,
        'lead ' || g.lead_id || ' into this one' as detail,
        'by ' || g.merged_by as reason
    from merged_leads as g
    where
        g.kept_lead_id = $lead_id
        and (
            $enrollment_id::bigint is null
            or exists (from mine as m where g.merged_at between m.enrolled_at and m.ended_at)
        )

    union all by name

    -- Who was ended by a stop, by which one.
    select
        o.acted_at as moment,
        7 as rank,
        'operator' as topic,
        'stopped ' || o.scope as what,
        o.name as detail,
        o.result as reason
    from operator_acts as o
    inner join mine as m on o.acted_at = m.ended_at
    inner join enrollment_ends as x on m.enrollment_id = x.enrollment_id and x.reason = 'stopped'
    where
        o.act = 'stopped'
        and case o.scope
            when 'enrollment' then o.name = m.enrollment_id::varchar
            when 'sequence' then o.name = m.sequence_id
            -- Which sequences a campaign had then stands in no row: its moment tells.
            else true
        end

    union all by name

    select
        o.acted_at as moment,
        7 as rank,
        'operator' as topic,
        'resolved' as what,
        n.sequence_id || '/' || n.step_id || ' by ' || d.channel as detail,
        o.result as reason
    from operator_acts as o
    inner join sends as d on o.act = 'resolved' and d.send_id = try_cast(o.name as bigint)
    inner join mine as m on d.enrollment_id = m.enrollment_id
    left join steps_named as n on d.version_id = n.version_id and d.step_ix = n.step_ix

    union all by name

    select
        x.ended_at as moment,
        8 as rank,
        'enrollment' as topic,
        x.status as what,
        m.sequence_id as detail,
        x.reason
    from enrollment_ends as x
    inner join mine as m on x.enrollment_id = m.enrollment_id
)

select
    moment,
    topic,
    what,
    detail,
    reason
from told
order by moment, rank, detail, what
