"""The artifact that `sam build` makes of this repository: built once per run, and asked by the tests that judge it."""

import atexit
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local.template import read

ROOT = Path(__file__).resolve().parents[1]
SAM = ROOT / ".venv-sam" / "bin"
# SAM's environment goes first on the path, so that the layers find a python3.13 that works.
PATH = f"{SAM}{os.pathsep}{os.environ['PATH']}"
RUNTIME = ROOT / ".venv-runtime" / "bin" / "python"

WEBHOOKS = {"WhatsAppWebhook": "whatsapp", "MessengerWebhook": "messenger", "InstagramWebhook": "instagram"}
FUNCTIONS = tuple(
    name for name, resource in read()["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"
)
LAYERS = ("DependenciesLayer", "RelanceLayer", "EncoderLayer")

# The encoder's numpy is machine code for Lambda's arm64 Linux. Elsewhere it is built for this machine, so that it runs.
AS_ON_LAMBDA = sys.platform == "linux" and platform.machine() == "aarch64"
FOR_HERE = {} if AS_ON_LAMBDA else {"RELANCE_ENCODER_PLATFORM": ""}


def run(command: list[str], *, environment: Mapping[str, str] | None = None, timeout: float = 300) -> str:
    """Run a command in the repository and return what it printed. Raises with all of it when the command fails."""
    done = subprocess.run(  # noqa: S603 - the suite's own commands
        command,
        cwd=ROOT,
        env=os.environ | {"SAM_CLI_TELEMETRY": "0"} | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


@cache
def build() -> Path:
    """Build the deployment as `make build` does, without Docker, into a folder of this run alone, and return it.

    What differs is numpy's machine code where this machine is not Lambda's.
    """
    assert SAM.is_dir(), "there is no .venv-sam: run `make e2e`, which makes it"
    folder = Path(tempfile.mkdtemp(prefix="relance-artifact-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    run([str(SAM / "sam"), "build", "--build-dir", str(folder), "--no-cached"], environment={"PATH": PATH, **FOR_HERE})
    return folder


def template() -> dict[str, Any]:
    """The built template, as `sam deploy` would take it: every intrinsic in its long form."""
    return yaml.safe_load((build() / "template.yaml").read_text(encoding="utf-8"))


def layers(function: str) -> list[str]:
    """The layers of a function in their order: everybody's, then its own, as SAM joins the two lists."""
    built = template()
    own = built["Resources"][function]["Properties"].get("Layers", [])
    return [layer["Ref"] for layer in (*built["Globals"]["Function"]["Layers"], *own)]


def search_path(function: str) -> list[Path]:
    """Where the runtime looks for code, in its order: the function, then what its layers put into /opt/python."""
    return [build() / function, *(build() / layer / "python" for layer in layers(function))]


def environment(function: str, resources: Mapping[str, str], **changes: str) -> dict[str, str]:
    """The variables of a function: parameters at their defaults or as in `changes`, references from `resources`.

    A reference to a resource that `resources` does not know is answered with its logical id.
    """
    built = template()
    properties = built["Resources"][function]["Properties"]
    declared = built["Globals"]["Function"]["Environment"]["Variables"] | properties["Environment"]["Variables"]
    parameters = {name: parameter["Default"] for name, parameter in built["Parameters"].items()} | changes

    def said(value: Any) -> str:
        if isinstance(value, dict) and "Fn::If" in value:
            return said(value["Fn::If"][2])  # a guardrail is asked for by no default
        if isinstance(value, dict):
            return str({**parameters, **resources}.get(value["Ref"], value["Ref"]))
        return str(value)

    return {name: said(value) for name, value in declared.items()}
