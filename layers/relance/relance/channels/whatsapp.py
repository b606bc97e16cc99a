"""What a WhatsApp webhook says: messages, statuses, preferences, id changes, echoes and account events.

Shapes and rules: Meta's WhatsApp Cloud API webhook reference (business-scoped user ids of 2026 included). One POST may
carry up to 1,000 updates, in any order; each becomes an event of its own, and one that cannot be read costs no other.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from relance.channels.payload import ident, items, made_id, own_button, part, seconds, sound, word, words
from relance.interaction import Address, Effect, Event, Side

CHANNEL = "whatsapp"
OBJECT = "whatsapp_business_account"

# Meta's dashboard signs its samples like real events; they name the account "0".
TEST_ACCOUNT = "0"

# type → (kind, the field that holds a text the user typed).
_PLAIN = {
    "image": ("image", "caption"),
    "video": ("video", "caption"),
    "document": ("document", "caption"),
    "audio": ("audio", ""),
    "voice": ("audio", ""),
    "sticker": ("sticker", ""),
    "location": ("location", ""),
    "order": ("order", "text"),
}

# status → kind. A `played` voice note has been read; `delivered` may be skipped.
_RECEIPTS = {"sent": "sent", "delivered": "delivered", "read": "read", "played": "read"}

_ID_CHANGES = ("user_changed_number", "user_changed_user_id", "customer_changed_number")

# Account events after which nothing may be sent in the account's name until a person has looked.
# (`disabled_update` also reports a reinstatement: that too is for a person to judge.)
_ACCOUNT_STOPS = ("disabled_update", "account_restriction", "account_violation", "account_deleted")
_TEMPLATE_STOPS = ("paused", "disabled", "rejected", "deleted", "pending_deletion")

# Fields that say nothing about a conversation → kind.
_KNOWN_FIELDS = {
    "calls": "call",
    "account_alerts": "account",
    "account_review_update": "account",
    "account_settings_update": "account",
    "business_capability_update": "account",
    "business_status_update": "account",
    "business_username_update": "account",
    "business_username_updates": "account",
    "partner_solutions": "account",
    "payment_configuration_update": "account",
    "phone_number_name_update": "account",
    "phone_number_quality_update": "account",
    "security": "account",
    "message_template_components_update": "template_status",
    "message_template_quality_update": "template_status",
    "template_correct_category_detection": "template_status",
    "group_lifecycle_update": "group",
    "group_participants_update": "group",
    "group_settings_update": "group",
    "group_status_update": "group",
    "automatic_events": "other",
    "flows": "other",
    "history": "other",
    "smb_app_state_sync": "other",
    "tracking_events": "other",
}

_UNREADABLE = Event(CHANNEL, "", "unreadable", None, effect=Effect.UNKNOWN)


def events(payload: dict) -> list[Event]:
    """Everything `payload` says, in its order. Never raises, whatever JSON value comes in."""
    if not isinstance(payload, dict):
        return [_UNREADABLE]
    if payload.get("object") != OBJECT:
        return [Event(CHANNEL, "", "unknown", None, effect=Effect.UNKNOWN, detail=word(payload.get("object")))]
    found: list[Event] = []
    for entry in items(payload.get("entry")):
        changes = items(entry.get("changes")) if isinstance(entry, dict) else [None]
        for change in changes or [None]:
            if isinstance(change, dict) and isinstance(change.get("value"), dict):
                found += _change(change, entry)
            else:
                found.append(_UNREADABLE)
    return found or [_UNREADABLE]


@dataclass(slots=True)
class _Line:
    """The business number that a change is about, and what the change says of everybody in it."""

    bot: str
    own_number: str
    contacts: list[dict]
    account: str
    sent_at: int | None
    # Each contact by its ids, so that a POST full of messages and contacts is read in one pass over both.
    _known: dict[tuple[str, str], dict] | None = None

    def address(self, user_id: object, number: object) -> Address | None:
        """A person's canonical address: the business-scoped id, else the matching contact's, else the number.

        A contact matches by number; the only contact matches also where it names none. (Real payloads exist in which
        the only contact's number is somebody else's: no match.)
        """
        known, phone = ident(user_id), _phone(number)
        if not (known and phone):
            contact = self._contact(known, phone)
            known = known or ident(contact.get("user_id"))
            phone = phone or _phone(contact.get("wa_id"))
        if known:
            return Address(known, phone or None)
        return Address(phone) if phone else None

    def is_own(self, phone: str) -> bool:
        """True if `phone` is the business's own number."""
        return bool(phone) and phone == self.own_number

    def _contact(self, known: str, phone: str) -> dict:
        key, wanted = ("user_id", known) if known else ("wa_id", phone)
        if self._known is None:
            self._known = {}
            for contact in self.contacts:
                for name in ("user_id", "wa_id"):
                    self._known.setdefault((name, ident(contact.get(name)).removeprefix("+")), contact)
        if wanted and (key, wanted) in self._known:
            return self._known[key, wanted]
        if len(self.contacts) == 1 and not (wanted and ident(self.contacts[0].get(key))):
            return self.contacts[0]
        return {}


