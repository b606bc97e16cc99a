"""May this draft be sent? It must show what it is; where it cannot, it is refused and the refusing gate is named."""

# ruff: noqa: E501 (an alternation of words is easier to review on one line)

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from relance.bot import Bot
from relance.guard.evidence import learned, spell
from relance.guard.language import decide, scores
from relance.guard.phrases import book
from relance.guard.text import INVISIBLE, readings, words
from relance.interaction import Side, Turn
from relance.persona import LANGUAGES, Draft

SHORTEST = 20
LONGEST = 320
SIMILAR = 0.8
RECENT_TURNS = 10

type Context = Sequence[Turn | str]

# --- A2: shape -------------------------------------------------------------------------------------------------

_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}|[\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a-\u23ff\u2190-\u21ff\u2764]"
)
_MARKDOWN = re.compile(
    r"\*\*|__|^#{1,6} |^\s*[-*•] |^\s*\d+[.)] .*\n|```|`|~~|\]\(|^>|\*[^*\n]{1,80}\*|(?<!\w)_[^_\n]+_(?!\w)", re.M
)
_PLACEHOLDER = re.compile(
    r"[{}<>\[\]|]|%[sd]\b|\$\w+|\bX{3,}\b|\bTODO\b|\bundefined\b|\bnull\b|\bNaN\b|\bNone\b|"
    r"\b(?:lorem ipsum|insert (?:name|topic)|your name here)\b|\.\.\.\w+\.\.\.",
)
_PREAMBLE = re.compile(
    r"^\s*(?:(?:sure|certainly|of course|okay|ok|absolutely|bien s[uû]r|d'accord|claro|por supuesto|"
    r"desde luego|com certeza|naturlich|natürlich|klar|gerne?|selbstverst\w+)"
    r"\b[^.!?\n]{0,80}(?::|[!.,]\s*(?:here|voici|aqu[ií]|hier|segue|eis))|"
    r"(?:here(?: is| are|'s|(?: it| you) (?:is|go))?|voici|aqu[ií] (?:tienes|est[aá]|va|vai)|segue|eis|hier ist|hier)(?: (?:it|this|la|le|o|a|mi|my|your|un|una|uma))?\s*:|"
    r"(?:here(?:'s| is)|voici|aqu[ií] (?:tienes|est[aá])|aqui (?:est[aá]|vai)|segue|eis|hier ist)\b[^.!?\n]{0,60}\b"
    r"(?:message|follow-?up|draft|text|relance|mensaje|seguimiento|mensagem|nachricht|entwurf|texto|brouillon|borrador|rascunho)\b)|"
    r"(?:^|[.!?]\s+)\W*(?:\w+ ){0,2}(?:draft|subject|objet|asunto|assunto|betreff|output|response|answer|r[eé]ponse|respuesta|resposta|antwort|message|mensaje|"
    r"mensagem|nachricht|follow-?up|option|version|note)\s*(?:\d+|[ab])?\s*:",
    re.I,
)
_ROLE = re.compile(
    r"^\s*(?:user|bot|assistant|ai|system|human|agent|utilisateur|usuario|usuário|benutzer|nutzer|assistent|assistente|"
    r"asistente|ia|ki)\s*[:>]|\b(?:as an ai|as a language model|language model|i cannot (?:help|assist|comply|fulfil)|i can't (?:help with|assist)|"
    r"en tant qu(?:e mod|'ia)|mod[eè]le de langage|modelo de (?:lenguaje|linguagem)|sprachmodell|als ki\b|"
    r"system prompt|word count|\d+ (?:characters|caract[eè]res|caracteres|zeichen)\b|(?<![\w.])json\b|topic_quote)",
    re.I,
)
# What joins and colours an emoji is not seen either, and is honest. All else that nobody sees, or that turns the line
# round, has no place in a sentence.
_OF_EMOJI = str.maketrans(dict.fromkeys("\u200d\ufe0f"))
_WHOLLY_QUOTED = re.compile(r"^\s*[\"“”«„'‘].*[\"“”»‘'’]\s*$", re.S)


