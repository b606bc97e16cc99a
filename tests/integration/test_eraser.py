"""The real eraser on the local stack: what people want forgotten is gone, stays gone, and nobody writes to them."""

import json
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from local.stack import PEPPER, _sqs_record
from local.webhooks import build, merge
from relance.erasures import Erasures, Forget, Wish, body
from relance.interaction import PAYLOAD_YES, Address
from relance.pair import FOREVER, user_key
from relance.store.bots import BotStore
from relance.store.pairs import Due, PairStore
from relance.store.people import REDELIVERY
from relance.store.tables import Database
from tests.cinema import CINEMA, DAY, HOUR, MINUTE, NOON

CANARY = "kanarienvogel"
PSID = "2002"
NUMBER = "12015550123"
SCOPED = "US.1349000000000001"


def key(id=PSID, channel="messenger"):
    """The person's key in every table."""
    return user_key(channel, id, PEPPER.encode())


def said(at, id, text=f"{CANARY} tell me about the film", kind="text", user=PSID, bot="1001", **more):
    """One Messenger event."""
    return build("messenger", kind, bot=bot, user=user, at=at, id=id, text=text, **more)


def talk(stack, last=NOON - 60, messages=5, user=PSID, bot="1001"):
    """A conversation whose last message is at `last`; returns what was posted."""
    bodies = [said(last - (messages - 1 - n) * 60, f"m{user}-{last}-{n}", user=user, bot=bot) for n in range(messages)]
    for each in bodies:
        stack.post("messenger", each)
    return bodies


def erase(stack, *erasures):
    """Hand erasures to the function, as its queue does, before anybody else gets a turn."""
    arn = stack.template.arn("ErasuresQueue")
    records = [
        _sqs_record(
            {
                "MessageId": f"e{n}",
                "ReceiptHandle": "r",
                "Body": body(each) if not isinstance(each, str) else each,
                "MD5OfBody": "",
            },
            arn,
        )
        for n, each in enumerate(erasures)
    ]
    return stack.invoke("Eraser", {"Records": records})["batchItemFailures"]


def everything(stack):
    """All that is kept of anybody, as one text."""
    return json.dumps([stack.pairs(), stack.interactions(), stack.dead_letters(), stack.events()], default=sorted)


def messages(stack):
    """The rows of messages, without those of wishes."""
    return [row for row in stack.interactions() if not row["at_id"].startswith("wish#")]


def the_pair(stack, user=None):
    """The one row of a pair."""
    (row,) = [row for row in stack.pairs() if row["user"] == (user or key()) and row["bot"] != "*"]
    return row


def the_person(stack, user=None):
    """The row that is true for all bots."""
    (row,) = [row for row in stack.pairs() if row["user"] == (user or key()) and row["bot"] == "*"]
    return row


# ── wishes: one message ──────────────────────────────────────────────────────────────────────────────────────


def test_a_message_taken_back_loses_its_text_and_no_other_does(stack):
    """The webhook queues it, the eraser does it; the message still counts as written."""
    stack.post("messenger", said(NOON - 90, "m1", "keep this"))
    stack.post("messenger", said(NOON - 60, "m2"))
    register = the_pair(stack)["s1"]
    stack.post("messenger", said(NOON - 30, "d1", "", kind="deletion", target="m2"))
    stack.drain()

    assert CANARY not in everything(stack)
    assert ["keep this", None] == [row.get("text") for row in messages(stack)]
    assert register == the_pair(stack)["s1"]


def test_a_message_taken_back_does_not_return_when_meta_delivers_it_again(stack):
    """Its emptied row holds its place; and the wish stays until its own time to live."""
    original = said(NOON - 60, "m1")
    stack.post("messenger", original)
    stack.post("messenger", said(NOON - 30, "d1", "", kind="deletion", target="m1"))
    stack.drain()
    stack.post("messenger", original)
    stack.drain()

    assert CANARY not in everything(stack)
    assert ["wish#m1"] == [row["at_id"] for row in stack.interactions() if row["at_id"].startswith("wish#")]


def test_an_edit_replaces_the_text_for_good(stack):
    """Also when the original comes again."""
    original = said(NOON - 60, "m1")
    stack.post("messenger", original)
    stack.post("messenger", said(NOON - 30, "e1", "the new words", kind="edit", target="m1"))
    stack.drain()
    stack.post("messenger", original)
    stack.drain()

    assert CANARY not in everything(stack)
    assert ["the new words"] == [row["text"] for row in messages(stack)]


