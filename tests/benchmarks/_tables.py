# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Makes the tables of docs/speed.md from compare.py's results.  tests/system/test_benchmarks.py compares them."""

NAMES = {
    "impersonate": "`with replace.impersonate(alice)`",
    "os": "`os.setgroups`, `os.setresgid`, `os.setresuid` under a lock",
    "ctypes": "ctypes: `libc.syscall(...)`, unverified",
    "pyprctl": "`pyprctl.cap_set_ids(...)`",
    "worker": "a process per user, asked through a pipe",
    "pool": "a `ProcessPoolExecutor` per user",
}


def short(us):
    """A time with three digits and its unit."""
    unit, size = next((unit, size) for unit, size in (("us", 1), ("ms", 1e3), ("s", 1e6)) if us < 1000 * size)
    value = us / size
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {unit}"


def plural(workers):
    return f"{workers} worker{'s' * (workers > 1)}"


def kind(row):
    return f"{row['how']}, {plural(row['workers'])}, {row['cores']} core{'s' * (row['cores'] == 'all')}"


def among(row):
    return f"{plural(row['workers'])}, {row['in_flight'] or 'all'} in flight"


def spread(row):
    """The median.  If the slowest round took over three times as long as the fastest: also the range."""
    apart = f" ({short(row['low'])} to {short(row['high'])})" if row["high"] > 3 * row["low"] else ""
    return short(row["us"]) + apart


def markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def switches(found, busy):
    rows = [row for row in found["switches"] if bool(row["busy"]) == busy]
    counts = sorted({row["threads"] for row in rows})
    body = []
    for way, name in NAMES.items():
        cells = {row["threads"]: row for row in rows if row["way"] == way}
        if cells:
            changed = "all" if any(row["others_changed"] for row in cells.values()) else "one"
            body.append(
                [name, *(spread(cells[count]) if busy else short(cells[count]["us"]) for count in counts), changed]
            )
        else:
            body.append([f"{name}: {found['left_out'][way]}", *[""] * (len(counts) + 1)])
    what = "threads, 4 of them busy" if busy else "threads, the others idle"
    return markdown([what, *counts, "threads that change"], body)


def memory(found):
    identities, workers = found["identities"], found["workers"]
    each = [round(identities[key] / identities["count"]) for key in ("traced", "grown")]
    uss, pss = (round(workers[key] / 1024) for key in ("uss", "pss"))
    return markdown(
        ["for each user", "memory"],
        [
            ["an `Identity` of 16 groups", f"{each[0]} bytes allocated, the process grows by {each[1]}"],
            [
                "a worker process, forked",
                f"{uss} KiB of its own (USS), {pss} KiB with its share (PSS); {workers['start_ms']:.1f} ms to start",
            ],
        ],
    )


def executor(found):
    rows = [
        [
            kind(row),
            short(row["ours"]),
            short(row["theirs"]),
            f"{row['ratio']:.2f}",
        ]
        for row in found["executor"]["ratios"]
    ]
    return markdown(["a task of the same user", "`IdentityExecutor`", "`ThreadPoolExecutor`", "ratio"], rows)


def changes(found):
    names = {
        "same": "one user",
        "random": "64 users at random",
        "each": "64 users, `acting_as` on a `ThreadPoolExecutor`",
    }
    rows = [
        [
            names[row["who"]],
            row["workers"],
            row["in_flight"] or "all",
            row["tasks"],
            row["changes"],
            f"{row['changes'] / row['tasks']:.2f}",
        ]
        for row in found["executor"]["changes"]
    ]
    return markdown(["tasks of", "workers", "in flight", "tasks", "changes", "a task"], rows)


def limits(found):
    rows = [
        [
            row["what"],
            f"{row['seen']:.2f}".removesuffix(".00"),
            row["limit"],
            "ok" if row["seen"] <= row["limit"] else "ABOVE",
        ]
        for row in found["limits"]
    ]
    return markdown(["what", "seen", "limit", ""], rows)


def tables(found):
    """Return {name: Markdown}."""
    return {
        "idle": switches(found, busy=False),
        "busy": switches(found, busy=True),
        "memory": memory(found),
        "executor": executor(found),
        "changes": changes(found),
        "limits": limits(found),
    }
