-- One row per send: the intent, with its latest outcome.
with source as (
    select * from {{ source('ledger', 'send_status') }}
),

renamed as (
    select
        send_id,
        enrollment_id,
        lead_id,
        version_id,
        step_ix,
        variant,
        channel,
        sender,
        claimed_at,
        slot_at,
        zone,
        local_on,
        origin,
        status,
        reason,
        settled_at,
        attempts,
        recipient_domain
    from source
)

select * from renamed