def _shape(text: str) -> bool:
    body = text.strip()
    return (
        not SHORTEST <= len(body) <= LONGEST
        or "\n" in body
        or body.count("?") > 1
        or len(_EMOJI.findall(body)) > 1
        or body.count("!") > 2
        or bool(_MARKDOWN.search(body))
        or bool(_PLACEHOLDER.search(body))
        or bool(_PREAMBLE.search(body))
        or bool(_ROLE.search(body))
        or bool(INVISIBLE.search(body.translate(_OF_EMOJI)))
        or bool(_WHOLLY_QUOTED.match(body))
        or not any(letter.isalpha() for letter in body)
        or any(0xD800 <= ord(letter) <= 0xDFFF for letter in body)
        or bool(re.search(r"[A-ZÀ-Ý]{4,}[^a-z]{1,3}[A-ZÀ-Ý]{4,}", body))
        or (body[-1] in ",;:-" or body.endswith((" and", " et", " y", " e", " und")))
    )


# --- A3: language ----------------------------------------------------------------------------------------------


# Words of several languages share their votes: a text may fall a little short of another language and still be its own.
NEARLY_AS_MUCH = 0.75


def _other_language(text: str, language: str) -> bool:
    """True when the text speaks for another language, or for none."""
    result = scores(text)
    found = decide(result, sure=1.0)
    if found is not None:
        return found != language
    own = result.get(language, 0.0)
    return own <= 0 or own < max(result.values()) * NEARLY_AS_MUCH


# --- A4: links and personal data -------------------------------------------------------------------------------

