"""May this conversation be continued at all? Judged by what the user wrote and how the bot answered, before a draft."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from relance.guard import ages, signals
from relance.guard.evidence import Features, features, learned, spell
from relance.guard.language import decide, language_of, language_of_turns, scores
from relance.guard.phrases import book
from relance.guard.shorthand import spelt_out
from relance.guard.signals import Signal
from relance.guard.text import readings
from relance.interaction import DAY, Side, Turn
from relance.persona import LANGUAGES
from relance.reason import Reason

__all__ = ["Allowed", "Refused", "judge", "language_of"]

# What was said before that is not looked at (safety.md B13: last 30 days, 60 turns).
WINDOW = 30 * DAY
MOST_TURNS = 60
# A goodbye or a pause counts when it is among the last words.
_LAST_WORDS = 3
# A person of the business who spoke among so many last turns still has the conversation, though the bot spoke again.
_WITH_A_PERSON = 5
# From so many votes on, a text is taken to be in a language and not in all of them.
_CLEAR_VOICE = 2.0
_HINT = 1.0
# What is told in passing, a school year, a wish for quiet, is lost among all that may be hard about a turn. These
# kinds, of which none may be missed (safety.md section 6), have weights of their own, and no answer of the bot's speaks
# for them (decision 17). Each stands for categories of the corpus.
BY_THEMSELVES = {
    "children": ("minor", "minor_stated", "minor_inferred"),
    "stops": ("opt_out",),
    "persons": ("human_agent",),
    "households": ("domestic_abuse", "shared_device", "owner_deceased"),
    "crises": (
        "crisis_explicit",
        "crisis_veiled",
        "crisis_coded",
        "crisis_projected",
        "crisis_retracted",
        "self_harm",
        "eating_disorder",
    ),
}
# What each turn is weighed for by its meaning: those, and whatever is hard about it.
MEANT = BY_THEMSELVES | {"turns": None}
# What hints at them (sections of the phrase files) lowers their marks, as it does that of all turns.
HINTS = {
    "children": frozenset(("hold_young",)),
    "stops": frozenset(("hold_optout",)),
    "persons": frozenset(("hold_handover",)),
    "households": frozenset(("hold_device", "hold_home", "hold_death")),
    "crises": frozenset(
        ("hold_crisis", "hold_code", "hold_self_harm", "hold_eating", "hold_body", "hold_farewell", "hold_retracted")
    ),
}
# Sections of the phrase files that hold whatever the weights say: orders to the bot, and what somebody plainly tells of
# himself or herself ("I have cancer"): so few words have next to no weight.
_HELD_BY_A_PHRASE = frozenset(("hold_injection", "told"))
# So much more must speak for a child where somebody said what only a grown-up says: "my Year 4s", "since I retired".
GROWN_UP = 2.5
# Two turns that each come so near the mark are doubtful together.
NEARLY = 1.0
# The bot's answers say how the person's words were meant. One so far beyond its mark holds alone; one from HEED below
# it on counts against the turns; only plain ones speak for them, up to AT_EASE.
CAREFUL, HEED, AT_EASE = 2.0, 0.75, 0.5
# So much more must speak for an end where the words also speak for going on, and where there are hardly any words: of
# "wombat" in a quiz the weights know nothing, and nothing is no end.
SURE = 5.0
HARDLY_ANY, RATHER_SURE = 2, 2.0
# … and a little more in any case: the plain ends are phrases, and "second lot's on the griddle" is none.
LIKELY = 2.5
# … and so much more where they answer a question of the bot's.
ANSWERING = 2.0
# A phrase of an end is none where the whole is so far from one: "he got it in two. Harder ones for next shift".
GOES_ON = -2.0
_AGENT_JOINED = re.compile(r"^\s*\[[^\]]{0,60}\]")


@dataclass(frozen=True, slots=True)
class Allowed:
    """Nothing speaks against a follow-up; `language` is the one to write in."""

    language: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No follow-up. `gate` names the gate for aggregate counts; a hold never says which subject it was."""

    reason: Reason
    gate: str


def judge(turns: Sequence[Turn], languages: Sequence[str], now: int) -> Allowed | Refused:
    """The policy's gates on a conversation (safety.md 4.2: opt-out, age, human, B13, B14, B15), first refusal wins.

    `turns` are oldest first, `languages` those the bot speaks, `now` epoch seconds. The user's turns decide,
    with the bot's answers as a second witness; those may be missing, because not every platform echoes them. A gate
    that fails refuses.
    """
    try:
        return _judge(turns, languages, now)
    except Exception:  # a guard that fails: do not send (design.md section 6)
        return Refused(Reason.SAFETY_HOLD, "error")


