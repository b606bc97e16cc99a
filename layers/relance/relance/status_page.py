"""The page behind a confirmation code: what was asked, what that did, and how to have a conversation erased for real."""

from datetime import UTC, datetime
from html import escape

FALLBACK = "en"

_WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Your request to delete data",
        "deletion": "On {day} we received your request, through Meta, to delete your data.",
        "revoked": "On {day} Meta told us that you removed this app.",
        "state": (
            "This request is answered. It named you by an id that belongs to Facebook Login. We keep nothing under that "
            "id, so there was nothing to delete under it. We cannot tell from it which chat is yours."
        ),
        "how": (
            "To have your chat erased, write “forget me” or “delete my data” in that chat. Your messages, your address "
            "and the times of your messages are then erased, and the bot will not write to you first again."
        ),
        "stays": (
            "What stays is a coded mark, without your address or any of your words. It is there so that we never write "
            "to you. Messages are erased after some weeks in any case."
        ),
        "unknown": "We do not know this confirmation code, or it is more than 90 days old.",
        "code": "Confirmation code",
    },
    "fr": {
        "title": "Votre demande de suppression de données",
        "deletion": "Le {day}, nous avons reçu par Meta votre demande de suppression de vos données.",
        "revoked": "Le {day}, Meta nous a informés que vous avez retiré cette application.",
        "state": (
            "Cette demande est traitée. Elle vous désigne par un identifiant de Facebook Login. Nous ne conservons rien "
            "sous cet identifiant : il n’y avait donc rien à supprimer, et il ne nous dit pas quelle conversation est la "
            "vôtre."
        ),
        "how": (
            "Pour faire effacer votre conversation, écrivez « oubliez-moi » ou « supprimez mes données » dans celle-ci. "
            "Vos messages, votre adresse et les heures de vos messages sont alors effacés, et le bot ne vous écrira plus "
            "en premier."
        ),
        "stays": (
            "Il ne reste qu’une marque codée, sans votre adresse ni aucun de vos mots, afin que nous ne vous écrivions "
            "jamais. Les messages sont de toute façon effacés après quelques semaines."
        ),
        "unknown": "Nous ne connaissons pas ce code de confirmation, ou il date de plus de 90 jours.",
        "code": "Code de confirmation",
    },
    "es": {
        "title": "Su solicitud de eliminación de datos",
        "deletion": "El {day} recibimos, a través de Meta, su solicitud de eliminar sus datos.",
        "revoked": "El {day} Meta nos informó de que usted quitó esta aplicación.",
        "state": (
            "Esta solicitud está respondida. Le nombra con un identificador de Facebook Login. No guardamos nada con ese "
            "identificador, así que no había nada que eliminar, y no nos dice qué conversación es la suya."
        ),
        "how": (
            "Para que se borre su conversación, escriba «olvídame» o «borra mis datos» en ella. Entonces se borran sus "
            "mensajes, su dirección y las horas de sus mensajes, y el bot no volverá a escribirle primero."
        ),
        "stays": (
            "Solo queda una marca cifrada, sin su dirección ni sus palabras, para no escribirle nunca. Los mensajes se "
            "borran en todo caso al cabo de unas semanas."
        ),
        "unknown": "No conocemos este código de confirmación, o tiene más de 90 días.",
        "code": "Código de confirmación",
    },
    "pt": {
        "title": "O seu pedido de eliminação de dados",
        "deletion": "Em {day} recebemos, através da Meta, o seu pedido de eliminação dos seus dados.",
        "revoked": "Em {day} a Meta informou-nos de que removeu esta aplicação.",
        "state": (
            "Este pedido está respondido. Ele indica um identificador do Facebook Login. Não guardamos nada com esse "
            "identificador, por isso não havia nada a eliminar, e ele não nos diz qual é a sua conversa."
        ),
        "how": (
            "Para apagar a sua conversa, escreva nela “esqueça-me” ou “apague os meus dados”. As suas mensagens, o seu "
            "endereço e as horas das suas mensagens são então apagados, e o bot não voltará a escrever primeiro."
        ),
        "stays": (
            "Fica apenas uma marca codificada, sem o seu endereço nem as suas palavras, para que nunca lhe escrevamos. "
            "As mensagens são de qualquer forma apagadas após algumas semanas."
        ),
        "unknown": "Não conhecemos este código de confirmação, ou ele tem mais de 90 dias.",
        "code": "Código de confirmação",
    },
    "de": {
        "title": "Ihr Antrag auf Löschung von Daten",
        "deletion": "Am {day} haben wir über Meta Ihren Antrag erhalten, Ihre Daten zu löschen.",
        "revoked": "Am {day} hat Meta uns mitgeteilt, dass Sie diese App entfernt haben.",
        "state": (
            "Dieser Antrag ist beantwortet. Er nennt Sie mit einer Kennung von Facebook Login. Unter ihr speichern wir "
            "nichts; es gab also nichts zu löschen, und sie sagt uns nicht, welcher Chat Ihrer ist."
        ),
        "how": (
            "Um Ihren Chat löschen zu lassen, schreiben Sie darin „vergiss mich“ oder „lösche meine Daten“. Dann werden "
            "Ihre Nachrichten, Ihre Adresse und die Zeiten Ihrer Nachrichten gelöscht, und der Bot schreibt Ihnen nicht "
            "mehr als Erster."
        ),
        "stays": (
            "Es bleibt nur eine verschlüsselte Markierung, ohne Ihre Adresse und ohne Ihre Worte, damit wir Ihnen nie "
            "schreiben. Nachrichten werden nach einigen Wochen in jedem Fall gelöscht."
        ),
        "unknown": "Wir kennen diesen Bestätigungscode nicht, oder er ist älter als 90 Tage.",
        "code": "Bestätigungscode",
    },
}

_STYLE = (
    "body{max-width:38rem;margin:3rem auto;padding:0 1rem;font:1.1rem/1.6 system-ui,sans-serif;color:#111;"
    "background:#fff}code{overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#111}}"
)


def choose_language(accept_language: str) -> str:
    """The language that an Accept-Language header prefers among those this page speaks; else English."""
    best, most = FALLBACK, 0.0
    for part in accept_language[:500].split(","):
        name, _, rest = part.strip().partition(";")
        weight = _weight(rest)
        language = name.partition("-")[0].strip().lower()
        if language in _WORDS and weight > most:
            best, most = language, weight
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def state(language: str, is_deletion: bool, at: int, *, code: str) -> str:
    """The page for a code that we gave out: what was asked, when (epoch seconds), and what came of it."""
    words = _WORDS[language]
    day = f'<time datetime="{_day(at)}">{_day(at)}</time>'
    asked = escape(words["deletion" if is_deletion else "revoked"]).format(day=day)
    return _page(language, asked, words["state"], words["how"], words["stays"], code=code)


def unknown(language: str) -> str:
    """The page for any other code."""
    words = _WORDS[language]
    return _page(language, escape(words["unknown"]), words["how"], words["stays"])


def _day(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _page(language: str, first: str, *paragraphs: str, code: str = "") -> str:
    """`first` is markup already; the rest is escaped here."""
    words = _WORDS[language]
    title = escape(words["title"])
    body = "\n".join(f"<p>{text}</p>" for text in (first, *map(escape, paragraphs)))
    shown = f"\n<p>{escape(words['code'])}: <code>{escape(code)}</code></p>" if code else ""
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}{shown}\n</main>\n</body>\n</html>\n"
    )
