#!/usr/bin/env python3
"""Formatting and static analysis of our sources.

    lint.py format [--fix]          clang-format-19 over every C++ file
    lint.py tidy BUILD [-j N]       clang-tidy-19 over every product source that
                                    BUILD/compile_commands.json names

tidy remembers files that passed, by their content, that of every file of ours
they include and the checks asked for, under the cache folder; so a second run
looks only at what changed. Exits 1 when anything is to be mended.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("WHORL_CACHE") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "whorl") / "tidy"


def tracked(*suffixes):
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / n for n in names.splitlines() if n.endswith(suffixes) and (ROOT / n).exists()]


def lint_format(fix):
    files = [str(f) for f in tracked(".h", ".cc") if "/bpf/vmlinux" not in str(f) and not str(f).endswith("core/telemetry/features.h")]
    mode = ["-i"] if fix else ["--dry-run", "-Werror"]
    done = subprocess.run(["clang-format-19", *mode, *files], cwd=ROOT)
    print(f"clang-format: {len(files)} files, " + ("rewritten" if fix else "clean" if done.returncode == 0 else "not clean; `tests/lint.py format --fix` mends them"))
    return done.returncode


INCLUDE = re.compile(rb'^#include "([^"]+)"', re.M)


def with_includes(file, build, seen):
    """The file and every file of ours (or generated from ours) that it includes, in a fixed order."""
    if file in seen or not file.is_file():
        return seen
    seen[file] = file.read_bytes()
    for name in INCLUDE.findall(seen[file]):
        for folder in (ROOT, build / "gen"):
            with_includes(folder / name.decode(), build, seen)
    return seen


def lint_tidy(build, jobs):
    commands = json.loads((build / "compile_commands.json").read_text())
    folders = tuple(str(ROOT / d) for d in ("core/", "crd/", "operator/"))
    files = sorted({c["file"] for c in commands if c["file"].startswith(folders)})
    base = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    CACHE.mkdir(parents=True, exist_ok=True)

    def check(file):
        key = base.copy()
        for name, content in with_includes(pathlib.Path(file), build, {}).items():
            key.update(str(name).replace(str(ROOT), "").encode() + b"\0" + content)
        mark = CACHE / key.hexdigest()
        if mark.exists():
            return file, 0, "", True
        done = subprocess.run(["clang-tidy-19", "-p", str(build), "--quiet", "--extra-arg=-Wno-unknown-warning-option", file],
                              capture_output=True, text=True)
        if done.returncode == 0:
            mark.touch()
        return file, done.returncode, done.stdout, False

    failed = known = 0
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for n, (file, code, text, cached) in enumerate(pool.map(check, files), 1):
            known += cached
            if code:
                failed += 1
                print(text)
            if sys.stdout.isatty() or n % 20 == 0 or n == len(files):
                print(f"clang-tidy: {n}/{len(files)} files, {failed} to mend, {time.monotonic() - start:.0f} s", flush=True)
    print(f"clang-tidy: {len(files)} files, {known} known from before, {failed} to mend")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(dest="verb", required=True)
    fmt = sub.add_parser("format")
    fmt.add_argument("--fix", action="store_true")
    tidy = sub.add_parser("tidy")
    tidy.add_argument("build", type=pathlib.Path)
    tidy.add_argument("-j", type=int, default=os.cpu_count())
    args = parser.parse_args()
    return lint_format(args.fix) if args.verb == "format" else lint_tidy(args.build.resolve(), args.j)


if __name__ == "__main__":
    sys.exit(main())
