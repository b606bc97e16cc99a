"""What each WhatsApp webhook means: what counts, who it is, and what takes effect."""

import pytest

from relance.channels.whatsapp import events
from relance.interaction import Address, Effect, Event, Side

BOT = "100000000000001"
OWN_NUMBER = "12015550100"
ACCOUNT = "100000000000801"
NUMBER = "12015550123"
USER_ID = "US.100000000000000501"
AT = 1_768_502_640  # 2026-01-15 18:44 UTC


def change(field: str, account: str = ACCOUNT, entry: dict | None = None, **value: object) -> dict:
    metadata = {"display_phone_number": OWN_NUMBER, "phone_number_id": BOT}
    return {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": account,
                **(entry or {}),
                "changes": [
                    {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
                ],
            }
        ],
    }


def message(kind: str = "text", **more: object) -> dict:
    content = {"text": {"body": "Good evening"}}.get(kind)
    told = {"from": NUMBER, "id": "wamid.1", "timestamp": str(AT), "type": kind}
    return {**told, **({kind: content} if content else {}), **more}


def read(*messages: dict, **value: object) -> list[Event]:
    return events(change("messages", messages=list(messages), **value))


def only(found: list[Event]) -> Event:
    (event,) = found
    return event


# --------------------------------------------------------------------------------------------------- what counts


@pytest.mark.parametrize(
    ("kind", "content", "read_as", "text", "payload"),
    [
        ("text", {"body": "Good evening"}, "text", "Good evening", ""),
        ("image", {"id": "1", "caption": "Look"}, "image", "Look", ""),
        ("image", {"id": "1"}, "image", "", ""),
        ("video", {"id": "1", "caption": "Look"}, "video", "Look", ""),
        ("document", {"id": "1", "filename": "a.pdf", "caption": "Look"}, "document", "Look", ""),
        ("audio", {"id": "1", "voice": True}, "audio", "", ""),
        ("sticker", {"id": "1", "animated": True}, "sticker", "", ""),
        ("location", {"latitude": 1.5, "longitude": 2.5, "name": "Harbour"}, "location", "", ""),
        ("contacts", [{"name": {"formatted_name": "Kim"}}], "contacts", "", ""),
        ("order", {"catalog_id": "1", "text": "For two", "product_items": [{}]}, "order", "For two", ""),
        ("button", {"payload": "MORE", "text": "Tell me more"}, "button", "Tell me more", "MORE"),
        ("interactive", {"type": "button_reply", "button_reply": {"id": "a", "title": "A"}}, "button", "A", "a"),
        ("interactive", {"type": "list_reply", "list_reply": {"id": "b", "title": "B"}}, "list", "B", "b"),
        (
            "interactive",
            {"type": "nfm_reply", "nfm_reply": {"body": "Sent", "response_json": "{}"}},
            "flow",
            "Sent",
            "",
        ),
    ],
)
def test_whatever_a_user_sends_in_a_chat_of_two_counts(kind, content, read_as, text, payload):
    """Every kind of message of the user's own is an interaction; what was typed or tapped is its text."""
    event = only(read(message(kind, **{kind: content})))

    assert event == Event(
        "whatsapp",
        BOT,
        read_as,
        AT,
        Address(NUMBER),
        "wamid.1",
        text=text,
        payload=payload,
        counts=True,
        account=ACCOUNT,
    )


@pytest.mark.parametrize(
    "more",
    [
        {"context": {"forwarded": True}},
        {"context": {"from": OWN_NUMBER, "id": "wamid.0"}},
        {"referral": {"source_type": "ad", "body": "An ad"}},
        {"something_new": {"a": [1]}},
    ],
)
def test_an_answer_a_forward_and_an_ad_click_are_messages_like_others(more):
    """What surrounds a message does not change who wrote it."""
    assert only(read(message(**more))).counts


