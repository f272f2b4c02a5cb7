-- One row per answer to an attempt of a send; an attempt may have a second one, when it was settled later.
with source as (
    select * from {{ source('ledger', 'send_outcomes') }}
),

renamed as (
    select
        send_id,
        attempt,
        settled_at,
        status,
        reason
    from source
)

select * from renamed