def _change(change: dict, entry: dict) -> list[Event]:
    field, value = change.get("field"), change["value"]
    metadata = part(value, "metadata")
    line = _Line(
        bot=ident(metadata.get("phone_number_id")),
        own_number=_phone(metadata.get("display_phone_number")),
        contacts=[contact for contact in items(value.get("contacts")) if isinstance(contact, dict)],
        account=ident(entry.get("id")),
        sent_at=seconds(entry.get("time")),
    )
    if line.account == TEST_ACCOUNT:
        return [_about_account(line, "test")]
    if field == "messages":
        found = _each(_message, value.get("messages"), line)
        found += _each(_status, value.get("statuses"), line)
        found += _each(_account_error, value.get("errors"), line)
        return found or [_about_account(line, "other", detail="empty")]
    if field == "smb_message_echoes":
        return _each(_typed_by_a_person, value.get("message_echoes"), line)
    if field == "message_echoes":
        return _each(_sent_by_an_app, value.get("message_echoes"), line)
    if field == "user_preferences":
        return _each(_preference, value.get("user_preferences"), line)
    if field == "user_id_update":
        return _each(_id_update, value.get("user_id_update"), line)
    if field == "messaging_handovers":
        return _each(_handover, value.get("messaging_handovers") or value, line)
    if field in ("account_update", "message_template_status_update", "template_category_update"):
        reader = _account_update if field == "account_update" else _template_update
        return _each(reader, value, line)
    kind = _KNOWN_FIELDS.get(field) if isinstance(field, str) else None
    if kind is None:
        return [_about_account(line, "unknown", effect=Effect.UNKNOWN, detail=word(field))]
    return [_about_account(line, kind, detail=word(field))]


def _each(read: Callable[[dict, _Line], Event], values: object, line: _Line) -> list[Event]:
    found = []
    for item in items(values):
        try:
            event = read(item, line) if isinstance(item, dict) else _UNREADABLE
        except Exception:  # the readers should not raise; if one does, the other 999 updates of this POST still count
            event = _UNREADABLE
        found.append(event)
    return found


def _about_account(line: _Line, kind: str, effect: Effect = Effect.IGNORED, detail: str = "") -> Event:
    return Event(CHANNEL, line.bot, kind, line.sent_at, effect=effect, detail=detail)


def _at(item: dict, line: _Line) -> int | None:
    stamp = item.get("timestamp")
    return line.sent_at if stamp is None else seconds(stamp)


def _phone(value: object) -> str:
    # Webhooks write numbers as bare digits, the business's own sometimes as people do: "+1 555-0100".
    number = ident(value)
    return number if number.isalnum() else number.translate(_PUNCTUATION)


_PUNCTUATION = str.maketrans("", "", "+ -()\u00a0")


