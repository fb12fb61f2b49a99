"""The peers of the gateway's benchmark, each configured as a bare reverse proxy in front of one back end, on one core."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True, frozen=True)
class Peer:
    """A proxy: how it is started, and what the comparison must say of it."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def peers(folder: Path, ports: dict[str, int], backend: int) -> list[Peer]:
    """The peers there are on this machine; Caddy and Envoy come with `make install`, nginx and HAProxy where installed."""
    found = [_caddy(folder, ports["caddy"], backend), _envoy(folder, ports["envoy"], backend)]
    for name, make in (("nginx", _nginx), ("haproxy", _haproxy)):
        program = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin:/bin:/sbin")
        if program is not None:
            found.append(make(program, folder, ports[name], backend))
    return found


def _beside_python(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _caddy(folder: Path, port: int, backend: int) -> Peer:
    route = {"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{backend}"}]}]}
    server = {"listen": [f"127.0.0.1:{port}"], "automatic_https": {"disable": True}, "routes": [route]}
    config = {
        "admin": {"disabled": True},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {"http": {"servers": {"bench": server}}},
    }
    file = folder / "caddy.json"
    file.write_text(json.dumps(config))
    return Peer("caddy", (_beside_python("caddy"), "run", "--config", str(file)), {"GOMAXPROCS": "1", "XDG_DATA_HOME": str(folder)})


def _envoy(folder: Path, port: int, backend: int) -> Peer:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}]}
            ]
        },
        "http_filters": [router],
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    }
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": backend}}}}
    cluster = {
        "name": "backend",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    file = folder / "envoy.json"
    file.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    return Peer(
        "envoy", (_beside_python("envoy"), "-c", str(file), "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id")
    )


def _nginx(program: str, folder: Path, port: int, backend: int) -> Peer:
    file = folder / "nginx.conf"
    file.write_text(f"""
worker_processes 1; pid {folder}/nginx.pid; daemon off; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
""")
    return Peer("nginx", (program, "-c", str(file)))


def _haproxy(program: str, folder: Path, port: int, backend: int) -> Peer:
    file = folder / "haproxy.cfg"
    file.write_text(f"""
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  http-reuse always
  server one 127.0.0.1:{backend}
""")
    return Peer("haproxy", (program, "-f", str(file), "-db"))
