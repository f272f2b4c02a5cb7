from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sequences.calendars import Calendar
from pipeline.sequences.compile import (
    CompiledSequence,
    compile_from_json,
    load_sequences,
    load_workspace,
    read_folder,
)
from pipeline.sequences.compiled import Delay, Late, Limits, Retry
from pipeline.settings import DripError

SHIPPED = Path(__file__).resolve().parents[2] / "sequences"
Write = Callable[..., Path]

MAIL = "channel: email, subject: Hi, body: templates/a.md"


def compiled(write: Write, text: str, **files: str) -> CompiledSequence:
    folder = write({"s.yml": text, **files})
    return load_sequences(folder, load_workspace(folder))[0]


def errors(write: Write, text: str, files: dict[str, str] | None = None) -> list[str]:
    folder = write({"s.yml": text, **(files or {})})
    return [str(problem) for problem in read_folder(folder)[2] if problem.severity == "error"]


def test_settings_of_the_file_arrive(write: Write) -> None:
    sequence = compiled(
        write,
        f"""
description: d
status: active
category: nurture
owner: o@example.com
enroll: {{when: "lead.plan = 'pro'", max_leads: 9, holdout: 12.5%}}
calendar: {{timezone: Europe/Oslo, fallback_timezone: UTC, days: [sat], hours: "22:00-02:00",
           preferred_hours: true}}
limits: {{per_day: 3, per_lead: 2}}
react: {{replied: pause}}
goal: {{name: sale, within: 2d}}
steps:
  - {{id: a, {MAIL}, retry: {{attempts: 1, backoff: 5m, then: exit}},
     late: {{after: 1h, then: send}}}}
  - {{id: b, after: {{since: enrollment, delay: 3d}}, channel: sms, text: "Hi"}}
""",
    )
    assert (sequence.sequence_id, sequence.status, sequence.owner) == (
        "s",
        "active",
        "o@example.com",
    )
    assert sequence.enroll_when_sql
    assert "json_extract_string" in sequence.enroll_when_sql.lower()
    assert (sequence.max_leads, sequence.holdout) == (9, 0.125)
    assert sequence.calendar == Calendar(
        "Europe/Oslo", "UTC", (5,), ((1320, 1560),), prefers_hours=True
    )
    assert sequence.limits == Limits(3, 2)
    assert (sequence.react["replied"], sequence.react["converted"]) == ("pause", "stop")
    assert (sequence.goal_name, sequence.goal_within_seconds) == ("sale", 172_800)
    mail, text = sequence.steps
    assert (mail.kind, mail.channel, mail.sender) == ("email", "email", "sales")
    assert mail.content == {
        "subject": "Hi",
        "body_text": "Hello {{ first_name | default('there') }}",
    }
    assert (mail.retry, mail.late) == (Retry(1, 300, "exit"), Late(3600, "send"))
    assert (text.kind, text.sender, text.content) == ("sms", "text", {"text": "Hi"})
    assert text.delay == Delay("days", 3, "enrollment")
    assert (mail.next_ix, text.next_ix) == (1, -1)


BRANCHES = f"""
limits: {{per_lead: 9}}
steps:
  - {{id: first, {MAIL}}}
  - id: which
    after: 1d
    branch:
      - when: opened('first')
        steps:
          - {{id: x1, {MAIL}}}
          - id: inner
            branch:
              - {{when: replied(), steps: [{{id: deep, {MAIL}}}]}}
      - when: clicked('first')
      - steps:
          - {{id: y1, {MAIL}}}
          - {{id: gone, after: 3d, end: inactive}}
  - {{id: last, {MAIL}, when: sent('deep') or sent('y1')}}
  - {{id: done, end: completed, when: replied()}}
"""