def _found(family: str, text: str, conversation: str) -> frozenset[str]:
    """The sections of a phrase file family that the text touches, in every language it may be written in.

    A word can be harmless in one language and a hard subject in another (Spanish `sin`): where the text, or else
    the conversation, speaks clearly for some languages, only those are asked (and any the text hints at); else all.
    """
    voices = scores(text)
    if max(voices.values()) >= _CLEAR_VOICE:
        spoken = _loudest(voices)
    else:
        around = scores(conversation)
        spoken = _loudest(around) if max(around.values()) >= _CLEAR_VOICE else set(LANGUAGES)
        spoken |= {language for language in LANGUAGES if voices[language] >= _HINT}
    return frozenset().union(
        *(book(f"{family}.{language}").found(reading) for language in spoken for reading in readings(text))
    )


def _loudest(voices: Mapping[str, float]) -> set[str]:
    most = max(voices.values())
    return {language for language in LANGUAGES if voices[language] >= most / 2}


@cache
def _courtesy() -> re.Pattern[str]:
    """A word of thanks, assent or greeting in any of the languages."""
    return re.compile("|".join(book(f"conversation.{language}").whole("courtesy").pattern for language in LANGUAGES))


def _judge(turns: Sequence[Turn], languages: Sequence[str], now: int) -> Allowed | Refused:
    recent = [turn for turn in turns if now - turn.at <= WINDOW][-MOST_TURNS:]
    said = [turn.text for turn in recent if turn.side is Side.USER and turn.text.strip()]

    heard = frozenset().union(*(signals.read(text) for text in said))
    if Signal.OPT_OUT in heard:
        return Refused(Reason.OPTED_OUT, "opt_out")
    if Signal.MINOR in heard:
        return Refused(Reason.MINOR, "age")
    if Signal.CRISIS in heard:
        return Refused(Reason.SAFETY_HOLD, "safety")

    others = [turn for turn in recent if turn.side is not Side.USER]
    if any(turn.side is Side.AGENT for turn in recent[-_WITH_A_PERSON:]) or (
        others and (others[-1].side is Side.AGENT or _AGENT_JOINED.match(others[-1].text))
    ):
        return Refused(Reason.HUMAN_OWNS, "human")

    whole = "\n".join(said)
    spoken = [_found("conversation", text, whole) for text in said]
    everything = frozenset().union(*spoken)
    if "human" in everything:
        return Refused(Reason.HUMAN_OWNS, "human")
    if everything & _HELD_BY_A_PHRASE:
        return Refused(Reason.SAFETY_HOLD, "safety")
    answers = list(dict.fromkeys(turn.text for turn in others))
    if any("bot_careful" in _found("conversation", text, whole) for text in answers):
        return Refused(Reason.SAFETY_HOLD, "safety")
    if any("pause" in sections for sections in spoken[-_LAST_WORDS:]):
        return Refused(Reason.USER_PAUSE, "open_thread")
    grown_up = any(map(signals.is_grown_up, said))
    if _is_doubtful(dict(zip(said, spoken, strict=True)), answers, whole, grown_up=grown_up):
        return Refused(Reason.SAFETY_HOLD, "safety")

    if not _is_open(recent, said, spoken):
        return Refused(Reason.NO_OPEN_THREAD, "open_thread")

    language = language_of_turns(said, (turn.text for turn in others), languages)
    if language is None:
        return Refused(Reason.LANGUAGE, "language")
    return Allowed(language)


def _is_doubtful(said: Mapping[str, frozenset[str]], answers: Sequence[str], whole: str, *, grown_up: bool) -> bool:
    """True when a turn touches what is better left alone, or two nearly do; the bot's answers say how.

    `said` gives the user's turns, each with the sections of phrases found in it.
    """
    if not said:
        return False
    # numpy and the encoder, which the sender alone has, and not before they are needed
    from relance.guard import meaning

    most = dict.fromkeys(BY_THEMSELVES, 0.0) | ({"children": GROWN_UP} if grown_up else {})
    beyond = []
    for (text, sections), meant in zip(said.items(), meaning.read(list(said), MEANT), strict=True):
        language = _language(text, whole)
        spelt = spell(text, language)
        if len(text.split()) > HARDLY_ANY and _speaks_alone(text, language, spelt, sections, meant, most):
            return True
        named = bool(_found("topics", text, whole) or any(section.startswith("hold") for section in sections))
        beyond.append(learned("turns", language).beyond(spelt, named=named) + meant["turns"])
    beyond.sort(reverse=True)
    doubt = max(beyond[0], sum(beyond[:2]) / 2 + NEARLY) if len(beyond) > 1 else beyond[0]
    if not answers:  # not every platform echoes them
        return doubt > 0
    care = max(_weigh("replies", text, whole) for text in answers)
    return care > CAREFUL or doubt + max(care + HEED, -AT_EASE) > 0


