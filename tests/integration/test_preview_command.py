"""`relance preview` as it is typed: the same text that a deployment would send, or the reason for silence."""

import json
import os

import pytest
from typer.testing import CliRunner

from local.bedrock import Answer, BedrockStandIn, converse
from local.botfile import BOTS
from local.cli import app
from local.preview import Attempt
from local.stack import LocalStack
from local.webhooks import OWN_APP, build
from relance.guard.draft import GATES
from relance.persona import Draft, Nothing
from relance.send import ATTEMPTS
from tests.cinema import DAY, HOUR, NOON

MODEL = "eu.amazon.nova-micro-v1:0"
WORDS = (
    "Hello, which films are on this week?",
    "I would like to see the old one in black and white",
    "And is there a matinee for it?",
    "Who made it?",
    "Tell me more about the lighthouse film some time",
)
OPEN = {"id": "open", "turns": [{"role": "user", "text": text} for text in WORDS], "lang": "en"}
STOP = {"id": "stop", "turns": [{"role": "user", "text": "Stop writing to me"}], "lang": "en"}
THIN = {"id": "thin", "turns": [{"role": "user", "text": "What is it?"}, {"role": "user", "text": "And why that?"}]}
GOOD = {
    "message": "You wanted to hear more about the lighthouse film. Shall I say what it is about?",
    "topic_quote": "more about the lighthouse film",
    "language": "en",
}
BABBLE = GOOD | {"message": "The lighthouse film? Is it the one? Shall I say more?"}
NEEDY = GOOD | {"message": "I missed you so much while the lighthouse film was on. Why did you leave me?"}
LINE = "\n\nLumen, an AI of Cinéma Le Fanal. Reply STOP to opt out."
NAMES = [*(name for name, _ in GATES), "disclosure"]

BOT = f"""
bot: "1001"
channel: messenger
name: Lumen
operator: Cinéma Le Fanal
mode: live
country: US
zone: Europe/Paris
audience_zones: [Europe/Paris]
languages: [en, fr]
app_ids: ["{OWN_APP}"]
consent: soft
soft_basis: people asked to be reminded
notice: true
contact: https://lefanal.example/contact
persona:
  voice: A film guide who is brief and precise.
  address: formal
"""


@pytest.fixture(scope="module")
def model():
    """The model's side, over real HTTP."""
    with BedrockStandIn() as stand_in:
        os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = stand_in.url
        yield stand_in
        del os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"]


@pytest.fixture
def bedrock(model):
    """A model that has been asked nothing yet."""
    model.reset()
    return model


@pytest.fixture
def bot(tmp_path):
    """A bot file."""
    path = tmp_path / "lumen.yaml"
    path.write_text(BOT, encoding="utf-8")
    return str(path)


@pytest.fixture
def talk(tmp_path):
    """Writes conversations, one per line."""

    def write(*rows):
        path = tmp_path / "talk.jsonl"
        path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in rows))
        return str(path)

    return write


def run(*words, stdin=None):
    """Exit code, standard output, standard error."""
    done = CliRunner().invoke(app, ["preview", *words], input=stdin, env={"COLUMNS": "120"})
    return done.exit_code, done.stdout, done.stderr


def shown(bot, file, *words):
    """Exit code and the JSON object."""
    code, out, _ = run(bot, "--conversation", file, "--json", *words)
    return code, json.loads(out)


def by_model(bot, file):
    """The same with a model as the writer."""
    return shown(bot, file, "--writer", "bedrock", "--model", MODEL)


# --- What would be sent ------------------------------------------------------------------------------------------


def test_the_embedded_writer_takes_up_the_persons_own_words(bot, talk):
    """Draft, every gate in its order, the text with its disclosure, its length, and the ways out."""
    code, found = shown(bot, talk(OPEN))
    (attempt,) = found["attempts"]

    assert (0, None) == (code, found["reason"])
    assert {"verdict": "follow_up", "language": "en"} == found["conversation"]
    assert "lighthouse film" in attempt["topic_quote"]
    assert [{"gate": name, "verdict": "passed"} for name in NAMES] == attempt["gates"]
    assert attempt["message"] + LINE == found["sent"]["text"]
    assert len(found["sent"]["text"]) == found["sent"]["characters"]
    assert ["Stop", "Why this message?", "Talk to a person"] == found["sent"]["quick_replies"]


