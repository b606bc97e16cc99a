"""Cases are read or refused line by line, counted in two halves, and held against bars; a rate never stands alone."""

import json

import pytest

from local import evaluation
from local.evaluation import NOW, BadCases, Case, below_bars, case_of, evaluate, failed, read, wilson
from relance.interaction import DAY, Side, Turn

MESSAGE = {"id": "a1", "text": "Shall I go on?", "lang": "en", "verdict": "allow", "category": "open", "why": "calm"}
TALK = {
    "id": "b1",
    "turns": [{"role": "user", "text": "A soup with leeks?"}, {"role": "bot", "text": "Gladly."}],
    "lang": "fr",
    "verdict": "skip",
    "reason": "closed",
}


def without(row, *names, **changes):
    """A row with something missing, something changed."""
    return {name: value for name, value in row.items() if name not in names} | changes


def written(folder, *lines, name="cases.jsonl"):
    """A file of rows, or of lines as they are."""
    path = folder / name
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines), encoding="utf-8")
    return path


def case(id, *, blocked, label="x", language="en", kind="messages"):
    """A case of which only the label matters."""
    return Case(id, kind, language, blocked, label)


def judged(cases, *refused, by="pressure"):
    """The report when a gate refuses exactly these ids."""
    return evaluate(cases, lambda each: by if each.id in refused else None)


# --- Shapes ------------------------------------------------------------------------------------------------------


def test_messages_and_conversations_may_stand_in_one_file(tmp_path):
    """Blank lines and a missing `why` are fine."""
    cases = read([written(tmp_path, MESSAGE, "", "  ", TALK, "")])

    assert [("a1", "messages", "open", False), ("b1", "conversations", "closed", True)] == [
        (each.id, each.kind, each.label, each.blocked) for each in cases
    ]


def test_turns_lie_a_minute_apart_before_the_moment_of_judging():
    """All within the thirty days that the gates look at, the last one within the platform's day."""
    times = [turn.at for turn in case_of(TALK).turns]

    assert times == sorted(set(times))
    assert NOW - DAY < times[0] < times[-1] < NOW


def test_context_may_be_texts_or_turns():
    """A message is an answer to something; who said it is known or not."""
    found = case_of(MESSAGE | {"context": ["leek soup", {"role": "agent", "text": "Hello"}]}).context

    assert "leek soup" == found[0]
    assert isinstance(found[1], Turn)
    assert (Side.AGENT, "Hello") == (found[1].side, found[1].text)


def test_a_case_without_a_label_is_counted_all_the_same():
    """A category is for reading the figures, not for judging."""
    assert evaluation.UNLABELLED == case_of(without(MESSAGE, "category")).label


def test_only_the_line_feed_ends_a_line(tmp_path):
    """JSON may hold the other separators of Unicode inside a text."""
    row = json.dumps(MESSAGE | {"text": "one\u2028two\x85three"}, ensure_ascii=False)
    assert "one\u2028two\x85three" == read([written(tmp_path, row)])[0].text


