"""The people of the demo: who they are, where they live, and what they write to which bot in one fortnight.

Everybody here is invented. Numbers come from ranges kept for fiction; ids are made up. The bots are the two examples
under `bots/` and the same two businesses on other channels.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from local.graph import APP_ID
from relance.interaction import HOUR, MINUTE, PAYLOAD_STOP, PAYLOAD_YES

# A Monday. Europe's clocks go forward on the second Sunday of this fortnight.
START = int(datetime(2026, 3, 16, tzinfo=UTC).timestamp())
DAYS = 14

# The bots' own app, and the one through which the stand-in says relance writes.
OWN_APPS = ("100000000000901", APP_ID)


@dataclass(frozen=True, slots=True)
class Account:
    """A bot of the demo: one of the example files, with what differs on this account.

    `enabled` is the moment it is switched on, in seconds after the start; before the start by default.
    `min_silence` (hours) is set past what the file check lets through, to show what the rules do with it.
    """

    id: str
    channel: str
    file: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    enabled: int = -2 * HOUR
    min_silence: int | None = None


@dataclass(frozen=True, slots=True)
class Human:
    """Somebody who writes. `number` is how WhatsApp names them, everywhere the same; elsewhere ids are per account."""

    name: str
    zone: str
    number: str = ""

    def address(self, account: Account) -> str:
        """The id by which this account knows the person."""
        if account.channel == "whatsapp" and self.number:
            return self.number
        return str(10**15 + int(hashlib.sha256(f"{self.name} {account.id}".encode()).hexdigest(), 16) % 10**15)


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens. `kind` is the word of the JSON lines; `at` is when it was done, epoch seconds.

    `arrives` are the moments at which copies of its webhook come in (none: at once, once). `new` is the number
    after an id change. `moment` "queued" puts the act between the sweeper and the sender of that person's
    follow-up, where timing is worst.
    """

    at: int
    kind: str
    bot: str | None = None
    user: str | None = None
    id: str = ""
    text: str = ""
    payload: str = ""
    arrives: tuple[int, ...] = ()
    new: str = ""
    moment: str = ""
    operator: bool = False


@dataclass(frozen=True, slots=True)
class Fortnight:
    """A whole scenario. `acts` are in the order in which they were done.

    `undeliverable` are the people whose WhatsApp message the platform takes and later reports as failed.
    """

    start: int
    end: int
    accounts: tuple[Account, ...]
    humans: tuple[Human, ...]
    acts: tuple[Act, ...]
    undeliverable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Talk:
    """A piece of conversation on one day, from one local time on.

    `words` has one turn per line: `>` the user, `<` the bot, `!` a person of the business, `~` time goes by.
    A `[kind]` in front says that it is no plain text. `copies` webhooks come in for each turn, in disorder if
    `shuffled`.
    """

    account: Account
    day: int
    clock: str
    words: str
    copies: int = 1
    shuffled: bool = False


# --- the bots ----------------------------------------------------------------------------------------------------

_CINEMA, _TUTOR = "cinema-film-guide.yaml", "language-tutor.yaml"
_LIVE = {"mode": "live", "secrets": ""}
_PATIENT = {"min_silence": "60h", "preferred_silence": "72h"}
_AI_HELPS = {"ai_is_incidental": True}
_REMINDER = {"name": "tutor_next_exercise", "language": "es_MX", "category": "MARKETING", "ttl": "5d"}

