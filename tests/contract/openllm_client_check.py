"""Checks a running server with the original OpenLLM's Python client, and its description with openapi-spec-validator.

Usage: python tests/contract/openllm_client_check.py http://127.0.0.1:3000
Needs openllm-client 0.4.44 (with openllm-core 0.4.44, attrs 23.2 and cattrs 23.2) and, for the description,
openapi-spec-validator; checks what is installed. Not part of the test run. The model needs a chat template.
"""

import asyncio
import importlib.util
import json
import sys
import urllib.request

GREEDY = {"max_new_tokens": 12, "temperature": 0.0}
MESSAGES = [{"role": "user", "content": "Hi"}]


def check(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")
    print(f"ok  {what}")


def check_sync(address):
    from openllm_client import HTTPClient

    client = HTTPClient(address)
    check(client.health(), "health")
    whole = client.generate("Once upon a time", **GREEDY)
    text = whole.outputs[0].text
    check(whole.outputs[0].finish_reason == "length" and len(whole.outputs[0].token_ids) == 12, "generate")
    parts = [output.outputs[0].text for output in client.generate_iterator("Once upon a time", **GREEDY)]
    check("".join(parts) == text and len(parts) > 1, "generate_iterator adds up")
    check("".join(part.text for part in client.generate_stream("Once upon a time", **GREEDY)) == text, "generate_stream adds up")
    word = text.split()[2]
    cut = "".join(part.text for part in client.generate_stream("Once upon a time", stop=[word], **GREEDY))
    check(cut == text[:text.index(word)], "a stop ends the stream before it")
    check(client.query("Once upon a time", **GREEDY).outputs[0].text == text, "query")
    check("Hi" in client.helpers.messages(MESSAGES, add_generation_prompt=True), "helpers.messages")
    check(isinstance(client["max_new_tokens"], int) and client["backend"] == "native", "metadata")
    return text


async def check_async(address, text):
    from openllm_client import AsyncHTTPClient

    client = AsyncHTTPClient(address)
    check(await client.health(), "async health")
    check((await client.generate("Once upon a time", **GREEDY)).outputs[0].text == text, "async generate")
    parts = [part.text async for part in client.generate_stream("Once upon a time", **GREEDY)]
    check("".join(parts) == text, "async generate_stream adds up")
    check("Hi" in await client.helpers.messages(MESSAGES), "async helpers.messages")


def check_description(address):
    from openapi_spec_validator import validate

    with urllib.request.urlopen(address + "/docs.json") as answer:
        document = json.load(answer)
    validate(document)
    check(document["openapi"].startswith("3.1"), f"/docs.json is OpenAPI 3.1, of {len(document['paths'])} paths")


if __name__ == "__main__":
    server = sys.argv[1].rstrip("/")
    if importlib.util.find_spec("openllm_client"):
        asyncio.run(check_async(server, check_sync(server)))
    if importlib.util.find_spec("openapi_spec_validator"):
        check_description(server)
