"""Builds webhook bodies as Meta sends them, of every kind relance knows, for the demo, the stand-in and the tests.

`build` makes the body of one event; `merge` puts several into one POST, as Meta does under load; `encode` writes the
bytes and `sign` the header. Shapes follow Meta's webhook references of 2026 for the WhatsApp Cloud API, Messenger and
Instagram. All ids and numbers a caller passes must be invented.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from local.graph import APP_ID
from relance.interaction import Address

APP_SECRET = "app-secret-for-tests"  # noqa: S105 - the stand-in's, known to everybody
OWN_APP = APP_ID  # the app that the stand-in's echoes name: the local bots' own
OTHER_APP = "900800700"
INBOX_APP = "555000111"  # stands for Meta's Page Inbox, where a person answers

WHATSAPP_BUSINESS = "700100200300400"

KINDS = (
    "text image video document audio sticker location contacts order button list flow quick_reply postback "
    "get_started referral reaction edit deletion read delivered sent status_failed echo_bot echo_human standby "
    "handover handover_back opt_in opt_out id_change unsupported test"
).split()

type Body = dict[str, Any]


def build(
    channel: str,
    kind: str,
    *,
    bot: str,
    user: Address | str,
    at: int,
    id: str,
    text: str = "",
    payload: str = "",
    target: str = "",
    app_id: str = "",
    follow_up_id: str = "",
    code: int = 131026,
    new: Address | str | None = None,
    name: str = "Ada",
) -> Body:
    """The body of one POST that carries one event.

    `at` is epoch seconds (written as the channel writes it). `id` is the platform's message id. `target` is the
    message a reaction, edit, deletion, receipt or reply is about. `follow_up_id` is what relance put into its own
    message (`biz_opaque_callback_data` or `metadata`). `code` is the error of a failed status. `new` is who the
    user is from now on (`id_change`). Raises ValueError for a kind the channel does not have.
    """
    builders: Mapping[str, Callable[..., Body]] = {
        "whatsapp": _whatsapp,
        "messenger": _messenger,
        "instagram": _instagram,
    }
    if channel not in builders:
        raise ValueError(f"no channel named {channel}")
    if kind not in KINDS:
        raise ValueError(f"no kind of webhook named {kind}")
    return builders[channel](
        kind,
        bot=bot,
        user=user if isinstance(user, Address) else Address(user),
        at=at,
        id=id,
        text=text,
        payload=payload,
        target=target,
        app_id=app_id,
        follow_up_id=follow_up_id,
        code=code,
        new=new if isinstance(new, Address) or new is None else Address(new),
        name=name,
    )


def merge(bodies: Sequence[Body]) -> Body:
    """One POST with the entries of several: Meta batches up to 1,000 updates."""
    return {"object": bodies[0]["object"], "entry": [entry for body in bodies for entry in body["entry"]]}


def encode(body: Body) -> bytes:
    """The bytes on the wire: JSON with non-ASCII escaped in lower-case hex and slashes escaped, as Meta signs them."""
    return json.dumps(body, ensure_ascii=True, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def sign(raw: bytes, secret: str = APP_SECRET) -> str:
    """The value of `X-Hub-Signature-256` for these bytes."""
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


class Opening(NamedTuple):
    """An act of a person that opens the platform's 24-hour window. `at` in epoch seconds."""

    bot: str
    user: str
    at: float
    number: str = ""


