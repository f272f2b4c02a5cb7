-- The ledger's tables: what has happened. One statement creates each; every column has its comment.
-- Facts are appended. Only `live`, `moved_sends`, `segments`, `watermarks`, `entry_…`, `rule_exits`, `commands`, `leads`, `identities` and `suppressions.lifted_at` change.
-- No keys or indexes on large tables: uniqueness is kept by moving a state in the same transaction, and tested.
-- Personal data stands in `identities`, `aliases`, `enrollment_contexts` and in `rejected.raw`, nowhere else (rules.md R22).
-- A merge of two leads writes the kept lead's id wherever the other's stood.

create table meta (
    key varchar not null,               -- schema_version | id_salt
    value varchar not null              -- the value, as text
);

create sequence change_numbers;
create sequence enrollment_ids;
create sequence send_ids;
create sequence rejected_ids;
create sequence version_ids;

-- Landing ------------------------------------------------------------------------------------------------------------

create table segments (
    segment varchar not null,           -- file name inside landing/
    ingested_bytes bigint not null,     -- everything before this offset is in the ledger
    ingested_at timestamptz not null    -- when the offset last moved
);

create table rejected (
    rejected_id bigint not null,        -- serial
    segment varchar not null,           -- landing segment that held the line
    received_at timestamptz not null,   -- when it was received; time of ingest when the line does not say
    source varchar,                     -- who sent it, when the line says so
    reason varchar not null,            -- one sentence: what is wrong, and what would be right
    raw varchar not null,               -- the line or record as received; may hold personal data
    resolved_at timestamptz             -- set when a later run took it in
);

-- Leads --------------------------------------------------------------------------------------------------------------

create table leads (
    lead_id bigint not null,            -- random, below 2^53
    created_at timestamptz not null,    -- when the lead came into being at its source
    source varchar not null,            -- META | API | MANUAL | BULK | any word the source gives
    country varchar,                    -- ISO 3166 alpha-2
    timezone varchar,                   -- IANA name; null = unknown
    attributes json not null,           -- allow-listed in workspace.yml; never personal data
    origin varchar not null,            -- live | import
    updated_at timestamptz not null,    -- last change of any field
    change_no bigint not null           -- from change_numbers, anew at each change: enrolment rules look at what moved
);

create table identities (
    lead_id bigint not null,            -- one row per lead
    email varchar,                      -- lower case
    phone varchar,                      -- + and digits
    first_name varchar,
    last_name varchar,
    external_id varchar,                -- the source's own key of the lead
    details json not null               -- other personal fields, by name: free text, sub_id, click_id
);

-- Leads that a person has found to be one: the other's id is nowhere else any more.
create table merged_leads (
    lead_id bigint not null,            -- the one that is gone; once
    kept_lead_id bigint not null,       -- leads: who it is now, after later merges too
    merged_at timestamptz not null,     -- when
    merged_by varchar                   -- who, in their own words
);

-- What named a lead that was merged into another; it goes on naming it. Personal data.
create table aliases (
    lead_id bigint not null,            -- leads: the kept one
    email varchar,                      -- lower case
    phone varchar,                      -- + and digits
    external_id varchar,                -- the source's own key
    external_source varchar not null    -- that source
);

create table suppressions (
    lead_id bigint not null,            -- whose
    channel varchar,                    -- email | sms | …; null = every channel
    sequence_id varchar,                -- only this sequence; null = the whole workspace
    reason varchar not null,            -- unsubscribed | complained | bounced | do_not_contact
    created_at timestamptz not null,    -- when the person or the provider said so
    lifted_at timestamptz               -- a re-subscription lifts an unsubscribe, nothing else (R20)
);

-- Sequences ----------------------------------------------------------------------------------------------------------

create table sequences (
    sequence_id varchar not null,       -- file name without .yml
    name varchar not null,              -- as people call it, one of a kind in the workspace
    owner varchar not null,             -- as the file says now
    created_by varchar not null,        -- owner when a tick first saw the file
    created_at timestamptz not null,    -- when a tick first saw the file
    updated_at timestamptz not null,    -- when a tick first saw its last change, texts and settings included
    status varchar not null,            -- draft | active | paused | archived as the file says; removed without one
    fingerprint varchar not null,       -- of everything compiled from the file
    campaign varchar,                   -- as the file says now
    tags varchar[] not null             -- as the file says now
);

