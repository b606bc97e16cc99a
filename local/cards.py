"""Makes a persona of a character card, the file in which the chatbot community passes characters on (versions 2 and 3).

A card is written for a program that plays a role; relance writes one disclosed message for a real business. So little
of a card can be taken: who it is and how it sounds. Whatever gives orders to a model, begins scenes, plays a relation
to the reader or would be read as a person is refused, and the list of notes says so, field by field.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import category

import yaml

from relance.guard.draft import judge_text
from relance.guard.phrases import book
from relance.guard.text import readings

LONGEST_VOICE = 600
LONGEST_NAME = 60
MOST_SAMPLES = 3
# Cards with a whole book in them have some hundred kilobytes. Of each text so much is read as could ever be used.
MOST_BYTES = 4 * 1024 * 1024
LONGEST_READ = 20_000
MOST_NOTES = 60
VERSIONS = {"chara_card_v2": "2", "chara_card_v3": "3"}

# Sentences that describe a relation to the reader, a body, an age or a human being: none of them is a voice.
_NO_VOICE = re.compile(
    r"\b(?:girlfriend|boyfriend|wife|husband|lover|crush|soulmate|mistress|waifu|in love|"
    r"loves? (?:you|the (?:user|reader))|"
    r"romantic\w*|flirt\w*|seduc\w*|sex\w*|nsfw|erotic\w*|kiss\w*|cuddl\w*|jealous\w*|possessive\w*|obsess\w*|clingy|needy|"
    r"lonely|miss(?:es|ed|ing)? (?:you|the (?:user|reader))|yandere|"
    r"tsundere|submissive|dominant|naked|breasts?|bust|hips|blush\w*|virgin\w*|years? old|\d+[- ]?year|"
    r"teen\w*|school ?girl|school ?boy|child|minor|real person|human being|not an? (?:ai|bot|robot|machine)|"
    r"(?:never|don'?t|do not|must not) (?:say|admit|reveal|mention|break)|break(?:s|ing)? character|"
    r"ignore|obey\w*|unfiltered|"
    r"uncensored|jailbreak\w*|petite amie|petit ami|amoureu\w+|novia|novio|enamorad\w*|namorad\w*|"
    r"apaixonad\w*|freundin|verliebt)\b",
    re.IGNORECASE,
)  # fmt: skip
_ORDERS = re.compile(
    r"\b(?:you (?:must|will|are to|should)|always|never|do not|don'?t|\[|system note|instruction)", re.IGNORECASE
)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_ACTION = re.compile(r"\*[^*\n]*\*|\([^)\n]*\)|_[^_\n]+_")
_LINE_OF_CHARACTER = re.compile(r"^\s*(?:\{\{char\}\}|<bot>)\s*:\s*(.+)$", re.IGNORECASE | re.MULTILINE)

# Fields that are never taken, and why.
_REFUSED = {
    "system_prompt": "gives orders to the model in place of relance's own rules",
    "post_history_instructions": "gives orders to the model after its rules",
    "jailbreak": "gives orders to the model",
}
_LEFT_OUT = {
    "scenario": "a scene; relance continues what the person wrote about, nothing else",
    "first_mes": "begins a scene; relance only continues",
    "alternate_greetings": "begin scenes; relance only continues",
    "group_only_greetings": "begin scenes; relance only continues",
    "character_book": "lore that a person did not mention may not be named in a follow-up",
    "extensions": "made for other programs",
    "assets": "relance sends no pictures",
    "creator_notes_multilingual": "for readers of the card",
    "source": "for readers of the card",
    "tags": "for readers of the card",
    "creation_date": "for readers of the card",
    "modification_date": "for readers of the card",
}
_TAKEN_ELSEWHERE = {
    "name",
    "description",
    "personality",
    "mes_example",
    "creator",
    "character_version",
    "creator_notes",
}


class CardError(ValueError):
    """A file that is no character card relance can read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Note:
    """What became of one field of the card: `taken`, `in part`, `left out` or `refused`, and why."""

    field: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A persona made of a card, and a note on every field that the card had."""

    name: str
    voice: str
    samples: tuple[str, ...]
    notes: tuple[Note, ...]
    origin: str


def read_card(raw: bytes) -> Mapping[str, Any]:
    """The `data` of a version 2 or 3 card. Raises CardError for anything else."""
    if len(raw) > MOST_BYTES:
        raise CardError("this is larger than 4 MB: a card has some kilobytes; export it without pictures")
    if raw.startswith(b"\x89PNG"):
        raise CardError("this is a card inside a picture: export it as JSON from the program you got it with")
    try:
        card = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise CardError("this is not a JSON file in UTF-8: export the card as JSON") from None
    if isinstance(card, dict) and "spec" not in card and {"name", "description", "first_mes"} <= card.keys():
        raise CardError("this is a version 1 card: open it and export it again as version 2 or 3")
    if not isinstance(card, dict) or card.get("spec") not in VERSIONS or not isinstance(card.get("data"), dict):
        raise CardError('this is no character card: version 2 and 3 have "spec": "chara_card_v2" or "chara_card_v3"')
    if not isinstance(card["data"].get("name"), str) or not card["data"]["name"].strip():
        raise CardError("the card has no name: give data.name a text")
    return {**card["data"], "spec": card["spec"]}


def persona_of(card: Mapping[str, Any], language: str) -> Imported:
    """What relance can take of a card (from `read_card`) whose texts are in `language`."""
    notes: list[Note] = []
    nickname = _text(card, "nickname")
    name = _name(nickname) or _name(_text(card, "name")) or "FILL IN: the bot's name"
    notes.append(Note("nickname" if nickname else "name", "taken", "the bot's name"))
    voice = _voice(card, name, language, notes)
    samples = _samples(card, name, language, notes)
    for field in card:
        if field == "spec" or field in _TAKEN_ELSEWHERE or not card[field] or (field == "nickname" and nickname):
            continue
        if field in _REFUSED:
            notes.append(Note(field, "refused", _REFUSED[field]))
        else:
            notes.append(Note(_one_line(field), "left out", _LEFT_OUT.get(field, "relance has no use for it")))
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [Note("…", "left out", f"{len(notes) - MOST_NOTES} more fields relance has no use for")]
    made_by = ", ".join(part for part in (_text(card, "creator"), _text(card, "character_version")) if part)
    return Imported(name, voice, samples, tuple(notes), f"{card['spec']}{f', by {made_by}' if made_by else ''}")


def _text(card: Mapping[str, Any], field: str) -> str:
    value = card.get(field)
    # Half a surrogate pair can be read from JSON, and written nowhere.
    return value[:LONGEST_READ].encode("utf-8", "replace").decode().strip() if isinstance(value, str) else ""


def _name(text: str) -> str:
    """A name on one line; empty for what is none. It stands in the disclosure and in the rules for a model."""
    name = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f{}<>\[\]#*_`|~\"]", " ", text).split())[:LONGEST_NAME].strip()
    return "" if _NO_VOICE.search(name) or _ORDERS.search(name) else name


def _spoken(text: str, name: str) -> str:
    """The card's placeholders filled in, control characters and markup out."""
    text = re.sub(r"\{\{char\}\}|<bot>", lambda _: name, text, flags=re.IGNORECASE)
    text = re.sub(r"\{\{user\}\}|<user>", "the user", text, flags=re.IGNORECASE)
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f{}<>\[\]#*_`|~]", " ", text)


