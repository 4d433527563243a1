#!/usr/bin/env python3
"""Unpacks layers with ocibake and with umoci, by turns, and prints a Markdown table.

    cargo build --release
    benches/unpack.py [--runs 3] [--place DIR] [--only mixed,small,ten] [--kinds foreign,own,zstd]
                      [--binary target/release/ocibake] [--before OTHER] [--out DIR]

`mixed` is one layer of 1.2 GB of what this machine has installed, `small` one of 60,000 files of up to 4 KiB, `ten` the
files of `mixed` in ten layers. `foreign` layers are packed by GNU tar and `gzip -6`, `own` and `zstd` ones are ocibake's.
They are made once, below DIR (default: target/bench). Run as root, so that both set owners. What is unpacked goes there,
too, and is removed at the end; with --out it goes elsewhere, such as to a tmpfs, and is removed after each row.

The ratios are medians over pairs: each run of ocibake over the run of umoci beside it, by wall clock and by the CPU time
of all threads. `umoci raw unpack` writes the root file system and nothing else; `umoci unpack` makes a manifest of it as
well.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import compare

compare.MIXED_SIZE = 1_200_000_000

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(path):
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def corpus(place, name):
    directory = place / f"unpack-{name}"
    if not directory.exists():
        made = place / f"unpack-{name}.part"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        compare.CORPORA[name](made)
        made.rename(directory)
    return directory


def shares(directory, count):
    """The files of a directory, in so many lists of about the same size."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    each = sum(path.stat().st_size for path in files) / count
    lists, size = [[] for _ in range(count)], 0
    for path in files:
        lists[min(int(size / each), count - 1)].append(str(path.relative_to(directory)))
        size += path.stat().st_size
    return lists


def foreign(layout, directory, layers):
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(content):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    listed, diff_ids = [], []
    for names in shares(directory, layers) if layers > 1 else [["."]]:
        tar, blob = layout / "tar", layout / "blob"
        with open(tar, "wb") as out:
            pack = ["tar", "-C", directory, "--sort=name", "-cf", "-", "--null", "-T", "-"]
            subprocess.run(pack, input="\0".join(names).encode(), stdout=out, check=True)
        diff_ids.append(digest_of(tar))
        with open(blob, "wb") as out:
            subprocess.run(["gzip", "-6", "-n", "-c", tar], stdout=out, check=True)
        digest = digest_of(blob)
        listed.append({"mediaType": GZIP, "digest": digest, "size": blob.stat().st_size})
        blob.rename(blobs / digest.removeprefix("sha256:"))
        tar.unlink()
    config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **add(json.dumps(config).encode())}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": listed}
    manifest = {"mediaType": manifest["mediaType"], **add(json.dumps(manifest).encode())}
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "bench"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def own(layout, directory, layers, binary, compression):
    with tempfile.TemporaryDirectory(dir=layout.parent) as scratch:
        context = Path(scratch) / "context"
        subprocess.run(["cp", "-al", directory, context], check=True)
        spec = 'platforms = ["linux/amd64"]\n'
        for number, names in enumerate(shares(context, layers) if layers > 1 else [["."]]):
            part = context / f"part-{number}"
            if layers > 1:
                for name in names:
                    (part / name).parent.mkdir(parents=True, exist_ok=True)
                    (context / name).rename(part / name)
                spec += f'[[layer]]\nadd = [{{ from = "part-{number}", to = "/" }}]\n'
            else:
                spec += '[[layer]]\nadd = [{ from = ".", to = "/" }]\n'
        specification = Path(scratch) / "ocibake.toml"
        specification.write_text(spec)
        environment = dict(os.environ, OCIBAKE_STORE=f"{scratch}/store")
        command = [binary, "build", "--progress", "quiet", "--compression", compression, "-t", "x:bench", context]
        subprocess.run([*command, "-f", specification, "-o", f"{layout}/"], check=True, env=environment)


def layout_of(place, corpus_name, kind, binary):
    layout = place / f"unpack-{corpus_name}-{kind}"
    if layout.exists():
        return layout
    directory = corpus(place, "small" if corpus_name == "small" else "mixed")
    layers = 10 if corpus_name == "ten" else 1
    made = place / f"unpack-{corpus_name}-{kind}.part"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    if kind == "foreign":
        foreign(made, directory, layers)
    else:
        own(made, directory, layers, binary, {"own": "gzip:5", "zstd": "zstd:3"}[kind])
    made.rename(layout)
    return layout


def measure(command):
    """Seconds of wall clock, seconds of CPU, MB of memory."""
    with tempfile.NamedTemporaryFile("r") as figures:
        timed = ["/usr/bin/time", "-f", "%e %U %S %M", "-o", figures.name, *map(str, command)]
        quiet = subprocess.DEVNULL
        subprocess.run(timed, stdout=quiet, stderr=quiet, check=True)
        wall, user, system, memory = map(float, figures.read().split())
    return wall, user + system, memory * 1024 / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--place", default="target/bench")
    parser.add_argument("--only", default="mixed,small,ten")
    parser.add_argument("--kinds", default="foreign,own,zstd")
    parser.add_argument("--binary", default="target/release/ocibake")
    parser.add_argument("--before")
    parser.add_argument("--out")
    options = parser.parse_args()
    place, binary = Path(options.place).resolve(), Path(options.binary).resolve()
    if not binary.exists():
        sys.exit(f"there is no {binary}: cargo build --release")
    place.mkdir(parents=True, exist_ok=True)
    # What is written is removed at the end: ext4 shuns inodes that were freed a minute ago, and looks long for others.
    outs = Path(options.out).resolve() if options.out else place / "unpack-out"
    shutil.rmtree(outs, ignore_errors=True)
    outs.mkdir(parents=True)

    def ocibake(binary):
        return lambda layout, out: [binary, "copy", "--progress", "quiet", f"oci:{layout}", "-o", f"type=local,dest={out}"]

    commands = {"ocibake": ocibake(binary)}
    if options.before:
        commands["ocibake before"] = ocibake(Path(options.before).resolve())
    # umoci 0.4 knows no zstd.
    peers = {
        "umoci raw unpack": lambda layout, out: ["umoci", "raw", "unpack", "--image", f"{layout}:bench", out],
        "umoci unpack": lambda layout, out: ["umoci", "unpack", "--image", f"{layout}:bench", out],
    }
    print("| layers | | wall s | CPU s | memory MB | of raw unpack: wall | CPU | of unpack: wall | CPU |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for corpus_name in options.only.split(","):
        for kind in options.kinds.split(","):
            layout = layout_of(place, corpus_name, kind, binary)
            rows = dict(commands, **(peers if kind != "zstd" else {}))
            figures = {name: [] for name in rows}
            for _ in range(options.runs):
                for name, command in rows.items():
                    os.sync()
                    figures[name].append(measure(command(layout, outs / f"{corpus_name}-{kind}-{len(figures[name])}-{name}")))
            for name in rows:
                cells = [f"{statistics.median(column):.2f}" for column in zip(*figures[name])]
                for peer in peers:
                    for column in (0, 1):
                        pairs = [mine[column] / its[column] for mine, its in zip(figures[name], figures.get(peer, []))]
                        cells.append(f"{statistics.median(pairs):.2f}" if pairs else "")
                print(f"| {corpus_name}, {kind} | {name} | {' | '.join(cells)} |", flush=True)
            if options.out:
                shutil.rmtree(outs)
                outs.mkdir()
    shutil.rmtree(outs)


if __name__ == "__main__":
    main()
