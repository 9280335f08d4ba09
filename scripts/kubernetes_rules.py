"""The PrometheusRule of Kubernetes, from the rules that Prometheus reads elsewhere."""

import yaml
from metrics_page import RULES

_NOTE = "# written by `make docs` from deploy/prometheus/rules: change those, not this file\n"


class _Texts(yaml.SafeDumper):
    """Texts of several lines as they were written."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Texts.add_representer(str, _text)


def prometheus_rule() -> str:
    """A manifest with every group of every file of rules."""
    files = [path for path in sorted(RULES.glob("*.yml")) if not path.stem.endswith("_test")]
    groups = [group for path in files for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "haste", "namespace": "haste"},
        "spec": {"groups": groups},
    }
    return _NOTE + yaml.dump(manifest, Dumper=_Texts, sort_keys=False, width=120)
