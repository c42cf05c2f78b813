"""The commands of ./dev."""

import argparse
import os
import sys

from . import down, look, product, second, up
from .steps import Failed, elapsed, step, tell_failure

EPILOG = """
typical use:
  ./dev up                      a real Kubernetes node with four small guests, and Whorl in it
  ./dev guest db-1 busy         make a guest do something: idle web batch busy cache-walk writer leak exfil miner stall prowl
  ./dev kubectl describe vm db-1
  ./dev demo runaway            the same as a story, told from the real objects
  ./dev reload                  after a change to the code: build, new image, new pods (the guests stay)
  ./dev test                    all tests; --long adds the benchmarks
  ./dev down                    everything away; says whether that is true

folders:
  state  $WHORL_STATE, else /var/tmp/whorl-world
  cache  $WHORL_CACHE, else $XDG_CACHE_HOME/whorl or ~/.cache/whorl
more: e2e/README.md
"""


def arguments():
    parser = argparse.ArgumentParser(prog="./dev", description="Builds, runs and tests Whorl on this machine.", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    start = commands.add_parser("up", help="build and start everything; harmless when it runs already")
    start.add_argument("--nodes", type=int, choices=(1, 2), default=1, help="2: also a virtual machine with cgroup v2 only as a second node (about half a minute more)")
    commands.add_parser("down", help="end everything and leave nothing behind")
    commands.add_parser("status", help="what runs, and what Whorl says")
    logs = commands.add_parser("logs", help="logs of controller, agent, restorer, guest NAME, kubelet, apiserver, ...")
    logs.add_argument("what", nargs="?")
    logs.add_argument("more", nargs="*")
    logs.add_argument("-f", "--follow", action="store_true")
    kubeconfig = commands.add_parser("kubeconfig", help="print the path of the kubeconfig")
    kubeconfig.add_argument("--export", action="store_true", help='for eval "$(./dev kubeconfig --export)": also puts the world\'s kubectl on PATH')
    commands.add_parser("kubectl", help="kubectl, pointed at the world", add_help=False)
    guest = commands.add_parser("guest", help="tell a guest what to do, or ask it", formatter_class=argparse.RawDescriptionHelpFormatter,
                                description="Without a behaviour: asks the guest what it does.\nBehaviours: idle web batch busy cache-walk writer leak exfil miner stall prowl\n"
                                            "Settings: level=1..100 (per cent) seed=N for=SECONDS day=SECONDS (length of its fast day)\nExample: ./dev guest db-1 busy level=80 for=60")
    guest.add_argument("name")
    guest.add_argument("words", nargs="*", metavar="BEHAVIOUR [SETTING=VALUE]")
    guest.add_argument("--follow", type=float, metavar="SECONDS", help="show its progress for so long")
    demo = commands.add_parser("demo", help="a story told from the real objects")
    demo.add_argument("story", choices=["runaway"])
    commands.add_parser("build", help="build the programs that the image carries")
    commands.add_parser("reload", help="build, put the programs into the running world, restart Whorl's pods")
    test = commands.add_parser("test", help="unit tests, sanitizers, end-to-end scenarios")
    test.add_argument("--long", action="store_true", help="also the figures of docs/reference/benchmarks.md")
    test.add_argument("--unit", action="store_true", help="unit tests and sanitizers only")
    test.add_argument("--lint", action="store_true", help="formatting and static analysis only")
    test.add_argument("--e2e", action="store_true", help="end-to-end scenarios only")
    test.add_argument("--keep", action="store_true", help="leave the world up afterwards")
    return parser


def main(words):
    if words[:1] == ["kubectl"]:  # its options are not ours
        return look.kubectl(words[1:])
    options = arguments().parse_args(words)
    if options.command in ("up", "down", "reload", "test") and os.geteuid() != 0:
        raise Failed("this needs root: it makes namespaces, cgroups and links", remedy=f"sudo ./dev {options.command}")
    if options.command == "up":
        with up.Lock():
            up.up(options.nodes)
    elif options.command == "down":
        with up.Lock():
            down.down()
    elif options.command == "status":
        return look.status()
    elif options.command == "logs":
        return look.logs(options.what, options.follow, options.more)
    elif options.command == "kubeconfig":
        return look.kubeconfig(options.export)
    elif options.command == "guest":
        return look.tell_guest(options.name, options.words, options.follow)
    elif options.command == "build":
        with step("programs of this tree", f"log: {product.LOG}") as done:
            done.found(", ".join(product.build()))
    elif options.command == "reload":
        with up.Lock():
            reload()
    elif options.command == "demo":
        from . import demo

        return demo.runaway()
    elif options.command == "test":
        from . import testing

        return testing.test(options)
    return 0


def reload():
    look.need_running()
    with step("programs of this tree") as done:
        done.found(", ".join(product.build()))
    reason = product.installable()
    if reason:
        raise Failed(f"Whorl cannot be installed: {reason}")
    with step("Whorl's image") as done:
        done.found(", ".join(product.import_image()))
        if second.running():
            second.import_whorl()
    with step("Whorl's pods") as done:
        product.apply_crds()
        product.install()
        product.restart_pods()
        product.wait_until_running()
        done.found("restarted")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failed as failure:
        if not getattr(failure, "told", False):
            tell_failure(f"./dev {' '.join(sys.argv[1:2])}", failure, elapsed())
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ninterrupted; ./dev down cleans up", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
