"""Filling templates in: Jinja in a sandbox, where a value that is missing is an error.

Belongs here: variables and their spellings, snippets, filters, checks of templates, their errors.
Does not: Markdown (markdown), links and headers (tracking, compliance), whole messages (compose).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import FunctionLoader, StrictUndefined, Template, Undefined, meta, nodes
from jinja2.exceptions import (
    TemplateError,
    TemplateRuntimeError,
    TemplateSyntaxError,
    UndefinedError,
)
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from pipeline.messages.markdown import convert_markdown
from pipeline.settings import DripError

_INCLUDE = re.compile(r"\{%[-+]?\s*include\s+(['\"])(?P<name>[^'\"]+)\1\s*[-+]?%\}")
_UNDEFINED = re.compile(r"^'(\w+)' is undefined$")
_NOT_GIVEN = re.compile(r"EnrollmentContext object' has no attribute '(\w+)'$")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LINK_SCHEMES = ("https://", "http://", "mailto:", "tel:")
_NO_INCLUDES: Mapping[str, str] = {}


class RenderError(DripError):
    """A template that cannot be filled in. Its text names no value of a lead (R22)."""

    def __init__(self, template: str, line: int | None, problem: str) -> None:
        self.template = template
        self.line = line
        place = f"{template} line {line}" if line else template
        super().__init__(f"{place}: {problem}")


class TemplateProblem(NamedTuple):
    """One thing to correct in a template."""

    template: str
    line: int | None
    message: str


class Body(NamedTuple):
    """A filled-in body: the inside of the HTML, and the plain text."""

    html: str
    text: str


class _StructureError(TemplateSyntaxError):
    """Snippets that do not fit together: found before any value is looked at."""


class _Missing(StrictUndefined):
    """A missing value: false and equal to nothing in `{% if %}`; printing it is an error."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return isinstance(other, _Missing)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return not isinstance(other, _Missing)

    def __hash__(self) -> int:  # type: ignore[override]
        return 0


class _LeadContext(Context):
    """Looks a variable up as it is written, else in snake_case; blank values are missing."""

    def resolve_or_missing(self, key: str) -> Any:
        value = super().resolve_or_missing(key)
        if value is missing:
            value = super().resolve_or_missing(canonical_variable(key))
        return missing if _is_blank(value) else value


class _Sandbox(ImmutableSandboxedEnvironment):
    context_class = _LeadContext


@lru_cache(maxsize=1024)
def canonical_variable(name: str) -> str:
    """Return a variable's snake_case name: `firstName` is `first_name`."""
    return _HUMP.sub("_", name).lower()


def render_text(
    source: str,
    context: Mapping[str, object],
    *,
    name: str = "text",
    includes: Mapping[str, str] = _NO_INCLUDES,
) -> str:
    """Fill a plain-text template in: a subject, an SMS.

    Raises:
        RenderError: the template is wrong, or a variable without a default has no value.
    """
    try:
        return _fill(_text_template(source, tuple(includes.items())), {**_GLOBALS, **context})
    except Exception as error:
        raise _explain(error, source, context, name, includes) from error


def render_body(
    source: str,
    context: Mapping[str, object],
    *,
    name: str = "body",
    includes: Mapping[str, str] = _NO_INCLUDES,
) -> Body:
    """Fill a Markdown template in, as HTML and as plain text.

    Raises:
        RenderError: the template is wrong, or a variable without a default has no value.
    """
    try:
        html, text = _body_templates(source, tuple(includes.items()))
        values = {**_GLOBALS, **context}
        return Body(_fill(html, values), _fill(text, values))
    except Exception as error:
        raise _explain(error, source, context, name, includes) from error


def undeclared_variables(source: str) -> dict[str, int]:
    """Return the variables that a template takes from outside, as written, with their first line.

    Snippets that it includes are templates of their own.

    Raises:
        RenderError: the template is wrong.
    """
    try:
        tree = _PLAIN.parse(source)
    except TemplateSyntaxError as error:
        raise RenderError("template", error.lineno, _problem(error)) from error
    outside = meta.find_undeclared_variables(tree) - set(_PLAIN.globals)
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        if node.name in outside:
            lines[node.name] = min(node.lineno, lines.get(node.name, node.lineno))
    return lines


def check_template(
    source: str,
    *,
    name: str,
    known: Iterable[str],
    includes: Mapping[str, str] = _NO_INCLUDES,
) -> list[TemplateProblem]:
    """Return what is wrong with a template and its snippets, without a lead.

    Args:
        source: The template.
        name: Its name in the problems.
        known: The variables that a lead may have (`LEAD_VARIABLES` and the attributes).
        includes: Sources of the snippets by the name used in `include`.
    """
    try:
        _expand(source, includes)
    except TemplateSyntaxError as error:
        return [TemplateProblem(error.name or name, error.lineno, _problem(error))]
    names = set(known)
    problems = []
    for template, text in ((name, source), *_included(source, includes)):
        problems += _check_one(text, template, names)
    return problems


def _check_one(source: str, name: str, known: set[str]) -> list[TemplateProblem]:
    try:
        _PLAIN.compile(source, name=name)
        found = undeclared_variables(source)
    except TemplateSyntaxError as error:
        return [TemplateProblem(name, error.lineno, _problem(error))]
    return [
        TemplateProblem(
            name,
            line,
            f"the variable `{variable}` is unknown. Known are: {', '.join(sorted(known))}. "
            "Correct it, or add it to `attributes` in workspace.yml.",
        )
        for variable, line in sorted(found.items(), key=lambda item: item[1])
        if variable not in known and canonical_variable(variable) not in known
    ]


