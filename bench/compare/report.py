"""Results to the text and tables of docs/performance.md."""
import datetime

import quality
from peers import OURS
from peers.base import WHAT

BEGIN = "<!-- compare:begin -->"
END = "<!-- compare:end -->"
HEADINGS = {"prefill": "prefill 512", "decode": "decode 128", "8 streams": "8 streams", "32 streams": "32 streams", "load": "load (s)"}
LIMITS = {"read_gb_per_s": "GB/s read", "f32_gflop_per_s": "GFLOP/s F32", "int8_gop_per_s": "GOP/s INT8",
          "bf16_gflop_per_s": "GFLOP/s BF16", "int8_tiles_gop_per_s": "GOP/s INT8 tiles", "bf16_tiles_gflop_per_s": "GFLOP/s BF16 tiles"}
SHORT = {key: words.split(" ", 1)[1] for key, words in LIMITS.items()}
BUSY = 0.1  # share of the CPUs from which on others are said to have disturbed


def number(value):
    if value < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def range_of(summary):
    if summary.n == 1:
        return number(summary.median)
    return f"{number(summary.median)} ({number(summary.low)}-{number(summary.high)})"


def ratio(what, ours, theirs):
    """How much better ours is: of times the other way round."""
    return theirs / ours if what == "load" else ours / theirs


def gop_per_token(facts, what):
    """Two operations per parameter; of a prompt only the last token meets the output matrix."""
    skipped = facts["n_embedding_parameters"] if what == "prefill" else 0
    return 2e-9 * (facts["n_parameters"] - skipped)


def peaks(facts, machine):
    """[(name, GOP/s)] of the arithmetic that a model's weights allow: 8 bits where they are quantised."""
    quantised = any(letter in facts["weight_types"] for letter in "QX")
    vectors, tiles = ("int8_gop_per_s", "int8_tiles_gop_per_s") if quantised else ("f32_gflop_per_s", "bf16_tiles_gflop_per_s")
    if not quantised and not known(machine, tiles):
        tiles = "bf16_gflop_per_s"
    return [(SHORT[key], machine[key].median) for key in (vectors, tiles) if known(machine, key)]


def known(machine, key):
    return key in machine and machine[key].median > 0


def shares(results, model, what, rate):
    """[(name, share)] of the machine that a rate takes; nothing where it cannot be said."""
    facts, machine = results.facts(model), results.machine(model)
    if not facts or not machine or facts.get("sparse") or what == "load":
        return []
    if what == "decode":
        return [("bandwidth", 1e-9 * facts["weight_bytes"] * rate / machine["read_gb_per_s"].median)]
    return [(name, gop_per_token(facts, what) * rate / peak) for name, peak in peaks(facts, machine)]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def columns_of(results, model):
    return [what for what in WHAT if any(what in run["values"] for run in results.runs(model))]


def engine_row(results, model, peer, columns):
    cells = []
    for what in columns:
        theirs = results.summary(model, peer, what)
        ours = results.summary(model, OURS[0], what)
        if theirs is None:
            cells.append("-")
        elif peer == OURS[0] or ours is None:
            cells.append(range_of(theirs))
        else:
            cells.append(f"{range_of(theirs)} x{ratio(what, ours.median, theirs.median):.2f}")
    version = results.version(peer)
    return [f"{peer} {version}" if version and peer != "openllm fast" else peer, *cells]


def best_row(results, model, columns):
    """Ours against the best of the others."""
    cells = []
    for what in columns:
        ours = results.summary(model, OURS[0], what)
        others = [results.summary(model, peer, what) for peer in results.peers() if peer not in OURS]
        others = [summary.median for summary in others if summary]
        if ours is None or not others:
            cells.append("-")
        else:
            cells.append(f"{min(ratio(what, ours.median, other) for other in others):.2f}")
    return ["openllm over the best other", *cells]


def share_row(results, model, peer, columns):
    cells = []
    for what in columns:
        summary = results.summary(model, peer, what)
        found = shares(results, model, what, summary.median) if summary else []
        cells.append(", ".join(f"{100 * share:.0f} % {name}" for name, share in found) or "-")
    return [f"{peer}: share of the machine", *cells]


def absences(results, model):
    """A line for each engine that is there and has no numbers of this model, or not all of them."""
    lines = []
    for peer in results.peers():
        reason = results.absence(model, peer)
        if reason:
            lines.append(f"- {peer}: {reason}")
    return lines