def test_branches_are_laid_out_flat_and_join_behind(write: Write) -> None:
    steps = {step.step_id: step for step in compiled(write, BRANCHES).steps}
    ix = {name: step.ix for name, step in steps.items()}
    assert list(ix) == ["first", "which", "x1", "inner", "deep", "y1", "gone", "last", "done"]
    which = steps["which"]
    assert which.kind == "branch"
    assert which.delay == Delay("days", 1)
    assert [target for _, target in which.cases] == [ix["x1"], ix["last"], ix["y1"]]
    assert [sql is None for sql, _ in which.cases] == [False, False, True]
    assert which.next_ix == ix["last"]
    # A branch without a last way for all others gets one that goes on behind it.
    inner = steps["inner"]
    assert inner.cases[1:] == ((None, ix["last"]),)
    assert (steps["x1"].next_ix, steps["deep"].next_ix) == (ix["inner"], ix["last"])
    assert (steps["y1"].next_ix, steps["gone"].next_ix) == (ix["gone"], -1)
    assert (steps["gone"].end_status, steps["done"].end_status) == ("inactive", None)
    assert (steps["last"].next_ix, steps["done"].next_ix) == (ix["done"], -1)


TREES = st.recursive(
    st.just("mail"),
    lambda inner: st.lists(st.lists(inner, max_size=2), min_size=1, max_size=2),
    max_leaves=12,
)


def yaml_of(tree: object, names: list[str]) -> str:
    names.append(f"s{len(names)}")
    name = names[-1]
    if tree == "mail":
        return f"{{id: {name}, {MAIL}}}"
    assert isinstance(tree, list)
    ways = [f"{{steps: [{', '.join(yaml_of(step, names) for step in way)}]}}" for way in tree]
    conditions = [way.replace("{", "{when: replied(), ", 1) for way in ways[:-1]]
    return f"{{id: {name}, branch: [{', '.join([*conditions, ways[-1]])}]}}"