def test_an_edit_that_arrives_after_the_deletion_brings_nothing_back(stack):
    """Meta delivers in any order, and again."""
    edit = said(NOON - 40, "e1", f"{CANARY} edited", kind="edit", target="m1")
    stack.post("messenger", said(NOON - 60, "m1"))
    stack.post("messenger", edit)
    stack.post("messenger", said(NOON - 30, "d1", "", kind="deletion", target="m1"))
    stack.drain()
    stack.post("messenger", edit)
    stack.drain()

    assert CANARY not in everything(stack)


def test_a_wish_that_overtook_its_message_is_carried_out_with_the_next(stack):
    """Until then every reader applies it, so the text is in nobody's hands."""
    stack.post("messenger", said(NOON - 30, "d1", "", kind="deletion", target="m1"))
    stack.drain()
    stack.post("messenger", said(NOON - 60, "m1"))
    erase(stack, Wish(key(), "1001"))

    assert CANARY not in everything(stack)


def test_a_wish_finds_its_message_under_the_persons_other_key(stack):
    """The message came with a business-scoped id, its deletion with the number alone."""
    both = Address(SCOPED, NUMBER)
    stack.post("whatsapp", build("whatsapp", "text", bot="106", user=both, at=NOON - 60, id="w1", text=CANARY))
    stack.post(
        "whatsapp", build("whatsapp", "deletion", bot="106", user=NUMBER, at=NOON - 30, id="d1", text="", target="w1")
    )
    stack.drain()

    assert CANARY not in everything(stack)


# ── forget: one person ───────────────────────────────────────────────────────────────────────────────────────


def test_of_a_forgotten_person_only_marks_under_a_keyed_hash_stay(stack):
    """No text, address, register, timer or ledger, of either side; and neither zone nor consent nor echoes."""
    talk(stack)
    stack.post("messenger", said(NOON - 40, "b1", f"{CANARY} our answer", kind="echo_bot"))
    stack.post("messenger", said(NOON - 30, "e1", f"{CANARY} edited", kind="edit", target=f"m{PSID}-{NOON - 60}-4"))
    stack.post("messenger", said(NOON - 20, "y1", "Yes", kind="quick_reply", payload=PAYLOAD_YES))
    stack.drain()
    assert [] == erase(stack, Forget(key(), NOON))

    assert CANARY not in everything(stack)
    assert {"user": key(), "bot": "1001", "erased_at": NOON, "expires_at": NOON + REDELIVERY} == the_pair(stack)
    assert {"user", "bot", "opted_out_at", "erased_at", "marks", "keep_until", "expires_at"} == set(the_person(stack))
    assert {"erased", "deletion"} == {row["kind"] for row in stack.interactions()}
    assert all(row["expires_at"] <= NOON + REDELIVERY for row in stack.interactions())


def test_forgetting_is_a_stop_and_the_stop_survives(stack):
    """Permanent, and not undone by writing again; a mark of a minor stays as well."""
    stack.post("messenger", said(NOON - 60, "m1", "I'm 13 and I love this film"))
    erase(stack, Forget(key(), NOON))
    stack.travel(NOON + DAY)
    talk(stack, last=NOON + DAY - 60)

    person = the_person(stack)
    assert (NOON, True, FOREVER) == (person["opted_out_at"], person["minor"], person["expires_at"])
    assert "consent_at" not in person


def test_somebody_never_heard_of_is_stopped_all_the_same(stack):
    """The operator was asked by letter."""
    erase(stack, Forget(key("4004")))

    assert NOON == the_person(stack, key("4004"))["opted_out_at"]


def test_what_is_delivered_again_after_the_erasure_does_not_come_back(stack):
    """Every webhook of the conversation, once more and in reverse."""
    bodies = talk(stack)
    bodies.append(said(NOON - 40, "b1", f"{CANARY} our answer", kind="echo_bot"))
    stack.post("messenger", bodies[-1])
    erase(stack, Forget(key(), NOON))
    for each in reversed(bodies):
        stack.post("messenger", each)

    assert CANARY not in everything(stack)


def test_a_late_first_delivery_finds_the_person_forgotten(stack):
    """A message written before the request that reached nobody until after it: no text, no address, no count."""
    bodies = talk(stack)
    erase(stack, Forget(key(), NOON))
    stack.post("messenger", said(NOON - 45, "late"))
    for each in bodies:
        stack.post("messenger", each)

    assert CANARY not in everything(stack)
    assert {"user", "bot", "erased_at", "expires_at"} == set(the_pair(stack))


