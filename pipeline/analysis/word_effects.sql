-- One row per kind of text and feature that differs in enough tests.
create or replace table analysis.word_effects (
    evidence_label varchar not null,
    channel varchar not null,
    contact_no bigint,
    part varchar not null,
    metric varchar not null,
    kind varchar not null,
    feature varchar not null,
    count_tests bigint not null,
    count_texts bigint not null,
    n bigint not null,
    base_rate double not null,
    slope double not null,
    standard_error double not null,
    p_value double not null,
    q_value double not null,
    is_found boolean not null,
    lift double,
    lift_low double,
    lift_high double
);

comment on table analysis.word_effects is
'One row per evidence, channel, contact, part, metric, kind and feature that differs in 20 tests or more: what it brings within a test.';
comment on column analysis.word_effects.evidence_label is
'randomised: texts of a test against each other; not causal: versions of a step outside tests, one after the other.';
comment on column analysis.word_effects.channel is 'Channel.';
comment on column analysis.word_effects.contact_no is
'Place of the step among those that contact people, from 1; null = all of them together.';
comment on column analysis.word_effects.part is 'subject or body; texts and scripts are bodies.';
comment on column analysis.word_effects.metric is 'What is counted, as in marts.message_texts.';
comment on column analysis.word_effects.kind is
'phrase (one to three words), place (a word in a third of the text) or style (length, question and the like, judged together).';
comment on column analysis.word_effects.feature is
'The phrase, the word with its third, or the name of the style. Of features that stand in the same texts the longest.';
comment on column analysis.word_effects.count_tests is 'Tests in which the texts differ in it; 20 or more.';
comment on column analysis.word_effects.count_texts is 'Texts that have it.';
comment on column analysis.word_effects.n is
'Units who were drawn for these texts and observed for their whole window.';
comment on column analysis.word_effects.base_rate is 'Mean rate of these tests.';
comment on column analysis.word_effects.slope is
'Difference that it makes within a test, in standard deviations of one unit; of lengths for one character or word more.';
comment on column analysis.word_effects.standard_error is 'Its error, clustered by test.';
comment on column analysis.word_effects.p_value is 'Of no difference, by itself.';
comment on column analysis.word_effects.q_value is
'With all features of its kind of text together (Benjamini and Hochberg).';
comment on column analysis.word_effects.is_found is
'Whether q is at most 0.10: of what is found a tenth is false on average.';
comment on column analysis.word_effects.lift is
'Relative difference to expect, drawn to nothing as far as chance may have made it; null where not causal.';
comment on column analysis.word_effects.lift_low is 'Lower end of its 95 % interval.';
comment on column analysis.word_effects.lift_high is 'Upper end of its 95 % interval.';

insert into analysis.word_effects by name select * from new_rows; -- noqa: AM04
