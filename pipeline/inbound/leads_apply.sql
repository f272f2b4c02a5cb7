-- New leads get their ids, then every touched lead is written anew from its stored row and the batch, the newest value winning.

create or replace temp table ingest_assigned as
with recursive labelled as (
    select rank, label, phone, bool_or(email is not null) over (partition by label) as has_email from ingest_labels
),

-- Those without an address join the first with one on the same phone, else the first without (R18).
phones as (
    select phone, min(label) filter (where has_email) as addressed_label, min(label) as first_label
    from labelled
    where phone is not null
    group by phone
),

pointers as (
    select
        l.label,
        if(any_value(l.has_email), l.label, coalesce(min(p.addressed_label), min(p.first_label), l.label)) as target
    from labelled as l
    left join phones as p using (phone)
    group by l.label
),

followed as (
    select label, target from pointers
    union
    select f.label, p.target
    from followed as f
    inner join pointers as p on f.target = p.label
),

roots as (
    select f.label, max_by(f.target, (p.target = p.label)) as root
    from followed as f
    inner join pointers as p on f.target = p.label
    group by f.label
),

hashed as (
    select
        r.label, md5($salt || chr(31) || l.line_id || chr(31) || l.position) as proposal,
        md5($salt || chr(31) || l.line_id || chr(31) || l.position || chr(31) || l.received_text) as second_proposal
    from roots as r
    inner join ingest_leads as l on r.root = l.rank
),

-- 52 bits: the ids are random because line ids are. A taken one is drawn again.
numbered as (
    select
        h.label,
        cast('0x' || left(if(k.lead_id is null, h.proposal, h.second_proposal), 13) as bigint) as lead_id
    from hashed as h
    left join leads as k on cast('0x' || left(h.proposal, 13) as bigint) = k.lead_id
)

select rank, lead_id, false as is_new from ingest_matches
union all
select l.rank, n.lead_id, true from labelled as l inner join numbered as n using (label);

insert into ingest_problems
with meant as (
    select rank, lead_id, unnest(list_distinct([email_lead, external_lead, phone_lead])) as meant_id
    from ingest_matches
    where len(list_distinct([email_lead, external_lead, phone_lead])) > 1
),

-- The oldest keeps its id (R18).
several as (
    select m.rank, m.lead_id, list(m.meant_id order by l.created_at, m.meant_id) as ids
    from meant as m
    inner join leads as l on m.meant_id = l.lead_id
    group by m.rank, m.lead_id
)

select
    l.segment, l.rejected_id, l.received_at, l.line_source,
    'Its keys belong to several leads: taken as lead ' || m.lead_id || '. If they are one person, run '
    || array_to_string(
        list_transform(m.ids[2:], lambda other: '`drip merge-leads ' || m.ids[1] || ' ' || other || '`'), ' and '
    ) || '.',
    json_object('id', l.line_id, 'received_at', l.received_text, 'source', l.line_source, 'leads', [l.record])
from several as m
inner join ingest_leads as l using (rank);

create or replace temp table ingest_states as
with touched as (
    select distinct lead_id from ingest_assigned
),

rows_of_leads as (
    select
        l.lead_id, true as is_stored, l.updated_at as received_at, l.created_at, l.origin, i.email, i.phone,
        i.first_name, i.last_name, i.external_id,
        coalesce(i.details ->> '$.external_source', l.source) as external_source,
        l.source, l.country, l.timezone, l.attributes, i.details, 0 as rank
    from leads as l
    inner join touched using (lead_id)
    inner join identities as i using (lead_id)
    union all
    select
        a.lead_id, false, n.received_at, n.created_at, n.origin,
        -- What named a merged lead names the kept one, and does not take the place of what names it best.
        if((a.lead_id, n.email) in (select (lead_id, email) from aliases), null, n.email) as email,
        if((a.lead_id, n.phone) in (select (lead_id, phone) from aliases), null, n.phone) as phone,
        n.first_name, n.last_name,
        if(
            (a.lead_id, n.external_id) in (select (lead_id, external_id) from aliases), null, n.external_id
        ) as external_id, n.source as external_source, n.source, n.country, n.timezone, n.attributes, n.details, n.rank
    from ingest_assigned as a
    inner join ingest_leads as n using (rank)
),

