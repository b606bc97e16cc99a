"""The webhook shapes that Messenger and Instagram share: `entry[].messaging[]` and what stands in its place.

Rules: Meta's Messenger Platform and Instagram messaging webhook references. An item has a sender, a recipient, a time
and one key that says what happened; one that cannot be read costs no other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from relance.channels.payload import flag, ident, items, made_id, own_button, part, seconds, sound, word, words
from relance.interaction import PAYLOAD_STOP, PAYLOAD_YES, Address, Effect, Event, Side

# relance writes this before the id of a follow-up into the `metadata` of its own messages, which echoes bring back.
FOLLOW_UP_PREFIX = "relance:"

# What Meta's dashboard sends when somebody presses "Test".
_TEST_ACCOUNT = "0"
_TEST_SENDERS = ("12334", "test")
_TEST_MESSAGES = ("random_mid", "test_message_id")

_GET_STARTED = ("get_started", "get started", "getstarted", "get_started_payload")

# Attachment type → kind. Those of Instagram's posts and stories are what a person shares or answers with.
_ATTACHMENTS = {
    "image": "image",
    "animated_image": "image",
    "media": "image",
    "ephemeral": "image",
    "share": "image",
    "post": "image",
    "ig_post": "image",
    "story": "image",
    "ig_story": "image",
    "story_mention": "image",
    "story_reply": "image",
    "video": "video",
    "reel": "video",
    "ig_reel": "video",
    "audio": "audio",
    "file": "document",
    "sticker": "sticker",
    "like_heart": "sticker",
    "location": "location",
    "fallback": "text",
    "link": "text",
}

# Items that say nothing about who may be written to.
_IGNORED = (
    "account_linking",
    "app_roles",
    "checkout_update",
    "customer_information",
    "game_play",
    "in_thread_lead_form_submit",
    "messaging_feedback",
    "payment",
    "pre_checkout",
    "request_thread_control",
    "response_feedback",
    "send_cart",
    "typing",
)

# Subscribed fields that are no private messages: known, and of no interest.
_OTHER_FIELDS = (
    "business_integrity",
    "comments",
    "conversations",
    "creator_marketplace_invited_creator_onboarding",
    "delta",
    "feed",
    "inbox_labels",
    "leadgen",
    "live_comments",
    "live_videos",
    "mention",
    "mentions",
    "messaging_account_linking",
    "messaging_feedback",
    "ratings",
    "share_to_feed",
    "story_insights",
    "story_reactions",
)

# Effects that hold whoever owns the thread: no, forget and correct are said to the business, not to one app.
_HOLD_IN_STANDBY = (Effect.OPT_OUT, Effect.ERASE, Effect.EDIT)

_ENVELOPE = ("sender", "recipient", "timestamp", "time", "id", "hop_context", "prior_message", "is_instagram")


def events(payload: dict, *, channel: str, kind_of_object: str) -> list[Event]:
    """Everything `payload` says, in its order. Never raises, whatever JSON value comes in."""
    unreadable = Event(channel, "", "unreadable", None, effect=Effect.UNKNOWN)
    if not isinstance(payload, dict):
        return [unreadable]
    if payload.get("object") != kind_of_object:
        return [replace(unreadable, kind="unknown", detail=word(payload.get("object")))]
    found: list[Event] = []
    for entry in items(payload.get("entry")):
        found += _entry(entry, channel) if isinstance(entry, dict) else [unreadable]
    return found or [unreadable]


@dataclass(slots=True)
class _Account:
    """The account that an entry is about, and when Meta sent the entry."""

    channel: str
    id: str
    sent_at: int | None


@dataclass(slots=True)
class _Scene:
    """What every item says beside the thing itself: which bot, which user, when, and who acted."""

    channel: str
    bot: str
    user: Address | None
    at: int | None
    stamp: object
    by_account: bool

    def event(self, kind: str, effect: Effect | None = None, **more: object) -> Event:
        """An event of this scene."""
        return Event(channel=self.channel, bot=self.bot, kind=kind, at=self.at, user=self.user, effect=effect, **more)

    def unreadable(self, detail: str = "") -> Event:
        """What is left of an item that says too little."""
        return self.event("unreadable", Effect.UNKNOWN, detail=detail)


def _entry(entry: dict, channel: str) -> list[Event]:
    account = _Account(channel, ident(entry.get("id")), seconds(entry.get("time")))
    found = _each(_item, entry.get("messaging"), account)
    if "standby" in entry:
        found += _each(_standby, entry["standby"], account)
    # Content events come under `changes` (Facebook Login) or flat in the entry (Instagram Login); the dashboard sends
    # whole messages in both ways.
    if "changes" in entry:
        found += _each(_change, entry["changes"], account)
    if "field" in entry:
        found += _each(_change, entry, account)
    return found or [_unreadable(account)]


def _each(read: Callable[[dict, _Account], list[Event]], values: object, account: _Account) -> list[Event]:
    found: list[Event] = []
    for item in items(values):
        try:
            found += read(item, account) if isinstance(item, dict) else [_unreadable(account)]
        except Exception:  # the readers should not raise; if one does, the other items of this POST still count
            found.append(_unreadable(account))
    return found


def _unreadable(account: _Account) -> Event:
    return Event(account.channel, account.id, "unreadable", None, effect=Effect.UNKNOWN)


def _change(change: dict, account: _Account) -> list[Event]:
    field, value = word(change.get("field")), change.get("value")
    event = Event(account.channel, account.id, "other", account.sent_at, effect=Effect.IGNORED, detail=field)
    if account.id == _TEST_ACCOUNT:
        return [replace(event, kind="test")]
    if field in _OTHER_FIELDS:
        return [event]
    if isinstance(value, dict) and field == "standby":
        return _standby(value, account)
    if isinstance(value, dict) and any(key in value for key in _READERS):
        return _item(value, account)
    return [replace(event, kind="unknown", effect=Effect.UNKNOWN)]


def _standby(item: dict, account: _Account) -> list[Event]:
    # A copy for an app that does not own the thread: somebody else does, whatever the copy holds.
    (event,) = _item(item, account)
    if event.kind in ("test", "unreadable") or event.user is None:
        return [event]
    owned = replace(event, kind="standby", counts=False, effect=Effect.HUMAN_OWNS, app_id="", follow_up_id="")
    return [replace(event, counts=False), owned] if event.effect in _HOLD_IN_STANDBY else [owned]


def _item(item: dict, account: _Account) -> list[Event]:
    sender, recipient = ident(part(item, "sender").get("id")), ident(part(item, "recipient").get("id"))
    message = part(item, "message")
    echo = flag(message.get("is_echo"))
    bot = account.id or (sender if echo else recipient)
    by_account = echo or (sender == bot != "")
    # The user is whoever is not the account; some published echoes have the two reversed.
    person = sender if not by_account or recipient == bot else recipient
    stamp = item.get("timestamp")
    scene = _Scene(
        channel=account.channel,
        bot=bot,
        user=Address(person) if person else None,
        at=account.sent_at if stamp is None else seconds(stamp),
        stamp=stamp,
        by_account=by_account,
    )
    if account.id == _TEST_ACCOUNT or sender in _TEST_SENDERS or message.get("mid") in _TEST_MESSAGES or person == bot:
        return [scene.event("test", Effect.IGNORED)]
    if _is_for_another(bot, sender, recipient, by_account):
        return [scene.event("other", Effect.IGNORED, detail="another_account")]
    for key, read in _READERS.items():
        content = item.get(key)
        if isinstance(content, dict):
            return [sound(read(content, scene))]
        if content is not None:
            return [scene.unreadable(key)]
    for key in item:
        if key in _IGNORED:
            return [scene.event("other", Effect.IGNORED, detail=key)]
    told = next((word(key) for key in item if key not in _ENVELOPE), "")
    return [scene.event("unknown", Effect.UNKNOWN, detail=told)]


def _is_for_another(bot: str, sender: str, recipient: str, by_account: bool) -> bool:
    # Ids that are not numbers are placeholders of samples: they contradict nothing.
    ours = sender if by_account else recipient
    return bot not in (sender, recipient) and ours.isdigit() and bot.isdigit()


# --------------------------------------------------------------------------------------------------------- messages


def _message(message: dict, scene: _Scene) -> Event:
    mid = ident(message.get("mid"))
    if flag(message.get("is_deleted")):
        return scene.event("deletion", Effect.ERASE, message_id=mid) if mid else scene.unreadable("is_deleted")
    if flag(message.get("is_self")):
        return scene.event("test", Effect.IGNORED)
    if scene.by_account:
        return _echo(message, mid, scene)

    quick_reply = part(message, "quick_reply")
    text = words(message.get("text"))
    kind, effect = _kind(message, text, quick_reply)
    if effect is not None:
        return scene.event(kind, effect, message_id=mid)
    payload = words(quick_reply.get("payload"))
    effect = own_button(payload)
    return scene.event(
        kind,
        effect,
        message_id=mid or _made_id(scene, message),
        text=text,
        payload=payload,
        counts=scene.at is not None and effect is None,
    )


def _kind(message: dict, text: str, quick_reply: dict) -> tuple[str, Effect | None]:
    """The kind of a user's message, with an effect where it is not one to count."""
    if flag(message.get("is_unsupported")):
        return "unsupported", Effect.IGNORED
    attachments = [found for found in items(message.get("attachments")) if isinstance(found, dict)]
    if any(part(attachment, "payload").get("template_type") for attachment in attachments):
        return "other", Effect.IGNORED  # buttons and cards are written by businesses; users only pass them on
    if quick_reply:
        return "quick_reply", None
    if message.get("sticker_id"):
        return "sticker", None
    kinds = [kind for attachment in attachments if (kind := _attachment(attachment))]
    if kinds:
        return kinds[0], None
    if text:
        return "text", None
    if all(attachment.get("type") == "unsupported_type" for attachment in attachments):
        return "unsupported", Effect.IGNORED
    return "unknown", Effect.UNKNOWN


