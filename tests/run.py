#!/usr/bin/python3
"""Runs all tests of a build and prints, as its last line, "N passed, N failed[, N skipped]".

    tests/run.py BUILD [--plain BUILD] [--only unit,replay,e2e,fault,plain] [--torture]

unit     BUILD/unit/*_test, a few at a time
replay   BUILD/replay/*_fuzz over tests/fuzz/corpus/*: what the fuzz targets found before
e2e      pytest over tests/e2e with the programs in BUILD
fault    pytest over tests/fault: a seeded sample of the fault loops, or whole with --torture
plain    a part of e2e and fault with the programs that users run, in the build that --plain names:
         there seccomp forbids all it can, and how fast they are means something

e2e and fault are one pool: those of fault mostly wait, and others work meanwhile. So is the plain
build made, and a part of its tests run, beside them; what is measured comes last, alone. The pool's
houses stand in memory if there is enough: nothing of what they do rests on a disk, and they wait
half as long. Those of the plain build, and all in torture, stand where other temporary files do.
"""

import argparse
import concurrent.futures
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
UNIT_SECONDS = 120
MEMORY = pathlib.Path("/dev/shm")
MEMORY_OCTETS = 6 << 30  # free of it, at least: the pool takes 2, its processes as much
BYTECODE = ROOT / "build/bytecode"
STARTED = time.monotonic()


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

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
    with concurrent.futures.ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        results = pool.map(lambda command: run_program(command, environment), commands.values())
        yield from zip(commands, results)


def run_units(build, tally, options):
    commands = {path.name: [path] for path in sorted(build.glob("unit/*_test"))}
    environment = {"CMOCKA_MESSAGE_OUTPUT": "TAP", **place_of_files(options)}
    for name, (status, output) in in_parallel(commands, environment):
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


def workers(more):
    """Tests wait more than they work. tests/conftest.py says what is given to which of them."""
    if not importlib.util.find_spec("xdist"):
        return []
    return ["-n", str((os.cpu_count() or 1) + more), "--dist=loadfile"]


def pytest_command(*arguments):
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", ROOT / "tests/pytest.ini", *arguments]


