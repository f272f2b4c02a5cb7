-- Imported sends find the imported enrollment that was open then; a message known already is left out.

create or replace temp table ingest_placed_sends as
with known as (
    select distinct o.message_id from send_outcomes as o semi join ingest_sends using (message_id)
),

candidates as (
    select
        s.*, f.lead_id, f.problem, e.enrollment_id, e.version_id,
        row_number() over (
            partition by s.target_no order by e.enrolled_at desc nulls last, e.enrollment_id
        ) as choice
    from ingest_sends as s
    left join ingest_found as f using (target_no)
    left join enrollments as e
        on
            f.lead_id = e.lead_id and s.sequence_id = e.sequence_id and e.origin = 'import'
            and s.handed_over_at >= e.enrolled_at
            and not exists (
                select 1 from enrollment_ends as d
                where d.enrollment_id = e.enrollment_id and d.ended_at < s.handed_over_at
            )
    anti join known as k on s.message_id = k.message_id
)

select
    c.* exclude (choice),
    row_number() over (
        partition by c.enrollment_id, c.step_id order by c.handed_over_at, c.target_no
    ) as nth_of_step,
    row_number() over (partition by c.message_id order by c.target_no) as nth_of_message
from candidates as c
where c.choice = 1;

delete from ingest_placed_sends where nth_of_message > 1 and reason is null;

insert into steps by name
with seen as (
    select p.version_id, p.step_id, any_value(p.channel) as kind, min(p.handed_over_at) as first_at
    from ingest_placed_sends as p
    where p.reason is null and p.enrollment_id is not null
    group by all
),

fresh as (
    select s.* from seen as s anti join steps as t on s.version_id = t.version_id and s.step_id = t.step_id
),

counted as (
    select version_id, count(*) as count_steps from steps group by version_id
)

select
    f.version_id, coalesce(c.count_steps, 0)
    + row_number() over (partition by f.version_id order by f.first_at, f.step_id) - 1 as step_ix,
    f.step_id, f.kind, null as experiment_id
from fresh as f
left join counted as c using (version_id);

create or replace temp table ingest_new_sends as
with numbered as (
    select
        p.*, t.step_ix,
        case
            when p.reason is not null then p.reason
            when p.problem is not null then 'The send ' || p.problem
            when p.enrollment_id is null
                then 'No imported enrollment of the lead was open then: import it, then run `drip ingest --rejected`.'
            when p.nth_of_step > 1 or s.send_id is not null
                then 'The enrollment has a send of this step already: give a repetition a step_id of its own.'
        end as final_reason
    from ingest_placed_sends as p
    left join steps as t on p.version_id = t.version_id and p.step_id = t.step_id
    left join sends as s on p.enrollment_id = s.enrollment_id and t.step_ix = s.step_ix
)

select
    *,
    row_number() over (
        partition by final_reason is null order by handed_over_at, target_no
    ) as number
from numbered;

insert into ingest_problems
select
    segment, rejected_id, received_at, source, final_reason,
    json_object('id', line_id, 'received_at', received_text, 'source', source, 'sends', [record])
from ingest_new_sends
where final_reason is not null;

delete from ingest_new_sends where final_reason is not null;
