"""What a server in front of others costs, and what vLLM makes of the same requests.

    python3 bench/load/front.py --model M                        one server, and a second one in front of it
    python3 bench/load/front.py --model FOLDER --vllm PROGRAM    vLLM, and a server in front of it, too

Every place gets the same requests in turns: completions of --tokens tokens, streamed, each with a prompt of its own, from one client
and from --clients. Medians of the rounds are shown, with the time on CPUs that the place's own processes took for a request: that
depends least on what else the machine does. Clients and servers share the machine. Only Python's standard library is needed.
"""
import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

from http_client import ask
from servers import Server


def parse():
    parser = argparse.ArgumentParser(prog="bench/load/front.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--program", default="build/release/bin/openllm")
    parser.add_argument("--vllm", help="program vllm")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--words", type=int, default=64, help="of each prompt")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="file for all numbers")
    parser.add_argument("options", nargs="*", help="after --: options of the servers with the engine here")
    return parser.parse_args()


class Vllm:
    """`vllm serve` on a free port, ready when the `with` block begins."""

    def __init__(self, program, model):
        self.program, self.model = program, model

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = free.getsockname()
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        command = [self.program, "serve", self.model, "--host", "127.0.0.1", "--port", str(self.address[1]),
                   "--served-model-name", self.model, "--max-model-len", "1024", "--max-num-seqs", "64"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, start_new_session=True,
                                        env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"})
        try:
            self.wait_until_ready(900)
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_ready(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.address[1]}/health", timeout=5).close()
                return
            time.sleep(0.5)
        self.log.seek(0)
        raise RuntimeError(f"{self.program} did not become ready: {self.log.read()[-2000:]}")

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


def cpu_seconds(root):
    """Of a process and those below it."""
    parents, times = {}, {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                words = file.read().rpartition(")")[2].split()
            parents[int(name)] = int(words[1])
            times[int(name)] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    total = 0.0
    for process in times:
        at = process
        while at in parents and at != root:
            at = parents[at]
        total += times[process] if at == root else 0.0
    return total


async def load(place, model, args, n_clients, seed):
    words = random.Random(seed)
    start = time.monotonic()
    answers = []

    async def client():
        while time.monotonic() < start + args.seconds:
            prompt = " ".join(str(words.randrange(1000)) for _ in range(args.words))
            body = {"model": model, "prompt": prompt, "max_tokens": args.tokens, "temperature": 0, "ignore_eos": True, "stream": True}
            answers.append(await ask(place.address, "/v1/completions", body))

    before = cpu_seconds(place.process.pid)
    await asyncio.gather(*(client() for _ in range(n_clients)))
    whole = [a for a in answers if a.whole]
    if len(whole) < len(answers) or not whole:
        raise RuntimeError(f"{len(answers) - len(whole)} of {len(answers)} requests failed")
    seconds = max(a.end for a in whole) - start
    return {"requests_per_s": len(whole) / seconds, "first_token_ms": 1e3 * statistics.median(a.first - a.due for a in whole),
            "whole_ms": 1e3 * statistics.median(a.seconds for a in whole),
            "cpu_ms_per_request": 1e3 * (cpu_seconds(place.process.pid) - before) / len(whole)}


def measure(places, args):
    """{place: {clients: {name: median}}}, and every round."""
    rounds = []
    for number in range(-1, args.rounds):  # the first one warms up
        for name, (place, model) in places.items():
            for n_clients in (1, args.clients):  # prompts of their own: none is in a cache
                values = asyncio.run(load(place, model, args, n_clients, f"{name} {number} {n_clients}"))
                if number >= 0:
                    rounds.append({"place": name, "clients": n_clients, **values})
    return rounds


def show(rounds):
    names = [n for n in rounds[0] if n not in ("place", "clients")]
    print(f"{'place':16}{'clients':>8}" + "".join(f"{n:>20}" for n in names))
    for place, clients in dict.fromkeys((r["place"], r["clients"]) for r in rounds):
        of = [r for r in rounds if (r["place"], r["clients"]) == (place, clients)]
        print(f"{place:16}{clients:>8}" + "".join(f"{statistics.median(r[n] for r in of):>20.2f}" for n in names))


def main():
    args = parse()
    with contextlib.ExitStack() as stack:
        def front_of(behind):
            url = f"http://127.0.0.1:{behind.address[1]}"
            return stack.enter_context(Server("front", args.program, args.model, ["--backend", "vllm", "--vllm-url", url]))

        engine = stack.enter_context(Server("engine", args.program, args.model, args.options))
        model = json.loads(engine.get("/v1/models"))["data"][0]["id"]
        places = {"engine": (engine, model), "engine, front": (front_of(engine), model)}
        if args.vllm:
            vllm = stack.enter_context(Vllm(args.vllm, args.model))
            places |= {"vllm": (vllm, args.model), "vllm, front": (front_of(vllm), model)}
        rounds = measure(places, args)
    show(rounds)
    print(f"{os.cpu_count()} CPUs; load of the machine at the end: {os.getloadavg()[0]:.1f}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(rounds, file, indent=1)


if __name__ == "__main__":
    main()
