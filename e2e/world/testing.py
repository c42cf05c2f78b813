"""`./dev test`: unit tests, the same under sanitizers, and the scenarios in a world of their own."""

import os
import re
import shutil
import subprocess
import sys

from . import down, images, node_disk, paths, tools, up
from .steps import Background, Failed, say, step

LEFT = paths.TREE / "build" / "left-by-failed-tests"
CLOSING = re.compile(r"^(\d+)% tests passed, (\d+) tests failed out of (\d+)")


class Tally:
    """Sums up ctest's closing lines."""

    def __init__(self):
        self.failed = self.total = 0
        self.broken = []  # parts that could not even run

    def ctest(self, title, build, *options, env=None):
        say(f"{title}: ctest in {build.relative_to(paths.TREE)} {' '.join(options)}")
        process = subprocess.Popen(["ctest", "--test-dir", str(build), "--output-on-failure", "--no-tests=error", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env={**os.environ, **(env or {})})
        closing = None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            closing = CLOSING.match(line) or closing
        process.wait()
        if closing is None:
            self.broken.append(title)
            return False
        self.failed += int(closing[2])
        self.total += int(closing[3])
        if process.returncode and not int(closing[2]):
            self.broken.append(title)
        return process.returncode == 0

    @property
    def good(self):
        return not self.failed and not self.broken and self.total > 0


def build(preset, *options, targets=()):
    """A preset, or some targets of it; its log stays beside the build."""
    folder = paths.TREE / "build" / preset
    log = paths.LOGS / f"build-{preset}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with step(f"build {preset}", f"log: {log}") as done:
        with open(log, "w") as out:
            for command in (["cmake", "--preset", preset, *options], ["cmake", "--build", str(folder), *(["--target", *targets] if targets else [])]):
                if subprocess.run(command, cwd=paths.TREE, stdout=out, stderr=subprocess.STDOUT).returncode:
                    raise Failed(f"`{' '.join(command)}` failed", log=log)
        done.found(str(folder.relative_to(paths.TREE)))
    return folder


def test(options):
    """Cheap failures first: what takes a minute to tell comes before what takes ten."""
    everything = not (options.unit or options.e2e or options.lint)
    tally = Tally()
    shutil.rmtree(LEFT, ignore_errors=True)
    if everything or options.lint:
        lint(tally, "clang-format", "format")
    # The world's programs and root file systems, while the compilers leave a core now and then.
    prepared = Background(prepare_world) if everything or options.e2e else None
    release = build("release", "-DWHORL_E2E=ON")
    if everything or options.unit:
        tally.ctest("unit and component tests", release, "-LE", "e2e|lint", "-j2", "--repeat", "until-pass:2")
    if everything or options.lint:
        tally.ctest("headers", release, "-L", "lint")
    if everything or options.unit:
        sanitized = build("asan-ubsan", targets=("unit_tests", "fuzz_tests", "whorl-engine-digest"))
        tally.ctest("unit tests and some seconds of fuzzing under asan and ubsan", sanitized, "-L", "unit|fuzz", "-j2")
        compare_digests(tally, release, sanitized)
    if everything or options.lint:
        if not (everything or options.unit):
            sanitized = build("asan-ubsan", targets=("whorl_node_proto", "whorl_agent_bpf"))
        if options.lint or options.long:  # half an hour the first time: more than the ordinary run has
            lint(tally, "clang-tidy", "tidy", str(sanitized))
    if everything or options.unit:
        tally.ctest("unit tests of what has threads, under tsan", build("tsan", targets=("threads_tests",)), "-L", "threads", "-j2")
    if everything or options.e2e:
        prepared.result()
        end_to_end(tally, release, options)
    for title in tally.broken:
        print(f"did not run to its end: {title}")
    if LEFT.is_dir():
        print(f"what the failed tests have left: {LEFT}")
    percent = 100 * (tally.total - tally.failed) // tally.total if tally.total else 0
    if tally.broken:  # never looks like a success
        percent, tally.failed = min(percent, 99), max(tally.failed, 1)
    print(f"\n{percent}% tests passed, {tally.failed} tests failed out of {tally.total}", flush=True)
    return 0 if tally.good else 1


def prepare_world():
    tools.build()
    for name in ("launcher", "whorl"):
        images.base_layer(name)
    node_disk.get()


def lint(tally, title, *command):
    with step(title) as done:
        if subprocess.run(["/usr/bin/python3", str(paths.TREE / "tests/lint.py"), *command]).returncode:
            tally.broken.append(f"{title} (tests/lint.py {' '.join(command)})")
            done.found("something is to be mended")


def compare_digests(tally, *builds):
    """The engine gives the same plans and scores, byte for byte, whichever compiler built it."""
    said = {str(folder): subprocess.run([folder / "tests/core/whorl-engine-digest"], capture_output=True, text=True).stdout for folder in builds}
    if len(set(said.values())) == 1 and all(said.values()):
        say("the engine's results are the same bytes from every compiler: " + next(iter(said.values())).split()[-1])
        return
    for folder, text in said.items():
        print(f"{folder}:\n{text}")
    tally.broken.append("the engine's results differ between compilers (whorl-engine-digest)")


def end_to_end(tally, build_folder, options):
    """A fresh world, the scenarios, and what is left of both when something fails."""
    with up.Lock():
        good = False
        try:
            down.down()
            up.up()
            # Real guests on a machine others share: what fails once is tried once more, and both tries are shown.
            good = tally.ctest("end-to-end scenarios", build_folder, "-L", "e2e", "-LE", "long", "--repeat", "until-pass:2", env={"WHORL_LOGS_TO": str(LEFT)})
            if options.long:
                good = tally.ctest("a scenario per behaviour", build_folder, "-L", "long", env={"WHORL_LOGS_TO": str(LEFT)}) and good
            if options.long:
                good = long(tally) and good
        except Failed as failure:
            tally.broken.append(f"end-to-end scenarios ({failure.reason})")
        finally:
            if not good:
                keep_logs()
            if not options.keep:
                down_or_say(tally)


def long(tally):
    """What a busy machine must not fail in every run: figures beside what they must reach."""
    release = paths.TREE / "build" / "release"
    good = True
    for command in ([str(release / "tests/bench/whorl-bench-engine"), "100000", "30"], ["/usr/bin/python3", str(paths.TREE / "tests/bench/live.py"), "all"]):
        say("measuring: " + " ".join(command))
        if subprocess.run(["cmake", "--build", str(release), "--target", "whorl-bench-engine"], stdout=subprocess.DEVNULL).returncode or subprocess.run(command).returncode:
            tally.broken.append(" ".join(command))
            good = False
    return good


def keep_logs():
    down.keep_pod_logs()
    shutil.copytree(paths.LOGS, LEFT / "world", dirs_exist_ok=True, symlinks=True, ignore_dangling_symlinks=True)


def down_or_say(tally):
    try:
        down.down()
    except Failed as failure:
        tally.broken.append(f"./dev down ({failure.reason})")
