"""What a text is made of: words, phrases, where they stand, and how it is written.

Belongs here: features of one template source. Does not: what they bring (`words`).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Kind = Literal["phrase", "place"]

LONGEST_PHRASE = 3
STYLES = ("characters", "words", "question", "number", "emoji", "personalised")
"""Lengths count; the others are 0 or 1."""
PLACES = ("first third", "middle third", "last third")

_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_VALUE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_TAG = re.compile(r"\{%.*?%\}", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
# A phrase ends where a sentence or a clause does, and at what is put in for each lead.
_BREAK = re.compile(r"[.!?;:,()\[\]\n\r\x00…–—\"“”]+")
_EMOJI = re.compile("[\N{WATCH}-\N{HOURGLASS}\u2600-\u27bf\U0001f1e6-\U0001faff]")
_GAP = "\x00"


@dataclass(frozen=True)
class Wording:
    """One text, read.

    Attributes:
        features: phrases of one to three words, and places as "word · first third".
        style: STYLES by name.
    """

    features: frozenset[tuple[Kind, str]]
    style: tuple[float, ...]


@lru_cache(maxsize=65_536)
def read_wording(source: str) -> Wording:
    """Read a template source; what is put in for each lead is no word, only personalised.

    Both branches of a condition count: a lead may see either.

    >>> sorted(name for kind, name in read_wording("Quick question").features if kind == "phrase")
    ['question', 'quick', 'quick question']
    """
    text = _COMMENT.sub("", source)
    values = [value.strip() for value in _VALUE.findall(text)]
    text = _ADDRESS.sub(_GAP, _LINK.sub(r"\1", _TAG.sub("", _VALUE.sub(_GAP, text))))
    clauses = [
        [word.replace("’", "'") for word in _WORD.findall(clause.lower())]
        for clause in _BREAK.split(text)
    ]
    phrases: set[tuple[Kind, str]] = {
        ("phrase", " ".join(words[start : start + size]))
        for words in clauses
        for size in range(1, LONGEST_PHRASE + 1)
        for start in range(len(words) - size + 1)
    }
    words = [word for clause in clauses for word in clause]
    places: set[tuple[Kind, str]] = {
        ("place", f"{word} · {PLACES[3 * index // len(words)]}") for index, word in enumerate(words)
    }
    return Wording(
        features=frozenset(phrases | places),
        style=(
            float(len(" ".join(text.replace(_GAP, "").split()))),
            float(len(words)),
            float("?" in text),
            float(any(character.isdigit() for character in text)),
            float(bool(_EMOJI.search(text))),
            # The way out of a list is no person's name.
            float(any("unsubscribe" not in value for value in values)),
        ),
    )
