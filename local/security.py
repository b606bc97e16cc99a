"""Two checks of `make security` that need a judgement: no secret in the tree, no known hole in the pinned libraries.

Runs in `.venv-security`, with the standard library alone: `python local/security.py secrets` and `… dependencies`.
Exit codes: 0 nothing found, 1 something found, 2 the check itself could not run.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
OK, FOUND, CANNOT = 0, 1, 2
# pip-audit asks about one library after the other; a service that hangs must not hang the target.
_PATIENCE = 600


# ─── Secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Waiver:
    """Lines that look like a secret and are none: which files (a glob), which line (a pattern), and why."""

    files: str
    line: str
    why: str


# JSON has no comments, so the reasons stand here. In Python `# pragma: allowlist secret` beside the line does the same.
# A waiver that nothing needs any more is reported: it would hide the next one.
WAIVERS = (
    Waiver("*", r"-for-tests[\"']", "invented, and its value says so"),
    Waiver("tests/*", r'_ACCESS_KEY": "(testing|rehearsal)"', "emulators want a key and check none"),
    Waiver(
        "events/webhook-*.json",
        r'"x-hub-signature-256": "sha256=[0-9a-f]{64}"',
        "a signature under the invented secret",
    ),
    Waiver("events/eraser-*.json", r'"body": "|"rawQueryString": "code=', "signed with the invented secret"),
    Waiver("tests/unit/channels/*", r'"sha256=[0-9a-f]{64}"|== "[0-9a-f]{64}"|"eyJ', "signatures to compare with"),
    Waiver("tests/*", r"EAA(test|expired|page)|IGAAnew|two words", "invented tokens"),
    Waiver("tests/unit/*", r'"relance/x"|: "wrong"', "wrong on purpose"),
    Waiver("template.yaml", r"SECRETS_PATH: !Ref SecretsPath", "where secrets are, not what they are"),
    Waiver("local/graph.py", r'"access_token": new\b', "a variable"),
    Waiver("local/webhooks.py", r'"token-" \+ id', "made up from the message's id"),
    Waiver("layers/relance/relance/guard/phrases/__init__.py", r'== "NOT\(', "a word of a little grammar"),
    Waiver("docs/operations.md", r"\*\*Rotating a token\*\*", "prose"),
)


def unwaived(findings: Sequence[tuple[str, str]], waivers: Sequence[Waiver]) -> tuple[list[int], list[Waiver]]:
    """Which findings (file, line) no waiver covers, by position, and which waivers cover no finding."""
    open_, needed = [], set()
    for position, (file, line) in enumerate(findings):
        covering = [each for each in waivers if fnmatchcase(file, each.files) and re.search(each.line, line)]
        needed.update(covering)
        if not covering:
            open_.append(position)
    return open_, [each for each in waivers if each not in needed]


def secrets() -> int:
    """Scan every file that git knows or would take; print what no waiver covers, never the value itself."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        print("secrets: this is no git checkout, so nobody can say which files belong to it. Clone the repository.")
        return CANNOT
    files = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    # Without --no-verify it would ask the services whose keys it thinks to have found.
    scanned = subprocess.run(
        [TOOLS / "detect-secrets", "scan", "--no-verify", *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    try:
        results = json.loads(scanned.stdout)["results"]
    except (ValueError, KeyError):
        print(f"secrets: detect-secrets did not answer:\n{scanned.stderr[-2_000:]}")
        return CANNOT
    found = [(file, each["line_number"], each["type"]) for file, each_ in results.items() for each in each_]
    lines = [(ROOT / file).read_text(encoding="utf-8", errors="replace").splitlines()[n - 1] for file, n, _ in found]
    open_, stale = unwaived([(file, line) for (file, _, _), line in zip(found, lines, strict=True)], WAIVERS)
    for position in open_:
        file, number, kind = found[position]
        print(f"{file}:{number}: {kind}. Take it out, or say in local/security.py why it is none.")
    for each in stale:
        print(f"local/security.py: the waiver {each.line!r} of {each.files} covers nothing any more: take it out.")
    print(f"secrets: {len(files)} files, {len(found) - len(open_)} findings waived with a reason, {len(open_)} open")
    return FOUND if open_ or stale else OK


# ─── Dependencies ─────────────────────────────────────────────────────────────────────────────────────────────────────

# Advisory id → why it does not concern us. Better than a line here is a newer pin (`make lock`).
ADVISORIES: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Audit:
    """What became of one lock: advisories as text, how many libraries were looked up, and which were not."""

    advisories: tuple[str, ...] = ()
    looked_up: int = 0
    unknown: tuple[str, ...] = ()


def read_audit(answer: str) -> Audit | None:
    """What pip-audit wrote as JSON; None if it wrote none, which is what it does when its service cannot be reached.

    A library that the service does not know is "skipped" and pip-audit still says that all is well: here it counts
    as not looked up.
    """
    try:
        dependencies = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        return None
    known = [each for each in dependencies if "skip_reason" not in each]
    return Audit(
        advisories=tuple(
            f"{each['name']} {each['version']}: {advisory['id']}"
            + (f", fixed in {', '.join(advisory['fix_versions'])}" if advisory["fix_versions"] else "")
            for each in known
            for advisory in each["vulns"]
            if not {advisory["id"], *advisory.get("aliases", ())} & ADVISORIES.keys()
        ),
        looked_up=len(known),
        unknown=tuple(each["name"] for each in dependencies if "skip_reason" in each),
    )


def verdict(audits: dict[str, Audit | None]) -> tuple[int, list[str]]:
    """Exit code and what to print for the audits by lock. Nothing that was not looked up is ever called clean."""
    lines: list[str] = []
    found = False
    missed = [lock for lock, audit in audits.items() if audit is None or not audit.looked_up]
    for lock, audit in audits.items():
        if audit is None or not audit.looked_up:
            continue
        found = found or bool(audit.advisories or audit.unknown)
        lines += [f"{lock}: {each}" for each in audit.advisories]
        lines += [
            f"{lock}: {each}: the advisory service does not know this library; is its name right?"
            for each in audit.unknown
        ]
        if not audit.advisories:
            lines.append(f"{lock}: no known vulnerability in {audit.looked_up} libraries")
    if missed:
        lines += [
            f"SKIPPED: dependency audit of {', '.join(missed)}: no advisory service answered.",
            "         Nothing is known of these. Run `make security` where https://pypi.org can be reached.",
        ]
    return (FOUND if found else OK), lines


def dependencies() -> int:
    """Ask PyPI's advisories about every lock, the layers' first: those run on Lambda."""
    code, lines = verdict({str(lock.relative_to(ROOT)): _audited(lock) for lock in _locks()})
    print("\n".join(lines))
    return code


def _locks() -> Iterator[Path]:
    yield from sorted((ROOT / "layers").glob("*/requirements.txt"))
    yield from sorted((ROOT / "requirements").glob("*.txt"))


def _audited(lock: Path) -> Audit | None:
    command = [TOOLS / "pip-audit", "--format", "json", "--progress-spinner", "off", "--no-deps", "--disable-pip"]
    try:
        ran = subprocess.run(
            [*command, "--requirement", lock], capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        return None
    audit = read_audit(ran.stdout)
    if audit is None and not re.search(
        r"ConnectionError|ConnectTimeout|ServiceError|ReadTimeout|HTTPError", ran.stderr
    ):
        # Not the network: a broken lock or a broken tool must not pass as a service that is away.
        raise SystemExit(f"dependencies: pip-audit could not read {lock.name}:\n{ran.stderr[-2_000:]}")
    return audit


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["secrets"]:
            sys.exit(secrets())
        case ["dependencies"]:
            sys.exit(dependencies())
        case _:
            print("usage: python local/security.py secrets | dependencies")
            sys.exit(CANNOT)