CINEMA_MESSENGER = Account("100000000000001", "messenger", _CINEMA, {**_LIVE, "app_ids": list(OWN_APPS)})
CINEMA_WHATSAPP = Account(
    "100000000000011",
    "whatsapp",
    _CINEMA,
    {
        **_LIVE,
        **_AI_HELPS,
        "languages": ["fr", "en", "de"],
        "audience_zones": ["Europe/Paris", "Europe/London", "Europe/Berlin"],
        "hours": "10:00-19:30",
        "quiet_days": [],
    },
)
CINEMA_INSTAGRAM = Account(
    "100000000000021", "instagram", _CINEMA, {**_LIVE, "app_ids": list(OWN_APPS)}, enabled=42 * HOUR
)
TUTOR_WHATSAPP = Account("100000000000002", "whatsapp", _TUTOR, _LIVE)
_ELSEWHERE = {**_LIVE, "ai_is_incidental": None, "template": None, "app_ids": list(OWN_APPS)}
TUTOR_MESSENGER = Account("100000000000012", "messenger", _TUTOR, _ELSEWHERE)
TUTOR_INSTAGRAM = Account("100000000000022", "instagram", _TUTOR, _ELSEWHERE)
TUTOR_BRAZIL = Account(
    "100000000000032",
    "whatsapp",
    _TUTOR,
    {
        **_LIVE,
        "country": "BR",
        "zone": "America/Sao_Paulo",
        "audience_zones": ["America/Sao_Paulo"],
        "consent": "opt-in",
        "soft_basis": None,
        "template": None,
    },
)
PATIENT_WHATSAPP = Account("100000000000042", "whatsapp", _TUTOR, {**_LIVE, **_PATIENT, "template": _REMINDER})
PATIENT_INSTAGRAM = Account("100000000000052", "instagram", _TUTOR, _ELSEWHERE, min_silence=60)

ACCOUNTS = (
    CINEMA_MESSENGER,
    CINEMA_WHATSAPP,
    CINEMA_INSTAGRAM,
    TUTOR_WHATSAPP,
    TUTOR_MESSENGER,
    TUTOR_INSTAGRAM,
    TUTOR_BRAZIL,
    PATIENT_WHATSAPP,
    PATIENT_INSTAGRAM,
)


# --- the people --------------------------------------------------------------------------------------------------

