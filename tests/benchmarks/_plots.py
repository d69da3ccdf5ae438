# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Draws docs/plots/*.svg from compare.py's results.  The same results give the same bytes.

Text is mid-grey without a background, so that it is readable on white and on black.  It is stored as text, and the
browser draws it: the outlines of its letters would be most of the file.
"""

import io
import re

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from _tables import among, kind  # noqa: E402
from matplotlib.ticker import FuncFormatter  # noqa: E402

GREY = "#808080"
# Colours of Okabe and Ito, which most colour-blind people can tell apart. Each line also has a different marker.
LOOKS = {
    "impersonate": ("replace.impersonate", "#0090d0", "o", "-"),
    "os": ("os.set* under a lock", "#d55e00", "s", "-"),
    "ctypes": ("ctypes syscall", "#e69f00", "^", "--"),
    "pyprctl": ("pyprctl.cap_set_ids", "#cc79a7", "v", "--"),
    "worker": ("process per user, pipe", "#009e73", "D", ":"),
    "pool": ("ProcessPoolExecutor per user", "#8a63d2", "x", ":"),
}
STYLE = {
    "svg.hashsalt": "libreplace",
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), GREY
    ),
}


def duration(us, _=None):
    unit, size = ("us", 1) if us < 999 else ("ms", 1e3) if us < 999e3 else ("s", 1e6)
    return f"{us / size:g} {unit}"


def operations(found):
    """Draw the time of one operation against the number of threads: idle and busy, side by side on one scale."""
    figure, panels = plt.subplots(1, 2, sharey=True, figsize=(9, 4.8), layout="constrained")
    for panel, busy in zip(panels, (False, True), strict=True):
        rows = [row for row in found["switches"] if bool(row["busy"]) == busy]
        counts = sorted({row["threads"] for row in rows})
        for way, (label, colour, marker, line) in LOOKS.items():
            points = sorted((row["threads"], row["us"], row["low"], row["high"]) for row in rows if row["way"] == way)
            if points:
                x, y, low, high = zip(*points, strict=True)
                panel.plot(x, y, color=colour, marker=marker, linestyle=line, label=label)
                panel.vlines(x, low, high, color=colour, linewidth=4, alpha=0.4)
        panel.set(xscale="log", yscale="log", xlabel="threads in the process")
        panel.set_title("4 threads run Python" if busy else "the other threads wait", fontsize=10)
        panel.set_xticks(counts, [str(count) for count in counts], fontsize=9)
        panel.minorticks_off()
        panel.yaxis.set_major_formatter(FuncFormatter(duration))
        panel.grid(True)
    panels[0].set_ylabel("one operation: to the user and back")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def bars(panel, labels, values, texts, colours, limit=None):
    """Draw horizontal bars with their values in a column on the right, and a line at the limit."""
    places = range(len(labels))[::-1]
    panel.barh(places, values, height=0.6, color=colours)
    panel.set_yticks(places, labels)
    for place, text in zip(places, texts, strict=True):
        panel.text(1.01, place, text, va="center", transform=panel.get_yaxis_transform())
    if limit:
        panel.axvline(limit[0], color="#d55e00", linestyle="--")
        panel.set_title(limit[1], fontsize=10, loc="left")


def memory(found):
    figure, panel = plt.subplots(figsize=(9, 1.9), layout="constrained")
    identities, workers = found["identities"], found["workers"]
    values = [identities["grown"] / identities["count"], workers["uss"]]
    bars(
        panel,
        ["an Identity of 16 groups", "a worker process (USS)"],
        values,
        [f"{values[0]:.0f} bytes", f"{values[1] / 1024:.0f} KiB"],
        [LOOKS["impersonate"][1], LOOKS["worker"][1]],
    )
    panel.set(xscale="log", xlabel="memory for each user (logarithmic)", xlim=(10, 1e7))
    panel.set_xticks([10, 1e3, 1e5, 1e7], ["10 B", "1 kB", "100 kB", "10 MB"])
    panel.minorticks_off()
    return figure


def executor(found):
    rows, counted = found["executor"]["ratios"], found["executor"]["changes"]
    figure, panels = plt.subplots(
        2, 1, figsize=(9, 5.6), layout="constrained", height_ratios=[len(rows), len(counted) or 1]
    )
    bars(
        panels[0],
        [f"one user, {kind(row)}" for row in rows],
        [row["ratio"] for row in rows],
        [f"{row['ratio']:.2f}" for row in rows],
        LOOKS["impersonate"][1],
        (1, "time of a task, compared with ThreadPoolExecutor (1)"),
    )
    panels[0].set_xlim(0, max(1.3, *(row["ratio"] for row in rows)))
    names = {"same": "one user", "random": "64 users", "each": "64 users, acting_as"}
    bars(
        panels[1],
        [f"{names[row['who']]}, {among(row)}" for row in counted],
        [row["changes"] / row["tasks"] for row in counted],
        [f"{row['changes'] / row['tasks']:.2f}" for row in counted],
        LOOKS["impersonate"][1],
        (6, "credential-changing system calls for each task (6: in and out each time)"),
    )
    panels[1].set_xlim(0, 6.6)
    return figure


def shortened(svg):
    """Round to hundredths of a point, and remove white space, rotations by 0, and elements that draw nothing."""
    svg = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    svg = re.sub(r"<metadata>.*?</metadata>|<!-- .*? -->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="patch_\d+">\s*<path [^>]*style="fill: none"/>\s*</g>', "", svg)
    return re.sub(r">\s+<", ">\n<", re.sub(r" *\n(?! *<)", " ", svg))


def draw(found, folder):
    """Write operations.svg, memory.svg and executor.svg, without a date."""
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for make in (operations, memory, executor):
            figure, written = make(found), io.StringIO()
            figure.savefig(written, metadata={"Date": None, "Creator": None})
            plt.close(figure)
            (folder / f"{make.__name__}.svg").write_text(shortened(written.getvalue()))
