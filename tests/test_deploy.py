"""The files in deploy/: valid settings, valid schemas, nothing runs as root."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_service.server.middleware.hosts import PROBES
from qa_service.settings import load_settings

DEPLOY = Path(__file__).parent.parent / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
VERSION = "1.34"


def settings_in(environment: dict[str, str]) -> None:
    """Expect known settings with valid values."""
    load_settings(**{name.removeprefix("QA_").lower(): value for name, value in environment.items()})


def resources() -> list[dict[str, Any]]:
    names = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [one for name in names for one in yaml.safe_load_all((KUBERNETES / name).read_text())]


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [one for one in resources() if one["kind"] == kind]
    return found


@pytest.mark.needs("kubernetes_validate")
def test_every_resource_is_valid_against_its_schema() -> None:
    """Every file except the values of another chart is a listed resource."""
    import kubernetes_validate

    kinds = set()
    for resource in resources():
        kubernetes_validate.validate(resource, VERSION, strict=True)
        kinds.add(resource["kind"])
    assert kinds >= {"Deployment", "CronJob", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"}
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    others = {"kustomization.yaml", "milvus-values.yaml"}
    assert {path.name for path in KUBERNETES.iterdir()} == {*listed, *others}


@pytest.mark.needs("kubernetes_validate")
def test_the_schemas_can_fail() -> None:
    """An unknown field is an error."""
    import kubernetes_validate

    broken = of_kind("Deployment")
    broken["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_pods_are_locked_down(kind: str) -> None:
    """No root, no privilege escalation, a read-only root file system, no cluster token, a memory limit."""
    spec = of_kind(kind)["spec"]
    pod = (spec if kind == "Deployment" else spec["jobTemplate"]["spec"])["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert container["resources"]["limits"]["memory"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    settings_in({item["name"]: item["value"] for item in container["env"] if "value" in item})


def test_replicas_are_probed_and_drain_in_time() -> None:
    """Probes need no allowed host, labels match, and the grace period is longer than the drain."""
    deployment, settings = of_kind("Deployment"), of_kind("ConfigMap")["data"]
    settings_in(settings)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    paths = {}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        given = container[name]["httpGet"]
        paths[name] = given["path"]
        assert given["path"] in PROBES
        assert given["port"] in {port["name"] for port in container["ports"]}
    assert paths == {"startupProbe": "/readyz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    known = load_settings(**{key.removeprefix("QA_").lower(): value for key, value in settings.items()})
    assert pod["terminationGracePeriodSeconds"] >= known.drain_seconds + known.deadline_seconds + 30
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert of_kind("Service")["spec"]["selector"].items() <= labels.items()
    assert of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    scaled = of_kind("HorizontalPodAutoscaler")["spec"]
    assert scaled["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert scaled["minReplicas"] > of_kind("PodDisruptionBudget")["spec"]["minAvailable"]
    assert container["envFrom"][0]["configMapRef"]["name"] == of_kind("ConfigMap")["metadata"]["name"]


@pytest.mark.proof
@pytest.mark.needs("kubernetes_validate", "kubectl")
def test_proof_kustomize_renders_them_with_one_namespace_and_image(
    record_property: Callable[[str, object], None],
) -> None:
    """As `kubectl apply -k` would apply them."""
    import kubernetes_validate

    rendered = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], check=True, capture_output=True, text=True)
    found = list(yaml.safe_load_all(rendered.stdout))
    assert len(found) == len(resources())
    assert {one["metadata"]["namespace"] for one in found} == {"qa-service"}
    for one in found:
        kubernetes_validate.validate(one, VERSION, strict=True)
    assert rendered.stdout.count("image: registry.example.org/qa-service:") == 2
    record_property("figure", f"{len(found)} resources valid against the schemas of Kubernetes {VERSION}")


def test_the_compose_file_of_the_service_is_hardened() -> None:
    """Known settings, ports on loopback, existing folders; Prometheus and Grafana start only if wanted."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert {name for name, service in services.items() if "profiles" not in service} == {"qa"}
    for name in ("qa", "index"):
        settings_in(services[name]["environment"])
        assert (services[name]["read_only"], services[name]["cap_drop"]) == (True, ["ALL"])
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for volume in service["volumes"]:
            source = re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", volume).split(":")[0]
            assert source == "./data" or (DEPLOY / source).resolve().exists(), source


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("name", ["qa-service.service", "qa-service-index.service", "qa-service-index.timer"])
def test_the_units_of_systemd_are_valid_and_locked_down(name: str, tmp_path: Path) -> None:
    """By its own check, which also finds misspelled lines; the exposure is at most 1 of 10."""
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text(encoding="utf-8")
        (tmp_path / unit.name).write_text(text.replace("/opt/qa-service/bin/qa-service", sys.executable))
        given = re.findall(r"(QA_\w+)=(\S+)", text)
        settings_in(dict(given))
    checked = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    if name.endswith(".service"):
        threshold = ("--threshold=10", "--offline=true")  # tenths
        subprocess.run(["systemd-analyze", "security", *threshold, tmp_path / name], check=True, capture_output=True)


def test_the_compose_file_of_replicas_is_hardened() -> None:
    """Known settings, ports on loopback, existing folders."""
    compose = yaml.safe_load((DEPLOY / "milvus.yaml").read_text())
    for name in ("first", "second", "index"):
        service = compose["services"][name]
        settings_in(service["environment"])
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).resolve().is_dir()
