#!/usr/bin/env python3
"""Stands for `vllm serve` where tests start one. $FAKE_VLLM says what happens; without it, openllm's own server, which
speaks as vLLM does, takes its place ($FAKE_VLLM_PROGRAM). What it was given goes into $FAKE_VLLM_LOG."""

import http.server
import json
import os
import socket
import sys
import time

arguments = sys.argv[1:]
option = {name: value for name, value in zip(arguments, arguments[1:]) if name.startswith("--")}
with open(os.environ["FAKE_VLLM_LOG"], "w", encoding="utf-8") as log:
    json.dump({"pid": os.getpid(), "group": os.getpgid(0), "arguments": arguments,
               "offline": os.environ.get("HF_HUB_OFFLINE"), "has_key": bool(os.environ.get("VLLM_API_KEY")),
               "loads_adapters": os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING")}, log)
with open(os.environ["FAKE_VLLM_LOG"] + ".starts", "a", encoding="utf-8") as starts:
    starts.write("x")
how = os.environ.get("FAKE_VLLM", "")
print("fake vllm begins", flush=True)
if how == "crash":
    for i in range(30):
        print("line %d" % i)
    sys.exit("ValueError: no such quantization")
if how == "slow":
    time.sleep(600)
if how == "taken":
    other = socket.create_server(("127.0.0.1", int(option["--port"])))
    http.server.HTTPServer(("127.0.0.1", int(option["--port"])), http.server.BaseHTTPRequestHandler)
if how == "garbage":
    server = socket.create_server(("127.0.0.1", int(option["--port"])))
    while True:
        client, _ = server.accept()
        client.sendall(b"\x00\x01garbage\r\n\r\n")
        client.close()


class Dying(http.server.BaseHTTPRequestHandler):
    """Well until it is asked for an answer, of which it gives two tokens."""

    def log_message(self, *_):
        pass

    def reply(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        models = {"data": [{"id": option["--served-model-name"], "max_model_len": 256}]}
        self.reply(json.dumps(models).encode(), "application/json")

    def do_POST(self):
        event = {"choices": [{"index": 0, "token_ids": [300], "logprobs": {"tokens": ["token_id:300"],
                                                                           "token_logprobs": [-1.0]}}]}
        self.reply(b"data: %s\n\n" % json.dumps(event).encode() * 2, "text/event-stream")
        self.wfile.flush()
        print("CUDA error: device lost", flush=True)
        os._exit(3)


if how == "dying":
    http.server.HTTPServer(("127.0.0.1", int(option["--port"])), Dying).serve_forever()
program = os.environ["FAKE_VLLM_PROGRAM"]
os.environ["OPENLLM_API_KEY"] = os.environ["VLLM_API_KEY"]
os.execv(program, [program, "start", arguments[1], "--host", option["--host"], "--port", option["--port"],
                   "--model-name", option["--served-model-name"], "--backend", "native", "--threads", "1"])