create table sequence_versions (
    version_id bigint not null,         -- serial
    sequence_id varchar not null,       -- file name without .yml
    version varchar not null,           -- hash of steps, templates, snippets, goal (R19)
    goal_name varchar,                  -- goal that ends an enrollment as converted
    goal_within_seconds bigint,         -- null = no limit
    definition json not null,           -- the compiled steps with their content; [] for imported history
    registered_at timestamptz not null, -- when a tick first saw it
    origin varchar not null             -- live | import
);

create table steps (
    version_id bigint not null,         -- sequence_versions
    step_ix smallint not null,          -- position in the flattened sequence, from 0; branches and ends included
    step_id varchar not null,           -- id in the file
    kind varchar not null,              -- a channel (email, sms, call, …), best, branch, wait, wait_for or end
    experiment_id varchar               -- experiment on this step, if any
);

-- Which template file a version had its words from; a step without a row has them in the sequence's file.
create table step_templates (
    version_id bigint not null,         -- sequence_versions
    step_ix smallint not null,          -- steps
    arm varchar,                        -- arm with words of its own; null = all others
    template varchar not null           -- templates/<name>.md
);

-- What a message of a sender costs, by workspace.yml; a message has the price that stood there at its hand-over.
create table prices (
    sender varchar not null,            -- sender's name in workspace.yml
    cost decimal(18, 4),                -- of one message; null = nothing is written any more
    currency varchar not null,          -- ISO 4217: that of the workspace then
    since timestamptz not null          -- when a tick first saw it
);

create table experiments (
    experiment_id varchar not null,     -- for ever
    sequence_id varchar,                -- where it runs; null for an imported experiment outside a sequence
    step_id varchar,                    -- on which step
    varies varchar not null,            -- content (sender included) | delay | send_time | channel | presence
    metric varchar not null,            -- replied | clicked | opened | answered | goal(name) | revenue(name) | custom(name)
    window_seconds bigint not null,     -- outcome window from assignment
    mode varchar not null,              -- open | planned
    planned_leads bigint,               -- planned size, all arms together; in open mode a guess that tunes the boundary
    alpha double not null,              -- error rate of the whole experiment
    is_auto boolean not null,           -- the engine applies the winner
    registered_at timestamptz not null, -- when a tick or an import first saw it
    origin varchar not null,            -- live | import
    unit varchar not null default 'lead',       -- lead | account: who gets one arm
    allocation varchar not null default 'weights',  -- equal | weights | thompson: how arms are drawn
    definition json,                    -- what may not change once somebody was drawn; null for imports
    fingerprint varchar,                -- hash of the definition
    guardrails varchar[] not null default ['unsubscribed', 'complained', 'bounced'],  -- what is watched for harm
    expected_loss double,               -- share of the base rate: an arm that costs less is taken; null = never
    margin double                       -- share of the control's rate within which arms are equivalent; null = never
);

create table arms (
    experiment_id varchar not null,     -- experiments
    arm varchar not null,               -- variant id; '(holdout)' for the group that is never contacted
    role varchar not null,              -- control | treatment | held_out
    share double not null,              -- expected share of all units, the held-out group included; sums to 1
    delay_seconds bigint                -- for delay experiments: the arm's delay, for display and advice
);

create table assignments (
    experiment_id varchar not null,     -- experiments
    unit_id bigint not null,            -- lead_id; in a test by account a hash of the account, or the id of a lead without one
    arm varchar not null,               -- arms
    probability double not null,        -- with which this arm was drawn
    assigned_at timestamptz not null,   -- time zero of the outcome window (R13)
    enrollment_id bigint,               -- where it was drawn; null for imports without enrollments
    reason varchar not null             -- hash | winner (after a decision, outside the analysis) | import | merge (not drawn: another arm of a merged lead, which takes the unit out of the analysis)
);

