"""What is in no memory, beside asking the origin itself."""
import statistics

from .contenders import ORIGIN
from .load import ROUNDS, SECS, one_token, output, quietest, say, watched
from .machine import DIR, keep_awake, stop

# What, the file with tokens, requests a second (0: as soon as there is an answer).
WAYS = [
    ("1,000 a second over 16 connections, one token", "token", 1000),
    ("One connection, the next as soon as there is an answer, one token", "token", 0),
    ("One connection, the next as soon as there is an answer, 1,000 tokens by turns", "tokens", 0),
]
DIRECT = "the origin itself"


def misses(caches, origin):
    one_token()
    return "\n".join(way(f"m{number}", *which, caches, origin) for number, which in enumerate(WAYS))


def misses_awake(caches, origin):
    """The same on cores that do not halt."""
    one_token()
    awake = keep_awake()
    tables = [way(f"a{number}", f"{title}, cores that do not halt", tokens, rate, caches, origin, awake)
              for number, (title, tokens, rate) in enumerate(WAYS)]
    for process in awake:
        stop(process)
    return "\n".join(tables)


def way(prefix, title, tokens, rate, caches, origin, awake=()):
    count = int(1000 * SECS)
    targets = {DIRECT: (origin, ORIGIN), **{name: (process, f"127.0.0.1:{port}") for name, (process, port) in caches.items()}}
    pids = [process.pid for process, _ in targets.values()] + [process.pid for process in awake]
    servers = [f"{name}={address}" for name, (_, address) in targets.items()]
    tries = iter(range(10**6))

    def one():
        rows, spent, others = watched(pids, lambda: output("misses", DIR / tokens, f"{prefix}x{next(tries)}x", count, rate, *servers))
        found = {row["name"]: row for row in rows}
        for name, seconds in zip(targets, spent):
            found[name]["us"] = seconds / count * 1e6
        return {"others": others, **found}

    all_ = []
    for turn in range(ROUNDS):
        all_.append(quietest(one))
        say(f"  round {turn + 1}: " + ", ".join(f"{name} {all_[-1][name]['p50']:.0f} us" for name in targets) + f", others {all_[-1]['others']:.0%}")
    worst = max(row["others"] for row in all_)
    lines = [f"\n### Misses: {title}\n", f"{count:,} each in each round; others took at most {worst:.0%} of a core.\n",
             "| contender | p50 us | p50 over asking the origin | p95 us | p95 over it | CPU us a miss | wrong |", "|---|---|---|---|---|---|---|"]
    for name in sorted(targets, key=lambda name: statistics.median(row[name]["p50"] for row in all_)):
        middle = lambda key: statistics.median(row[name][key] for row in all_)
        over = lambda key: "" if name == DIRECT else f"{statistics.median(row[name][key] - row[DIRECT][key] for row in all_):+.0f}"
        # The origin answers for everybody, so its time is nobody's alone.
        own = "" if name == DIRECT else f"{middle('us'):.0f}"
        lines.append(f"| {name} | {middle('p50'):.0f} | {over('p50')} | {middle('p95'):.0f} | {over('p95')} | {own} | {sum(row[name]['wrong'] for row in all_)} |")
    return "\n".join(lines)
