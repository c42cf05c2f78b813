"""Where things lie. Only this module decides it."""

import os
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
E2E = TREE / "e2e"
CACHE = Path(os.environ.get("WHORL_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whorl")
STATE = Path(os.environ.get("WHORL_STATE") or "/var/tmp/whorl-world")

# Builds of the same sources share ccache's results wherever the tree lies.
os.environ.setdefault("CCACHE_BASEDIR", str(TREE))
os.environ.setdefault("CCACHE_NOHASHDIR", "1")

LOGS = STATE / "logs"
PIDS = STATE / "pids"
PKI = STATE / "pki"
KUBECONFIGS = STATE / "kubeconfig"
ADMIN = KUBECONFIGS / "admin"
NODE = STATE / "node"  # what the node's mount namespace lays over /etc, /var/lib and /run
GUEST = STATE / "guest"  # kernel and initramfs of the guests

# The network namespace hangs on a file of ours: `ip netns add` would turn /run/netns into a mount that stays.
NETNS_FILE = STATE / "netns"
HOST_LINK = "whorl-host"
HOST_IP = "10.199.0.1"
WORLD_IP = "10.199.0.2"
POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
SERVICE_IP = "10.96.0.1"
API_URL = f"https://{WORLD_IP}:6443"
NODE_NAME = "node-1"

# The second node: a virtual machine, at the other end of a tap in that namespace.
SECOND = STATE / "second"
SECOND_NAME = "node-v2"
SECOND_LINK = "node-v2"
SECOND_GATEWAY = "10.199.1.1"
SECOND_IP = "10.199.1.2"
SECOND_POD_CIDR = "10.244.1.0/24"

CGROUP_ROOT = Path("/sys/fs/cgroup")
CGROUP = "whorl-world"

RELEASE_BUILD = TREE / "build" / "release"
PRODUCT = ("whorl-agent", "whorl-restorer", "whorl-controller")
IN_GUEST = ("whorl-workload", "whorl-guest")