def openings(channel: str, raw: bytes) -> Iterator[Opening]:
    """What the platform itself makes of a webhook it posts: who opened the window, and when.

    Read with a few lines of its own, so that the stand-in does not inherit a mistake of relance's parsers.
    """
    try:
        body = json.loads(raw)
        read = _whatsapp_openings if channel == "whatsapp" else _page_openings
        yield from read(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


_OPENS_NOTHING = frozenset(("system", "reaction", "edit", "revoke", "unsupported", "unknown", "request_welcome"))


def _whatsapp_openings(body: Body) -> Iterator[Opening]:
    for entry in body["entry"]:
        for change in entry["changes"]:
            value = change["value"]
            for message in value.get("messages", ()) if change["field"] == "messages" else ():
                if message["type"] not in _OPENS_NOTHING and "group_id" not in message:
                    scoped, number = message.get("from_user_id", ""), message.get("from", "")
                    at = float(message["timestamp"])
                    yield Opening(value["metadata"]["phone_number_id"], scoped or number, at, number)


def _page_openings(body: Body) -> Iterator[Opening]:
    for entry in body["entry"]:
        for event in entry.get("messaging", ()):
            message = event.get("message") or {}
            flags = ("is_echo", "is_deleted", "is_unsupported", "is_self")
            opens = any(key in event for key in ("message", "postback", "reaction", "referral"))
            if opens and not any(message.get(flag) for flag in flags):
                yield Opening(str(entry["id"]), str(event["sender"]["id"]), float(event["timestamp"]) / 1_000)


# --- WhatsApp


def _is_business_scoped(id_: str) -> bool:
    return len(id_) > 3 and id_[:2].isalpha() and id_[2] == "."


def _whatsapp_change(bot: str, value: Body, field: str = "messages") -> Body:
    metadata = {"display_phone_number": "15550100999", "phone_number_id": bot}
    return {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": WHATSAPP_BUSINESS,
                "changes": [
                    {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
                ],
            }
        ],
    }


def _whatsapp_person(user: Address) -> tuple[Body, Body]:
    """How a message and its `contacts` entry name the person: by business-scoped id, number, or both."""
    scoped = user.id if _is_business_scoped(user.id) else None
    number = user.number or (None if scoped else user.id)
    sender = {key: value for key, value in (("from", number), ("from_user_id", scoped)) if value}
    contact = {key: value for key, value in (("wa_id", number), ("user_id", scoped)) if value}
    return sender, contact


def _media(mime: str, id_: str, **more: Any) -> Body:
    digest = hashlib.sha256(id_.encode()).hexdigest()
    return {"mime_type": mime, "sha256": digest, "id": str(int(digest[:12], 16)), **more}