STORIES: tuple[tuple[Human, tuple[Talk, ...]], ...] = (
    # Written to on Messenger, in French: the plainest story.
    (
        Human("Amélie Fournier", "Europe/Paris"),
        (
            Talk(
                CINEMA_MESSENGER,
                1,
                "17:40",
                """
                > Bonsoir ! Vous connaissez un film qui se passe entièrement dans un train ?
                < Bonsoir ! « Compartiment n° 6 », un film finlandais très tendre.
                > Ça me dit quelque chose. C'est en russe ?
                < Presque entièrement. Deux inconnus partagent un wagon jusqu'à Mourmansk.
                > J'aime beaucoup les films de voyage
                < Alors « Alice dans les villes » pourrait vous plaire aussi.
                < Puis-je vous écrire une fois, plus tard, si nous n'avons pas fini d'en parler ?
                > [opt_in] Oui, volontiers
                > Alice dans les villes, je ne connais pas. Qui l'a réalisé ?
                < Wim Wenders, en 1974.
                > Merci. Parlez-moi de Wim Wenders, alors
                < Volontiers. Plutôt ses films allemands ou ses films américains ?
                """,
            ),
        ),
    ),
    # Written to on WhatsApp, in English. Comes back, goes quiet again: one follow-up is all there is.
    (
        Human("Imogen Hartley", "Europe/London", "447700900123"),
        (
            Talk(
                CINEMA_WHATSAPP,
                1,
                "13:05",
                """
                > Hello, is the silent film season still on?
                < It is, until the end of the month. Shall I tell you what is left?
                > Yes please!
                < Two Buster Keatons and one Murnau.
                < May I write to you once, later, if we have not finished?
                > [opt_in] Yes, you may
                > Which of the Keatons would you show a ten-year-old?
                < Sherlock Jr. It is short, and the dream sequence needs no words.
                > And is there live piano for Sherlock Jr.?
                < There is, on Saturday afternoon.
                > Lovely. Tell me more about Sherlock Jr.
                < With pleasure. The story, or how the tricks were done?
                """,
            ),
            Talk(
                CINEMA_WHATSAPP,
                6,
                "12:30",
                """
                > We went to see Sherlock Jr., it was wonderful
                < I am glad it worked so well.
                > Is there anything similar with Harold Lloyd?
                < Safety Last! has the famous clock.
                > How long is Safety Last?
                < Seventy-three minutes.
                > I might look for a recording of it
                """,
            ),
        ),
    ),
    # Written to on Instagram, in Spanish.
    (
        Human("Marisol Iturbe", "America/Monterrey"),
        (
            Talk(
                TUTOR_INSTAGRAM,
                2,
                "16:20",
                """
                > Hola, no entiendo cuándo se usa el present perfect en inglés
                < Se usa cuando el pasado todavía importa ahora: I have lost my keys.
                > ¿Y con ayer? ¿I have seen it yesterday?
                < Con ayer se usa el pasado simple: I saw it yesterday.
                > Entonces la palabra yesterday lo cambia todo
                < Exacto. Palabras como yesterday o last week piden el pasado simple.
                > [image] Así lo dice mi libro
                < Es la misma regla, con otro ejemplo.
                > Enséñame más sobre el present perfect, mañana tengo tarea
                < Con gusto. ¿Empezamos por las preguntas o por las negaciones?
                """,
            ),
        ),
    ),
    # Written to on WhatsApp, in Portuguese. Brazil asks for a yes; she is known by a business-scoped id only.
    (
        Human("Rafaela Nogueira", "America/Sao_Paulo", "BR.555000100200300"),
        (
            Talk(
                TUTOR_BRAZIL,
                2,
                "11:15",
                """
                > Oi! Estou com dúvida no dever de espanhol
                < Oi! Qual é a dúvida?
                > A diferença entre ser e estar
                < Ser fala do que é; estar, de como ou onde está.
                < Posso te escrever uma vez, mais tarde, se a conversa ficar em aberto?
                > [opt_in] Pode, sim
                > Então eu digo estoy en casa?
                < Isso mesmo: estoy en casa.
                > E com profissão, soy profesora?
                < Perfeito: soy profesora.
                > Legal. Ainda tenho dúvidas sobre ser e estar
                < É normal. Com lugares ou com pessoas?
                """,
            ),
        ),
    ),
    # Writes late in the evening, in German: 22 hours later would be too late in the day, so it is moved.
    (
        Human("Jonas Wetterau", "Europe/Berlin", "491713920025"),
        (
            Talk(
                CINEMA_WHATSAPP,
                3,
                "22:10",
                """
                > Guten Abend, läuft bei Ihnen auch mal ein Film von Fritz Lang?
                < Guten Abend! Ende des Monats zeigen wir „M“ in der restaurierten Fassung.
                > Oh schön. Mit Untertiteln?
                < Im Original auf Deutsch, mit französischen Untertiteln.
                < Darf ich Ihnen später einmal schreiben, wenn wir nicht fertig geworden sind?
                > [opt_in] Ja, gern
                > Wie lang ist die restaurierte Fassung?
                < 111 Minuten.
                > Und was war sein erster Tonfilm?
                < Genau dieser: „M“ von 1931.
                > Spannend. Erzählen Sie mir mehr über die Musik im Film
                < Gern. Es ist fast nur eine gepfiffene Melodie. Kennen Sie sie?
                """,
            ),
        ),
    ),
    # Four messages and a heart are not five messages.
    (
        Human("Priya Nair", "Europe/London", "447700900161"),
        (
            Talk(
                CINEMA_WHATSAPP,
                3,
                "18:30",
                """
                > Hi, do you ever show films from Kerala?
                < We do. Last autumn it was Elippathayam.
                > Oh nice, I missed that one
                < It may come back in May.
                > Is there a list of the subtitled ones?
                < All of ours have French subtitles, half of them English ones too.
                > Great, thank you
                > [reaction] ❤
                """,
            ),
        ),
    ),
    # Stops with one word.
    (
        Human("Bastien Oriol", "Europe/Paris"),
        (
            Talk(
                CINEMA_MESSENGER,
                4,
                "12:10",
                """
                > Bonjour, quel est le dernier film d'Agnès Varda ?
                < « Varda par Agnès », en 2019.
                > Et un film d'elle à voir en premier ?
                < « Cléo de 5 à 7 » : une heure et demie de la vie d'une chanteuse, presque en temps réel.
                < Puis-je vous écrire une fois, plus tard, si nous n'avons pas fini d'en parler ?
                > [opt_in] Oui
                > Il existe en version restaurée ?
                < Oui, depuis 2012.
                > D'accord
                > Je le note
                ~ 3h
                > STOP
                """,
            ),
        ),
    ),
    # Stops in a sentence of her own.
    (
        Human("Lucía Ferrer", "America/Mexico_City"),
        (
            Talk(
                TUTOR_INSTAGRAM,
                4,
                "15:00",
                """
                > Hola, ¿me ayudas con los phrasal verbs?
                < Claro. ¿Con cuál empezamos?
                > Con give up
                < Give up es rendirse o dejar un hábito: She gave up coffee.
                > ¿Y give in?
                < Give in es ceder ante alguien.
                > Qué lío
                > Ya vi suficientes por hoy
                ~ 2h
                > Por favor, no me escribas más
                """,
            ),
        ),
    ),
    # Comes back by himself before the planned moment; the next silence is the one that is followed up.
    (
        Human("Kwame Mensah", "Europe/London", "447700900144"),
        (
            Talk(
                CINEMA_WHATSAPP,
                5,
                "09:20",
                """
                > Morning! Which film has the best car chase?
                < Bullitt is the classic answer. To Live and Die in L.A. is the brave one.
                > I know Bullitt by heart
                < Then the second: it goes the wrong way up a motorway.
                < May I write to you once, later, if we have not finished?
                > [opt_in] Sure
                > Who directed that one?
                < William Friedkin, fourteen years after The French Connection.
                > Ah, The French Connection has a chase too
                > Right, off to work
                """,
            ),
            Talk(
                CINEMA_WHATSAPP,
                5,
                "18:05",
                """
                > I'm back. So, the chase in The French Connection: was that street closed?
                < Mostly not, which is why nobody would film it like that today.
                > Wow
                > Tell me about the music in Bullitt, I liked the jazz
                < It is by Lalo Schifrin. Shall I start with the main theme?
                """,
            ),
        ),
    ),
    # Says something that no machine should answer with a film tip. Whatever it was, the reason stays opaque.
    (
        Human("Rowan Sayers", "America/Mexico_City"),
        (
            Talk(
                TUTOR_MESSENGER,
                5,
                "19:00",
                """
                > Can you check my Spanish essay?
                < Of course. Paste the first paragraph.
                > It is about my town
                > I wrote half of it
                < That is a good start.
                > I can't finish it, honestly I don't want to live anymore
                < I am only a tutor. Please talk to somebody now: in Mexico the Línea de la Vida answers day and night.
                > forget it, I was joking
                """,
            ),
        ),
    ),
    # Thirteen years old.
    (
        Human("Noé Castel", "Europe/Paris"),
        (
            Talk(
                CINEMA_MESSENGER,
                2,
                "18:05",
                """
                > salut c'est quoi le meilleur film de dinosaures
                < Bonjour ! « Jurassic Park », sans hésiter.
                > je peux le voir tout seul ? j'ai 13 ans
                < Demandez d'abord à vos parents, certaines scènes font peur.
                > ok
                < Bonne idée.
                > [opt_in] oui
                > et il y en a combien en tout ?
                < Sept avec celui de 2025.
                > trop bien, je commence par le premier
                """,
            ),
        ),
    ),
    # Her tutor's bot waits two and a half days on purpose; on Instagram nobody can be reached then.
    (
        Human("Inés Quiroga", "America/Mexico_City"),
        (
            Talk(
                PATIENT_INSTAGRAM,
                3,
                "13:30",
                """
                > Hola, ¿cómo se pronuncia "though"?
                < Como "dou", con la lengua entre los dientes.
                > ¿Y "through"?
                < Como "zru", también con la lengua entre los dientes.
                > ¿Y "tough"?
                < Se dice "taf".
                > El inglés no tiene reglas
                < Tiene algunas; estas tres palabras no las leyeron.
                > Jaja, bueno, practico though y through el fin de semana
                """,
            ),
        ),
    ),
    # Somebody of the cinema takes the conversation over.
    (
        Human("Solène Vidal", "Europe/Paris"),
        (
            Talk(
                CINEMA_MESSENGER,
                8,
                "11:30",
                """
                > Bonjour, j'organise une séance pour mon ciné-club
                < Bonjour ! Quel film aimeriez-vous montrer ?
                > Un Kurosawa, peut-être Vivre
                < Un très beau choix.
                < Puis-je vous écrire une fois, plus tard, si nous n'avons pas fini d'en parler ?
                > [opt_in] Oui
                > Nous serons une quarantaine
                > Est-ce que la petite salle suffit ?
                < Je passe la question à l'équipe.
                > Merci, j'attends votre réponse
                ! Bonjour, ici Hélène, de l'accueil : oui, la petite salle a 60 places. Je m'en occupe avec vous.
                """,
            ),
        ),
    ),
    # The school's other app owns the thread; what she writes there is not for the bot.
    (
        Human("Camila Duarte", "America/Mexico_City"),
        (
            Talk(
                TUTOR_MESSENGER,
                6,
                "17:10",
                """
                > Oi, posso escrever em português?
                < Claro que sim.
                > Estou a aprender espanhol para uma viagem
                < Que bom. Por onde começamos?
                > Pelos números
                < Uno, dos, tres: até dez são parecidos com os do português.
                > E como se diz quinze?
                < Quince.
                > Fácil
                [handover]
                > [standby] Queria mudar o dia da minha aula
                """,
            ),
        ),
    ),
    # One person, one number, two bots of the deployment: the cinema writes first, the tutor then stays silent.
    (
        Human("Dario Keller", "Europe/Berlin", "491713920041"),
        (
            Talk(
                CINEMA_WHATSAPP,
                7,
                "11:40",
                """
                > Hallo, zeigen Sie auch Dokumentarfilme?
                < Ja, an jedem ersten Sonntag im Monat.
                > Was kommt als Nächstes?
                < „Mensch und Maschine“, ein Film über eine Druckerei.
                < Darf ich Ihnen später einmal schreiben, wenn wir nicht fertig geworden sind?
                > [opt_in] Ja
                > Ist das der mit den alten Druckmaschinen?
                < Genau der.
                > Mein Großvater war Drucker
                > Haben Sie noch mehr über alte Druckereien?
                < Ich denke schon. Einen Spielfilm oder einen Dokumentarfilm?
                """,
            ),
            Talk(
                TUTOR_WHATSAPP,
                8,
                "10:05",
                """
                > Hi, I would like to practise Spanish greetings
                < With pleasure. Formal or informal ones?
                > Informal first
                < ¿Qué tal? is the safest.
                > And in the evening?
                < Buenas noches works as hello and as goodbye.
                > Good to know
                > I will try the greetings with my neighbour
                """,
            ),
        ),
    ),
    # Seventy messages in a day: relance keeps away from people who may lean on a bot.
    (Human("Tomás Zubiri", "America/Mexico_City"), ()),
    # France asks for a yes, and she never gave one.
    (
        Human("Clémence Aubry", "Europe/Paris", "33639980047"),
        (
            Talk(
                CINEMA_WHATSAPP,
                9,
                "14:45",
                """
                > Bonjour, que pensez-vous de La Jetée ?
                < Un film de photographies, et une seule image qui bouge.
                > Laquelle bouge ?
                < Le réveil de la femme. Regardez bien ses yeux.
                > Je vais le revoir alors
                < Il dure vingt-huit minutes.
                > Parfait pour ce soir
                > Et dans le même genre, plutôt long, vous auriez une idée ?
                """,
            ),
        ),
    ),
    # Meta delivers his webhooks three times, in disorder. He is written to once.
    (
        Human("Beatriz Lampreia", "America/Mexico_City"),
        (
            Talk(
                TUTOR_MESSENGER,
                9,
                "12:00",
                """
                > Olá! Preciso de ajuda com os verbos irregulares em espanhol
                < Olá! Com qual deles?
                > Com o verbo tener no passado
                < Yo tuve, tú tuviste, él tuvo.
                > E o verbo hacer?
                < Yo hice, tú hiciste, él hizo.
                > Porque é que muda o c para z?
                < Para manter o som antes do o.
                > Faz sentido. Fala-me mais sobre os verbos irregulares
                < Com gosto. Presente ou passado?
                """,
                copies=3,
                shuffled=True,
            ),
        ),
    ),
    # The operator pauses this bot while her follow-up is already planned.
    (
        Human("Elena Solís", "America/Mexico_City"),
        (
            Talk(
                TUTOR_MESSENGER,
                11,
                "13:20",
                """
                > ¿Cuál es la diferencia entre say y tell?
                < Say va con lo dicho; tell, con la persona: She told me.
                > ¿Se puede decir "say me"?
                < No: say to me o tell me.
                > Siempre me equivoco en eso
                < Le pasa a casi todo el mundo.
                > Entonces "tell me the truth"
                < Perfecto.
                > Explícame más sobre say y tell
                < Claro. ¿Con preguntas o con órdenes?
                """,
            ),
        ),
    ),
    # Her conversation went quiet before the bot was switched on: the backlog is never written to.
    (
        Human("Maëlle Kervadec", "Europe/Paris"),
        (
            Talk(
                CINEMA_INSTAGRAM,
                2,
                "16:00",
                """
                > Bonjour ! Vous avez un film breton à me conseiller ?
                < « L'Équipier », tourné à Ouessant.
                > Il y a le phare de la Jument ?
                < Oui, c'est presque le personnage principal.
                > [opt_in] Oui, volontiers
                > J'adore les phares
                > Mon grand-père en gardait un
                > Je vous dirai si L'Équipier m'a plu
                """,
            ),
        ),
    ),
    # The same account, after it was switched on.
    (
        Human("Gaspard Tessier", "Europe/Paris"),
        (
            Talk(
                CINEMA_INSTAGRAM,
                9,
                "18:20",
                """
                > Bonjour, quelle est la musique du film In the Mood for Love ?
                < Le thème s'appelle « Yumeji's Theme », de Shigeru Umebayashi.
                > C'est une valse ?
                < Une valse lente, oui, écrite d'abord pour un autre film.
                > [sticker]
                < Puis-je vous écrire une fois, plus tard, si nous n'avons pas fini d'en parler ?
                > [opt_in] Avec plaisir
                > Pour quel autre film ?
                < « Yumeji », de Seijun Suzuki, en 1991.
                > Je cherche la partition de cette valse
                < Pour piano ou pour violon ?
                """,
            ),
        ),
    ),
    # Opted in, and her bot waits until day three: a template reaches her where free form no longer may.
    (
        Human("Fernanda Robles", "America/Mexico_City", "525555550147"),
        (
            Talk(
                PATIENT_WHATSAPP,
                4,
                "14:10",
                """
                > Hola, ¿me explicas el subjuntivo en portugués?
                < Claro. Empieza por "que eu seja" y "que eu tenha".
                > ¿Es como en español?
                < Casi: el futuro del subjuntivo todavía se usa.
                < ¿Puedo escribirte una vez más adelante, si la conversación queda abierta?
                > [opt_in] Sí, claro
                > ¿Un ejemplo?
                < Quando eu for, "cuando yo vaya".
                > Qué elegante
                > Explícame más sobre el futuro del subjuntivo
                < Con gusto. ¿Prefieres empezar por los verbos regulares?
                """,
            ),
        ),
    ),
    # Changes his number after the follow-up: it stays used.
    (
        Human("Teo Cárdenas", "America/Mexico_City", "525555550112"),
        (
            Talk(
                TUTOR_WHATSAPP,
                1,
                "18:40",
                """
                > Hola, tengo examen de preposiciones
                < ¿In, on y at?
                > Sí, esas tres
                < At para la hora, on para el día, in para el mes.
                > ¿Y "in the morning"?
                < Es una excepción que conviene memorizar.
                > ¿Hay más excepciones?
                < "At night" es la otra famosa.
                > Ok. Explícame las preposiciones de lugar
                < Claro. ¿Empezamos por in, on y at otra vez?
                """,
            ),
            Talk(TUTOR_WHATSAPP, 7, "09:00", "[id_change] 525555550113"),
            Talk(
                TUTOR_WHATSAPP,
                8,
                "17:30",
                """
                > Hola, soy Teo, cambié de número
                < Hola, Teo.
                > Me fue bien en el examen
                < ¡Enhorabuena!
                > Ahora toca el pasado
                < ¿El simple o el continuo?
                > El continuo
                < I was reading: así se forma.
                > Luego sigo con el pasado continuo
                """,
            ),
        ),
    ),
    # Says no in her own words when the follow-up is already in the queue: the no wins.
    (
        Human("Nadia Okafor", "Europe/London", "447700900188"),
        (
            Talk(
                CINEMA_WHATSAPP,
                10,
                "13:00",
                """
                > Hello, do you know a good film about chess?
                < Queen of Katwe is a warm one. Searching for Bobby Fischer is the classic.
                > I have seen Queen of Katwe
                < Then the other one, or the documentary about Judit Polgár.
                < May I write to you once, later, if we have not finished?
                > [opt_in] Yes
                > Is the documentary recent?
                < Quite recent.
                > I play at a club myself
                > I will look up the chess documentary
                """,
            ),
            Talk(CINEMA_WHATSAPP, 10, "13:30", "> [queued] Please don't write to me again"),
        ),
    ),
    # Voice, picture, sticker, a tap on a list: they are messages of his own like any text. Once written to, he taps
    # Stop, and is answered.
    (
        Human("Lukas Brandt", "Europe/Berlin", "491713920077"),
        (
            Talk(
                CINEMA_WHATSAPP,
                11,
                "15:50",
                """
                > Guten Tag, welcher Film ist auf diesem Plakat?
                > [image] Das hing früher bei uns im Flur
                < Das ist „Der dritte Mann“, das Plakat von 1950.
                > [audio]
                < Die Zither spielt Anton Karas.
                > [sticker]
                < Möchten Sie mehr zum Film oder zur Musik wissen?
                > [list] Zur Musik
                < Darf ich Ihnen später einmal schreiben, wenn wir nicht fertig geworden sind?
                > [opt_in] Ja, gern
                > Ich suche eine Aufnahme mit der Zither von Anton Karas
                < Die Filmmusik oder ein späteres Konzert?
                """,
            ),
            Talk(CINEMA_WHATSAPP, 12, "15:10", "> [opt_out] Stopp"),
        ),
    ),
    # One message every other day: slow people are people too.
    (
        Human("Marguerite Delorme", "Europe/Paris"),
        (
            Talk(
                CINEMA_MESSENGER,
                1,
                "10:30",
                """
                > Bonjour, je découvre le cinéma japonais
                < Bonjour ! Par qui commencez-vous ?
                < Puis-je vous écrire une fois, plus tard, si nous n'avons pas fini d'en parler ?
                > [opt_in] Oui, merci
                """,
            ),
            Talk(
                CINEMA_MESSENGER,
                3,
                "10:45",
                "> J'ai vu Voyage à Tokyo, quelle douceur\n< Ozu filme à hauteur de tatami.",
            ),
            Talk(CINEMA_MESSENGER, 5, "11:10", "> Ma fille préfère Miyazaki\n< Les deux aiment le silence."),
            Talk(
                CINEMA_MESSENGER, 8, "10:20", "> J'ai commencé Printemps tardif\n< Le vase, vous verrez, est célèbre."
            ),
            Talk(
                CINEMA_MESSENGER,
                10,
                "16:15",
                "> Parlez-moi de Printemps tardif\n< Avec plaisir. L'avez-vous vu jusqu'au bout ?",
            ),
        ),
    ),
    # Writes on Saturday evening to a bot that keeps Sundays: no allowed moment is left in the window.
    (
        Human("Émile Roussel", "Europe/Paris"),
        (
            Talk(
                CINEMA_MESSENGER,
                6,
                "20:30",
                """
                > Bonsoir, un film court pour finir la soirée ?
                < « Le Ballon rouge », trente-cinq minutes.
                > Il est muet ?
                < Presque, et on ne s'en aperçoit pas.
                > [opt_in] Oui
                > Ça se passe à Paris ?
                < À Ménilmontant, dans les années cinquante.
                > C'est mon quartier
                > Je regarderai Le Ballon rouge demain
                """,
            ),
        ),
    ),
    # The platform takes the message and reports later that it could not be delivered.
    (
        Human("Paola Ríos", "America/Mexico_City", "525555550171"),
        (
            Talk(
                TUTOR_WHATSAPP,
                10,
                "12:40",
                """
                > Hola, ¿me recomiendas una canción para aprender inglés?
                < Una lenta y clara: "Moon River".
                > ¿Qué significa "drifter"?
                < Alguien que va de un lugar a otro sin prisa.
                > Bonita palabra
                < Toda la canción es así.
                > ¿Y "huckleberry"?
                < Una baya; aquí, un amigo de aventuras.
                > Dime más sobre la letra de Moon River
                < Claro. ¿Verso por verso o la idea general?
                """,
            ),
        ),
    ),
)