@given(st.lists(TREES, min_size=1, max_size=4))
def test_every_step_leads_forward_to_the_end_and_is_reached(
    tmp_path_factory: pytest.TempPathFactory, trees: list[object]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "trees"
    (folder / "templates").mkdir(parents=True, exist_ok=True)
    (folder / "templates" / "a.md").write_text("x")
    (folder / "workspace.yml").write_text(
        "name: x\ntimezone: UTC\nsenders: {a: {channel: email, address: a@example.com}}\n"
    )
    names: list[str] = []
    text = ", ".join(yaml_of(tree, names) for tree in trees)
    (folder / "s.yml").write_text(f"limits: {{per_lead: 60}}\nsteps: [{text}]\n")
    sequence = load_sequences(folder, load_workspace(folder))[0]
    targets = {0}
    for step in sequence.steps:
        followers = [step.next_ix, *(target for _, target in step.cases)]
        assert all(target == -1 or target > step.ix for target in followers)
        targets.update(target for _, target in step.cases) if step.cases else targets.add(
            step.next_ix
        )
    assert targets >= set(range(len(sequence.steps)))
    assert [step.step_id for step in sequence.steps] == names
    assert compile_from_json("s", sequence.content_json) == sequence.steps


def test_the_version_follows_steps_templates_snippets_and_goal(write: Write) -> None:
    base = f"goal: {{name: sale}}\nsteps: [{{id: a, {MAIL}}}]"
    include = {"templates/a.md": "x {% include 'snippets/s.md' %}", "snippets/s.md": "one\n"}
    first = compiled(write, base, **include)
    assert first.steps[0].content["body_text"] == "x one"
    assert compiled(write, "# a comment\nstatus: paused\nowner: x\n" + base, **include).version == (
        first.version
    )
    versions = {
        first.version,
        compiled(write, base.replace("Hi", "Hello"), **include).version,
        compiled(write, base, **{**include, "snippets/s.md": "two"}).version,
        compiled(write, base, **{**include, "templates/a.md": "y"}).version,
        compiled(
            write, base.replace("{name: sale}", "{name: sale, within: 1d}"), **include
        ).version,
    }
    assert len(versions) == 5


def test_variants_carry_what_they_change(write: Write) -> None:
    sequence = compiled(
        write,
        f"""
steps:
  - id: a
    {MAIL.replace(", ", chr(10) + "    ")}
    experiment:
      id: e_1
      control: a
      share: 40%
      metric: goal(sale)
      window: 3d
      decide: {{mode: planned, leads: 100, alpha: 0.1, auto: true}}
      variants: [{{id: a}}, {{id: b, subject: Other, body: templates/b.md}}]
""",
        **{"templates/b.md": "B"},
    )
    test = sequence.steps[0].experiment
    assert test
    assert (test.experiment_id, test.control, test.share) == ("e_1", "a", 0.4)
    assert (test.metric, test.window_seconds, test.mode) == ("goal(sale)", 259_200, "planned")
    assert (test.planned_leads, test.alpha, test.is_auto) == (100, 0.1, True)
    assert [dict(variant.content) for variant in test.variants] == [
        {},
        {"subject": "Other", "body_text": "B"},
    ]


def one(step: str) -> str:
    return f"steps:\n  - {{id: a, {MAIL}}}\n  - {step}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(one(f"{{id: a, {MAIL}}}"), "s.yml:3: steps[1].id: step id 'a' twice", id="id"),
        pytest.param(
            one(f"{{id: b, {MAIL}, when: sent('c')}}"),
            "s.yml:3: steps[1].when: at character 1: sent('c'): there is no step 'c'. Known: a.",
            id="unknown step",
        ),
        pytest.param(
            one(f"{{id: b, {MAIL}, when: sent('b')}}"), "does not come before", id="own step"
        ),
        pytest.param(
            one(
                f"{{id: b, branch: [{{when: replied(), steps: [{{id: x, {MAIL}}}]}}, "
                f"{{steps: [{{id: y, {MAIL}, when: sent('x')}}]}}]}}"
            ),
            "steps[1].branch[1].steps[0].when: at character 1: sent('x'): it lies on another way",
            id="another way",
        ),
        pytest.param(
            one(f"{{id: b, branch: [{{steps: []}}]}}\n  - {{id: c, {MAIL}, when: sent('b')}}"),
            "it sends nothing",
            id="branch is no message",
        ),
        pytest.param(
            one("{id: b, after: 1d}"), "of channel, wait, wait_for, branch and end", id="none"
        ),
        pytest.param(one(f"{{id: b, end: inactive, {MAIL}}}"), "exactly one of", id="two kinds"),
        pytest.param(one("{id: b, end: inactive, text: x}"), "end steps have no text", id="end"),
        pytest.param(
            one(f"{{id: b, end: inactive}}\n  - {{id: c, {MAIL}}}"),
            "s.yml:4: steps[2]: never reached",
            id="after the end",
        ),
        pytest.param(
            one("{id: b, branch: [{steps: []}, {when: replied()}]}"),
            "steps[1].branch[0]: a way without `when` takes everybody",
            id="otherwise first",
        ),
        pytest.param(one("{id: b, channel: sms}"), "sms step without text", id="no text"),
        pytest.param(one("{id: b, channel: call, script: x}"), "no sender: add", id="no caller"),
        pytest.param(
            one("{id: b, channel: call, text: x}"), "have no text: write script", id="call"
        ),
        pytest.param(one("{id: b, channel: task, note: x}"), "task step without title", id="task"),
        pytest.param(
            one("{id: b, channel: sms, text: x, assignee: a@b.c}"),
            "have no assignee",
            id="assignee",
        ),
        pytest.param(
            one("{id: b, channel: sms, text: x, payload: {a: x}}"), "have no payload", id="payload"
        ),
        pytest.param(one("{id: b, channel: webhook}"), "no sender: add", id="no receiver"),
        pytest.param(
            one("{id: b, channel: webhook, text: x}"), "no text: write payload", id="webhook text"
        ),
        pytest.param(
            one("{id: b, channel: webhook, payload: {a: '{{ plann }}'}}"),
            "steps[1].payload.a: unknown variable",
            id="webhook variable",
        ),
        pytest.param(
            one("{id: b, channel: webhook, payload: {a: 1}}"),
            "steps[1].payload.a: a must be text: write it in",
            id="webhook number",
        ),
        pytest.param(
            one("{id: b, channel: form}"),
            "steps[1].payload: form step without payload: write its fields",
            id="form without payload",
        ),
        pytest.param(
            one("{id: b, channel: form, payload: {a: ~}}"), "without payload", id="empty form"
        ),
        pytest.param(one("{id: b, channel: form, payload: {a: x}}"), "no sender: add", id="filler"),
        pytest.param(
            one("{id: b, channel: form, payload: {a: x}, sender: sales}"),
            "sender 'sales' sends email, this step is form",
            id="form by mail",
        ),
        pytest.param(
            one("{id: b, channel: form, text: x}"),
            "form steps have no text: write payload",
            id="form text",
        ),
        pytest.param(
            one("{id: b, channel: form, payload: {a: {b: x}}}"),
            "steps[1].payload.a: a field of a payload holds no others: write one text",
            id="form in a form",
        ),
        pytest.param(
            one("{id: b, channel: form, payload: {a: [x, y]}}"),
            "steps[1].payload.a: a field of a payload holds no others",
            id="form with a list",
        ),
        pytest.param(
            one('{id: b, channel: form, payload: {"a\\tb": x}}'),
            "is no field's name: write it as the form has it",
            id="form field name",
        ),
        pytest.param(
            one("{id: b, channel: form, payload: {your-mail: '{{ plann }}'}}"),
            "steps[1].payload.your-mail: unknown variable",
            id="form variable",
        ),
        pytest.param(
            one(
                "{id: b, channel: best, text: x, subject: x, body: templates/a.md, payload: {a: x}}"
            ),
            "best steps have no payload: remove it, or write channel: webhook or form",
            id="best form",
        ),
        pytest.param(
            one("{id: b, channel: best, text: x}"), "texts of two at least", id="one option"
        ),
        pytest.param(
            one("{id: b, channel: best, text: x, subject: x}"),
            "best step without body",
            id="half an option",
        ),
        pytest.param(
            one("{id: b, channel: best, text: x, script: x}"), "no call sender", id="best caller"
        ),
        pytest.param(
            one("{id: b, channel: best, sender: sales, text: x, subject: x, body: templates/a.md}"),
            "best writes by the default sender",
            id="best sender",
        ),
        pytest.param(
            one("{id: b, channel: sms, text: x, subject: y}"), "have no subject", id="sms"
        ),
        pytest.param(
            one("{id: b, channel: email, subject: x}"), "write `body: templates/", id="no body"
        ),
        pytest.param(
            one("{id: b, channel: email, subject: x, body: templates/aa.md}"),
            "did you mean templates/a.md",
            id="no template",
        ),
        pytest.param(
            one("{id: b, channel: sms, text: '{{ frist_name }}'}"),
            "did you mean first_name",
            id="unknown variable",
        ),
        pytest.param(
            one(f"{{id: b, {MAIL}, sender: sels}}"),
            "s.yml:3: steps[1].sender: unknown sender 'sels'. Did you mean 'sales'?",
            id="unknown sender",
        ),
        pytest.param(
            one(f"{{id: b, {MAIL}, sender: text}}"), "sends sms, this step is email", id="channel"
        ),
        pytest.param(
            one('{id: b, channel: email, subject: "x\\ny", body: templates/a.md}'),
            "a subject is one line",
            id="two lines",
        ),
        pytest.param(
            f"goal: {{name: sele}}\nsteps: [{{id: a, {MAIL}}}]",
            "s.yml:1: goal.name: unknown goal 'sele'",
            id="goal",
        ),
        pytest.param(
            f"enroll: {{when: replied()}}\nsteps: [{{id: a, {MAIL}}}]",
            "an enrolment rule has lead.* only",
            id="enrolment rule",
        ),
        pytest.param(
            f"limits: {{per_lead: 1}}\n{one(f'{{id: b, {MAIL}}}')}",
            "s.yml:1: limits.per_lead: a lead may get 2 messages here",
            id="contacts",
        ),
        pytest.param(
            "steps:\n"
            + "".join(f"  - {{id: e{n}, end: inactive, when: replied()}}\n" for n in range(61)),
            "61 steps, at most 60",
            id="too many steps",
        ),
        pytest.param(
            f"steps: [{{id: a, {MAIL}, experiment: {{id: e, control: c, metric: replied, "
            "variants: [{id: a}, {id: b}]}}]",
            "steps[0].experiment.control: control 'c' is no variant",
            id="control",
        ),
    ],
)
def test_a_mistake_is_told_with_line_field_and_what_to_write(
    write: Write, text: str, expected: str
) -> None:
    found = errors(write, text)
    assert any(expected in line for line in found), found