-- Of sequences with preferred hours: the block of the day that was drawn for a message, once; no row = no choice.
create table hour_draws (
    enrollment_id bigint not null,      -- enrollments
    version_id bigint not null,
    step_ix smallint not null,          -- step of that version; drawn once for each
    drawn_at timestamptz not null,      -- the tick
    slot_at timestamptz not null,       -- first open instant of the block, or the tick itself
    local_on date not null,             -- day in the zone of the enrollment
    block smallint not null,            -- four hours of the wall clock: 0 = 00:00 to 04:00, 5 = 20:00 to 24:00
    propensity double not null,         -- with which this block was drawn among those that were open
    scored_at timestamptz not null      -- moment of the scores that decided
);

-- Tests by account: the leads that have come to the test, each under the account it had then.
create table account_leads (
    experiment_id varchar not null,     -- experiments, of unit account
    unit_id bigint not null,            -- assignments
    lead_id bigint not null,            -- once per experiment
    enrollment_id bigint not null,      -- in which it came to the test first
    joined_at timestamptz not null      -- when; outcomes count from the account's assignment
);

-- Enrollments --------------------------------------------------------------------------------------------------------

create table enrollments (
    enrollment_id bigint not null,      -- serial
    lead_id bigint not null,            -- leads
    sequence_id varchar not null,       -- sequence
    version_id bigint not null,         -- version at enrollment (R19)
    entry_no smallint not null,         -- 1 for the first time in this sequence
    enrolled_at timestamptz not null,   -- when
    enrolled_by varchar not null,       -- rule | event | segment | list | hand | api | import
    is_holdout boolean not null,        -- never contacted (R12); counted in no "enrolled" number
    origin varchar not null,            -- live | import
    held_out_by varchar,                -- workspace (held out everywhere) | sequence; null for the contacted and for imports
    starts_at timestamptz               -- first step counts from it (R1); null = from enrolled_at
);

-- What a sequence's templates find under `context`; may hold personal data.
create table enrollment_contexts (
    command_id bigint not null,         -- commands: the request that brought it
    enrollment_id bigint,               -- enrollments, once enrolled
    context json not null               -- an object, as it was given
);

-- What somebody asked for, by command line or API, and what became of it.
create table commands (
    command_id bigint not null,         -- hash of source and key: the same request twice has the same
    kind varchar not null,              -- enroll | do_not_contact
    lead_id bigint not null,            -- leads
    sequence_id varchar,                -- for enroll: as asked for, whether there is one or not
    enrolled_by varchar,                -- for enroll: segment | list | hand | api
    starts_at timestamptz,              -- for enroll: first step counts from it
    requested_at timestamptz not null,  -- when it was received
    requested_by varchar,               -- who, in their own words
    decided_at timestamptz,             -- the tick that decided; null = open
    outcome varchar,                    -- enrolled | refused | done; null = open
    reason varchar,                     -- for refused: unknown_sequence, not_active, running, cooldown, campaign, max_leads, do_not_contact
    enrollment_id bigint                -- for enrolled
);

create table enrollment_ends (
    enrollment_id bigint not null,      -- at most one row each
    ended_at timestamptz not null,      -- when
    status varchar not null,            -- completed | converted | exited
    reason varchar                      -- why: goal name, replied, bounced, archived, held_out, …
);

create table enrollment_pauses (
    enrollment_id bigint not null,      -- enrollments
    paused_at timestamptz not null,     -- from
    resumed_at timestamptz,             -- to; null while paused
    reason varchar not null,            -- replied, operator, …
    resumes_at timestamptz              -- when it ends by itself; null = a person resumes
);

create table pauses (
    scope varchar not null,             -- sequence | campaign | everything
    name varchar,                       -- of the sequence or campaign; null for everything
    paused_by varchar not null,         -- operator | file (its status) | campaign (its name in `reason`) | STOP (the file)
    paused_at timestamptz not null,     -- from: the command, or the tick that saw it
    resumed_at timestamptz,             -- to; null while in force
    reason varchar not null             -- operator's words, file, STOP, …
);