def model_section(results, model, title):
    columns = columns_of(results, model)
    machine = results.machine(model)
    lines = [f"### {title}", ""]
    if columns:
        with_numbers = [peer for peer in results.peers() if any(results.summary(model, peer, what) for what in columns)]
        rows = [engine_row(results, model, peer, columns) for peer in with_numbers]
        rows.append(best_row(results, model, columns))
        rows += [share_row(results, model, peer, columns) for peer in OURS if peer in with_numbers]
        lines += table(["tokens/s", *(HEADINGS[what] for what in columns)], rows)
    reasons = absences(results, model)
    if reasons:
        lines += [*([""] if columns else []), "Not measured:", "", *reasons]
    if machine:
        limits = [f"{number(machine[key].median)} {words}" for key, words in LIMITS.items() if known(machine, key)]
        lines += ["", f"The machine in the same rounds: {', '.join(limits)}."]
    return lines + [""]


def noise(results):
    """How busy the machine was with other work, and a warning where that was much."""
    runs = [run for model in results.models() for run in results.runs(model) if run.get("busy") is not None]
    if not runs:
        return []
    busy = sorted(run["busy"] for run in runs)
    loads = [run["load_average"] for run in runs]
    lines = [f"Load average before the runs {min(loads):.1f} to {max(loads):.1f}; others took {100 * busy[len(busy) // 2]:.0f} % "
             f"of the CPUs (median; at most {100 * busy[-1]:.0f} %)."]
    disturbed = sum(value > BUSY for value in busy)
    if disturbed:
        lines.append(f"**The machine was busy:** in {disturbed} of {len(busy)} runs others took more than {100 * BUSY:.0f} % of it. "
                     "Only ratios mean something then, and they less than usual.")
    return lines


def quality_section(results):
    found = [(model, results.quality(model)) for model in results.models() if results.quality(model)]
    if not found:
        return []
    rows, reasons = [], []
    for model, record in found:
        for name, values in (record.get("values") or {}).items():
            verdict = "holds" if quality.holds(values) else "does not hold"
            rows.append([model, name, f"{values['mean_kl']:.1e}", f"{values['largest_kl']:.1e}", f"{100 * values['equal_top']:.2f} %",
                         verdict])
        if record.get("reason"):
            reasons.append(f"- {model}: {record['reason']}")
    about = found[0][1]
    lines = ["### Answers", "",
             f"KL divergence from f32 activations (device `reference`) of every next token, {about['tokens']} tokens of `{about['text']}`.",
             f"The bound is a mean of {quality.MAX_MEAN_KL:.0e} and {100 * quality.MIN_EQUAL_TOP:.1f} % equal top tokens.", ""]
    lines += table(["model", "activations", "mean KL", "largest KL", "equal top token", "bound"], rows) if rows else []
    return lines + ([""] + reasons if reasons else []) + [""]


def render(results, titles, plots, now=None):
    """The whole text between the marks. `titles`: of models by name; `plots`: [(file, what it shows)]."""
    settings = results.settings() or {}
    rounds = max((run["round"] for model in results.models() for run in results.runs(model)), default=-1) + 1
    day = (now or datetime.date.today()).isoformat()
    lines = [f"Written by `python3 bench/compare` on {day}: {settings.get('cpu', 'unknown')}, {settings.get('threads', '?')} threads, "
             f"medians of {rounds} interleaved round{'' if rounds == 1 else 's'} (smallest-largest).",
             "After x: how many times as fast openllm is.",
             "*Load* is from the start of a process to its first token behind 8. Shares count the file's bytes once a token and two",
             "operations per parameter, against the limits measured in the same rounds; tiles are AMX.", ""]
    lines += [*noise(results), ""]
    if results.not_there():
        lines += ["Engines that are not there:", "", *(f"- {peer}: {reason}" for peer, reason in results.not_there()), ""]
    for file, about in plots:
        lines += [f"![{about}]({file})", ""]
    for model in results.models():
        if results.runs(model) or absences(results, model):
            lines += model_section(results, model, titles.get(model, model))
    lines += quality_section(results)
    return "\n".join(lines).rstrip() + "\n"


def replace_between(text, body):
    """Raises ValueError where a mark is missing or they are not in order."""
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise ValueError(f"no {BEGIN} with {END} behind it")
    return text[: begin + len(BEGIN)] + "\n" + body + text[end:]
