"""The manifests of Kubernetes: confined pods, probes that exist, time to finish, and what clusters' own kinds need."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_rules import prometheus_rule
from metrics_page import exposed

from app.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/k8s"
BUILT = ("base", "overlays/k3s", "overlays/cloud", "kserve")
OTHERS = {"ScaledObject", "ServiceMonitor", "PrometheusRule", "ServingRuntime", "InferenceService"}
"""Kinds that clusters add, of which Kubernetes has no schema."""
VERSION = "1.32.0"
Manifest = dict[str, Any]
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


def load(path: str) -> list[Manifest]:
    return list(yaml.safe_load_all((FOLDER / path).read_text(encoding="utf-8")))


def one(path: str) -> Manifest:
    (manifest,) = load(path)
    return manifest


DEPLOYMENT = one("base/deployment.yaml")
RUNTIME = one("kserve/servingruntime.yaml")
POD: Manifest = DEPLOYMENT["spec"]["template"]["spec"]
CONTAINERS = [POD["containers"][0], RUNTIME["spec"]["containers"][0]]


@cache
def built(folder: str) -> list[Manifest]:
    """What kubectl makes of a folder."""
    command = ["kubectl", "kustomize", str(FOLDER / folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(folder: str, kind: str) -> list[Manifest]:
    return [manifest for manifest in built(folder) if manifest["kind"] == kind]


@pytest.mark.parametrize("container", CONTAINERS, ids=["deployment", "kserve"])
def test_the_container_is_confined(container: Manifest) -> None:
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert (context["allowPrivilegeEscalation"], context["privileged"]) == (False, False)
    assert context["readOnlyRootFilesystem"] is True
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]


def test_the_pod_is_restricted_and_holds_no_token() -> None:
    context = POD["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    assert one("base/serviceaccount.yaml")["automountServiceAccountToken"] is False
    assert one("base/namespace.yaml")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_variable_of_a_service_can_be_taken_for_a_setting() -> None:
    assert POD["enableServiceLinks"] is False


@pytest.mark.parametrize("container", CONTAINERS, ids=["deployment", "kserve"])
def test_threads_follow_a_cpu_limit_that_is_whole_and_requested(container: Manifest) -> None:
    resources = container["resources"]
    assert resources["requests"] == resources["limits"]
    assert int(resources["limits"]["cpu"]) >= 1


@pytest.mark.parametrize("container", CONTAINERS, ids=["deployment", "kserve"])
def test_every_probe_asks_a_path_that_the_service_has(container: Manifest) -> None:
    paths = json.dumps([container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")])
    assert paths in ('["/startupz", "/readyz", "/livez"]', '["/startupz", "/v2/health/ready", "/v2/health/live"]')
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 300  # calibration on a busy node takes minutes


def drain_seconds(variables: list[Manifest]) -> float:
    (drain_ms,) = (int(variable["value"]) for variable in variables if variable["name"] == "HASTE_DRAIN_MS")
    return (drain_ms + Settings().shutdown_timeout_ms) / 1e3


def test_the_pod_has_time_to_finish_before_it_is_killed() -> None:
    predictor = one("kserve/inferenceservice.yaml")["spec"]["predictor"]
    assert POD["terminationGracePeriodSeconds"] > drain_seconds(CONTAINERS[0]["env"])
    assert predictor["terminationGracePeriodSeconds"] > drain_seconds(predictor["model"]["env"])


def test_every_variable_is_a_setting() -> None:
    variables = [*CONTAINERS[0]["env"], *one("kserve/inferenceservice.yaml")["spec"]["predictor"]["model"]["env"]]
    names = {variable["name"].removeprefix("HASTE_") for variable in variables}
    assert {name if name in Settings.model_fields else name.lower() for name in names} <= set(Settings.model_fields)


def test_images_carry_the_projects_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tags = [
        image["newTag"] for path in ("base", "overlays/cloud") for image in one(f"{path}/kustomization.yaml")["images"]
    ]
    assert tags == [version, version]
    assert CONTAINERS[1]["image"] == f"haste-edge:{version}"


def test_nothing_is_let_in_or_out_but_callers_to_the_port() -> None:
    deny, allow = load("base/networkpolicy.yaml")
    assert (deny["spec"]["podSelector"], deny["spec"]["policyTypes"]) == ({}, ["Ingress", "Egress"])
    assert not {"ingress", "egress"} & set(deny["spec"])
    assert allow["spec"]["egress"] == []
    assert [rule["ports"] for rule in allow["spec"]["ingress"]] == [[{"protocol": "TCP", "port": "http"}]]


def test_a_node_can_be_drained_and_one_replica_at_most_is_missing() -> None:
    budget, rolling = one("base/poddisruptionbudget.yaml")["spec"], DEPLOYMENT["spec"]["strategy"]["rollingUpdate"]
    assert budget["maxUnavailable"] == 1
    assert rolling["maxUnavailable"] == 0


def test_the_rules_are_those_of_prometheus() -> None:
    assert (FOLDER / "components/monitoring/prometheusrule.yaml").read_text(encoding="utf-8") == prometheus_rule()


def test_the_service_is_scraped_under_the_name_that_rules_and_dashboards_know() -> None:
    spec = one("components/monitoring/servicemonitor.yaml")["spec"]
    service = one("base/service.yaml")
    labels = one("base/kustomization.yaml")["labels"][0]["pairs"] | service["metadata"]["labels"]
    assert labels[spec["jobLabel"]] == "haste"
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert [end["port"] for end in spec["endpoints"]] == [port["name"] for port in service["spec"]["ports"]]


def test_replicas_follow_pressure_and_queue_and_never_latency() -> None:
    spec = one("components/keda/scaledobject.yaml")["spec"]
    assert spec["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]
    known = {name for series in exposed() for name in series.names}
    asked = {name for own in spec["triggers"] for name in re.findall(r"haste_\w+", own["metadata"]["query"])}
    assert asked == {"haste_controller_pressure_ratio", "haste_queue_depth"}
    assert asked <= known
    for trigger in spec["triggers"]:
        assert {"serverAddress", "query", "threshold"} <= set(trigger["metadata"])
        assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")
        assert float(trigger["metadata"]["threshold"]) > 0
    assert 1 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]


def test_kserve_finds_the_runtime_by_format_and_protocol() -> None:
    model = one("kserve/inferenceservice.yaml")["spec"]["predictor"]["model"]
    assert model["runtime"] == RUNTIME["metadata"]["name"]
    assert model["protocolVersion"] in RUNTIME["spec"]["protocolVersions"]
    formats = [{key: own[key] for key in ("name", "version")} for own in RUNTIME["spec"]["supportedModelFormats"]]
    assert model["modelFormat"] in formats
    assert CONTAINERS[1]["name"] == "kserve-container"
    assert "storageUri" not in model


@needs_kubectl
@pytest.mark.parametrize("folder", BUILT)
def test_kubectl_builds_it_and_everything_is_in_the_namespace(folder: str) -> None:
    for manifest in built(folder):
        assert {"apiVersion", "kind", "metadata"} <= set(manifest)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "haste"


@needs_kubectl
@pytest.mark.parametrize("folder", BUILT[:3])
def test_every_selector_finds_the_pods(folder: str) -> None:
    (deployment,) = of_kind(folder, "Deployment")
    pods = deployment["spec"]["template"]["metadata"]["labels"]
    (service,), (budget,) = of_kind(folder, "Service"), of_kind(folder, "PodDisruptionBudget")
    selectors = [deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"]]
    selectors += [budget["spec"]["selector"]["matchLabels"]]
    selectors += [
        own["labelSelector"]["matchLabels"]
        for own in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    ]
    assert all(selector.items() <= pods.items() for selector in selectors)


@needs_kubectl
def test_callers_of_the_namespace_may_have_any_labels() -> None:
    (allow,) = (own for own in of_kind("base", "NetworkPolicy") if own["metadata"]["name"] == "haste")
    assert {"podSelector": {}} in allow["spec"]["ingress"][0]["from"]
    (deny,) = (own for own in of_kind("base", "NetworkPolicy") if own["metadata"]["name"] == "default-deny")
    assert deny["spec"]["podSelector"] == {}


@needs_kubectl
def test_where_keda_scales_no_manifest_sets_the_number_of_replicas() -> None:
    (deployment,) = of_kind("overlays/cloud", "Deployment")
    assert "replicas" not in deployment["spec"]
    assert {manifest["kind"] for manifest in built("overlays/cloud")} >= OTHERS - {"ServingRuntime", "InferenceService"}


def has_schemas() -> bool:
    try:
        return bool(importlib.metadata.version("kubernetes-validate"))
    except importlib.metadata.PackageNotFoundError:
        return False


@needs_kubectl
@pytest.mark.skipif(not has_schemas(), reason="kubernetes-validate is not installed: make test-kubernetes")
@pytest.mark.parametrize("folder", BUILT)
def test_everything_fits_the_schemas_of_kubernetes(folder: str, tmp_path: Path) -> None:
    own = [manifest for manifest in built(folder) if manifest["kind"] not in OTHERS]
    if not own:
        assert folder == "kserve"
        return
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(own), encoding="utf-8")
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", "-k", VERSION, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count("passed for resource") == len(own)
