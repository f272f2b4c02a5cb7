-- In the latest complete week of each sender no rate misses its target beyond doubt: a warning, nothing is wrong with data.
{{ config(severity = 'warn') }}

select
    metric,
    sender,
    week,
    numerator,
    denominator,
    rate,
    target
from {{ ref('targets') }}
where is_latest and is_surely_missed
order by sender, metric
