"""What one large request does to others."""
import asyncio
import random
import time

from http_client import ask
from report import percentile
from workload import text_of


def _prompt(n_tokens, seed):
    return text_of(n_tokens, random.Random(seed))


def long_prompt(seed):
    return "/v1/completions", {"prompt": _prompt(4000, seed), "max_tokens": 1, "ignore_eos": True}


def many_prompts(seed):
    prompts = [_prompt(16, 1000 * seed + i) for i in range(400)]
    return "/v1/completions", {"prompt": prompts, "max_tokens": 16, "ignore_eos": True}


def many_choices(seed):
    return "/v1/completions", {"prompt": _prompt(16, seed), "n": 128, "max_tokens": 32, "ignore_eos": True}


SCENES = {"alone": None, "4k prompt": long_prompt, "400 prompts x 16": many_prompts, "n = 128 x 32": many_choices}


def _small(seed):
    return {"prompt": _prompt(8, seed), "max_tokens": 1, "ignore_eos": True}


async def one_token_beside(server, make_large, n_small, interval=0.5):
    """Delays of one-token requests that come every `interval` seconds while large requests run one after the other."""
    stop = asyncio.Event()
    large_seconds = []

    async def run_large():
        seed = 1
        while make_large is not None and not stop.is_set():
            path, body = make_large(seed)
            answer = await ask(server.address, path, body)
            if not answer.whole:
                raise RuntimeError(f"the large request failed: {answer.status} {answer.body[:300]!r}")
            large_seconds.append(answer.seconds)
            seed += 1

    large = asyncio.create_task(run_large())
    await asyncio.sleep(0.3)
    small = []
    for i in range(n_small):
        small.append(asyncio.create_task(ask(server.address, "/v1/completions", _small(10_000_000 + i))))
        await asyncio.sleep(interval)
    answers = await asyncio.gather(*small)
    stop.set()
    await large
    delays = [answer.seconds for answer in answers]
    return {"n": len(delays), "n_failed": sum(not a.whole for a in answers), "p50": percentile(delays, 50),
            "p99": percentile(delays, 99), "max": max(delays), "large_p50": percentile(large_seconds, 50)}


async def _stream(server, n_tokens, seed, started):
    body = {"prompt": _prompt(16, seed), "max_tokens": n_tokens, "ignore_eos": True, "stream": True}
    task = asyncio.create_task(ask(server.address, "/v1/completions", body, keep_times=True))
    started.append(task)
    return task


def _gaps(answers, begin, end):
    gaps = []
    for answer in answers:
        times = [t for t in answer.event_times if begin <= t <= end]
        gaps += [b - a for a, b in zip(times, times[1:])]
    return {"p50": percentile(gaps, 50), "p99": percentile(gaps, 99), "max": max(gaps, default=None), "n": len(gaps)}


async def gaps_of_streams(server, n_streams=4, n_tokens=1500, n_prompts=3):
    """Time between the tokens of running streams, without and with a 4k prompt beside them."""
    path, body = long_prompt(500)
    alone = [(await ask(server.address, path, dict(body, prompt=_prompt(4000, 500 + i)))).seconds for i in range(2)]
    streams = []
    for i in range(n_streams):
        await _stream(server, n_tokens, 900 + i, streams)
    await asyncio.sleep(1.5)
    quiet_begin = time.monotonic()
    await asyncio.sleep(2.0)
    quiet_end = time.monotonic()
    beside, windows = [], []
    for i in range(n_prompts):
        begin = time.monotonic()
        answer = await ask(server.address, path, dict(body, prompt=_prompt(4000, 600 + i)))
        if not any(not task.done() for task in streams):
            break
        beside.append(answer.seconds)
        windows.append((begin, answer.end))
    answers = await asyncio.gather(*streams)
    with_prompt = [_gaps(answers, *window) for window in windows]
    return {"without": _gaps(answers, quiet_begin, quiet_end),
            "with": {key: percentile([w[key] for w in with_prompt], 50) for key in ("p50", "p99", "max")},
            "prefill_alone": min(alone), "prefill_beside": percentile(beside, 50), "n_prefills": len(beside)}