_UNDELIVERABLE = frozenset({"Paola Ríos"})

_OPERATOR = ((CINEMA_INSTAGRAM.enabled, "enable", CINEMA_INSTAGRAM), (11 * 24 * HOUR, "pause", TUTOR_MESSENGER))

_QUIZ = (
    "¿Cómo se dice ventana?", "Otra palabra, por favor", "¿Puerta es door?", "Ya me la sé", "La siguiente",
    "¿Y cocina?", "Kitchen, claro", "Otra más", "¿Escalera?", "Esa era difícil",
)  # fmt: skip


def the_fortnight() -> Fortnight:
    """The hand-made fortnight: always the same."""
    acts = [act for human, talks in STORIES for act in _acts_of(human, talks)]
    acts += _quiz("Tomás Zubiri", "America/Mexico_City", TUTOR_INSTAGRAM)
    acts += [Act(START + after, kind, bot=account.id, operator=True) for after, kind, account in _OPERATOR]
    humans = tuple(human for human, _ in STORIES)
    end = START + DAYS * 24 * HOUR
    return Fortnight(START, end, ACCOUNTS, humans, tuple(sorted(acts, key=lambda act: act.at)), _UNDELIVERABLE)


def _acts_of(human: Human, talks: tuple[Talk, ...]) -> list[Act]:
    acts: list[Act] = []
    for talk in talks:
        for act in _acts_of_talk(human, talk, start=local_time(human.zone, talk.day, talk.clock)):
            acts.append(_with_id(act, talk.account, len(acts) + 1))
    return acts


