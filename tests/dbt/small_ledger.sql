-- Nine leads whose numbers can be told by hand, at 2026-03-31 12:00 UTC in New York.
-- 1 does everything right. 2 converts late and is opened by a machine. 3 is held out. 4 had bought before. 5's sale is
-- reversed. 6 is too fresh. 7 saw two arms and paid in euros. 8 got the winner and may not be contacted. 9 is nowhere.
insert into leads
select i, '2026-01-01T12:00:00Z', 'META', if(i < 9, 'US', null), 'America/New_York',
    case when i < 3 then '{"industry": "steel", "title": "cto"}' when i < 5 then '{"industry": "food"}' else '{}' end, 'live', '2026-01-01T12:00:00Z', i
from generate_series(1, 9) as t (i);

insert into sequence_versions values
(1, 'welcome', 'v1', 'sale', 30 * 86400, '[]', '2026-01-01T12:00:00Z', 'live');

insert into steps values (1, 0, 'hello', 'email', 'subject_1'), (1, 1, 'nudge', 'sms', 'wait_1');

insert into sequences values
('welcome', 'Welcome', 'a', 'a', '2026-01-01T12:00:00Z', '2026-01-01T12:00:00Z', 'active', 'f', 'spring', ['offer', 'b2b']);

insert into step_templates values (1, 0, null, 'templates/hello.md'), (1, 0, 'b', 'templates/b.md');

-- The first mail came before there was a price, texts are paid in euros.
insert into prices values
('sales', 0.01, 'USD', '2026-02-15T12:00:00Z'), ('sales', 0.02, 'USD', '2026-03-10T12:00:00Z'),
('texts', 0.05, 'EUR', '2026-01-01T12:00:00Z');

insert into experiments (
    experiment_id, sequence_id, step_id, varies, metric, window_seconds, mode, planned_leads, alpha, is_auto, registered_at,
    origin
) values
('subject_1', 'welcome', 'hello', 'content', 'replied', 14 * 86400, 'open', null, 0.05, true, '2026-01-01T12:00:00Z', 'live'),
('wait_1', 'welcome', 'nudge', 'delay', 'goal(sale)', 14 * 86400, 'open', null, 0.05, false, '2026-01-01T12:00:00Z', 'live');

insert into operator_acts values
('2026-03-01T12:00:00Z', 'declared', 'experiment', 'subject_1', 'a'), ('2026-03-02T12:00:00Z', 'declared', 'experiment', 'subject_1', 'b'),
('2026-03-03T12:00:00Z', 'paused', 'experiment', 'subject_1', ''), ('2026-03-04T12:00:00Z', 'resumed', 'experiment', 'subject_1', ''),
('2026-03-01T12:00:00Z', 'declared', 'experiment', 'wait_1', 'long'), ('2026-03-02T12:00:00Z', 'undeclared', 'experiment', 'wait_1', ''),
('2026-03-03T12:00:00Z', 'paused', 'experiment', 'wait_1', ''), ('2026-03-03T13:00:00Z', 'stopped', 'sequence', 'wait_1', '0 ended');

insert into arms values
('subject_1', 'a', 'control', 0.5, null), ('subject_1', 'b', 'treatment', 0.5, null),
('wait_1', 'short', 'control', 0.4, 3600), ('wait_1', 'long', 'treatment', 0.4, 86400),
('wait_1', 'longer', 'treatment', 0.2, 172800);

insert into assignments values
('subject_1', 1, 'a', 0.5, '2026-03-02T15:00:00Z', 1, 'hash'),
('subject_1', 2, 'b', 0.5, '2026-02-02T15:00:00Z', 2, 'hash'),
('subject_1', 4, 'a', 0.5, '2026-03-03T15:00:00Z', 4, 'hash'),
('subject_1', 5, 'b', 0.5, '2026-03-03T15:00:00Z', 5, 'hash'),
('subject_1', 6, 'a', 0.5, '2026-03-30T18:00:00Z', 6, 'hash'),
('subject_1', 7, 'a', 0.5, '2026-03-03T15:00:00Z', 7, 'hash'),
('subject_1', 7, 'b', 0.5, '2026-03-04T15:00:00Z', 7, 'import'),
('subject_1', 8, 'a', 1.0, '2026-03-03T15:00:00Z', 8, 'winner'),
('wait_1', 1, 'short', 0.4, '2026-03-02T15:00:30Z', 1, 'hash'),
('wait_1', 2, 'long', 0.4, '2026-02-02T15:00:00Z', 2, 'hash');