_FILE_ENDINGS = (
    "py|js|ts|md|txt|pdf|csv|json|yaml|yml|html|css|java|cpp|c|h|rs|go|rb|php|sh|sql|xml|ini|toml|docx?|xlsx?|pptx?|png|jpe?g|gif|"
    "svg|mp[34]|wav|zip|log|tex|ipynb|exe|cfg|lock|vue|kt|cs|mid|midi|stl|odt|srt|epub|bat|ps1"
)
_DOMAIN_ENDINGS = (
    "com|net|org|info|biz|app|dev|shop|store|online|site|xyz|link|click|club|live|fun|me|co|ai|tv|ly|gl|gg|cc|ws|to|us|uk|eu|fr|"
    "de|es|pt|br|it|ch|at|be|nl|mx|ar|cl|ca|in|ru|cn|blog|page|tech|cloud|top|win|bet|edu|gov"
)
_LINKS = re.compile(
    rf"\w+://|\bwww\.|\b(?:wa|t|m|fb|bit|goo|lnkd|youtu|tinyurl|is|ow|rb|cutt)\.(?:me|ly|gl|in|be|com|gd)\b|"
    rf"(?<![\w@.])(?!(?:[\w-]+\.)+(?:{_FILE_ENDINGS})\b)(?:[\w-]{{2,}}\.)+(?:{_DOMAIN_ENDINGS})(?:/\S*|\b(?!\.?\w))|"
    rf"\b[\w-]+\.[a-z]{{2,14}}/\S|"
    rf"\b\w+ ?[\[(]?(?:dot|punto|ponto|punkt|point|\[\.\]|\(\.\)) ?[\])]? ?(?:com|net|org|app|br|io|shop|info)\b|"
    rf"\b[\w-]+ ?[\[(]?(?:dot|punkt|\[\.\]|\(\.\)) ?[\])]? ?(?:fr|es|de|me)\b|"
    rf"\b(?:link|lien|enlace|bio link)\b.{{0,20}}\b(?:bio|profil|profile|perfil|below|ci-dessous|abajo|abaixo|unten)\b|"
    rf"\b(?:click|tap|clique[zr]?|cliquez|haz clic|pulsa|clica|toque|klick\w*|tippe?) (?:on |sur |en |no |na |hier|here|ici|aqu[ií])",
    re.I,
)
_CODE_NAMES = re.compile(
    r"\b(?:node|vue|react|next|express|three|d3|p5|chart|nuxt|discord|asp|socket)\.(?:js|ts|net|io)\b|\b(?:e|i|a|z|d|p|u|s)\.(?:g|e|m|b|h|s|a|k)\.",
    re.I,
)
_EMAIL = re.compile(
    r"\S+@\S+\.\w+|\b\w+ ?(?:\(at\)|\[at\]|\bat\b|arroba) ?\w+(?: ?(?:dot|punto|ponto|punkt|point) ?|\.)[a-z]{2,}|\S+@\S+",
    re.I,
)
_HANDLE = re.compile(
    r"(?<![\w.])@\w{2,}|\b(?:instagram|insta|telegram|snap(?:chat)?|tiktok|discord|signal|facebook|linkedin|twitter)\b[^.?!]{0,20}(?:[:@]|\b(?:handle|account|profil\w*|perfil|compte|cuenta|conta|konto)\b)",
    re.I,
)
_PHONE = re.compile(r"(?<![\w.,])\+?\(?\d(?:[\s().\-/]{0,2}\d){6,16}(?![\w,]|\.\d)")
_STREET = re.compile(
    r"\b\d{1,4}(?:\s?(?:bis|ter|[a-d]))?,?\s+(?:rue|avenue|av\.|boulevard|bd|place|chemin|impasse|all[ée]e|quai|route)\b|"
    r"\b\d{1,5}\s+(?:[A-Z][\w'.-]+\s+){1,3}(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|close|court|way|boulevard|blvd|terrace|crescent)\b|"
    r"\b(?:calle|c/|avenida|avda\.?|plaza|paseo|carrer|rua|av\.|travessa|alameda|praça|largo|estrada)\s+(?:[^\d.?!]{2,40}?),?\s*(?:n[.ºo°]*\s*)?\d{1,5}\b|"
    r"\b[A-ZÄÖÜ][\wäöüß-]*(?:stra(?:ß|ss)e|str\.|weg|gasse|allee|platz|damm|ufer|ring)\s+\d{1,4}\s?[a-z]?\b|"
    r"\b\d{1,4},?\s+(?-i:(?:[A-Z][\w'-]+\s+){1,3}(?:Row|Mews|Gardens|Grove|Hill|Square|Walk|Rise|Parade|Place|Park))\b|"
    r"\b(?:apt|apartment|flat|appartement|piso|apto|wohnung)\.?\s*(?:no\.?\s*)?\d+\w?\b|"
    r"\b(?:you live at|tu habites au|vous habitez au|vives en la calle|moras na rua|wohnst (?:du )?in der)\b",
    re.I,
)  # fmt: skip
_IDENTITY_NUMBER = re.compile(
    r"\b\d{3}-\d{2}-\d{4}\b|\b\d{3}\.\d{3}\.\d{3}-\d{2}\b|\b\d{8}-?[A-HJ-NP-TV-Z]\b|\b[XYZ]-?\d{7}-?[A-Z]\b|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}\b|"
    r"\b(?:\d{4}[ -]?){3}\d{4}\b|\b[12] ?\d{2} ?[01]\d ?\d{2} ?\d{3} ?\d{3}\b"
)
_IDENTITY_WORD = re.compile(
    r"\b(?:ssn|social security|cpf|cnpj|dni|nie|nif|nss|iban|bic|pin|passport|passeport|pasaporte|passaporte|reisepass|ausweis\w*|"
    r"personalausweis|steuer-?id|driver'?s licen[cs]e|licen[cs]e plate|card number|num[ée]ro de carte|kontonummer|kreditkarte\w*|"
    r"password|passwort|contraseña|senha|mot de passe|n[uú]mero de tarjeta|verification code|c[oó]digo de verificaci[oó]n|date of birth|"
    r"date de naissance|fecha de nacimiento|data de nascimento|geburtsdatum|postcode|zip code|code postal)\b(?! (?:generator|manager|function|field|check|regex|gestionnaire))",
    re.I,
)  # fmt: skip
# A whole birth date of somebody who may be alive: history has others.
_BORN = re.compile(
    r"\b(?:born(?: on)?|n[ée]{1,2}e?s? le|geboren(?: am)?|nacid[oa] el|nascid[oa] (?:em|a)|naci(?:ste|ó) el|nasc(?:este|eu) (?:em|a))\s+"
    r"(?:\w+\s+)?\d{1,2}(?:er|st|nd|rd|th|[.,/-])?\s*(?:de\s+|of\s+)?(?:[^\W\d_]+|\d{1,2})[.,/-]?\s*(?:de\s+)?(?:19[3-9]\d|20\d\d)\b|"
    r"\bborn(?: on)?\s+[A-Z][a-z]+\s+\d{1,2},?\s+(?:19[3-9]\d|20\d\d)\b",
    re.I,
)  # fmt: skip
_TITLED = re.compile(
    r"\b(?:Mr|Mrs|Ms|Miss|Mme|Mlle|Madame|Monsieur|M\.|Sr|Sra|Srta|Señor|Señora|Senhor|Senhora|Dona|Don|Doña|Herr|Frau)\.? "
    r"(?!(?:Bovary|Holle|Dalloway|Darcy|Butterfly|Quijote|Quixote|Juan|Giovanni|Bean|Potato|Hyde|Fox|Ripley|Robot|Casmurro|Pantoja|Jourdain|Teste|Hulot|Marple|Poppins|Havisham|Doubtfire|You|Me|Universe|Saigon|Sunshine|Daisy|Congeniality)\b)[A-ZÀ-Ý][\w'-]+"
)
_GREETED = re.compile(
    r"^\s*(?:Hi|Hello|Hey|Dear|Good (?:morning|evening|afternoon)|Bonjour|Salut|Coucou|Bonsoir|Cher|Chère|Hola|Buenas|Buenos días|Querid[oa]|Olá|Oi|Bom dia|Boa tarde|"
    r"Hallo|Guten (?:Tag|Morgen|Abend)|Liebe[r]?|Moin|Servus),? (?!(?:Kitty|World|Dolly|Python)\b)([A-ZÀ-Ý][\w'-]+)[,!. :]"
)


