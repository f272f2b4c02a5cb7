"""Conditions of steps and enrolment rules: a small SQL vocabulary, compiled to DuckDB.

Belongs here: the allow-list, types, step references, rules.md R5. Does not: where the expression
is evaluated (`engine`). The SQL is a tree of our own nodes: of the text, only literals get into it.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from pipeline.sequences.model import suggest

LONGEST_TEXT = 2000
# Deeper trees exhaust the stack of the parser; people write three or four levels.
DEEPEST_NESTING = 40

_FUNCTIONS = {
    "sent": "sent('step')",
    "opened": "opened('step')",
    "clicked": "clicked('step') or clicked('step', '*part of url*')",
    "answered": "answered('step')",
    "replied": "replied()",
    "converted": "converted()",
    "count_sends": "count_sends()",
    "days_since": "days_since('enrolled') or days_since('step')",
}
_LEAD_COLUMNS = {"source", "country", "timezone", "created_at"}
_ESCAPE = "!"
# The burst around an open or a click can be judged after this time (R5).
JUDGED_SECONDS = 10
# What a condition may read of an enrollment's past; the planner gathers it for those that are due.
HISTORY = ("handed_over_at", "answered_mask", "judged_clicks")


class ConditionError(ValueError):
    """What is wrong with a condition, and where in its text."""

    def __init__(self, message: str, position: int) -> None:
        """Keep the message and the position, counted from 1."""
        super().__init__(f"at character {position}: {message}")
        self.message = message
        self.position = position


@dataclass(frozen=True)
class Scope:
    """What a condition may name.

    Attributes:
        steps: Message steps that may come before on the path, with their positions.
        elsewhere: Other step ids of the sequence, each with why it cannot be named here.
        attributes: Attributes of leads that workspace.yml allows.
        is_enrollment: False for enrolment rules, which know the lead only.
    """

    steps: Mapping[str, int] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    attributes: frozenset[str] = frozenset()
    is_enrollment: bool = True


class _Kind(StrEnum):
    TRUTH = "true or false"
    NUMBER = "a number"
    TEXT = "a text"
    MOMENT = "a moment"
    ATTRIBUTE = "an attribute"


@dataclass(frozen=True)
class _Term:
    sql: exp.Expr
    kind: _Kind
    node: exp.Expr

    @property
    def text(self) -> str | None:
        """The text, if this is a literal one."""
        return self.node.name if isinstance(self.node, exp.Literal) else None


def compile_condition(text: str, scope: Scope) -> str:
    """Compile a condition to a DuckDB expression that is true or false, never null.

    >>> compile_condition("lead.country = 'NO'", Scope())
    "COALESCE((lead_country = 'NO'), FALSE)"

    Raises:
        ConditionError: the text is no condition of the vocabulary.
    """
    try:
        tree = _parse(text)
        term = _Translator(scope).term(tree)
        if term.kind is not _Kind.TRUTH:
            raise ConditionError(
                f"this is {term.kind}, a condition is true or false: compare it with something",
                _position(tree),
            )
        _check_guards(tree, negated=False, guards=frozenset())
        sql = exp.Coalesce(this=term.sql, expressions=[exp.false()])
        return sql.sql(dialect="duckdb", comments=False)
    except RecursionError:
        raise ConditionError("the condition is nested too deeply: split the step", 1) from None


def _parse(text: str) -> exp.Expr:
    if not text.strip():
        raise ConditionError("the condition is empty: write one, or remove the line", 1)
    if len(text) > LONGEST_TEXT:
        raise ConditionError(f"longer than {LONGEST_TEXT} characters: split the step", 1)
    bad = re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    if bad:
        raise ConditionError("control characters are not allowed", bad.start() + 1)
    _check_nesting(text)
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except SqlglotError as error:
        raise _syntax_error(text, error) from None
    if len(trees) != 1 or trees[0] is None:
        raise ConditionError("write exactly one condition, without `;` or comments", 1)
    return trees[0]


def _check_nesting(text: str) -> None:
    depth = 0
    for position, character in enumerate(text, 1):
        depth += (character == "(") - (character == ")")
        if depth > DEEPEST_NESTING:
            raise ConditionError("the condition is nested too deeply: split the step", position)


def _syntax_error(text: str, error: SqlglotError) -> ConditionError:
    details = getattr(error, "errors", [])
    position, near = 1, ""
    if details:
        lines = text.splitlines(keepends=True)
        word = details[0].get("highlight") or ""
        near = f" near {word!r}" if word else ""
        before = sum(len(line) for line in lines[: (details[0].get("line") or 1) - 1])
        # The parser counts to the end of the word.
        position = max(1, before + (details[0].get("col") or 1) - max(len(word), 1) + 1)
    return ConditionError(
        f"this is no condition{near}: write something like sent('welcome') and not replied()",
        position,
    )


def _position(node: exp.Expr) -> int:
    starts = [part.meta["start"] for part in node.walk() if "start" in part.meta]
    if starts:
        return int(min(starts)) + 1
    # Keywords such as null carry no position: the expression around them is near enough.
    return _position(node.parent) if node.parent else 1


def _refuse(node: exp.Expr, message: str) -> ConditionError:
    return ConditionError(message, _position(node))


class _Translator:
    """Rebuilds the tree from allowed parts only."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.rules: dict[type[exp.Expr], Callable[..., _Term]] = {
            exp.And: self._connector,
            exp.Or: self._connector,
            exp.Not: self._not,
            exp.Paren: self._paren,
            exp.Boolean: self._boolean,
            exp.Literal: self._literal,
            exp.Neg: self._negative,
            exp.Column: self._column,
            exp.Anonymous: self._function,
            exp.In: self._in,
            exp.Between: self._between,
            exp.Is: self._is_null,
            exp.Like: self._like,
            exp.ILike: self._like,
            **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), self._compare),
            **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Div), self._arithmetic),
        }

    def term(self, node: exp.Expr) -> _Term:
        """Translate one node."""
        rule = self.rules.get(type(node))
        if rule is None:
            raise _refuse(node, f"{_describe(node)} is not allowed here: {_vocabulary()}")
        return rule(node)

    def _parts(self, node: exp.Expr, *allowed: str) -> None:
        """Refuse a node that carries more than the named parts (`distinct`, `escape`, …)."""
        extra = [name for name, value in node.args.items() if value and name not in allowed]
        if extra:
            raise _refuse(node, f"{_describe(node)} with {extra[0]} is not allowed here")

    def _connector(self, node: exp.And | exp.Or) -> _Term:
        self._parts(node, "this", "expression")
        # A chain of `and` leans to the left: walk it flat, so that long chains need no deep stack.
        operands, rest = [], node.this
        operands.append(node.expression)
        while type(rest) is type(node):
            self._parts(rest, "this", "expression")
            operands.append(rest.expression)
            rest = rest.this
        operands.append(rest)
        terms = [self._truth(operand) for operand in reversed(operands)]
        joined = terms[0].sql
        for term in terms[1:]:
            joined = type(node)(this=joined, expression=term.sql)
        return _Term(exp.Paren(this=joined), _Kind.TRUTH, node)

    def _truth(self, node: exp.Expr) -> _Term:
        term = self.term(node)
        if term.kind is not _Kind.TRUTH:
            how = "write `= true`" if term.kind is _Kind.ATTRIBUTE else "compare it with something"
            raise _refuse(node, f"this is {term.kind}, not true or false: {how}")
        return term

    def _not(self, node: exp.Not) -> _Term:
        self._parts(node, "this")
        inner = self._truth(node.this)
        return _Term(exp.Not(this=exp.Paren(this=inner.sql)), _Kind.TRUTH, node)

    def _paren(self, node: exp.Paren) -> _Term:
        self._parts(node, "this")
        inner = self.term(node.this)
        return _Term(exp.Paren(this=inner.sql), inner.kind, inner.node)

    def _boolean(self, node: exp.Boolean) -> _Term:
        return _Term(exp.Boolean(this=bool(node.this)), _Kind.TRUTH, node)

    def _literal(self, node: exp.Literal) -> _Term:
        if node.is_string:
            return _Term(exp.Literal.string(node.name), _Kind.TEXT, node)
        number = float(node.name) if re.fullmatch(r"\d+(\.\d*)?|\.\d+", node.name) else math.inf
        if number >= 10**15:
            raise _refuse(node, "write numbers plainly, with at most 15 digits")
        return _Term(_double(exp.Literal.number(node.name)), _Kind.NUMBER, node)

    def _negative(self, node: exp.Neg) -> _Term:
        inner = self._number(node.this)
        return _Term(exp.Neg(this=exp.Paren(this=inner)), _Kind.NUMBER, node)

    def _number(self, node: exp.Expr) -> exp.Expr:
        term = self.term(node)
        if term.kind is _Kind.ATTRIBUTE:
            return _try_double(term.sql)
        if term.kind is not _Kind.NUMBER:
            raise _refuse(node, f"this is {term.kind}, arithmetic needs numbers")
        return term.sql

    def _arithmetic(self, node: exp.Binary) -> _Term:
        left, right = self._number(node.this), self._number(node.expression)
        if isinstance(node, exp.Div):
            zero = _double(exp.Literal.number("0"))
            right = exp.Nullif(this=right, expression=zero)
            sql: exp.Expr = exp.Div(this=left, expression=right, typed=False, safe=False)
        else:
            sql = type(node)(this=left, expression=right)
        return _Term(exp.Paren(this=sql), _Kind.NUMBER, node)

    def _compare(self, node: exp.Binary) -> _Term:
        self._parts(node, "this", "expression")
        left, right = self.term(node.this), self.term(node.expression)
        if _Kind.TRUTH in (left.kind, right.kind) and not isinstance(node, exp.EQ | exp.NEQ):
            raise _refuse(node, "true and false are compared with = or <> only")
        first, second = self._alike(left, right, node)
        return _Term(_paren(type(node)(this=first, expression=second)), _Kind.TRUTH, node)

    def _alike(self, left: _Term, right: _Term, node: exp.Expr) -> tuple[exp.Expr, exp.Expr]:
        """Bring two terms to one type, or refuse the comparison."""
        for first, second, is_swapped in ((left, right, False), (right, left, True)):
            other = _like_other(first, second)
            if other is not None:
                return (other, first.sql) if is_swapped else (first.sql, other)
        if left.kind is right.kind:
            return left.sql, right.sql
        raise _refuse(node, f"{left.kind} cannot be compared with {right.kind}")

    def _in(self, node: exp.In) -> _Term:
        self._parts(node, "this", "expressions")
        if not node.expressions:
            raise _refuse(node, "in needs a list: write in ('a', 'b')")
        subject = self.term(node.this)
        options: exp.Expr | None = None
        for item in node.expressions:
            if not isinstance(item, exp.Literal):
                raise _refuse(item, "a list holds plain texts or numbers: write in ('a', 'b')")
            first, second = self._alike(subject, self.term(item), node)
            option = exp.EQ(this=first, expression=second)
            options = exp.Or(this=options, expression=option) if options else option
        return _Term(exp.Paren(this=options), _Kind.TRUTH, node)

    def _between(self, node: exp.Between) -> _Term:
        self._parts(node, "this", "low", "high")
        subject = self.term(node.this)
        if subject.kind is _Kind.TRUTH:
            raise _refuse(node, "between needs numbers, texts or moments")
        low = self._alike(subject, self.term(node.args["low"]), node)
        high = self._alike(subject, self.term(node.args["high"]), node)
        above = exp.GTE(this=low[0], expression=low[1])
        below = exp.LTE(this=high[0], expression=high[1])
        return _Term(_paren(exp.And(this=above, expression=below)), _Kind.TRUTH, node)

    def _is_null(self, node: exp.Is) -> _Term:
        self._parts(node, "this", "expression")
        if not isinstance(node.expression, exp.Null):
            raise _refuse(node, "after `is` only null and not null are allowed: write = or not")
        subject = self.term(node.this)
        if subject.kind is _Kind.TRUTH:
            raise _refuse(node, "functions are never null: write not opened('x') or the like")
        return _Term(_paren(exp.Is(this=subject.sql, expression=exp.null())), _Kind.TRUTH, node)

    def _like(self, node: exp.Like | exp.ILike) -> _Term:
        self._parts(node, "this", "expression", "negate")
        subject, pattern = self.term(node.this), self.term(node.expression)
        if subject.kind not in (_Kind.TEXT, _Kind.ATTRIBUTE) or pattern.text is None:
            raise _refuse(node, "like compares text with a pattern: write lead.source like 'A%'")
        sql = type(node)(this=subject.sql, expression=exp.Literal.string(pattern.text))
        inner = exp.Paren(this=sql)
        return _Term(exp.Not(this=inner) if node.args.get("negate") else inner, _Kind.TRUTH, node)

    def _column(self, node: exp.Column) -> _Term:
        table, name = node.table.lower(), node.name
        if node.args.get("db") or table not in ("lead", ""):
            raise _refuse(node, _unknown_table(table))
        if not table:
            how = (
                f"text stands in single quotes: '{name}'"
                if node.this.args.get("quoted")
                else f"write 'quotes' around text, or lead.{name} for a field of the lead"
            )
            raise _refuse(node, f"unknown word {name!r}: {how}")
        return self._lead(node, name)

    def _lead(self, node: exp.Column, name: str) -> _Term:
        if name in _LEAD_COLUMNS:
            kind = _Kind.MOMENT if name == "created_at" else _Kind.TEXT
            return _Term(exp.column(f"lead_{name}"), kind, node)
        if name not in self.scope.attributes:
            hint = suggest(name, sorted(_LEAD_COLUMNS | self.scope.attributes))
            how = f"add it to `attributes:` of workspace.yml.{hint}"
            raise _refuse(node, f"unknown field lead.{name}: {how}")
        path = exp.Literal.string(f"$.{name}")
        sql = exp.Anonymous(
            this="json_extract_string", expressions=[exp.column("lead_attributes"), path]
        )
        return _Term(sql, _Kind.ATTRIBUTE, node)

    def _function(self, node: exp.Anonymous) -> _Term:
        name = node.name.lower()
        if name not in _FUNCTIONS:
            near = get_close_matches(name, _FUNCTIONS, n=1)
            hint = f"did you mean {_FUNCTIONS[near[0]]}?" if near else _vocabulary()
            raise _refuse(node, f"unknown function {name}(): {hint}")
        if not self.scope.is_enrollment:
            raise _refuse(node, f"{name}() needs an enrollment: an enrolment rule has lead.* only")
        arguments = [self._argument(node, argument) for argument in node.expressions]
        if name in ("sent", "opened", "clicked", "answered"):
            return self._step_function(node, name, arguments)
        if name == "days_since":
            return self._days_since(node, arguments)
        if arguments:
            raise _refuse(node, f"write {_FUNCTIONS[name]}")
        if name == "count_sends":
            count = exp.Coalesce(
                this=exp.column("count_sends"), expressions=[exp.Literal.number("0")]
            )
            return _Term(_double(count), _Kind.NUMBER, node)
        return _Term(_never_null(exp.column(f"has_{name}")), _Kind.TRUTH, node)

    def _argument(self, node: exp.Anonymous, argument: exp.Expr) -> str:
        if not isinstance(argument, exp.Literal) or not argument.is_string:
            raise _refuse(node, f"write {_FUNCTIONS[node.name.lower()]}, text in single quotes")
        return str(argument.name)

    def _days_since(self, node: exp.Anonymous, arguments: list[str]) -> _Term:
        if len(arguments) != 1:
            raise _refuse(node, f"write {_FUNCTIONS['days_since']}")
        since: exp.Expr = exp.column("enrolled_at")
        if arguments != ["enrolled"]:
            since = _handed_over_at(self._step_ix(node, "days_since", arguments[0]))
        now, then = (
            exp.Anonymous(this="epoch", expressions=[moment])
            for moment in (exp.column("now_at"), since)
        )
        seconds = exp.Paren(this=exp.Sub(this=now, expression=then))
        day = _double(exp.Literal.number("86400"))
        days = exp.Div(this=seconds, expression=day, typed=False, safe=False)
        zero = [exp.Literal.number("0")]
        return _Term(exp.Coalesce(this=days, expressions=zero), _Kind.NUMBER, node)

    def _step_function(self, node: exp.Anonymous, name: str, arguments: list[str]) -> _Term:
        most = 2 if name == "clicked" else 1
        if not 1 <= len(arguments) <= most:
            raise _refuse(node, f"write {_FUNCTIONS[name]}")
        ix = self._step_ix(node, name, arguments[0])
        if len(arguments) > 1:
            return _Term(_clicked_url(ix, _read_url(node, arguments[1])), _Kind.TRUTH, node)
        bit = exp.BitwiseRightShift(
            this=exp.column(f"{name}_mask"), expression=exp.Literal.number(ix)
        )
        one = exp.BitwiseAnd(this=exp.Paren(this=bit), expression=exp.Literal.number(1))
        is_set = exp.EQ(this=exp.Paren(this=one), expression=exp.Literal.number(1))
        return _Term(_never_null(is_set), _Kind.TRUTH, node)

    def _step_ix(self, node: exp.Anonymous, name: str, step_id: str) -> int:
        if step_id in self.scope.steps:
            return self.scope.steps[step_id]
        if step_id in self.scope.elsewhere:
            raise _refuse(node, f"{name}('{step_id}'): {self.scope.elsewhere[step_id]}")
        hint = suggest(step_id, list(self.scope.steps)) or " No step comes before this one."
        raise _refuse(node, f"{name}('{step_id}'): there is no step {step_id!r}.{hint}")


