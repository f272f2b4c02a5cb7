-- One row per experiment and arm, the held-out group included.
with source as (
    select * from {{ source('ledger', 'arms') }}
),

renamed as (
    select
        experiment_id,
        arm,
        role,
        share,
        delay_seconds
    from source
)

select * from renamed
