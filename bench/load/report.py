"""Numbers to tables."""


def percentile(values, percent):
    """The nearest rank; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    rank = -(-percent * len(ordered) // 100)
    return ordered[max(0, int(rank) - 1)]


def shown(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if value < 10 else f"{value:.1f}"
    return str(value)


def table(title, columns, rows):
    """`rows`: lists as long as `columns`."""
    cells = [list(columns)] + [[shown(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths)) for line in cells]
    rule = "-|-".join("-" * width for width in widths)
    return "\n".join(["", title, "", f"| {lines[0]} |", f"|-{rule}-|"] + [f"| {line} |" for line in lines[1:]])


OVERLOAD = ["server", "load", "offered_per_s", "goodput", "of max", "tokens_per_s", "n_refused", "n_late", "n_failed",
            "first_p50", "first_p99", "answer_p50", "answer_p99", "retry_after_p50", "retry_after_max", "healthz_max"]


def overload_rows(name, result):
    rows = []
    for load, values in result["loads"].items():
        values = dict(values, **{"server": name, "load": load, "of max": values["goodput"] / result["capacity"]["rate"]})
        rows.append([values[column] for column in OVERLOAD])
    return rows


def print_all(results):
    """`results`: one per server and round, as the program collects them."""
    if any("loads" in r for r in results):
        rows = [row for r in results if "loads" in r for row in overload_rows(r["server"], r)]
        print(table("Goodput: answers within 10 s, per second", OVERLOAD, rows))
        columns = ["server", "capacity /s", "tokens/s", "peak MiB", "idle after"]
        print(table("Maximum (closed loop)", columns,
                    [[r["server"], r["capacity"]["rate"], r["capacity"]["tokens_per_s"], r["peak_mib"], r["idle_after"]]
                     for r in results if "loads" in r]))
    for part, title in (("retries", "Clients with two retries, at the end of the load"),
                        ("flood", "One key's flood beside another key's requests"),
                        ("crowd", "Idle connections, readers that never read, clients that go away")):
        chosen = [r for r in results if part in r]
        if chosen:
            keys = list(chosen[0][part])
            print(table(title, ["server"] + keys, [[r["server"]] + [r[part][k] for k in keys] for r in chosen]))
    scenes = [(r["server"], name, s) for r in results for name, s in r.get("scenes", {}).items()]
    if scenes:
        keys = ["n", "n_failed", "p50", "p99", "max", "large_p50"]
        print(table("A one-token request every half second (s)", ["server", "beside"] + keys,
                    [[server, name] + [s[k] for k in keys] for server, name, s in scenes]))
    gaps = [r for r in results if "gaps" in r]
    if gaps:
        columns = ["server", "gap p50", "p99", "max", "with 4k: p50", "p99", "max", "p99 ratio", "prefill alone", "beside"]
        rows = []
        for r in gaps:
            g = r["gaps"]
            ratio = g["with"]["p99"] / g["without"]["p99"] if g["with"]["p99"] else None
            rows.append([r["server"]] + [g["without"][k] for k in ("p50", "p99", "max")]
                        + [g["with"][k] for k in ("p50", "p99", "max")] + [ratio, g["prefill_alone"], g["prefill_beside"]])
        print(table("Gap between tokens of 4 streams (s)", columns, rows))