def test_windows_files_are_read(tmp_path):
    """A byte order mark and carriage returns are no fault."""
    path = tmp_path / "w.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(MESSAGE).encode() + b"\r\n\r\n" + json.dumps(TALK).encode() + b"\r\n")

    assert ["a1", "b1"] == [each.id for each in read([path])]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "not JSON"),
        ("nonsense", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"id": ' + "9" * 5000 + "}", "number is too long"),
        ("[1]", "not a JSON object"),
        ('"text"', "not a JSON object"),
        (without(MESSAGE, "id"), "no `id`"),
        (without(MESSAGE, id=""), "`id` is empty"),
        (without(MESSAGE, id=7), "`id` is empty or not text"),
        (without(MESSAGE, "text"), "neither `text` nor `turns`"),
        (without(TALK, "turns"), "neither `text` nor `turns`"),
        (MESSAGE | TALK, "both `text` and `turns`"),
        (without(MESSAGE, text=None), "`text` is not text"),
        (without(MESSAGE, "lang"), "no `lang`"),
        (without(MESSAGE, lang="it"), "lang 'it' is not supported"),
        (without(MESSAGE, lang="EN"), "lang 'EN' is not supported"),
        (without(MESSAGE, "verdict"), "no `verdict`"),
        (without(MESSAGE, verdict="maybe"), "verdict 'maybe' is not known"),
        (without(MESSAGE, verdict="skip"), "verdict 'skip' does not fit a message: write allow or block"),
        (without(TALK, verdict="allow"), "verdict 'allow' does not fit a conversation: write follow_up or skip"),
        (without(MESSAGE, category=["a"]), "`category` is not text"),
        (without(TALK, reason=3), "`reason` is not text"),
        (without(TALK, turns=[]), "`turns` is empty"),
        (without(TALK, turns="hello"), "`turns` is not a list"),
        (without(TALK, turns=["hello"]), "turn 1 is not an object"),
        (without(TALK, turns=[{"role": "system", "text": "a"}]), "role 'system' is not known"),
        (without(TALK, turns=[{"role": ["user"], "text": "a"}]), "role ['user'] is not known"),
        (without(TALK, turns=[{"text": "a"}]), "role None is not known"),
        (without(TALK, turns=[{"role": "user"}]), "turn 1 has no `text`"),
        (without(MESSAGE, context="leeks"), "`context` is not a list"),
        (without(MESSAGE, context=[3]), "context 1 is not an object"),
    ],
    ids=lambda value: None if isinstance(value, str) and len(value) < 60 else "row",
)
def test_a_bad_line_is_refused_with_its_file_line_and_fault(tmp_path, line, fault):
    """Whatever stands before and behind it."""
    path = written(tmp_path, without(MESSAGE, id="first"), "", line, without(MESSAGE, id="last"))

    with pytest.raises(BadCases) as raised:
        read([path])

    (problem,) = raised.value.problems
    assert problem.startswith(f"{path}:3: ")
    assert fault in problem


def test_an_id_stands_once_in_a_file_and_may_come_again_in_another(tmp_path):
    """The ids of one file name one case each."""
    one, other = written(tmp_path, MESSAGE), written(tmp_path, MESSAGE, name="other.jsonl")
    assert 2 == len(read([one, other]))

    with pytest.raises(BadCases, match=r"cases\.jsonl:2: the id 'a1' is already on line 1"):
        read([written(tmp_path, MESSAGE, MESSAGE)])


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    """Over all files, in their order."""
    one, other = written(tmp_path, "{", MESSAGE, "[]"), written(tmp_path, "", name="empty.jsonl")

    with pytest.raises(BadCases) as raised:
        read([one, other, tmp_path / "none.jsonl", tmp_path])

    starts = [f"{one}:1: ", f"{one}:3: ", f"{other}: holds no cases", f"{tmp_path / 'none.jsonl'}: cannot be read"]
    starts.append(f"{tmp_path}: cannot be read: Is a directory")
    assert [True] * 5 == [
        problem.startswith(start) for problem, start in zip(raised.value.problems, starts, strict=True)
    ]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_is_not_utf_8_is_refused_with_its_line(tmp_path, mark):
    """An accent in another encoding would change what is judged."""
    path = tmp_path / "latin.jsonl"
    path.write_bytes(mark + json.dumps(MESSAGE).encode() + b'\n{"id": "\xe9t\xe9"}')

    with pytest.raises(BadCases, match=r"latin\.jsonl:2: is not UTF-8"):
        read([path])


# --- Rates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # by hand, with z = 1.96: (p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n)
        (1, 2, 0.0945, 0.9055),
        (97, 100, 0.9155, 0.9897),
        (15, 100, 0.0931, 0.2328),
        (5, 10, 0.2366, 0.7634),
        # at the ends: n / (n + z²) and z² / (n + z²)
        (1, 1, 0.2065, 1.0),
        (0, 1, 0.0, 0.7935),
        (50, 50, 0.9287, 1.0),
        (0, 50, 0.0, 0.0713),
    ],
)
def test_the_interval_is_wilsons(hits, n, low, high):
    """Few cases say little, and none missed does not say that none ever will be."""
    assert (low, high) == tuple(round(end, 4) for end in wilson(hits, n))


def test_no_cases_have_no_rate():
    """Not nought, not one."""
    assert wilson(0, 0) is None


@pytest.mark.parametrize(
    ("rate", "shown"), [(0.0, "0.0%"), (1.0, "100.0%"), (0.9999, ">99.9%"), (0.0001, "<0.1%"), (None, "-")]
)
def test_nearly_all_is_not_shown_as_all(rate, shown):
    """One case missed in ten thousand was missed."""
    assert shown == evaluation.percent(rate)


