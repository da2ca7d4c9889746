"""What a hit costs as connections, entries, bodies, tokens and threads become more, beside bare hyper."""
import os, statistics, sys, time

from . import contenders
from .hits import ratios
from .load import FLOWS, ROUNDS, SECS, load, mint, rounds, say, wrk
from .machine import errors, start, stop

# One thing at a time differs from this.
USUAL = {"connections": 64, "entries": 1, "body": 1_200, "token": 1_696, "threads": 1}
# Not 100,000 and more: each of these is asked for once in a round.
SWEEPS = {
    "connections": [1, 10, 100, 1_000, 10_000],
    "entries": [1, 100, 10_000, 100_000, 1_000_000],
    "body": [500, 1_200, 10_000, 100_000, 1_000_000],
    "token": [1_024, 2_048, 4_096, 8_192, 16_384],
    "threads": [1, 2],
}
# Limits that are there for other reasons stand out of the way.
LIMITS = """[limits]
connections = 20000
connections_per_address = 20000
header_bytes = "64KiB"
bytes_in_flight = "1GiB"
"""
# Bare hyper with as many bodies as there are entries, one of them at random.
LIMIT = "| the fair limit, CPU us | ratio to it, by rounds "
UNITS = {"body": "bytes", "token": "bytes"}
PORTS = {"bare": 19760, "ours": 19761, "many": 19762}


def scale(report):
    wanted = os.environ.get("SWEEPS", ",".join(SWEEPS)).split(",")
    for what in wanted:
        limit = LIMIT if what == "entries" else ""
        lines = [f"\n### A hit by {what}\n", "Otherwise " + ", ".join(f"{key} {value:,}" for key, value in USUAL.items() if key != what) + ".\n",
                 f"| {what}{', ' + UNITS[what] if what in UNITS else ''} | bare hyper, CPU us | connector-cache, CPU us | ratio, by rounds | over it, us "
                 f"{limit}| switches of 1,000 requests, bare: waited + made room | ours | others | wrong | origin calls |",
                 "|---|---|---|---|---|---|---|---|---|---|" + "---|" * (limit.count("|"))]
        for value in SWEEPS[what]:
            say(f"{what} {value:,}")
            lines.append(f"| {value:,} | " + point({**USUAL, what: value}, what == "entries"))
        report.append("\n".join(lines))


def point(at, has_limit):
    """One row: the servers anew, filled, and asked by turns."""
    flows = 0 if at["entries"] == 1 else FLOWS
    tokens = mint("scaled", max(1, at["entries"] // FLOWS), at["token"])
    # With more threads than one there is no core that is the server's alone.
    cores = "0" if at["threads"] == 1 else "0,1"
    origin = start(contenders.origin(at["body"]), 1)
    commands = {
        "bare": contenders.bare(PORTS["bare"], at["body"], at["threads"]),
        "ours": contenders.ours(PORTS["ours"], "8GiB", at["threads"], LIMITS),
    }
    if has_limit:
        commands["many"] = contenders.many(PORTS["many"], at["body"], at["entries"])
    servers = {name: (start(command, cores), PORTS[name]) for name, command in commands.items()}
    time.sleep(1)
    for name, (process, _) in servers.items():
        if process.poll() is not None:
            sys.exit(f"compare: {name} did not start: {errors()}")
    # A thread has a lookup from the third request for its entry on.
    filled = load(PORTS["ours"], max(1, flows), 3 * at["entries"], 16, tokens=tokens)
    # A connection costs when it is made, too: where there are many, that must be little of the whole.
    secs = SECS * (3 if at["connections"] >= 10_000 else 1)
    one = lambda port: wrk(port, flows, tokens, at["connections"], secs, at["threads"])
    found = rounds(servers, one, origin, ROUNDS)
    for process in [origin, *(process for process, _ in servers.values())]:
        stop(process)
    bare, ours = found["bare"], found["ours"]
    middle = lambda rows, key: statistics.median(row[key] for row in rows)
    over = statistics.median(row["us"] - other["us"] for row, other in zip(ours, bare))
    limit = ""
    if has_limit:
        limit = f"| {middle(found['many'], 'us'):.2f} | {ratios(ours, found['many'])} "
    moves = lambda rows: f"{middle(rows, 'waited'):.1f} + {middle(rows, 'moved'):.1f}"
    return (f"{middle(bare, 'us'):.2f} | {middle(ours, 'us'):.2f} | {ratios(ours, bare)} | {over:+.2f} {limit}| {moves(bare)} | {moves(ours)} "
            f"| {max(row['others'] for row in bare + ours):.0%} | {filled['wrong'] + sum(row['wrong'] for row in bare + ours)} | {sum(row['calls'] for row in ours)} |")