# ----------------------------------------------------------------------------------------------- messages of users


def _message(item: dict, line: _Line) -> Event:
    kind_named = item.get("type")
    if not isinstance(kind_named, str):
        kind_named = ""
    at = _at(item, line)
    message_id = ident(item.get("id"))
    if item.get("group_id"):
        return Event(CHANNEL, line.bot, "group", at, effect=Effect.IGNORED)
    if line.is_own(_phone(item.get("from"))):
        return Event(CHANNEL, line.bot, "other", at, effect=Effect.IGNORED, detail="own_number")
    user = line.address(item.get("from_user_id"), item.get("from"))
    if item.get("errors") or kind_named in ("unsupported", "unknown"):
        detail = word(part(item, "unsupported").get("type"))
        return Event(CHANNEL, line.bot, "unsupported", at, user, message_id, effect=Effect.IGNORED, detail=detail)
    special = _SPECIAL.get(kind_named)
    if special is not None:
        return sound(special(item, Event(CHANNEL, line.bot, kind_named, at, user, message_id), line))

    content = _content(kind_named, item)
    if content is None:
        known = kind_named in _PLAIN or kind_named in ("text", "button", "interactive", "contacts")
        kind, effect = ("unsupported", Effect.IGNORED) if known else ("unknown", Effect.UNKNOWN)
        return Event(CHANNEL, line.bot, kind, at, user, message_id, effect=effect, detail=word(kind_named))
    kind, text, payload = content
    if kind == "call":
        return Event(CHANNEL, line.bot, kind, at, user, message_id, effect=Effect.IGNORED)
    effect = own_button(payload)
    if not message_id:
        message_id = made_id(line.bot, user.id if user else "", item.get("timestamp"), item.get(kind_named))
    return sound(
        Event(
            channel=CHANNEL,
            bot=line.bot,
            kind=kind,
            at=at,
            user=user,
            message_id=message_id,
            text=text,
            payload=payload,
            counts=at is not None and effect is None,
            effect=effect,
            account=line.account,
        )
    )


def _content(named: str, item: dict) -> tuple[str, str, str] | None:
    """(kind, text, payload) of a message, None if it holds nothing that we know how to read."""
    content = item.get(named)
    if named == "contacts":
        return (named, "", "") if isinstance(content, list) and content else None
    if not (isinstance(content, dict) and content):
        return None
    if named == "text":
        text = words(content.get("body"))
        return ("text", text, "") if text else None
    if named == "button":
        return "button", words(content.get("text")), words(content.get("payload"))
    if named == "interactive":
        return _reply(content)
    if named in _PLAIN:
        kind, caption = _PLAIN[named]
        return kind, words(content.get(caption)), ""
    return None


def _reply(content: dict) -> tuple[str, str, str] | None:
    for key, kind in (("button_reply", "button"), ("list_reply", "list")):
        if reply := part(content, key):
            return kind, words(reply.get("title")), words(reply.get("id"))
    if reply := part(content, "nfm_reply"):
        return "flow", words(reply.get("body")), ""
    return ("call", "", "") if "call_permission_reply" in content else None


def _reaction(item: dict, event: Event, line: _Line) -> Event:
    # WhatsApp's window opens with a message or a call; a reaction is neither.
    return replace(event, effect=Effect.IGNORED)


def _welcome(item: dict, event: Event, line: _Line) -> Event:
    return replace(event, kind="get_started", effect=Effect.IGNORED)


def _edit(item: dict, event: Event, line: _Line) -> Event:
    edit = part(item, "edit")
    original = ident(edit.get("original_message_id"))
    if not original:
        return replace(event, kind="unreadable", effect=Effect.UNKNOWN, detail="edit")
    return replace(event, message_id=original, text=_edited_text(edit), effect=Effect.EDIT)


def _edited_text(edit: dict) -> str:
    message = part(edit, "message")
    named = message.get("type")
    content = _content(named, message) if isinstance(named, str) else None
    return content[1] if content else ""