def _attachment(attachment: dict) -> str:
    content = part(attachment, "payload")
    if content.get("sticker_id"):
        return "sticker"
    named = attachment.get("type")
    if named == "template":
        return "order" if "product" in content else ""
    return _ATTACHMENTS.get(named, "") if isinstance(named, str) else ""


def _echo(message: dict, mid: str, scene: _Scene) -> Event:
    """A message from the account's side: relance's own, another app's (`app_id`), or a person's in the inbox."""
    app_id, metadata = ident(message.get("app_id")), words(message.get("metadata"))
    written = {
        "message_id": mid or _made_id(scene, message),
        "text": words(message.get("text")),
        "app_id": app_id,
    }
    if metadata.startswith(FOLLOW_UP_PREFIX):
        ids = (mid,) if mid else ()
        return scene.event(
            "delivered", Effect.RECEIPT, side=Side.BOT, follow_up_id=metadata, message_ids=ids, **written
        )
    if app_id:
        return scene.event("echo", Effect.ECHO_BOT, side=Side.BOT, **written)
    return scene.event("echo", Effect.ECHO_HUMAN, side=Side.AGENT, **written)


def _made_id(scene: _Scene, content: dict) -> str:
    return made_id(scene.bot, scene.user.id if scene.user else "", scene.stamp, content)