def test_the_longest_path_counts_not_all_steps(write: Write) -> None:
    way = ", ".join(f"{{id: %s{n}, {MAIL}}}" for n in range(4))
    text = f"""
steps:
  - {{id: a, {MAIL}}}
  - id: b
    branch:
      - {{when: replied(), steps: [{way.replace("%s", "x")}]}}
      - {{steps: [{way.replace("%s", "y")}]}}
"""
    assert errors(write, text) == []
    assert any("6 messages" in line for line in errors(write, f"{text}  - {{id: c, {MAIL}}}\n"))


def test_an_experiment_id_is_used_once_across_files(write: Write) -> None:
    text = (
        f"steps: [{{id: a, {MAIL}, experiment: {{id: e_1, control: a, metric: replied, "
        "variants: [{id: a}, {id: b, subject: x}]}}]"
    )
    found = errors(write, text, {"t.yml": text})
    assert len(found) == 1
    assert found[0].startswith("t.yml:1: steps[0].experiment.id: experiment 'e_1' is also in s.yml")


def test_a_mistake_in_a_template_is_told_in_the_template_and_once(write: Write) -> None:
    found = errors(write, one(f"{{id: b, {MAIL}}}"), {"templates/a.md": "x\n{{ nope }}"})
    assert len(found) == 1
    assert found[0].startswith("templates/a.md:2: unknown variable 'nope'")