def _voice(card: Mapping[str, Any], name: str, language: str, notes: list[Note]) -> str:
    """The sentences that say who it is and how it sounds, as many as fit."""
    kept: list[str] = []
    length = 0
    for field in ("personality", "description"):
        said = _text(card, field)
        if not said:
            continue
        taken, refused = 0, 0
        for sentence in _sentences(_spoken(said, name)):
            if _NO_VOICE.search(sentence) or _ORDERS.search(sentence) or _touches(sentence, language):
                refused += 1
            elif length + len(sentence) < LONGEST_VOICE:
                kept.append(sentence)
                length += len(sentence) + 1
                taken += 1
        notes.append(_note_of(field, taken, refused, "the voice"))
    return " ".join(kept)


def _sentences(text: str) -> Iterator[str]:
    for match in _SENTENCE.finditer(text):
        sentence = " ".join(match[0].split())
        if len(sentence) > 2:
            yield sentence


def _touches(sentence: str, language: str) -> bool:
    """A sensitive subject, a claim to feel or to live, pressure: what a draft may not say, a voice may not want."""
    found: set[str] = set()
    for reading in readings(sentence):
        found |= book(f"topics.{language}").found(reading) | book(f"draft.{language}").found(reading)
    return bool(found - {"offers_stop"})


