"""What each Messenger and Instagram webhook means: what counts, who wrote, and what takes effect."""

import pytest

from relance.channels import instagram, messenger
from relance.interaction import Address, Effect, Event, Side

BOT = "100000000000002"
USER = "100000000000601"
AT = 1_768_502_640  # 2026-01-15 18:44 UTC
TEXT = {"mid": "m_1", "text": "Good evening"}

CHANNELS = {"page": messenger, "instagram": instagram}
both = pytest.mark.parametrize("kind_of_object", CHANNELS)


def entry(items: list, key: str = "messaging", **more: object) -> dict:
    return {"id": BOT, "time": AT * 1000 + 900, key: items, **more}


def item(sender: object = USER, recipient: object = BOT, **told: object) -> dict:
    return {"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": AT * 1000 + 120, **told}


def read(*items: object, kind_of_object: str = "page", key: str = "messaging", **more: object) -> list[Event]:
    payload = {"object": kind_of_object, "entry": [entry(list(items), key, **more)]}
    return CHANNELS[kind_of_object].events(payload)


def only(found: list[Event]) -> Event:
    (event,) = found
    return event


def echo(**more: object) -> dict:
    return item(BOT, USER, message={**TEXT, "is_echo": True, **more})


# --------------------------------------------------------------------------------------------------- what counts


def attached(kind: str, **payload: object) -> dict:
    return {"mid": "m_1", "attachments": [{"type": kind, "payload": payload}]}


@both
@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (TEXT, "text"),
        ({**TEXT, "reply_to": {"mid": "m_0"}}, "text"),
        ({**TEXT, "reply_to": {"story": {"id": "1", "url": "https://example.com"}}}, "text"),
        ({**TEXT, "nlp": {"entities": {}}, "referral": {"ref": "a"}}, "text"),
        ({**TEXT, "quick_reply": {"payload": "MORE"}}, "quick_reply"),
        (attached("image", url="https://example.com/a"), "image"),
        (attached("video", url="https://example.com/a"), "video"),
        (attached("audio", url="https://example.com/a"), "audio"),
        (attached("file", url="https://example.com/a"), "document"),
        (attached("location", coordinates={"lat": 1.5, "long": 2.5}), "location"),
        (attached("image", url="https://example.com/a", sticker_id=7), "sticker"),
        ({**attached("image", url="https://example.com/a"), "sticker_id": 7}, "sticker"),
        (attached("sticker"), "sticker"),
        (attached("like_heart"), "sticker"),
        (attached("ig_reel", url="https://example.com/a"), "video"),
        (attached("reel", url="https://example.com/a"), "video"),
        (attached("ig_post", url="https://example.com/a"), "image"),
        (attached("share", url="https://example.com/a"), "image"),
        (attached("story_mention", url="https://example.com/a"), "image"),
        ({"mid": "m_1", "attachments": [{"type": "fallback", "title": "A page", "payload": "x"}]}, "text"),
        (attached("template", product={"elements": [{"id": "1"}]}), "order"),
        ({**attached("hologram"), "text": "Look"}, "text"),
        ({**attached("unsupported_type"), "text": "Look"}, "text"),
        ({**TEXT, "is_echo": False, "is_deleted": False, "is_unsupported": False}, "text"),
    ],
)
def test_whatever_a_user_sends_counts(message, kind, kind_of_object):
    """Every kind of message of the user's own is an interaction, on both channels alike."""
    event = only(read(item(message=message), kind_of_object=kind_of_object))

    assert event == Event(
        CHANNELS[kind_of_object].CHANNEL,
        BOT,
        kind,
        AT,
        Address(USER),
        "m_1",
        text=message.get("text", ""),
        payload=message.get("quick_reply", {}).get("payload", ""),
        counts=True,
    )