def _revoke(item: dict, event: Event, line: _Line) -> Event:
    original = ident(part(item, "revoke").get("original_message_id"))
    if not original:
        return replace(event, kind="unreadable", effect=Effect.UNKNOWN, detail="revoke")
    return replace(event, kind="deletion", message_id=original, effect=Effect.ERASE)


def _system(item: dict, event: Event, line: _Line) -> Event:
    system = part(item, "system")
    named = word(system.get("type"))
    if named not in _ID_CHANGES:
        return replace(event, effect=Effect.IGNORED, detail=named)
    # System messages come without contacts; older ones name the old number in `customer` only.
    before = event.user or line.address(None, system.get("customer"))
    number = _phone(system.get("wa_id")) or _phone(system.get("new_wa_id"))
    after_id = ident(system.get("user_id")) or number
    if not after_id:
        return replace(event, kind="unreadable", effect=Effect.UNKNOWN, detail=named)
    after = Address(after_id, number if number and number != after_id else None)
    effect = Effect.IGNORED if before == after else Effect.REKEY
    return replace(event, kind="id_change", user=before, new_address=after, effect=effect, detail=named)


_SPECIAL = {
    "reaction": _reaction,
    "request_welcome": _welcome,
    "edit": _edit,
    "revoke": _revoke,
    "system": _system,
}


# -------------------------------------------------------------------------------------- statuses of our own messages


def _status(item: dict, line: _Line) -> Event:
    at = _at(item, line)
    named = word(item.get("status"))
    recipient = ident(item.get("recipient_id"))
    if item.get("recipient_type") == "group" or recipient.endswith("@g.us"):
        return Event(CHANNEL, line.bot, "group", at, effect=Effect.IGNORED)
    kind = "status_failed" if named == "failed" else _RECEIPTS.get(named)
    if kind is None:
        return Event(CHANNEL, line.bot, "other", at, effect=Effect.IGNORED, detail=named)
    message_id = ident(item.get("id"))
    errors = [error for error in items(item.get("errors")) if isinstance(error, dict)]
    return sound(
        Event(
            channel=CHANNEL,
            bot=line.bot,
            kind=kind,
            at=at,
            user=line.address(item.get("recipient_user_id"), recipient),
            side=Side.BOT,
            effect=Effect.STATUS_FAILED if named == "failed" else Effect.RECEIPT,
            follow_up_id=ident(item.get("biz_opaque_callback_data")),
            message_ids=(message_id,) if message_id else (),
            code=_code(errors[0]) if errors else None,
            detail=named,
        )
    )


def _account_error(item: dict, line: _Line) -> Event:
    event = _about_account(line, "other", detail="error")
    return replace(event, code=_code(item))


def _code(error: dict) -> int | None:
    code = ident(error.get("code"))
    return int(code) if code.isascii() and code.isdigit() and len(code) < 10 else None


# --------------------------------------------------------------------------------- what others write from our number


def _typed_by_a_person(item: dict, line: _Line) -> Event:
    return _echo(item, line, app_id="")


def _sent_by_an_app(item: dict, line: _Line) -> Event:
    return _echo(item, line, app_id=ident(item.get("app_id")))


def _echo(item: dict, line: _Line, app_id: str) -> Event:
    at = _at(item, line)
    if item.get("group_id"):
        return Event(CHANNEL, line.bot, "group", at, effect=Effect.IGNORED)
    sender, to = _phone(item.get("from")), _phone(item.get("to"))
    # Published samples have the two reversed: the user is whoever is not the business.
    if line.is_own(to) and not line.is_own(sender):
        user = line.address(item.get("from_user_id"), sender)
    else:
        user = line.address(item.get("to_user_id"), to)
    named = item.get("type") if isinstance(item.get("type"), str) else ""
    content = _content(named, item)
    message_id = ident(item.get("id"))
    return sound(
        Event(
            channel=CHANNEL,
            bot=line.bot,
            kind="echo",
            at=at,
            user=user,
            message_id=message_id or made_id(line.bot, user.id if user else "", item.get("timestamp"), item.get(named)),
            side=Side.BOT if app_id else Side.AGENT,
            text=content[1] if content else _edited_text(part(item, "edit")),
            # Without an app's name somebody else wrote: another partner's app, or a person (platforms answer no more).
            effect=Effect.ECHO_BOT if app_id else Effect.ECHO_HUMAN,
            app_id=app_id,
            detail=word(named),
        )
    )


