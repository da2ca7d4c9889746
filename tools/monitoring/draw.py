"""Draws the dashboard's panels, from what a real Prometheus answers to their expressions.

Usage: draw.py FILE SECONDS
"""

import datetime
import math
import re
import shutil
import sys
import time

import dashboard
import load
import matplotlib
import numpy

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: E402
from PIL import Image  # noqa: E402

# Inches for one column and one row of Grafana's grid, at so many dots an inch.
COLUMN, LINE, DOTS = 0.6, 0.4, 80
COLOURS = 48
# Nobody reads more names than that under one panel.
NAMES = 9
STEPS = {"s": [(1, "s"), (1e-3, "ms"), (1e-6, "µs")], "bytes": [(2**20, "MiB"), (2**10, "KiB"), (1, "B")]}
PAPER, CARD, INK, FAINT = "#111217", "#181b1f", "#ccccdc", "#33363c"


def spelled(value, unit):
    if not math.isfinite(value):
        return "no data"
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit in STEPS:
        size, name = next((step for step in STEPS[unit] if abs(value) >= step[0]), STEPS[unit][-1])
        return f"{value / size:.3g} {name}" if value else "0"
    ending = {"reqps": "/s", "ops": "/s", "d": " days"}.get(unit, "")
    return f"{value:.3g}{ending}" if abs(value) < 1000 else f"{value:,.0f}{ending}"


def legend(target, labels):
    form = target["legendFormat"] or target["refId"]
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), form)


def series(source, panel, seconds):
    """Name, times and values of each series of a panel."""
    for target in panel["targets"]:
        expression = dashboard.filled(target["expr"], seconds)
        if target.get("instant"):
            found = [{**one, "values": [one["value"]]} for one in source.query(expression)]
        else:
            found = source.range(expression, seconds)
        for one in found:
            times, values = zip(*((float(at), float(value)) for at, value in one["values"]), strict=True)
            yield legend(target, one["metric"]), times, values


def lines(axes, panel, found, begin):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    bottom = {}
    hidden = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    # Those that say something come first; what is always zero has no place in the legend.
    shown = [one for one in found if one[0] not in hidden]
    loud = sorted((one for one in shown if any(one[2])), key=lambda one: -max(filter(math.isfinite, one[2]), default=0))
    for name, times, values in loud or shown:
        label = name if len(axes.lines) < NAMES else None
        if stacked:
            values = [value + bottom.get(at, 0) for at, value in zip(times, values, strict=True)]
            under = [bottom.get(at, 0) for at in times]
            bottom.update(zip(times, values, strict=True))
        since = [at - begin for at in times]
        [line] = axes.plot(since, values, linewidth=1, label=label)
        if stacked:
            axes.fill_between(since, under, values, color=line.get_color(), alpha=0.3, linewidth=0)
    # Room for the names.
    axes.set_ylim(bottom=0, top=1.3 * max(axes.get_ylim()[1], 1e-6))
    axes.margins(x=0)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: spelled(value, unit)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} s"))
    axes.tick_params(colors=INK, labelsize=6, length=0)
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=5.5, loc="upper left", labelcolor=INK, facecolor=CARD, edgecolor=FAINT, ncols=2)


def number(axes, panel, found):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    value = next((values[-1] for _, _, values in found), math.nan)
    middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.45, spelled(value, unit), color="#73bf69", size=17, **middle)
    axes.set_xticks([])
    axes.set_yticks([])


def draw(source, file, seconds):
    whole = dashboard.load()
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in whole["panels"])
    width = 24 * COLUMN
    figure = plt.figure(figsize=(width, height * LINE), dpi=DOTS, facecolor=PAPER)
    begin = time.time() - seconds

    def place(grid, top, side):
        """A panel's rectangle in parts of the whole, with room for its title and its numbers."""
        left, right = grid["x"] + side, grid["x"] + grid["w"] - 0.15
        upper, lower = grid["y"] + top, grid["y"] + grid["h"] - 0.75
        return [left / 24, 1 - lower / height, (right - left) / 24, (lower - upper) / height]

    for panel in whole["panels"]:
        grid = panel["gridPos"]
        if panel["type"] == "row":
            at = 1 - (grid["y"] + 0.7) / height
            figure.text(0.15 / 24, at, panel["title"], color=INK, size=10, weight="bold")
            continue
        stat = panel["type"] == "stat"
        axes = figure.add_axes(place(grid, 0.9, 0.15 if stat else 1.1), facecolor=CARD)
        for spine in axes.spines.values():
            spine.set_color(FAINT)
        axes.set_title(panel["title"], color=INK, size=8, loc="left", pad=3)
        found = list(series(source, panel, seconds))
        if stat:
            number(axes, panel, found)
        else:
            lines(axes, panel, found, begin)
    figure.canvas.draw()
    picture = Image.fromarray(numpy.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    # A palette: a third of the size, and nobody sees it.
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def main():
    file, seconds = sys.argv[1], int(sys.argv[2])
    print(f"picture: callers for {datetime.timedelta(seconds=seconds)}")
    with load.under_load(shutil.which("prometheus"), seconds) as source:
        draw(source, file, seconds)
    print(f"picture: {file}")


if __name__ == "__main__":
    main()