def pytest_environment(build):
    """Each process compiles the tests anew if it may not keep what it compiled."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "STAFFETTA_BUILD": str(build), "PYTHONPYCACHEPREFIX": str(BYTECODE)}


def compile_tests(build, paths):
    """Once, not in each of the workers."""
    subprocess.run(pytest_command("--collect-only", *(ROOT / path for path in paths)), cwd=ROOT,
                   env=pytest_environment(build), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def has_memory():
    available = re.search(r"^MemAvailable: +(\d+) kB", pathlib.Path("/proc/meminfo").read_text(), re.M)
    free = [int(available[1]) * 1024 if available else 0, shutil.disk_usage(MEMORY).free if MEMORY.is_dir() else 0]
    return min(free) >= MEMORY_OCTETS and os.access(MEMORY, os.W_OK)


def place_of_files(options):
    """What waits for no disk takes a quarter of the time; torture is for the disk too."""
    return {"TMPDIR": str(MEMORY)} if has_memory() and not options.torture else {}


def run_pytest(name, paths, build, tally, options, but=(), more_workers=None, output=None, place=()):
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        environment = {**pytest_environment(build), **dict(place)}
        if options.torture:
            environment["STAFFETTA_TORTURE"] = "1"
        status = subprocess.run(
            pytest_command(
                f"--timeout={1200 if options.torture else 120}",
                *(workers(more_workers) if more_workers is not None else []),
                "--durations=15", "--durations-min=5", f"--junitxml={report.name}",
                # names begin at the folder of pytest.ini
                *(f"--deselect={path.removeprefix('tests/')}" for path in but),
                *(ROOT / path for path in paths)),
            cwd=ROOT, env=environment, stdout=output, stderr=output,
        ).returncode
        count_junit(tally, name, status, report.name)


# What is most likely to make a system call that no filter knows; then, with the machine for itself,
# what is measured.
PLAIN = [f"tests/e2e/test_{name}.py" for name in (
    "privileges", "clients", "smtp", "deliver", "pop3", "imap_session", "imap_login")]
PLAIN += [f"tests/fault/test_mailbox_faults.py::test_memory_fails_{when}" for when in (
    "as_a_command_begins", "while_uids_are_parted")]  # the allocator of the sanitizers does not fail
PLAIN_ALONE = [
    "tests/fault/test_kills.py::test_killed_role_is_back_and_the_others_unharmed",
    *(f"tests/e2e/test_hostile.py::test_{name}" for name in (
        "a_thousand_idle_connections[smtp]", "a_thousand_idle_connections[imaps]",
        "lines_of_a_hundred_megabytes", "mail_that_is_hard_to_read", "slow_writers",
        "readers_that_never_read"))]


MEASURED = [*PLAIN_ALONE, "tests/e2e/test_hostile.py::test_a_thousand_idle_connections"]
# Other people's programs say what our own tests say under sanitizers, too.
CLIENTS = ["tests/e2e/test_clients.py"]


def run_pool(build, tally, options, parts):
    """What is measured says nothing under sanitizers, and takes them minutes: only in torture, or
    where there is no plain build."""
    but = [] if options.torture or not options.plain else MEASURED + CLIENTS
    paths = [f"tests/{part}" for part in parts]
    compile_tests(build, paths)
    run_pytest("+".join(parts), paths, build, tally, options, but, more_workers=2,
               place=place_of_files(options))


class Plain:
    """The plain build and its tests, beside all others and after them."""

    def __init__(self, options):
        self.options, self.tally = options, Tally()
        self.output = tempfile.TemporaryFile()
        self.thread = threading.Thread(target=self.run_beside)
        self.thread.start()

    def run_beside(self):
        build = self.options.plain
        status = subprocess.run(
            ["nice", "-n", "19", "make", f"-j{os.cpu_count() or 1}", f"BUILD={build}", "OPTIMISE=-O2 -g1",
             "all", f"{build}/fault/fail_call.so"], cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output).returncode
        if status != 0:
            self.tally.failed.append(f"plain: make ended with {status}")
        else:
            run_pytest("plain", PLAIN, build.resolve(), self.tally, self.options, more_workers=0,
                       output=self.output)

    def finish(self, tally):
        self.thread.join()
        self.output.seek(0)
        print(self.output.read().decode(errors="replace"), flush=True)
        if not self.tally.failed:
            run_pytest("plain", PLAIN_ALONE, self.options.plain.resolve(), self.tally, self.options)
        tally.add(self.tally)


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


PARTS = ("unit", "replay", "e2e", "fault", "plain")


def run(options, tally):
    build, parts = options.build.resolve(), options.only.split(",")
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if "unit" in parts:
        announce("unit")
        run_units(build, tally, options)
    if "replay" in parts:
        announce("replay")
        run_replays(build, tally, options)
    plain = Plain(options) if "plain" in parts and options.plain else None
    if pool := [part for part in parts if part in ("e2e", "fault")]:
        announce(" and ".join(pool))
        run_pool(build, tally, options, pool)
    if plain:
        announce("plain")
        plain.finish(tally)


def announce(part):
    print(f"== {part} ({time.monotonic() - STARTED:.0f} s)", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Runs all tests of a build.")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--plain", type=pathlib.Path, help="a build without sanitizers; it is made")
    parser.add_argument("--only", default=",".join(PARTS), help="some of: %(default)s")
    parser.add_argument("--torture", action="store_true", help="the fault loops whole")
    options = parser.parse_args()
    tally = Tally()
    run(options, tally)
    for name in tally.failed:
        print(f"FAILED {name}")
    announce("all")
    print(tally)
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