def _samples(card: Mapping[str, Any], name: str, language: str, notes: list[Note]) -> tuple[str, ...]:
    """Lines of the character that could be sent as they stand."""
    said = _text(card, "mes_example")
    if not said:
        return ()
    kept: list[str] = []
    refused = 0
    for line in _LINE_OF_CHARACTER.findall(said):
        spoken = " ".join(_spoken(_ACTION.sub(" ", line), name).split()).strip('"“”« »')
        if judge_text(spoken, language) is None:
            kept.append(spoken)
        else:
            refused += 1
    notes.append(_note_of("mes_example", len(kept[:MOST_SAMPLES]), refused, "samples"))
    return tuple(kept[:MOST_SAMPLES])


def _note_of(field: str, taken: int, refused: int, use: str) -> Note:
    why = f"{taken} of it used for {use}"
    if refused:
        why += f"; {refused} refused by the guards (relation to the reader, body, age, orders, sensitive subjects)"
    return Note(field, ("in part" if refused else "taken") if taken else ("refused" if refused else "left out"), why)


def as_yaml(imported: Imported, language: str, *, address: str = "informal") -> str:
    """A bot file to complete: what the card gave is in it, what only the operator can know is marked."""
    body: dict[str, Any] = {
        "bot": "FILL IN: the Page id, the phone number id or the Instagram account id",
        "channel": "messenger",
        "name": imported.name,
        "operator": "FILL IN: whose bot it is",
        "mode": "off",
        "country": "FILL IN: two letters",
        "zone": "FILL IN: like Europe/Paris",
        "languages": [language],
        "consent": "opt-in",
        "notice": False,
        "contact": "FILL IN: where people reach a person",
        "persona": {"voice": imported.voice or "FILL IN: two or three sentences", "address": address},
    }
    if imported.samples:
        body["persona"]["samples"] = {language: list(imported.samples)}
    head = [
        "# yaml-language-server: $schema=bot.schema.json",
        "#",
        f"# Imported from a character card ({_one_line(imported.origin)}).",
        "# Read it before you use it: a card is written for play, a follow-up reaches a person.",
        "# Complete what says FILL IN, then `relance bots validate`.",
        "",
    ]
    return "\n".join(head) + "\n" + yaml.safe_dump(body, allow_unicode=True, sort_keys=False, width=110)


def _one_line(text: str) -> str:
    """Of a stranger's text what fits into a comment or a line on a terminal."""
    shown = re.sub(r"\s+", " ", text[:200])[:120]
    return "".join("\ufffd" if category(letter) in ("Cc", "Cs") else letter for letter in shown)


def summary(notes: Sequence[Note]) -> str:
    """The notes as lines of text."""
    wide = max((len(note.field) for note in notes), default=0)
    return "\n".join(f"{note.what:9} {note.field:{wide}}  {note.why}".rstrip() for note in notes)
