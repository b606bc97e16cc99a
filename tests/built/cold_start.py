"""How long a cold start takes, from the built artifact.

Run `make build`, then `.venv/bin/python -m tests.built.cold_start`.

Each case runs in fresh processes, the cases in turn, so that a machine that grows slower does so for all of them.
Wall time of the whole process; on Lambda the figures differ, the ratios less so.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from local.template import ROOT, Template

BUILD = ROOT / ".aws-sam" / "build"
ROUNDS = 10

# No request is made: the secrets' fetch is cut off, everything else is the handler's own cold start.
HANDLER = "from relance import secrets; secrets.Secrets._fetch = lambda self, names: {}; import whatsapp"
SESSION = (
    "from relance.store.tables import Database; database = Database(read_timeout=1, attempts=2); database.connect()"
)
CASES = {
    "an empty process": "pass",
    "the webhook's whole cold start": HANDLER,
    "one session, DynamoDB client": SESSION,
    "… and an SSM client on the same session": f"{SESSION}; database.client('ssm')",
    "… and Powertools Parameters instead": (
        f"{SESSION}; from aws_lambda_powertools.utilities.parameters import SSMProvider; SSMProvider()"
    ),
}


def environment(build: Path) -> dict[str, str]:
    """What Lambda would give the WhatsApp webhook, and nothing that could reach an account."""
    function = Template().functions["WhatsAppWebhook"]
    path = [build / "WhatsAppWebhook", build / "DependenciesLayer" / "python", build / "RelanceLayer" / "python"]
    return {
        **function.environment,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "PYTHONDONTWRITEBYTECODE": "1",  # /var/task is read-only, too
    }


def measure(builds: Mapping[str, Path]) -> None:
    """Print the median of each case, with and without byte code."""
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(ROUNDS + 1):
        for name, build in builds.items():
            for case, code in CASES.items():
                start = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], env=environment(build), check=True)
                if turn:  # the first warms the disk
                    times.setdefault((name, case), []).append((time.perf_counter() - start) * 1000)
    for (name, case), each in times.items():
        print(f"{name:18} {case:42} {statistics.median(each):5.0f} ms  ({min(each):.0f}-{max(each):.0f})")


if __name__ == "__main__":
    if not BUILD.is_dir():
        sys.exit("there is no built artifact: run `make build` first")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "build"
        shutil.copytree(BUILD, plain, ignore=shutil.ignore_patterns("__pycache__"))
        measure({"with byte code": BUILD, "without": plain})
