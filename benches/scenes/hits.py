"""Answers from memory, beside a constant one."""
import statistics

from .load import FLOWS, h2load, rounds, wrk


def hot(servers, origin):
    h1 = {name: it for name, it in servers.items() if name != "bare-h2"}
    return table("One hot key, HTTP/1.1, 64 connections", rounds(h1, lambda port: wrk(port, 0), origin), "bare")


def keys(servers, origin):
    h1 = {name: it for name, it in servers.items() if name != "bare-h2"}
    return table("10,000 keys at random, HTTP/1.1, 64 connections", rounds(h1, lambda port: wrk(port, FLOWS), origin), "bare")


def h2(servers, origin):
    some = {name: it for name, it in servers.items() if name in ("bare-h2", "ours", "haproxy", "varnish")}
    return table("One hot key, HTTP/2 without TLS, 16 connections of 4 streams", rounds(some, h2load, origin), "bare-h2")


def table(title, results, base):
    lines = [f"\n### {title}\n", "| contender | CPU us a request | ratio to bare hyper, by rounds | requests a CPU second | others | wrong | origin calls |", "|---|---|---|---|---|---|---|"]
    for name, rows in sorted(results.items(), key=lambda it: statistics.median(row["us"] for row in it[1])):
        middle = statistics.median(row["us"] for row in rows)
        lines.append(f"| {name} | {middle:.2f} | {ratios(rows, results[base])} | {1e6 / middle:,.0f} | {max(row['others'] for row in rows):.0%} "
                     f"| {sum(row['wrong'] for row in rows)} | {sum(row['calls'] for row in rows)} |")
    return "\n".join(lines)


def ratios(rows, base):
    """By rounds, since machines drift: the median, and the least and the most."""
    all_ = [row["us"] / other["us"] for row, other in zip(rows, base)]
    return f"**{statistics.median(all_):.2f}** ({min(all_):.2f} to {max(all_):.2f})"