def test_loading_lists_every_problem_of_every_file(write: Write) -> None:
    folder = write({"s.yml": "steps: 1", "t.yml": "a: [1"})
    with pytest.raises(DripError) as caught:
        load_sequences(folder, load_workspace(folder))
    assert "2 problems" in str(caught.value)
    assert "s.yml:1: steps:" in str(caught.value)
    assert "t.yml:1: broken YAML" in str(caught.value)


def test_a_good_file_compiles_beside_a_bad_one(write: Write) -> None:
    folder = write({"s.yml": "steps: 1", "t.yml": f"steps: [{{id: a, {MAIL}}}]"})
    workspace, sequences, problems = read_folder(folder)
    assert workspace
    assert [sequence.sequence_id for sequence in sequences] == ["t"]
    assert len(problems) == 1


def test_a_missing_workspace_is_told_beside_the_mistakes_of_the_files(write: Write) -> None:
    folder = write({"s.yml": "stauts: x"}, workspace=None)
    with pytest.raises(DripError, match="drip init"):
        load_workspace(folder)
    assert len(read_folder(folder)[2]) == 3


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        pytest.param(
            "transports: {m: {kind: smtp}}", "workspace.yml:10: transports.m: smtp needs", id="host"
        ),
        pytest.param("transports: {m: {kind: http}}", "http needs an address", id="url"),
        pytest.param(
            "transports: {m: {kind: http, url: 'http://a.example/in'}, maildir: {kind: maildir}}",
            "transports.m.url: 'http://a.example/in' is no address to post to",
            id="plain http",
        ),
        pytest.param(
            "transports: {maildir: {kind: http, url: 'https://a.example/in'}}",
            "senders.sales.transport: email does not travel over http",
            id="mail over http",
        ),
        pytest.param("default_senders: {email: text}", "no email sender 'text'", id="default"),
        pytest.param(
            "transports: {m: {kind: maildir}}", "unknown transport 'maildir'", id="transport"
        ),
    ],
)
def test_a_workspace_that_contradicts_itself_is_told(
    write: Write, extra: str, expected: str
) -> None:
    folder = write()
    path = folder / "workspace.yml"
    path.write_text(path.read_text() + extra + "\n")
    assert any(expected in str(problem) for problem in read_folder(folder)[2])


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        pytest.param("{channel: webhook}", "a webhook needs a transport of `kind: http`", id="way"),
        pytest.param("{channel: form}", "a form needs a transport of `kind: http`", id="form"),
        pytest.param("{channel: email}", "email senders need an address", id="address"),
    ],
)
def test_a_sender_has_what_its_channel_needs(write: Write, sender: str, expected: str) -> None:
    folder = write()
    path = folder / "workspace.yml"
    path.write_text(path.read_text().replace("goals:", f"  x: {sender}\ngoals:"))
    assert any(expected in str(problem) for problem in read_folder(folder)[2])


