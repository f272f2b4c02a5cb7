-- Whom a record means: table ingest_targets (target_no, source, email, phone, external_id) in, ingest_found out.
-- An address decides, then the source's key, then a phone; of several with one phone the oldest lead.
-- What named a lead that was merged into another names the kept one.

create or replace temp table ingest_found as
with targets as (
    select
        target_no, source, nullif(lower(trim(email)), '') as email, nullif(trim(external_id), '') as external_id,
        regexp_replace(regexp_replace(trim(phone), '[\s().\-/]', '', 'g'), '^00', '+') as phone_digits
    from ingest_targets
),

keyed as (
    select
        * exclude (phone_digits),
        if(starts_with(phone_digits, '+'), phone_digits, '+' || nullif(phone_digits, '')) as phone
    from targets
),

by_email as (
    select k.target_no, min(i.lead_id) as lead_id
    from lead_keys as i
    inner join keyed as k using (email)
    group by k.target_no
),

external_candidates as (
    select
        k.target_no, i.lead_id,
        bool_or(
            coalesce(i.external_source, l.source) in (
                k.source, regexp_replace(k.source, '^[a-z]+:', ''), upper(k.source)
            )
        ) as is_own
    from lead_keys as i
    inner join keyed as k using (external_id)
    inner join leads as l on i.lead_id = l.lead_id
    group by k.target_no, i.lead_id
),

-- A key of another source counts when it is the only lead with that key.
by_external as (
    select
        target_no,
        case
            when count(*) filter (where is_own) = 1 then min(lead_id) filter (where is_own)
            when count(*) = 1 then min(lead_id)
        end as lead_id,
        count(*) > 1 as is_ambiguous
    from external_candidates
    group by target_no
),

by_phone as (
    select k.target_no, min_by(i.lead_id, (l.created_at, i.lead_id)) as lead_id
    from lead_keys as i
    inner join keyed as k using (phone)
    inner join leads as l on i.lead_id = l.lead_id
    group by k.target_no
)

select
    k.target_no,
    coalesce(e.lead_id, x.lead_id, p.lead_id) as lead_id,
    case
        when coalesce(e.lead_id, x.lead_id, p.lead_id) is not null then null
        when k.email is null and k.external_id is null and k.phone is null
            then 'names no lead: give a send_id, message_id, email, phone or external_id.'
        when x.is_ambiguous then 'names an external_id that several leads have: give an email or phone.'
        else 'names a lead or message that is not known (yet): once it is, run `drip ingest --rejected`.'
    end as problem
from keyed as k
left join by_email as e using (target_no)
left join by_external as x using (target_no)
left join by_phone as p using (target_no);
