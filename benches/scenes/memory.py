"""Memory of entries, of a process at rest and of idle connections; the time of a start."""
import socket, statistics, time

from .contenders import BODY
from .load import TOKENS, calls, load
from .machine import DIR, pss, start, stop

IDLE = 4_000


def memory(chosen):
    count = 100_000
    lines = [f"\n### Memory of {count:,} entries of {BODY:,} bytes\n", "| contender | PSS before, MiB | after, MiB | bytes an entry over its body | still held |", "|---|---|---|---|---|"]
    for number, (name, make) in enumerate(chosen.items()):
        process, port = start(make(19730 + number), 0), 19730 + number
        time.sleep(1.5)
        load(port, 1, 200, prefix="warm")
        before = pss(process.pid)
        load(port, count // TOKENS, count)
        asked = calls()
        load(port, count // TOKENS, count)
        missed = calls() - asked
        after = pss(process.pid)
        files = sum(it.stat().st_blocks * 512 for it in (DIR / "state").rglob("*") if it.is_file()) if name == "nginx" else 0
        held = 1 - missed / count
        each = (after - before + files) / max(1, count * held) - BODY
        lines.append(f"| {name} | {before / 2**20:.1f} | {(after + files) / 2**20:.1f} | {each:+.0f} | {held:.1%} |")
        stop(process)
    return "\n".join(lines)


def rest(make):
    """From exec to the first answer, memory at rest, and of connections that do nothing."""
    times, at_rest, each = [], 0, 0
    for number in range(5):
        port = 19740 + number
        begun = time.perf_counter()
        process = start(make(port), 0)
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as one:
                    one.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                    if one.recv(1):
                        break
            except OSError:
                time.sleep(0.001)
        times.append((time.perf_counter() - begun) * 1000)
        if number == 4:
            at_rest = pss(process.pid)
            idle = []
            for _ in range(IDLE):
                one = socket.create_connection(("127.0.0.1", port), 5)
                one.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                one.recv(4096)
                idle.append(one)
            each = (pss(process.pid) - at_rest) / len(idle)
            for one in idle:
                one.close()
        stop(process)
    return (f"\n### At rest\n\n| exec to first answer, ms (median of 5, with `taskset`) | PSS at rest, MiB | of each of {IDLE:,} idle connections, KiB |\n|---|---|---|\n"
            f"| {statistics.median(times):.0f} | {at_rest / 2**20:.1f} | {each / 1024:.1f} |")
