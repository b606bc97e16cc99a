"""`relance replay`: what it posts, at what time, and what it says of each file."""

import json
import time

import pytest
from typer.testing import CliRunner

from local import webhooks
from local.cli import app
from local.replay import DEFAULT_CLOCK, EFFECTS, NothingToReplay, files_of, latest_time, replay

AT = 1_767_960_000  # 2026-01-09T12:00:00Z
DAY = 86_400

BOTS = {"whatsapp": "100000000000001", "messenger": "1001", "instagram": "17840000000000001"}
USERS = {"whatsapp": "12015550123", "messenger": "2002", "instagram": "3003"}
COUNTED = frozenset(
    "text image video document audio sticker location contacts order button list flow quick_reply postback".split()
)


def build(channel, kind="text", *, at=AT, id="m_1", text="a film about the sea", **more):
    """One webhook of the channel's user, as bytes."""
    return webhooks.encode(
        webhooks.build(channel, kind, bot=BOTS[channel], user=USERS[channel], at=at, id=id, text=text, **more)
    )


def kinds_of(channel):
    """Every kind of webhook that the channel has, with its body."""
    for kind in webhooks.KINDS:
        new = "12015550199" if channel == "whatsapp" else None
        try:
            yield kind, build(channel, kind, id=f"m_{kind}", target="m_0", new=new)
        except ValueError:
            continue


def outcome(tmp_path, raw, channel="messenger"):
    """What replay says of one body."""
    path = tmp_path / "payload.json"
    path.write_bytes(raw)
    (result,) = replay([path], channel)
    return result


def run(*arguments):
    """The command with these arguments."""
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


@pytest.mark.parametrize("channel", ["whatsapp", "messenger", "instagram"])
def test_exactly_the_users_own_messages_count(tmp_path, channel):
    """Each kind of webhook is answered 200; those of design.md section 4 count once, and no other does."""
    for kind, raw in kinds_of(channel):
        (tmp_path / f"{kind}.json").write_bytes(raw)

    results = {result.file.rpartition("/")[2][:-5]: result for result in replay(files_of([tmp_path]), channel)}

    assert {200} == {result.status for result in results.values()}
    assert {kind: int(kind in COUNTED) for kind in results} == {kind: each.counted for kind, each in results.items()}
    assert [] == [kind for kind, each in results.items() if "unknown" in each.effects]
    assert set() == {effect for each in results.values() for effect in each.effects} - EFFECTS
    assert [] == [kind for kind, each in results.items() if kind not in COUNTED and not each.effects]


def test_each_file_meets_a_fresh_stack(tmp_path):
    """The same message in two files counts in both."""
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes(build("messenger"))

    assert [1, 1] == [result.counted for result in replay(files_of([tmp_path]), "messenger")]


def test_afterwards_the_clock_is_the_machines_again(tmp_path):
    """Virtual time ends with the stack."""
    before = time.time()

    outcome(tmp_path, build("messenger"))

    assert before <= time.time() < before + 60


def test_a_message_that_is_there_twice_counts_once(tmp_path):
    """The register, not the parser, says what counted."""
    twice = webhooks.merge([json.loads(build("messenger"))] * 2)

    assert 1 == outcome(tmp_path, webhooks.encode(twice)).counted


def test_a_message_older_than_the_window_is_kept_and_not_counted(tmp_path):
    """The clock follows the newest one in the file."""
    old, new = build("messenger", at=AT - 15 * DAY, id="m_old"), build("messenger", id="m_new")

    result = outcome(tmp_path, webhooks.encode(webhooks.merge([json.loads(old), json.loads(new)])))

    assert (1, 1) == (result.counted, result.kept)


def test_a_wish_is_not_a_kept_message(tmp_path):
    """An edit is noted until somebody reads the conversation; it is nobody's message."""
    result = outcome(tmp_path, build("messenger", "edit"))

    assert (0, 0, ("edit",)) == (result.counted, result.kept, result.effects)


def test_a_stop_counts_and_opts_out(tmp_path):
    """A user's text is read for signals, too."""
    result = outcome(tmp_path, build("messenger", text="STOP"))

    assert (1, ("opt_out",)) == (result.counted, result.effects)


def test_a_person_of_the_business_owns_the_conversation(tmp_path):
    """An echo that names no app was typed by somebody."""
    assert ("echo_human", "human_owns") == outcome(tmp_path, build("messenger", "echo_human")).effects


