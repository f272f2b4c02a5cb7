-- One row per experiment of which a person ruled something; the last ruling of each kind holds.
with source as (
    select * from {{ source('ledger', 'operator_acts') }}
    where scope = 'experiment'
),

ranked as (
    select
        name,
        act,
        result,
        acted_at,
        row_number() over (
            partition by name, act in ('declared', 'undeclared')
            order by acted_at desc
        ) as nth
    from source
),

renamed as (
    select
        name as experiment_id,
        max(result) filter (where act = 'declared') as declared_arm,
        max(acted_at) filter (where act = 'declared') as declared_at,
        max(acted_at) filter (where act = 'paused') as paused_at
    from ranked
    where nth = 1
    group by name
)

select * from renamed
