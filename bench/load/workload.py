"""Requests made from a trace of a real service: its arrival times and lengths, in the shapes that servers see."""
import csv
import dataclasses
import datetime
import random

# Shape and its share. Lengths come from the trace, so "long" is a prompt four times as long.
SHAPES = [("chat", 30), ("chat_stream", 30), ("completion", 12), ("long", 8), ("choices", 6), ("batch", 6), ("leaves", 8)]
WORDS = """time year people way day man thing woman life child world school state family student group country problem
hand part place case week company system program question work government number night point home water room mother
area money story fact month lot right study book eye job word business issue side kind head house service friend father
power hour game line end member law car city community name president team minute idea body information back parent
face others level office door health person art war history party result change morning reason research girl guy moment
air teacher force education""".split()


@dataclasses.dataclass
class Row:
    seconds: float
    n_context: int
    n_generated: int


@dataclasses.dataclass
class Work:
    """One request to send."""

    shape: str
    path: str
    body: dict
    n_prompt: int  # tokens, about; over all prompts
    n_generated: int  # tokens, over all choices
    leave_after_events: int = 0


def _seconds(text):
    try:
        return float(text)
    except ValueError:
        return datetime.datetime.strptime(text[:26], "%Y-%m-%d %H:%M:%S.%f").timestamp()


def read_trace(path):
    """A CSV file with the columns TIMESTAMP, ContextTokens and GeneratedTokens, as Azure publishes them."""
    with open(path, encoding="utf-8") as file:
        lines = csv.DictReader(line for line in file if not line.startswith("#"))
        rows = [Row(_seconds(r["TIMESTAMP"]), int(r["ContextTokens"]), int(r["GeneratedTokens"])) for r in lines]
    first = rows[0].seconds
    return [dataclasses.replace(row, seconds=row.seconds - first) for row in rows]


def text_of(n_tokens, random_source):
    """Common words; each is about one token."""
    return " ".join(random_source.choices(WORDS, k=max(1, n_tokens)))


def _chat(prompt, n_generated, stream, n=1):
    return {"messages": [{"role": "user", "content": prompt}], "max_tokens": n_generated, "n": n, "stream": stream,
            "ignore_eos": True, "temperature": 0.7, "seed": 1}


def _completion(prompt, n_generated, stream):
    return {"prompt": prompt, "max_tokens": n_generated, "stream": stream, "ignore_eos": True, "temperature": 0.7, "seed": 1}


def make_work(row, index, scale, max_prompt):
    """The request of a row; the same for the same index. Lengths are divided by `scale`."""
    source = random.Random(index)
    shape = source.choices([name for name, _ in SHAPES], [share for _, share in SHAPES])[0]
    n_prompt = min(max(1, round(row.n_context / scale)), max_prompt)
    n_generated = max(1, round(row.n_generated / scale))
    chat, completion = "/v1/chat/completions", "/v1/completions"
    if shape == "long":
        n_prompt = min(4 * n_prompt, max_prompt)
        return Work(shape, completion, _completion(text_of(n_prompt, source), n_generated, True), n_prompt, n_generated)
    if shape == "batch":
        prompts = [text_of(n_prompt // 4, source) for _ in range(4)]
        n_each = max(1, n_generated // 4)
        return Work(shape, completion, _completion(prompts, n_each, False), n_prompt, 4 * n_each)
    text = text_of(n_prompt, source)
    if shape == "choices":
        n_each = max(1, n_generated // 4)
        return Work(shape, chat, _chat(text, n_each, False, n=4), n_prompt, 4 * n_each)
    if shape == "completion":
        return Work(shape, completion, _completion(text, n_generated, False), n_prompt, n_generated)
    work = Work(shape, chat, _chat(text, n_generated, shape != "chat"), n_prompt, n_generated)
    if shape == "leaves":
        work.leave_after_events = max(1, n_generated // 2)
    return work


class Workload:
    """Endless: after the last row of the trace the first follows, with other texts."""

    def __init__(self, rows, scale, max_prompt):
        self.rows, self.scale, self.max_prompt = rows, scale, max_prompt
        self.mean_interval = rows[-1].seconds / max(1, len(rows) - 1)

    def work(self, index):
        return make_work(self.rows[index % len(self.rows)], index, self.scale, self.max_prompt)

    def due(self, index, rate):
        """Seconds after the start at which the request arrives when `rate` arrive per second on average."""
        turn, row = divmod(index, len(self.rows))
        stretch = 1.0 / (rate * self.mean_interval)
        return (turn * (self.rows[-1].seconds + self.mean_interval) + self.rows[row].seconds) * stretch