def test_people_read_the_same(bot, talk):
    """Without --json, in lines."""
    code, out, _ = run(bot, "--conversation", talk(OPEN | {"lang": "fr"}))
    text = shown(bot, talk(OPEN))[1]["sent"]["text"]

    assert 0 == code
    assert f"Would be sent, {len(text)} characters:" in out
    assert [True] * 3 == ["  " + line in out for line in text.split("\n") if line] + ["the file says fr" in out]
    assert "Stop | Why this message? | Talk to a person" in out


def test_a_preview_is_what_a_deployment_sends(bot, talk, bedrock, tmp_path):
    """The same bot file, conversation and model: the same text reaches the person, after the same calls."""
    from local.botfile import load

    bedrock.says(NEEDY, GOOD)
    _, found = by_model(bot, talk(OPEN))
    asked = bedrock.prompts()

    bedrock.reset()
    bedrock.says(NEEDY, GOOD)
    with LocalStack(start=NOON, parameters={"Writer": "bedrock", "ModelId": MODEL}) as stack:
        stack.publish(load(bot), enabled_at=NOON - 30 * DAY)
        for i, text in enumerate(WORDS):
            at = NOON - (len(WORDS) - 1 - i) * 120
            stack.post("messenger", build("messenger", "text", bot="1001", user="2002", at=at, id=f"m{at}", text=text))
        stack.travel(NOON + 23 * HOUR - 300)
        stack.run_until(NOON + 23 * HOUR + 600)
        (sent,) = stack.graph.accepted

    assert sent.text == found["sent"]["text"]
    titles = [reply["title"] for reply in sent.body["message"]["quick_replies"]]
    assert titles == found["sent"]["quick_replies"]
    assert bedrock.prompts() == asked


# --- A model as the writer ---------------------------------------------------------------------------------------


def test_a_refused_draft_is_shown_with_its_gate_and_fed_back(bot, talk, bedrock):
    """The first refusal wins; the gates behind it are not asked; the model hears why, and its second draft goes."""
    bedrock.says(BABBLE, GOOD)
    code, found = by_model(bot, talk(OPEN))
    first, second = found["attempts"]

    assert 0 == code
    assert ("shape", None) == (first["refused_by"], first["fed_back"])
    assert ["refused"] + ["not run"] * (len(NAMES) - 1) == [each["verdict"] for each in first["gates"]]
    assert (None, "shape") == (second["refused_by"], second["fed_back"])
    assert "Your attempt before was refused" in bedrock.prompts()[1]
    assert {"calls": 2, "input_tokens": 1280, "output_tokens": 96} == found["spent"]
    assert GOOD["message"] + LINE == found["sent"]["text"]


def test_after_the_last_attempt_there_is_silence(bot, talk, bedrock):
    """Nothing is sent that a gate refused, and no third chance is paid."""
    bedrock.says(NEEDY)
    code, found = by_model(bot, talk(OPEN))
    _, out, _ = run(bot, "--conversation", talk(OPEN), "--writer", "bedrock", "--model", MODEL)

    assert (1, None, "draft_refused") == (code, found["sent"], found["reason"])
    assert ATTEMPTS == len(found["attempts"])
    assert "Nothing would be sent: draft_refused" in out
    assert "told of the one before" in out


@pytest.mark.parametrize(
    "answer",
    [GOOD | {"message": ""}, "", "not JSON", Answer(converse(json.dumps(GOOD), stop="max_tokens"))],
    ids=["silent", "empty", "no shape", "cut off"],
)
def test_a_silent_or_unreadable_model_is_silence(bot, talk, bedrock, answer):
    """No guess is made about what it may have meant."""
    bedrock.says(answer)
    code, found = by_model(bot, talk(OPEN))

    assert (1, None, "writer_silent") == (code, found["sent"], found["reason"])
    assert found["attempts"][0]["message"] is None


def test_a_model_that_is_busy_is_silence_for_now(bot, talk, bedrock):
    """The sender would try again later, and says so."""
    bedrock.says(Answer({"message": "slow down"}, 429, "ThrottlingException"))
    code, _, err = run(bot, "--conversation", talk(OPEN), "--writer", "bedrock", "--model", MODEL)

    assert 1 == code
    assert "silence for now: the model gave no answer (Bedrock: ThrottlingException)" in err


