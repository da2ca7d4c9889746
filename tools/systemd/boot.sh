#!/usr/bin/env bash
# Boots the systemd of this machine as the first process of namespaces of its own, over a copy-on-write view of the file system
# in memory. Nothing outside of the namespaces changes, and only loopback is reachable inside.
#   unshare --fork --pid --mount --net --ipc --uts --cgroup --kill-child tools/systemd/boot.sh FOLDER
# FOLDER must be empty. Needs root, and a kernel with overlayfs. `nsenter -t PID -a` enters the namespaces.
set -euo pipefail
root=$1/root
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$root"
# Read-only, as in a container: systemd would set sysctls and devices of the machine.
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
ln -s /dev/null "$root/etc/systemd/system/systemd-tmpfiles-setup-dev.service"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
    for controller in memory pids devices; do
        mkdir "$root/sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "$root/sys/fs/cgroup/$controller" || rmdir "$root/sys/fs/cgroup/$controller"
    done
    mkdir "$root/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
fi
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
ip link set lo up
# Without it systemd expects a real machine. Credentials need a root whose mounts are shared.
export container=lxc
cd "$root"
mkdir -p before
pivot_root . before
umount -l /before
mount --make-rshared /
exec chroot . /lib/systemd/systemd --unit=basic.target --log-target=journal --show-status=no
