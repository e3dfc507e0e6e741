"""Checks a running server with the official openai Python client.

Usage: python tests/contract/openai_client_check.py http://127.0.0.1:3000/v1 [API_KEY]
Needs the openai package; not part of the test run. The model needs a chat template.
"""

import asyncio
import sys

import openai


def check(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")
    print(f"ok  {what}")


def check_sync(client, model):
    check(client.models.retrieve(model).id == model, "models.retrieve with slashes in the id")
    greedy = {"model": model, "temperature": 0}
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    whole = client.chat.completions.create(messages=messages, max_tokens=16, **greedy)
    check(whole.choices[0].finish_reason in ("stop", "length"), "chat: finish_reason")
    check(whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens, "chat: usage")
    chunks = list(
        client.chat.completions.create(
            messages=messages, max_tokens=16, stream=True, stream_options={"include_usage": True}, **greedy
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    check(text == whole.choices[0].message.content, f"chat: streamed text is the same ({text!r})")
    check(chunks[0].choices[0].delta.role == "assistant", "chat: the role comes first")
    check(chunks[-1].choices == [] and chunks[-1].usage == whole.usage or chunks[-1].usage.completion_tokens
          == whole.usage.completion_tokens, "chat: usage comes last")
    parts = [{"role": "user", "content": [{"type": "text", "text": messages[0]["content"]}]}]
    same = client.chat.completions.create(messages=parts, max_completion_tokens=16, **greedy)
    check(same.choices[0].message.content == whole.choices[0].message.content, "chat: content parts")
    logprobs = client.chat.completions.create(
        messages=messages, max_tokens=4, logprobs=True, top_logprobs=3, **greedy
    )
    first = logprobs.choices[0].logprobs.content[0]
    check(len(first.top_logprobs) == 3 and first.logprob <= 0, "chat: logprobs")
    seeded = [
        client.chat.completions.create(messages=messages, max_tokens=8, seed=7, temperature=1, n=2, model=model)
        for _ in range(2)
    ]
    check(
        [c.message.content for c in seeded[0].choices] == [c.message.content for c in seeded[1].choices],
        "chat: the same seed gives the same n answers",
    )

    plain = client.completions.create(prompt="Once upon a time", max_tokens=8, logprobs=2, echo=True, **greedy)
    check(plain.choices[0].text.startswith("Once upon a time"), "completions: echo")
    check(plain.choices[0].logprobs.token_logprobs[0] is None, "completions: logprobs with echo")
    several = client.completions.create(prompt=["Once", "One day"], n=2, max_tokens=4, **greedy)
    check([c.index for c in several.choices] == [0, 1, 2, 3], "completions: several prompts")
    streamed = client.completions.create(prompt="Once upon a time", max_tokens=8, stream=True, **greedy)
    text = "".join(c.choices[0].text for c in streamed)
    check("Once upon a time" + text == plain.choices[0].text, "completions: streamed text is the same")
    stopped = client.completions.create(prompt="Once upon a time", max_tokens=40, stop=[text[2:5]], **greedy)
    check(stopped.choices[0].finish_reason == "stop" and text[2:5] not in stopped.choices[0].text,
          "completions: stop text")


def expect(error, what, call):
    try:
        call()
    except error as got:
        check(bool(got.body) and "message" in got.body, f"{what}: {type(got).__name__}: {got.body['message']}")
        return
    check(False, what)


def check_errors(client, model):
    hi = [{"role": "user", "content": "Hi"}]
    create = client.chat.completions.create
    expect(openai.NotFoundError, "unknown model", lambda: create(model="no/model", messages=hi))
    expect(openai.BadRequestError, "bad temperature", lambda: create(model=model, messages=hi, temperature=3))
    expect(openai.BadRequestError, "empty messages", lambda: create(model=model, messages=[], stream=True))
    expect(
        openai.BadRequestError,
        "unsupported response_format",
        lambda: create(model=model, messages=hi, response_format={"type": "json_object"}),
    )
    expect(
        openai.BadRequestError,
        "too long",
        lambda: client.completions.create(model=model, prompt=[1] * 1_000_000, max_tokens=1, stream=True),
    )


async def check_async(url, key, model):
    client = openai.AsyncOpenAI(base_url=url, api_key=key)

    async def one(i):
        stream = await client.completions.create(
            model=model, prompt=f"{i} day", max_tokens=16, temperature=0, stream=True
        )
        return "".join([c.choices[0].text async for c in stream])

    alone = [await one(i) for i in range(4)]
    together = await asyncio.gather(*(one(i % 4) for i in range(32)))
    check(all(together[i] == alone[i % 4] for i in range(32)), "async: 32 streams at once equal each alone")
    stream = await client.completions.create(model=model, prompt="Once", max_tokens=512, stream=True)
    async for _ in stream:
        break
    await stream.close()
    check(bool(await one(1)), "async: goes on after a stream was dropped")


def check_embeddings(client, model):
    """Base64 is what the client asks for by itself."""
    texts = ["The sky is blue.", "Grass is green."]
    both = client.embeddings.create(model=model, input=texts)
    check([d.index for d in both.data] == [0, 1] and both.usage.total_tokens > 0, "embeddings: two texts")
    plain = client.embeddings.create(model=model, input=texts[1], encoding_format="float")
    check(plain.data[0].embedding == both.data[1].embedding, "embeddings: the same alone, and as numbers")
    short = client.embeddings.create(model=model, input=[[1, 2, 3]], dimensions=8)
    check(len(short.data[0].embedding) == 8, "embeddings: token ids and dimensions")
    expect(openai.BadRequestError, "input", lambda: client.embeddings.create(model=model, input=[]))


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3000/v1"
    key = sys.argv[2] if len(sys.argv) > 2 else "none"
    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
    model = client.models.list().data[0].id
    check(bool(model), f"models.list: {model}")
    check_embeddings(client, model)
    check_sync(client, model)
    check_errors(client, model)
    asyncio.run(check_async(url, key, model))
    print("all well")


if __name__ == "__main__":
    main()
