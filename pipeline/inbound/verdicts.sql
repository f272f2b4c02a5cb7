-- Human, uncertain or machine: one row per open or click of the relation `features`
-- (event_id, unit_id, kind, occurred_at, url, agent, source, handed_over_at, delivered_at; one unit = one message, or one
-- lead where the message is unknown). Stands alone, or as a subquery under `with features as (…)`. A change of this file
-- changes VERDICT_VERSION in verdicts.py. Thresholds: scanners call all links of a message within a second or two, most
-- of them 20 to 60 s after it was sent, so the shape tells and the time since the send does not.
with machine_agents as (
    select * from (
        values
        -- Apple's proxy fetches every image, read or not, under this bare name.
        ('mozilla/5.0', true),
        -- Gmail's pre-fetch, before anybody reads.
        (
            'mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 (khtml, like gecko) '
            || 'chrome/42.0.2311.135 safari/537.36 edge/12.246 mozilla/5.0', true
        ),
        ('', true),
        -- A provider's own flag: its mapping writes `machine: <name of the flag>`.
        ('machine:', false),
        ('barracuda sentinel', false), ('googlebot', false), ('googlemessages/', false), ('scmguard', false),
        ('python-requests/', false), ('python-urllib', false), ('aiohttp/', false), ('httpx/', false), ('curl/', false),
        ('wget/', false), ('java/1', false), ('apache-httpclient/', false), ('okhttp/', false), ('ahc/', false),
        ('go-http-client/', false), ('lua-resty-http/', false), ('libwww-perl/', false), ('headlesschrome', false),
        ('slackbot', false), ('url preview', false), ('crawler', false), ('spider', false), ('bot/', false),
        ('proofpoint', false), ('mimecast', false), ('office 365 connectors', false), ('amazon cloudfront', false)
    ) as agents (pattern, is_whole)
),

-- A reader seen through an image proxy is a reader.
reader_proxies as (
    select * from (values ('googleimageproxy'), ('yahoomailproxy')) as proxies (pattern)
),

agents as (
    select agent, lower(trim(agent)) as name from features where agent is not null group by agent
),

judged_agents as (
    select
        a.agent,
        exists(select 1 from reader_proxies as p where contains(a.name, p.pattern)) as is_reader,
        exists(
            select 1 from machine_agents as m
            where if(m.is_whole, a.name = m.pattern, contains(a.name, m.pattern))
        ) as is_machine
    from agents as a
),

-- Only a message with three links called can hold a burst; the windows below run on those alone.
many_links as (
    select unit_id from features where kind = 'clicked' group by unit_id having count(distinct url) >= 3
),

starts as (
    select
        f.event_id, f.unit_id, f.occurred_at,
        count(distinct f.url) over (
            partition by f.unit_id order by f.occurred_at range between current row and interval 2 second following
        ) >= 3 as is_start
    from features as f
    semi join many_links using (unit_id)
),

bursts as (
    select
        event_id,
        bool_or(is_start) over (
            partition by unit_id order by occurred_at range between interval 2 second preceding and current row
        ) as is_burst
    from starts
),

first_opens as (
    select unit_id, min(occurred_at) as first_opened_at from features where kind = 'opened' group by unit_id
)

select
    f.event_id,
    case
        when coalesce(a.is_reader, false) then 'human'
        when coalesce(a.is_machine, false) then 'machine'
        when f.agent is null and f.source = 'tracker' then 'machine'
        when coalesce(b.is_burst, false) then 'machine'
        when f.kind = 'opened' and f.occurred_at < f.handed_over_at + interval 1 second then 'machine'
        when
            f.kind = 'clicked' and (o.first_opened_at is null or o.first_opened_at > f.occurred_at)
            and f.occurred_at < coalesce(f.delivered_at, f.handed_over_at) + interval 2 second
            then 'uncertain'
        else 'human'
    end as verdict
from features as f
left join judged_agents as a on f.agent = a.agent
left join bursts as b on f.event_id = b.event_id
left join first_opens as o on f.unit_id = o.unit_id
