"""Finds what a person left open, in their own words: the thread that the embedded writer may take up again."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import pairwise

from relance.guard import signals
from relance.guard.evidence import features, learned
from relance.guard.phrases import PhraseBook, book
from relance.guard.text import readings, words
from relance.interaction import Side, Turn
from relance.persona import LANGUAGES

# Only what was said last can still be open.
LATEST_TURNS = 12
LONGEST_READ = 1_000
LONGEST_QUOTE = 60
MOST_WORDS = 7
MOST_WORDS_OF_A_QUESTION = 10

# How much an utterance speaks for itself; each of the person's later turns with something in it takes OLDER away.
LATER, QUESTION, WISH, MENTION = 5.0, 4.0, 4.0, 2.0
OLDER = 0.75
# How much the fitness of a quote may add: less than a question or a wish is worth.
MOST_FIT = 3.0


@dataclass(frozen=True, slots=True)
class Thread:
    """Something to come back to. `words` are literally in one of the person's turns.

    `question` is the whole question they are from, with its marks, when it may be quoted as it stands; else empty.
    `said` is the sentence around them, `worth` orders threads (more is better), `wished` says that they stood behind
    words like "I want" and "tell me about".
    """

    words: str
    question: str
    said: str
    worth: float
    wished: bool = False


_ROLES = ("articles", "possessives", "persons", "times", "dates", "links", "asking", "joints", "hollow", "filler")


class Speech:
    """What one language's file under `frames/` says: its words by role, and its reviewed sentences."""

    def __init__(self, language: str) -> None:
        """Raises FileNotFoundError for a language without a file."""
        text = files("relance.writers").joinpath(f"frames/{language}.txt").read_text(encoding="utf-8")
        sections: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in text.splitlines():
            if line.startswith("[") and line.endswith("]"):
                lines = sections.setdefault(line[1:-1], [])
            elif line.strip() and not line.startswith("#"):
                lines.append(line)
        self.language = language
        self.frames = {name: tuple(said) for name, said in sections.items() if name.startswith(("informal", "formal"))}
        self._roles = {role: frozenset(" ".join(sections[role]).split()) for role in _ROLES}
        self.tells = _any_of(sections["tell"])
        self.wants = _any_of(sections["want"])

    def is_a(self, word: str, *roles: str) -> bool:
        """True if the word, or what its apostrophe joins (d'un, l'eau, I'm, dog's), plays one of the roles."""
        lower = word.lower().replace("’", "'")
        named = [self._roles[role] for role in roles]
        if any(lower in known for known in named):
            return True
        if "persons" in roles and _ADDRESSED.search(lower):
            return True
        before, apostrophe, after = lower.partition("'")
        if not apostrophe:
            return False
        if self.language == "fr":
            return any(before + "'" in known for known in named) or (
                before in ("d", "l") and any(after in known for known in named)
            )
        return self.language == "en" and after != "s" and any(before in known for known in named)

    def carries(self, word: str) -> bool:
        """True for a word that a topic can be about."""
        word = _after_elision(word) if self.language == "fr" else word
        return sum(letter.isalpha() for letter in word) >= 3 and not self.is_a(
            word, "articles", "persons", "times", "dates", "links", "asking", "joints", "hollow", "filler"
        )


@cache
def speech(language: str) -> Speech:
    """The language's words and sentences, read once."""
    return Speech(language)


def find(turns: Sequence[Turn], language: str) -> tuple[Thread, ...]:
    """The threads that the person's own turns leave open, the most worthwhile first; empty if there is none.

    Empty also when anything they said must not be touched (a stop word, a crisis, health, faith, money...): the
    conversation's guard has refused it before, and a writer must not depend on that.
    """
    own = [_beginning(turn.text) for turn in turns if turn.side is Side.USER and turn.text.strip()]
    if any(_untouchable(text, language) for text in own):
        return ()
    spoken = speech(language)
    found: list[Thread] = []
    age = 0.0
    for text in reversed(own[-LATEST_TURNS:]):
        threads = list(_in_one_turn(text, spoken))
        found += [replace(one, worth=one.worth - age) for one in threads]
        age += OLDER if threads else 0
    found.sort(key=lambda thread: -thread.worth)  # stable: of two equals the later one
    distinct: dict[str, Thread] = {}
    for thread in found:
        distinct.setdefault(words(thread.words), thread)
    return tuple(distinct.values())


