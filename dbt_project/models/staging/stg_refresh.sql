-- One row: the refresh that builds this file.
with source as (
    select * from {{ source('meta', 'refresh') }}
),

renamed as (
    select
        refresh_id,
        refreshed_at,
        timezone,
        currency,
        attribution,
        {{ local_date('refreshed_at', 'timezone') }} as refreshed_on
    from source
)

select * from renamed
