-- Units in the arms and units left out for conflicts make up all that were drawn.
with arms as (
    select
        experiment_id,
        sum(n_assigned) as count_in_arms
    from {{ ref('experiment_arms') }}
    where is_primary
    group by experiment_id
),

experiments as (
    select * from {{ ref('experiments') }}
)

select
    e.experiment_id,
    e.count_units,
    e.count_conflicting_units,
    a.count_in_arms
from experiments as e
left join arms as a on e.experiment_id = a.experiment_id
where coalesce(a.count_in_arms, 0) + e.count_conflicting_units <> e.count_units
