-- One row per sequence, step with a holdout of its own, and whether held out there.
with plans as (
    select * from {{ ref('stg_plans') }}
    where outcome = 'held_out' or send_id is not null
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
    where not is_holdout and origin = 'live'
),

steps as (
    select * from {{ ref('stg_steps') }}
),

versions as (
    select * from {{ ref('stg_sequence_versions') }}
),

conversions as (
    select * from {{ ref('int_enrollment_conversions') }}
    where not is_before_enrollment
),

unsubscribes as (
    select * from {{ ref('stg_events') }}
    where kind = 'unsubscribed' and verdict = 'human'
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

-- Most steps hold nobody out: they are left aside before anything is counted.
tested as (
    select distinct
        e.sequence_id,
        s.step_id
    from plans as p
    inner join enrollments as e on p.enrollment_id = e.enrollment_id
    inner join steps as s on p.version_id = s.version_id and p.step_ix = s.step_ix
    where p.outcome = 'held_out'
),

declared as (
    select
        version_id,
        {{ json_elements('definition', "'steps'") }} as definition
    from versions
),

shares as (
    select
        version_id,
        cast({{ json_text('definition', "'ix'") }} as integer) as step_ix,
        cast({{ json_text('definition', "'holdout'") }} as double) as share
    from declared
),

-- Whoever came by a version that holds nobody out had no lot to draw: such leads differ in when they came.
tested_steps as (
    select distinct
        s.version_id,
        s.step_ix,
        s.step_id,
        h.share
    from steps as s
    inner join tested as t on s.step_id = t.step_id
    left join shares as h on s.version_id = h.version_id and s.step_ix = h.step_ix
    where coalesce(h.share, 1) > 0
),

-- Both groups had come through the same checks and limits when it was decided (R12).
reached as (
    select
        e.sequence_id,
        s.step_id,
        p.enrollment_id,
        any_value(e.lead_id) as lead_id,
        bool_or(p.outcome = 'held_out') as is_held_out,
        min(p.planned_at) as reached_at,
        arg_min(s.share, p.planned_at) as share
    from plans as p
    inner join tested_steps as s on p.version_id = s.version_id and p.step_ix = s.step_ix
    inner join enrollments as e on p.enrollment_id = e.enrollment_id
    inner join tested as t on e.sequence_id = t.sequence_id and s.step_id = t.step_id
    group by e.sequence_id, s.step_id, p.enrollment_id
),

windows as (
    select
        r.*,
        {{ add_seconds('r.reached_at', 30 * 86400) }} as window_until_at,
        {{ add_seconds('r.reached_at', 30 * 86400) }} <= w.refreshed_at as is_matured
    from reached as r
    cross join refresh as w
),

converted as (
    select distinct w.enrollment_id, w.step_id
    from windows as w
    inner join conversions as c
        on
            w.enrollment_id = c.enrollment_id
            and w.reached_at <= c.converted_at
            and w.window_until_at >= c.converted_at
    where w.is_matured
),

unsubscribed as (
    select distinct w.enrollment_id, w.step_id
    from windows as w
    inner join unsubscribes as u
        on w.lead_id = u.lead_id and w.reached_at <= u.occurred_at and w.window_until_at >= u.occurred_at
    where w.is_matured
),

declared_shares as (
    select
        sequence_id,
        step_id,
        avg(share) as share_declared
    from reached
    group by sequence_id, step_id
),

counted as (
    select
        w.sequence_id,
        w.step_id,
        w.is_held_out,
        count(*) as n_reached,
        count(*) filter (where w.is_matured) as n,
        count(c.enrollment_id) as count_converted,
        count(u.enrollment_id) as count_unsubscribed,
        count(distinct w.lead_id) as count_leads,
        any_value(d.share_declared) as share_declared
    from windows as w
    inner join declared_shares as d on w.sequence_id = d.sequence_id and w.step_id = d.step_id
    left join converted as c on w.enrollment_id = c.enrollment_id and w.step_id = c.step_id
    left join unsubscribed as u on w.enrollment_id = u.enrollment_id and w.step_id = u.step_id
    group by w.sequence_id, w.step_id, w.is_held_out
),

final as (
    select * from counted
)

select * from final
