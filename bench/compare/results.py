"""Results as lines of JSON: what an interrupted run has measured counts when it goes on.

Kinds of records, of which the last with the same names counts:
  settings  what must be the same for results to stand beside each other
  peer      peer, version
  absent    peer, model (None: of all), reason
  run       peer, model, round, values, reason (None: whole), machine, facts, load_average, busy
  quality   model, values or reason
"""
import json
import os
import statistics
from dataclasses import dataclass


class OtherSettings(Exception):
    """The file has results that may not be mixed with new ones."""


@dataclass(frozen=True)
class Summary:
    median: float
    low: float
    high: float
    n: int


def summarise(values):
    """None of nothing."""
    if not values:
        return None
    return Summary(statistics.median(values), min(values), max(values), len(values))


class Results:
    def __init__(self, path):
        self.path = path
        self.records = []
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    self._take(line, number)

    def _take(self, line, number):
        try:
            self.records.append(json.loads(line))
        except json.JSONDecodeError as error:
            if line.endswith("\n"):
                raise SystemExit(f"{self.path}:{number}: not a line of JSON: {error}") from error
            # The last line of a run that was ended while it wrote: measured again.

    def add(self, **record):
        self.records.append(record)
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        ended = True
        if os.path.exists(self.path) and os.path.getsize(self.path):
            with open(self.path, "rb") as file:
                file.seek(-1, os.SEEK_END)
                ended = file.read(1) == b"\n"
        if not ended:
            self._drop_last_line()
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _drop_last_line(self):
        with open(self.path, "rb+") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)

    def require_settings(self, settings):
        """Throws OtherSettings where the file was made with others."""
        there = self.settings()
        if there is None:
            self.add(kind="settings", **settings)
            return
        differing = [f"{key}: {there.get(key)} there, {value} now" for key, value in settings.items() if there.get(key) != value]
        if differing:
            raise OtherSettings("; ".join(differing))

    def settings(self):
        found = [r for r in self.records if r["kind"] == "settings"]
        return {key: value for key, value in found[-1].items() if key != "kind"} if found else None

    def _all(self, kind, **names):
        return [r for r in self.records if r["kind"] == kind and all(r.get(k) == v for k, v in names.items())]

    def models(self):
        """In the order of their first results, also those of which there are only reasons."""
        return list(dict.fromkeys(r["model"] for r in self.records if r.get("model")))

    def peers(self):
        return list(dict.fromkeys(r["peer"] for r in self.records if r["kind"] in ("peer", "absent", "run")))

    def version(self, peer):
        found = self._all("peer", peer=peer)
        return found[-1]["version"] if found else None

    def last_run(self, model, peer, round_):
        found = self._all("run", model=model, peer=peer, round=round_)
        return found[-1] if found else None

    def is_done(self, model, peer, round_, what):
        """Measured without failure, and everything that is wanted now."""
        run = self.last_run(model, peer, round_)
        return run is not None and run["reason"] is None and set(what) <= set(run["values"])

    def quality(self, model):
        found = self._all("quality", model=model)
        return found[-1] if found else None

    def not_there(self):
        """[(peer, reason)] of those that no model could be given to."""
        last = {r["peer"]: r for r in self.records if r["kind"] == "peer" or (r["kind"] == "absent" and r["model"] is None)}
        return [(peer, r["reason"]) for peer, r in last.items() if r["kind"] == "absent"]

    def absence(self, model, peer):
        """Why a peer that is there has nothing of this model, or not everything: the last reason; None where there is none."""
        found = [r for r in self.records if r["kind"] in ("absent", "run") and r["peer"] == peer and r["model"] == model]
        return found[-1]["reason"] if found else None

    def runs(self, model, peer=None):
        """The last of every round, of one peer or all."""
        last = {}
        for r in self.records:
            if r["kind"] == "run" and r["model"] == model and peer in (None, r["peer"]):
                last[(r["peer"], r["round"])] = r
        return list(last.values())

    def summary(self, model, peer, what):
        return summarise([r["values"][what] for r in self.runs(model, peer) if what in r["values"]])

    def machine(self, model):
        """Medians of the machine's limits in all runs of a model."""
        limits = {}
        for run in self.runs(model):
            for name, value in (run.get("machine") or {}).items():
                limits.setdefault(name, []).append(value)
        return {name: summarise(values) for name, values in limits.items()}

    def facts(self, model):
        for run in self.runs(model):
            if run.get("facts"):
                return run["facts"]
        return {}
