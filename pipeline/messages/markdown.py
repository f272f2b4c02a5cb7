"""A Markdown template becomes two templates, one of HTML and one of plain text.

Belongs here: Markdown around Jinja tags. Converting the template, not each message, costs nothing
per message, and a lead's name can never act as Markdown.
Does not: filling templates in (render), click addresses (tracking).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from jinja2 import Environment
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

_LEXER = Environment(autoescape=True)
_BEGINS = {"variable_begin", "block_begin", "comment_begin"}
_ENDS = {"variable_end", "block_end", "comment_end"}
_BARE_URL = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]*]")
_OPENING = re.compile(r"\{(?=[{%#])")


class TemplatePair(NamedTuple):
    """Two Jinja templates made from one Markdown template."""

    html: str
    text: str


class _Marks:
    """Words that stand for Jinja tags while Markdown is converted: `v` values, `s` statements."""

    def __init__(self, source: str) -> None:
        self.tags: list[str] = []
        self.prefix = "jinjatag"
        while self.prefix in source:
            self.prefix += "q"
        self.value = re.compile(f"{self.prefix}v[0-9]+e")
        self.statement_block = re.compile(f"<p>((?:{self.prefix}s[0-9]+e\\s*)+)</p>\n?")
        self.statements = re.compile(f"(?:{self.prefix}s[0-9]+e\\s*)+")
        self.any = re.compile(f"{self.prefix}[vs]([0-9]+)e")

    def add(self, tag: str) -> str:
        """Keep a tag and return its mark."""
        self.tags.append(tag)
        kind = "v" if tag.startswith("{{") else "s"
        return f"{self.prefix}{kind}{len(self.tags) - 1}e"

    def tag(self, mark: str) -> str:
        """Return the tag of a mark."""
        found = self.any.fullmatch(mark)
        return self.tags[int(found[1])] if found else mark

    def expression(self, mark: str) -> str:
        """Return what stands between the braces of a value's tag."""
        return self.tag(mark)[2:-2].strip("-+").strip()

    def restore(self, template: str) -> str:
        """Put the tags back; braces that Markdown made from escapes stay text."""
        literal = _OPENING.sub("{{ '{' }}", template)
        return self.any.sub(lambda found: self.tags[int(found[1])], literal)


def convert_markdown(source: str) -> TemplatePair:
    """Convert a Markdown template to a template of HTML and one of plain text.

    A line that holds nothing but `{% … %}` tags becomes a block of its own, so that a paragraph or
    a list is either inside a condition or outside it, and the HTML stays well-formed.
    """
    marks = _Marks(source)
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.core.ruler.push("links", lambda state: _link_values(state, marks))
    tokens = parser.parse("\n".join(_blocks(_mark_tags(source, marks), marks)))
    html = parser.renderer.render(tokens, parser.options, {})
    html = marks.statement_block.sub(lambda found: found[1].strip() + "\n", html)
    text = _text_blocks(SyntaxTreeNode(tokens).children, marks).strip() + "\n"
    return TemplatePair(marks.restore(html), marks.restore(text))


def _mark_tags(source: str, marks: _Marks) -> str:
    """Replace each Jinja tag by a mark; the contents of `{% raw %}` become text."""
    parts: list[str] = []
    tag: list[str] | None = None
    for _, kind, value in _LEXER.lex(source):
        if kind in {"raw_begin", "raw_end"}:
            continue
        if kind in _BEGINS:
            tag = [value]
        elif tag is None:
            parts.append(value)
        else:
            tag.append(value)
            if kind in _ENDS:
                parts.append(marks.add("".join(tag)) + _newline_after(tag))
                tag = None
    return "".join(parts)


def _newline_after(tag: list[str]) -> str:
    # The lexer takes the line break behind a tag that strips (`-%}`) for a part of its end.
    end = tag[-1]
    tag[-1] = end.rstrip("\n")
    return "\n" if end.endswith("\n") else ""