insert into enrollments (
    enrollment_id, lead_id, sequence_id, version_id, entry_no, enrolled_at, enrolled_by, is_holdout, origin
) values
(1, 1, 'welcome', 1, 1, '2026-03-02T14:00:00Z', 'rule', false, 'live'),
(2, 2, 'welcome', 1, 1, '2026-02-01T14:00:00Z', 'rule', false, 'live'),
(3, 3, 'welcome', 1, 1, '2026-03-02T14:00:00Z', 'rule', true, 'live'),
(4, 4, 'welcome', 1, 1, '2026-03-02T14:00:00Z', 'rule', false, 'live'),
(5, 5, 'welcome', 1, 1, '2026-03-03T14:00:00Z', 'rule', false, 'live'),
(6, 6, 'welcome', 1, 1, '2026-03-30T14:00:00Z', 'rule', false, 'live'),
(7, 7, 'welcome', 1, 1, '2026-03-03T14:00:00Z', 'rule', false, 'live'),
-- 03:00 UTC is the evening before in New York.
(8, 8, 'welcome', 1, 1, '2026-03-03T03:00:00Z', 'rule', false, 'live');

insert into enrollment_ends values
(1, '2026-03-05T14:00:00Z', 'converted', 'sale'),
(2, '2026-02-10T14:00:00Z', 'completed', null),
(4, '2026-03-03T17:00:00Z', 'exited', 'bounced'),
(8, '2026-03-03T16:00:00Z', 'exited', 'do_not_contact');

insert into suppressions values (8, null, null, 'do_not_contact', '2026-03-03T16:00:00Z', null);

insert into live
select e.enrollment_id, e.lead_id, 1, 1, 'waiting', '2026-04-05T15:00:00Z', '2026-04-05T15:00:00Z', e.enrolled_at,
    e.enrolled_at, 'America/New_York', e.is_holdout, e.enrollment_id = 7, false, null, null, 0, 1, 0, 0, false, false, 1
from enrollments as e
where e.enrollment_id in (3, 5, 6, 7);

insert into sends values
(1, 1, 1, 1, 0, 'a', 'email', 'sales', '2026-03-02T15:00:00Z', '2026-03-02T15:00:00Z', 'America/New_York', '2026-03-02', 'live', 'acme.example'),
(2, 1, 1, 1, 1, 'short', 'sms', 'texts', '2026-03-04T15:00:00Z', '2026-03-04T15:00:00Z', 'America/New_York', '2026-03-04', 'live', null),
(3, 2, 2, 1, 0, 'b', 'email', 'sales', '2026-02-02T15:00:00Z', '2026-02-02T15:00:00Z', 'America/New_York', '2026-02-02', 'live', 'acme.example'),
(4, 4, 4, 1, 0, 'a', 'email', 'sales', '2026-03-03T15:00:00Z', '2026-03-03T15:00:00Z', 'America/New_York', '2026-03-03', 'live', 'acme.example'),
(5, 5, 5, 1, 0, 'b', 'email', 'sales', '2026-03-03T15:00:00Z', '2026-03-03T15:00:00Z', 'America/New_York', '2026-03-03', 'live', 'acme.example'),
(6, 6, 6, 1, 0, 'a', 'email', 'sales', '2026-03-30T18:00:00Z', '2026-03-30T18:00:00Z', 'America/New_York', '2026-03-30', 'live', 'acme.example'),
(7, 7, 7, 1, 0, 'a', 'email', 'sales', '2026-03-03T15:00:00Z', '2026-03-03T15:00:00Z', 'America/New_York', '2026-03-03', 'live', 'acme.example');

insert into hour_draws values
(1, 1, 0, '2026-03-02T15:00:00Z', '2026-03-02T15:00:00Z', '2026-03-02', 2, 0.9, '2026-03-01T15:00:00Z'),
(1, 1, 1, '2026-03-04T14:00:00Z', '2026-03-04T17:00:00Z', '2026-03-04', 3, 0.1, '2026-03-01T15:00:00Z');

insert into send_outcomes values
(1, '2026-03-02T15:00:10Z', 'retry', '451 later', 1, null, '2026-03-02T15:00:30Z'),
(1, '2026-03-02T15:00:30Z', 'handed_over', null, 2, '<1@x>', null),
(2, '2026-03-04T15:00:00Z', 'handed_over', null, 1, '<2@x>', null),
(3, '2026-02-02T15:00:00Z', 'handed_over', null, 1, '<3@x>', null),
(4, '2026-03-03T15:00:00Z', 'handed_over', null, 1, '<4@x>', null),
(5, '2026-03-03T15:00:00Z', 'handed_over', null, 1, '<5@x>', null),
(6, '2026-03-30T18:00:00Z', 'handed_over', null, 1, '<6@x>', null),
(7, '2026-03-03T15:00:00Z', 'refused', '550 no such user', 1, null, null);

