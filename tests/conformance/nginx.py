"""nginx, with a configuration that reads whole bodies, and an access log for books."""

import grp
import os
import pwd
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Final

from benchmarks.outside.identity import Identity
from benchmarks.outside.nghttpd import ended, free_port
from tests.conformance.waiting import await_line

NGINX_INSTALL: Final = "apt-get install nginx-light"
RETIRES_AFTER: Final = 500
"""Requests on a connection to the second port."""

# A proxied request is passed on once its body is whole, so bodies are really read. The log has
# what nginx looked at; requests above GOAWAY's last stream are not in it.
_CONFIGURATION: Final = Template("""
daemon off;
user $user $group;
worker_processes 1;
pid $folder/pid;
error_log stderr notice;
events { worker_connections 1024; }
http {
  log_format books '$$http_apns_id $$status $$request_length';
  access_log $folder/access.log books;
  client_body_temp_path $folder/bodies;
  proxy_temp_path $folder/proxied;
  fastcgi_temp_path $folder/unused-1;
  uwsgi_temp_path $folder/unused-2;
  scgi_temp_path $folder/unused-3;
  ssl_certificate $certificate;
  ssl_certificate_key $key;
  ssl_protocols TLSv1.2 TLSv1.3;
  client_body_buffer_size 512k;
  client_max_body_size 1m;
  server { listen 127.0.0.1:$port ssl http2; keepalive_requests 10000000; include $folder/paths; }
  server { listen 127.0.0.1:$retiring ssl http2; keepalive_requests $most; include $folder/paths; }
  server {
    listen unix:$folder/behind;
    access_log off;
    location / { return 200; }
    location = /large { root $folder; }
  }
}
""")
_PATHS: Final = Template("""
location /ok/ { proxy_pass http://unix:$folder/behind; }
location /answer/ {
  proxy_method GET;
  proxy_pass_request_body off;
  proxy_set_header content-length "";
  proxy_pass http://unix:$folder/behind:/large;
}
location /status/404/ { return 404 '{"reason":"R404"}'; }
location /status/500/ { return 500 '{"reason":"R500"}'; }
location /status/413/ {
  client_max_body_size 1;
  error_page 413 @large;
  proxy_pass http://unix:$folder/behind;
}
location @large { return 413 '{"reason":"R413"}'; }
""")


@contextmanager
def run_nginx(folder: Path, identity: Identity) -> Iterator[tuple[int, int]]:
    """Gives the port that keeps connections, and the one that ends them."""
    port, retiring = free_port(), free_port()
    values = {
        "folder": folder,
        "certificate": identity.certificate,
        "key": identity.key,
        "port": port,
        "retiring": retiring,
        "most": RETIRES_AFTER,
        # Without it, root's nginx works as nobody, who may not look into the folder.
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "group": grp.getgrgid(os.getgid()).gr_name,
    }
    (folder / "large").write_bytes(b"a" * 200_000)
    (folder / "paths").write_text(_PATHS.substitute(values))
    (folder / "nginx.conf").write_text(_CONFIGURATION.substitute(values))
    command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with ended(subprocess.Popen(command, stderr=subprocess.PIPE)) as process:
        await_line(process.stderr, b"start worker process ")
        yield port, retiring


def nginx_paths(action: str, argument: str, request_id: str) -> bytes:
    """As the configuration reads them."""
    return f"/{action}/{argument}/{request_id}".encode()


def nginx_received(folder: Path, beginning: str) -> Mapping[str, Sequence[str]]:
    """By id, how long each request was that came; nginx keeps no digests."""
    received: dict[str, list[str]] = defaultdict(list)
    for line in (folder / "access.log").read_text().splitlines():
        name, _status, length = line.split()
        if name.startswith(beginning):
            received[name].append(length)
    return received
