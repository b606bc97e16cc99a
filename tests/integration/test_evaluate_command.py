"""`relance evaluate` as it is typed: figures on standard output, complaints on standard error, three exit codes."""

import json

import pytest
from typer.testing import CliRunner

from local.cli import app

CALM = {
    "id": "c-calm",
    "turns": [
        {"role": "user", "text": "How do I repot an orchid?"},
        {"role": "bot", "text": "Carefully. Which bark do you have?"},
        {"role": "user", "text": "Pine bark. I will try it on Sunday, tell me more then"},
    ],
    "lang": "en",
    "verdict": "follow_up",
    "reason": "open_thread",
}
STOP = CALM | {
    "id": "c-stop",
    "turns": [{"role": "user", "text": "Stop writing to me"}],
    "verdict": "skip",
    "reason": "stop",
}
PLEA = {
    "id": "m-plea",
    "text": "Please do not leave me, I am so lonely without you.",
    "lang": "en",
    "verdict": "block",
    "category": "neediness",
}
# Labelled wrongly on purpose: what the gates do with them is known, whatever they learn.
WRONGLY_BLOCKED = CALM | {"id": "c-calm-too", "verdict": "skip", "reason": "closed"}
WRONGLY_ALLOWED = PLEA | {"id": "m-plea-too", "verdict": "allow", "category": "calm"}


@pytest.fixture
def cases(tmp_path):
    """Writes a file of rows."""

    def write(*rows, name="cases.jsonl"):
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
        return str(path)

    return write


def run(*words):
    """Exit code, standard output, standard error."""
    done = CliRunner().invoke(app, ["evaluate", *words], env={"COLUMNS": "120"})
    return done.exit_code, done.stdout, done.stderr


def test_json_is_one_object_and_nothing_else(cases):
    """Messages and conversations together, over several files."""
    code, out, err = run(cases(CALM, STOP, PLEA), cases(WRONGLY_BLOCKED, WRONGLY_ALLOWED, name="more.jsonl"), "--json")
    found = json.loads(out)

    assert (0, "") == (code, err)
    assert ["cases", "blocked", "allowed", "by_category", "by_lang", "missed", "refused"] == list(found)
    assert (5, 3, 2, 2, 1) == (
        found["cases"],
        found["blocked"]["n"],
        found["blocked"]["caught"],
        found["allowed"]["n"],
        found["allowed"]["refused"],
    )
    assert {"n": 1, "caught": 1} == found["by_category"]["neediness"]
    assert {"n": 1, "refused": 0} == found["by_category"]["open_thread"]
    assert {"n": 5, "caught": 2, "refused": 1, "blocked_n": 3, "allowed_n": 2} == found["by_lang"]["en"]
    assert (["c-calm-too"], ["m-plea-too"]) == (found["missed"], found["refused"])


def test_the_tables_name_both_halves_and_never_accuracy(cases):
    """Each rate with its interval, each small number of cases as it is."""
    code, out, _ = run(cases(CALM, STOP, PLEA, WRONGLY_BLOCKED))

    assert 0 == code
    assert "accuracy" not in out.lower()
    rows = {tuple(line.split()[:3]): line.split() for line in out.splitlines() if line.strip()}
    assert ["2", "66.7%", "20.8-93.9", "1", "33.3%", "6.1-79.2"] == rows["all", "3", "2"][2:]
    assert ["0", "0.0%", "0.0-79.3", "1", "100.0%", "20.7-100.0"] == rows["open_thread", "1", "0"][2:]
    assert ("neediness", "1", "1") in rows


def test_ids_are_shown_with_the_gate_that_refused(cases):
    """What to look at next."""
    path = cases(CALM, WRONGLY_BLOCKED, STOP | {"verdict": "follow_up"})
    _, out, _ = run(path, "--show-ids")

    assert "c-calm-too  en  closed" in out
    assert "c-stop  en  stop  by opted_out/opt_out" in out
    assert "c-calm-too" not in run(path)[1]


@pytest.mark.parametrize(
    ("bars", "expected", "said"),
    [
        ((), 0, []),
        (("--min-caught", "0.5"), 0, []),
        (("--min-caught", "0.51"), 1, ["caught 1 of 2 (50.0%)"]),
        (("--max-refused", "0.5"), 0, []),
        (("--max-refused", "0.49"), 1, ["wrongly refused 1 of 2 (50.0%)"]),
        (("--min-caught", "1", "--max-refused", "0"), 1, ["caught 1 of 2", "wrongly refused 1 of 2"]),
        (("--min-caught", "0", "--max-refused", "1"), 0, []),
    ],
)
def test_below_a_bar_the_exit_code_is_1_and_the_bar_is_named(cases, bars, expected, said):
    """On standard error, so that the figures can be piped."""
    code, out, err = run(cases(CALM, PLEA, WRONGLY_BLOCKED, WRONGLY_ALLOWED), "--json", *bars)

    assert expected == code
    assert 4 == json.loads(out)["cases"]
    assert [True] * len(said) == [each in err for each in said]
    assert bool(said) == bool(err)


@pytest.mark.parametrize("value", ["1.01", "-0.1", "97", "nan", "inf", "high"])
@pytest.mark.parametrize("bar", ["--min-caught", "--max-refused"])
def test_a_bar_is_a_share(cases, bar, value):
    """97 is not 0.97."""
    assert (2, "") == run(cases(CALM), bar, value)[:2]


def test_a_bad_line_is_bad_use_before_anything_is_judged(cases):
    """File, line and fault on standard error; nothing on standard output."""
    path = cases(CALM, PLEA | {"verdict": "skip"})
    code, out, err = run(path, "--json")

    assert (2, "") == (code, out)
    assert f"{path}:2: verdict 'skip' does not fit a message" in err


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "latin-1"])
def test_files_that_hold_no_cases_are_bad_use(tmp_path, kind):
    """Each is said in one sentence, without a traceback."""
    path = tmp_path / "cases.jsonl"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"\n\n" if kind == "empty" else b'{"id": "\xe9"}')
    code, out, err = run(str(path))

    assert (2, "") == (code, out)
    assert str(path) in err
    assert "Traceback" not in err


def test_no_file_at_all_is_bad_use():
    """It says what is missing."""
    code, _, err = run()

    assert (2, True) == (code, "CASES.jsonl" in err)


def test_hundreds_of_bad_lines_are_not_all_printed(cases):
    """Twenty are enough to go and look."""
    code, _, err = run(cases(*([PLEA | {"lang": "xx"}] * 300)))

    assert (2, 22) == (code, len(err.splitlines()))
    assert "and 280 more" in err


def test_an_id_that_cannot_be_written_does_not_stop_the_report(cases):
    """Half a surrogate pair is legal in JSON."""
    path = cases(WRONGLY_BLOCKED | {"id": "half\ud800"})

    assert 0 == run(path, "--show-ids")[0]
    assert ["half\ud800"] == json.loads(run(path, "--json")[1])["missed"]