def _whatsapp(
    kind: str,
    *,
    bot: str,
    user: Address,
    at: int,
    id: str,
    text: str,
    payload: str,
    target: str,
    app_id: str,
    follow_up_id: str,
    code: int,
    new: Address | None,
    name: str,
) -> Body:
    sender, contact = _whatsapp_person(user)
    caption = {"caption": text} if text else {}
    about = target or "wamid.TARGET"
    answered = {"context": {"from": "15550100999", "id": about}}
    messages: Mapping[str, Body] = {
        "text": {"type": "text", "text": {"body": text}},
        "image": {"type": "image", "image": _media("image/jpeg", id, **caption)},
        "video": {"type": "video", "video": _media("video/mp4", id, **caption)},
        "document": {
            "type": "document",
            "document": _media("application/pdf", id, filename="programme.pdf", **caption),
        },
        "audio": {"type": "audio", "audio": _media("audio/ogg; codecs=opus", id, voice=True)},
        "sticker": {"type": "sticker", "sticker": _media("image/webp", id, animated=False)},
        "location": {"type": "location", "location": {"latitude": 48.85, "longitude": 2.35, "name": text or "Here"}},
        "contacts": {
            "type": "contacts",
            "contacts": [
                {
                    "name": {"formatted_name": text or "Grace", "first_name": text or "Grace"},
                    "phones": [{"phone": "+1 201-555-0199", "wa_id": "12015550199", "type": "CELL"}],
                }
            ],
        },
        "order": {
            "type": "order",
            "order": {
                "catalog_id": "800100200",
                "text": text,
                "product_items": [
                    {"product_retailer_id": "seat-12", "quantity": 2, "item_price": 9.5, "currency": "EUR"}
                ],
            },
        },
        "button": {"type": "button", "button": {"payload": payload or text, "text": text}, **answered},
        "quick_reply": {
            "type": "interactive",
            "interactive": {"type": "button_reply", "button_reply": {"id": payload or "choice-1", "title": text}},
            **answered,
        },
        "list": {
            "type": "interactive",
            "interactive": {
                "type": "list_reply",
                "list_reply": {"id": payload or "row-1", "title": text, "description": "the second showing"},
            },
            **answered,
        },
        "flow": {
            "type": "interactive",
            "interactive": {
                "type": "nfm_reply",
                "nfm_reply": {
                    "name": "flow",
                    "body": "Sent",
                    "response_json": json.dumps({"answer": text, "flow_token": "f"}),
                },
            },
            **answered,
        },
        "reaction": {"type": "reaction", "reaction": {"message_id": about, "emoji": text or "\U0001f44d"}},
        "edit": {
            "type": "edit",
            "edit": {"original_message_id": about, "message": {"type": "text", "text": {"body": text}}},
        },
        "deletion": {"type": "revoke", "revoke": {"original_message_id": about}},
        "unsupported": {
            "type": "unsupported",
            "unsupported": {"type": "poll"},
            "errors": [
                {
                    "code": 131051,
                    "title": "Message type unknown",
                    "message": "Message type unknown",
                    "error_data": {"details": "Message type is currently not supported."},
                }
            ],
        },
    }
    messages = {**messages, "postback": messages["button"]}
    if kind == "referral":
        # An ad click arrives with the person's first message; a bare referral does not exist on WhatsApp.
        raise ValueError("whatsapp has no referral without a message")
    if kind in messages:
        contacts = [{"profile": {"name": name}, **contact}]
        message = {**sender, "id": id, "timestamp": str(at), **messages[kind]}
        return _whatsapp_change(bot, {"contacts": contacts, "messages": [message]})
    if kind == "get_started":
        contacts = [{"profile": {"name": name}, **contact}]
        message = {**sender, "id": id, "timestamp": str(at), "type": "request_welcome"}
        return _whatsapp_change(bot, {"contacts": contacts, "messages": [message]})
    if kind in ("read", "delivered", "sent", "status_failed"):
        return _whatsapp_status(kind, bot, user, at, target or id, follow_up_id, code)
    if kind in ("echo_bot", "echo_human"):
        # Only a person in the WhatsApp Business app is echoed; a bot's own sends through the API are not.
        if kind == "echo_bot":
            raise ValueError("whatsapp does not echo what a bot sends")
        names = (("to", sender.get("from")), ("to_user_id", sender.get("from_user_id")))
        recipient = {key: value for key, value in names if value}
        echo = {"from": "15550100999", **recipient, "id": id, "timestamp": str(at), "type": "text"}
        return _whatsapp_change(bot, {"message_echoes": [{**echo, "text": {"body": text}}]}, field="smb_message_echoes")
    if kind in ("opt_in", "opt_out"):
        preference = {
            **contact,
            "detail": f"User requested to {'resume' if kind == 'opt_in' else 'stop'} marketing messages",
            "category": "marketing_messages",
            "value": "resume" if kind == "opt_in" else "stop",
            "timestamp": at,
        }
        contacts = [{"profile": {"name": name}, **contact}]
        return _whatsapp_change(bot, {"contacts": contacts, "user_preferences": [preference]}, field="user_preferences")
    if kind == "id_change":
        return _whatsapp_id_change(bot, user, new, at, id)
    if kind == "test":
        return {
            "object": "whatsapp_business_account",
            "entry": [
                {
                    "id": "0",
                    "changes": [
                        {
                            "field": "messages",
                            "value": {
                                "messaging_product": "whatsapp",
                                "metadata": {"display_phone_number": "15550100111", "phone_number_id": "123450000"},
                                "contacts": [{"profile": {"name": "sample"}, "wa_id": "12015550111"}],
                                "messages": [
                                    {
                                        "from": "12015550111",
                                        "id": "wamid.SAMPLE",
                                        "timestamp": str(at),
                                        "type": "text",
                                        "text": {"body": "a sample from the dashboard"},
                                    }
                                ],
                            },
                        }
                    ],
                }
            ],
        }
    raise ValueError(f"whatsapp has no {kind}")


