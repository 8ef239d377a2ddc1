#!/usr/bin/python3
"""Runs each libFuzzer target for a while, from its seeds in tests/fuzz/corpus.

    tests/fuzz/run.py FOLDER --seconds N [NAME...]

What is found besides goes to FOLDER/found/NAME; an input that crashes stays there as crash-*.
"""

import argparse
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def fuzz(target, seconds):
    name = target.name.removesuffix("_fuzz")
    found = target.parent / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "tests/fuzz/corpus" / name
    command = [target, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
               f"-artifact_prefix={found}/", "-verbosity=0", "-print_final_stats=1",
               found, *([seeds] if seeds.is_dir() else [])]
    print(f"== {name}", flush=True)
    return subprocess.run(command, cwd=ROOT, env={**os.environ}).returncode == 0


def main():
    parser = argparse.ArgumentParser(description="Runs each libFuzzer target for a while.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("names", nargs="*", help="only these targets")
    options = parser.parse_intermixed_args()
    targets = [path for path in sorted(options.folder.resolve().glob("*_fuzz"))
               if not options.names or path.name.removesuffix("_fuzz") in options.names]
    failed = [path.name for path in targets if not fuzz(path, options.seconds)]
    print(f"{len(targets) - len(failed)} passed, {len(failed)} failed", *failed)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
