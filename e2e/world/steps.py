"""Steps of a command: each shows its name, what it found and how long it took; a failing one says why and where its log is."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager

from . import paths


class Failed(Exception):
    """A step failed for a reason that a person can act on."""

    def __init__(self, reason, log=None, remedy=None):
        super().__init__(reason)
        self.reason, self.log, self.remedy = reason, log, remedy


_started = time.monotonic()
_printing = threading.Lock()


def elapsed():
    return time.monotonic() - _started


def say(text):
    with _printing:
        print(f"[{elapsed():6.1f}s] {text}", flush=True)


class Step:
    def __init__(self, name):
        self.name, self.note = name, ""

    def found(self, note):
        self.note = note


@contextmanager
def step(name, will_take=""):
    """Prints one line when done. `will_take` announces a step long enough to make a person wonder."""
    begun = time.monotonic()
    if will_take:
        say(f"{name} ... ({will_take})")
    current = Step(name)
    try:
        yield current
    except Failed as failure:
        tell_failure(name, failure, time.monotonic() - begun)
        failure.told = True
        raise
    except subprocess.CalledProcessError as error:
        failure = Failed(f"`{' '.join(map(str, error.cmd))[:200]}` ended with {error.returncode}: {(error.stderr or '').strip()[-600:]}")
        tell_failure(name, failure, time.monotonic() - begun)
        failure.told = True
        raise failure from error
    say(f"{name:<22} {time.monotonic() - begun:6.1f}s  {current.note or 'ok'}")


class Background(threading.Thread):
    """Work beside the other steps; result() waits for it and raises what it raised."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.error, self.value = work, None, None
        self.start()

    def run(self):
        try:
            self.value = self.work()
        except BaseException as error:
            self.error = error

    def result(self):
        self.join()
        if self.error:
            raise self.error
        return self.value


def tell_failure(name, failure, took):
    with _printing:
        print(f"[{elapsed():6.1f}s] {name:<22} {took:6.1f}s  FAILED", file=sys.stderr)
        print(f"  why:    {failure.reason}", file=sys.stderr)
        if failure.log:
            print(f"  log:    {failure.log}", file=sys.stderr)
            for line in tail(failure.log, 12):
                print(f"          {line[:220]}", file=sys.stderr)
        if failure.remedy:
            print(f"  remedy: {failure.remedy}", file=sys.stderr)


def tail(path, count):
    try:
        return path.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def run(*command, log=None, **kwargs):
    """Runs a command to its end. With `log`, all it prints goes there and a failure points to it."""
    command = [str(part) for part in command]
    if log is None:
        kwargs.setdefault("capture_output", True)
        return subprocess.run(command, check=True, text=True, **kwargs)
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a") as out:
        print("$", *command, file=out, flush=True)
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, text=True, **kwargs)
    if done.returncode:
        raise Failed(f"`{' '.join(command)[:200]}` ended with {done.returncode}", log=log)
    return done


def wait_for(what, predicate, timeout, every=0.1, log=None, remedy=None):
    """Polls until predicate returns something true, and returns it."""
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= end:
            raise Failed(f"{what}: not within {timeout:.0f} s", log=log, remedy=remedy)
        time.sleep(every)
