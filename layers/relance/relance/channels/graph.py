"""Says one message to one person through Meta's Graph API, with exactly one attempt that can reach them."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import urllib3

from relance.bot import Bot, Template
from relance.outcome import Outcome, classify, may_have_arrived, never_left, token_unusable

# Keyed by the login that issued the token: an Instagram account connected through Instagram's own login
# lives on another host than everything else.
URLS: Mapping[str, str] = {"facebook": "https://graph.facebook.com", "instagram": "https://graph.instagram.com"}

KINDS = ("free_form", "template", "answer")

WHATSAPP_TEXT = 4_096  # characters
WHATSAPP_BUTTONS = 3
WHATSAPP_BUTTON_BODY = 1_024  # characters, also of a template's parameter
WHATSAPP_TAG = 512  # characters of biz_opaque_callback_data
MESSENGER_TEXT = 1_999  # characters: "under 2,000"
INSTAGRAM_TEXT = 1_000  # bytes of UTF-8, not characters
QUICK_REPLIES = 13
BUTTON_TITLE = 20  # characters, on all three channels
BUTTON_PAYLOAD = 256  # characters

# A WhatsApp business-scoped user id: two letters of the country, a dot, the rest opaque.
_SCOPED_ID = re.compile(r"^[A-Z]{2}\.")
_NUMBER = re.compile(r"\+?([0-9]{5,15})")


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message to be said, whoever wrote it. What names or quotes a person is kept out of its `repr`.

    `kind` is `free_form` (the follow-up inside the window), `template` (WhatsApp, beyond it) or `answer` (to
    what the person just wrote). `follow_up_id` comes back in receipts and echoes and settles an unknown outcome.
    `quick_replies` are (title, payload) pairs. `login` is the kind of token: see `URLS`.
    """

    channel: str
    bot_id: str
    to: str = field(repr=False)
    kind: str
    text: str = field(repr=False)
    follow_up_id: str
    login: str = "facebook"
    template: Template | None = None
    language: str = ""
    parameters: tuple[str, ...] = field(default=(), repr=False)
    quick_replies: tuple[tuple[str, str], ...] = ()