# --- Counting ----------------------------------------------------------------------------------------------------


def test_both_halves_are_counted_apart_and_never_together():
    """A category or language with both verdicts carries both; there is no accuracy."""
    cases = [
        case("m1", blocked=True, label="guilt"),
        case("m2", blocked=True, label="guilt", language="fr"),
        case("m3", blocked=False, label="calm"),
        case("c1", blocked=False, label="mixed", kind="conversations"),
        case("c2", blocked=True, label="mixed", kind="conversations"),
    ]
    found = judged(cases, "m1", "m3", "c2").as_json()

    assert {
        "cases": 5,
        "blocked": {"n": 3, "caught": 2, "rate": 0.666667, "interval": [0.20766, 0.938508]},
        "allowed": {"n": 2, "refused": 1, "rate": 0.5, "interval": [0.094531, 0.905469]},
        "by_category": {
            "calm": {"n": 1, "refused": 1},
            "guilt": {"n": 2, "caught": 1},
            "mixed": {"n": 2, "caught": 1, "refused": 0, "blocked_n": 1, "allowed_n": 1},
        },
        "by_lang": {
            "en": {"n": 4, "caught": 2, "refused": 1, "blocked_n": 2, "allowed_n": 2},
            "fr": {"n": 1, "caught": 0},
        },
        "missed": ["m2"],
        "refused": ["m3"],
    } == found


@pytest.mark.parametrize(("by", "broken"), [("error", 1), ("safety_hold/error", 1), ("shape", 0), ("error/human", 0)])
def test_a_gate_that_breaks_is_no_secret(by, broken):
    """It refuses, as it must; a report that is full of it measures nothing."""
    assert broken == judged([case("m1", blocked=True)], "m1", by=by).failures
    assert not failed(None)


def test_the_real_gates_judge_both_kinds():
    """A plea is caught, a stop is heard, a calm conversation passes."""
    plea = without(MESSAGE, text="Please do not leave me, I am so lonely without you.", verdict="block")
    stop = without(TALK, turns=[{"role": "user", "text": "Stop writing to me"}], lang="en")
    calm = [
        {"role": "user", "text": "How do I repot an orchid?"},
        {"role": "bot", "text": "Carefully. Which bark do you have?"},
        {"role": "user", "text": "Pine bark. I will try it on Sunday, tell me more then"},
    ]

    assert evaluation.refused_by(case_of(plea)) is not None
    assert "opted_out/opt_out" == evaluation.refused_by(case_of(stop))
    assert evaluation.refused_by(case_of(without(TALK, turns=calm, lang="en", verdict="follow_up"))) is None


# --- Bars --------------------------------------------------------------------------------------------------------


def report_of(caught, blocked, refused, allowed):
    """A report with these counts."""
    cases = [case(f"b{n}", blocked=True) for n in range(blocked)]
    cases += [case(f"a{n}", blocked=False, kind="conversations") for n in range(allowed)]
    return judged(cases, *(f"b{n}" for n in range(caught)), *(f"a{n}" for n in range(refused)))


@pytest.mark.parametrize(
    ("counts", "below"),
    [
        ((97, 100, 15, 100), 0),
        ((96, 100, 15, 100), 1),
        ((97, 100, 16, 100), 1),
        ((0, 100, 100, 100), 2),
        ((970, 1000, 3, 20), 0),
        ((969, 1000, 4, 20), 2),
        ((0, 0, 15, 100), 0),
        ((97, 100, 0, 0), 0),
    ],
)
def test_a_bar_is_met_at_its_very_value_and_by_a_half_without_cases(counts, below):
    """One case more or less decides."""
    assert below == len(below_bars(report_of(*counts), min_caught=0.97, max_refused=0.15))


def test_no_bars_are_always_met():
    """A measurement is not a judgement until somebody says what is enough."""
    assert [] == below_bars(report_of(0, 9, 9, 9), min_caught=None, max_refused=None)


@pytest.mark.parametrize("hundredths", range(101))
def test_every_bar_in_hundredths_is_met_at_its_value(hundredths):
    """What is written in decimals is compared as written."""
    bar = float(f"{hundredths / 100:.2f}")
    report = report_of(hundredths, 100, hundredths, 100)

    assert [] == below_bars(report, min_caught=bar, max_refused=bar)
