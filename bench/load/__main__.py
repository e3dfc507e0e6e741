"""Offers servers more than they can do, and shows what comes of it.

    python3 bench/load --model M                                        goodput, retries, scenes and gaps of one build
    python3 bench/load --model M --server new=build/release/bin/openllm --server old=OTHER/bin/openllm --rounds 3
    python3 bench/load --model M --trace AzureLLMInferenceTrace_conv.csv --scale 10 --parts overload --seconds 60

Requests have the lengths and arrival times of a trace of a real service (bench/load/trace.csv is the beginning of one),
divided by --scale so that a small model on few cores is loaded as a large one on a large machine is, in mixed shapes:
chats and completions, streamed and not, long prompts, n > 1, batches, clients that go away. First the maximum is found with
--clients clients who wait for their answers, then one, two and three times as much is offered without waiting (an open loop).
Several servers are measured in turns. Client and server share the machine. Only Python's standard library is needed.
"""
import argparse
import asyncio
import json
import os
import shlex
import sys

from crowd import crowd
from http_client import ask
from overload import find_capacity, flood, offer, retrying_clients
from report import print_all
from scenes import SCENES, gaps_of_streams, one_token_beside
from servers import Server
from workload import Workload, read_trace

PARTS = ["overload", "retries", "flood", "scenes", "gaps", "crowd"]
KEYS = ["loud", "quiet"]


def parse():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(prog="bench/load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="HuggingFaceTB/SmolLM2-135M-Instruct")
    parser.add_argument("--server", action="append", help="NAME=PROGRAM [OPTIONS of start]; may be repeated")
    parser.add_argument("--trace", default=os.path.join(here, "trace.csv"))
    parser.add_argument("--scale", type=float, default=10.0, help="divisor of the trace's lengths")
    parser.add_argument("--max-prompt", type=int, default=4000, help="longest prompt in tokens")
    parser.add_argument("--parts", default=",".join(PARTS), help="of " + ",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each load")
    parser.add_argument("--loads", default="1,2,3", help="multiples of the maximum")
    parser.add_argument("--clients", type=int, default=24, help="of the closed loop, and 40 with retries in any case")
    parser.add_argument("--small", type=int, default=20, help="one-token requests of each scene")
    parser.add_argument("--json", help="file for all numbers")
    parser.add_argument("options", nargs="*", help="after --: options for `openllm start` (of every server)")
    args = parser.parse_args()
    args.server = args.server or ["openllm=build/release/bin/openllm"]
    unknown = set(args.parts.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts: {', '.join(sorted(unknown))} (expected of {', '.join(PARTS)})")
    return args


async def measure_load(server, args, workload, parts):
    result = {}
    await find_capacity(server, workload, 3.0, args.clients, 5_000_000)  # warms up
    capacity = await find_capacity(server, workload, args.seconds / 2, args.clients, 0)
    result["capacity"] = capacity
    print(f"{server.name}: {capacity['rate']:.2f} answers/s, {capacity['tokens_per_s']:.0f} tokens/s", file=sys.stderr)
    index = capacity["n_requests"]
    if "overload" in parts:
        result["loads"] = {}
        for load in (float(text) for text in args.loads.split(",")):
            server.wait_until_idle()
            index, values = await offer(server, workload, load * capacity["rate"], args.seconds, index)
            result["loads"][f"{load:g}x"] = values
            print(f"{server.name}: {load:g}x: goodput {values['goodput']:.2f}/s, {values['n_refused']} refused, "
                  f"{values['n_late']} late", file=sys.stderr)
        result["idle_after"] = server.wait_until_idle()
    if "retries" in parts:
        server.wait_until_idle()
        index, result["retries"] = await retrying_clients(server, workload, 3 * capacity["rate"], args.seconds / 2, 40, index)
    result["peak_mib"] = server.resident_mib(peak=True)
    return result


async def measure(server, args, workload, parts):
    result = {}
    if "overload" in parts or "retries" in parts:
        result.update(await measure_load(server, args, workload, parts))
    if "scenes" in parts:
        result["scenes"] = {}
        for name, make_large in SCENES.items():
            server.wait_until_idle()
            result["scenes"][name] = await one_token_beside(server, make_large, args.small)
            print(f"{server.name}: beside {name}: p50 {result['scenes'][name]['p50']:.3f} s", file=sys.stderr)
    if "gaps" in parts:
        server.wait_until_idle()
        result["gaps"] = await gaps_of_streams(server)
    if "crowd" in parts:
        server.wait_until_idle()
        result["crowd"] = await crowd(server)
    return result


async def measure_flood(server, args, workload):
    capacity = await find_capacity_of_key(server, workload)
    _, result = await flood(server, workload, 3 * capacity, args.seconds / 2, KEYS, 0)
    return result


async def find_capacity_of_key(server, workload):
    """Roughly, by a few clients with the loud key."""
    async def client(first):
        for i in range(first, first + 8):
            work = workload.work(6_000_000 + i)
            await ask(server.address, work.path, work.body, key=KEYS[0])

    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.gather(*(client(8 * i) for i in range(16)))
    return 8 * 16 / (loop.time() - start)


def main():
    args = parse()
    workload = Workload(read_trace(args.trace), args.scale, args.max_prompt)
    parts = set(args.parts.split(","))
    results = []
    for round_ in range(args.rounds):
        for text in args.server:
            name, _, command = text.partition("=")
            program, *options = shlex.split(command or name)
            options += args.options
            entry = {"server": name, "round": round_}
            if parts - {"flood"}:
                with Server(entry["server"], program, args.model, options) as server:
                    entry.update(asyncio.run(measure(server, args, workload, parts)))
            if "flood" in parts:
                keys = [word for key in KEYS for word in ("--api-key", key)]
                with Server(entry["server"], program, args.model, options + keys) as server:
                    entry["flood"] = asyncio.run(measure_flood(server, args, workload))
            results.append(entry)
            if args.json:  # what there is, should a later round be ended
                with open(args.json, "w", encoding="utf-8") as file:
                    json.dump({"arguments": vars(args), "results": results}, file, indent=1)
    print_all(results)


if __name__ == "__main__":
    main()
