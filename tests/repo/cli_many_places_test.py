#!/usr/bin/env python3
"""One model at several places: this process and two servers; a server is killed, hangs, comes back, stands in front.

    cli_many_places_test.py PROGRAM TEST_DATA_FOLDER
"""

import concurrent.futures
import json
import signal
import socket
import threading
import time
import unittest
import urllib.request

from cli_program import DATA, TIMEOUT, Server, main, run

MODEL = str(DATA / "stories260K/hf")
GREEDY = {"max_tokens": 160, "temperature": 0, "ignore_eos": True}


def ask(address, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        return response.read().decode()


def complete(address, prompt, **options):
    return json.loads(ask(address, "/v1/completions", {"prompt": prompt, **options}))["choices"][0]


def stream(address, prompt, begun=None, **options):
    """Text, tokens and sum of logprobs of a streamed answer. `begun` is told of its second event."""
    body = {"prompt": prompt, "stream": True, "logprobs": 0, "return_token_ids": True, **options}
    request = urllib.request.Request(address + "/v1/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    text, ids, total, n_events = "", [], 0.0, 0
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise AssertionError(chunk["error"])
            for choice in chunk.get("choices", ()):
                text += choice["text"]
                ids += choice.get("token_ids") or []
                total += sum((choice.get("logprobs") or {}).get("token_logprobs") or ())
            n_events += 1
            if begun and n_events == 2:
                begun.release()
    return text, ids, total


def places_of(address):
    return {place["name"]: place for place in json.loads(ask(address, "/v1/metadata"))["places"]}


class ManyPlaces(unittest.TestCase):
    def serve(self, *arguments, environment=None, threads=("--threads", "1")):
        server = Server(*arguments, "--max-wait", "0", *threads, environment=environment)
        self.addCleanup(lambda: server.process.poll() is None and server.kill())
        return server

    def front(self, *places):
        options = [word for place in places for word in ("--place", place)]
        return self.serve(MODEL, *options, threads=("--threads", "1") if "native" in places else ())

    def until(self, holds):
        for _ in range(TIMEOUT * 10):
            if holds():
                return
            time.sleep(0.1)
        self.fail("it did not come")


class Failover(ManyPlaces):
    def test_a_killed_place_loses_no_answer(self):
        """60 greedy streams over three places; one is killed in their middle. All are those of native alone."""
        alone = self.serve(MODEL)
        prompts = ["Once upon a time there were %d" % i for i in range(6)]
        wanted = {prompt: stream(alone.address, prompt, **GREEDY) for prompt in prompts}
        servers = [self.serve(MODEL) for _ in range(2)]
        front = self.front("native", *(server.address for server in servers))
        begun = threading.Semaphore(0)
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            streams = [(prompt, pool.submit(stream, front.address, prompt, begun, **GREEDY)) for prompt in prompts * 10]
            for _ in range(12):
                self.assertTrue(begun.acquire(timeout=TIMEOUT))
            servers[0].kill()
            for prompt, result in streams:
                text, ids, total = result.result(TIMEOUT)
                self.assertEqual((text, ids), wanted[prompt][:2])
                self.assertAlmostEqual(total, wanted[prompt][2], 2)
        places = places_of(front.address)
        lost = places[servers[0].address]
        self.assertFalse(lost["is_up"])
        self.assertGreater(lost["n_failures"], 0, "it had some of them")
        for name in ("native", servers[1].address):
            self.assertTrue(places[name]["is_up"])
            self.assertGreater(places[name]["n_generated_tokens"], 0)
            self.assertEqual(places[name]["n_open"], 0)
        metrics = ask(front.address, "/metrics")
        self.assertIn('openllm_place_up{place="%s"} 0' % servers[0].address, metrics)
        self.assertIn('openllm_place_up{place="native"} 1', metrics)
        # A seeded answer is the same, too, and what a server cannot do is made here.
        seeded = {"max_tokens": 24, "temperature": 0.9, "seed": 7}
        self.assertEqual(stream(front.address, "Once", **seeded)[1], stream(alone.address, "Once", **seeded)[1])
        before = places_of(front.address)["native"]["n_requests"]
        complete(front.address, "Once", max_tokens=4, typical_p=0.5)
        self.assertEqual(places_of(front.address)["native"]["n_requests"], before + 1)

    def test_a_place_that_hangs_is_given_up_and_taken_back(self):
        server = self.serve(MODEL)
        front = self.front(server.address, "native")
        wanted = stream(front.address, "Once upon a time", **GREEDY)
        server.process.send_signal(signal.SIGSTOP)
        try:
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                results = [pool.submit(stream, front.address, "Once upon a time", **GREEDY) for _ in range(4)]
                for result in results:
                    self.assertEqual(result.result(TIMEOUT)[:2], wanted[:2])
            self.until(lambda: not places_of(front.address)[server.address]["is_up"])
        finally:
            server.process.send_signal(signal.SIGCONT)
        self.until(lambda: places_of(front.address)[server.address]["is_up"])


class Start(ManyPlaces):
    def test_a_server_that_is_away_is_taken_in_when_it_comes(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        address = "http://127.0.0.1:%d" % port
        front = self.front("native", address)
        self.assertFalse(places_of(front.address)[address]["is_up"])
        self.assertIn("cannot reach", places_of(front.address)[address]["reason"])
        self.serve(MODEL, "--port", str(port))
        self.until(lambda: places_of(front.address)[address]["is_up"])

    def test_what_is_wrong_is_named(self):
        none = run("run", MODEL, "Once", "--place", "http://127.0.0.1:9")
        self.assertEqual(none.returncode, 8, none.stderr)
        self.assertIn("places: none can be loaded: http://127.0.0.1:9: ", none.stderr)
        for places, words in ((["nativ"], "no such place"), (["native", "native"], "twice"),
                              (["native", "--backend", "native"], "beside a backend"),
                              (["native", "--vllm-url", "http://127.0.0.1:9"], "beside places")):
            refused = run("run", MODEL, "Once", *(word for place in places[:1] for word in ("--place", place)),
                          *(["--place", places[1]] if len(places) == 2 else places[1:]))
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn(words, refused.stderr)

    def test_programs_tell_of_places(self):
        server = self.serve(MODEL)
        options = ("--place", "native", "--place", server.address, "--place", "http://127.0.0.1:9")
        report = json.loads(run("backends", MODEL, "--json", *options).stdout)
        self.assertEqual(report["chosen"], "places")
        self.assertEqual([place["available"] for place in report["places"]], [True, True, False])
        self.assertIn("cannot reach", report["places"][2]["reason"])
        shown = run("backends", MODEL, *options).stdout
        self.assertRegex(shown, r"Places \(--place\):\n  native +yes")
        words = ("Once upon", "--raw", "--max-tokens", "16", "--temperature", "0", "--json")
        alone = json.loads(run("run", MODEL, *words).stdout)["outputs"][0]
        variables = {"OPENLLM_PLACES": "%s,native" % server.address}
        for got in (run("run", MODEL, *words, *options), run("run", MODEL, *words, environment=variables)):
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertEqual(json.loads(got.stdout)["outputs"][0]["token_ids"], alone["token_ids"])

    def test_a_server_stands_in_front_of_another_and_names_one_nearby(self):
        """`start` with a server alone as its place has our routes in front of it."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", 8000))
            except OSError:
                self.skipTest("something listens on port 8000")
        behind = self.serve(MODEL, "--port", "8000")
        front = self.front(behind.address)
        generated = json.loads(ask(front.address, "/v1/generate", {
            "prompt": "Once upon a time", "llm_config": {"max_new_tokens": 8, "temperature": 0}}))
        self.assertEqual(len(generated["outputs"][0]["token_ids"]), 8)
        self.assertEqual(list(places_of(front.address)), [behind.address])
        hint = "a server at http://127.0.0.1:8000 has this model too; --place http://127.0.0.1:8000 "
        for offline, finds in (("0", self.assertIn), ("1", self.assertNotIn)):
            alone = self.serve(MODEL, environment={"HF_HUB_OFFLINE": offline}, threads=())
            self.assertEqual(json.loads(ask(alone.address, "/v1/metadata"))["backend"], "native")
            alone.process.send_signal(signal.SIGINT)
            finds(hint, alone.process.communicate(timeout=TIMEOUT)[1])


class Load(ManyPlaces):
    def test_more_than_one_place_holds_goes_to_the_next(self):
        """Long requests fill the places; short ones beside them are answered, and each place had its part."""
        server = self.serve(MODEL, "--max-sequences", "4")
        front = self.serve(MODEL, "--place", "native", "--place", server.address, "--max-sequences", "4")
        slots = {name: place["n_slots"] for name, place in places_of(front.address).items()}
        self.assertEqual(slots, {"native": 4, server.address: 4})
        prompts = ["There was a cat %d" % i for i in range(24)]
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            jobs = [pool.submit(complete, front.address, prompt, temperature=0, ignore_eos=True,
                                max_tokens=200 if i % 3 else 4) for i, prompt in enumerate(prompts)]
            for job in jobs:
                self.assertEqual(job.result(TIMEOUT)["finish_reason"], "length")
        for name, place in places_of(front.address).items():
            self.assertGreaterEqual(place["n_requests"], 4, name)
            self.assertGreater(place["token_s"], 0)


if __name__ == "__main__":
    main()