@both
@pytest.mark.parametrize(
    ("told", "kind", "effect"),
    [
        ({"message": {"mid": "m_1", "is_unsupported": True}}, "unsupported", Effect.IGNORED),
        ({"message": {**TEXT, "is_unsupported": True}}, "unsupported", Effect.IGNORED),
        ({"message": attached("unsupported_type", url="https://example.com")}, "unsupported", Effect.IGNORED),
        ({"message": {"mid": "m_1"}}, "unsupported", Effect.IGNORED),
        ({"message": attached("hologram")}, "unknown", Effect.UNKNOWN),
        ({"message": attached("template", template_type="button")}, "other", Effect.IGNORED),
        ({"message": {**TEXT, **attached("template", template_type="generic")}}, "other", Effect.IGNORED),
        ({"message": {**TEXT, "is_self": True}}, "test", Effect.IGNORED),
        ({"message": {**TEXT, "mid": "random_mid"}}, "test", Effect.IGNORED),
        ({"message": "text"}, "unreadable", Effect.UNKNOWN),
        ({"postback": {"payload": "GET_STARTED", "title": "Get Started"}}, "get_started", Effect.WINDOW_OPENED),
        ({"postback": {"payload": "Get Started"}}, "get_started", Effect.WINDOW_OPENED),
        ({"postback": {"referral": {"ref": "a"}}}, "get_started", Effect.WINDOW_OPENED),
        ({"postback": {}}, "unreadable", Effect.UNKNOWN),
        ({"referral": {"ref": "a", "source": "SHORTLINK"}}, "referral", Effect.WINDOW_OPENED),
        ({"reaction": {"mid": "m_0", "action": "react", "emoji": "👍"}}, "reaction", Effect.WINDOW_OPENED),
        ({"reaction": {"mid": "m_0", "action": "unreact"}}, "reaction", Effect.IGNORED),
        ({"optin": {"ref": "a", "user_ref": "b"}}, "opt_in", Effect.IGNORED),
        ({"account_linking": {"status": "linked"}}, "other", Effect.IGNORED),
        ({"response_feedback": {"feedback": "Good"}}, "other", Effect.IGNORED),
        ({"request_thread_control": {"requested_owner_app_id": "9"}}, "other", Effect.IGNORED),
        ({"app_roles": {"9": ["primary_receiver"]}}, "other", Effect.IGNORED),
        ({"brand_new_event": {"text": "a"}}, "unknown", Effect.UNKNOWN),
        ({}, "unknown", Effect.UNKNOWN),
    ],
)
def test_what_is_no_message_of_the_users_own_does_not_count(told, kind, effect, kind_of_object):
    """Clicks without a message, activity, notices and what nobody can read are not interactions."""
    event = only(read(item(**told), kind_of_object=kind_of_object))

    assert (event.kind, event.effect, event.counts) == (kind, effect, False)


def test_a_postback_counts_and_has_an_id_also_where_none_came():
    """Buttons, menus and ice breakers; older ones have no `mid`."""
    named = only(read(item(postback={"mid": "m_1", "title": "Surprise me", "payload": "MENU"})))
    nameless = [only(read(item(postback={"title": "Surprise me", "payload": "MENU"}))) for _ in range(2)]
    other = only(read(item(postback={"title": "Surprise me", "payload": "MENU"}, timestamp=AT * 1000 + 5_000)))

    assert (named.kind, named.counts, named.message_id, named.text) == ("postback", True, "m_1", "Surprise me")
    assert nameless[0].counts
    assert nameless[0].message_id == nameless[1].message_id != other.message_id


@pytest.mark.parametrize(
    ("pressed", "effect"),
    [
        ("RELANCE_YES", Effect.OPT_IN),
        ("RELANCE_STOP", Effect.OPT_OUT),
        ("RELANCE_WHY", Effect.WINDOW_OPENED),
    ],
)
def test_relances_own_buttons_take_effect_and_do_not_count(pressed, effect):
    """Else the answer to a follow-up could earn the next one."""
    quick = only(read(item(message={**TEXT, "quick_reply": {"payload": pressed}})))
    button = only(read(item(postback={"title": "Tap", "payload": pressed})))

    assert (quick.kind, quick.counts, quick.effect, quick.payload) == ("quick_reply", False, effect, pressed)
    assert (button.kind, button.counts, button.effect, button.payload) == ("postback", False, effect, pressed)


@pytest.mark.parametrize(
    ("optin", "effect"),
    [
        ({"payload": "RELANCE_YES"}, Effect.OPT_IN),
        ({"ref": "RELANCE_YES"}, Effect.OPT_IN),
        ({"ref": "RELANCE_STOP"}, Effect.OPT_OUT),
        ({"type": "notification_messages", "notification_messages_status": "STOP_NOTIFICATIONS"}, Effect.OPT_OUT),
        ({"type": "notification_messages", "payload": "other"}, Effect.IGNORED),
    ],
)
def test_an_opt_in_is_consent_only_where_it_is_to_relance(optin, effect):
    """Consent to something else is none; a stop is a stop."""
    assert only(read(item(optin=optin))).effect is effect


