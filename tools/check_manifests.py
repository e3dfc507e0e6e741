"""Checks deploy/kubernetes against the schemas of Kubernetes, with the package kubernetes-validate of PyPI.

    python tools/check_manifests.py [VERSION...]      versions of Kubernetes, for example 1.30 (default: the newest)

It also holds the reader of the ordinary tests (tests/repo/plain_yaml.py) against PyYAML, which that package brings.
"""
import pathlib
import sys

import kubernetes_validate
import yaml

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "tests" / "repo"))
import plain_yaml  # noqa: E402

failures = 0
checked = 0
for path in sorted((root / "deploy" / "kubernetes").glob("*.yaml")):
    text = path.read_text(encoding="utf-8")
    parts = [part for part in yaml.safe_load_all(text) if part]
    if list(plain_yaml.documents(text)) != parts:
        failures += 1
        print(f"{path.name}: PyYAML reads something else than tests/repo/plain_yaml.py")
    for part in parts:
        if "kind" not in part:
            continue  # values of a chart
        for version in sys.argv[1:] or [kubernetes_validate.latest_version()]:
            checked += 1
            try:
                kubernetes_validate.validate(part, version, strict=True)
            except Exception as error:  # each is reported
                failures += 1
                print(f"{path.name}: {part['kind']}: {version}: {error}")
print(f"{checked} objects checked, {failures} failures")
sys.exit(1 if failures or not checked else 0)