def _whatsapp_status(
    kind: str, bot: str, user: Address, at: int, message_id: str, follow_up_id: str, code: int
) -> Body:
    _, contact = _whatsapp_person(user)
    status: Body = {
        "id": message_id,
        "status": {"status_failed": "failed"}.get(kind, kind),
        "timestamp": str(at),
    }
    if "wa_id" in contact:
        status["recipient_id"] = contact["wa_id"]
    if "user_id" in contact:
        status["recipient_user_id"] = contact["user_id"]
    if follow_up_id:
        status["biz_opaque_callback_data"] = follow_up_id
    if kind == "status_failed":
        status["errors"] = [
            {
                "code": code,
                "title": "Message undeliverable",
                "message": "Message undeliverable",
                "error_data": {"details": "Message undeliverable."},
                "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
            }
        ]
        return _whatsapp_change(bot, {"statuses": [status]})
    status["pricing"] = {"billable": False, "pricing_model": "PMP", "type": "free_customer_service"}
    return _whatsapp_change(bot, {"contacts": [contact], "statuses": [status]})


def _whatsapp_id_change(bot: str, user: Address, new: Address | None, at: int, id_: str) -> Body:
    if new is None:
        raise ValueError("an id change needs the new address")
    if _is_business_scoped(user.id) and _is_business_scoped(new.id):
        number = new.number or user.number
        update = {
            **({"wa_id": number} if number else {}),
            "detail": "User ID was updated",
            "user_id": {"previous": user.id, "current": new.id},
            "timestamp": str(at),
        }
        return _whatsapp_change(bot, {"user_id_update": [update]}, field="user_id_update")
    old_number, new_number = user.number or user.id, new.number or new.id
    message = {
        "from": old_number,
        "id": id_,
        "timestamp": str(at),
        "type": "system",
        "system": {
            "body": f"User changed from {old_number} to {new_number}",
            "wa_id": new_number,
            "type": "user_changed_number",
        },
    }
    return _whatsapp_change(bot, {"messages": [message]})


# --- Messenger and Instagram

_ATTACHMENTS = {"image": "image", "video": "video", "document": "file", "audio": "audio"}


def _page(object_: str, bot: str, at: int, event: Body, *, line: str = "messaging") -> Body:
    return {"object": object_, "entry": [{"id": bot, "time": at * 1000 + 412, line: [event]}]}


def _attachment(type_: str, id_: str) -> Body:
    return {"type": type_, "payload": {"url": f"https://scontent.example/{type_}/{len(id_)}?token=x"}}


def _message(kind: str, id_: str, text: str, payload: str, target: str) -> Body | None:
    """The `message` object of a user's own message, None for other kinds."""
    said = {"text": text} if text else {}
    reply = {"reply_to": {"mid": target}} if target else {}
    if kind == "text":
        return {"mid": id_, "text": text, **reply}
    if kind in _ATTACHMENTS:
        return {"mid": id_, **said, "attachments": [_attachment(_ATTACHMENTS[kind], id_)]}
    if kind == "sticker":
        return {
            "mid": id_,
            "sticker_id": 800100200300,
            "attachments": [
                {
                    "type": "image",
                    "payload": {"url": "https://scontent.example/sticker", "sticker_id": 800100200300},
                }
            ],
        }
    if kind == "location":
        place = {"coordinates": {"lat": 48.85, "long": 2.35}}
        return {"mid": id_, "attachments": [{"type": "location", "title": text or "Here", "payload": place}]}
    if kind in ("button", "list", "flow", "contacts", "order", "quick_reply"):
        if kind != "quick_reply":
            raise ValueError(f"messenger and instagram have no {kind}")
        return {"mid": id_, "text": text, "quick_reply": {"payload": payload or "choice-1"}}
    if kind == "unsupported":
        return {"mid": id_, "is_unsupported": True}
    if kind == "deletion":
        return {"mid": target or id_, "is_deleted": True}
    return None


