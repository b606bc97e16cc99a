"""Hand-written examples of what a follow-up may and must not say, and of what people say, by language and kind.

`messages.*.txt` are bodies of follow-ups under `[block:category]` and `[allow:category]`; `turns.*.txt` are a user's
turns under `[hold:category]`, `[pause]`, `[closed]` and `[fine:category]`. Files without sections hold small groups on
one topic: a `+` line that is harmless and `- category:` lines that are not. `replies.*.txt` is what bots answer,
`threads.*.txt` sentences of users in which a `[quote]` is fit to be shown to them or not. `opened-*` are judging
sets that were opened before (decision 20). All of it is invented.
"""

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relance.bot import Bot
from relance.disclosure import compose
from relance.guard.conversation import BY_THEMSELVES
from relance.interaction import Side, Turn
from relance.persona import Brief, Draft, Persona
from relance.writers.embedded import EmbeddedWriter

CORPUS = Path(__file__).parent
# In the order in which they are learned: the writer, whose sentences count as harmless messages, weighs its threads.
FAMILIES = ("threads", "replies", "messages", "turns", "endings", *BY_THEMSELVES)
_READS = dict.fromkeys(("endings", *BY_THEMSELVES), "turns")
# A bot that accepts an end or a pause is not careful about anything.
_NO_CARE = ("bad:pause", "bad:closed")
# So many harmless turns are put into frames; so many of them stand for follow-ups that were sent.
FRAMED, OWN = 150, 40


@dataclass(frozen=True, slots=True)
class Example:
    """One line of the corpus: what it says, under which heading, and whether it must be doubted."""

    text: str
    heading: str
    bad: bool


_SECTION = re.compile(r"\[([a-z]+)(?::([a-z_]+))?\]")
_CONTRAST = re.compile(r"\+ (.+)|- ([a-z_]+): (.+)")


def lines(name: str) -> Iterator[tuple[str, str]]:
    """(heading, text) of a corpus file; in a contrast file `+` is `fine` and `- category:` is `bad:category`."""
    section = ""
    for raw in (CORPUS / name).read_text(encoding="utf-8").splitlines():
        line = raw.strip()
        if not line or line.startswith("# "):
            continue
        head = _SECTION.fullmatch(line)
        contrast = _CONTRAST.fullmatch(line)
        if head:
            section = f"{head[1]}:{head[2]}" if head[2] else head[1]
        elif section:
            yield section, line
        elif contrast and contrast[1]:
            yield "fine", contrast[1]
        elif contrast:
            yield f"bad:{contrast[2]}", contrast[3]


def corpus_files(language: str) -> list[str]:
    """The corpus files of one language."""
    return sorted(path.name for path in CORPUS.glob(f"*.{language}.txt"))


def examples(family: str, language: str) -> list[Example]:
    """What one set of weights is learned from, without repetitions."""
    found: dict[str, Example] = {}
    if family == "messages":
        found |= {text: Example(text, "allow:frame", bad=False) for text in framed(language)}
    if family == "replies":
        found |= {text: Example(text, "fine:own", bad=False) for text in _own_messages(language)}
    for name in corpus_files(language):
        if _READS.get(family, family) in name:
            for heading, text in lines(name):
                side = _side(family, heading)
                if side is not None:
                    found.setdefault(text, Example(text, heading, side))
    return list(found.values())


def framed(language: str) -> list[str]:
    """The embedded writer's reviewed sentences, each filled with threads of harmless turns: they are harmless, too."""
    chance = random.Random(f"frames {language}")
    said = [
        text
        for name in corpus_files(language)
        if "turns" in name
        for heading, text in lines(name)
        if heading in ("fine:everyday", "fine:engaged", "fine", "engaged")
    ]
    chance.shuffle(said)
    writer = EmbeddedWriter()
    made = []
    for number, text in enumerate(said[:FRAMED]):
        persona = Persona(address=("informal", "formal")[number % 2])
        draft = writer.write(Brief("Lumen", "", persona, language, (Turn(Side.USER, 0, text),), seed=str(number)))
        if isinstance(draft, Draft):
            made.append(draft.message)
    return made


def _own_messages(language: str) -> list[str]:
    """What relance itself said in a conversation: follow-ups with their disclosure."""
    bot = Bot(id="", channel="messenger", name="Lumen", operator="Atelier", languages=(language,))
    return [compose(body, bot=bot, language=language) for body in framed(language)[:OWN]]


def _side(family: str, heading: str) -> bool | None:
    """True: must be doubted; False: harmless; None: not for this family."""
    kind = heading.partition(":")[0]
    if kind in ("closed", "pause"):
        if family in BY_THEMSELVES:  # who asks for a pause nearly says stop
            return None if kind == "pause" else False
        return {"endings": True, "turns": False}.get(family)
    if kind in ("fine", "engaged", "allow"):
        return False
    if family == "endings" or heading in _NO_CARE:
        return None
    if family in BY_THEMSELVES and heading.partition(":")[2] not in BY_THEMSELVES[family]:
        return None  # it tells its own kinds from what is harmless, and learns nothing from others
    return True


def fingerprint(language: str) -> str:
    """Changes with any line of the corpus of that language: a weights file tells what it was learned from."""
    digest = hashlib.sha256()
    for name in corpus_files(language):
        digest.update((CORPUS / name).read_bytes())
    return digest.hexdigest()[:16]