# -------------------------------------------------------------------------------------------- the user, not a message


def _preference(item: dict, line: _Line) -> Event:
    wish = word(item.get("value"))
    kind, effect = {
        "stop": ("opt_out", Effect.OPT_OUT),
        "resume": ("opt_in", Effect.OPT_IN),
        "signup": ("opt_in", Effect.OPT_IN),
    }.get(wish, ("unknown", Effect.UNKNOWN))
    user = line.address(item.get("user_id"), item.get("wa_id"))
    return sound(Event(CHANNEL, line.bot, kind, _at(item, line), user, effect=effect, detail=wish))


def _id_update(item: dict, line: _Line) -> Event:
    ids = part(item, "user_id")
    before, after, number = ident(ids.get("previous")), ident(ids.get("current")), _phone(item.get("wa_id")) or None
    event = Event(CHANNEL, line.bot, "id_change", _at(item, line))
    if not (before and after):
        return replace(event, kind="unreadable", effect=Effect.UNKNOWN, detail="user_id_update")
    return sound(
        replace(
            event,
            user=Address(before, number),
            new_address=Address(after, number),
            effect=Effect.IGNORED if before == after else Effect.REKEY,
        )
    )


def _handover(item: dict, line: _Line) -> Event:
    # Published facts are few (Meta Business Agent, 2026): control was passed, taken or released. Only a release says
    # that nobody in particular owns the thread any more.
    told = [*item, *(item.get(key) for key in ("action", "type", "event", "control_state"))]
    released = any("release" in name.lower() for name in told if isinstance(name, str))
    sender, recipient = part(item, "sender"), part(item, "recipient")
    person = recipient if line.is_own(_phone(sender.get("phone_number"))) or "phone_number_id" in sender else sender
    control = part(item, "control_passed") or part(item, "control_taken") or item
    return sound(
        Event(
            channel=CHANNEL,
            bot=line.bot or ident(recipient.get("phone_number_id")) or ident(sender.get("phone_number_id")),
            kind="handover",
            at=_at(item, line),
            user=line.address(person.get("user_id"), person.get("phone_number") or person.get("wa_id")),
            effect=Effect.CONTROL_RETURNED if released else Effect.HUMAN_OWNS,
            app_id=ident(control.get("new_owner_app_id")),
        )
    )


# -------------------------------------------------------------------------------------------------------- the account


def _account_update(value: dict, line: _Line) -> Event:
    named = word(value.get("event"))
    stops = named in _ACCOUNT_STOPS or bool(value.get("restriction_info") or value.get("violation_info"))
    event = _about_account(line, "account", detail=word(named))
    return replace(event, bot="", account=line.account, effect=Effect.BOT_PAUSED) if stops else event


def _template_update(value: dict, line: _Line) -> Event:
    named = word(value.get("event"))
    # No event: the template moved to another category, with another price and other rules. A person decides.
    stops = not named or named in _TEMPLATE_STOPS
    name = ident(value.get("message_template_name"))
    if not stops:
        return _about_account(line, "template_status", detail=word(named))
    event = _about_account(line, "template_status", Effect.BOT_PAUSED, f"template:{_TEMPLATE_NAME.sub('', name)}")
    return replace(event, bot="", account=line.account)


# Meta allows lower-case letters, digits and underscores in a template's name.
_TEMPLATE_NAME = re.compile(r"[^a-z0-9_]")
