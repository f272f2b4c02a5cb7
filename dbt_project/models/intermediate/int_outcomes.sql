-- One row per experiment, metric and unit that had the outcome.
with units as (
    select * from {{ ref('int_assigned_units') }}
    where not is_conflicting
),

unit_leads as (
    select * from {{ ref('int_unit_leads') }}
),

metrics as (
    select * from {{ ref('int_experiment_metrics') }}
),

events as (
    select * from {{ ref('stg_events') }}
    where
        kind in ('bounced', 'complained')
        or (
            kind in ('opened', 'clicked', 'replied', 'call_answered', 'unsubscribed', 'custom')
            and verdict = 'human'
        )
),

conversions as (
    select * from {{ ref('int_conversions') }}
),

experiments as (
    select * from {{ ref('stg_experiments') }}
),

sends as (
    select * from {{ ref('int_sends') }}
    where was_sent
),

-- Whose message of the tested step went out.
reached as (
    select distinct
        l.experiment_id,
        l.unit_id
    from unit_leads as l
    inner join experiments as e on l.experiment_id = e.experiment_id
    inner join sends as s
        on l.enrollment_id = s.enrollment_id and e.sequence_id = s.sequence_id and e.step_id = s.step_id
),

-- Every signal under the name of the metric it counts for. Conversions belong to the lead, whatever the enrollment.
signals as (
    select
        lead_id,
        enrollment_id,
        occurred_at,
        case kind
            when 'custom' then 'custom(' || name || ')'
            when 'call_answered' then 'answered'
            else kind
        end as metric,
        cast(1 as decimal(18, 4)) as value
    from events
    union all
    select
        lead_id,
        enrollment_id,
        occurred_at,
        'opened' as metric,
        cast(1 as decimal(18, 4)) as value
    from events
    where kind = 'clicked'
    union all
    select
        lead_id,
        null as enrollment_id,
        converted_at as occurred_at,
        'goal(' || goal_name || ')' as metric,
        cast(1 as decimal(18, 4)) as value
    from conversions
    union all
    select
        lead_id,
        null as enrollment_id,
        converted_at as occurred_at,
        'revenue(' || goal_name || ')' as metric,
        coalesce(revenue, 0) as value
    from conversions
),

signalled as (
    select
        u.experiment_id,
        m.metric,
        u.unit_id,
        u.arm,
        u.assigned_on,
        u.is_matured,
        min(s.occurred_at) as first_at,
        cast(
            case
                when m.source like 'revenue(%' then least(sum(s.value), coalesce(any_value(m.cap), sum(s.value)))
                else max(s.value)
            end as decimal(18, 4)
        ) as value
    from signals as s
    inner join unit_leads as l on s.lead_id = l.lead_id and coalesce(s.enrollment_id = l.enrollment_id, true)
    inner join units as u
        on
            l.experiment_id = u.experiment_id
            and l.unit_id = u.unit_id
            and s.occurred_at >= u.assigned_at
            and s.occurred_at <= u.window_until_at
    inner join metrics as m on u.experiment_id = m.experiment_id and s.metric = m.source
    group by u.experiment_id, m.metric, m.source, u.unit_id, u.arm, u.assigned_on, u.is_matured
),

unsent as (
    select
        u.experiment_id,
        m.metric,
        u.unit_id,
        u.arm,
        u.assigned_on,
        u.is_matured,
        cast(null as timestamptz) as first_at,
        cast(1 as decimal(18, 4)) as value
    from units as u
    inner join metrics as m on u.experiment_id = m.experiment_id and m.metric = 'unsent'
    anti join reached as r on u.experiment_id = r.experiment_id and u.unit_id = r.unit_id
    where u.is_matured
),

final as (
    select * from signalled
    union all
    select * from unsent
)

select * from final