@both
def test_every_entry_and_every_item_is_read_and_a_broken_one_costs_no_other(kind_of_object):
    """Taking only the first of a batch is the classic mistake."""
    first = entry([item(message={**TEXT, "mid": "m_1"}), None, 7, {}, item(message={**TEXT, "mid": "m_2"})])
    payload = {"object": kind_of_object, "entry": [first, "x", {}, entry([item(message={**TEXT, "mid": "m_3"})])]}

    found = CHANNELS[kind_of_object].events(payload)

    assert [event.message_id for event in found if event.counts] == ["m_1", "m_2", "m_3"]
    assert all(event.effect is Effect.UNKNOWN for event in found if not event.counts)


@both
def test_a_message_under_changes_or_flat_in_the_entry_is_a_message(kind_of_object):
    """Instagram Login and the dashboard send it so."""
    told = {"field": "messages", "value": item(message=TEXT)}

    nested = only(read(told, key="changes", kind_of_object=kind_of_object))
    flat = only(CHANNELS[kind_of_object].events({"object": kind_of_object, "entry": [{"id": BOT, "time": AT, **told}]}))

    assert nested == flat == only(read(item(message=TEXT), kind_of_object=kind_of_object))


@pytest.mark.parametrize("field", ["comments", "live_comments", "mentions", "feed", "story_insights"])
def test_public_content_is_not_a_private_message(field):
    """A comment is not written to the bot alone."""
    told = {"field": field, "value": {"id": "1", "text": "Nice", "from": {"id": USER}, "message": TEXT}}

    event = only(read(told, key="changes", kind_of_object="instagram"))

    assert (event.kind, event.effect, event.counts, event.text) == ("other", Effect.IGNORED, False, "")


def test_a_field_nobody_has_heard_of_is_reported_by_name_only():
    """A metric's name is never free text."""
    event = only(read({"field": "brand_new", "value": {"text": "Good evening"}}, key="changes"))

    assert (event.effect, event.detail, event.text) == (Effect.UNKNOWN, "brand_new", "")


# ----------------------------------------------------------------------------------------------------- whose, and when


def test_ids_written_as_numbers_are_the_same_ids():
    """Test data has them so."""
    event = only(read(item(int(USER), int(BOT), message=TEXT), id=int(BOT)))

    assert (event.bot, event.user, event.counts) == (BOT, Address(USER), True)


@both
def test_an_event_for_another_account_does_not_count(kind_of_object):
    """Two numbers that differ contradict each other; placeholders of samples do not."""
    other = only(read(item(recipient="100000000000999", message=TEXT), kind_of_object=kind_of_object))
    placeholder = only(read(item(recipient="PAGE_ID", message=TEXT), kind_of_object=kind_of_object))
    unsaid = only(read(item(recipient=None, message=TEXT), kind_of_object=kind_of_object))

    assert (other.effect, other.counts) == (Effect.IGNORED, False)
    assert placeholder.counts
    assert unsaid.counts


def test_without_an_entry_id_the_recipient_is_the_bot():
    """For an echo it is the sender."""
    assert only(read(item(message=TEXT), id=None)).bot == BOT
    assert (only(read(echo(), id=None)).bot, only(read(echo(), id=None)).user) == (BOT, Address(USER))


def test_a_message_from_nobody_or_to_no_bot_is_unreadable():
    """Without both there is no pair."""
    assert only(read(item(sender=None, message=TEXT))).kind == "unreadable"
    assert only(read(item(recipient=None, message=TEXT), id=None)).kind == "unreadable"


@both
@pytest.mark.parametrize(
    "sample",
    [
        ({"id": "0"}, item("12334", "23245", message={"mid": "random_mid", "text": "random_text"})),
        ({}, item("12334", BOT, message=TEXT)),
        ({}, item(USER, BOT, message={"mid": "test_message_id", "text": "test_message"})),
        ({}, item(BOT, BOT, message=TEXT)),
    ],
)
def test_a_sample_from_metas_dashboard_is_a_test(sample, kind_of_object):
    """It is signed like a real one."""
    more, told = sample

    event = only(read(told, kind_of_object=kind_of_object, **more))

    assert (event.kind, event.effect, event.counts) == ("test", Effect.IGNORED, False)