@pytest.mark.parametrize(
    ("sent", "kind", "effect"),
    [
        (message("reaction", reaction={"message_id": "wamid.0", "emoji": "👍"}), "reaction", Effect.IGNORED),
        (message("reaction", reaction={"message_id": "wamid.0"}), "reaction", Effect.IGNORED),
        (message("unsupported", errors=[{"code": 131051}]), "unsupported", Effect.IGNORED),
        (message("unknown", errors=[{"code": 131051}]), "unsupported", Effect.IGNORED),
        (message("unsupported", unsupported={"type": "poll"}), "unsupported", Effect.IGNORED),
        (message("text", errors=[{"code": 131000}]), "unsupported", Effect.IGNORED),
        (message("interactive"), "unsupported", Effect.IGNORED),
        (message("image"), "unsupported", Effect.IGNORED),
        (message("text", text={"body": ""}), "unsupported", Effect.IGNORED),
        (
            message("interactive", interactive={"type": "call_permission_reply", "call_permission_reply": {}}),
            "call",
            Effect.IGNORED,
        ),
        (message("request_welcome"), "get_started", Effect.IGNORED),
        (message("hologram", hologram={"id": "1"}), "unknown", Effect.UNKNOWN),
        (message("system", system={"type": "customer_identity_changed"}), "system", Effect.IGNORED),
    ],
)
def test_what_is_no_message_of_the_users_own_does_not_count(sent, kind, effect):
    """Activity, notices and what nobody can read are not interactions."""
    event = only(read(sent))

    assert (event.kind, event.effect, event.counts) == (kind, effect, False)


def test_a_message_in_a_group_does_not_count_and_leaves_no_text():
    """Groups are not one-to-one: nothing of them is remembered."""
    event = only(read(message(group_id="120363000000000000@g.us")))

    assert event == Event("whatsapp", BOT, "group", AT, effect=Effect.IGNORED)


def test_a_message_from_the_businesss_own_number_is_not_a_users():
    """However the number is written."""
    value = {"metadata": {"display_phone_number": "+1 201-555-0100", "phone_number_id": BOT}}

    event = only(read(message(**{"from": OWN_NUMBER}), **value))

    assert (event.kind, event.counts, event.effect) == ("other", False, Effect.IGNORED)


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
    template = only(read(message("button", button={"payload": pressed, "text": "Tap"})))
    reply = {"type": "button_reply", "button_reply": {"id": pressed, "title": "Tap"}}
    free_form = only(read(message("interactive", interactive=reply)))

    for event in (template, free_form):
        assert (event.kind, event.counts, event.effect, event.payload) == ("button", False, effect, pressed)


def test_a_batch_is_read_to_its_end_and_one_broken_message_costs_no_other():
    """Meta may put a thousand updates into one POST."""
    both = change("messages", messages=[message(id="wamid.1"), 7, None, {}, message(id="wamid.2")])
    both["entry"] += change("messages", messages=[message(id="wamid.3")])["entry"]
    both["entry"][0]["changes"] += [None, {"field": "messages"}, *change("messages", messages=[message()])["entry"]]
    both["entry"] += ["entry", {}, *change("messages", messages=[message(id="wamid.4")])["entry"]]

    found = events(both)

    assert [event.message_id for event in found if event.counts] == ["wamid.1", "wamid.2", "wamid.3", "wamid.4"]
    assert {event.effect for event in found if not event.counts} == {Effect.UNKNOWN}


@pytest.mark.parametrize("stamp", ["soon", "-5", "", True, [], {}, "9" * 30, -1, 0, 10**40])
def test_a_message_without_a_readable_time_does_not_count(stamp):
    """It is never dated to now: then each redelivery would be another message."""
    event = only(read(message(timestamp=stamp)))

    assert (event.at, event.counts) == (None, False)


