"""`make fuzz`: one door after the other, tried by a fuzzer that follows which lines its inputs reach (atheris).

    python -m tests.fuzz.coverage [TARGET …] [--seconds N]      every target for a minute, unless told otherwise

What it has learnt stays in .fuzz/TARGET and is where the next run begins. A find is written to .fuzz/ and ends the run
with an error; `python -m tests.fuzz.coverage --again FILE TARGET` tries it once more.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2] / ".fuzz"


def main() -> int:
    """Run the targets, each in a process of its own: libFuzzer never returns."""
    asked = argparse.ArgumentParser(prog="make fuzz", description="Coverage-guided fuzzing of every door.")
    asked.add_argument("targets", nargs="*", metavar="TARGET")
    asked.add_argument("--seconds", type=int, default=60, help="for each target")
    asked.add_argument("--again", metavar="FILE", help="try one input")
    asked.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.child:
        _fuzz(options.targets[0], options.seconds)
    from tests.fuzz.targets import TARGETS

    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        asked.error(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if options.again:
        for name in options.targets or TARGETS:
            TARGETS[name](Path(options.again).read_bytes())
        print("held")  # noqa: T201
        return 0
    failed = []
    for name in options.targets or TARGETS:
        print(f"── {name}: {options.seconds} s", flush=True)  # noqa: T201
        child = [sys.executable, "-m", "tests.fuzz.coverage", name, "--seconds", str(options.seconds), "--child"]
        if subprocess.run(child, check=False).returncode:  # noqa: S603
            failed.append(name)
    print(f"finds in: {', '.join(failed)}" if failed else "nothing found")  # noqa: T201
    return 1 if failed else 0


def _fuzz(name: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["relance", "local", "tests", "json", "yaml"]):
        from tests.fuzz import seeds
        from tests.fuzz.targets import TARGETS

    corpus, begin = HERE / name, HERE / f"{name}.seeds"
    for folder in (corpus, begin):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds.of(name)):
        (begin / f"{number:03}").write_bytes(seed)
    words = HERE / f"{name}.words"
    words.write_text("".join(f'"{_quoted(token)}"\n' for token in seeds.TOKENS), encoding="ascii")
    # Metrics go to standard output, by the thousand; libFuzzer speaks on the other one.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    limits = [f"-max_total_time={seconds}", "-max_len=16384", "-timeout=20", "-rss_limit_mb=2048", "-verbosity=1"]
    told = ["fuzz", str(corpus), str(begin), f"-dict={words}", f"-artifact_prefix={HERE}/{name}-", *limits]
    atheris.Setup([*told, "-print_final_stats=1"], TARGETS[name])
    atheris.Fuzz()


def _quoted(token: str) -> str:
    return token.replace("\\", "\\\\").replace('"', '\\"')


if __name__ == "__main__":
    sys.exit(main())