def test_an_untimed_message_has_the_time_of_its_entry_and_an_unreadable_time_is_none():
    """Only a missing time is filled in; an absurd one is not guessed."""
    untimed = item(message=TEXT)
    del untimed["timestamp"]

    assert only(read(untimed)).at == AT
    for absurd in ("soon", -1, True, 0, 10**17, [1], ""):
        event = only(read(item(message=TEXT, timestamp=absurd)))
        assert (event.at, event.counts) == (None, False)


@pytest.mark.parametrize("stamp", [AT, str(AT), str(AT * 1000), AT * 1000, "2026-01-15T18:44:00+0000"])
def test_the_time_is_read_in_every_form_that_occurs(stamp):
    """Milliseconds, seconds, text and ISO 8601."""
    assert only(read(item(message=TEXT, timestamp=stamp))).at == AT


# ------------------------------------------------------------------------------------------------- what takes effect


@pytest.mark.parametrize(
    ("more", "side", "effect", "app_id"),
    [
        ({"app_id": 900, "metadata": "chapter-3"}, Side.BOT, Effect.ECHO_BOT, "900"),
        ({"app_id": "900"}, Side.BOT, Effect.ECHO_BOT, "900"),
        ({}, Side.AGENT, Effect.ECHO_HUMAN, ""),
        ({"app_id": None}, Side.AGENT, Effect.ECHO_HUMAN, ""),
    ],
)
def test_an_echo_is_an_apps_or_a_persons(more, side, effect, app_id):
    """Without an app's id a person answered in the inbox."""
    event = only(read(echo(**more)))

    assert (event.kind, event.side, event.effect, event.app_id) == ("echo", side, effect, app_id)
    assert (event.user, event.text, event.counts) == (Address(USER), "Good evening", False)


@pytest.mark.parametrize("ends", [(BOT, USER), (USER, BOT)])
def test_the_user_of_an_echo_is_whoever_is_not_the_account(ends):
    """Some published echoes have the two reversed."""
    event = only(read(item(*ends, message={**TEXT, "is_echo": True})))

    assert event.user == Address(USER)


def test_a_message_from_the_account_is_an_echo_also_where_the_flag_is_missing():
    """It must never count as the user's."""
    event = only(read(item(BOT, USER, message=TEXT)))

    assert (event.effect, event.user, event.counts) == (Effect.ECHO_HUMAN, Address(USER), False)


def test_the_echo_of_a_follow_up_is_its_receipt():
    """The metadata that went out comes back."""
    event = only(read(echo(app_id=900, metadata="relance:7")))

    assert (event.kind, event.effect, event.follow_up_id, event.message_ids) == (
        "delivered",
        Effect.RECEIPT,
        "relance:7",
        ("m_1",),
    )
    assert (event.side, event.text) == (Side.BOT, "Good evening")


@both
def test_an_unsent_message_is_erased(kind_of_object):
    """The wish names only the message."""
    event = only(read(item(message={"mid": "m_1", "is_deleted": True}), kind_of_object=kind_of_object))

    assert (event.kind, event.effect, event.message_id) == ("deletion", Effect.ERASE, "m_1")
    assert only(read(item(message={"is_deleted": True}))).effect is Effect.UNKNOWN


@both
def test_an_edited_message_has_its_new_text(kind_of_object):
    """Number 0 is no edit but a first message that went astray in development mode."""
    edited = item(message_edit={"mid": "m_1", "text": "Good morning", "num_edit": 1})
    stray = item(message_edit={"mid": "m_1", "text": "Good morning", "num_edit": 0})

    event = only(read(edited, kind_of_object=kind_of_object))

    assert (event.effect, event.message_id, event.text, event.counts) == (Effect.EDIT, "m_1", "Good morning", False)
    assert only(read(stray, kind_of_object=kind_of_object)).effect is Effect.IGNORED


