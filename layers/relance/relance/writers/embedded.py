"""Writes a follow-up without a model: the person's own words, quoted in a sentence that was reviewed beforehand."""

import hashlib
import re
from collections.abc import Sequence

from relance.guard.text import words
from relance.interaction import Side
from relance.persona import LANGUAGES, Brief, Draft, Nothing
from relance.writers.thread import Thread, find, presentable, speech

# safety.md A2. A sentence that leaves this room is not written, rather than refused behind us.
SHORTEST, LONGEST = 20, 320
SLOT = "{topic}"

# How much less worthwhile a thread may be and still be taken up when a draft on the first one was refused.
_NEARLY_AS_GOOD = 2.5
_QUOTES = {"en": "“”", "fr": "«»", "es": "«»", "pt": "“”", "de": "„“"}
_NO_BREAK = "\u00a0"
# Where a bare topic would need another form: « de le » is « du », «de el» is «del», „em o“ is „no“.
_CONTRACTS = {
    "fr": re.compile(r"(?: (?:de|à) l(?:e|es)| (?:de|que|jusque) [aeiouyhéèêà].*) "),
    "es": re.compile(r" (?:de|a) el "),
    "pt": re.compile(r" (?:de|em|a|por) (?:[oa]s?|um|uma|uns|umas|es\w+|aquel\w+) "),
}


class EmbeddedWriter:
    """Chooses a thread and a sentence by the brief alone: the same brief always gives the same draft.

    The operator's own frames (`persona.frames`) come first; once the guard has refused a draft (`brief.feedback`)
    another thread or another sentence is tried, always one of the built-in ones.
    """

    __slots__ = ()

    def write(self, brief: Brief) -> Draft | Nothing:
        """A draft about one thread of the person's own turns, or Nothing when none is good enough. Never raises."""
        if brief.language not in LANGUAGES:
            return Nothing("no sentences in this language")
        open_ones = presentable(find(brief.turns, brief.language), brief.language)
        threads = [one for one in open_ones if not _forbidden(one, brief.persona.never)]
        if not threads:
            return Nothing("no thread to take up")
        own = _one_slot(brief.persona.frames.get(brief.language, ()))
        first = threads[0]
        if not brief.feedback:
            for frame in _turned(own, _hash(brief)):
                message, quote = _in_own_frame(frame, first, brief.language)
                if _fits(message, brief, frame):
                    return Draft(message, quote, brief.language)
        else:
            nearly = [one for one in threads[1:] if one.worth >= first.worth - _NEARLY_AS_GOOD]
            threads = [*nearly, *(one for one in threads if one not in nearly)]
        for thread in threads:
            kind = "question" if thread.question else ""
            for frame in self._built_in(brief, kind):
                message, quote = _in_built_in_frame(frame, thread, brief.language)
                if _fits(message, brief, frame):
                    return Draft(message, quote, brief.language)
        return Nothing("no sentence fits the thread")

    def _built_in(self, brief: Brief, kind: str) -> Sequence[str]:
        """The reviewed sentences, in an order of the pair's own; the one refused before comes last."""
        address = "formal" if brief.persona.address == "formal" else "informal"
        frames = _turned(speech(brief.language).frames[f"{address} {kind}".strip()], _hash(brief))
        if not brief.feedback:
            return frames
        others, refused = frames[1:], frames[:1]
        return (*_turned(others, _hash(brief, brief.feedback)), *refused)


def _hash(brief: Brief, *more: str) -> int:
    """A stable number for this pair's occasion (Python's own hash differs from process to process)."""
    named = "\x1f".join((brief.seed, brief.bot_name, *more))
    return int.from_bytes(hashlib.blake2b(named.encode(errors="replace"), digest_size=8).digest())


def _turned(frames: Sequence[str], by: int) -> tuple[str, ...]:
    at = by % len(frames) if frames else 0
    return (*frames[at:], *frames[:at])


def _one_slot(frames: Sequence[str]) -> tuple[str, ...]:
    return tuple(frame for frame in frames if frame.count(SLOT) == 1)


def _forbidden(thread: Thread, never: Sequence[str]) -> bool:
    """True when the sentence of the thread names what the persona never talks about, or a part of it."""
    said = words(thread.said)
    for item in never:
        for named in re.split(r",|;|\b(?:and|or|et|ou|y|e|o|und|oder)\b", item.casefold()):
            spelt = words(named).strip()
            if spelt and re.search(rf" {re.escape(spelt.removesuffix('s'))}s? ", said):
                return True
    return False


# --- Filling a frame -----------------------------------------------------------------------------------------------


def _in_built_in_frame(frame: str, thread: Thread, language: str) -> tuple[str, str]:
    """The message and the words quoted in it."""
    quote = thread.question or thread.words
    if language == "fr":
        frame = _french_spaces(frame)
    if quote.endswith("?") and language in ("en", "fr", "de"):
        frame = re.sub(r"(\{topic\}\s?[”»“])\.", r"\1", frame)  # the question's own mark ends the sentence
    return frame.replace(SLOT, quote), quote


def _in_own_frame(frame: str, thread: Thread, language: str) -> tuple[str, str]:
    """The operator's sentence as it stands; the topic in quotation marks unless it fits without."""
    before, _, after = frame.partition(SLOT)
    marked = bool(re.search(r"[“„«\"]\s?$", before))
    topic = thread.words if marked or _fits_bare(before, thread.words, language) else quoted(thread.words, language)
    return before + topic + after, thread.words


def quoted(text: str, language: str) -> str:
    """The text between the language's quotation marks."""
    opening, closing = _QUOTES[language]
    space = _NO_BREAK if language == "fr" else ""
    return f"{opening}{space}{text}{space}{closing}"


def _fits_bare(before: str, topic: str, language: str) -> bool:
    """True only where no grammar can go wrong: behind an article, and no contraction with the word before."""
    spoken = speech(language)
    article = topic.split()[0]
    if language == "de" or not before.strip() or not article[:1].islower() or not spoken.is_a(article, "articles"):
        return False
    contracts = _CONTRACTS.get(language)
    ahead = before.split()[-1:]
    return not (contracts and contracts.fullmatch(f" {' '.join(ahead)} {article} ".lower()))


def _french_spaces(text: str) -> str:
    """No-break spaces inside guillemets and before the high marks."""
    return re.sub(r"(?<=«) | (?=[»:;?!])", _NO_BREAK, text)


def _fits(message: str, brief: Brief, frame: str) -> bool:
    """True for one plain paragraph of the right length, in a sentence that this conversation has not seen yet."""
    return (
        SHORTEST <= len(message) <= LONGEST
        and message.count("?") <= 1
        and "\n" not in message
        and SLOT not in message
        and not any(_same_sentence(frame, turn.text) for turn in brief.turns if turn.side is not Side.USER)
    )


def _same_sentence(frame: str, said: str) -> bool:
    """True when the frame, whatever stood in its slot, is part of what the bot said."""
    before, _, after = (words(part).strip() for part in frame.partition(SLOT))
    heard = words(said)
    return before in heard and after in heard and len(before) + len(after) > SHORTEST
