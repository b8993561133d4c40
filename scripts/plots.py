#!/usr/bin/env python3
"""Draws the plots of docs/BENCHMARKS.md from records alone: plots.py RECORDS PLOTS.

The same records give the same bytes. Each plot names its records, with a checksum of each, so that
the tests can see whether the plot is up to date.
"""

import json
import re
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

# Readable on white and on black. Text takes the colour of the reader's theme: see THEME.
INK = "#6e7781"
GRID = "#8b949e"
COLOURS = {"uring": "#2f81f7", "threads": "#db6d28", "sync": "#a8b1ba"}
LOADS = ["#a8b1ba", "#db6d28", "#2f81f7", "#3fb950"]
OURS, THEIRS = "#2f81f7", "#a8b1ba"
THEME = """<style>
text { fill: #24292f !important; font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 !important; } }
</style>"""

plt.rcParams.update(
    {
        "svg.hashsalt": "psm-uring",
        "svg.fonttype": "none",
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


class Records:
    """The records, and the names and checksums of those that the current plot uses."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.used = []

    def load(self, name):
        path = self.directory / f"{name}.json"
        try:
            raw = path.read_bytes()
        except OSError as error:
            sys.exit(f"plots.py: {path}: {error.strerror}: measure it with scripts/benchmarks.sh {name}")
        self.used.append(f"{name}={fnv1a(raw):016x}")
        return json.loads(raw)

    def runs(self, name):
        return self.load(name)["runs"]


def fnv1a(raw):
    """A checksum that the tests compute without a crate."""
    found = 0xCBF29CE484222325
    for byte in raw:
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found


def milliseconds(run):
    """The times of all rounds, sorted."""
    return sorted(ns / 1e6 for ns in run["wall_ns"]["all"])


def median(values):
    """The upper one of an even number, as in the records."""
    return statistics.median_high(values)


def label(ms):
    if ms >= 1000:
        return f"{ms / 1000:.2f} s"
    return f"{ms:.0f} ms" if ms >= 100 else f"{ms:.1f} ms"


def bars(axes, rows):
    """One bar for each row, the first on top: the median, and a line from the shortest to the longest."""
    axes.set_yticks(range(len(rows)), [name for name, _, _, _ in rows])
    axes.invert_yaxis()
    longest = max(times[-1] for _, times, _, _ in rows)
    for place, (_, times, colour, text) in enumerate(rows):
        axes.barh(place, median(times), height=0.66, color=colour)
        axes.plot([times[0], times[-1]], [place, place], color=INK, linewidth=1.4)
        axes.text(times[-1] + longest * 0.02, place, text, va="center")
    axes.set_xlim(0, longest * 1.32)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])


def engines(records):
    """Small multiples: each crowd has its own scale, because ratios within a crowd count."""
    crowds = [
        ("engines-small", "small: 2,000 processes of 100 mappings"),
        ("engines-many", "many: 10,000 processes of 60 mappings"),
        ("engines-swapped", "swapped: 2,000 processes, titles on disk"),
        ("engines-smaps", "small, --source smaps"),
        ("engines-idle", "idle: the host as it is"),
    ]
    figure, panels = plt.subplots(len(crowds), 1, figsize=(7.2, 6.6), layout="constrained")
    figure.get_layout_engine().set(hspace=0.08)
    for axes, (name, title) in zip(panels, crowds, strict=True):
        runs = {run["name"]: milliseconds(run) for run in records.runs(name)}
        threads = median(runs["threads"])
        rows = []
        for engine in ("uring", "threads", "sync"):
            middle = median(runs[engine])
            text = label(middle) if engine == "threads" else f"{label(middle)}, {middle / threads:.2f} ×"
            rows.append((engine, runs[engine], COLOURS[engine], text))
        bars(axes, rows)
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    return figure


def sizes(records):
    """Time, and time per process, by number of processes."""
    counts = [100, 200, 500, 1000, 2000, 5000, 10000, 20000]
    by_engine = {engine: [] for engine in COLOURS}
    for count in counts:
        for run in records.runs(f"size-{count}"):
            by_engine[run["name"]].append((run["measured"]["median"], median(milliseconds(run))))
    figure, (whole, each) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for engine, points in by_engine.items():
        measured = [count for count, _ in points]
        style = {"color": COLOURS[engine], "marker": "o", "markersize": 3.5, "label": engine}
        whole.plot(measured, [ms for _, ms in points], **style)
        each.plot(measured, [ms * 1000 / count for count, ms in points], **style)
    for axes, title in ((whole, "whole command, ms"), (each, "per process, µs")):
        axes.set_xscale("log")
        axes.set_xticks(counts, [f"{count:,}" for count in counts], rotation=40)
        axes.minorticks_off()
        axes.set_xlabel("processes")
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axes.grid(axis="y", color=GRID, alpha=0.25, linewidth=0.8)
        axes.set_axisbelow(True)
    whole.set_yscale("log")
    whole.set_yticks([2, 5, 10, 20, 50, 100, 200, 500, 1000], None)
    whole.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    whole.minorticks_off()
    each.set_ylim(bottom=0)
    whole.legend(frameon=False, loc="upper left")
    return figure


def rivals(records):
    """All tools on one scale, with the ratio to psm-uring."""
    runs = [(run["name"], milliseconds(run)) for run in records.runs("rivals")]
    ours = median(dict(runs)["psm-uring"])
    rows = []
    for name, times in sorted(runs, key=lambda run: median(run[1])):
        middle = median(times)
        text = label(middle) if name == "psm-uring" else f"{label(middle)}, {middle / ours:.1f} ×"
        rows.append((name, times, OURS if name == "psm-uring" else THEIRS, text))
    figure, axes = plt.subplots(figsize=(7.2, 2.6), layout="constrained")
    bars(axes, rows)
    axes.set_title("small: 2,000 processes, whole command", loc="left", fontsize=10, fontweight="bold")
    return figure


def latency(records):
    """The last percentiles of an mmap in a measured process, on one scale for all commands."""
    processes = [
        ("latency", "2 GiB in pages of 4 KiB"),
        ("latency-8g", "8 GiB in pages of 4 KiB"),
        ("latency-mappings", "30,000 mappings"),
    ]
    percentiles = ["p99", "p999", "p9999"]
    figure, panels = plt.subplots(1, 3, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axes, (name, title) in zip(panels, processes, strict=True):
        for run, colour in zip(records.runs(name), LOADS, strict=False):
            times = [run[f"mmap_{key}_ns"]["median"] / 1e6 for key in percentiles]
            axes.plot(times, color=colour, marker="o", markersize=3.5, label=run["name"])
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} ms")
        axes.set_xticks(range(3), ["99 %", "99.9 %", "99.99 %"])
        axes.minorticks_off()
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axes.grid(axis="y", color=GRID, alpha=0.25, linewidth=0.8)
        axes.set_axisbelow(True)
    panels[0].legend(frameon=False, loc="upper left")
    return figure


def save(figure, path, used):
    figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    text = path.read_text()
    # Behind the opening tag: the records, and the colours of the reader's theme.
    head = f"<!-- records: {' '.join(used)} -->\n{THEME}\n"
    text = re.sub(r"(<svg[^>]*>\n)", lambda tag: tag[1] + head, text, count=1)
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
    plt.close(figure)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: plots.py RECORDS PLOTS, two directories")
    for draw in (engines, sizes, rivals, latency):
        records = Records(sys.argv[1])
        figure = draw(records)
        directory = Path(sys.argv[2])
        directory.mkdir(parents=True, exist_ok=True)
        save(figure, directory / f"{draw.__name__}.svg", records.used)


if __name__ == "__main__":
    main()