ordered as (
    select
        *, row_number() over (order by received_at, rank) as seq,
        if(external_id is null, null, external_source) as own_external_source
    from rows_of_leads
)

select
    *,
    first_value(own_external_source ignore nulls) over (
        partition by lead_id order by is_stored desc, seq rows between unbounded preceding and unbounded following
    ) as kept_external_source
from ordered;

create or replace temp table ingest_merged as
with merged as (
    select
        lead_id,
        bool_or(is_stored) as is_stored,
        min(created_at) as created_at,
        max(received_at) as updated_at,
        max(received_at) filter (where is_stored) as stored_updated_at,
        min_by(source, (not is_stored, seq)) as source,
        -- 'live' > 'import': an imported lead that comes by itself is no longer history (R24)
        max(origin) as origin,
        max_by(country, seq) filter (where country is not null) as country,
        max_by(timezone, seq) filter (where timezone is not null) as timezone,
        max_by(email, seq) filter (where email is not null) as email,
        max_by(phone, seq) filter (where phone is not null) as phone,
        max_by(first_name, seq) filter (where first_name is not null) as first_name,
        max_by(last_name, seq) filter (where last_name is not null) as last_name,
        max_by(external_id, seq) filter (
            where external_id is not null and external_source = kept_external_source
        ) as external_id,
        any_value(kept_external_source) as external_source,
        if(
            count(*) = 1, any_value(attributes),
            list_reduce(list(attributes order by seq), lambda a, b: json_merge_patch(a, b)) -- noqa: LT01
        ) as attributes,
        if(
            count(*) = 1, any_value(details),
            list_reduce(list(details order by seq), lambda a, b: json_merge_patch(a, b)) -- noqa: LT01
        ) as details
    from ingest_states
    group by lead_id
),

shaped as (
    select
        * exclude (attributes, details),
        -- The allow-list gives the order of names too, so that equal attributes are equal text.
        json_merge_patch('{}', from_json(attributes, $attributes)) as attributes,
        json_merge_patch(
            details, json_object('external_source', if(external_source <> source, external_source, null))
        ) as details
    from merged
),

stored as (
    select * from ingest_states where is_stored
),

compared as (
    select
        m.*,
        (
            m.is_stored
            and m.origin is not distinct from s.origin
            and m.created_at is not distinct from s.created_at
            and m.country is not distinct from s.country
            and m.timezone is not distinct from s.timezone
            and m.email is not distinct from s.email
            and m.phone is not distinct from s.phone
            and m.first_name is not distinct from s.first_name
            and m.last_name is not distinct from s.last_name
            and m.external_id is not distinct from s.external_id
            and cast(m.attributes as varchar) is not distinct from cast(s.attributes as varchar)
            and cast(m.details as varchar) is not distinct from cast(s.details as varchar)
        ) as is_same
    from shaped as m
    left join stored as s using (lead_id)
)

select c.* exclude (stored_updated_at), l.change_no
from compared as c
left join leads as l using (lead_id)
where not c.is_same or c.updated_at > c.stored_updated_at;

delete from leads using ingest_merged as m where leads.lead_id = m.lead_id;

delete from identities using ingest_merged as m where identities.lead_id = m.lead_id;

insert into leads by name
select
    lead_id, created_at, source, country, timezone, attributes, origin, updated_at,
    if(is_same, change_no, $change_no) as change_no
from ingest_merged;

insert into identities by name
select lead_id, email, phone, first_name, last_name, external_id, details from ingest_merged;
