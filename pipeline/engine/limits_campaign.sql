-- The second pass of R10, behind the leads' own: of the sequences of one campaign a lead is in one at a time. Entries see
-- to that; where a lead is in two all the same, because a file was changed, the one further along goes, of two as far
-- the older. In: `reachable`, `campaign_member` (sequence_id, campaign). Adds to: `postponed_by_limits`.

insert into postponed_by_limits
with asking as (
    select
        r.enrollment_id,
        r.lead_id,
        r.sequence_id,
        r.window_id,
        r.zone,
        r.count_sends,
        r.enrolled_at,
        m.campaign
    from reachable as r
    inner join campaign_member as m on r.sequence_id = m.sequence_id
    anti join postponed_by_limits as p on r.enrollment_id = p.enrollment_id
    where r.is_contact and r.status = 'waiting' and r.stopped_by is null
),

rivals as (
    select
        v.enrollment_id,
        v.lead_id,
        q.sequence_id,
        m.campaign,
        v.count_sends,
        v.enrolled_at
    from live as v
    inner join sequence_versions as q on v.version_id = q.version_id
    inner join campaign_member as m on q.sequence_id = m.sequence_id
    where not v.is_ended
),

behind as (
    select a.*
    from asking as a
    semi join rivals as r
        on
            a.lead_id = r.lead_id
            and a.campaign = r.campaign
            and a.sequence_id != r.sequence_id
            and (
                r.count_sends > a.count_sends
                or (r.count_sends = a.count_sends and r.enrolled_at < a.enrolled_at)
                or (
                    r.count_sends = a.count_sends and r.enrolled_at = a.enrolled_at
                    and r.enrollment_id < a.enrollment_id
                )
            )
)

select
    b.enrollment_id,
    'campaign_overlap' as reason,
    z.next_day_opens_at as until_at
from behind as b
inner join zone_now as z on b.window_id = z.window_id and b.zone = z.zone;
