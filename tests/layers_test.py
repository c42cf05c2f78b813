#!/usr/bin/env python3
"""Checks cmake/layers.txt: no folder includes one it may not.

    layers_test.py ROOT [COMPILE...]

Prints each forbidden include with the line that forbids it and exits 1.
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def table():
    rules = {}
    for line in (root / "cmake/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, _, allowed = line.partition(":")
            rules[folder.strip()] = allowed.split()
    return rules


def rule_for(path, rules):
    fits = [f for f in rules if path == f or path.startswith(f + "/")]
    return max(fits, key=len, default=None)


def violations(sources, rules):
    for name, text in sources:
        folder = rule_for(str(pathlib.PurePosixPath(name).parent), rules)
        if folder is None:
            yield f"{name}: its folder is not in cmake/layers.txt; add a line that says what it may include"
            continue
        for target in INCLUDE.findall(text):
            if "/" not in target or target.endswith((".pb.h", ".skel.h")):
                if not target.endswith(".pb.h"):
                    continue
            target_folder = str(pathlib.PurePosixPath(target).parent)
            allowed = [folder, *rules[folder]]
            if not any(target_folder == a or target_folder.startswith(a + "/") for a in allowed):
                yield f"{name}: includes {target}, but {folder} may only include {' '.join(rules[folder]) or 'itself'}"


def check_of_the_check(rules):
    bad = list(violations([("core/base/x.h", '#include "operator/kube/client.h"\n')], rules))
    assert bad, "the layer check accepts core/base including operator/kube"


def main():
    rules = table()
    check_of_the_check(rules)
    sources = [(str(p.relative_to(root)), p.read_text(errors="replace"))
               for top in ("core", "crd", "operator", "tests", "e2e")
               for p in sorted((root / top).rglob("*")) if p.suffix in (".h", ".cc", ".c") and "/build/" not in str(p)]
    found = list(violations(sources, rules))
    print("\n".join(found) or f"{len(sources)} files keep to cmake/layers.txt")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
