"""The messages of the eraser's queue: what is written can be read, and nothing else can."""

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from relance.erasures import Erasures, Forget, Wish, body, read
from relance.errors import PoisonMessage, TemporaryFailure

USERS = st.builds("{}#{}".format, st.sampled_from(["whatsapp", "messenger", "instagram"]), st.text(max_size=40))


class Queue:
    """Keeps what it is sent, or fails."""

    def __init__(self, error=None):
        self.sent = []
        self.error = error

    def send_message(self, **message):
        """As botocore's client."""
        if self.error is not None:
            raise self.error
        self.sent.append(message)


@given(
    st.one_of(
        st.builds(Wish, USERS, st.text(min_size=1, max_size=40)), st.builds(Forget, USERS, st.none() | st.integers())
    )
)
def test_what_is_written_is_read(erasure):
    """For every person and bot."""
    assert erasure == read(body(erasure))


@given(st.one_of(st.text(max_size=60), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str)))
def test_anything_else_is_poison(text):
    """It goes to the dead-letter queue, and touches nobody."""
    with pytest.raises(PoisonMessage):
        read(text)


def test_only_people_can_be_forgotten():
    """The pairs table also holds rows of accounts: what the platform has stopped must stay stopped."""
    with pytest.raises(PoisonMessage):
        read(body(Forget("account#whatsapp#106500000000001")))


def test_a_wish_goes_at_once_and_a_person_after_the_answer():
    """The answer to "forget me" needs the address that is erased."""
    queue = Queue()
    erasures = Erasures(queue, "https://queue.example")
    erasures.wish("messenger#0", "1001")
    erasures.forget("messenger#0", 1_768_478_400)

    assert [0, 30] == [message["DelaySeconds"] for message in queue.sent]
    assert [Wish("messenger#0", "1001"), Forget("messenger#0", 1_768_478_400)] == [
        read(message["MessageBody"]) for message in queue.sent
    ]


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "someone's words"}}, "SendMessage"),
        ConnectTimeoutError(endpoint_url="https://queue.example"),
    ],
)
def test_a_queue_that_does_not_take_it_is_a_temporary_failure(error):
    """Meta must deliver the request again; the reason holds nobody's words."""
    with pytest.raises(TemporaryFailure) as raised:
        Erasures(Queue(error), "https://queue.example").wish("messenger#0", "1001")

    assert "words" not in str(raised.value)