-- What an operator ended, settled or ruled by hand; `drip why` tells it in the story of whom it concerned.
create table operator_acts (
    acted_at timestamptz not null,      -- when
    act varchar not null,               -- stopped | resolved; of an experiment declared | undeclared | paused | resumed
    scope varchar not null,             -- enrollment | sequence | campaign | experiment, or send
    name varchar not null,              -- its number or name
    result varchar not null             -- of a stop `<n> ended`; of a send handed_over | withdrawn | withdrawn, due again; the declared arm
);

create table migrations (
    enrollment_id bigint not null,      -- enrollments
    migrated_at timestamptz not null,   -- when a person moved it to another version (R19)
    from_version_id bigint not null,    -- sequence_versions
    from_step_ix smallint not null,     -- the open step there
    to_version_id bigint not null,      -- sequence_versions
    to_step_ix smallint not null        -- the open step here
);

-- The narrow hot table: one row per running enrollment, all that planning reads. Ended ones leave it.
create table live (
    enrollment_id bigint not null,
    lead_id bigint not null,
    version_id bigint not null,
    step_ix smallint not null,          -- the open step
    status varchar not null,            -- waiting | in_flight (claimed) | retry (slot_at is the next attempt)
    due_at timestamptz not null,        -- when the open step is due (R1, R2)
    slot_at timestamptz not null,       -- first instant at or after due_at that calendar and limits allow, as far as known (R4)
    anchor_at timestamptz not null,     -- when the previous step was settled, or the start
    enrolled_at timestamptz not null,   -- start of the enrollment
    zone varchar not null,              -- zone in which due_at was computed
    is_holdout boolean not null,
    is_paused boolean not null,         -- by an event or a person; see enrollment_pauses
    is_ended boolean not null,          -- ended by an event while in flight: leaves when the send is settled
    arm varchar,                        -- arm on the open step of a test that is drawn when the previous one settled (all but content)
    send_id bigint,                     -- the open step's send once claimed, kept through retries
    attempts smallint not null,         -- claims and attempts of the open step so far
    sent_mask bigint not null,          -- bit step_ix: handed over (or unknown)
    opened_mask bigint not null,        -- bit step_ix: opened by a human
    clicked_mask bigint not null,       -- bit step_ix: clicked by a human
    has_replied boolean not null,       -- replied in this enrollment
    has_converted boolean not null,     -- the lead converted with this sequence's goal since enrollment
    count_sends smallint not null       -- contacts claimed (R10)
);

-- Sends --------------------------------------------------------------------------------------------------------------

create table sends (
    send_id bigint not null,            -- serial; one row per enrollment and step: the intent
    enrollment_id bigint not null,
    lead_id bigint not null,
    version_id bigint not null,
    step_ix smallint not null,
    variant varchar,                    -- arm whose content was sent; null outside experiments
    channel varchar not null,           -- email | sms | call | whatsapp | task | linkedin | webhook | form
    sender varchar not null,            -- sender's name in workspace.yml
    claimed_at timestamptz not null,    -- first claim
    slot_at timestamptz not null,       -- when it could first have gone: lateness = hand-over − slot_at
    zone varchar not null,              -- zone used
    local_on date not null,             -- calendar day in that zone (R11)
    origin varchar not null,            -- live | import
    recipient_domain varchar            -- lower-case domain of the address at the claim; null for what is no mail, and imports
);

-- A claim that a pause took back gave its place back; claimed anew it counts here, where limits look, and not in `sends`.
create table reclaims (
    send_id bigint not null,            -- sends
    lead_id bigint not null,
    version_id bigint not null,
    channel varchar not null,
    sender varchar not null,
    claimed_at timestamptz not null,    -- this claim
    local_on date not null,             -- calendar day of this claim in the zone of the send (R11)
    recipient_domain varchar,           -- as in sends, at this claim
    attempt smallint not null           -- first attempt of this claim
);

-- After a migration a message may stand at another place of the version that its enrollment is on; see `placed_sends`.
create table moved_sends (
    send_id bigint not null,            -- sends
    step_ix smallint not null           -- place of its step in that version; -1 = it is not there any more
);

