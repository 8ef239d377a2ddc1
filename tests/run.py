#!/usr/bin/python3
"""Runs all tests of a build and prints, as its last line, "N passed, N failed[, N skipped]".

    tests/run.py BUILD [--plain BUILD] [--only unit,replay,e2e,fault,plain] [--torture]

unit     BUILD/unit/*_test, two at a time
replay   BUILD/replay/*_fuzz over tests/fuzz/corpus/*: what the fuzz targets found before
e2e      pytest over tests/e2e with the programs in BUILD
fault    pytest over tests/fault: a seeded sample of the fault loops, or whole with --torture
plain    a part of e2e and fault with the programs that users run, in the build that --plain names:
         there seccomp forbids all it can, and how fast they are means something
"""

import argparse
import concurrent.futures
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
UNIT_SECONDS = 120


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], 0

    def __str__(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {len(self.failed)} failed{skipped}"


def run_program(command, environment=None):
    """(exit status, output); a program that hangs is ended and has failed."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **(environment or {})}, timeout=UNIT_SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        return -1, (late.stdout or b"").decode(errors="replace") + f"\nlonger than {UNIT_SECONDS} s"


def count_tap(tally, name, status, output):
    """cmocka's TAP: "ok 1 - name", "not ok 1 - name", "ok 1 - name # SKIP"."""
    skipped = len(re.findall(r"^ok \d+.*# SKIP", output, re.M))
    failed = [f"{name}: {test}" for test in re.findall(r"^not ok \d+ - (\S+)", output, re.M)]
    tally.skipped += skipped
    tally.passed += len(re.findall(r"^ok \d+", output, re.M)) - skipped
    tally.failed += failed
    if status != 0 and not failed:
        tally.failed.append(f"{name}: exit status {status}")
    if status != 0:
        print(f"--- {name}\n{output}")


def in_parallel(commands, environment=None):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda command: run_program(command, environment), commands.values())
        yield from zip(commands, results)


def run_units(build, tally, _options):
    commands = {path.name: [path] for path in sorted(build.glob("unit/*_test"))}
    for name, (status, output) in in_parallel(commands, {"CMOCKA_MESSAGE_OUTPUT": "TAP"}):
        count_tap(tally, name, status, output)


def run_replays(build, tally, _options):
    commands = {}
    for path in sorted(build.glob("replay/*_fuzz")):
        corpus = ROOT / "tests/fuzz/corpus" / path.name.removesuffix("_fuzz")
        commands[path.name] = [path, *sorted(corpus.glob("*"))]
    for name, (status, output) in in_parallel(commands):
        if status == 0:
            tally.passed += 1
        else:
            tally.failed.append(f"{name}: exit status {status}")
            print(f"--- {name}\n{output}")


def workers(name):
    """Tests wait more than they work. One file is one worker's, so that its tests share a house;
    those of the fault loops have their own, and wait longest."""
    processors = os.cpu_count() or 1
    if not importlib.util.find_spec("xdist"):
        return []
    if name == "fault":
        return ["-n", str(processors + 2), "--dist=load"]
    return ["-n", str(processors + 1), "--dist=loadfile"]


def run_pytest(name, paths, build, tally, options, parallel=True, but=()):
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        environment = {**os.environ, "STAFFETTA_BUILD": str(build), "PYTHONDONTWRITEBYTECODE": "1"}
        if options.torture:
            environment["STAFFETTA_TORTURE"] = "1"
        status = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
             f"--timeout={1200 if options.torture else 120}",
             *(workers(name) if parallel else []), "--durations=15", "--durations-min=5",
             "-c", ROOT / "tests/pytest.ini", f"--junitxml={report.name}",
             # names begin at the folder of pytest.ini
             *(f"--deselect={path.removeprefix('tests/')}" for path in but),
             *(ROOT / path for path in paths)],
            cwd=ROOT, env=environment,
        ).returncode
        count_junit(tally, name, status, report.name)


# What is most likely to make a system call that no filter knows; then, with the machine for itself,
# what is measured.
PLAIN = [f"tests/e2e/test_{name}.py" for name in (
    "privileges", "clients", "smtp", "deliver", "pop3", "imap_session", "imap_login")]
PLAIN_ALONE = [
    "tests/fault/test_kills.py::test_killed_role_is_back_and_the_others_unharmed",
    *(f"tests/e2e/test_hostile.py::test_{name}" for name in (
        "a_thousand_idle_connections[smtp]", "a_thousand_idle_connections[imaps]",
        "lines_of_a_hundred_megabytes", "mail_that_is_hard_to_read", "slow_writers",
        "readers_that_never_read"))]


MEASURED = [*PLAIN_ALONE, "tests/e2e/test_hostile.py::test_a_thousand_idle_connections"]


def run_e2e(build, tally, options):
    """What is measured says nothing under sanitizers, and takes them minutes: only in torture, or
    where there is no plain build."""
    but = [] if options.torture or not options.plain else MEASURED
    run_pytest("e2e", ["tests/e2e"], build, tally, options, but=but)


def run_plain(_build, tally, options):
    if options.plain:
        build = options.plain.resolve()
        run_pytest("plain", PLAIN, build, tally, options)
        run_pytest("plain", PLAIN_ALONE, build, tally, options, parallel=False)


def count_junit(tally, name, status, path):
    failed = []
    try:
        cases = list(xml.etree.ElementTree.parse(path).iter("testcase"))
    except xml.etree.ElementTree.ParseError:
        cases = []
    for case in cases:
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed.append(f"{name}: {case.get('classname')}.{case.get('name')}")
        elif "skipped" in kinds:
            tally.skipped += 1
        else:
            tally.passed += 1
    tally.failed += failed
    if status != 0 and not failed:
        tally.failed.append(f"{name}: pytest ended with {status}")


PARTS = {
    "unit": run_units,
    "replay": run_replays,
    "e2e": run_e2e,
    "fault": lambda *arguments: run_pytest("fault", ["tests/fault"], *arguments),
    "plain": run_plain,
}


def main():
    parser = argparse.ArgumentParser(description="Runs all tests of a build.")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--plain", type=pathlib.Path, help="a build without sanitizers")
    parser.add_argument("--only", default=",".join(PARTS), help="some of: %(default)s")
    parser.add_argument("--torture", action="store_true", help="the fault loops whole")
    options = parser.parse_args()
    tally = Tally()
    for part in options.only.split(","):
        print(f"== {part}", flush=True)
        PARTS[part](options.build.resolve(), tally, options)
    for name in tally.failed:
        print(f"FAILED {name}")
    print(tally)
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
