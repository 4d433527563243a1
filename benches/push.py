#!/usr/bin/env python3
"""Pushes a prebuilt OCI layout to docker-registry on loopback with ocibake and with skopeo, and prints a Markdown table.

    cargo build --release
    benches/push.py [--runs 5] [--size 1000] [--layers 4] [--place DIR] [--binary target/release/ocibake]

The layout is made once, below DIR (default: target/bench), of SIZE MB of noise. The commands run in turn, each against
a registry that is empty; then once more against one that has it all. Figures are medians: seconds of wall clock and of
CPU, and the memory of the process.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path


class Registry:
    """A docker-registry for as long as the block lasts: an empty one, or with what is in the directory `data`, which stays."""

    def __init__(self, place, data=None):
        self.place = place
        self.data = data or place / "data"

    def __enter__(self):
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        config = self.place / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.data}}}}}\nhttp: {{addr: '{self.address}'}}\n"
        )
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=quiet, stderr=quiet)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{self.address}/v2/")
                return self
            except OSError:
                time.sleep(0.05)
        raise SystemExit("docker-registry does not start")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.place, ignore_errors=True)


def make_layout(place, binary, size, layers):
    layout = place / f"push-{size}-{layers}"
    if layout.exists():
        return layout
    context = place / "push-context"
    shutil.rmtree(context, ignore_errors=True)
    spec = 'platforms = ["linux/amd64"]\n'
    for number in range(layers):
        (context / str(number)).mkdir(parents=True)
        with open(context / str(number) / "noise", "wb") as out:
            for _ in range(size // layers):
                out.write(os.urandom(1_000_000))
        spec += f'[[layer]]\nadd = [{{ from = "{number}", to = "/{number}/" }}]\n'
    (context / "ocibake.toml").write_text(spec)
    environment = dict(os.environ, OCIBAKE_STORE=str(place / "push-store"))
    subprocess.run([binary, "build", context, "-o", f"{layout}/"], check=True, env=environment)
    shutil.rmtree(context)
    shutil.rmtree(place / "push-store")
    return layout


def measure(command):
    """Seconds of wall clock, seconds of CPU, MB of memory. Started by a small program: what a process is started by
    counts as its memory."""
    with tempfile.NamedTemporaryFile("r") as figures:
        timed = ["/usr/bin/time", "-f", "%e %U %S %M", "-o", figures.name, *command]
        subprocess.run(timed, stdout=subprocess.DEVNULL, check=True)
        wall, user, system, memory = map(float, figures.read().split())
    return wall, user + system, memory * 1024 / 1e6


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--place", default="target/bench")
    parser.add_argument("--binary", default="target/release/ocibake")
    options = parser.parse_args()
    place, binary = Path(options.place).resolve(), Path(options.binary).resolve()
    place.mkdir(parents=True, exist_ok=True)
    layout = make_layout(place, binary, options.size, options.layers)
    commands = {
        "ocibake push": lambda to: [binary, "push", "--progress", "quiet", "--no-fan-out", f"{to}/bench:1", layout],
        "skopeo copy": lambda to: [
            "skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{to}/bench:1"
        ],
    }
    figures = {name: [] for name in commands}
    again = {name: [] for name in commands}
    for run in range(options.runs):
        turns = list(commands.items())
        for name, command in turns if run % 2 else reversed(turns):
            with Registry(place / "push-registry") as registry:
                figures[name].append(measure(command(registry.address)))
                again[name].append(measure(command(registry.address)))
    print("| | wall s | CPU s | memory MB | again: wall s | CPU s |\n|---|---|---|---|---|---|")
    for name in commands:
        first = [statistics.median(column) for column in zip(*figures[name])]
        second = [statistics.median(column) for column in zip(*again[name])]
        print(f"| {name} | {first[0]:.2f} | {first[1]:.2f} | {first[2]:.0f} | {second[0]:.3f} | {second[1]:.3f} |")


if __name__ == "__main__":
    main()
