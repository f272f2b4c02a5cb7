-- Draws arms. In: temp table `drawing` (enrollment_id, lead_id, version_id, step_ix, experiment_id, varies, control,
-- sample_share, is_auto, is_holdout, has_holdout_arm, holdout, drawn_at), temp table `account_of` (who is drawn with
-- others), relations `step`, `arm_range`, `winner`, `ruling`. Out: temp table `assigned` (enrollment_id, arm, reason, …),
-- and the new rows of `assignments`. The stored row is the truth, the hash only proposes (R13); after a decision that is
-- applied or declared new units get the winner, outside the analysis (R14); whoever would get an arm that was stopped for
-- harm gets the control, as well, and so does everybody who comes while the experiment is paused.

create or replace temp table assigned as
with units as (
    select
        d.* exclude (sample_share),
        coalesce(o.unit_id, d.lead_id) as unit_id,
        coalesce(o.sample_share, d.sample_share) as sample_share,
        coalesce(o.version_id, d.version_id) as range_version_id,
        coalesce(o.step_ix, d.step_ix) as range_step_ix,
        coalesce(o.is_first, true) as is_first,
        -- A step that only has the id of a test, and says something else, is outside it for everybody; so is a lead
        -- that will be held out at this very step.
        d.experiment_id is null as is_void,
        s.step_holdout > 0
        and ('0x' || md5($salt || ':step_holdout:' || s.holdout_key || ':' || d.lead_id)[:13])::bigint
        / 4503599627370496.0 < s.step_holdout as is_step_holdout
    from drawing as d
    inner join step as s on d.version_id = s.version_id and d.step_ix = s.step_ix
    left join account_of as o on d.enrollment_id = o.enrollment_id
),

stored as (
    select
        a.experiment_id,
        a.unit_id,
        min_by(a.arm, a.assigned_at) as arm
    from assignments as a
    semi join units as u on a.experiment_id = u.experiment_id and a.unit_id = u.unit_id
    group by a.experiment_id, a.unit_id
),

proposed as (
    select
        u.*,
        s.arm as stored_arm,
        w.arm as winning_arm,
        coalesce(g.is_paused, false) as is_paused,
        p.arm is not null as is_stored_stopped,
        -- 52 bits of a salted hash, as a fraction; one salt per experiment keeps experiments independent
        ('0x' || md5($salt || ':' || coalesce(u.experiment_id, '') || ':' || u.unit_id)[:13])::bigint
        / 4503599627370496.0 as draw,
        ('0x' || md5($salt || ':sample:' || u.experiment_id || ':' || u.unit_id)[:13])::bigint
        / 4503599627370496.0 as sample_draw
    from units as u
    left join stored as s on u.experiment_id = s.experiment_id and u.unit_id = s.unit_id
    left join stopped_arm as p on s.experiment_id = p.experiment_id and s.arm = p.arm
    left join winner as w on u.experiment_id = w.experiment_id and (u.is_auto or w.is_declared)
    left join ruling as g on u.experiment_id = g.experiment_id
),

drawn as (
    select
        p.enrollment_id,
        p.lead_id,
        p.unit_id,
        p.is_first,
        p.experiment_id,
        p.drawn_at,
        r.weight,
        p.holdout,
        p.has_holdout_arm,
        case
            -- A ghost gets no words, whatever its account or its earlier life.
            when p.is_holdout then '(holdout)'
            -- Held out once, contacted now: the row stays, and nobody is sent what has no words.
            when p.stored_arm = '(holdout)' or p.is_stored_stopped then p.control
            when p.stored_arm is not null then p.stored_arm
            when p.is_void or p.is_step_holdout then p.control
            when p.winning_arm is not null then p.winning_arm
            when p.is_paused or p.sample_draw >= p.sample_share or x.arm is not null then p.control
            else r.arm
        end as arm,
        case
            -- Later steps have no held-out group: a held-out lead leaves at its first ghost (R12).
            when p.is_holdout and not p.has_holdout_arm then 'outside'
            when p.stored_arm is not null then 'stored'
            when p.is_void or p.is_step_holdout then 'outside'
            when p.winning_arm is not null then case when p.is_holdout then 'outside' else 'winner' end
            when p.is_paused or p.sample_draw >= p.sample_share or x.arm is not null then 'outside'
            else 'hash'
        end as reason,
        p.is_holdout
    from proposed as p
    inner join arm_range as r
        on
            p.range_version_id = r.version_id
            and p.range_step_ix = r.step_ix
            and p.draw >= r.low
            and p.draw < r.high
    left join stopped_arm as x on p.experiment_id = x.experiment_id and r.arm = x.arm
)

select
    enrollment_id,
    lead_id,
    unit_id,
    is_first,
    experiment_id,
    drawn_at,
    arm,
    reason,
    case
        when reason = 'winner' then 1.0
        when is_holdout then holdout
        when has_holdout_arm then weight * (1 - holdout)
        else weight
    end as probability
from drawn;

insert into assignments
select
    experiment_id,
    unit_id,
    arm,
    probability,
    drawn_at,
    enrollment_id,
    reason
from assigned
where reason in ('hash', 'winner') and is_first;
