-- One row per enrollment that the engine runs.
with source as (
    select * from {{ source('ledger', 'live') }}
),

renamed as (
    select
        enrollment_id,
        status,
        slot_at,
        is_paused
    from source
)

select * from renamed