def _included(source: str, includes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the snippets that a template reaches, each once; all are known to be there."""
    reached: dict[str, str] = {}
    waiting = [source]
    while waiting:
        for found in _INCLUDE.finditer(waiting.pop()):
            if found["name"] not in reached:
                reached[found["name"]] = includes[found["name"]]
                waiting.append(includes[found["name"]])
    return list(reached.items())


def _fill(template: Template, values: dict[str, object]) -> str:
    # `Template.render` copies the globals each time and costs three times as much.
    context = _LeadContext(template.environment, values, template.name, template.blocks)
    return "".join(template.root_render_func(context))


# Compiling -------------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def _text_template(source: str, includes: tuple[tuple[str, str], ...]) -> Template:
    return _PLAIN.from_string(_expand(source, dict(includes)))


@lru_cache(maxsize=1024)
def _body_templates(source: str, includes: tuple[tuple[str, str], ...]) -> tuple[Template, ...]:
    pair = convert_markdown(_expand(source, dict(includes)))
    return _ESCAPING.from_string(pair.html), _PLAIN.from_string(pair.text)


def _expand(source: str, includes: Mapping[str, str], chain: tuple[str, ...] = ()) -> str:
    """Put snippets in the place of their `include`, so that Markdown sees one text."""
    name = chain[-1] if chain else None
    for statement in _PLAIN.parse(_INCLUDE.sub("", source), name).find_all(_REFUSED):
        word = type(statement).__name__.lower()
        raise _StructureError(
            f"`{word}` cannot be used in this way; write {{% include 'snippets/name.md' %}}",
            statement.lineno,
            name,
        )

    def snippet(found: re.Match[str]) -> str:
        wanted = found["name"]
        line = source.count("\n", 0, found.start()) + 1
        if wanted in chain:
            raise _StructureError(f"the snippet {wanted} includes itself", line, name)
        if wanted not in includes:
            raise _StructureError(f"the snippet {wanted} does not exist", line, name)
        return _expand(includes[wanted], includes, (*chain, wanted)).rstrip("\n")

    return _INCLUDE.sub(snippet, source)


# Errors ----------------------------------------------------------------------------------------


def _explain(
    error: Exception,
    source: str,
    context: Mapping[str, object],
    name: str,
    includes: Mapping[str, str],
) -> RenderError:
    """Find the place of an error by filling the unconverted template in once more."""
    if isinstance(error, _StructureError):
        return RenderError(error.name or name, error.lineno, _problem(error))
    sources = {**includes, name: source}
    finder = _PLAIN.overlay(
        loader=FunctionLoader(lambda key: (sources[key], key, _always) if key in sources else None)
    )
    try:
        finder.get_template(name).render(context)
    except TemplateSyntaxError as found:
        return RenderError(found.name or name, found.lineno, _problem(found))
    except Exception as found:
        template, line = _place(found, sources, name)
        return RenderError(template, line, _problem(found))
    return RenderError(name, getattr(error, "lineno", None), _problem(error))


def _always() -> bool:
    return True


def _place(error: Exception, sources: Mapping[str, str], name: str) -> tuple[str, int | None]:
    place: tuple[str, int | None] = (name, None)
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename in sources:
            place = (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return place


def _problem(error: Exception) -> str:
    if isinstance(error, UndefinedError):
        words = error.message or ""
        found, not_given = _UNDEFINED.match(words), _NOT_GIVEN.search(words)
        if not (found or not_given):
            return f"{_words(error)}. Correct the expression, or give it a default."
        name = found[1] if found else f"context.{not_given[1]}" if not_given else ""
        return (
            f"`{name}` has no value for this lead. Give it a default, as in "
            f"{{{{ {name} | default('there') }}}}, or correct the name."
        )
    if isinstance(error, TemplateError):
        return f"{_words(error)}. Correct the template."
    # Words of other errors may quote a value of the lead.
    return f"the expression fails ({type(error).__name__}). Correct it for values of this kind."


def _words(error: TemplateError) -> str:
    return (error.message or type(error).__name__).rstrip(".")


# Filters ---------------------------------------------------------------------------------------


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _default(value: object, default_value: object = "", boolean: bool = False) -> object:
    """Give a default to what is missing or blank; with `boolean` to all that is false."""
    if isinstance(value, Undefined) or _is_blank(value) or (boolean and not value):
        return default_value
    return value


def _web_link(value: object) -> str:
    address = str(value).strip()
    if not address.lower().startswith(_LINK_SCHEMES):
        raise TemplateRuntimeError(
            "a link's address comes from a variable and begins with none of "
            + ", ".join(_LINK_SCHEMES)
        )
    return address


def _finalize(value: Any) -> Any:
    if value is None:
        raise UndefinedError("an expression has no value for this lead")
    return value


def _sandbox(*, autoescape: bool) -> _Sandbox:
    sandbox = _Sandbox(undefined=_Missing, autoescape=autoescape, finalize=_finalize, cache_size=0)
    filters: dict[str, Callable[..., object]] = {
        "default": _default,
        "d": _default,
        "web_link": _web_link,
    }
    sandbox.filters.update(filters)
    for name in ("lipsum", "cycler", "joiner"):
        del sandbox.globals[name]
    return sandbox


_REFUSED = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_PLAIN = _sandbox(autoescape=False)
_GLOBALS: dict[str, object] = dict(_PLAIN.globals)
_ESCAPING = _sandbox(autoescape=True)
