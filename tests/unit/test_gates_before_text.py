"""No word of a conversation is read before every data gate has passed: the order of safety.md 4.2, held by a store."""

from dataclasses import replace

import pytest

from relance.bot import Bot
from relance.interaction import DAY, HOUR
from relance.pair import Pair, Person, entry
from relance.parameters import Deployment, Rules
from relance.reason import Reason
from relance.rules import DATA_GATES, Facts
from relance.send import Result, Sender, Sent
from relance.store.pairs import Due

NOON = 1_768_478_400  # 2026-01-15T12:00:00Z, 13:00 in Paris
T1 = NOON - 23 * HOUR
BOT = Bot(
    id="1001",
    channel="whatsapp",
    name="Lumen",
    operator="Cinema Lumen",
    mode="live",
    country="US",
    zone="Europe/Paris",
    languages=("en",),
    consent="soft",
    soft_basis="people asked for it",
    notice=True,
    ai_is_incidental=True,
    audience_zones=("Europe/Paris",),
    enabled_at=0,
)
FIVE = tuple(entry(T1 - i * HOUR, f"m{i}") for i in range(5))
PAIR = Pair("whatsapp#abc", "1001", FIVE, to="33639980001", due_at=NOON)
PERSON = Person("whatsapp#abc")


class Untouchable:
    """A store, a model or a vault that must not be asked anything."""

    def __getattr__(self, name):
        raise AssertionError(f"asked for {name}")


class KeysOnly(Untouchable):
    """Tells when messages were written; raises when somebody wants to read one."""

    def __init__(self, times):
        self._times = times

    def times(self, user, bot, *, since):
        """The keys' times."""
        return self._times


class Rows:
    """Pairs and bots as one test wants them; remembers what was dropped."""

    def __init__(self, pair, person, bot, deployment):
        self.pair, self.person, self.bot, self.deployment = pair, person, bot, deployment
        self.dropped = []

    def read(self, asked, *, consistent):
        """Both stores' reading: by pairs, or by bot ids."""
        if isinstance(asked[0], Due):
            return {asked[0]: self.pair}, {asked[0].user: self.person}
        return ({} if self.bot is None else {self.bot.id: self.bot}), self.deployment

    def drop(self, pair, reason, now, spent):
        """The ledger's entry."""
        self.dropped.append(reason)
        return True

    def tell(self, events):
        """The bus."""


def judged(*, pair=PAIR, person=PERSON, bot=BOT, deployment=None, interactions=None, rules=None):
    """What the sender says of a pair when nothing but rows may be read."""
    rows = Rows(pair, person, bot, deployment or Deployment())
    untouchable = Untouchable()
    sender = Sender(
        pairs=rows,
        bots=rows,
        interactions=interactions or untouchable,
        writer=untouchable,
        graph=untouchable,
        secrets=untouchable,
        secrets_path="/relance",
        bus=rows,
        rules=rules or Rules(),
    )
    return sender.send(Due("whatsapp#abc", "1001"), now=NOON, remaining_ms=lambda: 60_000)


REFUSED = {
    "switch": [
        ({"bot": None}, Reason.UNKNOWN_BOT),
        ({"bot": replace(BOT, mode="off")}, Reason.DISABLED),
        ({"bot": replace(BOT, paused="by hand")}, Reason.PAUSED),
        ({"bot": replace(BOT, ai_is_incidental=False)}, Reason.NOT_ATTESTED),
    ],
    "identity": [({"pair": replace(PAIR, register=())}, Reason.TOO_LATE)],
    "opt_out": [({"person": replace(PERSON, opted_out_at=T1)}, Reason.OPTED_OUT)],
    "consent": [({"bot": replace(BOT, consent="opt-in")}, Reason.NO_CONSENT)],
    "age": [({"person": replace(PERSON, minor=True)}, Reason.MINOR)],
    "place": [({"pair": replace(PAIR, to="8613900000000")}, Reason.UNREACHABLE)],
    "human": [({"person": replace(PERSON, human_until=NOON + 1)}, Reason.HUMAN_OWNS)],
    "hold": [({"person": replace(PERSON, hold_until=NOON + 1)}, Reason.SAFETY_HOLD)],
    "eligible": [
        ({"pair": replace(PAIR, used_at=T1)}, Reason.ALREADY_USED),
        ({"pair": replace(PAIR, register=FIVE[:4])}, Reason.NOT_EARNED),
        ({"bot": replace(BOT, enabled_at=T1)}, Reason.BEFORE_ENABLED),
        ({"deployment": Deployment(epoch=T1)}, Reason.OUTAGE),
        (
            {
                "person": replace(PERSON, echo_at=T1 + 3 * HOUR, echoes={"77": T1 + 3 * HOUR}),
                "bot": replace(BOT, app_ids=("77",)),
            },
            Reason.ALREADY_WRITTEN,
        ),
    ],
    "ignored": [({"person": replace(PERSON, ignored=(NOON - 20 * DAY, NOON - 90 * DAY + 1))}, Reason.IGNORED_BEFORE)],
    "cap": [({"person": replace(PERSON, last_follow_up_at=NOON - DAY)}, Reason.CAPPED)],
}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [case for cases in REFUSED.values() for case in cases],
    ids=lambda value: getattr(value, "name", ""),
)
def test_no_text_is_read_before_the_data_gates_have_passed(rows, reason):
    """Each of them refuses with its own reason while texts, secrets and the model cannot be touched."""
    assert Result(Sent.DROPPED, reason.value) == judged(**rows)


def test_every_data_gate_has_such_a_case():
    """A gate that is added without a case here is noticed."""
    assert [name for name, _ in DATA_GATES] == list(REFUSED)


def test_the_earlier_gate_gives_the_reason():
    """Whoever said stop is not asked for consent, age or anything else."""
    everything = {
        "pair": replace(PAIR, used_at=T1, to="8613900000000"),
        "person": Person("whatsapp#abc", opted_out_at=T1, minor=True, hold_until=NOON + 1, last_follow_up_at=NOON - 1),
        "bot": replace(BOT, consent="opt-in"),
    }

    assert Result(Sent.DROPPED, "opted_out") == judged(**everything)


def test_heavy_use_is_found_from_keys_alone(monkeypatch):
    """Gate B10: the times are in the keys; no text is read to leave somebody alone."""
    monkeypatch.setattr("relance.send.bot_credentials", lambda *_: ("token", ""))
    heavy = KeysOnly([NOON - i * 600 for i in range(151)])

    assert Result(Sent.DROPPED, "heavy_use") == judged(interactions=heavy)


@pytest.mark.parametrize(
    ("ignored", "reason"),
    [
        ((), None),
        ((NOON - DAY,), None),
        ((NOON - DAY, NOON - 90 * DAY), None),
        ((NOON - DAY, NOON - 90 * DAY + 1), Reason.IGNORED_BEFORE),
    ],
)
def test_two_unanswered_follow_ups_in_ninety_days_are_an_answer(ignored, reason):
    """Gate B8, across the operator's bots: exactly 90 days is over."""
    gate = dict(DATA_GATES)["ignored"]
    assert reason is gate(Facts(PAIR, replace(PERSON, ignored=ignored), BOT, Deployment(), NOON, Rules()))
