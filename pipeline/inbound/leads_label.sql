-- One round of labelling: unmatched leads of the batch that share an address, or a key of one source, get the smallest
-- rank among them. Repeated until nothing moves.

create or replace temp table ingest_relabelled as
with emails as (
    select email, min(label) as label from ingest_labels where email is not null group by email having count(*) > 1
),

externals as (
    select external_id, source, min(label) as label
    from ingest_labels
    where external_id is not null
    group by external_id, source
    having count(*) > 1
)

select
    l.* exclude (label), l.label as old_label,
    least(l.label, coalesce(e.label, l.label), coalesce(x.label, l.label)) as label
from ingest_labels as l
left join emails as e using (email)
left join externals as x using (external_id, source);

create or replace temp table ingest_labels as
select * exclude (old_label) from ingest_relabelled;

select count(*) from ingest_relabelled where label <> old_label;
