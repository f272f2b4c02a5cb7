-- One row per experiment and lead whose outcomes count, with the unit they count for.
with units as (
    select * from {{ ref('int_assigned_units') }}
),

experiments as (
    select * from {{ ref('stg_experiments') }}
),

account_leads as (
    select * from {{ ref('stg_account_leads') }}
),

-- A lead is its own unit, unless the test is by account: then the unit is all leads of the account that came to it.
final as (
    select
        u.experiment_id,
        u.unit_id,
        coalesce(l.lead_id, u.unit_id) as lead_id,
        coalesce(l.enrollment_id, u.enrollment_id) as enrollment_id
    from units as u
    inner join experiments as e on u.experiment_id = e.experiment_id
    left join account_leads as l on u.experiment_id = l.experiment_id and u.unit_id = l.unit_id
    where e.unit = 'lead' or l.lead_id is not null
)

select * from final
