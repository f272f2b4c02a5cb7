-- One row per experiment, trait of its units, value of the trait and arm: where a broken split comes from.
with units as (
    select * from {{ ref('int_assigned_units') }}
),

experiments as (
    select * from {{ ref('stg_experiments') }}
),

enrollments as (
    select * from {{ ref('stg_enrollments') }}
),

leads as (
    select * from {{ ref('stg_leads') }}
),

sends as (
    select * from {{ ref('int_sends') }}
    where was_sent
),

senders as (
    select
        enrollment_id,
        step_id,
        min(sender) as sender
    from sends
    group by enrollment_id, step_id
),

-- An account is told by the lead that was drawn first for it.
traits as (
    select
        u.experiment_id,
        u.arm,
        cast(u.assigned_on as varchar) as day,
        coalesce(l.source, '(none)') as source,
        coalesce(l.country, '(none)') as country,
        coalesce(s.sender, '(not sent)') as sender
    from units as u
    inner join experiments as e on u.experiment_id = e.experiment_id
    left join enrollments as n on u.enrollment_id = n.enrollment_id
    left join leads as l on n.lead_id = l.lead_id
    left join senders as s on u.enrollment_id = s.enrollment_id and e.step_id = s.step_id
    where not u.is_conflicting
),

counted as (
    select
        experiment_id,
        arm,
        day,
        source,
        country,
        sender,
        count(*) as n_assigned
    from traits
    group by grouping sets (
        (experiment_id, arm, day),
        (experiment_id, arm, source),
        (experiment_id, arm, country),
        (experiment_id, arm, sender)
    )
),

final as (
    select
        experiment_id,
        case
            when day is not null then 'day'
            when source is not null then 'source'
            when country is not null then 'country'
            else 'sender'
        end as trait,
        coalesce(day, source, country, sender) as value,
        arm,
        n_assigned
    from counted
)

select * from final