def _speaks_alone(
    text: str,
    language: str,
    spelt: Sequence[Features],
    sections: frozenset[str],
    meant: Mapping[str, float],
    most: Mapping[str, float],
) -> bool:
    """True when a turn is beyond the mark of a kind with weights of its own; a stop in a song's title is none."""
    own = signals.own_words(text)
    as_read = tuple(spelt_out(reading, language) for reading in readings(text))
    with_ages = tuple(ages.name(reading, language) for reading in as_read)
    found = dict.fromkeys(most, spelt) | {
        "stops": spelt if own == text else spell(own, language),
        "children": spelt if with_ages == as_read else tuple(map(features, with_ages)),
    }
    return any(
        learned(kind, language).beyond(found[kind], named=bool(sections & HINTS[kind])) + meant[kind] > mark
        for kind, mark in most.items()
    )


def _weigh(family: str, text: str, whole: str) -> float:
    """How far a text is beyond the mark of a weights file; it is doubted above nought."""
    language = _language(text, whole)
    return learned(family, language).beyond(spell(text, language))


def _language(text: str, whole: str) -> str:
    """The language a turn speaks clearly by itself, else that of the conversation: most are too short to tell."""
    return decide(scores(text), sure=_CLEAR_VOICE) or _best(scores(whole))


def _best(voices: Mapping[str, float]) -> str:
    return max(LANGUAGES, key=lambda language: voices[language])


def _is_open(recent: Sequence[Turn], said: Sequence[str], spoken: Sequence[frozenset[str]]) -> bool:
    """True when something was left to continue: a wish, a question, an answer to the bot's; not after a goodbye."""
    if not any(_content(text) for text in said):
        return False
    last, sections = said[-1], spoken[-1]
    closed = "closed" in sections and _weigh("endings", last, "\n".join(said)) > (
        NEARLY if "forward" in sections else GOES_ON
    )
    if closed or _looks_ended(said, spoken, answering=_answers_a_question(recent)):
        return "reopened" in sections
    if "forward" in sections or "question" in sections:
        return True
    if _is_courtesy(last):
        if "bye" in sections:
            return len(spoken) > 1 and "forward" in spoken[-2] and "closed" not in spoken[-2]
        return _answers_a_question(recent) or (len(spoken) > 1 and "forward" in spoken[-2])
    if "bye" in sections:
        return False
    return bool(_content(last)) or _answers_a_question(recent)


def _looks_ended(said: Sequence[str], spoken: Sequence[frozenset[str]], *, answering: bool) -> bool:
    """True when the last words that are more than a courtesy look like an end or a pause."""
    for text, sections in zip(reversed(said), reversed(spoken), strict=True):
        if "question" in sections:
            return False
        if not _is_courtesy(text):
            # Who names a day for going on has not ended anything, unless the rest of the words says so.
            least = SURE if "forward" in sections else RATHER_SURE if len(text.split()) <= HARDLY_ANY else LIKELY
            return _weigh("endings", text, "\n".join(said)) > least + (ANSWERING if answering else 0.0)
    return False


def _is_courtesy(text: str) -> bool:
    """True for thanks, ok and the like, or emoji: nothing that says that more is wanted."""
    whole = _courtesy()
    spoken = [word for word in readings(text)[0].split() if word not in (".", "?")]
    return all(whole.fullmatch(word + " ") for word in spoken)


def _answers_a_question(recent: Sequence[Turn]) -> bool:
    """True when the last thing the bot said before the user's last turn was a question or an offer."""
    for turn in reversed(recent[:-1] if recent and recent[-1].side is Side.USER else recent):
        if turn.side is not Side.USER:
            return "?" in turn.text
    return False


def _content(text: str) -> list[str]:
    """The words that could be about something."""
    whole = _courtesy()
    return [word for word in readings(text)[0].split() if len(word) > 2 and not whole.fullmatch(word + " ")]