create table send_outcomes (
    send_id bigint not null,            -- sends; several rows while it is retried, one final row
    settled_at timestamptz not null,    -- when: provider's answer, or begin of an unknown one
    status varchar not null,            -- handed_over | retry | refused | unknown | withdrawn (claim taken back before hand-over)
    reason varchar,                     -- provider's words (no addresses), or unsubscribed, paused, ended, …
    attempt smallint not null,          -- which attempt this was, from 1: claims and retries count up together
    message_id varchar,                 -- Message-ID or the provider's id
    next_attempt_at timestamptz         -- for retry
);

-- One row per decision about a planned step. The outcome of a claim is that of its send's latest outcome: see the view `why_outcomes`.
create table why (
    planned_at timestamptz not null,    -- the tick
    enrollment_id bigint not null,
    version_id bigint not null,
    step_ix smallint not null,
    outcome varchar not null,           -- claimed | postponed | skipped | held_out
    reason varchar,                     -- condition, late, window, unsubscribed, no_address, cap, …
    until_at timestamptz,               -- for postponed: the next slot
    send_id bigint,                     -- for claimed
    attempt smallint                    -- for claimed: number of its first attempt
);

-- Events -------------------------------------------------------------------------------------------------------------

create table events (
    event_id bigint not null,           -- hash of source and key: duplicates have the same
    kind varchar not null,              -- vocabulary of design.md section 4
    name varchar,                       -- goal of a conversion, name of a custom event
    occurred_at timestamptz not null,   -- when it happened
    received_at timestamptz not null,   -- when we were told
    lead_id bigint not null,
    enrollment_id bigint,               -- when the event is tied to a message
    send_id bigint,                     -- when the event is tied to a message
    step_ix smallint,                   -- step of that message
    url varchar,                        -- target of a click
    value decimal(18, 4),               -- money of a conversion
    currency varchar,                   -- ISO 4217
    agent varchar,                      -- user agent, for the verdict
    network varchar,                    -- coarse network (/24, /48) as a keyed hash, for the verdict
    verdict varchar not null,           -- human | uncertain | machine
    verdict_version smallint not null,  -- version of the classifier
    source varchar not null,            -- tracker | webhook:<name> | import:<name> | operator | dispatcher
    origin varchar not null,            -- live | import
    callback_at timestamptz,            -- moment that a lead wants to be called at, of callback_requested
    word varchar                        -- value of a custom event that is no money, such as a deal's stage
);

-- Opens and clicks wait here until the burst around them can be judged (R5); then they reach the masks of `live`.
create table engagement_pending (
    event_id bigint not null,
    lead_id bigint not null,            -- leads
    enrollment_id bigint,               -- null = of no message; it settles waits all the same (R1)
    step_ix smallint,
    kind varchar not null,              -- opened | clicked
    received_at timestamptz not null
);

-- Who would enter now, were they not in another sequence of the campaign; looked at again when an enrollment has ended.
create table entry_waits (
    sequence_id varchar not null,       -- wants to take the lead
    lead_id bigint not null,            -- leads
    waits_since timestamptz not null    -- the tick that found the lead in another sequence
);

-- Events that enroll their lead, until a tick has looked at them (`enroll.event`).
create table entry_events (
    event_id bigint not null,           -- events
    sequence_id varchar not null,       -- wants to take the lead
    lead_id bigint not null,            -- leads
    received_at timestamptz not null,   -- of the event
    counts_at timestamptz               -- when it can be judged (R5); null = judged no person's, an hour long that may change
);

-- Of sequences with `reenter: auto`: who has been in it and fitted the rule no longer when it last looked (R18).
create table rule_exits (
    sequence_id varchar not null,
    lead_id bigint not null
);

create table watermarks (
    name varchar not null,              -- enroll:<sequence_id> | waits
    fingerprint varchar not null,       -- of the rule: another rule looks at everybody again
    change_no bigint not null           -- leads up to here were looked at; for waits, how many enrollments had ended
);

