"""Who is compared, and how each is started on a port."""
import os, shutil, subprocess, sys
from pathlib import Path

from .machine import ARCHITECTURE, DIR, HERE, ROOT, say

BODY = 1200
ORIGIN = "127.0.0.1:19700"
# Programs of the benchmarks that a comparison needs.
PROGRAMS = ("bare", "load", "misses", "origin", "through")
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "dist"
# The binary of the image.
OURS = Path(os.environ.get("OURS", ROOT / "target/bench/connector-cache"))
# Varnish writes these to shared memory for each request; nobody else logs here.
UNLOGGED = ("Begin End Link SessOpen SessClose ReqStart ReqMethod ReqURL ReqProtocol ReqHeader ReqUnset ReqAcct RespProtocol "
            "RespStatus RespReason RespHeader RespUnset VCL_call VCL_return Timestamp Hit").split()
TOOLS = {"wrk": "wrk", "h2load": "nghttp2-client", "nginx": "nginx-light", "haproxy": "haproxy", "varnishd": "varnish"}


def install(tools=TOOLS):
    os.environ["PATH"] += ":/usr/sbin"
    missing = [TOOLS[tool] for tool in tools if not shutil.which(tool)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing " + " ".join(missing))
        # A package that starts its service would take the ports and the cores.
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=env, stdout=subprocess.DEVNULL)
    for tool in ("wrk", "h2load"):
        if not shutil.which(tool):
            sys.exit(f"compare: {tool} is missing (Debian's package {TOOLS[tool]})")


def build():
    if "OURS" not in os.environ:
        subprocess.run(["tools/image/compile.sh", ARCHITECTURE, "dist", str(OURS)], cwd=ROOT, check=True)
    build_programs(*PROGRAMS)


def build_programs(*names):
    command = ["cargo", "build", "--profile", "dist", "--locked", "--quiet", "-p", "connector-cache-benches", *(f"--bin={name}" for name in names)]
    subprocess.run(command, cwd=HERE, check=True)


def ours(port, size="1GiB", threads=1, more=""):
    config = DIR / f"ours-{port}.toml"
    config.write_text(
        f'[listen]\naddress = "127.0.0.1:{port}"\n[admin]\naddress = "127.0.0.1:{port + 50}"\n'
        f'[graph]\nbase_url = "http://{ORIGIN}"\nmax_body = "4MiB"\n'
        f'[cache]\nttl = "1h"\nproof_ttl = "1h"\nmax_bytes = "{size}"\n'
        f'[log]\naccess = "off"\n[server]\nthreads = {threads}\n{more}'
    )
    return [str(OURS), "serve", "--config", str(config)]


def bare(port, body=BODY, threads=1, h2=False):
    return [str(BUILT / "bare"), f"127.0.0.1:{port}", str(threads), str(body), *(["h2"] if h2 else [])]


def many(port, body, bodies):
    """Bare hyper with one of as many different bodies at random: the fair limit of as many entries."""
    return [str(BUILT / "bare"), f"127.0.0.1:{port}", "1", str(body), str(bodies)]


def through(port):
    """A server and a client of hyper with nothing between them: the minimum of a miss."""
    return [str(BUILT / "through"), f"127.0.0.1:{port}", ORIGIN]


def origin(body=BODY):
    return [str(BUILT / "origin"), ORIGIN, str(body)]


def filled(name):
    """A peer's configuration with ports and folders in their places."""
    def command(port):
        text = (HERE / "peers" / name).read_text()
        (DIR / "state").mkdir(exist_ok=True)
        for key, value in {"PORT": port, "ORIGIN": ORIGIN, "DIR": DIR}.items():
            text = text.replace(f"@{key}@", str(value))
        (DIR / name).write_text(text)
        return {
            **dict.fromkeys(("nginx.conf", "tls.conf"), ["nginx", "-p", str(DIR), "-c", str(DIR / name)]),
            "haproxy.cfg": ["haproxy", "-db", "-f", str(DIR / name)],
            "varnish.vcl": ["varnishd", "-F", "-n", str(DIR / "varnish"), "-f", str(DIR / name), "-a", f"127.0.0.1:{port}",
                            "-s", "malloc,1G", "-p", "feature=+http2", "-p", "thread_pools=1", "-p", "vsl_mask=" + ",".join("-" + tag for tag in UNLOGGED), "-T", "none"],
        }[name]
    return command


def contenders(names):
    all_ = {
        "bare": bare,
        "bare-h2": lambda port: bare(port, h2=True),
        "ours": ours,
        "haproxy": filled("haproxy.cfg"),
        "nginx": filled("nginx.conf"),
        "varnish": filled("varnish.vcl"),
    }
    tool = {"haproxy": "haproxy", "nginx": "nginx", "varnish": "varnishd"}
    names = names or list(all_)
    return {name: make for name, make in all_.items() if name.startswith("bare") or name in names and shutil.which(tool.get(name, "true"))}
