-- Incoming leads, normalised: what is no e-mail address, phone, country or zone is kept as text beside the identity.

create or replace temp table ingest_leads as
with parsed as (
    select
        r.*,
        from_json(
            r.record,
            '{"email": "VARCHAR", "phone": "VARCHAR", "first_name": "VARCHAR", "last_name": "VARCHAR",
              "external_id": "VARCHAR", "source": "VARCHAR", "country": "VARCHAR", "timezone": "VARCHAR",
              "created_at": "VARCHAR", "attributes": "JSON", "details": "JSON"}'
        ) as p
    from ingest_records as r
    where r.part = 'leads'
),

trimmed as (
    select
        segment, rejected_id, line_id, position, received_text, received_at, source as line_source, origin, record,
        nullif(lower(trim(p.email)), '') as email_text,
        nullif(trim(p.phone), '') as phone_text,
        regexp_replace(regexp_replace(trim(p.phone), '[\s().\-/]', '', 'g'), '^00', '+') as phone_digits,
        nullif(trim(p.first_name), '') as first_name,
        nullif(trim(p.last_name), '') as last_name,
        nullif(trim(p.external_id), '') as external_id,
        coalesce(
            nullif(trim(p.source), ''),
            case source
                when 'api' then 'API' when 'operator' then 'MANUAL' else regexp_replace(source, '^[a-z]+:', '')
            end
        ) as source,
        nullif(upper(trim(p.country)), '') as country_text,
        nullif(trim(p.timezone), '') as zone_text,
        p.created_at as created_text,
        try_cast(p.created_at as timestamptz) as created_at,
        if(json_type(p.attributes) = 'OBJECT', p.attributes, '{}'::json) as attributes,
        if(json_type(p.details) = 'OBJECT', p.details, '{}'::json) as details
    from parsed
),

zones as (
    select unnest($zones) as name
),

checked as (
    select
        t.*, z.name as timezone,
        if(regexp_full_match(email_text, '[^@\s<>,;"]+@[^@\s<>,;"]+\.[^@\s<>,;".]+'), email_text, null) as email,
        case
            when regexp_full_match(phone_digits, '\+[1-9][0-9]{6,14}') then phone_digits
            when regexp_full_match(phone_digits, '[1-9][0-9]{10,14}') then '+' || phone_digits
        end as phone,
        if(regexp_full_match(country_text, '[A-Z]{2}'), country_text, null) as country
    from trimmed as t
    left join zones as z on t.zone_text = z.name
)

select
    segment, rejected_id, line_id, position, received_text, received_at, line_source, origin, record, email, phone,
    first_name, last_name, external_id, source, country, timezone,
    coalesce(created_at, received_at) as created_at,
    json_merge_patch('{}', from_json(attributes, $attributes)) as attributes,
    json_merge_patch(
        details,
        json_object(
            'email_as_received', if(email is null, email_text, null),
            'phone_as_received', if(phone is null, phone_text, null),
            'country_as_received', if(country is null, country_text, null),
            'timezone_as_received', if(timezone is null, zone_text, null)
        )
    ) as details,
    case
        when email is null and phone is null and external_id is null
            then 'The lead has no usable key: give an email address, a phone with country code, or an external_id.'
        when created_text is not null and created_at is null
            then '"created_at" is not a possible ISO 8601 moment.'
        when created_at > received_at + interval 1 day then '"created_at" lies more than a day after the receipt.'
        when created_at < timestamptz '1970-01-01 00:00:00+00' then '"created_at" lies before 1970.'
    end as reason,
    row_number() over (order by received_at, line_id, position, record) as rank
from checked;

insert into ingest_problems
select
    segment, rejected_id, received_at, line_source, reason,
    json_object('id', line_id, 'received_at', received_text, 'source', line_source, 'leads', [record])
from ingest_leads
where reason is not null;

delete from ingest_leads where reason is not null;

-- Keys of the known leads that this batch touches; the rounds below add what the batch itself teaches.
create or replace temp table ingest_keys as
with emails as (
    select distinct email from ingest_leads where email is not null
),

phones as (
    select distinct phone from ingest_leads where phone is not null
),

externals as (
    select distinct external_id from ingest_leads where external_id is not null
),

touched as (
    select i.lead_id from lead_keys as i semi join emails using (email)
    union
    select i.lead_id from lead_keys as i semi join phones using (phone)
    union
    select i.lead_id from lead_keys as i semi join externals using (external_id)
)

select
    i.lead_id, i.email, i.phone, i.external_id,
    coalesce(i.external_source, l.source) as external_source, l.created_at, false as is_learned
from lead_keys as i
inner join touched using (lead_id)
inner join leads as l using (lead_id);

create or replace temp table ingest_matches (
    rank bigint, lead_id bigint, email_lead bigint, external_lead bigint, phone_lead bigint
);
