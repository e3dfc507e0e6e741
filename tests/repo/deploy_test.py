#!/usr/bin/env python3
"""What deploy/ says of the program is so: options, ports, probes, metrics, variables, times.

    deploy_test.py PROGRAM TEST_DATA_FOLDER
"""

import json
import re
import subprocess
import unittest
import urllib.request
from pathlib import Path

import plain_yaml
from cli_program import PROGRAM, STORIES, TIMEOUT, main, run

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
DRAINED = 10  # seconds to spare between the longest end of a server and its kill


def read(name):
    return list(plain_yaml.documents((KUBERNETES / name).read_text(encoding="utf-8")))


def of_kind(documents, kind):
    return [d for d in documents if d["kind"] == kind]


def containers(documents, name):
    for document in of_kind(documents, "Deployment") + of_kind(documents, "StatefulSet"):
        for container in document["spec"]["template"]["spec"]["containers"]:
            if container["name"] == name:
                yield document, container


def option(container, name):
    return [a.split("=", 1)[1] for a in container["args"] if a.startswith(name + "=")]


class Manifests(unittest.TestCase):
    FILES = ("openllm.yaml", "openllm-vllm.yaml")

    @classmethod
    def setUpClass(cls):
        cls.help = run("start", "--help").stdout
        cls.server = subprocess.Popen([PROGRAM, "start", STORIES, "--port", "0", "--kv-cache-bytes", "1MiB"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in cls.server.stderr:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                cls.address = found[0]
            if "ready" in line:
                break
        cls.metrics = cls.get("/metrics")

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait(TIMEOUT)
        cls.server.stderr.close()

    @classmethod
    def get(cls, path):
        with urllib.request.urlopen(cls.address + path, timeout=TIMEOUT) as answer:
            return answer.read().decode()

    def each(self):
        for name in self.FILES:
            documents = read(name)
            found = list(containers(documents, "openllm"))
            self.assertEqual(len(found), 1, name)
            with self.subTest(name):
                yield documents, *found[0]

    def test_options_are_those_of_start(self):
        for _, _, container in self.each():
            self.assertEqual(container["args"][0], "start")
            self.assertNotIn("-", container["args"][1][:1])
            for argument in container["args"][2:]:
                name = argument.split("=")[0]
                self.assertRegex(self.help, r"(?m)[\s,]%s[\s,]" % re.escape(name))
            self.assertEqual(option(container, "--host"), ["0.0.0.0"])

    def test_ports_agree(self):
        for documents, deployment, container in self.each():
            ports = {p["name"]: p["containerPort"] for p in container["ports"]}
            self.assertEqual(option(container, "--port"), [str(ports["http"])])
            notes = deployment["spec"]["template"]["metadata"]["annotations"]
            self.assertEqual(notes["prometheus.io/port"], str(ports["http"]))
            self.assertIn("openllm_", self.get(notes["prometheus.io/path"]))
            for service in of_kind(documents, "Service"):
                self.assertEqual([p["targetPort"] for p in service["spec"]["ports"]], ["http"])

    def test_probes_are_answered(self):
        for _, _, container in self.each():
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                self.assertEqual(container[probe]["httpGet"]["port"], "http")
                self.assertIn('"status"', self.get(container[probe]["httpGet"]["path"]))
            # A server that loads is alive and not ready: only /readyz tells them apart.
            self.assertEqual(container["startupProbe"]["httpGet"]["path"], "/readyz")
            self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/readyz")
            self.assertIn(container["livenessProbe"]["httpGet"]["path"], ("/livez", "/healthz"))
            self.assertIn("/readyz", json.loads(self.get("/docs.json"))["paths"])

    def test_answers_may_finish_at_the_end(self):
        for _, deployment, container in self.each():
            command = container["lifecycle"]["preStop"]["exec"]["command"]
            self.assertEqual(command[0], "sleep")
            longest = int(command[1]) + int(option(container, "--shutdown-timeout")[0])
            pod = deployment["spec"]["template"]["spec"]
            self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], longest + DRAINED)

    def test_nothing_but_volumes_can_be_written(self):
        user = re.search(r"(?m)^USER (\d+)$", (ROOT / "deploy/Containerfile").read_text(encoding="utf-8"))[1]
        for _, deployment, container in self.each():
            pod = deployment["spec"]["template"]["spec"]
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(str(pod["securityContext"]["runAsUser"]), user)
            context = container["securityContext"]
            self.assertTrue(context["readOnlyRootFilesystem"])
            self.assertFalse(context["allowPrivilegeEscalation"])
            self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
            self.assertEqual(container["resources"]["requests"]["memory"], container["resources"]["limits"]["memory"])
            names = {volume["name"] for volume in pod["volumes"]}
            self.assertEqual({mount["name"] for mount in container["volumeMounts"]}, names)

    def test_folders_of_models_are_on_the_volume(self):
        _, container = next(containers(read("openllm.yaml"), "openllm"))
        mounted = container["volumeMounts"][0]["mountPath"]
        variables = {v["name"]: v.get("value") for v in container["env"]}
        for name in ("OPENLLM_HOME", "HF_HOME"):
            self.assertTrue(variables[name].startswith(mounted + "/"))
        _, container = next(containers(read("openllm-vllm.yaml"), "openllm"))
        self.assertEqual(option(container, "--tokenizer"), [container["volumeMounts"][0]["mountPath"]])

    def test_variables_are_known(self):
        for _, _, container in self.each():
            values = {v["name"]: v.get("value", "x") for v in container["env"]}
            done = run("fields", "--json", environment=values)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for name in (n for n in values if n.startswith("OPENLLM_")):
                told = run("fields", "--json", environment={name + "S": "x"}).stderr
                self.assertIn(name + "S", told, "the check above can fail")

    def test_metrics_are_exported_and_adapted(self):
        rules = read("prometheus-adapter.yaml")[0]["rules"]
        adapted = {}
        for kind in ("custom", "external"):
            adapted[kind] = {rule["name"]["as"] for rule in rules[kind]}
            for rule in rules[kind]:
                series = rule["seriesQuery"].split("{")[0]
                self.assertEqual(rule["name"]["as"], series)
                self.assertRegex(self.metrics, r"(?m)^# TYPE %s gauge$" % series)
        used = {"custom": set(), "external": set()}
        for name in self.FILES:
            for scaler in of_kind(read(name), "HorizontalPodAutoscaler"):
                for metric in scaler["spec"]["metrics"]:
                    kind = {"Pods": "custom", "External": "external"}[metric["type"]]
                    used[kind].add(metric[metric["type"].lower()]["metric"]["name"])
        self.assertEqual(used, adapted)

    def test_names_lead_to_what_is_there(self):
        for documents, _, _ in self.each():
            workloads = {(d["kind"], d["metadata"]["name"]): d for d in documents}
            labels = [d["spec"]["template"]["metadata"]["labels"] for d in documents if "template" in d.get("spec", {})]
            for scaler in of_kind(documents, "HorizontalPodAutoscaler"):
                target = scaler["spec"]["scaleTargetRef"]
                self.assertNotIn("replicas", workloads[target["kind"], target["name"]]["spec"])
            for service in of_kind(documents, "Service"):
                self.assertIn(service["spec"]["selector"], labels)
            for kind in ("Deployment", "StatefulSet"):
                for workload in of_kind(documents, kind):
                    template = workload["spec"]["template"]
                    self.assertEqual(workload["spec"]["selector"]["matchLabels"], template["metadata"]["labels"])
                    for volume in template["spec"]["volumes"]:
                        if "persistentVolumeClaim" in volume:
                            claim = volume["persistentVolumeClaim"]["claimName"]
                            self.assertIn(("PersistentVolumeClaim", claim), workloads)

    def test_every_vllm_that_there_may_be_has_its_url(self):
        documents = read("openllm-vllm.yaml")
        (stateful, vllm), = containers(documents, "vllm")
        _, front = next(containers(documents, "openllm"))
        scaler, = of_kind(documents, "HorizontalPodAutoscaler")
        name, service = stateful["metadata"]["name"], stateful["spec"]["serviceName"]
        urls = [f"http://{name}-{i}.{service}:8000" for i in range(scaler["spec"]["maxReplicas"])]
        self.assertEqual(option(front, "--vllm-url"), urls)
        self.assertEqual(option(vllm, "--port"), ["8000"])
        self.assertEqual(option(vllm, "--model"), [front["args"][1]])


