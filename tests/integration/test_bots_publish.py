"""Publishing: what the bots table holds after `relance bots`, on a table created from template.yaml."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.stub import Stubber
from moto import mock_aws
from typer.testing import CliRunner

from local import template as deployed
from local.botfile import BOTS, load
from local.cli_bots import (
    _PARAMETERS,
    TABLE_OUTPUT,
    Conflict,
    NoSuchBot,
    all_bots,
    app,
    pause_bot,
    publish_bot,
    resume_bot,
)
from relance.bot import Bot
from relance.botrow import from_settings
from relance.interaction import HOUR

MONDAY, TUESDAY, WEDNESDAY = 1_795_000_000, 1_795_086_400, 1_795_172_800
STACK = "relance-test"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reaches AWS: invented credentials, and moto in between."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "invented")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield


@pytest.fixture
def table() -> Any:
    """The bots table as template.yaml declares it."""
    bots = deployed.read()["Resources"]["Bots"]["Properties"]
    shape = {name: bots[name] for name in ("AttributeDefinitions", "KeySchema", "BillingMode")}
    return boto3.resource("dynamodb").create_table(TableName="bots-table", **shape)


@pytest.fixture
def film() -> Bot:
    """A live bot."""
    return replace(load(BOTS / "cinema-film-guide.yaml"), mode="live")


def row(table: Any, id: str) -> dict[str, Any]:
    return table.get_item(Key={"id": id})["Item"]


def as_read(table: Any, id: str) -> Bot:
    """The bot as the functions read it."""
    item = row(table, id)
    return from_settings(
        id,
        item["settings"],
        version=item["version"],
        enabled_at=item.get("enabled_at"),
        paused=item.get("paused", ""),
    )


# --- what is written ---------------------------------------------------------------------------------------------


def test_a_published_bot_reads_back_as_its_file(table: Any, film: Bot) -> None:
    """The row has the settings, and beside them what conditional writes name."""
    done = publish_bot(table, film, now=MONDAY)
    assert (done.what, done.version, done.enabled) == ("new", 1, True)
    assert as_read(table, film.id) == replace(film, version=1, enabled_at=MONDAY)
    assert set(row(table, film.id)) == {"id", "settings", "version", "mode", "enabled_at", "updated_at"}


def test_a_bot_that_is_not_live_has_no_moment_from_which_it_may_write(table: Any, film: Bot) -> None:
    """`enabled_at` is absent, not zero: zero would open the whole backlog."""
    publish_bot(table, replace(film, mode="shadow"), now=MONDAY)
    assert "enabled_at" not in row(table, film.id)


def test_publishing_the_same_again_writes_nothing(table: Any, film: Bot) -> None:
    """A publish in every build must not make reservations fail."""
    publish_bot(table, film, now=MONDAY)
    before = row(table, film.id)
    done = publish_bot(table, film, now=TUESDAY)
    assert (done.what, done.version, done.changes) == ("unchanged", 1, ())
    assert row(table, film.id) == before


def test_a_changed_setting_changes_the_version_and_keeps_the_moment(table: Any, film: Bot) -> None:
    """A follow-up that was judged under the old settings is not sent; running silences stay eligible."""
    publish_bot(table, film, now=MONDAY)
    done = publish_bot(table, replace(film, name="Lumière", min_silence=10 * HOUR), now=TUESDAY)
    assert (done.what, done.version, done.changes, done.enabled) == ("changed", 2, ("min_silence", "name"), False)
    item = row(table, film.id)
    assert (item["version"], item["enabled_at"], item["updated_at"]) == (2, MONDAY, TUESDAY)


def test_a_setting_that_is_taken_away_is_a_change(table: Any, film: Bot) -> None:
    """The map is replaced as a whole; nothing of the old one lingers."""
    publish_bot(table, film, now=MONDAY)
    publish_bot(table, replace(film, min_silence=None), now=TUESDAY)
    assert as_read(table, film.id).min_silence is None
    assert row(table, film.id)["version"] == 2


@pytest.mark.parametrize("before", ["off", "shadow", "review"])
def test_going_live_never_opens_the_backlog(table: Any, film: Bot, before: str) -> None:
    """Every way to `live` sets the moment anew, also the second time."""
    publish_bot(table, film, now=MONDAY)
    publish_bot(table, replace(film, mode=before), now=TUESDAY)
    assert (row(table, film.id)["mode"], row(table, film.id)["enabled_at"]) == (before, MONDAY)
    assert publish_bot(table, film, now=WEDNESDAY).enabled
    assert (row(table, film.id)["mode"], row(table, film.id)["enabled_at"]) == ("live", WEDNESDAY)


def test_two_publishers_cannot_write_over_each_other(table: Any, film: Bot) -> None:
    """Whoever read the older row is told, and changes nothing."""

    class Slow:
        """A table that somebody else publishes to between our reading and our writing."""

        def get_item(self, **request: Any) -> Any:
            answer = table.get_item(**request)
            publish_bot(table, replace(film, name="Theirs"), now=TUESDAY)
            return answer

        def update_item(self, **request: Any) -> Any:
            return table.update_item(**request)

    with pytest.raises(Conflict):  # the very first publish
        publish_bot(Slow(), replace(film, name="Ours"), now=TUESDAY)
    publish_bot(table, film, now=MONDAY)
    with pytest.raises(Conflict):  # and any later one
        publish_bot(Slow(), replace(film, name="Ours"), now=TUESDAY)
    assert row(table, film.id)["settings"]["name"] == "Theirs"


# --- pause and resume --------------------------------------------------------------------------------------------


def test_a_pause_survives_publishing(table: Any, film: Bot) -> None:
    """A build that publishes must not undo what somebody did by hand in an emergency."""
    publish_bot(table, film, now=MONDAY)
    assert pause_bot(table, film.id, reason="complaints", now=TUESDAY)
    publish_bot(table, replace(film, name="Lumière"), now=WEDNESDAY)
    assert (as_read(table, film.id).paused, as_read(table, film.id).name) == ("complaints", "Lumière")


def test_resuming_never_opens_the_backlog(table: Any, film: Bot) -> None:
    """Design rule 9: only silences that begin after the resumption count; and what was judged before is void."""
    publish_bot(table, film, now=MONDAY)
    pause_bot(table, film.id, reason="complaints", now=TUESDAY)
    assert resume_bot(table, film.id, now=WEDNESDAY)
    item = row(table, film.id)
    assert "paused" not in item
    assert (item["enabled_at"], item["version"]) == (WEDNESDAY, 3)


def test_pausing_and_resuming_twice_changes_nothing_the_second_time(table: Any, film: Bot) -> None:
    """The first reason stays, and a needless resume does not forget the silences that run."""
    publish_bot(table, film, now=MONDAY)
    assert not resume_bot(table, film.id, now=TUESDAY)
    assert row(table, film.id)["enabled_at"] == MONDAY
    assert pause_bot(table, film.id, reason="first", now=TUESDAY)
    assert not pause_bot(table, film.id, reason="second", now=WEDNESDAY)
    assert row(table, film.id)["paused"] == "first"


def test_a_bot_that_was_never_published_cannot_be_paused(table: Any) -> None:
    """A typing mistake must not look like a pause."""
    with pytest.raises(NoSuchBot):
        pause_bot(table, "1", reason="x", now=MONDAY)
    with pytest.raises(NoSuchBot):
        resume_bot(table, "1", now=MONDAY)
    assert all_bots(table) == []


def test_the_deployments_own_row_is_no_bot(table: Any, film: Bot) -> None:
    """The row `*` holds the heartbeat: it is neither listed nor paused."""
    table.put_item(Item={"id": "*", "heartbeat_at": MONDAY})
    publish_bot(table, film, now=MONDAY)
    assert [item["id"] for item in all_bots(table)] == [film.id]
    with pytest.raises(NoSuchBot):
        pause_bot(table, "*", reason="x", now=MONDAY)


# --- the commands ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    code: int
    said: str


def run(*words: str | Path) -> Ran:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return Ran(result.exit_code, result.output)


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """CloudFormation's client with stubbed answers; the stub holds them against the service's own model."""
    client = boto3.client("cloudformation")
    monkeypatch.setattr(boto3, "client", lambda service, **_: {"cloudformation": client}[service])
    with Stubber(client) as stub:
        yield stub


def describes(stub: Stubber, **outputs: str) -> None:
    """The stack exists, has these outputs, and asks for nine hours of silence."""
    stack = {
        "StackName": STACK,
        "CreationTime": "2026-11-01T00:00:00Z",
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()],
        "Parameters": [
            {"ParameterKey": "AllowedHours", "ParameterValue": "10:00-19:30"},
            {"ParameterKey": "MinSilenceHours", "ParameterValue": "9"},
            {"ParameterKey": "WriterName", "ParameterValue": "embedded"},
        ],
    }
    stub.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": STACK})


@pytest.fixture
def live_film(tmp_path: Path) -> Path:
    """The cinema's file, live."""
    path = tmp_path / "film.yaml"
    text = (BOTS / "cinema-film-guide.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("mode: shadow", "mode: live"), encoding="utf-8")
    return path


def test_the_names_the_command_looks_for_are_in_the_template() -> None:
    """A renamed output or parameter would otherwise be noticed at the first publish, or never."""
    whole = deployed.read()
    assert TABLE_OUTPUT in whole["Outputs"]
    assert set(_PARAMETERS) <= set(whole["Parameters"])


def test_publishing_to_a_stack_finds_its_table(table: Any, cloudformation: Stubber, live_film: Path) -> None:
    """Nobody has to know the name that CloudFormation gave."""
    describes(cloudformation, **{TABLE_OUTPUT: table.name})
    ran = run("publish", live_film, "--stack-name", STACK)
    assert (ran.code, "new Lumen (messenger 100000000000001), version 1" in ran.said) == (0, True)
    assert row(table, "100000000000001")["mode"] == "live"


def test_the_stacks_own_parameters_are_the_measure(table: Any, cloudformation: Stubber, live_film: Path) -> None:
    """This deployment wants nine hours of silence: eight and a half, allowed by default, are too few here."""
    describes(cloudformation, **{TABLE_OUTPUT: table.name})
    text = live_film.read_text(encoding="utf-8").replace("min_silence: 9h", "min_silence: 510m")
    live_film.write_text(text, encoding="utf-8")
    assert run("validate", live_film).code == 0
    ran = run("publish", live_film, "--stack-name", STACK)
    assert (ran.code, "shorter than the deployment's 9h" in ran.said) == (1, True)
    assert all_bots(table) == []


def test_a_stack_that_is_not_there_or_no_relance_is_named(cloudformation: Stubber) -> None:
    """A wrong name is bad use, and says so."""
    cloudformation.add_client_error("describe_stacks", "ValidationError", f"Stack with id {STACK} does not exist")
    ran = run("list", "--stack-name", STACK)
    assert (ran.code, f"Stack with id {STACK} does not exist" in ran.said) == (2, True)
    describes(cloudformation, Other="thing")
    ran = run("list", "--stack-name", STACK)
    assert (ran.code, f"has no output {TABLE_OUTPUT}" in ran.said) == (2, True)


def test_one_wrong_file_and_none_is_published(table: Any, live_film: Path) -> None:
    """Half a publish would leave the operator guessing which half."""
    (live_film.parent / "wrong.yaml").write_text("bot: '2'\n", encoding="utf-8")
    assert run("publish", live_film.parent, "--table", "bots-table").code == 1
    assert all_bots(table) == []


def test_pause_resume_and_list_tell_what_they_did(table: Any, live_film: Path) -> None:
    """The emergency brake and how to look at it."""
    to = ("--table", "bots-table")
    run("publish", live_film, *to)
    ran = run("pause", "100000000000001", "--reason", "complaints", *to)
    assert (ran.code, "writes to nobody" in ran.said) == (0, True)
    assert "complaints" in run("list", *to).said
    assert "already" in run("pause", "100000000000001", *to).said
    assert "resumed" in run("resume", "100000000000001", *to).said
    assert "complaints" not in run("list", *to).said
    ran = run("pause", "999", *to)
    assert (ran.code, "was never published" in ran.said) == (1, True)


def test_validating_shows_the_file_the_field_and_the_remedy(tmp_path: Path) -> None:
    """Exit status 1, so that a build stops."""
    wrong = yaml.safe_load((BOTS / "cinema-film-guide.yaml").read_text(encoding="utf-8")) | {"country": "UK"}
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(wrong), encoding="utf-8")
    ran = run("validate", path)
    assert (ran.code, [word in ran.said for word in ("x.yaml:", "country", "`UK` is no country", "write `GB`")]) == (
        1,
        [True] * 4,
    )
    assert "1 problem in 1 file" in ran.said


def test_validating_without_a_path_looks_at_the_bots_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the repository's root, and from anywhere else."""
    assert run("validate").code == 0
    monkeypatch.chdir(tmp_path)
    assert "Lumen" in run("validate").said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("publish",), "either --stack-name or --table"),
        (("publish", "--stack-name", "a", "--table", "b"), "either --stack-name or --table"),
        (("validate", "no-such-file.yaml"), "does not exist"),
        (("launch",), "No such command"),
    ],
)
def test_bad_use_ends_with_status_two(words: tuple[str, ...], said: str) -> None:
    """A build can tell a wrong bot file (1) from a wrong command (2)."""
    ran = run(*words)
    assert (ran.code, said in ran.said) == (2, True)


def test_a_table_that_does_not_exist_is_an_error_and_not_a_traceback(live_film: Path) -> None:
    """The message is AWS's own."""
    ran = run("publish", live_film, "--table", "nowhere")
    assert (ran.code, "ResourceNotFound" in ran.said) == (1, True)