def _double(sql: exp.Expr) -> exp.Expr:
    return exp.cast(sql, "double", dialect="duckdb")


def _try_double(sql: exp.Expr) -> exp.Expr:
    return exp.TryCast(this=sql, to=exp.DataType.build("double", dialect="duckdb"))


def _paren(sql: exp.Expr) -> exp.Expr:
    return exp.Paren(this=sql)


def _never_null(sql: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=sql, expressions=[exp.false()])


def _like_other(term: _Term, other: _Term) -> exp.Expr | None:
    """Return `other` in the type of `term` where one of the two gives way, else None."""
    if term.kind is _Kind.NUMBER and other.kind is _Kind.ATTRIBUTE:
        return _try_double(other.sql)
    if term.kind is _Kind.TEXT and other.kind is _Kind.ATTRIBUTE:
        return other.sql
    if term.kind is _Kind.MOMENT and other.text is not None:
        return _moment(other)
    if term.kind is _Kind.ATTRIBUTE and isinstance(other.node, exp.Boolean):
        return exp.Literal.string("true" if other.node.this else "false")
    return None


def _moment(term: _Term) -> exp.Expr:
    how = "write '2026-03-01' or '2026-03-01T12:00:00+00:00'"
    try:
        moment = datetime.fromisoformat(term.text or "")
    except ValueError:
        raise _refuse(term.node, f"{term.text!r} is no date: {how}") from None
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return exp.cast(exp.Literal.string(utc.isoformat()), "timestamptz", dialect="duckdb")