-- Looks and decisions ------------------------------------------------------------------------------------------------

create table looks (
    experiment_id varchar not null,     -- one row per experiment and workspace day (R15, R23)
    looked_on date not null,            -- workspace day
    looked_at timestamptz not null,     -- moment of the facts
    state varchar not null,             -- collecting | running | winner | either_of | no_difference | harmful | invalid
    winner varchar,                     -- arm
    reason varchar not null,            -- in words
    evidence json not null,             -- everything needed to recompute the decision, boundary state included
    applied_at timestamptz,             -- when the winner was applied, for automatic ones
    stopped varchar[]                   -- arms that do harm: no further lead gets them, for automatic ones
);

create table jobs (
    job varchar not null,               -- tick | refresh
    started_at timestamptz not null,    -- moment of the facts (the virtual clock in a simulation)
    seconds double not null,            -- how long it took
    rows_json json not null             -- row counts by name
);

-- Sends and events with the place of their step in the version that the enrollment is on now: what conditions ask.
create view placed_sends as
select s.* replace (coalesce(m.step_ix, s.step_ix) as step_ix)
from sends as s
left join moved_sends as m on s.send_id = m.send_id;

create view placed_events as
select e.* replace (coalesce(m.step_ix, e.step_ix) as step_ix)
from events as e
left join moved_sends as m on e.send_id = m.send_id;

-- Whatever names a lead. Without an external source of its own a key is of the source of the lead.
create view lead_keys as
select lead_id, email, phone, external_id, details ->> '$.external_source' as external_source
from identities
union all
select lead_id, email, phone, external_id, external_source
from aliases;

-- Views that people may query ----------------------------------------------------------------------------------------

-- One row per send: the intent and its latest outcome; a second call that was not made leaves the first one handed over.
create view send_status as
with last_outcome as (
    select
        send_id,
        max_by(status, (attempt, settled_at)) as latest,
        latest in ('withdrawn', 'refused', 'retry') and bool_or(status = 'handed_over') as was_made,
        if(was_made, 'handed_over', latest) as status,
        if(was_made, null, arg_max_null(reason, (attempt, settled_at))) as reason,
        max(settled_at) as settled_at,
        max(message_id) as message_id,
        max(attempt) as attempts
    from send_outcomes
    group by send_id
)

select
    s.send_id, s.enrollment_id, s.lead_id, s.version_id, s.step_ix, s.variant, s.channel, s.sender, s.claimed_at,
    s.slot_at, s.zone, s.local_on, s.origin,
    coalesce(o.status, 'claimed') as status, o.reason, o.settled_at, o.message_id, coalesce(o.attempts, 0) as attempts,
    s.recipient_domain
from sends as s
left join last_outcome as o using (send_id);

-- One row per contact that counts for limits (R10): claims since a moment, without those that were taken back.
-- Imports count nowhere, nor do tasks and webhooks. Restricted by time on every side, so that row groups are left out.
create macro contacts_since(since) as table (
    with taken_back as (
        select send_id, max(attempt) as attempt
        from send_outcomes
        where status = 'withdrawn' and settled_at >= since
        group by send_id
    ),

    -- Where a second call was taken back, the claim of the first one stays.
    kept as (
        select t.send_id, coalesce(max(r.attempt), 1) as attempt
        from taken_back as t
        inner join send_outcomes as o on t.send_id = o.send_id and t.attempt > o.attempt
        left join reclaims as r on t.send_id = r.send_id and o.attempt >= r.attempt
        where o.status in ('handed_over', 'unknown') and o.settled_at >= since
        group by t.send_id
    ),

    claims as (
        select send_id, lead_id, version_id, channel, sender, claimed_at, local_on, recipient_domain, 1 as attempt
        from sends
        where claimed_at >= since and origin = 'live'
        union all
        select send_id, lead_id, version_id, channel, sender, claimed_at, local_on, recipient_domain, attempt
        from reclaims
        where claimed_at >= since
    )

    select c.send_id, c.lead_id, c.version_id, c.sender, c.claimed_at, c.local_on, c.recipient_domain
    from claims as c
    left join taken_back as t on c.send_id = t.send_id
    left join kept as k on c.send_id = k.send_id
    where
        (t.attempt is null or t.attempt < c.attempt or c.attempt = k.attempt)
        and c.channel not in ('task', 'linkedin', 'webhook')
);

