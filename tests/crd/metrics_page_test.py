#!/usr/bin/env python3
"""docs/reference/metrics.md names the metrics that the programs have, all and no other.

    metrics_page_test.py ROOT
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
PAGE = "docs/reference/metrics.md"
# How a name stands in the sources: a string of its own, next to its help text.
IN_SOURCES = re.compile(r'"(whorl_[a-z_]+)"')
IN_PAGE = re.compile(r"^\| `(whorl_[a-z_]+)` \| (gauge|counter|histogram) \|", re.M)


def main():
    sources = [p for part in ("agent", "controller") for p in (root / "operator" / part).rglob("*metrics.cc")]
    programs = {name for p in sources for name in IN_SOURCES.findall(p.read_text())}
    page = dict(IN_PAGE.findall((root / PAGE).read_text()))
    wrong = [f"{name} is not in {PAGE}" for name in sorted(programs - page.keys())]
    wrong += [f"{PAGE} names {name}, which no program has" for name in sorted(page.keys() - programs)]
    wrong += [f"{name} is a {kind}: a counter ends in _total, nothing else does" for name, kind in page.items() if (kind == "counter") != name.endswith("_total")]
    if not programs:
        wrong.append("no metrics found in operator/; is this test looking in the right place?")
    print("\n".join(wrong) or f"{len(page)} metrics, all on the page")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
