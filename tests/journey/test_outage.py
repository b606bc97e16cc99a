"""When something was down: nobody is written to until the deployment has caught up, and nobody is forgotten."""

import dataclasses

import pytest

from local import webhooks
from local.demo import bot_of
from local.people import START, TUTOR_WHATSAPP
from relance.store.pairs import PairStore
from tests.journey.scene import a_stack

HOUR, DAY, MINUTE = 3_600, 86_400, 60
USER = "525555550133"
# Wednesday of the fortnight, three in the afternoon in Mexico City. The bot aims at noon of the next day, which
# leaves it more than two hours before the platform's window closes.
TALKED = START + 2 * DAY + 21 * HOUR
SILENCE = 21 * HOUR
PLANNED = TALKED + SILENCE
THE_BOT = dataclasses.replace(bot_of(TUTOR_WHATSAPP), template=None, preferred_silence=SILENCE)


@pytest.fixture
def stack():
    with a_stack(TALKED - HOUR) as running:
        running.publish(THE_BOT, enabled_at=START)
        yield running


def write(stack, text, at=None, *, number=0):
    """One message of the user, now or at the time it was written; the HTTP status."""
    at = stack.now if at is None else at
    body = webhooks.build(
        "whatsapp", "text", bot=TUTOR_WHATSAPP.id, user=USER, at=at, id=f"wamid.OUTAGE{at}{number}", text=text
    )
    return stack.post("whatsapp", body).status


def talk(stack, until=TALKED):
    """Five messages, one a minute, the last at `until`."""
    words = (
        "Hola, tengo una duda",
        "¿Cuándo uso since?",
        "¿Y for?",
        "Otro ejemplo, por favor",
        "Luego practico since y for",
    )
    for back, text in zip(range(4, -1, -1), words, strict=True):
        stack.run_until(until - back * MINUTE)
        assert write(stack, text) == 200


def received(stack):
    """When the user was written to, in seconds after the last message of the talk."""
    return [int(said.at) - TALKED for said in stack.graph.accepted]


def test_a_deployment_with_one_user_who_is_quiet_for_days_still_serves_that_user(stack):
    """Quiet is not an outage: nothing happens at all for two days before, and for most of a day after."""
    stack.reset(TALKED - 2 * DAY)
    stack.publish(THE_BOT, enabled_at=START)
    talk(stack)
    stack.run_until(TALKED + DAY)
    assert len(received(stack)) == 1
    assert SILENCE <= received(stack)[0] < SILENCE + 10 * MINUTE


def test_a_sweeper_that_was_down_holds_everything_until_it_has_caught_up(stack):
    """It was down for two hours before the planned moment and comes back ten minutes after: another hour passes."""
    talk(stack)
    stack.run_until(PLANNED - 2 * HOUR)
    stack.travel(PLANNED - 10 * MINUTE)
    stack.run_until(PLANNED + 45 * MINUTE)
    assert received(stack) == []
    stack.run_until(PLANNED + 2 * HOUR)
    caught_up = PLANNED - 10 * MINUTE - TALKED + HOUR
    assert len(received(stack)) == 1
    assert caught_up <= received(stack)[0] < caught_up + 15 * MINUTE


def test_a_stop_that_comes_in_while_catching_up_wins(stack):
    """That is what the hour is for: the stop sat in Meta's redelivery queue."""
    talk(stack)
    stack.run_until(PLANNED - 2 * HOUR)
    stack.travel(PLANNED - 10 * MINUTE)
    stack.run_until(PLANNED + 20 * MINUTE)
    assert write(stack, "STOP", PLANNED - HOUR) == 200
    stack.run_until(PLANNED + 12 * HOUR)
    assert received(stack) == []


def test_webhooks_that_fail_hold_everything_and_lose_nothing(stack, monkeypatch):
    """The table is out of reach for a while just before the moment: the alarm rings, everybody is held, then served."""
    talk(stack)
    stack.run_until(PLANNED - 5 * MINUTE)
    with monkeypatch.context() as broken:
        broken.setattr(PairStore, "count", _fails)
        assert write(stack, "¿Y desde?", number=1) != 200
        stack.run_until(PLANNED + 20 * MINUTE)
        assert received(stack) == []
    assert write(stack, "¿Y desde?", PLANNED - 5 * MINUTE, number=1) == 200
    stack.run_until(PLANNED + 2 * DAY)
    silence = [at - (PLANNED - 5 * MINUTE - TALKED) for at in received(stack)]
    assert len(silence) == 1
    assert silence[0] >= 8 * HOUR


def test_after_a_restore_only_pairs_that_write_again_become_eligible(stack):
    """The backup may be older than a stop: only a message after the restore tells that somebody is still there."""
    talk(stack)
    restored_at = TALKED + HOUR
    stack.run_until(restored_at)
    _restore(stack, restored_at)
    stack.run_until(PLANNED + HOUR)
    assert received(stack) == []
    reasons = [row.get("reason") for row in stack.pairs() if row["bot"] == TUTOR_WHATSAPP.id]
    assert reasons == ["outage"]
    assert write(stack, "Hola otra vez, sigo con since") == 200
    stack.run_until(PLANNED + HOUR + DAY)
    assert len(received(stack)) == 1


def test_a_restore_does_not_forget_that_the_follow_up_was_used(stack):
    """The used mark is in the backup or the pair is not eligible: either way nothing is sent twice."""
    talk(stack)
    stack.run_until(PLANNED + HOUR)
    assert len(received(stack)) == 1
    _restore(stack, stack.now)
    talk(stack, PLANNED + 6 * HOUR)
    stack.run_until(PLANNED + 3 * DAY)
    assert len(received(stack)) == 1


def _fails(*_given, **_named):
    raise RuntimeError("broken on purpose")


def _restore(stack, at):
    """What the operator does after a restore: write the epoch into the deployment's own row."""
    from local.stack import _client

    _client("dynamodb").update_item(
        TableName=stack.template.name("Bots"),
        Key={"id": {"S": "*"}},
        UpdateExpression="SET epoch = :at",
        ExpressionAttributeValues={":at": {"N": str(at)}},
    )