def _links_or_personal_data(candidate: "Candidate") -> bool:
    cleaned = _CODE_NAMES.sub(" ", candidate.text)
    return (
        any(pattern.search(cleaned) for pattern in (_LINKS, _EMAIL, _HANDLE, _STREET, _BORN, _IDENTITY_NUMBER, _TITLED))
        or _has_phone(cleaned)
        or "third_party" in candidate.spoken
        or candidate.suspect(bool(_IDENTITY_WORD.search(cleaned) or _GREETED.search(cleaned)))
    )


def _has_phone(text: str) -> bool:
    for match in _PHONE.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        versions = re.fullmatch(r"(?:\d{1,3}\.){2,3}\d{1,3}", match[0].strip())  # 1.2.3.4
        decimal = re.fullmatch(r"\d{1,3}[.,]\d+", match[0].strip())  # 3.14159265
        if versions or decimal:
            continue
        if len(digits) >= 9 or (len(digits) >= 7 and match[0].lstrip("(")[:1] in ("0", "+")):
            return True
    return False


# --- A5 to A10: what is said -----------------------------------------------------------------------------------


def _found(family: str, text: str, language: str) -> frozenset[str]:
    """The sections of one phrase file that the text touches."""
    phrases = book(f"{family}.{language}")
    return frozenset().union(*(phrases.found(reading) for reading in readings(text)))


# --- A11 and A12: grounded, fresh ------------------------------------------------------------------------------

_NAME = re.compile(r"(?<=[\w,;:)] )(?:[A-ZÀ-ÖØ-Ý][\w'’-]+)")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_STEM = 5
_WEAK = frozenset(
    "about after again another avant autre aussi before cuando could daran damit deine deinen encore every haben hatte hattest "
    "immer jetzt later mehr möchte noch nouveau otra otro pouvez puede quand quieres really seguir shall still their there these "
    "think those today toujours tudo vous voulez wanted weiter when where which while willst with would wollen wolltest your "
    "continuer continuar suite envie quer quando podemos depois this that have from want like know some more very will just "
    "been were what they them than then into only over such dans pour avec sans plus moins bien tout tous cette quel para como "
    "esta este esto pero mais muito pouco isso essa esse sobre aber oder wenn wird kann soll dann nach auch sehr eine einen sind".split()
)


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in words(text).split() if len(word) >= 4 and word not in _WEAK}


def _ungrounded(text: str, language: str, heard: Sequence[str], known: Sequence[str] = ()) -> bool:
    """True when the draft shares no content with the conversation, or names what nobody there named."""
    everything = " ".join((*heard, *known))
    if not _stems(text) & _stems(everything):
        return True
    numbers = set(_NUMBER.findall(everything))
    if any(number not in numbers for number in _NUMBER.findall(text)):
        return True
    if language == "de":  # every German noun has a capital letter: a name cannot be told from it
        return False
    spoken = set(words(everything).split())
    names = [name for name in _NAME.findall(text) if name not in ("I", "I'm", "I'll", "I'd", "I've", "AI", "IA", "OK")]
    return any(not set(words(name).split()) <= spoken for name in names)


def _question(text: str) -> str:
    match = re.search(r"[^.!?¿]*\?", text)
    return words(match[0]).strip(" ?") if match else ""


def _stale(text: str, said_before: Sequence[str], answers: Sequence[str] = ()) -> bool:
    """True when the bot has said this before, or asks again what it asked."""
    this, question = words(text), _question(text)
    for before in said_before:
        if _similar(this, words(before)):
            return True
        asked = _question(before)
        if question and asked and (_similar(question, asked) or _same_words(question, asked)):
            return True
    return False