def test_the_time_may_be_in_milliseconds_and_may_stand_on_the_entry_alone():
    """Occasional milliseconds are seen in the wild."""
    untimed = message()
    del untimed["timestamp"]

    assert only(read(message(timestamp=str(AT * 1000 + 7)))).at == AT
    assert only(events(change("messages", entry={"time": AT}, messages=[untimed]))).at == AT
    assert only(read(untimed)).at is None


def test_a_message_without_an_id_gets_the_same_one_at_every_delivery():
    """A redelivery must stay a no-op."""
    nameless = message()
    del nameless["id"]
    later = {**nameless, "timestamp": str(AT + 1)}

    first, again, other = only(read(nameless)), only(read(dict(nameless))), only(read(later))

    assert first.counts
    assert first.message_id == again.message_id != other.message_id


def test_a_message_to_no_bot_or_from_nobody_is_unreadable():
    """Without both there is no pair."""
    nobody = message()
    del nobody["from"]

    assert only(read(nobody)).kind == "unreadable"
    assert only(read(message(), metadata={})).kind == "unreadable"
    assert not only(read(nobody)).counts


def test_a_very_long_text_is_cut():
    """WhatsApp allows 4,096 characters; more is not remembered."""
    assert len(only(read(message(text={"body": "a" * 100_000}))).text) == 4_096


# ------------------------------------------------------------------------------------------------------ who it is


@pytest.mark.parametrize(
    ("sender", "contacts", "expected"),
    [
        ({"from": NUMBER}, [], Address(NUMBER)),
        ({"from": "+" + NUMBER}, [], Address(NUMBER)),
        ({"from": int(NUMBER)}, [], Address(NUMBER)),
        ({"from": NUMBER, "from_user_id": USER_ID}, [], Address(USER_ID, NUMBER)),
        ({"from_user_id": USER_ID}, [], Address(USER_ID)),
        ({"from_user_id": USER_ID}, [{"wa_id": NUMBER, "user_id": USER_ID}], Address(USER_ID, NUMBER)),
        ({"from": NUMBER}, [{"wa_id": NUMBER}], Address(NUMBER)),
        ({"from": NUMBER}, [{"wa_id": NUMBER, "user_id": USER_ID}], Address(USER_ID, NUMBER)),
        ({"from": NUMBER}, [{"user_id": USER_ID}], Address(USER_ID, NUMBER)),
        ({"from": NUMBER}, [{"wa_id": "12015550199", "user_id": USER_ID}], Address(NUMBER)),
        ({"from": NUMBER}, [{"wa_id": "12015550199", "user_id": "US.2"}, {"user_id": USER_ID}], Address(NUMBER)),
        (
            {"from": NUMBER},
            [{"wa_id": "12015550199", "user_id": "US.2"}, {"wa_id": NUMBER, "user_id": USER_ID}],
            Address(USER_ID, NUMBER),
        ),
        ({}, [{"user_id": USER_ID}], Address(USER_ID)),
        ({}, [{"wa_id": NUMBER}], Address(NUMBER)),
        ({"from_user_id": USER_ID}, [{"user_id": "US.2", "wa_id": "12015550199"}], Address(USER_ID)),
        ({"from": NUMBER}, [None, 7, {"wa_id": []}], Address(NUMBER)),
    ],
)
def test_a_user_is_the_business_scoped_id_else_the_matching_contacts_else_the_number(sender, contacts, expected):
    """One person must be one key, whichever of the ids a webhook happens to carry."""
    sent = message()
    del sent["from"]

    assert only(read({**sent, **sender}, contacts=contacts)).user == expected


@pytest.mark.parametrize(
    ("system", "after"),
    [
        ({"type": "user_changed_number", "wa_id": "12015550188"}, Address("12015550188")),
        ({"type": "user_changed_number", "new_wa_id": "12015550188"}, Address("12015550188")),
        ({"type": "customer_changed_number", "wa_id": "12015550188"}, Address("12015550188")),
        ({"type": "user_changed_number", "wa_id": "12015550188", "user_id": "US.9"}, Address("US.9", "12015550188")),
        ({"type": "user_changed_user_id", "user_id": "US.9"}, Address("US.9")),
    ],
)
def test_a_changed_number_or_id_carries_the_pair_along(system, after):
    """An opt-out and the used mark follow the person."""
    event = only(read(message("system", system=system)))

    assert (event.kind, event.effect, event.counts) == ("id_change", Effect.REKEY, False)
    assert (event.user, event.new_address) == (Address(NUMBER), after)