def test_a_model_that_may_not_be_used_is_bad_use(bot, talk, bedrock):
    """It says what to look at."""
    bedrock.says(Answer({"message": "no"}, 403, "AccessDeniedException"))
    code, _, err = run(bot, "--conversation", talk(OPEN), "--writer", "bedrock", "--model", MODEL)

    assert 2 == code
    assert f"Bedrock refuses model {MODEL}: AccessDeniedException: check the model id" in err


def test_what_a_model_writes_cannot_steer_the_terminal(bot, talk, bedrock):
    """Its draft is shown all the same."""
    bedrock.says(GOOD | {"message": "\x1b[2J" + GOOD["message"]})
    _, out, _ = run(bot, "--conversation", talk(OPEN), "--writer", "bedrock", "--model", MODEL)

    assert "\x1b" not in out
    assert "[2J" + GOOD["message"] in out


@pytest.mark.parametrize(
    ("gone", "words", "said"),
    [
        ((), (), "needs --model"),
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("--model", MODEL), "no AWS credentials: set AWS_PROFILE"),
        (("AWS_SECRET_ACCESS_KEY",), ("--model", MODEL), "the AWS configuration cannot be used"),
        (("AWS_DEFAULT_REGION",), ("--model", MODEL), "no AWS region: give --region"),
    ],
    ids=["no model", "no credentials", "half of them", "no region"],
)
def test_what_a_model_needs_is_named_where_it_is_missing(bot, talk, bedrock, monkeypatch, gone, words, said):
    """And the model is not asked."""
    for name in gone:
        monkeypatch.delenv(name)
    code, _, err = run(bot, "--conversation", talk(OPEN), "--writer", "bedrock", *words)

    assert (2, True) == (code, said in err)
    assert [] == bedrock.requests


def test_a_region_may_be_given(bot, talk, bedrock, monkeypatch):
    """Instead of configured."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    bedrock.says(GOOD)
    words = ("--writer", "bedrock", "--model", MODEL, "--region", "eu-west-3")

    assert 0 == run(bot, "--conversation", talk(OPEN), *words)[0]


def test_the_embedded_writer_has_no_model(bot, talk):
    """Who names one and forgets the writer would be misled."""
    code, _, err = run(bot, "--conversation", talk(OPEN), "--model", MODEL)

    assert (2, True) == (code, "--writer bedrock" in err)


# --- Silence -----------------------------------------------------------------------------------------------------


def test_a_conversation_that_may_not_be_continued_is_silence_without_a_draft(bot, talk, bedrock):
    """The reason and the gate, and no model is asked."""
    code, found = by_model(bot, talk(STOP))
    _, out, _ = run(bot, "--conversation", talk(STOP))

    assert 1 == code
    assert {"verdict": "skip", "reason": "opted_out", "gate": "opt_out"} == found["conversation"]
    assert ([], None, "opted_out") == (found["attempts"], found["sent"], found["reason"])
    assert "Nothing would be sent: opted_out" in out
    assert [] == bedrock.requests


def test_a_language_that_the_bot_does_not_speak_is_silence(bot, talk, tmp_path):
    """The bot's own languages count."""
    path = tmp_path / "french.yaml"
    path.write_text(BOT.replace("languages: [en, fr]", "languages: [fr]"), encoding="utf-8")

    assert (1, "language") == (lambda found: (found[0], found[1]["reason"]))(shown(str(path), talk(OPEN)))


# --- The gates' verdicts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", NAMES)
def test_the_gates_before_the_refusing_one_passed_and_those_behind_it_were_not_asked(gate):
    """Whatever their order is."""
    verdicts = Attempt(Draft("text", "text", "en"), refused_by=gate).verdicts()
    at = NAMES.index(gate)

    assert NAMES == [name for name, _ in verdicts]
    assert ["passed"] * at + ["refused"] + ["not run"] * (len(NAMES) - at - 1) == [said for _, said in verdicts]


def test_where_a_gate_failed_nothing_is_claimed_of_any():
    """Which one it was is not known."""
    assert {"unknown"} == {said for _, said in Attempt(Draft("a", "a", "en"), refused_by="error").verdicts()}
    assert () == Attempt(Nothing("why")).verdicts()


