//! `-o type=engine` for docker, containerd, and the clusters whose programs are not to be had: stand-ins record what those got.

use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::engine::{config, stand_ins, talking, with_tools};
use crate::support::authority::Authority;
use crate::support::containerd::PlainContainerd;
use crate::support::docker_daemon::DockerDaemon;
use crate::support::http::{read_chunks, read_head, write_answer};
use crate::support::layout::Layout;
use crate::support::port::Port;
use crate::support::program::Program;
use crate::support::tool::{self, require, require_root};

fn path(context: &TempDir) -> &str {
    context.path().to_str().unwrap()
}

#[test]
fn docker_is_given_only_the_layers_that_it_lacks() {
    if !require_root() || !["dockerd", "docker", "busybox"].into_iter().all(require) {
        return;
    }
    let (daemon, context) = (DockerDaemon::start(), talking());
    let program = Program::new().environment("OCIBAKE_ENGINE", "").environment("DOCKER_HOST", daemon.host());
    let base = ["build", "--load", "-t", "registry.example/app:1", path(&context)];
    program.run(base).success().says(&["loaded registry.example/app:1 into docker\n"]);
    let id = config(&program, "registry.example/app:1");
    let inspect = |name: &str, format: &str| daemon.docker(&["image", "inspect", "--format", format, name]);
    assert_eq!(inspect("registry.example/app:1", "{{.Id}}"), format!("{id}\n"));
    let run = ["run", "--rm", "--network=none", "registry.example/app:1"];
    assert_eq!(daemon.docker(&run), "hello\n");
    program.run(base).success().says(&["docker already has registry.example/app:1: nothing was sent\n"]);

    // A layer on top: the one below it is not sent again.
    fs::write(context.path().join("new"), "1").unwrap();
    let text = fs::read_to_string(context.path().join("Dockerfile")).unwrap() + "COPY new /new\n";
    fs::write(context.path().join("Dockerfile"), text).unwrap();
    let outcome = program.run(["build", "--load", "-t", "app:2", path(&context)]).success();
    let layers: Vec<String> = manifest(&program, "app:2")["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["digest"].as_str().unwrap()["sha256:".len()..][..12].to_owned())
        .collect();
    assert!(outcome.stderr.contains(&format!("blob {}: present\n", layers[0])), "{outcome:?}");
    assert!(!outcome.stderr.contains(&format!("blob {}: present\n", layers[1])), "{outcome:?}");
    assert_eq!(inspect("app:2", "{{.Id}}"), format!("{}\n", config(&program, "app:2")));
    assert_eq!(daemon.docker(&["run", "--rm", "--network=none", "app:2", "/bin/busybox", "cat", "/new"]), "1");

    // Docker's store takes one platform.
    let platforms = "--platform=linux/amd64,linux/arm64";
    let outcome = program.run(["build", "--load", platforms, "-t", "several", path(&context)]).success();
    outcome.says(&["loaded docker.io/library/several:latest for linux/amd64 only into docker\n"]);
    assert_eq!(inspect("several", "{{.Architecture}}"), "amd64\n");
}

#[test]
fn docker_on_another_host_is_spoken_to_with_certificates() {
    if !require_root() || !["dockerd", "docker", "openssl", "busybox"].into_iter().all(require) {
        return;
    }
    let (authority, port, context) = (Authority::new(), Port::new(), talking());
    let (server, client) = (authority.issue("server", "IP:127.0.0.1"), authority.issue("client", "DNS:client"));
    let host = format!("tcp://{port}");
    let file = |path: &Path| path.to_str().unwrap().to_owned();
    let (ca, certificate, key) = (file(&authority.certificate()), file(&server.path), file(&server.key));
    let daemon = DockerDaemon::start_with(
        &[&["--host", &host, "--tlsverify", "--tlscacert", &ca, "--tlscert", &certificate, "--tlskey", &key][..]]
            .concat(),
    );
    let program = Program::new().environment("OCIBAKE_ENGINE", "docker");
    let certificates = tempfile::tempdir().unwrap();
    let put = |directory: &Path| {
        for (path, name) in [(&authority.certificate(), "ca.pem"), (&client.path, "cert.pem"), (&client.key, "key.pem")]
        {
            fs::copy(path, directory.join(name)).unwrap();
        }
    };
    put(certificates.path());
    // As `docker context create far --docker host=…,ca=…,cert=…,key=…` leaves it; the directory is the SHA-256 of its name.
    let of_context = |kind: &str| {
        let name = "512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868";
        program.docker_config().join("contexts").join(kind).join(name)
    };
    fs::create_dir_all(of_context("meta")).unwrap();
    let meta = format!(r#"{{"Name":"far","Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
    fs::write(of_context("meta").join("meta.json"), meta).unwrap();
    fs::create_dir_all(of_context("tls").join("docker")).unwrap();
    put(&of_context("tls").join("docker"));
    let outcome = program.run(["docker", "--context", "far", "build", "--load", "-t", "one", path(&context)]).success();
    outcome.says(&["loaded docker.io/library/one:latest into docker"]);
    let program = program.environment("DOCKER_HOST", &host);
    let outcome = program.run(["build", "--load", "-t", "two", path(&context)]).failure(1);
    outcome.says(&[&format!("docker at {host}: 400 Bad Request"), "DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH"]);
    let program = program.environment("DOCKER_TLS_VERIFY", "1").environment("DOCKER_CERT_PATH", certificates.path());
    program.run(["build", "--load", "-t", "two", path(&context)]).success();
    assert_eq!(daemon.docker(&["images", "--quiet", "one"]), daemon.docker(&["images", "--quiet", "two"]));
    // Whoever is not trusted gets nothing.
    fs::copy(Authority::new().certificate(), certificates.path().join("ca.pem")).unwrap();
    let outcome = program.run(["build", "--load", "-t", "three", path(&context)]).failure(1);
    outcome.says(&["docker at tcp://127.0.0.1", "no TLS connection"]);
}

/// No docker that keeps images in containerd's store is to be had here: this one answers like it, and keeps what it gets.
#[test]
fn docker_with_containerds_store_is_given_all_platforms() {
    if !require("busybox") {
        return;
    }
    let (place, context) = (tempfile::tempdir().unwrap(), talking());
    let socket = place.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let archive = place.path().join("archive.tar");
    let kept = archive.clone();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut reader = BufReader::new(&stream);
            let Ok(Some(mut request)) = read_head(&mut reader) else { continue };
            if request.header("transfer-encoding") == Some("chunked") {
                read_chunks(&mut reader, &mut request.body).unwrap();
            }
            let id = fs::read_to_string(kept.with_extension("id")).unwrap_or_default();
            let (status, body) = match request.path.as_str() {
                "/version" => (200, r#"{"Components":[{"Name":"Engine"}]}"#.to_owned()),
                "/info" => (200, r#"{"DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}"#.to_owned()),
                "/images/load" => {
                    fs::write(&kept, &request.body).unwrap();
                    (200, "{\"stream\":\"Loaded image: app:1\\n\"}\n{\"stream\":\"\"}\n".to_owned())
                }
                _ if !id.is_empty() => (200, format!(r#"{{"Id":"{id}"}}"#)),
                _ => (404, r#"{"message":"No such image"}"#.to_owned()),
            };
            let close = [("connection".to_owned(), "close".to_owned())];
            let _ = write_answer(&mut &stream, &request.method, status, &close, body.as_bytes());
        }
    });
    let host = format!("unix://{}", socket.display());
    let program = Program::new().environment("OCIBAKE_ENGINE", "").environment("DOCKER_HOST", host);
    let build = ["build", "--load", "-t", "app:1", "--platform=linux/amd64,linux/arm64", path(&context)];
    let outcome = program.run(build).success();
    let id = outcome.stdout.trim().to_owned();
    outcome.says(&["loaded docker.io/library/app:1 into docker\n"]);
    let told = program.run(["inspect", "--json", archive.to_str().unwrap()]).success().stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["images"].as_array().unwrap().len(), 2, "{told}");
    fs::remove_file(&archive).unwrap();
    fs::write(archive.with_extension("id"), id).unwrap();
    program.run(build).success().says(&["docker already has docker.io/library/app:1: nothing was sent\n"]);
    assert!(!archive.exists());
}

/// The manifest of an image of the local store.
fn manifest(program: &Program, name: &str) -> Value {
    manifests(program, name).remove(0)
}

/// Those of all its platforms.
fn manifests(program: &Program, name: &str) -> Vec<Value> {
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    program.run(["copy", name, &format!("{}/", layout.display())]).success();
    Layout::open(&layout).images().into_iter().map(|image| image.manifest).collect()
}

#[test]
fn containerd_is_given_all_platforms_and_only_the_blobs_that_it_lacks() {
    if !require_root() || !["containerd", "ctr", "busybox"].into_iter().all(require) {
        return;
    }
    let (containerd, context) = (PlainContainerd::start(), talking());
    let program = Program::new().environment("CONTAINERD_ADDRESS", containerd.socket());
    let build = |program: &Program, name: &str| {
        let platforms = "--platform=linux/amd64,linux/arm64";
        let output = "type=engine,name=containerd";
        program.run(["build", "-o", output, platforms, "-t", name, path(&context)]).success()
    };
    let outcome = build(&program, "app:1");
    outcome.says(&["loaded docker.io/library/app:1 into containerd\n"]);
    let row = |namespace: &str, name: &str| {
        let listed = containerd.ctr(namespace, &["images", "ls", &format!("name=={name}")]);
        let row = listed.lines().nth(1).unwrap_or_default().split_whitespace().map(str::to_owned);
        row.collect::<Vec<String>>()
    };
    let digest = |program: &Program, name: &str| {
        program.run(["images", "--no-trunc", "--format", "{{.Digest}}", name]).success().stdout.trim().to_owned()
    };
    let found = row("default", "docker.io/library/app:1");
    assert_eq!(found[2], digest(&program, "app:1"));
    assert!(found.contains(&"linux/amd64,linux/arm64".to_owned()), "{found:?}");
    assert!(row("k8s.io", "docker.io/library/app:1").is_empty());
    let blobs = || -> BTreeSet<String> {
        containerd.ctr("default", &["content", "ls", "-q"]).lines().map(str::to_owned).collect()
    };
    // It keeps what it has mounted by where that was.
    let [one, two] = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let mount = |name: &str, place: &TempDir| containerd.ctr("default", &["images", "mount", name, path(place)]);
    let unmount = |place: &TempDir| tool::checked(Command::new("umount").arg(place.path()));
    mount("docker.io/library/app:1", &one);
    assert_eq!(fs::read(one.path().join("bin/busybox")).unwrap(), fs::read("/bin/busybox").unwrap());
    unmount(&one);
    build(&program, "app:1").says(&["containerd already has docker.io/library/app:1: nothing was sent\n"]);

    fs::write(context.path().join("new"), "1").unwrap();
    let text = fs::read_to_string(context.path().join("Dockerfile")).unwrap() + "COPY new /new\n";
    fs::write(context.path().join("Dockerfile"), text).unwrap();
    let outcome = build(&program, "app:2");
    let layers = manifest(&program, "app:2")["layers"].clone();
    let short = |number: usize| layers[number]["digest"].as_str().unwrap()["sha256:".len()..][..12].to_owned();
    assert!(outcome.stderr.contains(&format!("blob {}: present\n", short(0))), "{outcome:?}");
    assert!(!outcome.stderr.contains(&format!("blob {}: present\n", short(1))), "{outcome:?}");
    let content = manifests(&program, "app:2").into_iter().flat_map(|manifest| {
        let layers = manifest["layers"].as_array().unwrap().clone();
        layers.into_iter().chain([manifest["config"].clone()]).collect::<Vec<_>>()
    });
    let content: BTreeSet<String> = content.map(|blob| blob["digest"].as_str().unwrap().to_owned()).collect();
    assert!(content.len() == 4 && blobs().is_superset(&content), "two layers, and a config for each platform");
    mount("docker.io/library/app:2", &two);
    assert_eq!(fs::read_to_string(two.path().join("new")).unwrap(), "1");
    assert!(two.path().join("bin/busybox").exists());
    unmount(&two);

    // Where the nodes of Kubernetes look; and what is for other machines alone.
    let program = program.environment("CONTAINERD_NAMESPACE", "k8s.io");
    build(&program, "app:2");
    assert_eq!(row("k8s.io", "docker.io/library/app:2")[2], digest(&program, "app:2"));
    let platforms = "--platform=linux/s390x,linux/arm64";
    program.run(["build", "-o", "type=engine,name=containerd", platforms, "-t", "far", path(&context)]).success();
    assert_eq!(row("k8s.io", "docker.io/library/far:latest")[2], digest(&program, "far"));
    let outcome = program.run(["build", "-o", "type=engine,name=containerd", path(&context)]).failure(2);
    outcome.says(&["containerd knows images by their names, but this one has none"]);
}

/// What records how it was called, with a copy of the archive that it was given.
const RECORDS: &str = r#"place=$(dirname "$0")
echo "$(basename "$0") $*" | sed "s|/[^ ]*\.tar|FILE|" >>"$place/calls"
for word; do
    case $word in
    *.tar) cp "$word" "$place/archive.tar" ;;
    -) cat >"$place/archive.tar" ;;
    esac
done
[ "$1" != ps ] || printf 'kind-control-plane\nkind-worker\n'
"#;

#[test]
fn clusters_are_given_archives_by_the_programs_that_made_them() {
    if !require("busybox") {
        return;
    }
    let context = talking();
    for (engine, programs, calls, platforms) in [
        ("kind", &["kind"][..], "kind load image-archive FILE\n", 2),
        ("k3d", &["k3d"], "k3d image import FILE\n", 2),
        ("minikube", &["minikube"], "minikube image load FILE\n", 1),
        (
            "kind",
            &["docker"],
            "docker ps --filter label=io.x-k8s.kind.cluster=kind --format {{.Names}}\n\
             docker exec --privileged -i kind-control-plane ctr --namespace=k8s.io images import --all-platforms -\n\
             docker exec --privileged -i kind-worker ctr --namespace=k8s.io images import --all-platforms -\n",
            2,
        ),
    ] {
        let programs: Vec<_> = programs.iter().map(|name| (*name, RECORDS)).collect();
        let tools = stand_ins(&programs);
        let program = Program::new().environment("PATH", with_tools(tools.path()));
        let output = format!("type=engine,name={engine}");
        let flags = ["-t", "app:1", "--platform=linux/amd64,linux/arm64", "-o", &output];
        let outcome = program.run([&["build", path(&context)], &flags[..]].concat()).success();
        let alone = if platforms == 1 { " for linux/amd64 only" } else { "" };
        outcome.says(&[&format!("loaded docker.io/library/app:1{alone} into {engine}\n")]);
        assert_eq!(fs::read_to_string(tools.path().join("calls")).unwrap(), calls);
        let archive = tools.path().join("archive.tar");
        let told = program.run(["inspect", "--json", archive.to_str().unwrap()]).success().stdout;
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["images"].as_array().unwrap().len(), platforms, "{engine}: {told}");
        let listed = tool::run("tar", ["-tf", archive.to_str().unwrap()]);
        assert_eq!(listed.contains("manifest.json"), platforms == 1, "docker reads what minikube gets");
        let index = tool::run("tar", ["-xOf", archive.to_str().unwrap(), "index.json"]);
        assert!(index.contains(r#""io.containerd.image.name":"docker.io/library/app:1""#), "{index}");
    }
    let program = Program::new().environment("PATH", "/nothing");
    let outcome = program.run(["build", "-t", "app", "-o", "type=engine,name=k3d", path(&context)]).failure(1);
    outcome.says(&["k3d is not here: there is no program `k3d`", "hint: install k3d"]);
}
