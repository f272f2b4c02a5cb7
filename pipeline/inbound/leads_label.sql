-- One round of labelling: unmatched leads of the batch that share an address, or a key of one source, get the smallest
-- rank among them. Repeated until nothing moves.

create or replace temp table ingest_relabelled as
with by_email as (
    select *, min(label) over (partition by coalesce(email, 'rank ' || rank)) as email_label from ingest_labels
)

select
    * exclude (label, email_label), label as old_label,
    min(email_label) over (
        partition by coalesce(external_id, 'rank ' || rank), if(external_id is null, '', source)
    ) as label
from by_email;

create or replace temp table ingest_labels as
select * exclude (old_label) from ingest_relabelled;

select count(*) from ingest_relabelled where label <> old_label;
