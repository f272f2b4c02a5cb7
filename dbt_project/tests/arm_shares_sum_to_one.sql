-- The sample-ratio check compares with these shares.
with shares as (
    select distinct
        experiment_id,
        arm,
        share
    from {{ ref('experiment_arms') }}
)

select
    experiment_id,
    sum(share) as share
from shares
group by experiment_id
having abs(sum(share) - 1) > 1e-6