def test_a_change_to_nothing_or_to_the_same_is_none():
    """A re-key to an empty id would lose the person."""
    same = {"type": "user_changed_number", "wa_id": NUMBER}

    assert only(read(message("system", system={"type": "user_changed_number"}))).effect is Effect.UNKNOWN
    assert only(read(message("system", system=same))).effect is Effect.IGNORED


def test_a_new_business_scoped_id_names_both_ids():
    """Field `user_id_update`."""
    told = {"wa_id": NUMBER, "user_id": {"previous": USER_ID, "current": "US.9"}, "timestamp": AT}

    event = only(events(change("user_id_update", user_id_update=[told])))

    assert (event.effect, event.user, event.new_address) == (
        Effect.REKEY,
        Address(USER_ID, NUMBER),
        Address("US.9", NUMBER),
    )
    told["user_id"] = {"current": "US.9"}
    assert only(events(change("user_id_update", user_id_update=[told]))).effect is Effect.UNKNOWN


# ------------------------------------------------------------------------------------------------- what takes effect


def test_an_edit_names_the_first_message_and_its_new_text():
    """The text is replaced; the message counted when it was written."""
    edited = {"original_message_id": "wamid.0", "message": {"type": "text", "text": {"body": "Good morning"}}}

    event = only(read(message("edit", edit=edited)))

    assert (event.kind, event.effect, event.message_id, event.text, event.counts) == (
        "edit",
        Effect.EDIT,
        "wamid.0",
        "Good morning",
        False,
    )


def test_a_revoked_message_is_erased():
    """The wish names only the message."""
    event = only(read(message("revoke", revoke={"original_message_id": "wamid.0"})))

    assert (event.kind, event.effect, event.message_id, event.text) == ("deletion", Effect.ERASE, "wamid.0", "")
    assert only(read(message("revoke", revoke={}))).effect is Effect.UNKNOWN


@pytest.mark.parametrize(
    ("value", "kind", "effect"),
    [
        ("stop", "opt_out", Effect.OPT_OUT),
        ("STOP", "opt_out", Effect.OPT_OUT),
        ("resume", "opt_in", Effect.OPT_IN),
        ("signup", "opt_in", Effect.OPT_IN),
        ("perhaps", "unknown", Effect.UNKNOWN),
    ],
)
def test_a_preference_is_obeyed_and_does_not_count(value, kind, effect):
    """Field `user_preferences`; its time is a number."""
    wish = {"wa_id": NUMBER, "user_id": USER_ID, "category": "marketing_messages", "value": value, "timestamp": AT}

    event = only(events(change("user_preferences", user_preferences=[wish])))

    assert event == Event("whatsapp", BOT, kind, AT, Address(USER_ID, NUMBER), effect=effect, detail=value.lower())


