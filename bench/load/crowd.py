"""Thousands of connections, most of which do nothing, among them readers that never read and clients that go away."""
import asyncio
import json

from http_client import ask
from report import percentile

PATH = "/v1/completions"


def _request(body):
    data = json.dumps(body).encode()
    return (f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


class _NeverReads(asyncio.Protocol):
    """Stops reading at once, so that the server's buffers fill."""

    def connection_made(self, transport):
        transport.pause_reading()


async def crowd(server, n_idle=2000, n_readers=24, n_leaving=200, n_asking=20):
    loop = asyncio.get_running_loop()
    before = server.resident_mib()
    idle = [await asyncio.open_connection(*server.address) for _ in range(n_idle)]
    slow = []
    for i in range(n_readers):
        transport, _ = await loop.create_connection(_NeverReads, *server.address)
        transport.write(_request({"prompt": f"Story {i}:", "max_tokens": 400, "ignore_eos": True, "stream": True,
                                  "logprobs": 5}))
        slow.append(transport)
    leaving = [asyncio.create_task(ask(server.address, PATH, {"prompt": f"Leaving {i}", "max_tokens": 400, "ignore_eos": True,
                                                              "stream": i % 2 == 0}, leave_after=0.2 + 0.01 * i))
               for i in range(n_leaving)]
    delays, health, statuses = [], [], []
    for i in range(n_asking):
        health.append((await ask(server.address, "/healthz")).seconds)
        answer = await ask(server.address, PATH, {"prompt": f"Question {i}", "max_tokens": 4, "ignore_eos": True})
        statuses.append(answer.status)
        if answer.whole:
            delays.append(answer.seconds)
    left = await asyncio.gather(*leaving)
    during = server.resident_mib()
    for transport in slow:
        transport.abort()
    for _, writer in idle:
        writer.close()
    is_idle = await asyncio.to_thread(server.wait_until_idle)
    return {"n_connections": n_idle + n_readers, "n_left": sum(a.left for a in left), "n_asked": n_asking,
            "n_served": len(delays), "n_refused": statuses.count(429), "answer_p50": percentile(delays, 50),
            "healthz_max": max(health), "mib_before": before, "mib_during": during, "idle_after": is_idle}
