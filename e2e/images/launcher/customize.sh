#!/bin/sh
# Runs once on the launcher's root file system: the user that KubeVirt runs launchers as, and no emulator parts that no guest here uses.
set -e
root=$1
id=$(awk -F: '$3 == 107 {print $1}' "$root/etc/group")
[ -n "$id" ] || echo 'qemu:x:107:' >> "$root/etc/group"
grep -q '^[^:]*:x:107:' "$root/etc/passwd" || echo 'qemu:x:107:107:launcher:/var/run/kubevirt-private:/bin/sh' >> "$root/etc/passwd"
rm -rf "$root/usr/share/qemu/keymaps" "$root/usr/lib/x86_64-linux-gnu/dri" "$root/usr/share/OVMF" "$root/var/lib/apt/lists" "$root/var/cache"
mkdir -p "$root/var/cache"
