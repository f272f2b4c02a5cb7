-- Nothing lost, nothing doubled: a mart has as many rows as the table of the ledger that it shows.
with counts as (
    select
        'leads' as mart, (select count(*) from {{ ref('leads') }}) as count_mart,
        (select count(*) from {{ source('ledger', 'leads') }}) as count_ledger
    union all
    select
        'enrollments', (select count(*) from {{ ref('enrollments') }}),
        (select count(*) from {{ source('ledger', 'enrollments') }})
    union all
    select
        'time_to_conversion', (select count(*) from {{ ref('time_to_conversion') }}),
        (select count(*) from {{ source('ledger', 'enrollments') }})
    union all
    select
        'sends', (select count(*) from {{ ref('sends') }}),
        (select count(*) from {{ source('ledger', 'sends') }})
    union all
    select
        'experiments', (select count(*) from {{ ref('experiments') }}),
        (select count(*) from {{ source('ledger', 'experiments') }})
)

select * from counts
where count_mart <> count_ledger