# --- The bot and the conversation --------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["Lumen", "lumen", "100000000000001", "cinema-film-guide"])
def test_a_bot_may_be_named_instead_of_its_file(named, talk):
    """By name, id or file name, in the bots folder."""
    assert (BOTS / "cinema-film-guide.yaml").is_file()
    assert "100000000000001" == shown(named, talk(OPEN))[1]["bot"]


def test_the_bots_of_the_folder_at_hand_come_first(talk, tmp_path, monkeypatch):
    """As for `relance bots`. A broken file is in nobody's way until it is named."""
    (tmp_path / "bots").mkdir()
    (tmp_path / "bots" / "broken.yaml").write_text("bot: [")
    (tmp_path / "bots" / "mine.yaml").write_text(BOT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert "1001" == shown("Lumen", talk(OPEN))[1]["bot"]
    assert (2, True) == (lambda ran: (ran[0], "broken.yaml" in ran[2]))(run("broken", "--conversation", talk(OPEN)))


@pytest.mark.parametrize(
    ("named", "said"),
    [("Nobody", "it has Lumen"), ("nobody.yaml", "does not exist"), (".", "is a folder")],
)
def test_a_bot_that_is_not_there_is_bad_use(talk, named, said):
    """It says which there are."""
    code, _, err = run(named, "--conversation", talk(OPEN))

    assert (2, True) == (code, said in err)


def test_a_bot_file_with_problems_is_bad_use(bot, talk, tmp_path):
    """It says what to write instead, as `relance bots validate` does."""
    path = tmp_path / "bad.yaml"
    path.write_text(BOT.replace("Europe/Paris", "Europe/Pari"), encoding="utf-8")
    code, _, err = run(str(path), "--conversation", talk(OPEN))

    assert (2, True) == (code, "Europe/Pari` is not a time zone" in err)


def test_a_row_is_chosen_by_its_id_else_it_is_the_first(bot, talk):
    """A file of labelled cases will do."""
    path = talk(STOP, "", OPEN)

    assert "opted_out" == shown(bot, path)[1]["reason"]
    assert shown(bot, path, "--id", "open")[1]["sent"]


def test_one_object_over_many_lines_and_standard_input_are_read(bot):
    """As an editor saves it, or another program prints it."""
    code, out, _ = run(bot, "--conversation", "-", "--json", stdin=json.dumps(OPEN, indent=2))

    assert (0, True) == (code, "lighthouse film" in json.loads(out)["sent"]["text"])


@pytest.mark.parametrize(
    ("rows", "words", "said"),
    [
        ((), (), "is empty"),
        (("{",), (), "is not JSON"),
        (("{", '"turns": ]', "}"), (), "is not JSON"),
        (("[1]",), (), "is not a JSON object"),
        ((STOP, "{"), ("--id", "open"), "talk.jsonl:2: is not JSON"),
        ((STOP, OPEN), ("--id", "other"), "no row has the id other"),
        ((STOP,), ("--id", "other"), "does not have the id other"),
        (({"id": "m", "text": "Hello", "lang": "en"},), (), "it is a message"),
        (({"lang": "en"},), (), "has no `turns`"),
        ((OPEN | {"turns": []},), (), "`turns` is empty"),
        ((OPEN | {"turns": [{"role": "system", "text": "a"}]},), (), "role 'system' is not known"),
        ((OPEN | {"lang": "it"},), (), "lang 'it' is not supported"),
    ],
)
def test_a_conversation_that_cannot_be_read_is_bad_use(bot, talk, rows, words, said):
    """In one sentence, on standard error."""
    code, out, err = run(bot, "--conversation", talk(*rows), *words)

    assert (2, "") == (code, out)
    assert said in err
    assert "Traceback" not in err


def test_a_file_that_is_missing_or_no_utf_8_is_bad_use(bot, tmp_path):
    """It is named."""
    latin = tmp_path / "latin.json"
    latin.write_bytes(b'{"turns": "\xe9"}')

    for path in (latin, tmp_path / "none.json", tmp_path):
        code, _, err = run(bot, "--conversation", str(path))
        assert (2, True) == (code, str(path) in err)


def test_a_thread_without_words_of_its_own_is_a_reason_not_a_crash(bot, talk):
    """Neither the gates nor the writer find anything to say: exit 1."""
    code, found = shown(bot, talk(THIN))

    assert (1, None, True) == (code, found["sent"], bool(found["reason"]))
