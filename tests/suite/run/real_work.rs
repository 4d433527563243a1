//! What Dockerfiles are full of: packages, users, compilers, and what is copied out of the stages that had them. These take
//! a while and need Debian's mirror, so only when asked for: `cargo test --release --test suite -- --ignored real_work`.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::namespace::{BAKER, Bakery};
use crate::support::container::{Bundle, require_runtime, run_by_podman};
use crate::support::debian::debian;
use crate::support::listing::Listing;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{checked, require, run};
use crate::support::tree::Tree;

const DOCKERFILE: &str = r#"
FROM scratch AS debian
ADD debian.tar /

FROM debian AS python
WORKDIR /src
COPY wheels .
RUN python3 -m venv /venv && /venv/bin/pip install --no-index --find-links=. -r requirements.txt

FROM debian AS go
WORKDIR /src
COPY go .
RUN --mount=type=bind,source=toolchain,target=/usr/lib/go --mount=type=cache,target=/root/.cache/go-build \
    /usr/lib/go/bin/go build -trimpath -o /out/go-hello .

FROM debian AS c
COPY c /src
RUN mkdir /out && gcc -O2 -o /out/c-hello /src/main.c && setcap cap_net_bind_service=+ep /out/c-hello

FROM debian AS rust
WORKDIR /src
COPY crate .
ENV CARGO_HOME=/cargo
RUN --mount=type=bind,source=rust,target=/opt/rust --mount=type=cache,target=/cargo --mount=type=cache,target=/src/target \
    PATH=/opt/rust/bin:$PATH cargo build --release --offline --locked && mkdir /out && cp target/release/rust-hello /out

FROM debian AS node
WORKDIR /app
COPY --chown=1000:1000 package .
RUN chown 1000:1001 /app
USER 1000:1001
ENV npm_config_cache=/tmp/npm npm_config_update_notifier=false
RUN --mount=type=bind,source=node,target=/opt/node --mount=type=bind,source=modules,target=MODULES \
    export LD_LIBRARY_PATH=/opt/node/lib PATH=/opt/node/bin:$PATH && node MODULES/npm/bin/npm-cli.js ci && \
    node -e 'console.log(require("salute"))' > said && rm -r /tmp/npm

FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends curl acl cron gnupg gosu sudo && rm -rf /var/lib/apt/lists/*
RUN useradd -m -u 1000 app && mkdir /data && touch /data/a && chown -R app:app /data && su app -c 'touch /home/app/f'
RUN gosu app touch /home/app/by-gosu && sudo -u app touch /home/app/by-sudo && setfacl -m u:app:rwx,g:50:rx /data/a && \
    getfacl -cn /data/a > /data/list
# Its agent cannot be looked into, and goes on in the background.
RUN export GNUPGHOME=/tmp/gpg && mkdir -m 700 /tmp/gpg && gpg --batch --passphrase '' --quick-gen-key me@here default default never && \
    echo text | gpg --batch --sign | gpg --batch --decrypt > /data/signed && \
    (rm -rf /tmp/gpg || rm -rf /tmp/gpg)
COPY --from=python /venv /venv
COPY --from=go /out /out
COPY --from=c /out /out
COPY --from=rust /out /out
COPY --from=node /app /app
USER 1000
WORKDIR /app
RUN /venv/bin/python -c 'import greet; print(greet.WORD)' > /data/said && /out/go-hello >> /data/said && \
    /out/c-hello >> /data/said && /out/rust-hello >> /data/said && cat /app/said /app/node_modules/salute/made >> /data/said
ENTRYPOINT ["/bin/sh"]
"#;

/// What has the time in it, or names of its own, each time it is made. apt's log of its plan numbers packages by where they stand
/// in the lists of that moment's mirror.
const VARIES: [&str; 8] = [
    "var/log/apt/eipp.log.xz",
    "var/log/apt/history.log",
    "var/log/apt/term.log",
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/cache/ldconfig/aux-cache",
];

/// None where it cannot be built.
fn context() -> Option<TempDir> {
    let debian = debian()?;
    if !["go", "python3", "cargo", "rustc", "node", "npm"].into_iter().all(require) {
        return None;
    }
    let modules = run("sh", ["-c", "dirname \"$(dirname \"$(dirname \"$(realpath \"$(command -v npm)\")\")\")\""]);
    let context = Tree::new()
        .file("Dockerfile", DOCKERFILE.replace("MODULES", modules.trim()))
        .file("wheels/requirements.txt", "greet==1.0\n")
        .file("go/go.mod", "module example/hello\n\ngo 1.18\n")
        .file("go/main.go", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"go\") }\n")
        .file("c/main.c", "#include <stdio.h>\nint main(void) { puts(\"c\"); return 0; }\n")
        .file("crate/Cargo.toml", CRATE)
        .file("crate/Cargo.lock", LOCK)
        .file("crate/.cargo/config.toml", VENDORED)
        .file("crate/build.rs", "fn main() { println!(\"cargo::rustc-env=WORD={}\", \"rust\"); }\n")
        .file("crate/src/main.rs", "fn main() { println!(\"{}{}\", env!(\"WORD\"), mark::MARK); }\n")
        .file("crate/vendor/mark/Cargo.toml", "[package]\nname = \"mark\"\nversion = \"1.0.0\"\nedition = \"2021\"\n")
        .file("crate/vendor/mark/.cargo-checksum.json", "{\"files\":{}}\n")
        .file("crate/vendor/mark/src/lib.rs", "pub const MARK: &str = \"!\";\n")
        .file("salute/package.json", SALUTE)
        .file("salute/index.js", "module.exports = 'node'\n")
        .file("package/package.json", "{\"name\": \"hello\", \"version\": \"1.0.0\", \"private\": true}\n")
        .plant();
    fs::hard_link(debian, context.path().join("debian.tar"))
        .or_else(|_| fs::copy(debian, context.path().join("debian.tar")).map(drop))
        .unwrap();
    make_wheel(&context.path().join("wheels"));
    // Parts of it are links to elsewhere.
    let toolchain = run("go", ["env", "GOROOT"]);
    run("cp", ["--recursive", "--dereference", toolchain.trim(), context.path().join("toolchain").to_str().unwrap()]);
    checked(Command::new("sh").args(["-ec", TOOLS, modules.trim()]).current_dir(context.path()));
    Some(context)
}

/// Brings the toolchains of this machine, which is of the same release as the system is, and what npm is to install: a package
/// that lies beside it, packed and locked.
const TOOLS: &str = r#"
libraries() {
    mkdir -p "$1"
    shift
    ldd "$@" | grep -o '/[^ )]*' | grep -Ev ':$|/(ld-linux|lib(c|m|dl|rt|pthread))[-.]' | sort -u
}
sysroot=$(rustc --print sysroot)
target=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p rust/bin rust/lib/rustlib node/bin
cp -L "$sysroot/bin/rustc" "$sysroot/bin/cargo" rust/bin
cp -rL "$sysroot/lib/rustlib/$target" rust/lib/rustlib
cp -L $(libraries rust/lib "$sysroot/bin/rustc" "$sysroot/bin/cargo") rust/lib
node=$(realpath "$(command -v node)")
cp "$node" node/bin
cp -L $(libraries node/lib "$node") node/lib
cp -rL "$0" modules
export npm_config_cache="$PWD/npm" npm_config_update_notifier=false
(cd salute && npm pack --pack-destination ../package)
(cd package && npm install --offline --package-lock-only --no-audit ./salute-1.0.0.tgz)
rm -r npm salute
"#;

const CRATE: &str = "[package]\nname = \"rust-hello\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n\
                     [dependencies]\nmark = \"1.0.0\"\n";

const LOCK: &str = r#"version = 3

[[package]]
name = "mark"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "rust-hello"
version = "1.0.0"
dependencies = [
 "mark",
]
"#;

const VENDORED: &str = "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"vendor\"\n";

/// It makes something as it is installed.
const SALUTE: &str = r#"{
  "name": "salute",
  "version": "1.0.0",
  "scripts": {"install": "node -e 'require(\"fs\").writeFileSync(\"made\", \"installed\\n\")'"}
}
"#;

/// A package of one line, as pip takes it.
fn make_wheel(place: &Path) {
    const SCRIPT: &str = r#"
import sys, zipfile
files = {
    "greet/__init__.py": "WORD = 'python'\n",
    "greet-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n",
    "greet-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
record = "greet-1.0.dist-info/RECORD"
with zipfile.ZipFile(sys.argv[1] + "/greet-1.0-py3-none-any.whl", "w") as wheel:
    for path, content in files.items():
        wheel.writestr(path, content)
    wheel.writestr(record, "".join(path + ",,\n" for path in [*files, record]))
"#;
    run("python3", ["-c", SCRIPT, place.to_str().unwrap()]);
}

/// What the image has in the end, but for what varies.
fn system(tar: &Path) -> Listing {
    let mut listing = Listing::of_tar(File::open(tar).unwrap());
    fs::remove_file(tar).unwrap();
    listing.0.retain(|path, _| !VARIES.iter().any(|varies| varies.as_bytes() == path));
    listing
}

#[test]
#[ignore = "takes minutes, and Debian's mirror"]
fn every_isolation_makes_the_same_system() {
    let Some(context) = context() else { return };
    let Some(bakery) = Bakery::new(Tree::new()) else { return };
    run("chmod", ["--recursive", "a+rX", context.path().to_str().unwrap()]);
    let tar = bakery.home("files.tar");
    let output = format!("type=tar,dest={}", tar.display());
    let build = ["build", context.path().to_str().unwrap(), "--platform=linux/amd64", "-o", &output];
    let with = |isolation| [&build[..], &[isolation]].concat();
    let by_root = Program::new();
    by_root.run(build).success();
    let expected = system(&tar);
    drop(by_root);
    eprintln!("--isolation=chroot");
    let without = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];
    Outcome::of(&mut Program::new().command_under(&without, with("--isolation=chroot"))).success();
    system(&tar).assert_is(&expected);
    for isolation in ["--isolation=ids", "--isolation=single-id"] {
        eprintln!("{isolation}");
        bakery.by(BAKER, &[], &with(isolation)).success();
        system(&tar).assert_is(&expected);
        bakery.by(BAKER, &[], &["cache", "prune", "--all"]).success();
    }
}

/// What the programs of the image say.
const SAID: &str = "python\ngo\nc\nrust!\nnode\ninstalled\ncurl \n";

#[test]
#[ignore = "takes minutes, and Debian's mirror"]
fn the_image_runs() {
    let Some(context) = context() else { return };
    if !require_runtime() || !require("podman") {
        return;
    }
    let archive = context.path().join("image.tar");
    let words = ["build", context.path().to_str().unwrap(), "--platform=linux/amd64", "-t", "it", "-o"];
    Program::new().run([&words[..], &[archive.to_str().unwrap()]].concat()).success();
    let look = "cat /data/said; curl --version | cut -c1-5 | head -n 1";
    assert_eq!(run_by_podman(&archive, "it", &["-c", look], context.path()), SAID);
    let container = Bundle::unpack(&format!("oci-archive:{}", archive.display()), "amd64", context.path());
    assert_eq!(container.run(&["-c", look]), SAID);
    let owners = container.run(&[
        "-c",
        "stat -c '%n %u:%g' /data/a /home/app/* /data/said /app /app/node_modules/salute/made; getcap /out/c-hello; cat /data/list /data/signed; \
         stat -c '%n %A %G' /usr/bin/crontab; readlink /etc/systemd/system/multi-user.target.wants/cron.service",
    ]);
    insta::assert_snapshot!(owners, @r"
    /data/a 1000:1000
    /home/app/by-gosu 1000:1000
    /home/app/by-sudo 1000:1000
    /home/app/f 1000:1000
    /data/said 1000:1000
    /app 0:0
    /app/node_modules/salute/made 1000:1001
    /out/c-hello cap_net_bind_service=ep
    user::rw-
    user:1000:rwx
    group::r--
    group:50:r-x
    mask::rwx
    other::r--

    text
    /usr/bin/crontab -rwxr-sr-x crontab
    /lib/systemd/system/cron.service
    ");
}