def _read_url(node: exp.Anonymous, pattern: str) -> str:
    if "%" in (pattern[:1], pattern[-1:]) or not pattern:
        raise _refuse(node, "write * for any part of a url: clicked('step', '*pricing*')")
    return url_like(pattern)


def url_like(pattern: str) -> str:
    """Turn a pattern with * into one for `like … escape '!'`.

    >>> url_like("*100%*")
    '%100!%%'
    """
    return re.sub(r"([!%_])", _ESCAPE + r"\1", pattern).replace("*", "%")


def _clicked_url(ix: int, like: str) -> exp.Expr:
    """Look for a human click on a url that could be judged (R5)."""
    click = exp.to_identifier("click")
    is_step = exp.EQ(this=exp.column("step_ix", "click"), expression=exp.Literal.number(ix))
    is_alike = exp.Escape(
        this=exp.Like(this=exp.column("url", "click"), expression=exp.Literal.string(like)),
        expression=exp.Literal.string(_ESCAPE),
    )
    alike = exp.Lambda(this=exp.And(this=is_step, expression=is_alike), expressions=[click])
    found = exp.Anonymous(this="list_filter", expressions=[exp.column("judged_clicks"), alike])
    count = exp.Anonymous(this="len", expressions=[found])
    return _never_null(exp.GT(this=count, expression=exp.Literal.number(0)))


