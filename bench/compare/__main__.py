"""Measures openllm beside other engines on this machine, and writes the result.

    python3 bench/compare                                          everything: five rounds, into docs/performance.md
    python3 bench/compare --models smollm2,qwen3-0.6b:q4_k_m --peers llama.cpp,openvino --rounds 1 --out /tmp/report
    python3 bench/compare --models MODEL.gguf --llama-bench PATH/llama-bench --no-install --out /tmp/report
    python3 bench/compare --report-only                            the text and the plots again, of what was measured

Engines live in a virtual environment (--venv), into which each is installed when it is first needed; or give paths. Models are the demo
models of the store (smollm2, gemma3), SHAPE:TYPE with random weights of bench/random_model.py, or files. Each round asks one engine after
the other, with the same threads, each in a process of its own. What an engine cannot do stands in the report with the reason.
--results is a file of lines to which every measurement is added at once: the same command goes on where an interrupted one ended.
Needs Python's standard library; the engines and numpy are fetched by pip.
"""
import argparse
import os
import sys

import machine
import models
import plots
import quality
import report
from peers import ALL, OURS
from peers.base import TOO_BUSY, WHAT, Absent, Failed
from results import OtherSettings, Results
from venv_of_peers import Venv

PARTS = ["speed", "quality"]
LARGE = ["prefill", "decode", "load"]  # of models of which many streams would take minutes


def words(text):
    return [word for word in text.split(",") if word]


def parse(arguments=None):
    root = models.ROOT
    names = [peer.name for peer in ALL]
    parser = argparse.ArgumentParser(prog="bench/compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=models.DEFAULT, help="names, SHAPE:TYPE, files and folders (default: %(default)s)")
    parser.add_argument("--peers", default=",".join(names), help="of " + ", ".join(names) + "; beginnings of names will do")
    parser.add_argument("--what", help="of " + ",".join(WHAT) + " (default: all; of 8B models " + ",".join(LARGE) + ")")
    parser.add_argument("--parts", default=",".join(PARTS), help="of " + ",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=machine.available_cpus(), help="of every engine (default: all CPUs, %(default)s)")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds for one measurement of one engine")
    parser.add_argument("--venv", default=os.path.join(root, ".venv-peers"))
    parser.add_argument("--no-install", action="store_true", help="take only what is there")
    parser.add_argument("--llama-bench", help="llama.cpp's, in place of the package's")
    parser.add_argument("--llama-batched-bench", help="likewise (default: the one beside llama-bench)")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH",
                        help="a Python that has this engine; models=PATH: one with numpy and gguf, to make models")
    parser.add_argument("--programs", default=os.path.join(root, "build/release/bin"), help="our build")
    parser.add_argument("--model-folder", default=os.path.join(root, "build/compare"), help="where random models are made and kept")
    parser.add_argument("--text", default=os.path.join(root, "docs/design.md"), help="of the measurement of answers")
    parser.add_argument("--quality-models", default="smollm2,gemma3")
    parser.add_argument("--quality-tokens", type=int, default=2000)
    parser.add_argument("--quality-timeout", type=float, default=7200.0, help="seconds for a model; the device `reference` is slow")
    parser.add_argument("--results", default=os.path.join(root, "build/compare/results.jsonl"))
    parser.add_argument("--out", help="folder for compare.md and the plots (default: docs, where performance.md takes them in)")
    parser.add_argument("--report-only", action="store_true")
    args = parser.parse_args(arguments)
    args.peers = [peer_named(parser, name) for name in words(args.peers)]
    args.pythons = {}
    for text in args.python:
        name, equals, path = text.partition("=")
        if not equals or not os.access(path, os.X_OK):
            parser.error(f"--python {text}: expected PEER=PATH with the path of a program")
        args.pythons["models" if name == "models" else peer_named(parser, name).name] = path
    for given, known, option in ((words(args.what or ""), WHAT, "--what"), (words(args.parts), PARTS, "--parts")):
        unknown = [name for name in given if name not in known]
        if unknown:
            parser.error(f"{option}: unknown: {', '.join(unknown)} (expected of {', '.join(known)})")
    if args.rounds < 1 or args.threads < 1:
        parser.error("--rounds and --threads: at least 1")
    return args


def peer_named(parser, name):
    """By the whole name or its beginning, in any case."""
    exact = [peer for peer in ALL if peer.name.lower() == name.lower()]
    found = exact or [peer for peer in ALL if peer.name.lower().startswith(name.lower())]
    if len(found) != 1:
        parser.error(f"engine {name}: expected one of {', '.join(peer.name for peer in ALL)}")
    return found[0]


class Context:
    """What engines need to know."""

    def __init__(self, args):
        self.threads = args.threads
        self.timeout = args.timeout
        self.venv = Venv(args.venv, not args.no_install)
        self.programs_folder = os.path.abspath(args.programs)
        given = {"llama_bench": args.llama_bench, "llama_batched_bench": args.llama_batched_bench}
        self.programs = {name: os.path.abspath(path) for name, path in given.items() if path}
        self.pythons = args.pythons

    def python_for_models(self):
        return self.pythons.get("models") or self.venv.install(["numpy", "gguf"])


