#!/usr/bin/env python3
"""Times a whole system, bases pulled and images pushed, against one image of it, and prints a Markdown table. Needs root.

    cargo build --release
    benches/bake.py [--runs 5] [--place DIR] [--binary target/release/ocibake] [--dockerd "dockerd"]... [--buildx "docker buildx"]

The system is `fixtures/systems/pipeline`: eight images of one context, of a base that is made once, below DIR (default:
target/bench), and served in the place of Docker Hub. Each build begins with nothing: an empty store and an empty registry,
for docker a new daemon with its containerd's snapshots, where it has them. Each --dockerd is a command that starts such a
daemon, and has BuildKit bake the same by buildx; daemons are not waited for on the clock. Builds run in turn, after one round
that is not counted; figures are medians: seconds of wall clock.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import time
import urllib.request
from pathlib import Path

from daemon import Daemon
from push import Registry

SYSTEMS = Path(__file__).resolve().parent.parent / "fixtures/systems"
ONE = "service-a"
SERVICES = [ONE, "service-b", "service-c1", "service-c2", "service-c3", "service-c4", "service-d", "main"]


class Bench:
    def __init__(self, options):
        self.place = Path(options.place).resolve()
        self.binary = Path(options.binary).resolve()
        self.buildx = shlex.split(options.buildx)
        self.scratch = self.place / "bake-scratch"
        self.tools = {"ocibake": self.ocibake}
        for command in options.dockerd:
            self.add_docker(shlex.split(command))

    def add_docker(self, command):
        version = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True).stdout
        name = f"BuildKit of docker {version.split()[2].rstrip(',')}"
        self.tools[name] = lambda hub, registry, targets: self.docker(command, hub, registry, targets)

    def base(self):
        """Where the registry keeps the base that stands for Docker Hub's."""
        data = self.place / "bake-hub"
        if not data.exists():
            context, made = self.place / "bake-context", self.place / "bake-hub.part"
            shutil.rmtree(context, ignore_errors=True)
            shutil.rmtree(made, ignore_errors=True)
            release = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
            subprocess.run(["sh", SYSTEMS / "bases/prepare.sh", context, release], check=True)
            with Registry(self.place / "bake-registry", made) as hub:
                words = ["build", context, "--target=python-slim", "--push", f"--tag={hub.address}/library/python:3.9-slim"]
                environment = dict(os.environ, OCIBAKE_STORE=str(self.scratch / "store"))
                subprocess.run([self.binary, *words, "--progress=quiet"], check=True, env=environment)
            shutil.rmtree(context)
            made.rename(data)
        return data

    def run(self, tool, targets):
        """Seconds that a tool takes for these targets."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        with Registry(self.place / "bake-mirror", self.base()) as hub, Registry(self.place / "bake-registry") as registry:
            seconds = self.tools[tool](hub.address, registry.address, targets)
            with urllib.request.urlopen(f"http://{registry.address}/v2/_catalog") as answer:
                pushed = json.load(answer)["repositories"]
            if pushed != sorted(f"pipeline/{target}" for target in targets):
                raise SystemExit(f"{tool} has pushed {pushed}")
        shutil.rmtree(self.scratch, ignore_errors=True)
        return seconds

    def ocibake(self, hub, registry, targets):
        settings = self.scratch / ".config/containers/registries.conf"
        settings.parent.mkdir(parents=True)
        settings.write_text(f"[[registry]]\nlocation = 'docker.io'\n[[registry.mirror]]\nlocation = '{hub}'\n")
        words = ["bake", "-f", "docker-compose.yml", "--tag=v1.0.0", "--registry", registry, "--push", "--progress=quiet"]
        environment = dict(os.environ, HOME=str(self.scratch), OCIBAKE_STORE=str(self.scratch / "store"))
        return timed([self.binary, *words, *targets], environment)

    def docker(self, command, hub, registry, targets):
        # Its networks want rules of the firewall, which are the machine's own. What is installed comes from the base.
        services = {
            name: {"image": f"{registry}/pipeline/{name}:v1.0.0", "build": {"network": "host"}} for name in SERVICES
        }
        override = self.scratch / "override.yml"
        override.write_text(json.dumps({"services": services}))
        with Daemon(command, self.scratch, hub) as daemon:
            words = ["bake", "-f", "docker-compose.yml", "-f", override, "--push", "--progress=quiet"]
            return timed([*self.buildx, *words, *targets], daemon.environment)


def timed(command, environment):
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=SYSTEMS / "pipeline", env=environment)
    return time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--place", default="target/bench")
    parser.add_argument("--binary", default="target/release/ocibake")
    parser.add_argument("--dockerd", action="append", default=[])
    parser.add_argument("--buildx", default="docker buildx")
    options = parser.parse_args()
    bench = Bench(options)
    figures = {tool: ([], []) for tool in bench.tools}
    for run in range(options.runs + 1):
        for tool, (one, all_of_them) in figures.items():
            seconds = [bench.run(tool, [ONE]), bench.run(tool, SERVICES)]
            if run:
                one.append(seconds[0])
                all_of_them.append(seconds[1])
    print("| tool | one image | eight images | ratio |\n|---|---:|---:|---:|")
    for tool, (one, all_of_them) in figures.items():
        few, many = statistics.median(one), statistics.median(all_of_them)
        ratio = statistics.median(b / a for a, b in zip(one, all_of_them))
        print(f"| {tool} | {few:.2f} s | {many:.2f} s | {ratio:.2f} |")


if __name__ == "__main__":
    main()
