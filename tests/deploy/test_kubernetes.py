"""The Kubernetes manifests: valid by the published schemas, and in step with the node that they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from candor import __version__
from candor.command_line import verb_parser
from gateway.__main__ import ADDERS
from gateway.processes import KINDS
from gateway.settings import load_settings
from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.29", "1.34")
"""Of Kubernetes: the oldest that the manifests are for, and a late one."""

Manifest = dict[str, Any]


def manifests(pattern: str = "*.yaml") -> list[Manifest]:
    files = [file for file in sorted(FOLDER.glob(pattern)) if file.name != "kustomization.yaml"]
    return [manifest for file in files for manifest in yaml.safe_load_all(file.read_text())]


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def of_kind(kind: str) -> dict[str, Manifest]:
    return {m["metadata"]["name"]: m for m in manifests() if m["kind"] == kind}


def container(kind: str) -> Manifest:
    (found,) = of_kind("Deployment")[f"candor-{kind}"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", manifests(), ids=named)
def test_a_manifest_fits_the_schema(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schemas_refuse_what_is_wrong() -> None:
    manifest = of_kind("Deployment")["candor-work"]
    manifest["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)


def test_kustomize_takes_every_file_but_the_trial_database() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    files = {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml", "postgresql.yaml"}
    assert set(kustomization["resources"]) == files
    assert [image["newTag"] for image in kustomization["images"]] == [__version__]


def test_every_process_of_the_node_has_its_deployment() -> None:
    assert set(of_kind("Deployment")) == {f"candor-{kind}" for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_deployment_runs_its_process_as_nobody_on_a_file_system_that_it_cannot_change(kind: str) -> None:
    pod = of_kind("Deployment")[f"candor-{kind}"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    found = container(kind)
    assert found["securityContext"]["readOnlyRootFilesystem"]
    assert found["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    python, dash, module, *arguments = found["command"]
    assert [python, dash, module] == ["python3", "-m", "gateway"]
    options = verb_parser("gateway", "", ADDERS).parse_args(arguments)
    assert options.only == [kind]
    mounted = {mount["mountPath"] for mount in found["volumeMounts"]}
    assert {options.config.parent.as_posix(), options.alive.parent.as_posix(), "/spool"} <= mounted
    assert options.drain_s < pod["terminationGracePeriodSeconds"]
    assert {"requests", "limits"} <= found["resources"].keys()
    assert {"readinessProbe", "livenessProbe", "startupProbe"} <= found.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_asks_what_the_process_offers(kind: str) -> None:
    found = container(kind)
    ports = {port["name"] for port in found.get("ports", ())}
    options = verb_parser("gateway", "", ADDERS).parse_args(found["command"][3:])
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        probe = found[name]
        if "exec" in probe:
            assert str(options.alive) in probe["exec"]["command"][-1]
        else:
            (asked,) = [probe[way]["port"] for way in ("tcpSocket", "httpGet") if way in probe]
            assert asked in ports


@pytest.mark.parametrize("kind", KINDS)
def test_no_process_counts_as_alive_because_the_kernel_takes_its_connections(kind: str) -> None:
    assert "tcpSocket" not in container(kind)["livenessProbe"]


def test_the_settings_are_settings_and_fit_the_manifests(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(of_kind("Secret")["candor-settings"]["stringData"]["gateway.yaml"])
    settings = load_settings(path)
    assert settings.database.startswith("postgresql")
    assert settings.spool == "/spool"
    ports = {port["name"]: port["containerPort"] for kind in ("receive", "web") for port in container(kind)["ports"]}
    web = settings.web
    assert ports == {"dicom": settings.receive.port, "http": web.port, "health": web.health_port}
    assert web.host == web.health_host == "0.0.0.0"


def test_health_is_asked_at_the_port_that_no_load_on_the_page_takes_away() -> None:
    found = container("web")
    assert {found[f"{name}Probe"]["httpGet"]["port"] for name in ("readiness", "liveness", "startup")} == {"health"}


def test_services_and_policies_choose_pods_that_there_are() -> None:
    controllers = [*of_kind("Deployment").values(), *of_kind("StatefulSet").values()]
    labels = [controller["spec"]["template"]["metadata"]["labels"].items() for controller in controllers]
    chosen = [service["spec"]["selector"] for service in of_kind("Service").values()]
    chosen += [policy["spec"]["podSelector"].get("matchLabels", {}) for policy in of_kind("NetworkPolicy").values()]
    chosen += [budget["spec"]["selector"]["matchLabels"] for budget in of_kind("PodDisruptionBudget").values()]
    for selector in chosen:
        assert any(selector.items() <= pod for pod in labels), selector


def test_what_scales_is_there_and_its_number_is_nobody_elses() -> None:
    (scaler,) = of_kind("HorizontalPodAutoscaler").values()
    target = of_kind("Deployment")[scaler["spec"]["scaleTargetRef"]["name"]]
    assert "replicas" not in target["spec"]  # else every apply would set it back
