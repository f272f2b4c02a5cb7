"""Markdown around Jinja tags."""

import pytest
from jinja2 import Environment

from pipeline.messages.markdown import convert_markdown


def both(source: str, **values: object) -> tuple[str, str]:
    pair = convert_markdown(source)
    html = Environment(autoescape=True)
    html.filters["web_link"] = str
    text = Environment(autoescape=False)  # noqa: S701 - plain text
    text.filters["web_link"] = str
    return html.from_string(pair.html).render(values), text.from_string(pair.text).render(values)


@pytest.mark.parametrize(
    ("source", "html", "text"),
    [
        pytest.param("# Hi *you*", "<h1>Hi <em>you</em></h1>", "Hi you", id="heading"),
        pytest.param("a\nb  \nc", "<p>a\nb<br />\nc</p>", "a\nb\nc", id="breaks"),
        pytest.param(
            "- a\n- b\n  - c",
            "<ul>\n<li>a</li>\n<li>b\n<ul>\n<li>c</li>\n</ul>\n</li>\n</ul>",
            "- a\n- b\n  - c",
            id="nested list",
        ),
        pytest.param(
            "3. a\n4. b",
            '<ol start="3">\n<li>a</li>\n<li>b</li>\n</ol>',
            "3. a\n4. b",
            id="numbers",
        ),
        pytest.param(
            "> a\n> b", "<blockquote>\n<p>a\nb</p>\n</blockquote>", "> a\n> b", id="quote"
        ),
        pytest.param("---", "<hr />", "-" * 30, id="rule"),
        pytest.param("`a < b`", "<p><code>a &lt; b</code></p>", "a < b", id="code"),
        pytest.param("    a\n    b", "<pre><code>a\nb\n</code></pre>", "a\nb", id="code block"),
        pytest.param(
            "[x](https://a.b/?c&d)",
            '<p><a href="https://a.b/?c&amp;d">x</a></p>',
            "x (https://a.b/?c&d)",
            id="link",
        ),
        pytest.param(
            "See https://a.b/c_d.",
            '<p>See <a href="https://a.b/c_d">https://a.b/c_d</a>.</p>',
            "See https://a.b/c_d.",
            id="bare link",
        ),
        pytest.param(
            "<https://a.b>",
            '<p><a href="https://a.b">https://a.b</a></p>',
            "https://a.b",
            id="angle link",
        ),
        pytest.param(
            "[a@b.c](mailto:a@b.c)",
            '<p><a href="mailto:a@b.c">a@b.c</a></p>',
            "a@b.c",
            id="mail link",
        ),
        pytest.param(
            "![logo](https://a.b/l.png)",
            '<p><img src="https://a.b/l.png" alt="logo" /></p>',
            "logo",
            id="image",
        ),
        pytest.param(
            "<b>no</b>", "<p>&lt;b&gt;no&lt;/b&gt;</p>", "<b>no</b>", id="raw html is text"
        ),
        pytest.param(
            "[x](javascript:a)",
            "<p>[x](javascript:a)</p>",
            "[x](javascript:a)",
            id="script link is text",
        ),
        pytest.param("\\{\\{ x \\}\\}", "<p>{{ x }}</p>", "{{ x }}", id="escaped braces"),
        pytest.param("{% raw %}{{ x }}{% endraw %}", "<p>{{ x }}</p>", "{{ x }}", id="raw braces"),
        pytest.param("a{# no #}b", "<p>ab</p>", "ab", id="comment"),
        pytest.param(
            "{{ unsubscribe }}",
            '<p><a href="https://u">unsubscribe</a></p>',
            "https://u",
            id="bare unsubscribe",
        ),
        pytest.param(
            "[out]({{ unsubscribe }})",
            '<p><a href="https://u">out</a></p>',
            "out (https://u)",
            id="unsubscribe link",
        ),
        pytest.param("| a | b |\n|---|---|\n| c | {{ x }} |", None, "a | b\nc | *y*", id="table"),
    ],
)
def test_each_construct_becomes_html_and_text(source: str, html: str | None, text: str) -> None:
    got_html, got_text = both(source, unsubscribe="https://u", x="*y*")
    assert html is None or got_html.strip() == html
    assert got_text.strip() == text


@pytest.mark.parametrize("value", ["*x*", "[a](https://evil.example)", "<b>", "# x", "{{ 7 * 7 }}"])
def test_a_value_never_acts_as_markdown_html_or_template(value: str) -> None:
    html, text = both("Hi {{ x }}!", x=value)
    assert "<em>" not in html
    assert "<a" not in html
    assert "<b>" not in html
    assert text == f"Hi {value}!"


@pytest.mark.parametrize("shown", [True, False])
def test_a_condition_on_lines_of_its_own_keeps_html_well_formed(shown: bool) -> None:
    source = "Hi\n{% if shown %}\n- one\n- [two]({{ url }})\n{% endif %}\nBye"
    html, text = both(source, shown=shown, url="https://a.b")
    inside = '<ul>\n<li>one</li>\n<li><a href="https://a.b">two</a></li>\n</ul>\n'
    assert html.replace("\n\n", "\n") == f"<p>Hi</p>\n{inside if shown else ''}<p>Bye</p>"
    assert text == ("Hi\n\n- one\n- two (https://a.b)\n\nBye" if shown else "Hi\n\nBye")


def test_a_loop_repeats_whole_blocks() -> None:
    html, text = both("{% for x in items %}\n- {{ x }}\n{% endfor %}", items=["a", "b"])
    assert html.count("<ul>") == html.count("</ul>") == 2
    assert text.split() == ["-", "a", "-", "b"]


def test_an_inline_condition_stays_inside_its_paragraph() -> None:
    html, text = both("Hi{% if x %} {{ x }}{% endif %}, you", x="Ann")
    assert html == "<p>Hi Ann, you</p>"
    assert text == "Hi Ann, you"


def test_a_tag_that_strips_white_space_keeps_the_next_line_apart() -> None:
    pair = convert_markdown("{% if x -%}\n\n# Head\n{% endif %}")
    assert "<h1>Head</h1>" in pair.html


def test_a_link_whose_address_is_a_variable_is_guarded_by_a_filter() -> None:
    pair = convert_markdown("[a]({{ url | default('https://a.b') }}/path)")
    assert "{{ (url | default('https://a.b')) | web_link }}/path" in pair.html


def test_a_text_that_holds_our_own_marks_is_left_alone() -> None:
    html, _ = both("jinjatagv0e {{ x }}", x="y")
    assert html == "<p>jinjatagv0e y</p>"
