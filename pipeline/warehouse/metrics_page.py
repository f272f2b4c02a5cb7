"""The page docs/metrics.md: every metric and what it means, as the published file says.

Belongs here: the page. Does not: the definitions (`dbt_project/models/metrics`), reading them
(`definitions`).
"""

from collections.abc import Iterable, Iterator

from pipeline.warehouse.definitions import Definitions, Group, Metric

_HEAD = """\
# Metrics

Made by `drip metrics --markdown > docs/metrics.md` from the published warehouse; the definitions
stand in `dbt_project/models/metrics`.

Counts, sums, means and ratios of two of them, over the marts. "Opened", "clicked" and "replied"
mean people; `_any` counts machines too. A rate names its denominator. Survival curves, experiments,
attribution and what a sequence causes are no sums: they are tables of their own
(`drip query "show all tables"`).

```bash
drip metric open_rate_per_sent reply_rate_per_sent --by channel --grain week
drip metric conversion_rate_per_enrolled revenue_per_enrolled --by sequence
drip metric dropped --by end_reason --where "sequence = 'nurture'" --start 2026-11-01
drip metric drop_off_rate_per_entered --by sequence,step --sql   # the SQL, for `drip query`
drip metric sent --by lead.country --as-of 2026-W45 --csv   # as that week's snapshot says
```
"""


def metrics_page(definitions: Definitions) -> str:
    """Return the page as Markdown."""
    return "\n".join([_HEAD, *(line for group in definitions.groups for line in _section(group))])


def _section(group: Group) -> Iterator[str]:
    yield f"## {group.name}\n"
    yield f"{group.definition}\n"
    yield "| metric | definition | made of |"
    yield "|---|---|---|"
    for metric in group.metrics:
        yield f"| `{metric.name}` | {metric.definition} | `{metric.formula}` |"
    yield f"\nFrom {_code(_marts(group.metrics))}, by {_code(_names(group.metrics))}.\n"


def _marts(metrics: Iterable[Metric]) -> list[str]:
    return list(dict.fromkeys(mart for metric in metrics for mart in metric.marts))


def _names(metrics: Iterable[Metric]) -> list[str]:
    """List by what some metric of a group can be split; keys of single rows are left out."""
    return list(
        dict.fromkeys(one.name for metric in metrics for one in metric.dimensions if not one.is_key)
    )


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
