"""Who speaks, and what passes between the conversation and the writer."""

from dataclasses import dataclass, field

from relance.interaction import Turn

LANGUAGES = ("en", "fr", "es", "pt", "de")


@dataclass(frozen=True, slots=True)
class Persona:
    """A bot's voice. Texts per language are keyed by the two-letter code.

    `address` is the form of address: `informal` (tu, du, você/tu) or `formal` (vous, Sie, usted).
    `may` lists what it may talk about; `never` what it may not. `frames` are the operator's own reviewed
    sentences with one `{topic}` slot, used by the embedded writer before its built-in ones.
    """

    voice: str = ""
    address: str = "informal"
    may: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    samples: dict[str, tuple[str, ...]] = field(default_factory=dict)
    frames: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Brief:
    """All a writer may know: no name of the person, no number, no time, no count (safety.md 4.4).

    `turns` are oldest first. `feedback` is the guard's reason for refusing the attempt before, or empty.
    `seed` makes a deterministic writer choose between its frames; it holds no personal data.
    """

    bot_name: str
    operator: str
    persona: Persona
    language: str
    turns: tuple[Turn, ...]
    feedback: str = ""
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """What writing has cost: calls of a model and its tokens; the ledger keeps the sum. A frame costs nothing."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""

    def __add__(self, more: "Spent") -> "Spent":
        return Spent(
            self.calls + more.calls,
            self.input_tokens + more.input_tokens,
            self.output_tokens + more.output_tokens,
            more.model or self.model,
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """A body before its disclosure line. `topic_quote` is literally in one of the user's turns."""

    message: str
    topic_quote: str
    language: str
    spent: Spent = Spent()


@dataclass(frozen=True, slots=True)
class Nothing:
    """The writer found nothing worth saying: silence as a value, never a magic string."""

    why: str = ""
    spent: Spent = Spent()
