-- Everything of one lead becomes the other's. In: $keep, $other, $now, $by, $next_change.

create or replace temp table one_lead as
with pair as (
    select
        l.*,
        i.* exclude (lead_id),
        coalesce(i.details ->> '$.external_source', l.source) as external_source,
        l.lead_id = $keep as is_kept
    from leads as l
    inner join identities as i on l.lead_id = i.lead_id
    where l.lead_id in ($keep, $other)
)

select
    $keep as lead_id,
    min(created_at) as created_at,
    max_by(source, is_kept) as source,
    -- What the kept lead does not know it learns.
    coalesce(max(country) filter (where is_kept), max(country)) as country,
    coalesce(max(timezone) filter (where is_kept), max(timezone)) as timezone,
    json_merge_patch(min_by(attributes, is_kept), max_by(attributes, is_kept)) as attributes,
    max(origin) as origin,
    $now::timestamptz as updated_at,
    $next_change as change_no,
    coalesce(max(email) filter (where is_kept), max(email)) as email,
    coalesce(max(phone) filter (where is_kept), max(phone)) as phone,
    coalesce(max(first_name) filter (where is_kept), max(first_name)) as first_name,
    coalesce(max(last_name) filter (where is_kept), max(last_name)) as last_name,
    coalesce(max(external_id) filter (where is_kept), max(external_id)) as external_id,
    json_merge_patch(
        json_merge_patch(min_by(details, is_kept), max_by(details, is_kept)),
        json_object(
            'external_source',
            nullif(
                if(
                    max(external_id) filter (where is_kept) is null and max(external_id) is not null,
                    min_by(external_source, is_kept),
                    max_by(external_source, is_kept)
                ),
                max_by(source, is_kept)
            )
        )
    ) as details
from pair;

update aliases set lead_id = $keep
where lead_id = $other;

insert into aliases by name
select
    $keep as lead_id,
    i.email,
    i.phone,
    i.external_id,
    coalesce(i.details ->> '$.external_source', l.source) as external_source
from identities as i
inner join leads as l on i.lead_id = l.lead_id
where i.lead_id = $other;

delete from leads
where lead_id in ($keep, $other);

delete from identities
where lead_id in ($keep, $other);

insert into leads by name
select lead_id, created_at, source, country, timezone, attributes, origin, updated_at, change_no
from one_lead;

insert into identities by name
select lead_id, email, phone, first_name, last_name, external_id, details
from one_lead;

update merged_leads set kept_lead_id = $keep
where kept_lead_id = $other;

insert into merged_leads by name
select
    $other as lead_id,
    $keep as kept_lead_id,
    $now::timestamptz as merged_at,
    $by::varchar as merged_by;

-- The strictest wins: of the same word twice the one in force. One lead's opting out is not lifted by what the other had
-- said before they were one, so it is said again where that would lift it.
create or replace temp table one_suppressed as
with both_leads as (
    select *
    from suppressions
    where lead_id in ($keep, $other)
),

heard as (
    select
        e.lead_id,
        coalesce(d.channel, 'email') as channel,
        max(e.occurred_at) as occurred_at
    from events as e
    left join sends as d on e.send_id = d.send_id
    where e.kind = 'subscribed' and e.lead_id in ($keep, $other)
    group by all
),

said_again as (
    select distinct
        s.channel,
        s.sequence_id,
        s.reason
    from both_leads as s
    inner join heard as h on s.lead_id != h.lead_id and s.channel = h.channel and s.created_at < h.occurred_at
    where s.reason = 'unsubscribed' and s.lifted_at is null
)

select
    $keep as lead_id,
    channel,
    sequence_id,
    reason,
    created_at,
    case when bool_and(lifted_at is not null) then max(lifted_at) end as lifted_at
from both_leads
group by all
union
select
    $keep as lead_id,
    channel,
    sequence_id,
    reason,
    $now::timestamptz as created_at,
    null as lifted_at
from said_again;

delete from suppressions
where lead_id in ($keep, $other);

insert into suppressions by name
from one_suppressed;

update enrollments set lead_id = $keep
where lead_id = $other;

-- First, second, … time of the one lead that they are.
update enrollments set entry_no = n.entry_no
from (
    select
        enrollment_id,
        row_number() over (partition by sequence_id order by enrolled_at, enrollment_id) as entry_no
    from enrollments
    where lead_id = $keep
) as n
where enrollments.enrollment_id = n.enrollment_id and enrollments.entry_no != n.entry_no;

update live set lead_id = $keep
where lead_id = $other;

update sends set lead_id = $keep
where lead_id = $other;

update reclaims set lead_id = $keep
where lead_id = $other;

update events set lead_id = $keep
where lead_id = $other;

update engagement_pending set lead_id = $keep
where lead_id = $other;

update commands set lead_id = $keep
where lead_id = $other;

update entry_events set lead_id = $keep
where lead_id = $other;

delete from entry_waits as w
where
    w.lead_id = $other
    and exists (from entry_waits as k where k.lead_id = $keep and k.sequence_id = w.sequence_id);

update entry_waits set lead_id = $keep
where lead_id = $other;

-- Whether the one lead fits a rule is looked at anew.
delete from rule_exits
where lead_id = $other;