def _similar(one: str, other: str) -> bool:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.real_quick_ratio() >= SIMILAR and matcher.quick_ratio() >= SIMILAR and matcher.ratio() >= SIMILAR


def _same_words(one: str, other: str) -> bool:
    mine, theirs = _stems(one), _stems(other)
    return len(mine) >= 3 and len(mine & theirs) / len(mine | theirs) >= 0.6


# --- A13: form of address --------------------------------------------------------------------------------------

_ADDRESS = {
    ("fr", "informal"): re.compile(r"\b(?:vous|votre|vos|\w+ez-vous)\b", re.I),
    ("fr", "formal"): re.compile(r"\b(?:tu|te|toi|ton|ta|tes)\b|\bt['’]\w", re.I),
    ("es", "informal"): re.compile(r"\b(?:usted|ustedes)\b", re.I),
    ("es", "formal"): re.compile(r"\b(?:tú|tu|tus|te|ti|contigo|quieres|puedes|tienes|sigues|prefieres|querías|preguntaste|dime|cuéntame)\b", re.I),
    ("pt", "informal"): re.compile(r"\b(?:o senhor|a senhora|vossa)\b", re.I),
    ("pt", "formal"): re.compile(r"\b(?:tu|te|ti|teu|tua|teus|tuas|contigo|queres|podes|tens)\b", re.I),
    ("de", "informal"): re.compile(r"(?<=[\w,;] )(?:Sie|Ihnen|Ihr|Ihre|Ihren|Ihrem|Ihrer)\b"),
    ("de", "formal"): re.compile(r"\b(?:du|dich|dir|dein|deine|deinen|deinem|deiner)\b", re.I),
}  # fmt: skip


def _wrong_address(text: str, language: str, address: str) -> bool:
    pattern = _ADDRESS.get((language, address))
    return bool(pattern and pattern.search(text))


# --- The gates, in their order -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the gates judge: the text, what the phrase files find in it, and as much of the conversation as is known.

    `spoken`, `heard` and `topics` are sections of the draft, signal and topic files. `doubtful` says that the text, with
    these phrases, as a whole looks like what must not be sent; in one that does not, a phrase is taken for what it
    mostly is there: a word of a game, a book, a recipe. `mine` are the user's texts, `said_before` what the bot's side
    said and earlier follow-ups, `everything` all turns; empty where unknown. `quote` is None when only a text is judged.
    """

    text: str
    language: str
    spoken: frozenset[str]
    heard: frozenset[str]
    topics: frozenset[str]
    doubtful: bool
    declared: str
    quote: str | None = None
    mine: tuple[str, ...] = ()
    everything: tuple[str, ...] = ()
    said_before: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    address: str = ""

    def suspect(self, phrase: bool) -> bool:
        """Whether a suspicious phrase counts: not in a text that as a whole looks harmless."""
        return phrase and self.doubtful


def _wrong_shape(candidate: Candidate) -> bool:
    return _shape(candidate.text)


def _wrong_language(candidate: Candidate) -> bool:
    return candidate.declared != candidate.language or _other_language(candidate.text, candidate.language)


def _link(candidate: Candidate) -> bool:
    return _links_or_personal_data(candidate)


def _pressure(candidate: Candidate) -> bool:
    if "ignores_stop" in candidate.spoken:
        return True
    asks_for_silence = _asks_for_silence(candidate.spoken, candidate.heard)
    return candidate.suspect("pressure" in candidate.spoken or asks_for_silence)


def _inner_life(candidate: Candidate) -> bool:
    return candidate.suspect("inner_life" in candidate.spoken)


def _emotional_question(candidate: Candidate) -> bool:
    return candidate.suspect("emotional_question" in candidate.spoken)


def _sensitive(candidate: Candidate) -> bool:
    if candidate.heard & {"crisis", "minor"} or "self_harm" in candidate.spoken:
        return True
    return candidate.suspect("sensitive" in candidate.spoken or bool(candidate.topics))


def _watching(candidate: Candidate) -> bool:
    return candidate.suspect("watching" in candidate.spoken)


def _selling(candidate: Candidate) -> bool:
    return candidate.suspect("selling" in candidate.spoken)


def _doubt(candidate: Candidate) -> bool:
    """Nothing is known against it by name, but it does not look like what may be said."""
    return candidate.doubtful


def _not_grounded(candidate: Candidate) -> bool:
    """No shared content, or a name or number of its own; with a quote: not literally a user's, or about nothing of theirs."""
    if candidate.quote is None:
        return bool(candidate.everything) and _ungrounded(candidate.text, candidate.language, candidate.everything)
    quote = candidate.quote.strip()
    return (
        len(quote) < 3
        or not any(quote in said for said in candidate.mine)
        or _ungrounded(candidate.text, candidate.language, candidate.everything, candidate.names)
        or not _stems(candidate.text) & _stems(" ".join(candidate.mine))
    )