def local_time(zone: str, day: int, clock: str) -> int:
    """Epoch seconds of a local time on a day of the fortnight (day 1 is the Monday)."""
    hour, minute = map(int, clock.split(":"))
    date = datetime.fromtimestamp(START, UTC).replace(tzinfo=None) + timedelta(days=day - 1)
    return int(date.replace(hour=hour, minute=minute, tzinfo=ZoneInfo(zone)).timestamp())


_LINE = re.compile(r"^(?:(?P<who>[<>!~])\s*)?(?:\[(?P<kind>\w+)\]\s*)?(?P<text>.*)$")


def _acts_of_talk(human: Human, talk: Talk, *, start: int) -> Iterator[Act]:
    at = start
    for turn, line in enumerate(filter(None, map(str.strip, talk.words.splitlines()))):
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"{human.name}: this is no turn of a conversation: {line}")
        who, kind, text = match["who"], match["kind"] or "text", match["text"]
        if who == "~":
            at += int(text.removesuffix("h")) * HOUR
            continue
        at += 7 if who == "<" else 48 + turn * 3
        arrives = tuple(at + 20 + (copy * 97 + turn * 41) % 260 for copy in range(talk.copies)) if talk.shuffled else ()
        if who in ("<", "!"):
            kind = "echo_bot" if who == "<" else "echo_human"
            if talk.account.channel == "whatsapp" and who == "<":
                continue  # WhatsApp does not echo what a bot sends
        moment = "queued" if kind == "queued" else ""
        yield Act(
            at,
            "text" if moment else kind,
            bot=talk.account.id,
            user=human.name,
            text="" if kind == "id_change" else text,
            payload={"opt_in": PAYLOAD_YES, "opt_out": PAYLOAD_STOP}.get(kind, ""),
            arrives=arrives,
            new=text if kind == "id_change" else "",
            moment=moment,
        )


def _with_id(act: Act, account: Account, number: int) -> Act:
    return Act(**{name: getattr(act, name) for name in Act.__slots__} | {"id": message_id(account, act.user, number)})


def message_id(account: Account, user: str | None, number: int) -> str:
    """An invented message id in the shape of the account's channel."""
    digest = hashlib.sha256(f"{account.id} {user} {number}".encode()).hexdigest()[:24].upper()
    return {"whatsapp": "wamid.", "messenger": "m_", "instagram": "aWdfZAG"}[account.channel] + digest


def _quiz(name: str, zone: str, account: Account) -> list[Act]:
    """Seventy messages on one day, a minute and a half apart."""
    start = local_time(zone, 12, "09:30")
    return [
        Act(
            start + 95 * number + (number // 10) * 40 * MINUTE,
            "text",
            bot=account.id,
            user=name,
            id=message_id(account, name, number),
            text=_QUIZ[number % len(_QUIZ)],
        )
        for number in range(70)
    ]