@pytest.mark.parametrize(
    ("status", "kind"), [("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("played", "read")]
)
def test_a_status_is_a_receipt_and_names_the_follow_up(status, kind):
    """Statuses of our own messages are never interactions."""
    told = {
        "id": "wamid.7",
        "status": status,
        "timestamp": str(AT),
        "recipient_id": NUMBER,
        "recipient_user_id": USER_ID,
        "biz_opaque_callback_data": "relance:7",
    }

    event = only(events(change("messages", statuses=[told])))

    assert (event.kind, event.effect, event.counts) == (kind, Effect.RECEIPT, False)
    assert (event.user, event.follow_up_id, event.message_ids) == (
        Address(USER_ID, NUMBER),
        "relance:7",
        ("wamid.7",),
    )


def test_a_failed_status_carries_its_code():
    """131050, for one, means that the user stopped marketing."""
    told = {"id": "wamid.7", "status": "failed", "timestamp": str(AT), "recipient_id": NUMBER}

    failed = [{**told, "errors": [{"code": 131050}]}, {**told, "errors": "oops"}, told]
    found = events(change("messages", statuses=failed))

    assert [event.effect for event in found] == [Effect.STATUS_FAILED] * 3
    assert [event.code for event in found] == [131050, None, None]


@pytest.mark.parametrize(
    "more",
    [{"status": "warning"}, {"status": "deleted"}, {"recipient_type": "group"}, {"recipient_id": "1203630000@g.us"}],
)
def test_statuses_of_groups_and_old_ones_are_ignored(more):
    """They settle nothing."""
    told = {"id": "wamid.7", "status": "read", "timestamp": str(AT), "recipient_id": NUMBER, **more}

    assert only(events(change("messages", statuses=[told]))).effect is Effect.IGNORED


@pytest.mark.parametrize(
    "ends",
    [
        {"from": OWN_NUMBER, "to": NUMBER},
        {"from": OWN_NUMBER, "to": NUMBER, "to_user_id": USER_ID},
        {"from": NUMBER, "to": OWN_NUMBER},
    ],
)
def test_what_a_person_types_in_the_business_app_is_a_humans_echo(ends):
    """Whichever end the sample calls `from`: the user is whoever is not the business."""
    told = {**message(text={"body": "Kim here"}), **ends}

    event = only(events(change("smb_message_echoes", message_echoes=[told])))

    assert (event.kind, event.side, event.effect, event.counts) == ("echo", Side.AGENT, Effect.ECHO_HUMAN, False)
    assert event.text == "Kim here"
    assert NUMBER in (event.user.id, event.user.number)


def test_an_edit_in_the_business_app_is_a_human_too():
    """Somebody sat there and typed."""
    edit = {"original_message_id": "wamid.0", "message": {"type": "text", "text": {"body": "Kim here"}}}
    told = message("edit", edit=edit, **{"from": OWN_NUMBER, "to": NUMBER})

    event = only(events(change("smb_message_echoes", message_echoes=[told])))

    assert (event.effect, event.text) == (Effect.ECHO_HUMAN, "Kim here")


@pytest.mark.parametrize(
    ("more", "side", "effect"),
    [({"app_id": 900}, Side.BOT, Effect.ECHO_BOT), ({}, Side.AGENT, Effect.ECHO_HUMAN)],
)
def test_an_echo_of_another_app_names_it_or_counts_as_a_person(more, side, effect):
    """Several partners may share one number."""
    told = {**message(**{"from": OWN_NUMBER, "to": NUMBER}), **more}

    event = only(events(change("message_echoes", message_echoes=[told])))

    assert (event.side, event.effect, event.user) == (side, effect, Address(NUMBER))


@pytest.mark.parametrize(
    ("told", "effect"),
    [
        ({"control_passed": {"metadata": "x"}}, Effect.HUMAN_OWNS),
        ({"control_taken": {"new_owner_app_id": "9"}}, Effect.HUMAN_OWNS),
        ({"control_released": {}}, Effect.CONTROL_RETURNED),
        ({"action": "release"}, Effect.CONTROL_RETURNED),
    ],
)
def test_a_handover_says_who_owns_the_thread(told, effect):
    """Only a release returns it; passing it is what bots do to call a person."""
    value = {"sender": {"phone_number": NUMBER}, "recipient": {"phone_number_id": BOT}, "timestamp": AT, **told}

    event = only(events(change("messaging_handovers", **value)))

    assert (event.kind, event.effect, event.user, event.bot) == ("handover", effect, Address(NUMBER), BOT)


# -------------------------------------------------------------------------------------------------------- the account


@pytest.mark.parametrize(
    ("value", "effect"),
    [
        ({"event": "ACCOUNT_RESTRICTION", "restriction_info": [{}]}, Effect.BOT_PAUSED),
        ({"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "SPAM"}}, Effect.BOT_PAUSED),
        ({"event": "ACCOUNT_DELETED"}, Effect.BOT_PAUSED),
        ({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}, Effect.BOT_PAUSED),
        ({"event": "DISABLED_UPDATE"}, Effect.BOT_PAUSED),
        ({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}, Effect.BOT_PAUSED),
        ({"event": "VERIFIED_ACCOUNT"}, Effect.IGNORED),
    ],
)
def test_a_banned_account_pauses_its_bots(value, effect):
    """The event names the account; which bots it has, each pair's row says."""
    event = only(events(change("account_update", entry={"time": AT}, metadata=None, **value)))

    assert (event.kind, event.effect, event.bot, event.user) == ("account", effect, "", None)
    assert event.account == (ACCOUNT if effect is Effect.BOT_PAUSED else "")


@pytest.mark.parametrize(
    ("field", "value", "effect"),
    [
        ("message_template_status_update", {"event": "PAUSED"}, Effect.BOT_PAUSED),
        ("message_template_status_update", {"event": "DISABLED"}, Effect.BOT_PAUSED),
        ("message_template_status_update", {"event": "REJECTED"}, Effect.BOT_PAUSED),
        ("message_template_status_update", {"event": "APPROVED"}, Effect.IGNORED),
        ("template_category_update", {"previous_category": "UTILITY", "new_category": "MARKETING"}, Effect.BOT_PAUSED),
    ],
)
def test_a_template_that_may_not_be_sent_any_more_is_named(field, value, effect):
    """So that only the bots that use it need to stop."""
    event = only(events(change(field, message_template_name="come_back_1", **value)))

    assert (event.kind, event.effect) == ("template_status", effect)
    assert event.detail == ("template:come_back_1" if effect is Effect.BOT_PAUSED else "approved")


@pytest.mark.parametrize("field", ["calls", "history", "security", "flows", "group_lifecycle_update", "account_alerts"])
def test_a_known_field_of_no_interest_is_ignored(field):
    """Even where it holds what looks like messages."""
    event = only(events(change(field, messages=[message()], calls=[{}], statuses=[{}])))

    assert (event.effect, event.counts, event.detail) == (Effect.IGNORED, False, field)


@pytest.mark.parametrize(
    ("field", "detail"), [("brand_new_field", "brand_new_field"), ("Hi, it's Robin", ""), (None, ""), (7, ""), ([], "")]
)
def test_a_field_nobody_has_heard_of_is_reported_by_name_only(field, detail):
    """A metric's name is never free text."""
    event = only(events(change(field, messages=[message()])))

    assert (event.kind, event.effect, event.detail, event.counts) == ("unknown", Effect.UNKNOWN, detail, False)


def test_an_error_of_the_account_is_noted_beside_its_messages():
    """`value.errors` says nothing against a message that has none."""
    found = read(message(), errors=[{"code": 131000, "title": "Something went wrong"}])

    assert [(event.kind, event.counts, event.code) for event in found] == [
        ("text", True, None),
        ("other", False, 131000),
    ]


def test_a_sample_from_metas_dashboard_is_a_test():
    """It is signed like a real one; its account is `0`."""
    event = only(events(change("messages", account="0", messages=[message()])))

    assert (event.kind, event.effect, event.counts) == ("test", Effect.IGNORED, False)


@pytest.mark.parametrize("payload", [None, [], 7, "x", {}, {"object": "page"}, {"object": "whatsapp_business_account"}])
def test_what_is_no_whatsapp_webhook_is_one_unknown_event(payload):
    """Answered and counted, never raised."""
    assert only(events(payload)).effect is Effect.UNKNOWN
