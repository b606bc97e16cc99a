"""Log injection: whatever stands in a request, a line of the log is one JSON object, and nobody else writes one."""

import json
from unicodedata import category

import pytest

from local.stack import LocalStack
from local.webhooks import KINDS, build, encode, merge

NOON = 1_768_478_400  # 2026-01-15T12:00:00Z
BOTS = {"whatsapp": "106500000000001", "messenger": "1001", "instagram": "17840000000000001"}
FORGED = '{"level":"ERROR","message":"the tables are gone","service":"sender"}'
INJECTIONS = {
    "a line of its own": f"hello\n{FORGED}\n",
    "carriage returns": f"hello\r\n\r\n{FORGED}\r",
    "out of the string": '"}\n' + FORGED + '\n{"x":"',
    "a terminal's colours and title": "\x1b[31mred\x1b[2J\x1b]0;title\x07",
    "other ends of lines": f"hello\u2028{FORGED}\u2029\x85{FORGED}\x0b\x0c",
    "a metric": '{"_aws":{"CloudWatchMetrics":[{"Namespace":"relance","Metrics":[{"Name":"FollowUp"}]}]}}',
    "right to left": "\u202egnirts a si siht\u202c",
    "nought": "a\x00b",
}


@pytest.fixture(scope="module")
def running():
    """One stack for the module."""
    with LocalStack(start=NOON) as stack:
        yield stack


def everywhere(channel, text):
    """Every kind of event with the text in every field that a stranger, or the platform, could fill."""
    found = []
    for number, kind in enumerate(KINDS):
        try:
            body = build(
                channel,
                kind,
                bot=BOTS[channel],
                user="12015550123" if channel == "whatsapp" else "2002",
                at=NOON - 60 - number,
                id=f"m{number}{text}",
                text=text,
                payload=text,
                target=f"t{text}",
                name=text,
                follow_up_id=text,
                new="12015550199",
            )
        except ValueError:  # the channel has no such kind
            continue
        found.append(body)
    odd = json.loads(json.dumps(found[0]))
    for entry in odd["entry"]:
        for change in entry.get("changes", ()):
            change["value"]["messages"][0] |= {"type": text, text: {"x": 1}, "timestamp": str(NOON)}
        for event in entry.get("messaging", ()):
            del event["message"]
            event[text] = {"x": 1}
    return [merge(found), odd, {"object": text, "entry": []}, {**odd, "object": text}]


@pytest.mark.parametrize("channel", BOTS)
@pytest.mark.parametrize("text", INJECTIONS.values(), ids=INJECTIONS)
def test_every_line_stays_one_object_of_ours(running, channel, text):
    """As many lines as for harmless words, each of them JSON, none with a word of the request."""
    lines = {}
    for said in ("harmless words", text):
        running.reset(NOON)
        for body in everywhere(channel, said):
            raw = encode(body)
            headers = {"user-agent": said.replace("\n", " ").replace("\r", " "), "x-forwarded-for": said}
            assert running.post(channel, raw, headers=headers).status == 200
            assert running.post(channel, raw, signature="bad", headers=headers).status == 401
        running.handshake(channel, said, said)
        running.drain()
        lines[said] = running.logs.splitlines()

    assert len(lines[text]) == len(lines["harmless words"])
    assert lines[text]
    for line in lines[text]:
        assert isinstance(json.loads(line), dict)
        assert not [letter for letter in line if category(letter) in ("Cc", "Cf", "Zl", "Zp")]
        assert "tables are gone" not in line
        assert "[31m" not in line


@pytest.mark.parametrize("text", INJECTIONS.values(), ids=INJECTIONS)
def test_a_challenge_that_is_no_number_is_not_given_back(running, text):
    """What comes back to the caller is what Meta sends: letters and digits."""
    running.reset(NOON)
    answer = running.handshake("messenger", "verify-token-for-tests", text)

    assert (403, "forbidden") == (answer.status, answer.body)
