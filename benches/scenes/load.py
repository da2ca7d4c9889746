"""Requests: tokens, the tools that send them, and rounds by turns."""
import base64, json, os, re, subprocess, time, urllib.request

from .contenders import BUILT, ORIGIN
from .machine import DIR, HERE, busy, cpu, say, switches

ROUNDS, SECS = int(os.environ.get("ROUNDS", 5)), float(os.environ.get("SECS", 5))
QUIET = float(os.environ.get("QUIET", 0.12))
TOKEN, TOKENS, FLOWS = 1696, 1000, 10


def mint(name, count, size=TOKEN):
    """JWTs of a usual length that nobody needs to verify: the stub does not, and caches cannot."""
    part = lambda it: base64.urlsafe_b64encode(it).rstrip(b"=").decode()
    exp = int(time.time()) + 8 * 3600
    with (DIR / name).open("w") as out:
        for number in range(count):
            claims = {"tid": "5f0b9c1e-0000-4000-8000-000000000000", "oid": f"user-{number}", "appid": "bench", "scp": "a b", "exp": exp}
            # The claims are about three fifths of a token, the signature is the rest.
            claims["pad"] = "x" * max(0, (size * 6 // 10 - 200) * 3 // 4)
            token = f"{part(b'{}')}.{part(json.dumps(claims).encode())}."
            rest = max(8, size - len(token))
            out.write(token + part(os.urandom(rest))[:rest] + "\n")
    return name


def one_token():
    """A file with the first token alone. Returns its name."""
    (DIR / "token").write_text((DIR / "tokens").read_text().split("\n", 1)[0] + "\n")
    return "token"


def calls():
    with urllib.request.urlopen(f"http://{ORIGIN}/calls") as answer:
        return int(answer.read())


def output(tool, *arguments):
    command = ["taskset", "-c", "1", str(BUILT / tool), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def load(port, flows, count, connections=8, prefix="flow", tokens="tokens"):
    return output("load", f"127.0.0.1:{port}", DIR / tokens, flows, count, connections, prefix)[0]


def wrk(port, flows, tokens="tokens", connections=64, secs=SECS, threads=1):
    """Every key of these by chance; no flows at all: the first one."""
    env = dict(os.environ, TOKENS=str(DIR / tokens), FLOWS=str(flows))
    cores = "1" if threads == 1 else "0,1"
    command = ["taskset", "-c", cores, "wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, int(secs))}s", "--timeout", "10s",
               "-s", str(HERE / "wrk.lua"), f"http://127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    found = re.search(r"^(\{.*\})$", done.stdout, re.M)
    if not found:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return json.loads(found[1])


def h2load(port, flows=("flow0",), much=("-D", str(int(SECS)), "-c16"), fields=()):
    """Requests for these flows in turn, with the first token and further header fields, for as long or as often as `much` says."""
    token = (DIR / "tokens").read_text().split("\n", 1)[0]
    path = "/beta/identity/b2xUserFlows/{}/apiConnectorConfiguration?$expand=postFederationSignup,postAttributeCollection"
    (DIR / "urls").write_text("".join(f"http://127.0.0.1:{port}{path.format(flow)}\n" for flow in flows))
    head = [f"authorization: Bearer {token}", "accept: application/json", *fields]
    command = ["taskset", "-c", "1", "h2load", *much, "-m4", "-t1", *(part for field in head for part in ("-H", field)), "-i", str(DIR / "urls")]
    out = subprocess.run(command, capture_output=True, text=True).stdout
    good = int(re.search(r"(\d+) succeeded", out)[1])
    statuses = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
    return {"answers": good, "wrong": sum(int(it) for it in statuses.groups()[1:])}


def watched(pids, one):
    """What `one()` returns, the CPU seconds of each process meanwhile, and the share of a core that others took."""
    before, spent, everything = time.time(), [cpu(pid) for pid in pids], busy()
    mine = time.process_time() + sum(os.times()[2:4])
    outcome = one()
    took, everything = time.time() - before, busy() - everything
    spent = [cpu(pid) - at for pid, at in zip(pids, spent)]
    loads = time.process_time() + sum(os.times()[2:4]) - mine
    return outcome, spent, max(0.0, (everything - sum(spent) - loads) / took)


def quietest(one):
    """The first of at most three tries in which others took little, or the one in which they took least; `one` tells."""
    best = None
    for _ in range(3):
        row = one()
        best = min(best or row, row, key=lambda it: it["others"])
        if row["others"] <= QUIET:
            break
    return best


def rounds(servers, one, origin, count=ROUNDS):
    """For each contender and round: CPU microseconds a request, others' share, wrong answers, origin's calls."""
    results = {name: [] for name in servers}
    for number in range(count):
        for name, (process, port) in servers.items():
            row = quietest(lambda: measured(process.pid, port, one, origin))
            results[name].append(row)
            say(f"  round {number + 1} {name}: {row['us']:.2f} us, others {row['others']:.0%}")
    return results


def measured(pid, port, one, origin):
    asked, switched = calls(), switches(pid)
    outcome, (spent, _), others = watched([pid, origin.pid], lambda: one(port))
    many = max(1, outcome["answers"])
    waited, moved = (1000 * (now - then) / many for now, then in zip(switches(pid), switched))
    return {"us": spent / many * 1e6, "others": others, "wrong": outcome["wrong"], "calls": calls() - asked, "waited": waited, "moved": moved}
