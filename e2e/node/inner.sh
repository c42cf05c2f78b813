#!/bin/bash
# The node: runs as the first process of its own mount, PID and UTS namespaces (in the world's network namespace) and starts containerd, kubelet and
# kube-proxy. What these would change on the machine is laid over first: /run, /etc, /var/lib, /var/log and the sysctls that kubelet writes.
# When this process is killed everything in the namespaces goes with it.
set -e
node=${WHORL_NODE:?} name=${WHORL_NODE_NAME:?} tools=${WHORL_TOOLS:?} logs=${WHORL_LOGS:?}

mount --make-rprivate /
mount --make-rshared /
mount -t proc proc /proc
hostname "$name"
mount -t tmpfs tmpfs /run
mkdir -p /run/sysctl /run/lock /run/whorl-dev/net
for sysctl in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=/run/sysctl/$(echo "${sysctl%%=*}" | tr / _)
  echo "${sysctl##*=}" > "$file"
  mount --bind "$file" "/proc/sys/${sysctl%%=*}"
done
# Launchers are not root; the machine's own nodes stay as they are.
mknod -m 666 /run/whorl-dev/net/tun c 10 200
[ ! -e /dev/kvm ] || { mkdir -p /run/whorl-dev/kvm && mknod -m 666 /run/whorl-dev/kvm/kvm c 10 232; }
for folder in /var/lib /etc; do
  over=$node/over$folder
  mkdir -p "$over/upper" "$over/work"
  mount -t overlay -o "lowerdir=$folder,upperdir=$over/upper,workdir=$over/work" overlay "$folder"
done
mkdir -p "$node/log"
mount --bind "$node/log" /var/log
for folder in kubelet containerd; do
  mkdir -p "$node/$folder" "/var/lib/$folder"
  mount --bind "$node/$folder" "/var/lib/$folder"
done
mount --make-rshared /
mkdir -p /etc/cni/net.d
rm -f /etc/cni/net.d/*
cp "$node/cni.conflist" /etc/cni/net.d/10-whorl.conflist

containerd --config "$node/containerd.toml" >> "$logs/containerd.log" 2>&1 &
until [ -e "$node/control-plane-answers" ]; do sleep 0.1; done
"$tools/kube-proxy" --kubeconfig "$node/../kubeconfig/kube-proxy" --hostname-override "$name" --proxy-mode nftables --cluster-cidr 10.244.0.0/16 \
  --bind-address 127.0.0.1 --metrics-bind-address 127.0.0.1:10249 --healthz-bind-address 127.0.0.1:10256 \
  --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0 >> "$logs/kube-proxy.log" 2>&1 &
until ctr version > /dev/null 2>&1; do sleep 0.1; done
# One kubelet after another: it may be ended to be started again.
while :; do
  "$tools/kubelet" --config "$node/kubelet.yaml" --kubeconfig "$node/../kubeconfig/node" --root-dir /var/lib/kubelet --cert-dir /var/lib/kubelet/pki \
    --hostname-override "$name" --node-ip "${WHORL_NODE_IP:?}" --v 2 >> "$logs/kubelet.log" 2>&1 || true
  sleep 1
done