insert into why values
('2026-03-02T14:30:00Z', 1, 1, 0, 'postponed', 'window', '2026-03-02T15:00:00Z', null, null),
('2026-03-02T15:00:00Z', 1, 1, 0, 'claimed', null, null, 1, 1),
('2026-03-04T15:00:00Z', 1, 1, 1, 'claimed', null, null, 2, 1),
('2026-02-02T15:00:00Z', 2, 1, 0, 'claimed', null, null, 3, 1),
('2026-02-03T15:00:00Z', 2, 1, 1, 'skipped', 'condition', null, null, null),
('2026-03-03T15:00:00Z', 3, 1, 0, 'held_out', null, null, null, null),
('2026-03-03T15:00:00Z', 4, 1, 0, 'claimed', null, null, 4, 1),
('2026-03-03T15:00:00Z', 5, 1, 0, 'claimed', null, null, 5, 1),
('2026-03-30T18:00:00Z', 6, 1, 0, 'claimed', null, null, 6, 1),
('2026-03-03T15:00:00Z', 7, 1, 0, 'claimed', null, null, 7, 1),
('2026-03-03T15:00:00Z', 8, 1, 0, 'postponed', 'window', '2026-03-03T16:00:00Z', null, null);

insert into events
select hash(kind, occurred_at, lead_id) % 1000000007, kind, name, occurred_at, occurred_at, lead_id, enrollment_id, send_id,
    step_ix, null, value, currency, null, null, verdict, 1, 'tracker', 'live', null, null
from (values
    ('opened', null, timestamptz '2026-03-02T16:00:00Z', 1, 1, 1, 0, null, null, 'machine'),
    ('clicked', null, timestamptz '2026-03-02T17:00:00Z', 1, 1, 1, 0, null, null, 'human'),
    ('replied', null, timestamptz '2026-03-04T16:00:00Z', 1, null, null, null, null, null, 'human'),
    ('delivered', null, timestamptz '2026-03-04T15:00:01Z', 1, 1, 2, 1, null, null, 'human'),
    ('converted', 'sale', timestamptz '2026-03-05T14:00:00Z', 1, null, null, null, 100, 'USD', 'human'),
    ('opened', null, timestamptz '2026-02-02T15:00:01Z', 2, 2, 3, 0, null, null, 'machine'),
    ('converted', 'sale', timestamptz '2026-03-20T14:00:00Z', 2, null, null, null, 40, 'USD', 'human'),
    ('converted', 'sale', timestamptz '2026-03-10T14:00:00Z', 3, null, null, null, 50, 'USD', 'human'),
    ('bounced', null, timestamptz '2026-03-03T16:00:00Z', 4, 4, 4, 0, null, null, 'human'),
    ('converted', 'sale', timestamptz '2026-03-01T14:00:00Z', 4, null, null, null, 30, 'USD', 'human'),
    ('converted', 'sale', timestamptz '2026-03-06T14:00:00Z', 5, null, null, null, 80, 'USD', 'human'),
    ('conversion_reversed', 'sale', timestamptz '2026-03-08T14:00:00Z', 5, null, null, null, null, null, 'human'),
    ('converted', 'sale', timestamptz '2026-03-06T14:00:00Z', 7, null, null, null, 70, 'EUR', 'human')
) as t (kind, name, occurred_at, lead_id, enrollment_id, send_id, step_ix, value, currency, verdict);

update sequence_versions set definition = '{"steps": [
    {"ix": 0, "channel": "email", "content": {"subject": "Hello", "body_text": "Read **this**"}},
    {"ix": 1, "channel": "sms", "content": {"text": "Still there?"}}
]}';
update experiments set definition = '{"arms": {
    "a": {"channel": "email", "content": {"subject": "Hello", "body_text": "Read **this**"}},
    "b": {"channel": "email", "content": {"subject": "A question", "body_text": "Read **this**"}}
}}' where experiment_id = 'subject_1';

-- Whatever is personal has the word in it that must not be published.
insert into identities values (
    1, 'untold@untold.example', '+untold', 'Untold', 'Untold', 'untold-1', '{"note": "untold"}'
);
insert into aliases values (1, 'untold2@untold.example', '+untold2', 'untold-2', 'UNTOLD');
insert into enrollment_contexts values (1, 1, '{"offer": "untold"}');