def _handed_over_at(ix: int) -> exp.Expr:
    """Read the moment at which a step was handed over, or may have been (R9)."""
    moments = [exp.column("handed_over_at"), exp.Literal.number(ix)]
    return exp.Anonymous(this="map_extract_value", expressions=moments)


def _describe(node: exp.Expr) -> str:
    if isinstance(node, exp.Null):
        return "null (write `is null`)"
    if isinstance(node, exp.Select | exp.Subquery | exp.Exists):
        return "a query"
    if isinstance(node, exp.Func):
        return f"the function {node.sql_name().lower()}()"
    return f"`{node.key}`"


def _vocabulary() -> str:
    return f"a condition is made of {', '.join(_FUNCTIONS.values())}, lead.*, and, or, not, =, in"


def _unknown_table(table: str) -> str:
    if table in ("company", "deal"):
        return f"{table}.* is not supported yet: use an attribute of the lead, lead.<name>"
    return f"unknown word {table!r}: only fields of the lead are known, lead.<name>"


def _check_guards(node: exp.Expr, negated: bool, guards: frozenset[str]) -> None:
    """Refuse `not opened('x')` where nothing says that x was sent (R5).

    Without it a lead who never got x would count as one who did not open it.
    """
    if isinstance(node, exp.Paren | exp.Not):
        _check_guards(node.this, negated ^ isinstance(node, exp.Not), guards)
    elif isinstance(node, exp.And | exp.Or):
        if isinstance(node, exp.And) != negated:
            guards |= _asserts_sent(node, negated)
        _check_guards(node.this, negated, guards)
        _check_guards(node.expression, negated, guards)
    elif isinstance(node, _COMPARISONS):
        _check_comparison(node, guards)
    elif negated and isinstance(node, exp.Anonymous) and node.name.lower() in _NEED_SENT:
        step_id, name = node.expressions[0].name, node.name.lower()
        if step_id not in guards:
            raise _refuse(
                node,
                f"not {name}('{step_id}') is also true for leads who never got {step_id!r}: "
                f"write sent('{step_id}') and not {name}('{step_id}')",
            )


