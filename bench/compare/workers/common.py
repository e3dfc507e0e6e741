"""Measures an engine that gives tokens for prompts of ids; runs inside that engine's Python.

A worker calls main() with a function that loads a model: load(path, threads) -> generate(prompts, n_new), which returns when all prompts
have n_new tokens each. Every number is printed at once, so that a later failure does not take it along.
"""
import argparse
import json
import os
import random
import time

BEGIN = float(os.environ.get("COMPARE_BEGIN", time.time()))  # of the process, by the one that started it


def emit(**values):
    print("VALUE " + json.dumps(values), flush=True)


def prompts(count, length, rng=random.Random(1)):
    """Ids that differ from call to call, so that no prefix is shared, in the range of every model here."""
    return [[rng.randrange(300, 30000) for _ in range(length)] for _ in range(count)]


def seconds(generate, count, length, n_new):
    given = prompts(count, length)
    begin = time.perf_counter()
    generate(given, n_new)
    return time.perf_counter() - begin


def seconds_between(generate, count, length, few, many):
    """What `many` tokens take longer than `few`. Other work on the machine may turn that round: three attempts."""
    for _ in range(3):
        less = seconds(generate, count, length, few)
        more = seconds(generate, count, length, many)
        if more > less:
            return more - less
    raise SystemExit("error: the machine was too busy to tell")


def measure(generate, what):
    """As bench/model_bench.cc does. Load first: it is the time of the first token of this process."""
    generate(prompts(1, 8), 1)
    if "load" in what:
        emit(load=time.time() - BEGIN)
    generate(prompts(1, 8), 4)
    if "prefill" in what:
        seconds(generate, 1, 512, 1)  # some compile for each length
        emit(prefill=512 / seconds(generate, 1, 512, 1))
    if "decode" in what:
        emit(decode=128 / seconds_between(generate, 1, 8, 1, 129))
    for name in what:
        if name.endswith("streams"):
            n = int(name.split()[0])
            generate(prompts(n, 8), 4)
            emit(**{name: n * 64 / seconds_between(generate, n, 125, 1, 65)})


def main(load, version):
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--what", default="load,prefill,decode")
    parser.add_argument("--version", action="store_true")
    args = parser.parse_args()
    if args.version:
        print(version())
        return
    measure(load(args.model, args.threads), args.what.split(","))
