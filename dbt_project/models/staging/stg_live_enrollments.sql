-- One row per enrollment that the engine runs.
with source as (
    select * from {{ source('ledger', 'live') }}
),

renamed as (
    select
        enrollment_id,
        is_paused
    from source
)

select * from renamed
