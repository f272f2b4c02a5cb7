-- One row per text that was sent and metric: arms of tests, and steps outside of them.
with experiments as (
    select * from {{ ref('stg_experiments') }}
),

arms as (
    select * from {{ ref('stg_arms') }}
    where role <> 'held_out'
),

metrics as (
    select * from {{ ref('int_experiment_metrics') }}
    where metric not like '%revenue(%' and metric not in ('complained', 'bounced', 'unsent')
),

units as (
    select * from {{ ref('int_assigned_units') }}
    where is_matured and not is_conflicting
),

outcomes as (
    select * from {{ ref('int_outcomes') }}
    where is_matured
),

versions as (
    select * from {{ ref('stg_sequence_versions') }}
),

steps as (
    select * from {{ ref('stg_steps') }}
),

sends as (
    select * from {{ ref('int_sends') }}
    where was_sent and origin = 'live'
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

-- Steps are numbered in the order of the file: of two branches the later one has the higher number.
contacts as (
    select
        version_id,
        step_ix,
        step_id,
        row_number() over (partition by version_id order by step_ix) as contact_no
    from steps
    where kind not in ('branch', 'wait', 'wait_for', 'end') and {{ is_contact('kind') }}
),

places as (
    select
        v.sequence_id,
        c.step_id,
        min(c.contact_no) as contact_no
    from contacts as c
    inner join versions as v on c.version_id = v.version_id
    group by v.sequence_id, c.step_id
),

matured as (
    select
        experiment_id,
        arm,
        count(*) as n
    from units
    group by experiment_id, arm
),

reached as (
    select
        experiment_id,
        arm,
        metric,
        count(*) as count_reached
    from outcomes
    group by experiment_id, arm, metric
),

arm_texts as (
    select
        e.experiment_id as comparison,
        a.arm as variant,
        true as is_randomised,
        e.sequence_id,
        e.step_id,
        {{ json_part('e.definition', "'arms'", 'a.arm') }} as definition,
        e.experiment_id,
        a.arm
    from experiments as e
    inner join arms as a on e.experiment_id = a.experiment_id
    where e.definition is not null
),

of_tests as (
    select
        t.comparison,
        t.variant,
        t.is_randomised,
        t.sequence_id,
        t.step_id,
        t.definition,
        m.metric,
        coalesce(u.n, 0) as n,
        coalesce(r.count_reached, 0) as count_reached
    from arm_texts as t
    inner join metrics as m on t.experiment_id = m.experiment_id
    left join matured as u on t.experiment_id = u.experiment_id and t.arm = u.arm
    left join reached as r on t.experiment_id = r.experiment_id and t.arm = r.arm and m.metric = r.metric
),

step_texts as (
    select
        version_id,
        sequence_id,
        version,
        {{ json_elements('definition', "'steps'") }} as definition
    from versions
),

-- Fourteen days to answer, over for all that count.
answers as (
    select
        s.version_id,
        s.step_ix,
        count(*) as n,
        count(*) filter (
            where s.first_replied_at <= {{ add_seconds('s.handed_over_at', 14 * 86400) }}
        ) as count_replied,
        count(*) filter (
            where s.first_clicked_at <= {{ add_seconds('s.handed_over_at', 14 * 86400) }}
        ) as count_clicked
    from sends as s
    cross join refresh as w
    where {{ add_seconds('s.handed_over_at', 14 * 86400) }} <= w.refreshed_at
    group by s.version_id, s.step_ix
),

outside_tests as (
    select
        t.sequence_id || '/' || c.step_id as comparison,
        t.version as variant,
        false as is_randomised,
        t.sequence_id,
        c.step_id,
        t.definition,
        k.metric,
        a.n,
        case k.metric when 'replied' then a.count_replied else a.count_clicked end as count_reached
    from step_texts as t
    inner join contacts as c
        on t.version_id = c.version_id and cast({{ json_text('t.definition', "'ix'") }} as integer) = c.step_ix
    inner join steps as s on t.version_id = s.version_id and c.step_ix = s.step_ix and s.experiment_id is null
    inner join answers as a on t.version_id = a.version_id and c.step_ix = a.step_ix
    cross join (values ('replied'), ('clicked')) as k (metric)
),

together as (
    select * from of_tests
    union all
    select * from outside_tests
),

final as (
    select
        b.comparison,
        b.variant,
        b.is_randomised,
        b.sequence_id,
        b.step_id,
        {{ json_text('b.definition', "'channel'") }} as channel,
        p.contact_no,
        {{ json_text('b.definition', "'content'", "'subject'") }} as subject,
        coalesce(
            {{ json_text('b.definition', "'content'", "'body_text'") }},
            {{ json_text('b.definition', "'content'", "'text'") }},
            {{ json_text('b.definition', "'content'", "'script'") }}
        ) as body,
        b.metric,
        b.n,
        b.count_reached
    from together as b
    left join places as p on b.sequence_id = p.sequence_id and b.step_id = p.step_id
)

select * from final
where channel is not null and coalesce(subject, body) is not null
