#!/usr/bin/python3
"""make lint: what a compiler does not say.

    tests/lint.py [--only format,includes,calls,keys,pages,python,tidy]

format    clang-format would change nothing
includes  common <- storage <- daemons, never sideways; name_internal.h only in its folder
calls     functions that docs forbid: strcpy, sprintf and their like
keys      every key of the configuration is used by somebody
pages     man pages: no warnings of man or mandoc, where they are; every verb and key has its place
python    every test compiles
tidy      clang-tidy with .clang-tidy
"""

import argparse
import ast
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLAGS = ["-std=gnu11", "-I.", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-Ibuild/generated"]

# Who may include from where, beside the own folder.
LOWER = {
    "common": [],
    "storage": ["common"],
    "smtpd": ["storage", "common"],
    "imapd": ["storage", "common"],
    "pop3d": ["storage", "common"],
    "ctl": ["storage", "common"],
}
FORBIDDEN = re.compile(
    r"\b(strcpy|strcat|strncpy|sprintf|vsprintf|strtok|strtok_r|atoi|atol|atof|gets|setjmp|longjmp|"
    r"alloca|rand|mktemp|tmpnam|system|popen|usleep|sleep|getenv)\s*\(")
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', re.S)


def sources(*patterns):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split()
    return [name for name in listed if (ROOT / name).exists()]


def run(command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    return done.returncode, done.stdout


def check_format():
    status, output = run(["clang-format", "--dry-run", "-Werror", *sources("*.c", "*.h")])
    return output.splitlines() if status else []


def may_include(name, included):
    folder, _, _ = name.partition("/")
    target, _, _ = included.partition("/")
    if included.endswith("_internal.h") and folder != "tests":
        return os.path.dirname(name) == os.path.dirname(included)
    return folder not in LOWER or target == folder or target in LOWER[folder]


def check_includes():
    for name in sources("*.c", "*.h"):
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            included = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if included and not may_include(name, included.group(1)):
                yield f"{name}:{number}: may not include {included.group(1)}"


def check_calls():
    for name in sources("*.c", "*.h"):
        if name.startswith("tests/"):
            continue
        text = COMMENT_OR_STRING.sub(lambda found: re.sub(r"[^\n]", " ", found.group()),
                                     (ROOT / name).read_text())
        for found in FORBIDDEN.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{name}:{line}: {found.group(1)} is not used here"


def check_keys():
    """A key that nothing reads would be a promise that nobody keeps."""
    table = (ROOT / "common/config/config_keys.c").read_text()
    fields = set(re.findall(r"\b(?:SIZE|DURATION|COUNT)\(\"[^\"]+\", ([\w.]+),", table))
    fields |= set(re.findall(r"IN_CONFIG\(([\w.]+),", table)) - {"field", "array", "count"}
    fields |= set(re.findall(r"FIELD\(struct \w+, (\w+),", table))
    readers = "\n".join((ROOT / name).read_text() for name in sources("*.c")
                        if not name.startswith(("common/config/config", "tests/")))
    for field in sorted(fields):
        if not re.search(rf"(?:\.|->){re.escape(field.split('.')[-1])}\b", readers):
            yield f"common/config/config_keys.c: nobody reads {field}"


def tidy_one(name):
    status, output = run(["clang-tidy", "--quiet", name, "--", *FLAGS])
    return [line for line in output.splitlines() if "warnings generated" not in line] if status \
        else []


def check_tidy():
    names = [name for name in sources("*.c") if not name.startswith("tests/")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for lines in pool.map(tidy_one, names):
            yield from lines


def check_python():
    for name in sources("*.py"):
        try:
            ast.parse((ROOT / name).read_text(), name)
        except SyntaxError as error:
            yield f"{name}:{error.lineno}: {error.msg}"


def page_warnings(page):
    formatters = (["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8"],
                  ["mandoc", "-Tlint", "-Wwarning"])
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    for formatter in formatters:
        if not shutil.which(formatter[0]):
            continue
        # man warns on standard error, mandoc on standard output, where man has the page.
        done = subprocess.run([*formatter, page], cwd=ROOT, capture_output=True, text=True,
                              env=environment)
        said = done.stdout if formatter[0] == "mandoc" else done.stderr
        yield from (f"{page}: {line}" for line in said.splitlines())


def check_pages():
    status, output = run(["make", "-s", "man"])
    if status:
        yield from output.splitlines()
        return
    configuration = "build/man/staffetta.conf.5"
    for page in [*sources("docs/man/*.8"), configuration]:
        yield from page_warnings(page)
    table = re.search(r"verbs\[\] = \{(.*?)\n\};", (ROOT / "ctl/command/staffetta_main.c").read_text(), re.S)
    text = (ROOT / "docs/man/staffetta.8").read_text()
    for verb in re.findall(r'\{"(\w+)", verb_', table.group(1)):
        if verb not in ("help", "version") and not re.search(rf'^\.B[RI]? "?{verb}\b', text, re.M):
            yield f"docs/man/staffetta.8: says nothing of {verb}"
    keys = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs/configuration.md").read_text(), re.M)
    made = (ROOT / configuration).read_text().replace("\\-", "-")
    for key in keys:
        if f"\n\\fB{key}\\fR\n" not in made:
            yield f"{configuration}: says nothing of {key}"


CHECKS = {
    "format": check_format,
    "includes": check_includes,
    "calls": check_calls,
    "keys": check_keys,
    "pages": check_pages,
    "python": check_python,
    "tidy": check_tidy,
}


def main():
    parser = argparse.ArgumentParser(description="What a compiler does not say.")
    parser.add_argument("--only", default=",".join(CHECKS), help="some of: %(default)s")
    found = 0
    for check in parser.parse_args().only.split(","):
        for line in CHECKS[check]():
            print(line)
            found += 1
    print(f"{found} lines of complaint" if found else "nothing to complain of")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