def _messenger(
    kind: str,
    *,
    bot: str,
    user: Address,
    at: int,
    id: str,
    text: str,
    payload: str,
    target: str,
    app_id: str,
    follow_up_id: str,
    code: int,
    new: Address | None,
    name: str,
    object_: str = "page",
) -> Body:
    inbound: Body = {"sender": {"id": user.id}, "recipient": {"id": bot}, "timestamp": at * 1000}
    outbound: Body = {"sender": {"id": bot}, "recipient": {"id": user.id}, "timestamp": at * 1000}
    message = _message(kind, id, text, payload, target)
    if message is not None:
        return _page(object_, bot, at, {**inbound, "message": message})
    millis = at * 1000
    control = {"previous_owner_app_id": OWN_APP, "new_owner_app_id": app_id or INBOX_APP, "metadata": ""}
    returned = {"previous_owner_app_id": app_id or INBOX_APP, "new_owner_app_id": OWN_APP, "metadata": ""}
    events: Mapping[str, Body] = {
        "postback": {"postback": {"mid": id, "title": text, "payload": payload or "MENU_1"}},
        "get_started": {"postback": {"mid": id, "title": "Get Started", "payload": "GET_STARTED"}},
        "referral": {"referral": {"ref": text or "poster", "source": "SHORTLINK", "type": "OPEN_THREAD"}},
        "reaction": {"reaction": {"mid": target or id, "action": "react", "reaction": "love", "emoji": "\u2764"}},
        "edit": {"message_edit": {"mid": target or id, "text": text, "num_edit": 1}},
        "read": {"read": {"watermark": millis}},
        "delivered": {"delivery": {"mids": [target or id], "watermark": millis}},
        "handover": {"pass_thread_control": control},
        "handover_back": {"pass_thread_control": returned},
        "opt_in": {
            "optin": {
                "type": "notification_messages",
                "payload": payload or "RELANCE_YES",
                "notification_messages_token": "token-" + id,
                "title": text or "News",
            }
        },
        "opt_out": {
            "optin": {
                "type": "notification_messages",
                "payload": payload or "RELANCE_YES",
                "notification_messages_token": "token-" + id,
                "notification_messages_status": "STOP_NOTIFICATIONS",
            }
        },
    }
    if kind in events:
        return _page(object_, bot, at, {**inbound, **events[kind]})
    if kind in ("echo_bot", "echo_human"):
        author = {"app_id": int(app_id or OWN_APP)} if kind == "echo_bot" else {}
        if kind == "echo_human" and app_id:
            author = {"app_id": int(app_id)}
        marked = {"metadata": follow_up_id} if follow_up_id else {}
        echo = {"mid": id, "text": text, "is_echo": True, **author, **marked}
        return _page(object_, bot, at, {**outbound, "message": echo})
    if kind == "standby":
        return _page(object_, bot, at, {**inbound, "message": {"mid": id, "text": text}}, line="standby")
    if kind == "test":
        event = {
            "sender": {"id": "12334"},
            "recipient": {"id": "23245"},
            "timestamp": str(at),
            "message": {"mid": "random_mid", "text": "random_text"},
        }
        body = _page(object_, "0", at, event)
        body["entry"][0]["time"] = at
        return body
    raise ValueError(f"{'messenger' if object_ == 'page' else 'instagram'} has no {kind}")


def _instagram(kind: str, **given: Any) -> Body:
    if kind in ("delivered", "document", "opt_in", "opt_out", "location"):
        raise ValueError(f"instagram has no {kind}")
    body = _messenger(kind, **given, object_="instagram")
    if kind == "read":
        # Instagram names the message that was seen, Messenger the moment.
        body["entry"][0]["messaging"][0]["read"] = {"mid": given["target"] or given["id"]}
    return body