def test_file_names_are_ids(write: Write) -> None:
    folder = write({"My Sequence.yml": f"steps: [{{id: a, {MAIL}}}]", "x.yaml": "a: 1"})
    found = [str(problem) for problem in read_folder(folder)[2]]
    assert any("the file name is the sequence's id" in line for line in found)
    assert any("rename it to x.yml" in line for line in found)


def test_the_shipped_folder_starts_at_once() -> None:
    workspace = load_workspace(SHIPPED)
    sequences = {s.sequence_id: s for s in load_sequences(SHIPPED, workspace)}
    welcome, nurture = sequences["welcome"], sequences["nurture"]
    assert welcome.status == "active"
    assert welcome.calendar.is_always_open
    assert welcome.enroll_when_sql
    assert welcome.steps[0].delay == Delay("seconds", 0)
    assert nurture.status == "draft"
    assert [step.delay.amount for step in nurture.steps] == [0, 3, 7, 10]
    assert nurture.steps[-1].end_status == "inactive"


def test_names_are_one_of_a_kind_and_a_files_own_id_is_free_for_it(write: Write) -> None:
    step = "steps: [{id: a, channel: email, subject: Hi, body: templates/a.md}]"
    folder = write(
        {
            "a.yml": f"name: Welcome\n{step}",
            "welcome.yml": step,
            "c.yml": f"name: New leads\n{step}",
            "d.yml": f"name: new Leads\n{step}",
        }
    )
    _, sequences, problems = read_folder(folder)
    assert [(p.file, p.line, p.field) for p in problems] == [
        ("a.yml", 1, "name"),
        ("d.yml", 1, "name"),
    ]
    assert "welcome.yml is called" in problems[0].message
    assert {s.sequence_id: s.name for s in sequences}["welcome"] == "welcome"


def test_what_stands_behind_a_branch_whose_every_way_ends_is_never_reached(write: Write) -> None:
    text = f"""
steps:
  - {{id: a, {MAIL}}}
  - id: b
    branch:
      - when: replied()
        steps: [{{id: x, end: inactive}}]
      - steps: [{{id: c, {MAIL}}}, {{id: y, end: completed%s}}]
  - {{id: z, {MAIL}}}
"""
    (error,) = errors(write, text % "")
    assert "steps[2]: never reached: 'b' ends every path: let a way go on" in error
    assert errors(write, text % ", when: replied()") == []
