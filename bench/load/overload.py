"""How much a server does at its maximum, and how much of it is left when more is asked for."""
import asyncio
import time

from http_client import ask, ask_with_retries
from report import percentile

GOOD_WITHIN = 10.0  # seconds: an answer that took longer is of no use to anybody


async def _one(server, workload, index, due=None):
    work = workload.work(index)
    answer = await ask(server.address, work.path, work.body, due=due, leave_after_events=work.leave_after_events)
    return work, answer


async def find_capacity(server, workload, seconds, n_clients, first_index):
    """Closed loop: `n_clients` clients, each with its next request as soon as it has an answer. Answers per second."""
    start = time.monotonic()
    indices = iter(range(first_index, first_index + 10**9))
    results = []

    async def client():
        while time.monotonic() < start + seconds:
            results.append(await _one(server, workload, next(indices)))

    await asyncio.gather(*(client() for _ in range(n_clients)))
    end = max(answer.end for _, answer in results)
    done = [(work, answer) for work, answer in results if answer.whole or answer.left]
    return {"rate": len(done) / (end - start),
            "tokens_per_s": sum(w.n_prompt + w.n_generated for w, a in done if a.whole) / (end - start),
            "n_requests": len(results), "n_failed": len(results) - len(done),
            "n_refused": sum(a.status == 429 for _, a in results)}


async def _watch_health(server, delays, stop):
    while not stop.is_set():
        answer = await ask(server.address, "/healthz")
        delays.append(answer.seconds if answer.status == 200 else 60.0)
        try:
            await asyncio.wait_for(stop.wait(), 0.25)
        except asyncio.TimeoutError:
            pass


async def offer(server, workload, rate, seconds, first_index):
    """Open loop: requests come at the times of the trace, whatever became of those before."""
    start = time.monotonic()
    tasks, health, stop = [], [], asyncio.Event()
    watcher = asyncio.create_task(_watch_health(server, health, stop))
    offset = workload.due(first_index, rate)
    index = first_index
    late = 0.0
    while workload.due(index, rate) - offset < seconds:
        due = start + workload.due(index, rate) - offset
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        late = max(late, time.monotonic() - due)
        tasks.append(asyncio.create_task(_one(server, workload, index, due)))
        index += 1
    stop.set()
    await watcher
    _, pending = await asyncio.wait(tasks, timeout=2 * GOOD_WITHIN)
    for task in pending:  # too late to count
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    results = [task.result() for task in tasks if not task.cancelled()]
    return index, _summary(results, len(tasks), seconds, health, late)


def _late_by_shape(results):
    late = {}
    for work, answer in results:
        if (answer.whole or answer.left) and answer.seconds > GOOD_WITHIN:
            late[work.shape] = late.get(work.shape, 0) + 1
    return late


def _summary(results, n_offered, seconds, health, late):
    good = [(w, a) for w, a in results if (a.whole or a.left) and a.seconds <= GOOD_WITHIN]
    done = [a for _, a in results if a.whole]
    firsts = [a.first - a.due for _, a in results if a.status == 200 and a.first]
    refused = [a for _, a in results if a.status == 429]
    hints = [a.retry_after() for a in refused if a.retry_after() is not None]
    return {"offered_per_s": n_offered / seconds, "goodput": len(good) / seconds,
            "tokens_per_s": sum(w.n_prompt + w.n_generated for w, a in good if a.whole) / seconds,
            "n_offered": n_offered, "n_good": len(good), "n_refused": len(refused),
            "n_failed": sum(a.status not in (200, 429) and not a.left for _, a in results),
            "n_late": n_offered - len(good) - len(refused), "late": _late_by_shape(results),
            "first_p50": percentile(firsts, 50), "first_p99": percentile(firsts, 99),
            "answer_p50": percentile([a.seconds for a in done], 50), "answer_p99": percentile([a.seconds for a in done], 99),
            "refusal_p99": percentile([a.seconds for a in refused], 99),
            "retry_after_p50": percentile(hints, 50), "retry_after_max": max(hints, default=None),
            "healthz_max": max(health, default=None), "client_late": late}


async def retrying_clients(server, workload, rate, seconds, n_clients, first_index):
    """Clients with two retries, who come when the server has been asked for too much for a while and soon will not be.

    They send their requests during the last second of the load.
    """
    load = asyncio.create_task(offer(server, workload, rate, seconds, first_index))
    await asyncio.sleep(max(0.0, seconds - 1.0))

    async def client(i):
        await asyncio.sleep(i / n_clients)
        body = {"messages": [{"role": "user", "content": f"Question {i}: what is the capital of France?"}],
                "max_tokens": 16, "ignore_eos": True}
        return await ask_with_retries(server.address, "/v1/chat/completions", body)

    all_answers = await asyncio.gather(*(client(i) for i in range(n_clients)))
    next_index, _ = await load
    hints = [a.retry_after() for answers in all_answers for a in answers if a.retry_after() is not None]
    return next_index, {"n_clients": n_clients, "n_served": sum(answers[-1].whole for answers in all_answers),
                        "n_attempts": sum(len(answers) for answers in all_answers),
                        "retry_after_p50": percentile(hints, 50), "retry_after_max": max(hints, default=None),
                        "seconds_p50": percentile([a[-1].seconds for a in all_answers], 50),
                        "seconds_max": max(a[-1].seconds for a in all_answers)}


async def flood(server, workload, rate, seconds, keys, first_index):
    """One key asks for `rate`, the other now and then for a little: what becomes of the other one's requests."""
    start = time.monotonic()
    offset = workload.due(first_index, rate)
    tasks, quiet = [], []

    async def send_quiet():
        while time.monotonic() < start + seconds:
            body = {"prompt": f"At {time.monotonic()} the", "max_tokens": 16, "ignore_eos": True}
            quiet.append(await ask(server.address, "/v1/completions", body, key=keys[1]))
            await asyncio.sleep(0.5)

    other = asyncio.create_task(send_quiet())
    index = first_index
    while workload.due(index, rate) - offset < seconds:
        await asyncio.sleep(max(0.0, start + workload.due(index, rate) - offset - time.monotonic()))
        work = workload.work(index)
        tasks.append(asyncio.create_task(ask(server.address, work.path, work.body, key=keys[0],
                                             leave_after_events=work.leave_after_events)))
        index += 1
    await other
    _, pending = await asyncio.wait(tasks, timeout=2 * GOOD_WITHIN)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    loud = [task.result() for task in tasks if not task.cancelled()]
    return index, {"n_quiet": len(quiet), "n_quiet_served": sum(a.whole for a in quiet),
                   "quiet_p50": percentile([a.seconds for a in quiet], 50),
                   "quiet_max": max((a.seconds for a in quiet), default=None),
                   "n_loud": len(tasks), "n_loud_refused": sum(a.status == 429 for a in loud)}
