-- One row per event.
with source as (
    select * from {{ source('ledger', 'events') }}
),

renamed as (
    select
        event_id,
        kind,
        name,
        occurred_at,
        received_at,
        lead_id,
        enrollment_id,
        send_id,
        step_ix,
        url,
        value,
        currency,
        verdict,
        verdict_version,
        source,
        origin
    from source
)

select * from renamed
