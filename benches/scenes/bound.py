"""What `cache.max_bytes` comes to in memory when twice as much is put in."""
import math, os, re, sys, time, urllib.request

from . import contenders
from .load import load, mint, say
from .machine import DIR, errors, pss, rss_peak, start, stop

# Bytes, and flows of a token: beside its entries it has one proof or ten. 64 MiB has no huge pages.
SIZES = {"64MiB": (64 << 20, [1, 10]), "256MiB": (256 << 20, [1, 10]), "1GiB": (1 << 30, [10])}
BODIES = [500, 1_200, 20_000]
PORT = 19770


def bound(report):
    sizes = os.environ.get("BOUNDS", ",".join(SIZES)).split(",")
    lines = ["\n### Memory when twice as much is put in as `cache.max_bytes` lets stay\n",
             "| `cache.max_bytes` | body, bytes | flows a token | put in | entries held | weight held, MiB | RSS at rest, MiB | RSS peak, MiB | PSS after, MiB "
             "| peak over at rest, of `cache.max_bytes` | peak over the sum of both, MiB |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    worst = {}
    for size in sizes:
        for body in BODIES:
            for flows in SIZES[size][1]:
                row, over = fill(size, body, flows)
                lines.append(row)
                worst[size] = max(worst.get(size, -math.inf), over)
    lines.append("\nThe constant, the most that a process took over `cache.max_bytes` and what it takes at rest: "
                 + ", ".join(f"{over / 2**20:+.1f} MiB with {size}" for size, over in worst.items()) + ".")
    report.append("\n".join(lines))


def fill(size, body, flows):
    bytes_, _ = SIZES[size]
    # An entry weighs more than its body and this; the table says how many stayed.
    count = 2 * bytes_ // (body + 500) // flows * flows
    say(f"{size}, bodies of {body:,} bytes, {flows} flows a token: {count:,} answers")
    tokens = mint("bound", count // flows, 300)
    origin = start(contenders.origin(body), 1)
    process = start(contenders.ours(PORT, size), 0)
    time.sleep(1)
    if process.poll() is not None:
        sys.exit(f"compare: ours did not start: {errors()}")
    load(PORT, 1, 200, prefix="warm", tokens=tokens)
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{PORT + 50}/cache", method="DELETE")).read()
    time.sleep(1)
    at_rest = rss_peak(process.pid)
    filled = load(PORT, flows, count, tokens=tokens)
    # The last quarter is still there. It is asked for twice more: what threads remember of it takes memory, too.
    last = (DIR / tokens).read_text().splitlines()[-(count // flows // 4):]
    (DIR / "last").write_text("\n".join(last) + "\n")
    asked = load(PORT, flows, 2 * len(last) * flows, tokens="last")
    # What is to be swept behind is swept within a second.
    time.sleep(2)
    peak, after, (entries, weight) = rss_peak(process.pid), pss(process.pid), gauges()
    stop(process)
    stop(origin)
    if filled["wrong"] or asked["wrong"]:
        sys.exit(f"compare: {filled['wrong'] + asked['wrong']} wrong answers")
    mib = lambda it: f"{it / 2**20:,.1f}"
    over = peak - at_rest - bytes_
    return (f"| {size} | {body:,} | {flows} | {count:,} | {entries:,} | {mib(weight)} | {mib(at_rest)} | {mib(peak)} | {mib(after)} "
            f"| {(peak - at_rest) / bytes_:.2f} | {over / 2**20:+,.1f} |"), over


def gauges():
    text = urllib.request.urlopen(f"http://127.0.0.1:{PORT + 50}/metrics").read().decode()
    return [int(re.search(rf"^connector_cache_{name} (\d+)", text, re.M)[1]) for name in ("entries", "bytes")]
