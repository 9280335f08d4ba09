"""Every alert is complete, tested, mounted and known to Prometheus; promtool finds nothing where it is installed."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from metrics_page import RULES, rules


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


DEPLOY = RULES.parents[1]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in rules() if "alert" in rule}
TESTS = [test for path in sorted(RULES.glob("*_test.yml")) for test in load(path)["tests"]]
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def promtool(*command: str) -> None:
    done = subprocess.run(["promtool", *command], cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_the_rules_and_the_configuration() -> None:
    promtool("check", "rules", *(str(RULES / name) for name in ("health.yml", "objective.yml")))
    promtool("check", "config", str(DEPLOY / "prometheus" / "prometheus.yml"))


@needs_promtool
def test_the_unit_tests_of_the_rules_pass() -> None:
    promtool("test", "rules", *(path.name for path in sorted(RULES.glob("*_test.yml"))))


def test_prometheus_loads_every_file_of_rules_and_no_test() -> None:
    listed = load(DEPLOY / "prometheus" / "prometheus.yml")["rule_files"]
    assert listed == [f"rules/{path.name}" for path in sorted(RULES.glob("*.yml")) if "_test" not in path.name]


def test_what_the_rules_call_the_service_is_what_prometheus_calls_it() -> None:
    jobs = [job["job_name"] for job in load(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]]
    named = {name for rule in rules() for name in re.findall(r'job="(\w+)"', rule["expr"])}
    assert named == set(jobs) == {"haste"}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_and_where_its_remedy_is(name: str) -> None:
    alert = ALERTS[name]
    anchor = re.sub("(?<!^)(?=[A-Z])", "-", name).lower()
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert alert["annotations"]["runbook"] == f"docs/operating.md#{anchor}"
    assert alert["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(name: str) -> None:
    fires = quiet = False
    for test in TESTS:
        instances = set(re.findall(r'instance="(\w+)"', str(test["input_series"])))
        for case in (case for case in test.get("alert_rule_test", ()) if case["alertname"] == name):
            fires |= bool(case["exp_alerts"])
            quiet |= len(case["exp_alerts"]) < len(instances)
    assert fires
    assert quiet


def test_alerts_go_to_the_alertmanager_of_the_compose_file() -> None:
    config = load(DEPLOY / "prometheus" / "prometheus.yml")["alerting"]["alertmanagers"]
    services = load(DEPLOY.parent / "docker-compose.yml")["services"]
    assert config == [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]
    assert "./deploy/prometheus/rules:/etc/prometheus/rules:ro" in services["prometheus"]["volumes"]
    own = "./deploy/prometheus/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro"
    assert own in services["alertmanager"]["volumes"]


def test_the_alertmanager_quiets_only_alerts_that_exist() -> None:
    config = load(DEPLOY / "prometheus" / "alertmanager.yml")
    named = set(re.findall(r"Haste\w+", str(config["inhibit_rules"])))
    assert named <= set(ALERTS)
    assert config["route"]["receiver"] in [receiver["name"] for receiver in config["receivers"]]
