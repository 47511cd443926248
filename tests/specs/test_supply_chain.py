"""What is built upon: versions above known advisories, base images by digest, and where pods may go."""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
import ipaddress
import json
import re
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dockerfile import REPOSITORY, parse
from packaging.requirements import Requirement
from packaging.version import Version

ADVISORIES = {
    # The first versions without what is known (November 2026).
    "bokeh": "3.8.2", "cryptography": "46.0.5", "jinja2": "3.1.6", "pillow": "12.1.1", "pyyaml": "5.4", "tornado": "6.5.3",
    "torch": "2.8.0", "aiohttp": "3.13.3", "transformers": "4.53.0", "distributed": "2026.1.0", "setuptools": "78.1.1",
}  # fmt: skip


def requirements() -> dict[str, list[Requirement]]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    named = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for name, more in extras.items():
        named += [] if name == "dev" else more
    found: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, named):
        name = "distributed" if requirement.name == "dask" else requirement.name
        found.setdefault(name.lower(), []).append(requirement)
    return found


@pytest.mark.parametrize("name", ADVISORIES)
def test_floors_lie_above_known_advisories(name):
    for requirement in requirements()[name]:
        floors = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==")]
        assert floors, requirement
        assert max(floors) >= Version(ADVISORIES[name])


def test_what_is_installed_in_the_image_has_a_version():
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    (installed,) = re.findall(r"apt-get install .*recommends (.+?) \\", text)
    assert all("=" in package for package in installed.split())
    assert re.search(r"^ARG CGPU_PACKAGE=cgpu@\d+\.\d+\.\d+$", text, re.M)


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("pin_images", REPOSITORY / "specs/pin_images.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MANIFEST = json.dumps(
    {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
).encode()


@pytest.fixture
def registry() -> Iterator[str]:
    """A registry that asks for a token, as Docker's does, and says a wrong digest."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here = f"http://127.0.0.1:{self.server.server_address[1]}"
            if self.path.startswith("/token?"):
                return self.say(200, json.dumps({"token": self.path}).encode())
            if "Bearer /token?service=r&scope=s" not in self.headers.get("Authorization", ""):
                self.send_response(401)
                self.send_header(
                    "WWW-Authenticate", f'Bearer realm="{here}/token",service="r",scope="s"'
                )
                self.end_headers()
                return None
            if self.path.endswith("/python/manifests/3.11"):
                return self.say(200, MANIFEST)
            return self.say(404 if "gone" in self.path else 200, b'{"errors": []}')

        def say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Docker-Content-Digest", "sha256:" + "0" * 64)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_base_images_get_the_digest_of_what_the_registry_sends(tool, registry, tmp_path, capsys):
    path = tmp_path / "Dockerfile"
    image = f"{registry}/library/python:3.11"
    path.write_text(f"FROM {image} AS python\nFROM python AS b\nFROM variant-${{V}} AS m\n")
    digest = "sha256:" + hashlib.sha256(MANIFEST).hexdigest()
    for _ in range(2):  # again, with a digest there already
        assert tool.main([str(path)]) == 0
        assert path.read_text() == f"FROM {image}@{digest} AS python\nFROM python AS b\nFROM variant-${{V}} AS m\n"  # fmt: skip
    assert digest in capsys.readouterr().out


@pytest.mark.parametrize("name", ["{}/library/gone:1", "{}/library/odd:1", "127.0.0.1:9/library/python:3.11"])  # fmt: skip
def test_no_digest_is_invented(tool, registry, tmp_path, capsys, name):
    path = tmp_path / "Dockerfile"
    text = f"FROM {registry}/library/python:3.11 AS a\nFROM {name.format(registry)} AS b\n"
    path.write_text(text)
    assert tool.main([str(path)]) == 1
    assert path.read_text() == text
    assert "stays as it is" in capsys.readouterr().err


def test_our_dockerfile_is_understood(tool):
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    found = [m[2] for m in tool.FROM.finditer(text)]
    assert found == ["python:3.11-slim-bookworm", "node:20-bookworm-slim"]
    assert tool.split(found[0]) == ("registry-1.docker.io", "library/python", "3.11-slim-bookworm")
    pinned = tool.FROM.sub(lambda m: f"{m[1]}{m[2]}@sha256:{'a' * 64}", text)
    assert parse(pinned, {})["python"].base == f"{found[0]}@sha256:{'a' * 64}"


def test_pods_go_to_each_other_to_names_and_to_https_outside():
    policy = yaml.safe_load((REPOSITORY / "specs/kubernetes/network-policy.yaml").read_text())
    spec = policy["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    own, names, outside = spec["egress"]
    assert all("podSelector" in to and "namespaceSelector" not in to for to in own["to"])
    assert {(p["protocol"], p["port"]) for p in names["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert outside["ports"] == [{"protocol": "TCP", "port": 443}]

    def allowed(address: str) -> bool:
        ip = ipaddress.ip_address(address)
        blocks = [t["ipBlock"] for t in outside["to"]]
        return any(
            ip in ipaddress.ip_network(b["cidr"])
            and not any(ip in ipaddress.ip_network(e) for e in b["except"])
            for b in blocks
            if ipaddress.ip_network(b["cidr"]).version == ip.version
        )

    assert allowed("52.218.0.1")
    assert allowed("2600::1")
    for inside in ("169.254.169.254", "10.0.0.1", "172.20.1.1", "192.168.1.1", "fd00::1", "127.0.0.1"):  # fmt: skip
        assert not allowed(inside), inside


def test_the_policy_is_part_of_what_is_applied():
    kustomization = yaml.safe_load(Path(REPOSITORY / "specs/kubernetes/kustomization.yaml").read_text())  # fmt: skip
    assert "network-policy.yaml" in kustomization["resources"]


def test_only_the_coordinator_reaches_its_queue():
    found = list(yaml.safe_load_all((REPOSITORY / "specs/kubernetes/coordinator.yaml").read_text()))
    by_name = {(d["kind"], d["metadata"]["name"]): d for d in found}
    for kind, name in (("Deployment", "montage-coordinator"), ("StatefulSet", "montage-redis")):
        labels = by_name[kind, name]["spec"]["template"]["metadata"]["labels"]
        assert by_name[kind, name]["spec"]["selector"]["matchLabels"] == labels
        policy = by_name["NetworkPolicy", name]["spec"]
        assert policy["podSelector"]["matchLabels"] == labels
        (service,) = [
            d for d in found if d["kind"] == "Service" and d["spec"]["selector"] == labels
        ]
        assert service["metadata"]["name"] == name
        (container,) = by_name[kind, name]["spec"]["template"]["spec"]["containers"]
        assert {"readinessProbe", "livenessProbe"} < container.keys()
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    redis = by_name["NetworkPolicy", "montage-redis"]["spec"]
    coordinator = by_name["Deployment", "montage-coordinator"]["spec"]["selector"]["matchLabels"]
    assert redis["ingress"][0]["from"] == [{"podSelector": {"matchLabels": coordinator}}]
    assert set(redis["policyTypes"]) == {"Ingress", "Egress"}
    assert "egress" not in redis
    # What reaches clusters is known by this label: the queue must not.
    queue = by_name["StatefulSet", "montage-redis"]["spec"]["selector"]["matchLabels"]
    assert "app.kubernetes.io/part-of" not in queue
    (container,) = by_name["StatefulSet", "montage-redis"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][1:5] == ["--appendonly", "yes", "--appendfsync", "always"]