def presentable(threads: Sequence[Thread], language: str) -> tuple[Thread, ...]:
    """Those whose words stand by themselves between quotation marks, and say what was meant; the most worthwhile first.

    A clause without its verb and a word that says nothing are weighed and found wanting, and so is many a good one:
    silence is better than a broken sentence. What was wished for or asked in so many words is not refused.
    """
    fit = [
        replace(one, worth=one.worth + by)
        for one in threads
        if (by := _fitness(one, language)) >= 0 or one.wished or one.question == one.said
    ]
    return tuple(sorted(fit, key=lambda thread: -thread.worth))


def setting(sentence: str, quote: str) -> str:
    """A quote as its fitness is weighed: spelt out between marks, with the word before it and the word after it."""
    before, _, after = sentence.partition(quote)
    begins, ends = words(before).split()[-1:], words(after).split()[:1]
    return " ".join((f"‹{''.join(begins)}", "<", *words(quote).split(), ">", f"›{''.join(ends)}"))


def _fitness(thread: Thread, language: str) -> float:
    """How well a quote stands by itself, up to MOST_FIT; below nought it does not."""
    weights = learned("threads", language)
    beyond = weights.score(features(setting(thread.said, thread.question or thread.words))) - weights.limit
    return min(-beyond, MOST_FIT)