@pytest.mark.parametrize(
    "raw",
    [
        b'{"object":"page","entry":[{"id":"1","messaging":[{',
        b"",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"messaging_product":"whatsapp","to":"+12015550123","type":"text","text":{"body":"Hello"}}',
        b'{"recipient_id":"2002","message_id":"m_1"}',
    ],
    ids=["cut off", "empty", "not text", "brackets", "a request of the send API", "its answer"],
)
def test_what_is_no_webhook_is_answered_and_counts_nothing(tmp_path, raw):
    """It was signed, so Meta must not send it again for days."""
    result = outcome(tmp_path, raw)

    assert (200, 0, 0, ("unknown",)) == (result.status, result.counted, result.kept, result.effects)


class TestClock:
    """The stack's clock stands one second after the latest readable time in the file."""

    @pytest.mark.parametrize(
        "written", [AT, str(AT), AT * 1_000, str(AT * 1_000), "2026-01-09T12:00:00+0000", "2026-01-09T12:00:00Z"]
    )
    def test_a_time_is_read_in_every_way_it_is_written(self, written):
        """Seconds, milliseconds, ISO 8601; numbers and strings."""
        assert AT == latest_time(json.dumps({"entry": [{"time": written}]}).encode())

    def test_the_latest_of_several_wins(self):
        """Wherever it stands."""
        body = {"entry": [{"time": AT * 1_000, "messaging": [{"timestamp": (AT + 7) * 1_000}]}], "timestamp": "never"}

        assert AT + 7 == latest_time(json.dumps(body).encode())

    @pytest.mark.parametrize("raw", [b"{", b"{}", b'{"time":null}', b'{"times":1767960000}', b"[" * 100_000, b'"x"'])
    def test_no_readable_time_is_none(self, raw):
        """Then the clock stands at its default."""
        assert latest_time(raw) is None

    def test_the_default_clock_is_a_noon_in_january(self):
        """2026-01-15T12:00Z, as the help says."""
        assert DEFAULT_CLOCK == latest_time(b'{"time":"2026-01-15T12:00Z"}')


class TestCommand:
    """What a person, or a script, meets."""

    def test_json_has_one_object_per_file_in_sorted_order(self, tmp_path):
        """Folders are entered; what is not JSON by name is left alone."""
        (tmp_path / "b").mkdir()
        for name in ("b/2.json", "b/1.json", "c.json"):
            (tmp_path / name).write_bytes(build("messenger"))
        (tmp_path / "README.md").write_text("not a payload")

        result = run(tmp_path, "--channel", "messenger", "--json")

        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert 0 == result.exit_code
        assert ["b/1.json", "b/2.json", "c.json"] == [line["file"].removeprefix(f"{tmp_path}/") for line in lines]
        assert {("file", "status", "counted", "kept", "effects")} == {tuple(line) for line in lines}

    def test_for_people_there_is_a_line_per_file_and_a_sum(self, tmp_path):
        """Aligned, with the total at the end."""
        (tmp_path / "one.json").write_bytes(build("messenger"))

        result = run(tmp_path, "--channel", "messenger")

        assert "one.json  200  1 counted  0 kept  -" in result.stdout
        assert "1 file: 1 counted, 0 kept, 0 not answered with 200" in result.stdout

    def test_a_missing_path_is_bad_use(self, tmp_path):
        """Nothing is replayed, and the message names the path."""
        result = run(tmp_path / "nowhere", "--channel", "messenger")

        assert 2 == result.exit_code
        assert "nowhere" in result.stderr

    def test_a_folder_without_payloads_is_bad_use(self, tmp_path):
        """An empty success would hide a slip of the pen."""
        with pytest.raises(NothingToReplay, match="no payload file"):
            files_of([tmp_path])

    @pytest.mark.parametrize("arguments", [(), ("--channel", "sms"), ("--channel",)])
    def test_a_missing_or_unknown_channel_is_bad_use(self, tmp_path, arguments):
        """Three channels exist."""
        (tmp_path / "one.json").write_bytes(build("messenger"))

        assert 2 == run(tmp_path, *arguments).exit_code

    def test_a_file_that_is_refused_makes_the_exit_one(self, tmp_path):
        """A body beyond three megabytes is not read."""
        (tmp_path / "huge.json").write_bytes(b" " * (3 * 1024 * 1024 + 1))

        result = run(tmp_path, "--channel", "messenger", "--json")

        assert (1, 413) == (result.exit_code, json.loads(result.stdout)["status"])