def _postback(postback: dict, scene: _Scene) -> Event:
    payload, title = words(postback.get("payload")), words(postback.get("title"))
    if scene.by_account:
        return scene.event("other", Effect.IGNORED, detail="postback")
    if payload.casefold() in _GET_STARTED or (not payload and "referral" in postback):
        return scene.event("get_started", Effect.WINDOW_OPENED, payload=payload)
    if not (payload or title):
        return scene.unreadable("postback")
    effect = own_button(payload)
    return scene.event(
        "postback",
        effect,
        message_id=ident(postback.get("mid")) or _made_id(scene, postback),
        text=title,
        payload=payload,
        counts=scene.at is not None and effect is None,
    )


def _edit(edit: dict, scene: _Scene) -> Event:
    mid = ident(edit.get("mid"))
    if not mid:
        return scene.unreadable("message_edit")
    # Apps in development mode may get a first message as an edit with number 0 (seen in the wild, undocumented).
    effect = Effect.IGNORED if ident(edit.get("num_edit")) == "0" else Effect.EDIT
    side = Side.AGENT if scene.by_account else Side.USER
    return scene.event("edit", effect, message_id=mid, text=words(edit.get("text")), side=side)


# --------------------------------------------------------------------------------------- everything but a message


def _reaction(reaction: dict, scene: _Scene) -> Event:
    # A reaction opens the window on both channels; taking it back, or one of our own, does not.
    opens = reaction.get("action") == "react" and not scene.by_account
    return scene.event("reaction", Effect.WINDOW_OPENED if opens else Effect.IGNORED)


def _referral(referral: dict, scene: _Scene) -> Event:
    return scene.event("referral", Effect.IGNORED if scene.by_account else Effect.WINDOW_OPENED)


def _optin(optin: dict, scene: _Scene) -> Event:
    said = (optin.get("payload"), optin.get("ref"))
    if PAYLOAD_STOP in said or optin.get("notification_messages_status") == "STOP_NOTIFICATIONS":
        return scene.event("opt_out", Effect.OPT_OUT)
    if PAYLOAD_YES in said:
        return scene.event("opt_in", Effect.OPT_IN, payload=PAYLOAD_YES)
    return scene.event("opt_in", Effect.IGNORED)


def _delivery(delivery: dict, scene: _Scene) -> Event:
    return _receipt("delivered", delivery, items(delivery.get("mids")), scene)


def _read(read: dict, scene: _Scene) -> Event:
    return _receipt("read", read, items(read.get("mid")), scene)


def _receipt(kind: str, receipt: dict, mids: list, scene: _Scene) -> Event:
    ids = tuple(mid for mid in map(ident, mids) if mid)
    # Without ids the watermark says up to when everything has arrived; the event's own time would say too much.
    watermark = seconds(receipt.get("watermark"))
    event = scene.event(kind, Effect.RECEIPT, side=Side.BOT, message_ids=ids)
    return event if ids or watermark is None else replace(event, at=watermark)


def _owner(control: dict, scene: _Scene) -> Event:
    return scene.event("handover", Effect.HUMAN_OWNS, app_id=ident(control.get("new_owner_app_id")))


def _policy(policy: dict, scene: _Scene) -> Event:
    action = word(policy.get("action"))
    return scene.event("policy", Effect.BOT_PAUSED if action == "block" else Effect.IGNORED, detail=action)


# In this order: an item that holds two of them is what the earlier one says.
_READERS: dict[str, Callable[[dict, _Scene], Event]] = {
    "message": _message,
    "postback": _postback,
    "message_edit": _edit,
    "reaction": _reaction,
    "delivery": _delivery,
    "read": _read,
    "optin": _optin,
    "referral": _referral,
    "pass_thread_control": _owner,
    "take_thread_control": _owner,
    "policy_enforcement": _policy,
    "policy-enforcement": _policy,
}
