-- Conversions in the warehouse are the ledger's, one for one.
with events as (
    select event_id from {{ ref('stg_events') }}
    where kind = 'converted'
),

conversions as (
    select conversion_id from {{ ref('int_conversions') }}
)

select
    e.event_id,
    c.conversion_id
from events as e
full outer join conversions as c on e.event_id = c.conversion_id
where e.event_id is null or c.conversion_id is null