class Image(unittest.TestCase):
    """deploy/Containerfile, without a network to build it with."""

    TEXT = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")

    def packages(self, stage):
        part = re.split(r"(?m)^FROM ", self.TEXT)[stage + 1].replace("\\\n", " ")
        return set(re.search(r"install -y --no-install-recommends ([^&\n]*)", part)[1].split())

    def test_it_builds_with_what_setup_installs(self):
        setup = (ROOT / "scripts" / "setup").read_text(encoding="utf-8")
        listed = set(re.search(r"(?s)\npackages=\((.*?)\)", setup)[1].split())
        listed |= set(re.search(r"(?s)bookworm\)\s*packages\+=\((.*?)\)", setup)[1].split())
        needed = {p for p in listed if p.startswith("lib") and not re.search("gtest|gmock", p)} | {"nlohmann-json3-dev"}
        installed = self.packages(0)
        self.assertEqual(needed - installed, set())
        self.assertEqual(installed - listed, set())

    def test_its_switches_are_options(self):
        cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
        for switch in re.findall(r"-D(OPENLLM_\w+)=", self.TEXT):
            self.assertIn(f"option({switch} ", cmake)

    def test_libraries_that_the_program_needs_are_installed(self):
        library = Path(PROGRAM).parent.parent / "lib" / "libopenllm.so"
        needed = set()
        for file in (PROGRAM, str(library)):
            listing = subprocess.run(["readelf", "-d", file], capture_output=True, text=True, check=True).stdout
            needed |= set(re.findall(r"NEEDED.*\[(lib[^\]]+)\]", listing))
        # The C and C++ libraries, and ours, are there in any case; sanitizers are of test builds.
        needed = {n for n in needed if not re.match(r"lib(c|m|gcc_s|stdc\+\+|openllm|asan|ubsan|tsan)\.", n)}
        runtime = self.packages(1)
        for name in needed:
            stem = re.match(r"lib([a-z]+)", name)[1]
            stem = {"icuuc": "icu", "icudata": "icu", "crypto": "ssl", "pcre": "pcre2"}.get(stem, stem)
            self.assertTrue(any(p.startswith("lib" + stem) for p in runtime), f"{name}: none of {sorted(runtime)}")

    def test_its_port_is_that_of_the_program(self):
        self.assertIn(f"default: {re.search('EXPOSE ([0-9]+)', self.TEXT)[1]}", run("start", "--help").stdout)


if __name__ == "__main__":
    main()