@pytest.mark.parametrize(
    ("told", "kind", "ids", "at"),
    [
        ({"delivery": {"mids": ["m_1", "m_2"], "watermark": (AT - 9) * 1000}}, "delivered", ("m_1", "m_2"), AT),
        ({"delivery": {"watermark": str((AT - 9) * 1000)}}, "delivered", (), AT - 9),
        ({"delivery": {"mids": [None, 7.5, {}]}}, "delivered", (), AT),
        ({"read": {"watermark": (AT - 9) * 1000}}, "read", (), AT - 9),
        ({"read": {"mid": "m_1"}}, "read", ("m_1",), AT),
    ],
)
def test_a_receipt_names_messages_or_the_time_up_to_which_it_holds(told, kind, ids, at):
    """A watermark is the time of the receipt: what was sent after it has not been read."""
    event = only(read(item(**told)))

    assert (event.kind, event.effect, event.message_ids, event.at) == (kind, Effect.RECEIPT, ids, at)
    assert not event.counts


@both
@pytest.mark.parametrize(
    ("told", "app_id"),
    [
        ({"pass_thread_control": {"new_owner_app_id": 900, "metadata": "x"}}, "900"),
        ({"take_thread_control": {"previous_owner_app_id": "800", "new_owner_app_id": "900"}}, "900"),
        ({"take_thread_control": {"previous_owner_app_id": "800"}}, ""),
    ],
)
def test_a_passed_thread_belongs_to_the_app_it_names(told, app_id, kind_of_object):
    """Whether that app is the bot's own is decided with the bot's file."""
    event = only(read(item(**told), kind_of_object=kind_of_object))

    assert (event.kind, event.effect, event.app_id, event.user) == (
        "handover",
        Effect.HUMAN_OWNS,
        app_id,
        Address(USER),
    )


@pytest.mark.parametrize("key", ["policy_enforcement", "policy-enforcement"])
@pytest.mark.parametrize(
    ("action", "effect"), [("block", Effect.BOT_PAUSED), ("unblock", Effect.IGNORED), ("warning", Effect.IGNORED)]
)
def test_a_blocked_account_is_paused(key, action, effect):
    """There is no sender: it is about the account."""
    told = {"recipient": {"id": BOT}, "timestamp": AT * 1000, key: {"action": action, "reason": "Too many messages"}}

    event = only(read(told))

    assert event == Event("messenger", BOT, "policy", AT, effect=effect, detail=action)


@both
def test_standby_means_that_somebody_else_owns_the_thread(kind_of_object):
    """The text is passed on, so that a stop is heard; it does not count."""
    event = only(read(item(message=TEXT), key="standby", kind_of_object=kind_of_object))

    assert (event.kind, event.effect, event.counts, event.text) == (
        "standby",
        Effect.HUMAN_OWNS,
        False,
        "Good evening",
    )


@pytest.mark.parametrize(
    ("told", "effect"),
    [
        ({"message": {**TEXT, "quick_reply": {"payload": "RELANCE_STOP"}}}, Effect.OPT_OUT),
        ({"message": {"mid": "m_1", "is_deleted": True}}, Effect.ERASE),
        ({"message_edit": {"mid": "m_1", "text": "a", "num_edit": 1}}, Effect.EDIT),
    ],
)
def test_a_no_and_a_forget_hold_in_standby_too(told, effect):
    """They are said to the business, whichever app owns the thread."""
    found = read(item(**told), key="standby")

    assert [event.effect for event in found] == [effect, Effect.HUMAN_OWNS]
    assert not any(event.counts for event in found)


def test_an_echo_in_standby_is_not_the_users_text():
    """Else the business's own words could opt the user out."""
    event = only(read(echo(app_id=900), key="standby"))

    assert (event.effect, event.side, event.user) == (Effect.HUMAN_OWNS, Side.BOT, Address(USER))


@both
@pytest.mark.parametrize("payload", [None, [], 7, "x", {}, {"object": "whatsapp_business_account"}, {"entry": [{}]}])
def test_what_is_no_webhook_of_the_channel_is_one_unknown_event(payload, kind_of_object):
    """Answered and counted, never raised."""
    assert only(CHANNELS[kind_of_object].events(payload)).effect is Effect.UNKNOWN


def test_one_channels_webhook_is_not_read_as_anothers():
    """A wrong callback URL must not mix two channels' people."""
    told = {"object": "instagram", "entry": [entry([item(message=TEXT)])]}

    assert not any(event.counts for event in messenger.events(told))
    assert only(messenger.events(told)).detail == "instagram"