def say(text):
    print(text, file=sys.stderr, flush=True)


def prepare_peers(args, context):
    """Those that are there, and the records: of the others they say why not."""
    ready, records = [], []
    for kind in args.peers:
        peer = kind(context)
        try:
            peer.prepare()
            records.append({"kind": "peer", "peer": peer.name, "version": peer.version()})
            ready.append(peer)
        except Absent as absent:
            say(f"{kind.name}: {absent}")
            records.append({"kind": "absent", "peer": kind.name, "model": None, "reason": str(absent)})
    return ready, records


def prepare_models(args, context, results):
    found = []
    for name in words(args.models):
        try:
            found.append(models.find(name, args.model_folder, context.python_for_models))
        except (models.Unavailable, Absent) as reason:
            say(f"{name}: {reason}")
            results.add(kind="absent", peer="openllm", model=name, reason=f"no model: {reason}")
    return found


def run_one(results, model, peer, round_, what):
    """One engine in one round. False: it cannot, and need not be asked again."""
    busy, load = machine.busy_share(), machine.load_average()
    values, limits, facts, reason = {}, {}, {}, None
    try:
        values, limits, facts, reason = peer.measure(model, what)
    except Absent as absent:
        results.add(kind="absent", peer=peer.name, model=model.name, reason=str(absent))
        return False
    except Failed as failed:
        reason = str(failed)
    if facts and not model.dense:
        facts["sparse"] = True  # a token meets only some of the parameters
    results.add(kind="run", peer=peer.name, model=model.name, round=round_, values=values, machine=limits, facts=facts, reason=reason,
                load_average=load, busy=busy)
    numbers = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    say(f"round {round_ + 1}, {model.name}, {peer.name}: {numbers or 'nothing'}{'; ' + reason if reason else ''}")
    return reason is None or TOO_BUSY in reason


def measure_speed(args, results, peers, found):
    for model in found:
        what = words(args.what or "") or (LARGE if model.large else WHAT)
        unable = set()
        for round_ in range(args.rounds):
            for peer in peers:
                if peer.name in unable or results.is_done(model.name, peer.name, round_, what):
                    continue
                if not run_one(results, model, peer, round_, what):
                    unable.add(peer.name)


def measure_quality(args, results, context):
    program = os.path.join(context.programs_folder, "quality")
    for name in words(args.quality_models):
        text = os.path.relpath(args.text, models.ROOT) if args.text.startswith(models.ROOT) else os.path.basename(args.text)
        about = {"model": name, "text": text, "tokens": args.quality_tokens}
        there = results.quality(name)
        if there and there["reason"] is None and all(there[key] == value for key, value in about.items()):
            continue
        values, reason = None, None
        try:
            model = models.find(name, args.model_folder, context.python_for_models)
            path = model.files.get("gguf") or model.files["folder"]
            values = quality.measure(program, path, args.text, args.quality_tokens, args.threads, args.quality_timeout)
        except (models.Unavailable, Absent, Failed) as failed:
            reason = str(failed)
        results.add(kind="quality", **about, values=values, reason=reason)
        say(f"quality of {name}: {values or reason}")


def titles_of(results):
    titles = {}
    for name in results.models():
        shape, colon, type_ = name.partition(":")
        titles[name] = models.TITLES.get(name) or (f"{shape}, {type_.upper()}, random weights" if colon else os.path.basename(name))
    return titles


def write_report(args, results):
    folder = args.out or os.path.join(models.ROOT, "docs")
    os.makedirs(folder, exist_ok=True)
    titles = titles_of(results)
    written = []
    for name, about, draw in (("performance-ratio.svg", "Ratios to other engines", plots.ratio_plot),
                              ("performance-share.svg", "Shares of bandwidth and arithmetic", plots.share_plot)):
        picture = draw(results, titles)
        if picture:
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(picture)
            written.append((name, about))
    body = report.render(results, titles, written)
    path = os.path.join(folder, "compare.md" if args.out else "performance.md")
    if not args.out:
        with open(path, encoding="utf-8") as file:
            body = report.replace_between(file.read(), body)
    with open(path, "w", encoding="utf-8") as file:
        file.write(body)
    say(f"written: {path}")


def main():
    args = parse()
    results = Results(args.results)
    if not args.report_only:
        context = Context(args)
        peers, records = prepare_peers(args, context)
        ours = [peer for peer in peers if peer.name in OURS]
        settings = {"cpu": machine.cpu_name(), "threads": args.threads, "build": ours[0].fingerprint() if ours else None}
        try:
            results.require_settings(settings)
        except OtherSettings as other:
            raise SystemExit(f"{args.results} has results of something else ({other}); "
                             "give another file by --results, or remove it") from other
        for record in records:
            results.add(**record)
        found = prepare_models(args, context, results)
        if "speed" in words(args.parts):
            measure_speed(args, results, peers, found)
        if "quality" in words(args.parts):
            measure_quality(args, results, context)
    write_report(args, results)


if __name__ == "__main__":
    main()
