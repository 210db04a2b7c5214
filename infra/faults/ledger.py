"""What was asked of the engine and what it answered, as the clients wrote it down."""

from dataclasses import dataclass, field

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a client was told: where its events lie and what they are (stored name and payload), or why not.

    `refusal` is the code of a refusal, of which the log holds nothing.
    """

    first_sequence: int
    last_sequence: int
    events: tuple[tuple[str, bytes], ...]
    refusal: str | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `name` is unique and stands as the correlation id in the metadata of every event it led to.

    `client` asks one thing after another. `is_keyed`: the name is the idempotency key as well; without a key a request
    that is repeated after a lost answer finds that everything has happened, and leads to nothing.
    """

    name: str
    client: str
    scope: str
    is_keyed: bool


@dataclass
class Ledger:
    """All requests, in the order in which they were first made, and their first answers.

    `repeated` counts second answers to a key, `contradictions` are those that were other ones than the first.
    """

    asked: dict[str, Asked] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    repeated: int = 0
    doubts: int = 0
    """How often a client was told that the outcome is unknown, or that the log is away."""

    def ask(self, asked: Asked) -> None:
        """Write down that a request is made, before it is."""
        self.asked.setdefault(asked.name, asked)

    def answer(self, name: str, answer: Answer) -> None:
        """Write down an answer; a second one to the same key has to be the first one again."""
        first = self.answers.get(name)
        if first is None:
            self.answers[name] = answer
        elif self.is_final(name):
            self.repeated += 1
            if first != answer:
                self.contradictions.append(f"{name}: first {first}, then {answer}")

    def is_final(self, name: str) -> bool:
        """Tell whether a request was answered once for all: a refusal, and what has no key, is decided anew."""
        answer = self.answers.get(name)
        return answer is not None and bool(answer.events) and self.asked[name].is_keyed