def test_an_edit_that_arrives_after_the_person_was_forgotten_brings_nothing_back(stack):
    """What was erased stays erased, whatever is wished for it later."""
    talk(stack)
    erase(stack, Forget(key(), NOON))
    stack.post("messenger", said(NOON - 30, "e1", f"{CANARY} edited", kind="edit", target=f"m{PSID}-{NOON - 60}-4"))
    stack.drain()

    assert CANARY not in everything(stack)


def test_whoever_writes_again_starts_anew(stack):
    """What is written after the request is a new conversation."""
    talk(stack)
    erase(stack, Forget(key(), NOON))
    stack.travel(NOON + HOUR)
    stack.post("messenger", said(NOON + HOUR - 5, "n1", "hello again"))

    pair = the_pair(stack)
    assert [True, ""] == [bool(pair["s1"]), pair["s2"]]
    assert ["hello again"] == [row["text"] for row in stack.interactions() if "text" in row]


def test_a_request_delivered_again_does_not_erase_the_new_conversation_nor_the_new_yes(stack):
    """Queues and Meta repeat themselves, days later."""
    talk(stack)
    erase(stack, Forget(key(), NOON))
    stack.travel(NOON + HOUR)
    stack.post("messenger", said(NOON + HOUR - 5, "n1", "hello again"))
    stack.post("messenger", said(NOON + HOUR - 4, "y1", "Yes", kind="quick_reply", payload=PAYLOAD_YES))
    before = everything(stack)
    erase(stack, Forget(key(), NOON))

    assert before == everything(stack)


def test_a_yes_given_after_the_request_outlives_a_late_erasure(stack):
    """The queue was down for an hour; the person has come back by then."""
    talk(stack)
    stack.travel(NOON + HOUR)
    stack.post("messenger", said(NOON + HOUR - 4, "y1", "Yes", kind="quick_reply", payload=PAYLOAD_YES))
    erase(stack, Forget(key(), NOON))

    person = the_person(stack)
    assert (NOON, NOON + HOUR - 4) == (person["opted_out_at"], person["consent_at"])


def test_a_spent_follow_up_stays_spent(stack):
    """Else an erasure would earn another one."""
    stack.publish(CINEMA, enabled_at=NOON - 30 * DAY)
    talk(stack)
    stack.run_until(NOON + 24 * HOUR)
    used_at = the_pair(stack)["used_at"]
    erase(stack, Forget(key()))

    assert {"user", "bot", "used_at", "erased_at", "keep_until", "expires_at"} == set(the_pair(stack))
    assert (used_at, FOREVER) == (the_pair(stack)["used_at"], the_pair(stack)["expires_at"])
    assert used_at == the_person(stack)["last_follow_up_at"]
    assert not [row for row in stack.interactions() if "text" in row]


def test_a_follow_up_queued_before_the_erasure_is_not_sent(stack):
    """It names a pair that is no more."""
    stack.publish(CINEMA, enabled_at=NOON - 30 * DAY)
    talk(stack)
    stack.travel(NOON + 23 * HOUR)
    stack.sweep()
    queued = stack.queue_depth()
    erase(stack, Forget(key()))
    stack.run_until(NOON + 14 * DAY)

    assert 1 == queued
    assert [] == stack.graph.accepted
    assert "due_at" not in the_pair(stack)


def test_a_sender_that_has_judged_already_cannot_reserve_any_more(stack):
    """The erasure changes what each of the reservation's conditions names."""
    stack.publish(CINEMA, enabled_at=NOON - 30 * DAY)
    talk(stack)
    database = Database()
    pairs = PairStore(database, stack.template.name("Pairs"), shards=2)
    bots = BotStore(database, stack.template.name("Bots"))
    due = Due(key(), "1001")
    found, persons = pairs.read([due], consistent=True)
    published, _ = bots.read(["1001"], consistent=True)
    erase(stack, Forget(key()))

    refused = pairs.reserve(
        found[due],
        persons[key()],
        bot_unchanged=bots.unchanged(published["1001"]),
        follow_up_id="relance:1",
        route="free_form",
        now=NOON,
        cooldown=14 * DAY,
        language="en",
    )

    assert ("pair", "person") == refused


