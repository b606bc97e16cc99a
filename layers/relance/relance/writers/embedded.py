"""Writes without a model: a reviewed sentence around a few words of the user's own. Offline and deterministic."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence

from relance.bot import Bot
from relance.guard import draft as guard
from relance.interaction import Side
from relance.persona import Brief, Draft, Nothing

# Frames by language and form of address. The topic is quoted, because a user's words need not fit a sentence.
FRAMES: Mapping[tuple[str, str], Sequence[str]] = {
    ("en", "informal"): (
        "We were on “{topic}”. Want to pick it up again whenever it suits you?",
        "You brought up “{topic}”. If you like, I can share a short tip to go on with.",
        "About “{topic}”: would a simple next step be useful?",
        "“{topic}” is still on the list. If you'd like, we can carry on where we stopped.",
    ),
    ("en", "formal"): (
        "We were on “{topic}”. Would you like to continue at a time that suits you?",
        "You brought up “{topic}”. If you wish, I can offer a short tip to go on with.",
        "Regarding “{topic}”: would a simple next step be useful?",
        "“{topic}” is still on the list. If you wish, we can continue where we stopped.",
    ),
    ("fr", "informal"): (
        "On en était à « {topic} ». Si tu veux, on reprend quand ça t'arrange.",
        "Tu parlais de « {topic} ». Je peux te proposer une petite piste, si ça te dit.",
        "À propos de « {topic} » : veux-tu une idée simple pour continuer ?",
        "« {topic} » est encore sur la liste. On continue quand tu veux ?",
    ),
    ("fr", "formal"): (
        "Nous en étions à « {topic} ». Si vous le souhaitez, nous reprenons quand cela vous convient.",
        "Vous parliez de « {topic} ». Je peux vous proposer une petite piste, si cela vous est utile.",
        "À propos de « {topic} » : souhaitez-vous une idée simple pour continuer ?",
        "« {topic} » est encore sur la liste. Voulez-vous continuer, au moment qui vous convient ?",
    ),
    ("es", "informal"): (
        "Nos quedamos en «{topic}». Si te apetece, seguimos cuando te venga bien.",
        "Hablabas de «{topic}». Puedo darte un consejo breve, si te sirve.",
        "Sobre «{topic}»: ¿te preparo una idea sencilla para continuar?",
        "«{topic}» sigue en la lista. ¿Quieres que continuemos cuando te venga bien?",
    ),
    ("es", "formal"): (
        "Nos quedamos en «{topic}». Si le parece, seguimos cuando le venga bien.",
        "Usted hablaba de «{topic}». Puedo darle un consejo breve, si le sirve.",
        "Sobre «{topic}»: ¿le preparo una idea sencilla para continuar?",
        "«{topic}» sigue en la lista. ¿Desea que continuemos cuando le venga bien?",
    ),
    ("pt", "informal"): (
        "Ficamos em “{topic}”. Se quiser, continuamos quando for melhor.",
        "A conversa era sobre “{topic}”. Posso dar uma dica curta, se for útil.",
        "Sobre “{topic}”: quer uma ideia simples para continuar?",
        "“{topic}” ainda está na lista. Quer continuar quando puder?",
    ),
    ("pt", "formal"): (
        "Ficamos em “{topic}”. Se desejar, continuamos quando for conveniente.",
        "A conversa era sobre “{topic}”. Posso dar uma sugestão curta, se for útil.",
        "Sobre “{topic}”: deseja uma ideia simples para continuar?",
        "“{topic}” ainda está na lista. Deseja continuar quando for conveniente?",
    ),
    ("de", "informal"): (
        "Wir waren bei „{topic}“. Wenn du magst, machen wir weiter, wann es dir passt.",
        "Du hattest „{topic}“ erwähnt. Wenn du möchtest, gebe ich dir einen kurzen Tipp dazu.",
        "Zu „{topic}“: Soll ich dir einen einfachen nächsten Schritt nennen?",
        "„{topic}“ steht noch auf der Liste. Wollen wir weitermachen, wenn es dir passt?",
    ),
    ("de", "formal"): (
        "Wir waren bei „{topic}“. Wenn Sie mögen, machen wir weiter, wann es Ihnen passt.",
        "Sie hatten „{topic}“ erwähnt. Wenn Sie möchten, gebe ich Ihnen einen kurzen Tipp dazu.",
        "Zu „{topic}“: Soll ich Ihnen einen einfachen nächsten Schritt nennen?",
        "„{topic}“ steht noch auf der Liste. Wollen wir weitermachen, wenn es Ihnen passt?",
    ),
}

# What stands before a thread: a wish, a request, a question. The thread is what follows, to the end of the clause.
_CUES = {
    "en": r"(?:tell|teach|show|explain to|ask|quiz) me (?:more |something |a bit |again )?(?:about |on |how to )?|(?:i'd like|i would like|i want|i wanna|i'm trying|i am trying|i'm going|i plan|i'm planning|i am planning|i'd love|i hope|how|want) to (?:try |learn (?:about |how to )?|know (?:more )?(?:about )?)?|i(?:'m| am) (?:learning|planning|working on|building|writing|reading|making|looking for|interested in|curious about|thinking of|thinking about|stuck on|stuck with|studying|knitting|baking|cooking|designing|preparing) |(?:give|send|suggest|recommend|find|show|write|prepare|make) me (?:some |a few )?|help (?:me )?(?:with |to )?|how (?:do|can|should|could|would) (?:i|you|we|one) |what about |what (?:is|are|was) |what's |let's (?:try |do |talk about |continue (?:with )?)?|(?:can|could) you (?:please )?(?:explain|suggest|recommend|help me with|show me|tell me about|teach me)\s|about |more about ",
    "fr": r"(?:parle|dis|montre|explique|raconte|propose|donne|apprends|conseille)[sz]?(?:-| )(?:moi |m'en )?(?:plus )?(?:de |sur |à )?|(?:parlez|dites|montrez|expliquez|racontez|proposez|donnez)-moi (?:de |sur )?|(?:je (?:voudrais|veux|souhaite|souhaiterais|compte|vais|prépare|cherche)|j'aimerais|j'ai envie de|j'essaie de|j'apprends (?:à |le |la |les |l')?) ?(?:faire |apprendre (?:à )?|savoir |essayer (?:de )?)?|comment (?:on |je |faire pour |peut-on |puis-je |bien |est-ce qu'on )?|c'est quoi |qu'est-ce que |quelles? (?:est |sont )?|quels? (?:est |sont )?|(?:tu (?:peux|pourrais)|vous (?:pouvez|pourriez)|peux-tu|pouvez-vous|pourriez-vous) (?:me |m')?(?:parler de |expliquer |proposer |donner |montrer |conseiller |aider à )|tu me (?:proposeras|proposes|parles de) |une idée (?:de |pour )|au sujet d[eu] |à propos d[eu] ",
    "es": r"(?:cuéntame|cuentame|háblame|hablame|explícame|explicame|enséñame|enseñame|dime|dame|recomiéndame|recomiendame|muéstrame|muestrame|ayúdame con|ayudame con|ayúdame a|ayudame a|pásame) (?:más )?(?:de |sobre |cómo )?|(?:quiero|quisiera|me gustaría|querría|voy a|intento|necesito|estoy intentando|tengo ganas de|pienso|planeo) (?:hacer |aprender (?:a |sobre )?|saber (?:más )?(?:sobre |de |cómo )?|probar |que me (?:cuentes|expliques|enseñes) )?|estoy (?:aprendiendo (?:a )?|leyendo |escribiendo |preparando |planeando |buscando |haciendo )|cómo (?:se |puedo |hago para |hacer )?|como (?:se hace |puedo |hago para )|qué (?:es |son |tal )?|cuáles? (?:es |son )?|por qué |¿?(?:puedes|podrías|puede|podría) (?:darme |recomendarme |explicarme |enseñarme |ayudarme con )|una idea (?:de |para )|sobre ",
    "pt": r"(?:me )?(?:fala|fale|conta|conte|explica|explique|ensina|ensine|mostra|mostre|dá|dê|diz|diga|sugere|sugira|recomenda)(?:-me| me)? (?:mais )?(?:de |do |da |sobre |como )?|(?:quero|queria|gostaria de|vou|tento|preciso|estou tentando|pretendo|quero muito|adorava|gostava de|tenho vontade de) (?:fazer |aprender (?:a |sobre )?|saber (?:mais )?(?:sobre |de |como )?|experimentar |tentar )?|(?:estou|tô|ando) (?:aprendendo (?:a )?|lendo |escrevendo |preparando |planejando |procurando |fazendo |a aprender (?:a )?|a ler |a escrever |a preparar |a planear )|como (?:se |faço para |faço |fazer |posso |eu )?|o que (?:é |são )?|quais? (?:é |são )?|por que |(?:pode|podes|você pode|consegue) (?:me )?(?:explicar |dar |sugerir |ensinar |ajudar com |ajudar a )|uma ideia (?:de |para )|sobre ",
    "de": r"(?:erzähl|erzähle|erklär|erkläre|zeig|zeige|sag|sage|gib|nenn|nenne|schick|empfiehl)(?:en sie)? (?:mir|uns) (?:mehr |etwas |was |mal |bitte )?(?:über |von |zu )?|(?:ich (?:möchte|will|würde gern|würde gerne|plane|suche|brauche|lerne|lese|schreibe|backe|stricke|baue|versuche)|hätte gern|ich hätte gerne) (?:gern |gerne |gerade |noch |mal )?|wie (?:kann|mache|geht|macht|koche|backe|pflege|lerne|schneide|stricke|fotografiere|baue|plane|bekomme)(?: ich| man)? |was (?:ist|sind|bedeutet|heißt) |welche[rsn]? |hilf mir (?:bei |mit )?|(?:kannst du|können sie|könntest du|könnten sie) (?:mir |uns )?(?:bitte )?(?:etwas über |mehr über |bei )?|über |mehr über ",
}
_FILLER = re.compile(
    r"^(?:ok(?:ay)?|so|and|also|well|please|thanks|hi|hello|hey|et|alors|bon|donc|oui|salut|bonjour|merci|y|pues|entonces|hola|sí|si|e|então|olá|oi|sim|und|"
    r"also|dann|ja|hallo|danke|bitte|the|fine|yes|great|cool)[\s,!.]+",
    re.I,
)
_TRAILER = re.compile(
    r"[\s,]+(?:please|pls|thanks|thank you|s'il (?:te|vous) pla[iî]t|svp|stp|merci|por favor|porfa|gracias|obrigad[oa]|bitte|danke|sometime|soon|later|"
    r"tomorrow|today|this weekend|next week|at the weekend|when you have them|demain|ce week-end|plus tard|mañana|luego|este fin de semana|amanhã|depois|"
    r"morgen|später|am wochenende|mal|tonight|ce soir|now|maintenant|ahora|agora|jetzt|first|again|and|or|et|ou|y|o|e|und|oder|to|for|with|de|à|para|con|com|mit|zu|für)$",
    re.I,
)
_CLAUSE_END = re.compile(
    r"[.!?;:,\n()\"«»“”„…]|\s[-–—]\s|\s(?:but|because|so that|and (?:then|i|can|what|how)|mais|parce que|pero|porque|mas|aber|weil|when (?:you|i)|quand|"
    r"cuando|quando|wenn|sobald)\s",
    re.I,
)
_SHORTEST, _LONGEST, _MOST_WORDS = 4, 60, 9
_EMPTY = re.compile(
    r"^(?:it|that|this|these|them|more|one|you|me|something|a (?:few|hint|tip|joke)|ideas?|ça|cela|ceci|plus|toi|vous|moi|quelque chose|eso|esto|más|algo|ti|isso|"
    r"isto|mais|das|es|dies|mehr|was|etwas|there|the other|others?|know|go|do|see|try|start|play|savoir|faire|aller|saber|hacer|ir|fazer|machen|wissen)$",
    re.I,
)


class EmbeddedWriter:
    """Takes up a thread from the user's own words; the same brief always gives the same draft.

    The operator's reviewed frames come first, then the built-in ones. What the guard would refuse is not offered;
    when nothing is left the answer is `Nothing`.
    """

    def write(self, brief: Brief) -> Draft | Nothing:
        """The draft for this brief, or `Nothing` when no thread fits into a reviewed sentence."""
        own = tuple(brief.persona.frames.get(brief.language, ()))
        built_in = FRAMES.get((brief.language, brief.persona.address), ())
        if not own and not built_in:
            return Nothing("no frames for this language")
        bot = Bot(id="", channel="", name=brief.bot_name, operator=brief.operator, persona=brief.persona)
        for topic in _threads(brief):
            for frame in (*_rotated(own, brief), *_rotated(built_in, brief)):
                if "{topic}" not in frame:
                    continue
                candidate = Draft(frame.replace("{topic}", topic), topic, brief.language)
                if guard.judge(candidate, brief.turns, language=brief.language, bot=bot) is None:
                    return candidate
        return Nothing("no thread to take up")


def _rotated(frames: Sequence[str], brief: Brief) -> Sequence[str]:
    """The frames from one that the seed picks; another attempt after a refusal begins elsewhere."""
    if not frames:
        return ()
    digest = hashlib.sha256(f"{brief.seed}|{brief.feedback}".encode("utf-8", "replace")).digest()
    start = digest[0] % len(frames)
    return (*frames[start:], *frames[:start])


def _threads(brief: Brief) -> Iterator[str]:
    """Topics in the user's own words, literally, the newest and surest first."""
    said = [turn.text for turn in reversed(brief.turns) if turn.side is Side.USER and turn.text.strip()]
    cue = re.compile(rf"(?:^|(?<=[\s¿¡,.!?'’]))(?:{_CUES[brief.language]})", re.I) if brief.language in _CUES else None
    seen: set[str] = set()
    for finder in (_after_a_cue, _short_question, _noun_like):
        for text in said:
            for topic in finder(text, cue):
                if topic not in seen:
                    seen.add(topic)
                    yield topic