def _not_fresh(candidate: Candidate) -> bool:
    return _stale(candidate.text, candidate.said_before)


def _address(candidate: Candidate) -> bool:
    return _wrong_address(candidate.text, candidate.language, candidate.address)


# A2 to A13 of safety.md 4.5. A1 (how the model stopped) is the writer's, A14 the second line's, A15 `disclosure`'s,
# A16 the reservation's.
GATES: tuple[tuple[str, Callable[[Candidate], bool]], ...] = (
    ("shape", _wrong_shape),
    ("language", _wrong_language),
    ("link", _link),
    ("pressure", _pressure),
    ("inner_life", _inner_life),
    ("emotional_question", _emotional_question),
    ("sensitive", _sensitive),
    ("watching", _watching),
    ("selling", _selling),
    ("doubt", _doubt),
    ("grounded", _not_grounded),
    ("fresh", _not_fresh),
    ("address", _address),
)


def _refusing_gate(candidate: Candidate) -> str | None:
    return next((name for name, refuses in GATES if refuses(candidate)), None)


def _read(text: str, language: str) -> dict[str, Any]:
    spoken, heard = _found("draft", text, language), _found("signals", text, language)
    topics = _found("topics", text, language)
    named = bool(spoken - {"offers_stop"} or topics or _asks_for_silence(spoken, heard))
    return {
        "doubtful": learned("messages", language).beyond(spell(text, language), named=named) > 0,
        "spoken": spoken,
        "heard": heard,
        "topics": topics,
    }


def _asks_for_silence(spoken: frozenset[str], heard: frozenset[str]) -> bool:
    """A follow-up that says what only a person may say, unless it offers to stop."""
    return "opt_out" in heard and "offers_stop" not in spoken


def _texts(context: Context, *sides: Side) -> list[str]:
    return [
        turn if isinstance(turn, str) else turn.text
        for turn in context
        if isinstance(turn, str) or not sides or turn.side in sides
    ]


def candidate_of(text: str, language: str, context: Context = ()) -> Candidate:
    """A text alone, or with as much of a conversation as `context` (turns or texts) holds."""
    return Candidate(
        text=text,
        language=language,
        declared=language,
        everything=tuple(_texts(context)),
        said_before=tuple(_texts(context, Side.BOT, Side.AGENT)),  # a text without a side may be the bot's
        **_read(text, language),
    )


def judge_text(text: str, language: str, context: Context = ()) -> str | None:
    """The gates that need nothing but the text (A2 to A10), and A11, A12 as far as `context` (turns or texts) allows.

    None: allowed. Else the name of the gate that refused; `error` when a gate failed.
    """
    try:
        if language not in LANGUAGES:
            return "language"
        return _refusing_gate(candidate_of(text, language, context))
    except Exception:  # a guard that fails: do not send (design.md section 6)
        return "error"


def judge(draft: Draft, turns: Sequence[Turn], *, language: str, bot: Bot, previous: Sequence[str] = ()) -> str | None:
    """The policy's gates on a draft (safety.md 4.5, A2 to A13), in order; the first refusal wins.

    `turns` are the conversation, oldest first; `language` is that of the conversation; `previous` are follow-ups
    this pair already got. None: allowed. Else the name of the gate in `GATES` that refused, or `error` when a gate
    failed.
    """
    try:
        if language not in LANGUAGES:
            return "language"
        text = draft.message
        candidate = Candidate(
            text=text,
            language=language,
            declared=draft.language,
            quote=draft.topic_quote,
            mine=tuple(_texts(turns, Side.USER)),
            everything=tuple(_texts(turns)),
            said_before=(*_texts(turns, Side.BOT, Side.AGENT)[-RECENT_TURNS:], *previous),
            names=(bot.name, bot.operator),
            address=bot.persona.address,
            **_read(text, language),
        )
        return _refusing_gate(candidate)
    except Exception:  # a guard that fails: do not send (design.md section 6)
        return "error"