def test_what_a_sender_keeps_while_the_erasure_runs_is_erased_the_next_time(stack):
    """Reserved and being delivered: the erasure is tried again once the sender must have ended."""
    talk(stack)
    stack.publish(CINEMA, enabled_at=NOON - 30 * DAY)
    _set(stack, key(), "1001", used_at=NOON, outcome="reserved")
    first = erase(stack, Forget(key(), NOON))
    stack.post("messenger", said(NOON - 1, "f1", f"{CANARY} the follow-up", kind="echo_bot"))
    stack.travel(NOON + 12 * MINUTE)
    second = erase(stack, Forget(key(), NOON))

    assert ([{"itemIdentifier": "e0"}], []) == (first, second)
    assert CANARY not in everything(stack)


def _set(stack, user, bot, **values):
    boto3.resource("dynamodb").Table(stack.template.name("Pairs")).update_item(
        Key={"user": user, "bot": bot},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


@pytest.mark.parametrize("asked", [SCOPED, NUMBER])
def test_a_person_is_forgotten_under_all_their_keys_and_with_all_bots(stack, asked):
    """A number and a business-scoped id are one person; either leads to the other."""
    for n, user in enumerate([NUMBER, Address(SCOPED, NUMBER), NUMBER]):
        for bot in ("106", "107"):
            text = build("whatsapp", "text", bot=bot, user=user, at=NOON - 90 + n, id=f"{bot}-{n}", text=CANARY)
            stack.post("whatsapp", text)
    erase(stack, Forget(key(asked, "whatsapp"), NOON))

    assert CANARY not in everything(stack)
    assert NUMBER not in everything(stack)
    assert SCOPED not in everything(stack)
    assert [NOON, NOON] == [row["opted_out_at"] for row in stack.pairs() if row["bot"] == "*"]


def test_what_was_said_under_a_former_id_is_forgotten_as_well(stack):
    """The number changed in between."""
    new = "12015550199"
    stack.post("whatsapp", build("whatsapp", "text", bot="106", user=NUMBER, at=NOON - 90, id="w1", text=CANARY))
    stack.post("whatsapp", build("whatsapp", "id_change", bot="106", user=NUMBER, at=NOON - 60, id="s1", new=new))
    erase(stack, Forget(key(new, "whatsapp"), NOON))

    assert CANARY not in everything(stack)
    assert new not in everything(stack)


def test_a_conversation_without_a_pair_is_found_through_the_published_bots(stack):
    """Only the bot has written, so nothing was ever counted."""
    stack.publish(CINEMA, enabled_at=NOON)
    stack.post("messenger", said(NOON - 60, "b1", f"{CANARY} our answer", kind="echo_bot"))
    erase(stack, Forget(key()))

    assert CANARY not in everything(stack)


def test_nobody_else_is_touched(stack):
    """Another person with the same bot."""
    talk(stack, user="3003")
    before = everything(stack)
    talk(stack)
    erase(stack, Forget(key(), NOON))
    others = [row for row in [*stack.pairs(), *stack.interactions()] if key("3003") in (row.get("user") or row["pair"])]

    assert 5 == before.count(CANARY) == json.dumps(others).count(CANARY)


def test_a_tap_on_forget_me_is_carried_out_within_a_minute(stack):
    """From the signed webhook to the empty row; the answer goes first, for it needs the address."""
    talk(stack)
    stack.post("messenger", said(NOON - 5, "q1", "Forget me", kind="quick_reply", payload="RELANCE_FORGET"))
    stack.run_until(NOON + 60)

    assert CANARY not in everything(stack)
    assert "to" not in the_pair(stack)
    assert the_person(stack)["opted_out_at"]


# ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_crash_in_the_middle_leaves_the_person_stopped_and_the_rest_is_done_later(stack, monkeypatch):
    """Marks first, then register and timer, then the words."""
    from relance.store.people import PeopleStore

    talk(stack)
    with monkeypatch.context() as patch:
        patch.setattr(PeopleStore, "empty", lambda *_: (_ for _ in ()).throw(RuntimeError(CANARY)))
        failed = erase(stack, Forget(key(), NOON))
    stopped = the_person(stack)
    again = erase(stack, Forget(key(), NOON))

    assert ([{"itemIdentifier": "e0"}], []) == (failed, again)
    assert (NOON, False) == (stopped["opted_out_at"], "erased_at" in stopped)
    assert CANARY not in everything(stack)
    assert CANARY not in stack.logs


POISON = [
    "nobody can read this",
    "[]",
    '{"v":2,"kind":"forget","user":"messenger#0"}',
    '{"v":1,"kind":"forget","user":"account#messenger#1001"}',
    '{"v":1,"kind":"forget","user":7}',
    '{"v":1,"kind":"forget","user":"messenger#0","at":"now"}',
    '{"v":1,"kind":"wish","user":"messenger#0"}',
    '{"v":1,"kind":"burn","user":"messenger#0"}',
]


def test_a_message_nobody_can_read_harms_no_other_and_touches_nothing(stack):
    """It comes back until the dead-letter queue has it; and a row that is no person's can not be asked for."""
    talk(stack)
    failed = erase(stack, *POISON, Forget(key(), NOON))

    assert [f"e{n}" for n in range(len(POISON))] == [each["itemIdentifier"] for each in failed]
    assert CANARY not in everything(stack)
    assert {key()} == {row["user"] for row in stack.pairs()}


def test_the_queue_and_the_function_speak_the_same_words(stack):
    """Through the real queue, as the webhooks and the operator put it."""
    talk(stack)
    queue = Erasures(boto3.client("sqs"), stack.template.resolve({"Ref": "ErasuresQueue"}))
    queue.forget(key(), NOON)
    stack.run_until(NOON + MINUTE)

    assert CANARY not in everything(stack)
    assert [] == stack.dead_letters()


def test_neither_logs_nor_queue_hold_an_address_or_a_word(stack):
    """Keys and numbers of rows alone."""
    talk(stack)
    erase(stack, Forget(key(), NOON), "nobody can read this")

    assert CANARY not in stack.logs
    assert f'"{PSID}"' not in stack.logs


# ── the public door ──────────────────────────────────────────────────────────────────────────────────────────

EVENTS = Path(__file__).parents[2] / "events"


def story(name):
    """An event under events/."""
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["eraser-deletion", "eraser-deauthorize"])
def test_metas_callback_is_confirmed_with_a_page_that_exists(stack, name):
    """JSON with the page's address and the code; the page says what was asked. Nothing is stored."""
    answer = stack.invoke("Eraser", story(name))
    told = json.loads(answer["body"])
    page = stack.request("Eraser", "GET", "/status", query={"code": told["confirmation_code"]})

    assert (200, "application/json") == (answer["statusCode"], answer["headers"]["content-type"])
    assert {"url", "confirmation_code"} == set(told)
    assert told["confirmation_code"].isalnum()
    assert told["url"].endswith(f"/status?code={told['confirmation_code']}")
    assert (200, "text/html; charset=utf-8") == (page.status, page.headers["content-type"])
    assert [] == stack.pairs() == stack.interactions() == stack.bots()


