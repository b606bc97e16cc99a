"""`make security` judges its findings: unwaived is red, and what was not looked up is never called clean."""

import json

from local.security import FOUND, OK, Audit, Waiver, read_audit, unwaived, verdict

WAIVER = Waiver("tests/*", r"-for-tests\"", "invented")


def audited(*libraries: dict) -> Audit | None:
    """As pip-audit writes it."""
    return read_audit(json.dumps({"dependencies": list(libraries), "fixes": []}))


CLEAN = {"name": "urllib3", "version": "2.8.0", "vulns": []}
HOLE = {
    "name": "urllib3",
    "version": "1.0.0",
    "vulns": [{"id": "PYSEC-2000-1", "aliases": ["CVE-2000-1"], "fix_versions": ["1.0.1"], "description": ""}],
}
UNKNOWN = {"name": "urlib3", "skip_reason": "Dependency not found on PyPI and could not be audited: urlib3 (1)"}


def test_a_finding_without_a_waiver_is_open_and_a_waiver_without_a_finding_is_stale() -> None:
    """A waiver holds for its files and its lines, and goes when it is not needed."""
    line = 'x = "key-for-tests"'
    assert ([], []) == unwaived([("tests/a.py", line)], [WAIVER])
    assert ([0], [WAIVER]) == unwaived([("local/a.py", line)], [WAIVER])
    assert ([1], []) == unwaived([("tests/a.py", line), ("tests/a.py", 'x = "real"')], [WAIVER])
    assert ([], [WAIVER]) == unwaived([], [WAIVER])


def test_a_known_hole_is_red_and_names_the_version_that_closes_it() -> None:
    """Nobody has to look it up."""
    code, lines = verdict({"dev.txt": audited(CLEAN, HOLE)})
    assert (FOUND, ["dev.txt: urllib3 1.0.0: PYSEC-2000-1, fixed in 1.0.1"]) == (code, lines)


def test_clean_is_said_with_the_number_of_libraries_that_were_looked_up() -> None:
    """So that an empty lock cannot pass as a clean one."""
    assert (OK, ["dev.txt: no known vulnerability in 1 libraries"]) == verdict({"dev.txt": audited(CLEAN)})


def test_a_service_that_is_away_is_skipped_and_so_is_one_that_knows_nothing() -> None:
    """pip-audit calls a lock clean of which its service knew no library; we do not."""
    for audit in (read_audit(""), read_audit("Traceback"), audited(UNKNOWN), audited()):
        code, lines = verdict({"dev.txt": audit})
        assert code == OK
        assert lines[0].startswith("SKIPPED: dependency audit of dev.txt")
        assert not [line for line in lines if "no known" in line]


def test_a_hole_is_red_even_where_another_lock_was_skipped() -> None:
    """A skipped part hides nothing."""
    code, lines = verdict({"a.txt": None, "b.txt": audited(HOLE)})
    assert code == FOUND
    assert [line for line in lines if line.startswith("SKIPPED: dependency audit of a.txt:")]


def test_one_library_that_the_service_does_not_know_is_red() -> None:
    """A name that nobody knows, among names that are known, may be a typing error or was taken down."""
    code, lines = verdict({"dev.txt": audited(CLEAN, UNKNOWN)})
    assert code == FOUND
    assert "dev.txt: urlib3: the advisory service does not know this library; is its name right?" in lines
