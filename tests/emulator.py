"""An AWS of this machine for the tests: ministack on loopback, in a process and an environment of its own."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[1]
MINISTACK = ROOT / ".venv-ministack" / "bin"
REGION = "us-east-1"
ACCOUNT = "000000000000"  # as an access key it is that account's root


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(condition: Any, *, within: float, every: float = 0.25) -> Any:
    """The first true answer of `condition`, or the last answer when the time (real seconds) is over."""
    end = time.monotonic() + within
    while not (answer := condition()) and time.monotonic() < end:
        time.sleep(every)
    return answer


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running ministack."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Its one endpoint, for every service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in order to take this emulator for AWS."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "rehearsal",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
        }

    def client(self, service: str) -> Any:
        """A boto3 client with the rights of the account's root."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="rehearsal",
            config=Config(read_timeout=120, retries={"total_max_attempts": 1}),
        )

    def workers(self) -> list[int]:
        """The process ids of the functions that run at this moment: the emulator's children."""
        command = ["ps", "-eo", "pid=,ppid="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
        pairs = (line.split() for line in listed.splitlines())
        return [int(pid) for pid, parent in pairs if int(parent) == self.process.pid]

    def kill_workers(self) -> int:
        """Kill every function process on the spot, as a lost machine would, and say how many there were."""
        found = self.workers()
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return len(found)


@contextmanager
def emulator(log: Path, *, enforce_permissions: bool = False, state: Path | None = None) -> Iterator[Emulator]:
    """Start ministack on a free port of the loopback interface, and end it. With `enforce_permissions` every request
    of a function is judged by the policies of the role that the template gave it. With a `state` folder it begins
    with what an earlier one left there, and leaves its own: it writes on a clean stop (SIGTERM), and only then."""
    assert MINISTACK.is_dir(), "there is no .venv-ministack: run `make e2e`, which makes it"
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))} | {
        "PATH": f"{MINISTACK}{os.pathsep}{os.environ['PATH']}",
        "BIND_HOST": "127.0.0.1",  # without it the emulator listens on every interface
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "AUTH": "true" if enforce_permissions else "false",
        "AWS_SECRET_ACCESS_KEY": "rehearsal",
        "TMPDIR": str(log.parent),
        **({} if state is None else {"PERSIST_STATE": "1", "STATE_DIR": str(state)}),
    }
    with log.open("wb") as output:
        command = [str(MINISTACK / "ministack")]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603
    running = Emulator(port, process, log)
    try:
        assert eventually(lambda: _answers(running.url), within=30), f"ministack does not start: see {log}"
        yield running
    finally:
        running.kill_workers()
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_ministack/health", timeout=2) as answer:  # noqa: S310 - loopback
            return answer.status == 200 and isinstance(json.load(answer), dict)
    except OSError:
        return False