def test_a_forged_request_is_refused_and_nothing_is_stored(stack):
    """Anybody can find the URL."""
    forged = stack.request(
        "Eraser", "POST", "/deletion", body=b"signed_request=AAAA.eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiJ9"
    )

    assert 401 == forged.status
    assert [] == stack.pairs() == stack.interactions() == stack.bots()
    assert "confirmation" not in forged.body


def test_the_story_of_the_queue_is_what_the_queue_says(stack):
    """A wish and a person to forget are done; the poison comes back."""
    talk(stack)
    failed = stack.invoke("Eraser", story("eraser-erasures"))["batchItemFailures"]

    assert ["5f0c4b1e-0d6a-4a58-9f53-1c1f6f1c0b03"] == [each["itemIdentifier"] for each in failed]
    assert 1 == len([row for row in stack.pairs() if "erased_at" in row])


def test_the_page_and_the_callback_log_the_code_and_nobodys_id(stack):
    """Not the app-scoped id, not the signed request."""
    event = story("eraser-deletion")
    answer = stack.invoke("Eraser", event)
    code = json.loads(answer["body"])["confirmation_code"]

    assert code in stack.logs
    assert "218471" not in stack.logs
    assert event["body"][20:60] not in stack.logs


def test_an_edited_bot_file_does_not_bring_anything_back(stack):
    """Publishing knows no people."""
    stack.publish(CINEMA, enabled_at=NOON - 30 * DAY)
    talk(stack)
    erase(stack, Forget(key(), NOON))
    stack.publish(replace(CINEMA, name="Lumina"), enabled_at=NOON - 30 * DAY)
    stack.post("messenger", merge([said(NOON - 60, "m9")]))
    stack.run_until(NOON + 2 * DAY)

    assert [] == stack.graph.accepted
