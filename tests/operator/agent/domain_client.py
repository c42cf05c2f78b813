"""A line to agent_domain_client: the knobs of one pod's libvirt domain by the library that agent and restorer use."""

import pathlib
import subprocess


class Client:
    """`pod` is the pod's cgroup; in `state` lies the journal."""

    def __init__(self, program, pod, state):
        pod, state = pathlib.Path(pod), pathlib.Path(state)
        state.mkdir(exist_ok=True)
        self.process = subprocess.Popen([program, str(pod.parent), pod.name, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        """(code, text); code is "ok" or the error's."""
        self.process.stdin.write("\t".join(words) + "\n")
        self.process.stdin.flush()
        code, _, text = self.process.stdout.readline().rstrip("\n").partition(" ")
        return code, text

    def get(self, *words):
        code, text = self.ask(*words)
        assert code == "ok", f"{words}: {code} {text}"
        return text

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()
