-- One round of R18: leads of the batch that belong to a known lead, by email, else by their source's key, else by phone.
-- Their keys count in the next round, so a chain of new keys in one batch ends at one lead.

create or replace temp table ingest_round as
with open_leads as (
    select * from ingest_leads anti join ingest_matches using (rank)
),

keyed as (
    select *, bool_or(email is not null) over (partition by lead_id) as has_email from ingest_keys
),

by_email as (
    select o.rank, min_by(k.lead_id, (k.created_at, k.lead_id)) as lead_id
    from open_leads as o
    inner join keyed as k using (email)
    group by o.rank
),

by_external as (
    select o.rank, min_by(k.lead_id, (k.created_at, k.lead_id)) as lead_id
    from open_leads as o
    inner join keyed as k on o.external_id = k.external_id and o.source = k.external_source
    group by o.rank
),

phone_candidates as (
    select o.rank, o.email, min_by(k.lead_id, (k.created_at, k.lead_id)) as lead_id
    from open_leads as o
    inner join keyed as k using (phone)
    where o.email is null or not k.has_email
    group by o.rank, o.email
),

-- A lead without an address takes the first address that comes with its phone; the others are other people.
by_phone as (
    select rank, lead_id
    from phone_candidates
    qualify
        email is null
        or email = first_value(email ignore nulls) over (
            partition by lead_id order by rank rows between unbounded preceding and unbounded following
        )
)

select
    o.rank, e.lead_id as email_lead, x.lead_id as external_lead, p.lead_id as phone_lead,
    coalesce(e.lead_id, x.lead_id, p.lead_id) as lead_id
from open_leads as o
left join by_email as e using (rank)
left join by_external as x using (rank)
left join by_phone as p using (rank)
where coalesce(e.lead_id, x.lead_id, p.lead_id) is not null;

insert into ingest_matches by name
select rank, lead_id, email_lead, external_lead, phone_lead from ingest_round;

insert into ingest_keys by name
with owners as (
    select lead_id, min(created_at) as created_at from ingest_keys group by lead_id
)

select
    r.lead_id, l.email, l.phone, l.external_id, l.source as external_source, o.created_at, true as is_learned
from ingest_round as r
inner join ingest_leads as l using (rank)
inner join owners as o on r.lead_id = o.lead_id;

select count(*) from ingest_round;