def _check_comparison(node: exp.Expr, guards: frozenset[str]) -> None:
    """Refuse `days_since('x') < 3` where nothing says that x was sent: it would be 0."""
    if isinstance(node, exp.EQ | exp.NEQ):
        # `opened('x') = false` negates as well.
        for side in (node.this, node.expression):
            _check_guards(side, True, guards)
    for call in node.find_all(exp.Anonymous):
        step_id = call.expressions[0].name if call.expressions else "enrolled"
        if call.name.lower() == "days_since" and step_id not in guards | {"enrolled"}:
            raise _refuse(
                call,
                f"days_since('{step_id}') is 0 for leads who never got {step_id!r}: "
                f"write sent('{step_id}') and days_since('{step_id}') …",
            )


_COMPARISONS = (
    exp.EQ,
    exp.NEQ,
    exp.LT,
    exp.LTE,
    exp.GT,
    exp.GTE,
    exp.Between,
    exp.In,
)
_NEED_SENT = ("opened", "clicked", "answered")


def _asserts_sent(node: exp.Expr, negated: bool) -> frozenset[str]:
    """Name the steps that were sent wherever the node is true (negated: is false)."""
    if isinstance(node, exp.Paren | exp.Not):
        return _asserts_sent(node.this, negated ^ isinstance(node, exp.Not))
    if isinstance(node, exp.And | exp.Or):
        left = _asserts_sent(node.this, negated)
        right = _asserts_sent(node.expression, negated)
        return left | right if isinstance(node, exp.And) != negated else left & right
    is_step = isinstance(node, exp.Anonymous) and node.name.lower() in ("sent", *_NEED_SENT)
    return frozenset({node.expressions[0].name}) if is_step and not negated else frozenset()
