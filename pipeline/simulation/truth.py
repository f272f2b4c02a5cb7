"""What is true in the simulated market: the numbers that the ring has to find.

Belongs here: probabilities, effects, times, and what follows from them by arithmetic.
Does not: drawing from them (`market`), comparing with what was found (`drive`).
"""

import math
from dataclasses import dataclass

DAY = 86_400.0


@dataclass(frozen=True)
class Waiting:
    """A log-normal time: half of it is over after `median` seconds; `spread` is of the log."""

    median: float
    spread: float

    def draw(self, normal: float) -> float:
        """Return the seconds that a standard normal draw stands for."""
        return self.median * math.exp(self.spread * normal)

    def share_within(self, seconds: float) -> float:
        """Return the probability that it is over by then."""
        if seconds <= 0:
            return 0.0
        z = math.log(seconds / self.median) / self.spread
        return 0.5 * math.erfc(-z / math.sqrt(2))


@dataclass(frozen=True)
class Appeal:
    """How many read a mail whose subject holds these words; `arm` names it in the experiment."""

    words: str
    reads: float
    arm: str


@dataclass(frozen=True)
class Truth:
    """Everything that people do with a known probability.

    Probabilities are those of a lead of average interest. Interest is even between 0.5 and 1.5 and
    multiplies reading and buying; its mean is 1, so the averages below hold for all leads together.
    """

    # Which subject makes people look.
    appeals: tuple[Appeal, ...] = (
        Appeal("Welcome to", 0.28, "plain"),
        Appeal("a quick question", 0.31, "question"),
        Appeal("lesson is ready", 0.60, "course"),
    )
    reads_other_mail: float = 0.45
    clicks_when_read: float = 0.36

    # How long to wait: who is written to again within this time feels pressed, and answers less.
    patience_seconds: float = 2 * DAY
    answers_when_read: float = 0.03
    answers_when_asked: float = 0.38
    answers_when_pressed: float = 0.12
    asking_words: str = "What would you like"

    # Does contact pay: how many buy anyway, and how many more because somebody wrote to them.
    buys_anyway: float = 0.07
    buys_when_contacted: float = 0.10

    # Who opens and clicks without reading.
    proxy_share: float = 0.40
    gateway_share: float = 0.08

    # What goes wrong.
    wrong_address_share: float = 0.015
    refused_address_share: float = 0.01
    greylisted_share: float = 0.01
    unsubscribes_when_read: float = 0.015
    complains_when_read: float = 0.001
    away_share: float = 0.02
    # Of reports that are delivered a second time, as webhooks are.
    repeated_share: float = 0.02

    reads_text: float = 0.8
    answers_text: float = 0.06
    leaves_by_text: float = 0.02

    until_read: Waiting = Waiting(2.5 * 3600, 1.2)
    until_click: Waiting = Waiting(40.0, 0.8)
    until_answer: Waiting = Waiting(3 * 3600, 1.0)
    until_bought_anyway: Waiting = Waiting(4 * DAY, 0.8)
    until_bought: Waiting = Waiting(1.5 * DAY, 0.7)
    until_fetched: Waiting = Waiting(90.0, 1.0)
    until_scanned: Waiting = Waiting(43.0, 0.25)
    until_bounced: Waiting = Waiting(30.0, 0.5)

    order_value: Waiting = Waiting(120.0, 0.5)

    def reads(self, subject: str) -> float:
        """Return the share of average leads that read a mail with this subject."""
        for appeal in self.appeals:
            if appeal.words in subject:
                return appeal.reads
        return self.reads_other_mail

    def answers(self, subject: str, seconds_since_last: float | None) -> float:
        """Return the share of readers who answer, by subject and time since the last mail."""
        if self.asking_words not in subject:
            return self.answers_when_read
        if seconds_since_last is not None and seconds_since_last < self.patience_seconds:
            return self.answers_when_pressed
        return self.answers_when_asked

    @property
    def best_subject(self) -> str:
        """The arm that most people read, and so click."""
        return max(self.appeals, key=lambda appeal: appeal.reads).arm

    def click_rate(self, arm: str) -> float:
        """Return the share of leads with this arm's subject that click, unreachable ones too."""
        reads = next(appeal.reads for appeal in self.appeals if appeal.arm == arm)
        return self.reachable_share * reads * self.clicks_when_read

    @property
    def reachable_share(self) -> float:
        """Leads whose address works."""
        return 1 - self.wrong_address_share - self.refused_address_share

    def answer_rate(self, delay_seconds: float) -> float:
        """Return the share of leads that answer when the question is sent after this delay.

        To the question, to the mail before it or to the one after it.
        """
        reads = self.reachable_share * self.reads_other_mail
        silent = 1 - reads * self.answers(self.asking_words, delay_seconds)
        return 1 - silent * (1 - reads * self.answers_when_read) ** 2

    def lift(self, window_seconds: float) -> float:
        """Return by how much contact raises the share that buys within the window from it."""
        more = self.buys_when_contacted * self.until_bought.share_within(window_seconds)
        return self.reachable_share * more * (1 - self.buys_anyway)