def _after_a_cue(text: str, cue: re.Pattern[str] | None) -> Iterator[str]:
    if cue is not None:
        for match in cue.finditer(text):
            yield from _tidy(text[match.end() :])


def _short_question(text: str, cue: re.Pattern[str] | None) -> Iterator[str]:
    for match in re.finditer(r"[^.!?\n¿]{6,60}(?=\?)", text):
        yield from _tidy(match[0])


def _noun_like(text: str, cue: re.Pattern[str] | None) -> Iterator[str]:
    """A short turn of a few words, as people answer "which one?": it is its own topic."""
    words = text.split()
    if 2 <= len(words) <= 6 and sum(len(word) > 3 for word in words) >= 2:
        yield from _tidy(text)


def _tidy(rest: str) -> Iterator[str]:
    """The clause at the start of `rest` without what is only politeness, if it can stand in quotation marks."""
    topic = _CLAUSE_END.split(rest.strip(), maxsplit=1)[0].strip(" '’-–—*_`~")
    shorter = _FILLER.sub("", topic)
    while shorter != topic:
        topic, shorter = shorter, _FILLER.sub("", shorter)
    shorter = _TRAILER.sub("", topic)
    while shorter != topic:
        topic, shorter = shorter, _TRAILER.sub("", shorter)
    if (
        _SHORTEST <= len(topic) <= _LONGEST
        and len(topic.split()) <= _MOST_WORDS
        and not _EMPTY.match(topic)
        and any(len(word) > 3 for word in topic.split())
        and topic in rest
    ):
        yield topic