def around(turns: Sequence[Turn], language: str, most: int) -> tuple[Turn, ...]:
    """The turns that a writer should know, oldest first: those around the best open thread, and the person's last.

    What was said last is not always what was left open: a conversation that ends with thanks has its thread before
    them. Where no thread is found, these are simply the last turns.
    """
    threads = find(turns, language) if language in LANGUAGES else ()
    if len(turns) <= most or not threads:
        return tuple(turns[-most:])
    users = [at for at, turn in enumerate(turns) if turn.side is Side.USER and turn.text.strip()]
    anchor = next(at for at in reversed(users) if threads[0].said in turns[at].text)
    start = max(0, min(anchor - (most - 1) // 2, len(turns) - most))
    chosen = list(range(start, start + most))
    if users[-1] not in chosen:
        chosen[0 if anchor != chosen[0] else 1] = users[-1]
    return tuple(turns[at] for at in sorted(chosen))


def _beginning(text: str) -> str:
    """As much as is read, to the end of a word: a quote never holds half of one."""
    return text if len(text) <= LONGEST_READ else text[:LONGEST_READ].rpartition(" ")[0]


def _any_of(expressions: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"(?:{expression})(?:(?<=['’])|(?!\w))", re.IGNORECASE) for expression in expressions)


@cache
def _topics(language: str) -> PhraseBook:
    return book(f"topics.{language}")


@cache
def _names() -> frozenset[str]:
    text = files("relance.writers").joinpath("frames/names.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def _untouchable(text: str, language: str) -> bool:
    return bool(signals.read(text)) or any(_topics(language).found(reading) for reading in readings(text))


# --- Sentences, parts of sentences, words ------------------------------------------------------------------------

_SENTENCE = re.compile(r"[^.!?…;\n]+(?:\.(?=\w)[^.!?…;\n]*)*[.!?…;]*")
_PART = re.compile(r"[\w][\w .'’&+#%-]*")
_WORD = re.compile(r"\w+(?:[.'’&+#-]+\w+)*[+#%]*['’]?|\w[+#]*")
_PRIVATE = re.compile(r"@|//|www\.|\d{5}|\d[\d .-]{6,}\d|[/\\<>{}\[\]|*_`~=]")
# Pouvez-vous, montre-moi, mandarme, diga-me: a verb with the person behind it.
_ADDRESSED = re.compile(r"-(?:vous|tu|moi|toi|nous|je|me|te|nos|lhe)$|[aei]r(?:me|te|nos)$")
_ELISION = re.compile(r"^(?:[ldjnmtsc]|qu)['’]", re.IGNORECASE)
# „My name is …“: what follows is a person.
_INTRODUCTION = re.compile(
    r"\b(?:my name|call me|i am called|je m['’]appelle|mon nom|mon prénom|appelle[sz]?-moi|me llamo|mi nombre|"
    r"ll[aá]mame|(?:me )?chamo(?:-me)?|meu nome|me chama|mein name|ich hei(?:ß|ss)e|nenn mich)\b",
    re.IGNORECASE,
)


def _after_elision(word: str) -> str:
    return _ELISION.sub("", word)


def _in_one_turn(text: str, spoken: Speech) -> Iterator[Thread]:
    """The threads of one turn, a better kind before a lesser one, at most one for each part of a sentence."""
    for match in reversed(list(_SENTENCE.finditer(text))):
        sentence = match[0]
        if _PRIVATE.search(sentence) or _INTRODUCTION.search(sentence):
            continue
        parts = [(part.start(), part[0].rstrip(" -'’&.")) for part in _PART.finditer(sentence)]
        for number, (start, part) in reversed(list(enumerate(parts))):
            asks = "?" in sentence and number == len(parts) - 1
            found = _in_one_part(part, sentence, start, asks, spoken)
            if found is not None:
                later = any(spoken.is_a(word, "times") for word in _WORD.findall(sentence))
                bonus = LATER - WISH if later and found.worth >= WISH else 0.0
                yield replace(found, said=sentence.strip(), worth=found.worth + bonus)


def _in_one_part(part: str, sentence: str, start: int, asks: bool, spoken: Speech) -> Thread | None:
    tokens = list(_WORD.finditer(part))
    while tokens and spoken.is_a(tokens[0][0], "filler"):
        tokens.pop(0)
    if not tokens:
        return None
    rest = part[tokens[0].start() :]
    question = _whole_question(rest, tokens, asks, spoken)
    if question:
        marks = sentence[: start + tokens[0].start()].rstrip()[-1:] == "¿"
        ends = sentence[start + len(part) :].lstrip()[:1] == "?"
        quoted = _literal(sentence, question, opening=marks, closing=ends)
        topic = _topic(rest, spoken, asks=asks) if len(tokens) > 3 else ""
        return Thread(topic or question, quoted, sentence, QUESTION)
    for patterns, wants in ((spoken.wants, True), (spoken.tells, False)):
        ends_at = [match.end() for pattern in patterns for match in pattern.finditer(rest)]
        for end in sorted(ends_at, reverse=True):
            topic = _span(rest[end:], spoken, wants=wants)
            if topic:
                return Thread(topic, "", sentence, WISH, wished=True)
    topic = _topic(rest, spoken, asks=asks)
    return Thread(topic, "", sentence, QUESTION if asks else MENTION) if topic else None


def _literal(sentence: str, question: str, *, opening: bool, closing: bool) -> str:
    """The question as it stands in the sentence, with its own marks."""
    at = sentence.find(question)
    begin = sentence.rfind("¿", 0, at) if opening else at
    end = sentence.find("?", at) + 1 if closing else at + len(question)
    return sentence[begin:end]


def _whole_question(rest: str, tokens: Sequence[re.Match[str]], asks: bool, spoken: Speech) -> str:
    """The part, when it is a question that stands by itself; else empty."""
    spelt = [token[0] for token in tokens]
    asks = asks and len(spelt) >= 3 and not _begins_a_noun(spelt, spoken)
    if not (asks or (len(spelt) >= 4 and spoken.is_a(spelt[0], "asking") and spelt[0].lower() not in _ALSO_RELATIVE)):
        return ""
    if len(spelt) > MOST_WORDS_OF_A_QUESTION or len(rest) > LONGEST_QUOTE + 10:
        return ""
    if any(spoken.is_a(word, "persons", "possessives", "times") for word in spelt) or not _presentable(spelt, spoken):
        return ""
    return rest


def _begins_a_noun(spelt: Sequence[str], spoken: Speech) -> bool:
    """True for "and the moon?": a topic with a question mark. Portuguese « o que » asks."""
    return (
        len(spelt) <= 4
        and spoken.is_a(spelt[0], "articles", "joints")
        and not (spoken.is_a(spelt[0], "asking") or (len(spelt) > 1 and spelt[1].lower() in ("que", "quê")))
    )


# Words that begin a question only where a question mark says so.
_ALSO_RELATIVE = frozenset(
    "when where who that is are was were do did can could should will would que como cuando quando si où quand "
    "qui c'est est-ce y por porque é há dá es hay se a o os as wenn was ist sind kann gibt hat wird wo".split()
)


def _presentable(spelt: Sequence[str], spoken: Speech) -> bool:
    """Has something in it to talk about, and no person's name."""
    return any(spoken.carries(word) for word in spelt) and not any(
        words(_after_elision(word)).strip() in _names() for word in spelt
    )


# --- A topic: a run of words that can stand between quotation marks ------------------------------------------------


def _topic(rest: str, spoken: Speech, *, asks: bool) -> str:
    """The noun phrase a part is about: the best one behind an article, else the whole of a short part."""
    tokens = list(_WORD.finditer(rest))
    begins = [
        token.start()
        for before, token in zip([None, *tokens], tokens, strict=False)
        if (spoken.is_a(token[0], "articles", "possessives") or _begins_elided(token[0], spoken))
        and not (before and before[0].lower() in _SIMILE)
        and (before or token[0].lower() not in _POINTING)
    ]
    found = [one for begin in begins if (one := _span(rest[begin:], spoken, wants=False))]
    if found:
        return max(found, key=lambda one: sum(spoken.carries(word) for word in _WORD.findall(one)))
    # Without an article only a short question shows that a part is neither an exclamation nor a verb.
    if asks and len(tokens) <= 4 and not any(spoken.is_a(token[0], "persons", "links") for token in tokens):
        return _span(rest, spoken, wants=False)
    if spoken.language == "de":  # a noun is known by its capital letter; behind a preposition it is often a place
        for before, token in pairwise(tokens):
            if token[0][0].isupper() and not spoken.is_a(before[0], "joints"):
                noun = _span(rest[token.start() :], spoken, wants=True)
                if noun:
                    return noun
    return ""


# "Like a charm" is about no charm.
_SIMILE = frozenset("like as comme como wie als".split())
# "That helped": at the beginning these are mostly no articles.
_POINTING = frozenset("this that these those das dies esto".split())


def _begins_elided(word: str, spoken: Speech) -> bool:
    return spoken.language == "fr" and bool(re.match(r"[ld]['’]", word, re.IGNORECASE)) and spoken.carries(word)


def _span(rest: str, spoken: Speech, *, wants: bool) -> str:
    """The longest run of words from the beginning that reads as a topic; empty if there is none.

    `wants`: it stood after a verb like "I want", where German puts the other verb behind it.
    """
    run: list[re.Match[str]] = []
    before = 0
    for token in _WORD.finditer(rest):
        word = token[0]
        if not run and _goes_before(word, spoken):
            before = token.end()
            continue
        if run and rest[before : token.start()] != " ":
            break
        if spoken.is_a(word, "dates"):  # "for a rainy weekend": nothing of that phrase is left without its noun
            if run and not spoken.is_a(run[-1][0], "joints") and "'" not in word:
                run = run[: _last(run, spoken, "articles", "joints")]
            break
        relative = word.lower() == "that" and run and not spoken.is_a(run[-1][0], "joints")
        if relative or (spoken.is_a(word, "persons", "links") and (run or not spoken.is_a(word, "asking"))):
            if run and spoken.is_a(run[0][0], "asking"):  # "how the clock" is half of something
                run = run[1:]
            break
        if spoken.is_a(word, "times") or (spoken.language == "de" and run and _ends_german(run[-1][0], word, spoken)):
            break
        run.append(token)
        before = token.end()
        if len(run) >= MOST_WORDS + 3:
            break
    run = _trimmed(_without_hollow_head(run, spoken), spoken, wants=wants)
    if not run:
        return ""
    spelt = [token[0] for token in run]
    topic = rest[run[0].start() : run[-1].end()]
    if spoken.language in ("es", "pt") and len(run) == 1 and _INFINITIVE.fullmatch(topic):
        return ""
    if len(topic) < 3 or len(topic) > LONGEST_QUOTE or not _presentable(spelt, spoken):
        return ""
    return topic


def _goes_before(word: str, spoken: Speech) -> bool:
    """True for what may be left out before a topic: about my, some more of, good."""
    if spoken.is_a(word, "articles", "asking"):
        return False
    return spoken.is_a(word, "joints", "filler", "possessives") or (
        spoken.is_a(word, "hollow") and spoken.is_a(word, "links")
    )


def _trimmed(run: list[re.Match[str]], spoken: Speech, *, wants: bool) -> list[re.Match[str]]:
    """The run without the loose ends: short enough, no joint at its edges, a German verb or article dropped."""
    if spoken.language == "de":
        if wants or any(token[0][0].isupper() for token in run):
            run = _without_last_verb(run)
        if len(run) > 1 and spoken.is_a(run[0][0], "articles") and (run[1][0][0].isupper() or len(run) == 2):
            run = run[1:]  # „einen Tee“ is an accusative; „Tee“ fits every case
    while len(run) > MOST_WORDS:
        cut = max((at for at in range(2, len(run)) if spoken.is_a(run[at][0], "joints")), default=0)
        if not cut:
            return []
        run = run[:cut]
    while run and _loose_end(run[-1][0], spoken):
        run = run[:-1]
    while run and _loose_start(run, spoken):
        run = run[1:]
    return run


def _loose_end(word: str, spoken: Speech) -> bool:
    elided = spoken.language == "fr" and _after_elision(word) != word  # d'automne is no mere "d'"
    return not elided and spoken.is_a(word, "joints", "articles", "asking", "links", "filler")


def _loose_start(run: Sequence[re.Match[str]], spoken: Speech) -> bool:
    first = run[0][0]
    if spoken.is_a(first, "articles", "asking"):
        return False
    # A hollow first word may stay before what carries something ("small garden").
    hollow = len(run) > 1 and spoken.is_a(first, "hollow") and not spoken.carries(run[1][0])
    return spoken.is_a(first, "joints") or hollow


_INFINITIVE = re.compile(r"[^\W\dA-Z]+[aei]r")


def _ends_german(before: str, word: str, spoken: Speech) -> bool:
    """True when a noun, known by its capital letter, is followed by what can only be a verb or an adverb."""
    noun = before[0].isupper() and not spoken.is_a(before, "articles", "asking", "joints", "hollow")
    return noun and word[0].islower() and not spoken.is_a(word, "articles", "joints")


def _last(run: Sequence[re.Match[str]], spoken: Speech, *roles: str) -> int:
    """Where the last word of one of these roles stands, 0 if there is none."""
    return max((at for at, token in enumerate(run) if spoken.is_a(token[0], *roles)), default=0)


def _without_hollow_head(run: list[re.Match[str]], spoken: Speech) -> list[re.Match[str]]:
    """ "A short list of museums" is about museums: what stands before the first joint says nothing here."""
    joint = next((at for at, token in enumerate(run) if at and spoken.is_a(token[0], "joints")), 0)
    head_says_nothing = joint and not any(
        spoken.carries(token[0]) or spoken.is_a(token[0], "asking") for token in run[:joint]
    )
    return run[joint + 1 :] if head_says_nothing else run


def _without_last_verb(run: list[re.Match[str]]) -> list[re.Match[str]]:
    if len(run) > 1 and re.fullmatch(r"[a-zäöü]+(?:en|ern|eln|n)", run[-1][0]):
        run = run[:-1]
        if len(run) > 1 and run[-1][0] == "zu":
            run = run[:-1]
    return run
