-- Draws arms. In: temp table `drawing` (enrollment_id, lead_id, version_id, step_ix, experiment_id, varies, control,
-- sample_share, is_auto, is_holdout, has_holdout_arm, holdout, drawn_at). Out: temp table `assigned`
-- (enrollment_id, arm, is_new, …), and the new rows of `assignments`. The stored row is the truth, the hash only
-- proposes (R13); after an applied decision new units get the winner, outside the analysis (R14).

create or replace temp table assigned as
with stored as (
    select
        a.experiment_id,
        a.unit_id,
        min_by(a.arm, a.assigned_at) as arm
    from assignments as a
    semi join drawing as d on a.experiment_id = d.experiment_id and a.unit_id = d.lead_id
    group by a.experiment_id, a.unit_id
),

proposed as (
    select
        d.*,
        s.arm as stored_arm,
        w.arm as winning_arm,
        -- A step that only has the id of a test, and says something else, is outside it for everybody.
        d.experiment_id is null as is_void,
        -- 52 bits of a salted hash, as a fraction; one salt per experiment keeps experiments independent
        ('0x' || md5($salt || ':' || coalesce(d.experiment_id, '') || ':' || d.lead_id)[:13])::bigint / 4503599627370496.0 as draw,
        ('0x' || md5($salt || ':sample:' || d.experiment_id || ':' || d.lead_id)[:13])::bigint
        / 4503599627370496.0 as sample_draw
    from drawing as d
    left join stored as s on d.experiment_id = s.experiment_id and d.lead_id = s.unit_id
    left join winner as w on d.experiment_id = w.experiment_id and d.is_auto
),

drawn as (
    select
        p.enrollment_id,
        p.lead_id,
        p.experiment_id,
        p.drawn_at,
        r.weight,
        p.holdout,
        p.has_holdout_arm,
        case
            -- Held out once, contacted now: the row stays, and nobody is sent what has no words.
            when p.stored_arm = '(holdout)' and not p.is_holdout then p.control
            when p.stored_arm is not null then p.stored_arm
            when p.is_holdout then '(holdout)'
            when p.is_void then p.control
            when p.winning_arm is not null then p.winning_arm
            when p.sample_draw >= p.sample_share then p.control
            else r.arm
        end as arm,
        case
            when p.stored_arm is not null then 'stored'
            -- Later steps have no held-out group: a held-out lead leaves at its first ghost (R12).
            when p.is_holdout and not p.has_holdout_arm then 'outside'
            when p.is_void then 'outside'
            when p.winning_arm is not null then case when p.is_holdout then 'outside' else 'winner' end
            when p.sample_draw >= p.sample_share then 'outside'
            else 'hash'
        end as reason,
        p.is_holdout
    from proposed as p
    inner join arm_range as r
        on
            p.version_id = r.version_id
            and p.step_ix = r.step_ix
            and p.draw >= r.low
            and p.draw < r.high
)

select
    enrollment_id,
    lead_id,
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
    lead_id,
    arm,
    probability,
    drawn_at,
    enrollment_id,
    reason
from assigned
where reason in ('hash', 'winner');
