-- Each enrollment stands at one step: the rows of a sequence add up to its enrollments.
with endings as (
    select
        sequence_id,
        sum(count_enrollments) as n
    from {{ ref('step_endings') }}
    group by sequence_id
),

enrollments as (
    select
        sequence_id,
        count(*) as n
    from {{ ref('enrollments') }}
    where not is_holdout
    group by sequence_id
)

select
    e.sequence_id,
    e.n as count_enrollments,
    d.n as count_placed
from enrollments as e
left join endings as d on e.sequence_id = d.sequence_id
where e.n is distinct from d.n
