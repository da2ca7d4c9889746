# shellcheck shell=bash
# Sourced, with `root` set: buildah and podman keep everything under target/, apart from what else the machine has.
image=${root:?}/target/image
mkdir -p "$image"
printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/storage"\nrunroot = "%s/run"\n' "$image" "$image" \
    > "$image/storage.conf"
# Limits and the control group as a machine without systemd grants them; runc also runs where both versions of
# control groups are mounted.
cat > "$image/containers.conf" <<'END'
[containers]
default_ulimits = ["nofile=10000:10000", "nproc=30000:30000"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
END
export STORAGE_DRIVER=overlay CONTAINERS_STORAGE_CONF=$image/storage.conf CONTAINERS_CONF=$image/containers.conf
export BUILDAH_ISOLATION=chroot