class GraphClient:
    """Delivers messages. It never repeats a request and never follows a redirect.

    `urls` maps a login to the address of its host, `version` is the Graph API's (`v26.0`). Timeouts are seconds.
    With `time_bound_proof` the proof of the app secret is only valid for minutes, as Meta recommends.
    """

    def __init__(
        self,
        *,
        urls: Mapping[str, str] = URLS,
        version: str = "v26.0",
        http: urllib3.PoolManager | None = None,
        connect_timeout: float = 3,
        read_timeout: float = 8,
        time_bound_proof: bool = False,
    ) -> None:
        self._urls = {login: url.rstrip("/") for login, url in urls.items()}
        self._version = version.strip("/")
        self._http = http or urllib3.PoolManager()
        self._timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
        self._time_bound_proof = time_bound_proof

    def deliver(self, message: Outbound, *, token: str, app_secret: str = "", now: int) -> Outcome:
        """Send `message` once and say what became of it. `now` is epoch seconds.

        Every fault of the network or the platform is an `Outcome`, never an exception: the line between "did not
        leave" and "may have arrived" is the first byte of the body handed to the connection.
        ValueError: the message itself cannot be sent (see `request_body`); nothing has left.
        """
        path, body = request_body(message)
        token, app_secret = token.strip(), app_secret.strip()
        if not re.fullmatch(r"[!-~]+", token):
            return token_unusable()
        url = f"{self._urls[message.login]}/{self._version}/{path}"
        if app_secret:
            url += "?" + urlencode(self._proof(token, app_secret, now))
        request = _Departure(json.dumps(body).encode())
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Content-Length": str(len(request)),
        }
        try:
            response = self._http.request(
                "POST", url, body=request, headers=headers, timeout=self._timeout, retries=False, redirect=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # Only the name of the error: its text holds the address, and so the proof.
            what = type(error).__name__
            return may_have_arrived(what) if request.left else never_left(what)
        finally:
            # A frozen Lambda wakes up with a dead connection, and a request lost on one is an unknown outcome.
            self._http.clear()
        return classify(message.channel, response.status, response.data, response.headers)

    def _proof(self, token: str, app_secret: str, now: int) -> dict[str, str]:
        if not self._time_bound_proof:
            return {"appsecret_proof": appsecret_proof(token, app_secret)}
        return {"appsecret_proof": appsecret_proof(token, app_secret, at=now), "appsecret_time": str(now)}


class _Departure:
    """A request body that knows whether its first byte was handed to the connection.

    The client connects, shakes hands and sends the headers before it takes the body. So a failure before that
    moment cannot have reached anybody, and one after it may have, whatever class of error reports it.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.left = False

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        self.left = True
        yield self._body


def login_of(bot: Bot, token: str) -> str:
    """Which login issued a bot's token: Facebook's tokens begin with EAA, those of Instagram's own login do not."""
    return "instagram" if bot.channel == "instagram" and not token.startswith("EAA") else "facebook"


def appsecret_proof(token: str, app_secret: str, at: int | None = None) -> str:
    """Prove that whoever sends `token` also knows the app secret; with `at`, only around that second (Meta's
    "secure requests" page: HMAC-SHA256 in hex, of the token or of `token|time`)."""
    proven = token if at is None else f"{token}|{at}"
    return hmac.new(app_secret.encode(), proven.encode(), hashlib.sha256).hexdigest()


def request_body(message: Outbound) -> tuple[str, dict]:
    """Return the path below the version and the JSON body of the one request that says `message`.

    Pure, so that a message can be checked before its reservation is spent. ValueError, without any of the
    content: an unknown channel, kind or login, a text that is empty or beyond the channel's limit, an address that
    cannot be one, a template where there is none.
    """
    if message.kind not in KINDS:
        raise ValueError("a message is free_form, template or answer")
    if message.login not in URLS:
        raise ValueError("unknown login")
    if message.kind == "template" and message.channel != "whatsapp":
        raise ValueError("only WhatsApp has templates")
    if not message.to:
        raise ValueError("the recipient is missing")
    if len(message.follow_up_id) > WHATSAPP_TAG:
        raise ValueError("the follow-up id is too long")
    bodies = {"whatsapp": _whatsapp, "messenger": _messenger, "instagram": _instagram}
    if message.channel not in bodies:
        raise ValueError("unknown channel")
    return bodies[message.channel](message)


def flattened(value: str) -> str:
    """A template parameter on one line: WhatsApp refuses line breaks, tabs and runs of spaces in one."""
    return " ".join(value.split())


def _whatsapp(message: Outbound) -> tuple[str, dict]:
    body = {"messaging_product": "whatsapp", "recipient_type": "individual", **_whatsapp_address(message.to)}
    if message.kind == "template":
        body |= {"type": "template", "template": _template(message)}
    else:
        text = _checked(message.text, WHATSAPP_TEXT)
        if _buttons_fit(message):
            buttons = [{"type": "reply", "reply": {"id": key, "title": title}} for title, key in message.quick_replies]
            action = {"type": "button", "body": {"text": text}, "action": {"buttons": buttons}}
            body |= {"type": "interactive", "interactive": action}
        else:
            body |= {"type": "text", "text": {"body": text, "preview_url": False}}
    if message.follow_up_id:
        body["biz_opaque_callback_data"] = message.follow_up_id
    return f"{quote(message.bot_id, safe='')}/messages", body


def _whatsapp_address(to: str) -> dict[str, str]:
    """A number always travels with `+`: without it Meta puts the business's own country code in front."""
    if _SCOPED_ID.match(to):
        return {"recipient": to}
    number = _NUMBER.fullmatch(to)
    if not number:
        raise ValueError("not a WhatsApp number or business-scoped id")
    return {"to": f"+{number[1]}"}


def _template(message: Outbound) -> dict:
    """The approved template, filled. Quick replies become the payloads of the template's own buttons, in order:
    pass only as many as it was approved with."""
    if message.template is None:
        raise ValueError("the bot has no template")
    values = [flattened(value) for value in message.parameters]
    if not all(0 < len(value) <= WHATSAPP_BUTTON_BODY for value in values):
        raise ValueError("a template parameter is empty or too long")
    components: list[dict] = []
    if values:
        components.append({"type": "body", "parameters": [{"type": "text", "text": value} for value in values]})
    for index, (_, payload) in enumerate(message.quick_replies):
        parameters = [{"type": "payload", "payload": payload}]
        components.append({"type": "button", "sub_type": "quick_reply", "index": str(index), "parameters": parameters})
    template: dict = {
        "name": message.template.name,
        "language": {"code": message.template.language or message.language},
    }
    return template | ({"components": components} if components else {})


def _buttons_fit(message: Outbound) -> bool:
    """Whether WhatsApp would take the quick replies as buttons; if not, the text goes alone rather than not at all."""
    replies = message.quick_replies
    return (
        0 < len(replies) <= WHATSAPP_BUTTONS
        and len(message.text) <= WHATSAPP_BUTTON_BODY
        and _replies_fit(replies)
        and len({title for title, _ in replies}) == len({payload for _, payload in replies}) == len(replies)
    )


def _replies_fit(replies: tuple[tuple[str, str], ...]) -> bool:
    return all(0 < len(title) <= BUTTON_TITLE and 0 < len(payload) <= BUTTON_PAYLOAD for title, payload in replies)


def _messenger(message: Outbound) -> tuple[str, dict]:
    text = _checked(message.text, MESSENGER_TEXT)
    body = {
        "recipient": {"id": message.to},
        "messaging_type": _messaging_type(message),
        "message": {"text": text, **_tag(message), **_quick_replies(message)},
    }
    if message.kind != "answer":
        body["notification_type"] = "SILENT_PUSH"  # it comes unasked: no sound
    return f"{quote(message.bot_id, safe='')}/messages", body


def _instagram(message: Outbound) -> tuple[str, dict]:
    """With Facebook's login the endpoint is the Page's, which `me` and the Page's token name; with Instagram's own
    it is the account's, and neither `messaging_type` nor `metadata` is documented there."""
    text = _checked(message.text, INSTAGRAM_TEXT, in_bytes=True)
    if message.login == "instagram":
        said = {"text": text, **_quick_replies(message)}
        return f"{quote(message.bot_id, safe='')}/messages", {"recipient": {"id": message.to}, "message": said}
    body = {
        "recipient": {"id": message.to},
        "messaging_type": _messaging_type(message),
        "message": {"text": text, **_tag(message), **_quick_replies(message)},
    }
    return "me/messages", body


def _messaging_type(message: Outbound) -> str:
    """`UPDATE` is a message that nobody asked for but that is inside the window; `RESPONSE` answers one."""
    return "RESPONSE" if message.kind == "answer" else "UPDATE"


def _tag(message: Outbound) -> dict[str, str]:
    return {"metadata": message.follow_up_id} if message.follow_up_id else {}


def _quick_replies(message: Outbound) -> dict[str, list[dict[str, str]]]:
    replies = message.quick_replies
    if not 0 < len(replies) <= QUICK_REPLIES or not _replies_fit(replies):
        return {}
    return {"quick_replies": [{"content_type": "text", "title": t, "payload": p} for t, p in replies]}


def _checked(text: str, limit: int, *, in_bytes: bool = False) -> str:
    if not text.strip():
        raise ValueError("the text is empty")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text holds half a character")
    if (len(text.encode()) if in_bytes else len(text)) > limit:
        raise ValueError("the text is longer than the channel takes")
    return text
