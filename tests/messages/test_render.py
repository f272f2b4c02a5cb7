"""Filling templates in, and refusing to send half-filled ones."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.messages.render import (
    RenderError,
    canonical_variable,
    check_template,
    render_body,
    render_text,
    undeclared_variables,
)

KNOWN = {"first_name", "plan", "unsubscribe"}


@pytest.mark.parametrize(
    ("source", "context", "text"),
    [
        pytest.param("Hi {{ first_name }}", {"first_name": "Ann"}, "Hi Ann", id="snake"),
        pytest.param("Hi {{ firstName }}", {"first_name": "Ann"}, "Hi Ann", id="camel"),
        pytest.param("{{ planName }}", {"planName": "A", "plan_name": "B"}, "A", id="as written"),
        pytest.param("{{ x | default('there') }}", {}, "there", id="default of undefined"),
        pytest.param("{{ x | default('there') }}", {"x": ""}, "there", id="default of empty"),
        pytest.param("{{ x | default('there') }}", {"x": "  "}, "there", id="default of blank"),
        pytest.param("{{ x | default('there') }}", {"x": None}, "there", id="default of none"),
        pytest.param("{{ x | d('a') }}", {"x": 0}, "0", id="zero is a value"),
        pytest.param("{{ x | d('a', true) }}", {"x": 0}, "a", id="boolean default"),
        pytest.param("{% if x %}a{% else %}b{% endif %}", {}, "b", id="missing is false"),
        pytest.param("{% if x == 'p' %}a{% else %}b{% endif %}", {}, "b", id="equals nothing"),
        pytest.param("{% if x != 'p' %}a{% endif %}", {}, "a", id="differs from all"),
        pytest.param("{% if x == y %}a{% endif %}", {}, "a", id="missing is missing"),
        pytest.param("{% if x in {'p': 1} %}a{% else %}b{% endif %}", {}, "b", id="in nothing"),
        pytest.param("{% for n in range(2) %}{{ n }}{% endfor %}", {}, "01", id="range"),
        pytest.param("{{ plan.name }}", {"plan": {"name": "pro"}}, "pro", id="nested"),
        pytest.param("<b> & {{ x }}", {"x": "<i>"}, "<b> & <i>", id="text is not escaped"),
    ],
)
def test_text_is_filled_in(source: str, context: dict[str, Any], text: str) -> None:
    assert render_text(source, context) == text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("a\n\n{{ x }}", r"t\.md line 3: `x` has no value .* default", id="undefined"),
        pytest.param("{{ blank }}", "line 1: `blank` has no value", id="blank"),
        pytest.param("{{ none }}", "line 1: an expression has no value", id="none"),
        pytest.param("{{ plan.nope }}", "line 1: .*no attribute 'nope'", id="attribute"),
        pytest.param("a\n{% if x %}", r"line 2: Unexpected end of template", id="syntax"),
        pytest.param("{{ first_name | foo }}", "No filter named 'foo'", id="filter"),
        pytest.param("{{ ''.__class__.__mro__ }}", "unsafe", id="sandbox"),
        pytest.param("{{ range(10**9) }}", r"line 1: .*OverflowError", id="endless"),
        pytest.param("{{ first_name | int / 0 }}", "ZeroDivisionError", id="arithmetic"),
        pytest.param("{% include 'no.md' %}", r"no\.md does not exist", id="no snippet"),
        pytest.param("\n{% include 'bad.md' %}", r"bad\.md line 2: `x` has no", id="in snippet"),
        pytest.param("{% include 'loop.md' %}", "includes itself", id="loop"),
        pytest.param("{% include first_name %}", "`include` cannot be used", id="dynamic include"),
        pytest.param("{% extends 'bad.md' %}", "`extends` cannot be used", id="extends"),
    ],
)
@pytest.mark.parametrize("render", [render_text, render_body])
def test_an_error_names_template_line_and_remedy_and_no_value(
    render: Any, source: str, words: str
) -> None:
    includes = {"bad.md": "ok\n{{ x }}", "loop.md": "{% include 'loop.md' %}"}
    context = {"first_name": "Annabel", "blank": " ", "none": None, "plan": {"name": "p"}}
    context |= {"none_inside": {"a": None}}
    source = source.replace("{{ none }}", "{{ none_inside.a }}")
    with pytest.raises(RenderError, match=words) as caught:
        render(source, context, name="t.md", includes=includes)
    assert "Annabel" not in str(caught.value)


def test_values_are_escaped_in_html_only() -> None:
    body = render_body("Hi {{ x }}", {"x": "<b>&"})
    assert body.html.strip() == "<p>Hi &lt;b&gt;&amp;</p>"
    assert body.text.strip() == "Hi <b>&"


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//a.b"])
def test_a_link_from_a_variable_must_be_one_for_people(address: str) -> None:
    with pytest.raises(RenderError, match="begins with none of"):
        render_body("[x]({{ url }})", {"url": address})


def test_snippets_come_from_the_stored_content_and_may_nest() -> None:
    includes = {"snippets/a.md": "A {% include 'snippets/b.md' %}\n", "snippets/b.md": "*{{ x }}*"}
    source = "{% include 'snippets/a.md' %}\n\nend"
    body = render_body(source, {"x": "y"}, includes=includes)
    assert body.html == "<p>A <em>y</em></p>\n<p>end</p>"
    assert render_text("{% include 'snippets/b.md' %}", {"x": "y"}, includes=includes) == "*y*"


def test_assignments_of_one_template_do_not_reach_the_next() -> None:
    context: dict[str, object] = {}
    assert render_text("{% set x = 1 %}{{ x }}", context) == "1"
    assert context == {}
    with pytest.raises(RenderError):
        render_text("{{ x }}", context)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [("firstName", "first_name"), ("first_name", "first_name"), ("plan2Name", "plan2_name")],
)
def test_camel_case_names_have_one_snake_case_name(written: str, canonical: str) -> None:
    assert canonical_variable(written) == canonical


def test_undeclared_variables_have_their_first_line_and_no_local_names() -> None:
    source = "{{ a }}\n{% for n in range(3) %}{{ n }}{{ b }}{% endfor %}\n{{ a }}{{ b | d(c) }}"
    assert undeclared_variables(source) == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(RenderError, match="line 2"):
        undeclared_variables("\n{{ a")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("Hi {{ firstName }} {{ plan }}", [], id="right"),
        pytest.param("a\n{{ frist_name }}", [("t.md", 2, "frist_name")], id="unknown"),
        pytest.param("{% include 's.md' %}", [("s.md", 2, "nope")], id="in snippet"),
        pytest.param("{% include 's.md' %}{% include 's.md' %}", [("s.md", 2, "nope")], id="once"),
        pytest.param("\n{% include 'x.md' %}", [("t.md", 2, "x.md does not exist")], id="missing"),
        pytest.param("{{ plan | foo }}", [("t.md", 1, "No filter")], id="filter"),
        pytest.param("{{ plan", [("t.md", 1, "end of")], id="syntax"),
    ],
)
def test_a_check_finds_problems_without_a_lead(
    source: str, found: list[tuple[str, int, str]]
) -> None:
    includes = {"s.md": "x\n{{ nope }}"}
    problems = check_template(source, name="t.md", known=KNOWN, includes=includes)
    assert [(problem.template, problem.line) for problem in problems] == [f[:2] for f in found]
    for problem, (_, _, words) in zip(problems, found, strict=True):
        assert words in problem.message


@given(st.text(), st.text())
def test_every_rendered_text_holds_its_values_and_no_placeholder(first: str, second: str) -> None:
    text = render_text("{{ a | d('A') }}|{{ b | d('B') }}", {"a": first, "b": second})
    assert text == f"{first if first.strip() else 'A'}|{second if second.strip() else 'B'}"
