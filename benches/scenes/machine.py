"""Processes on cores, and what the kernel counts of them."""
import os, platform, re, resource, shutil, signal, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
# In memory where that can be: a peer that keeps files must not be judged by a disk.
DIR = Path(tempfile.mkdtemp(prefix="compare-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
# As images name it.
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
TICK = os.sysconf("SC_CLK_TCK")
started = []


class Report:
    """Each table as soon as it is there: what comes after may fail."""

    def append(self, text):
        print(text, flush=True)
        if "OUT" in os.environ:
            with Path(os.environ["OUT"]).open("a") as out:
                out.write(text + "\n")


def say(text):
    print(text, file=sys.stderr, flush=True)


def prepare():
    DIR.chmod(0o755)  # Varnish reads its rules as another user
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))


def tidy_up():
    for process in started:
        stop(process)
    shutil.rmtree(DIR, ignore_errors=True)


def start(command, cores):
    process = subprocess.Popen(["taskset", "-c", str(cores), *command], stdout=subprocess.DEVNULL, stderr=(DIR / "errors").open("a"), start_new_session=True)
    started.append(process)
    return process


def keep_awake():
    """Processes of the idle class that use both cores while nothing else does. A core of a virtual machine that halts is
    woken by the hypervisor, which takes the longer the longer it has slept: a server that works less pays more."""
    return [start(["chrt", "--idle", "0", "sh", "-c", "while :; do :; done"], core) for core in (0, 1)]


def stop(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def errors():
    return (DIR / "errors").read_text()[-2000:]


def tree(pid):
    """A process and all that came of it."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, new = [], [pid]
    while new:
        found += new
        new = [child for parent in new for child in children.get(parent, [])]
    return found


def cpu(pid):
    """Seconds, user and system."""
    total = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / TICK


def busy():
    """Seconds that all cores worked."""
    fields = [int(it) for it in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / TICK


def total(pid, file, field):
    """The sum of a field over a process's tree; of a path with a star over all its threads."""
    found = 0
    for one in tree(pid):
        for path in Path(f"/proc/{one}").glob(file):
            try:
                found += int(re.search(rf"^{field}:\s+(\d+)", path.read_text(), re.M)[1])
            except (OSError, TypeError):
                pass
    return found


def pss(pid):
    return total(pid, "smaps_rollup", "Pss") * 1024


def rss_peak(pid):
    """The kernel keeps it: nothing is missed between two looks."""
    return total(pid, "status", "VmHWM") * 1024


def switches(pid):
    """How often a thread had nothing to do or waited for another, and how often it was made to make room."""
    return total(pid, "task/*/status", "voluntary_ctxt_switches"), total(pid, "task/*/status", "nonvoluntary_ctxt_switches")