-- One row per lead: the first status that holds. Who is held out everywhere stays new.
create view lead_status as
with blocked as (
    select distinct lead_id
    from suppressions
    where reason = 'do_not_contact' and channel is null and sequence_id is null and lifted_at is null
),

-- A goal is reached while its last word is not a reversal (R16).
goals as (
    select lead_id, max_by(kind, (occurred_at, received_at, event_id)) = 'converted' as is_reached
    from events
    where kind in ('converted', 'conversion_reversed')
    group by lead_id, name
),

outcomes as (
    select lead_id, bool_or(is_reached) as is_converted, bool_or(not is_reached) as is_rejected
    from (
        select lead_id, is_reached from goals
        union all
        select lead_id, false as is_reached from events where kind = 'rejected'
    ) as words
    group by lead_id
),

responses as (
    select lead_id, max(occurred_at) as responded_at
    from events
    where kind in ('replied', 'meeting_booked', 'call_answered', 'callback_requested') and verdict = 'human'
    group by lead_id
),

contacts as (
    select distinct s.lead_id
    from sends as s
    inner join send_outcomes as o on s.send_id = o.send_id
    where o.status = 'handed_over' and s.channel not in ('task', 'linkedin', 'webhook')
),

entries as (
    select
        e.lead_id,
        bool_or(x.enrollment_id is null and e.origin = 'live') as is_running,
        max(x.ended_at) filter (where x.reason = 'inactive') as inactive_at
    from enrollments as e
    left join enrollment_ends as x on e.enrollment_id = x.enrollment_id
    where not e.is_holdout
    group by e.lead_id
)

select
    l.lead_id,
    case
        when b.lead_id is not null then 'do_not_contact'
        when g.is_converted then 'converted'
        when g.is_rejected then 'rejected'
        when not n.is_running and n.inactive_at > coalesce(r.responded_at, '-infinity'::timestamptz) then 'inactive'
        when r.lead_id is not null then 'responded'
        when c.lead_id is not null then 'contacted'
        when n.is_running then 'in_progress'
        else 'new'
    end as status
from leads as l
left join blocked as b on l.lead_id = b.lead_id
left join outcomes as g on l.lead_id = g.lead_id
left join responses as r on l.lead_id = r.lead_id
left join contacts as c on l.lead_id = c.lead_id
left join entries as n on l.lead_id = n.lead_id;

-- One row per decision, with what became of it: planned = sent + postponed + skipped + held_out + refused + unknown + in_flight.
create view why_outcomes as
with claims as (
    select
        *,
        lead(attempt) over (partition by send_id order by attempt) as next_claim
    from why
    where outcome = 'claimed'
),

settled as (
    select
        c.send_id,
        c.attempt,
        max_by(o.status, (o.attempt, o.settled_at)) as status,
        arg_max_null(o.reason, (o.attempt, o.settled_at)) as reason,
        max(o.settled_at) as settled_at
    from claims as c
    inner join send_outcomes as o
        on c.send_id = o.send_id and o.attempt >= c.attempt and o.attempt < coalesce(c.next_claim, 32767)
    group by c.send_id, c.attempt
)

select
    w.planned_at,
    w.enrollment_id,
    w.version_id,
    w.step_ix,
    case
        when w.outcome != 'claimed' then w.outcome
        when s.status = 'handed_over' then 'sent'
        when s.status in ('refused', 'unknown') then s.status
        when s.status = 'withdrawn' and s.reason in ('paused', 'reopened') then 'postponed'
        when s.status = 'withdrawn' then 'skipped'
        else 'in_flight'
    end as outcome,
    coalesce(w.reason, s.reason) as reason,
    w.until_at,
    w.send_id,
    s.settled_at
from why as w
left join settled as s on w.send_id = s.send_id and w.attempt = s.attempt;