def _blocks(marked: str, marks: _Marks) -> Iterator[str]:
    for line in marked.split("\n"):
        if marks.statements.fullmatch(line.strip()):
            yield from ("", line.strip(), "")
        else:
            yield line


def _link_values(state: StateCore, marks: _Marks) -> None:
    """Guard addresses that come from a lead, and make links of addresses in running text."""
    for block in state.tokens:
        if block.type == "inline":
            block.children = list(_linked(block.children or [], marks))


def _linked(tokens: list[Token], marks: _Marks) -> Iterator[Token]:
    depth = 0
    for token in tokens:
        _guard(token, marks)
        depth += token.nesting if token.type in {"link_open", "link_close"} else 0
        if token.type == "text" and depth == 0:
            yield from _link_text(token.content, marks)
        else:
            yield token


def _guard(token: Token, marks: _Marks) -> None:
    for name in ("href", "src"):
        address = str(token.attrGet(name) or "")
        found = marks.value.match(address)
        if found:
            expression = marks.expression(found[0])
            mark = marks.add("{{ (" + expression + ") | web_link }}")
            token.attrSet(name, mark + address[found.end() :])


def _link_text(content: str, marks: _Marks) -> Iterator[Token]:
    position = 0
    pattern = re.compile(f"{_BARE_URL.pattern}|{marks.value.pattern}")
    for found in pattern.finditer(content):
        is_url = found[0].startswith("http")
        if not is_url and marks.expression(found[0]) != "unsubscribe":
            continue
        yield _text(content[position : found.start()])
        yield Token("link_open", "a", 1, attrs={"href": found[0]}, meta={"is_bare": True})
        yield _text(found[0] if is_url else "unsubscribe")
        yield Token("link_close", "a", -1)
        position = found.end()
    yield _text(content[position:])


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


# Plain text ------------------------------------------------------------------------------------


def _text_blocks(nodes: list[SyntaxTreeNode], marks: _Marks, gap: str = "\n\n") -> str:
    """Join blocks by a gap; a block of statements takes no room, whether its condition holds."""
    parts: list[str] = []
    for node in nodes:
        text = _text_block(node, marks)
        is_statement = marks.statements.fullmatch(text.strip()) is not None
        parts.append(text.strip() if is_statement else text + gap)
    return "".join(parts)


def _text_block(node: SyntaxTreeNode, marks: _Marks) -> str:
    if node.type in {"bullet_list", "ordered_list"}:
        return _text_list(node, marks)
    if node.type == "blockquote":
        quoted = _text_blocks(node.children, marks).strip()
        return "\n".join(f"> {line}".rstrip() for line in quoted.split("\n"))
    if node.type in {"fence", "code_block"}:
        return node.content.rstrip("\n")
    if node.type == "hr":
        return "-" * 30
    if node.type == "table":
        rows = (row for part in node.children for row in part.children)
        return "\n".join(" | ".join(_text_inline(cell) for cell in row.children) for row in rows)
    return _text_inline(node)


def _text_list(node: SyntaxTreeNode, marks: _Marks) -> str:
    items = []
    start = int(node.attrs.get("start", 1))
    for number, item in enumerate(node.children, start):
        bullet = f"{number}. " if node.type == "ordered_list" else "- "
        text = _text_blocks(item.children, marks, "\n").strip()
        items.append(bullet + text.replace("\n", "\n" + " " * len(bullet)))
    return "\n".join(items)


def _text_inline(node: SyntaxTreeNode) -> str:
    if node.type in {"softbreak", "hardbreak"}:
        return "\n"
    if node.type == "link":
        return _text_link(node)
    if not node.children:
        return node.content if node.type != "inline" else ""
    return "".join(_text_inline(child) for child in node.children)


def _text_link(node: SyntaxTreeNode) -> str:
    label = "".join(_text_inline(child) for child in node.children)
    address = str(node.attrs["href"])
    if node.meta.get("is_bare") or label in {address, address.removeprefix("mailto:")}:
        return address.removeprefix("mailto:")
    return f"{label} ({address})"
