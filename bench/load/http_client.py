"""A small asynchronous HTTP client: one request per connection, and when what came."""
import asyncio
import dataclasses
import json
import time


@dataclasses.dataclass
class Answer:
    """What became of one request. Times are seconds of time.monotonic()."""

    due: float = 0.0  # when it should have been sent: waits count from here
    status: int = 0  # 0: no answer
    whole: bool = False  # the answer came to its end, without an error in it
    left: bool = False  # the client went away, as it was told to
    first: float = 0.0  # first byte of the body
    end: float = 0.0
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""  # of answers that are not streams
    event_times: list = dataclasses.field(default_factory=list)  # if asked for

    @property
    def seconds(self):
        return self.end - self.due

    def retry_after(self):
        """Seconds, as the official clients read them; None without a usable header."""
        if "retry-after-ms" in self.headers:
            return float(self.headers["retry-after-ms"]) / 1000
        return float(self.headers["retry-after"]) if "retry-after" in self.headers else None


async def _read_head(reader, answer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    answer.status = int(head[0].split(" ", 2)[1])
    for line in head[1:]:
        name, colon, value = line.partition(":")
        if colon:
            answer.headers[name.strip().lower()] = value.strip()


async def _read_stream(reader, answer, leave_after_events, keep_times):
    """Chunks of events, to the end of the connection. False if it left before."""
    tail = b""
    n_events = 0
    while True:
        piece = await reader.read(65536)
        if not piece:
            break
        now = time.monotonic()
        n_new = piece.count(b"data: ")
        if n_new and not answer.first:
            answer.first = now
        if keep_times and n_new:
            answer.event_times.append(now)
        n_events += n_new
        if b'"error"' in piece:
            return True
        tail = (tail + piece)[-64:]
        if leave_after_events and n_events >= leave_after_events:
            return False
    answer.whole = b"data: [DONE]" in tail
    return True


async def _exchange(address, head, body, answer, leave_after_events, keep_times):
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(head + body)
        await writer.drain()
        await _read_head(reader, answer)
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            answer.left = not await _read_stream(reader, answer, leave_after_events, keep_times)
        else:
            answer.body = await reader.readexactly(int(answer.headers.get("content-length", "0")))
            answer.first = time.monotonic()
            answer.whole = answer.status == 200
    finally:
        writer.close()


async def ask(address, path, body=None, due=None, leave_after_events=0, leave_after=None, keep_times=False, key=None):
    """`leave_after_events`, `leave_after` (seconds): the client closes the connection then."""
    answer = Answer(due=time.monotonic() if due is None else due)
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
    if key:
        head += f"Authorization: Bearer {key}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    exchange = _exchange(address, head.encode() + b"\r\n", data, answer, leave_after_events, keep_times)
    try:
        await asyncio.wait_for(exchange, leave_after)
    except asyncio.TimeoutError:
        answer.left = True
    except (OSError, asyncio.IncompleteReadError, ValueError):
        answer.status = 0
    answer.end = time.monotonic()
    return answer


async def ask_with_retries(address, path, body, n_retries=2, key=None):
    """As the official clients do: 429 and 503 are tried again after Retry-After. Returns all answers."""
    answers = []
    due = time.monotonic()
    for attempt in range(n_retries + 1):
        answers.append(await ask(address, path, body, due=due, key=key))
        if answers[-1].status not in (429, 503) or attempt == n_retries:
            break
        wait = answers[-1].retry_after()
        await asyncio.sleep(wait if wait is not None and 0 < wait <= 60 else 0.5 * 2**attempt)
    return answers
