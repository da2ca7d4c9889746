"""Pods of what the chart renders, by podman, where it and the image are to be had: `tools/image/build.sh` makes the image."""

import contextlib
import os
import re
import shutil
import socket
import tempfile

import common

IMAGE = common.ROOT / "target/image"
PROXY = f"localhost/connector-cache:{common.VERSION}"
ENVIRONMENT = {
    **os.environ,
    "STORAGE_DRIVER": "overlay",
    "CONTAINERS_STORAGE_CONF": str(IMAGE / "storage.conf"),
    "CONTAINERS_CONF": str(IMAGE / "containers.conf"),
    "BUILDAH_ISOLATION": "chroot",
}
# What the image is made of.
SOURCES = ("src", "crates", "Cargo.toml", "Cargo.lock", "benches/Cargo.toml", "fuzz/Cargo.toml", "Dockerfile")


def podman(*arguments, **options):
    return common.run("podman", *arguments, env=ENVIRONMENT, **options)


def why_not():
    """Why no pod can be run here. None where one can."""
    if not shutil.which("podman"):
        return "there is no podman"
    if podman("image", "exists", PROXY).returncode != 0:
        return f"there is no image connector-cache:{common.VERSION}; tools/image/build.sh makes it"
    label = '{{index .Labels "org.opencontainers.image.revision"}}'
    revision = podman("image", "inspect", "--format", label, PROXY).stdout.strip()
    if common.run("git", "diff", "--quiet", revision, "HEAD", "--", *SOURCES, cwd=common.ROOT).returncode != 0:
        return f"the image connector-cache:{common.VERSION} is of other sources; tools/image/build.sh makes it anew"
    return None


def free_ports(count):
    """Ports that are free on every address, as the proxy binds them: a port that is free on one may not be."""
    sockets = [socket.create_server(("", 0)) for _ in range(count)]
    try:
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()


def values(graph, data, admin, **more):
    """Values for one pod of the image in the network of this machine."""
    return {
        "replicaCount": 1,
        "image": {"repository": "localhost/connector-cache", "pullPolicy": "Never"},
        "containerPorts": {"data": data, "admin": admin},
        "config": {"graph": {"base_url": graph}, **more},
    }


def playable(objects):
    """What podman can play. Probes it would run by systemd, in the image; ports it maps for networks of its own."""
    for thing in objects:
        if thing["kind"] == "Deployment":
            [container] = thing["spec"]["template"]["spec"]["containers"]
            for key in ("startupProbe", "readinessProbe", "livenessProbe", "ports"):
                del container[key]
    return [o for o in objects if o["kind"] in {"ConfigMap", "Deployment"} and not common.is_hook(o)]


def knowing(pod, hosts):
    """The pod with a file of names that lead to this machine. podman has hostAliases for networks of its own only."""
    volume = {"name": "hosts", "hostPath": {"path": str(hosts), "type": "File"}}
    mount = {"name": "hosts", "mountPath": "/etc/hosts", "readOnly": True}
    [container] = pod["spec"]["containers"]
    spec = {**pod["spec"], "volumes": [volume], "containers": [{**container, "volumeMounts": [mount]}]}
    return {**pod, "spec": spec}


@contextlib.contextmanager
def played(objects, pod):
    """The pod of this name, which these objects make, for as long as the block."""
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            common.yaml.safe_dump_all(objects, file)
            file.flush()
            done = podman("play", "kube", "--network", "host", file.name)
        assert done.returncode == 0, done.stderr
        yield pod
    finally:
        podman("pod", "rm", "--force", "--time", "0", pod)


def container_in(pod):
    names = podman("ps", "--all", "--filter", f"pod={pod}", "--format", "{{.Names}}").stdout.split()
    [name] = [name for name in names if not re.search("-infra$", name)]
    return name


def inspect(container, what):
    return podman("inspect", "--format", f"{{{{.{what}}}}}", container).stdout.strip()


@contextlib.contextmanager
def image_with_curl(name):
    """An image with what the scripts of `helm test` call, of this machine's own programs."""
    programs = {tool: shutil.which(tool) for tool in ("sh", "curl", "grep")}
    libraries = {
        library
        for program in programs.values()
        for library in re.findall(r"(/\S+) \(0x", common.run("ldd", program).stdout)
    }
    with tempfile.TemporaryDirectory() as root:
        for source in (*programs.values(), *libraries):
            place = os.path.join(root, source.lstrip("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy(os.path.realpath(source), place)
        os.makedirs(os.path.join(root, "bin"), exist_ok=True)
        for tool, program in programs.items():
            if not os.path.exists(os.path.join(root, "bin", tool)):
                shutil.copy(program, os.path.join(root, "bin", tool))
        # DNS is asked for nothing.
        os.makedirs(os.path.join(root, "etc"))
        with open(os.path.join(root, "etc/nsswitch.conf"), "w") as file:
            file.write("hosts: files\n")
        with open(os.path.join(root, "Containerfile"), "w") as file:
            file.write("FROM scratch\nCOPY . /\nENV PATH=/usr/bin:/bin\n")
        done = podman("build", "--quiet", "--pull=never", "--tag", name, root)
    assert done.returncode == 0, done.stderr
    try:
        yield name
    finally:
        podman("rmi", "--force", name)
