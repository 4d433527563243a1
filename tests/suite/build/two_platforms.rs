//! Images for two platforms in a real registry, and what others make of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use ocibake::source::modified::FILES_TIME;
use serde_json::{Value, json};

use crate::support::container::{Bundle, require_runtime};
use crate::support::docker_registry::DockerRegistry;
use crate::support::listing::Listing;
use crate::support::program::Program;
use crate::support::tool::{self, checked, require, require_root};
use crate::support::tree::Tree;

const PLATFORMS: [(&str, &str); 2] = [("amd64", "gcc"), ("arm64", "aarch64-linux-gnu-gcc")];

/// `fixtures/hello`, pushed as a version: all tags that a version has and no other, all of one index.
#[test]
fn plain_files_pushed_under_every_tag_and_pulled() {
    if !require_root() || !["docker-registry", "skopeo", "umoci"].into_iter().all(require) {
        return;
    }
    let registry = DockerRegistry::open();
    let name = format!("{}/org/api", registry.address());
    let context = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hello");
    let pushed =
        Program::new().run(["push", "--timestamp=0", &format!("{name}:v0.2.0"), context.to_str().unwrap()]).success();

    let listed = json(["list-tags", "--tls-verify=false", &format!("docker://{name}")]);
    let mut tags: Vec<_> = listed["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["0", "0.2", "0.2.0", "latest", "v0.2.0"]);
    for tag in tags {
        let image = format!("docker://{name}:{tag}");
        let report = json(["inspect", "--tls-verify=false", "--override-os=linux", "--override-arch=arm64", &image]);
        let digest = report["Digest"].as_str().unwrap();
        assert!(pushed.stdout.contains(digest), "{tag} has {digest}: {pushed:#?}");
        let index = json(["inspect", "--tls-verify=false", "--raw", &image]);
        let platforms: Vec<_> = index["manifests"].as_array().unwrap().iter().map(|image| &image["platform"]).collect();
        let expected = ["amd64", "arm64"].map(|architecture| json!({ "os": "linux", "architecture": architecture }));
        assert_eq!(platforms, expected.each_ref());
    }

    let place = tempfile::tempdir().unwrap();
    for (architecture, _) in PLATFORMS {
        let bundle = Bundle::unpack(&format!("docker://{name}:0.2"), architecture, place.path());
        Listing::of_directory(&bundle.root()).assert_is(&expected_hello(&context, architecture));
    }
}

#[test]
fn compiled_pushed_pulled_unpacked_and_run() {
    let tools = ["gcc", "aarch64-linux-gnu-gcc", "qemu-aarch64-static", "docker-registry"];
    if !require_runtime() || !tools.into_iter().all(require) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let context = place.path().join("context");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/greeter");
    fs::create_dir(&context).unwrap();
    for file in ["ocibake.toml", "friends.txt"] {
        fs::copy(fixture.join(file), context.join(file)).unwrap();
    }
    for (architecture, compiler) in PLATFORMS {
        let target = context.join("build").join(architecture);
        fs::create_dir_all(&target).unwrap();
        let options = ["-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o"];
        let (program, source) = (target.join("greeter"), fixture.join("greeter.c"));
        checked(Command::new(compiler).args(options).arg(program).arg(source));
    }

    let registry = DockerRegistry::open();
    let name = format!("{}/example/greeter:v1.0.0", registry.address());
    Program::new().run(["push", &name, context.to_str().unwrap()]).success();

    for (architecture, _) in PLATFORMS {
        let bundle = Bundle::unpack(&format!("docker://{name}"), architecture, place.path());
        let program = fs::read(context.join("build").join(architecture).join("greeter")).unwrap();
        Listing::of_directory(&bundle.root()).assert_is(&expected(&program));

        let process = bundle.process();
        assert_eq!(process["args"], json!(["/usr/bin/greeter", "friends.txt"]));
        assert_eq!((&process["user"]["uid"], &process["cwd"]), (&65532.into(), &"/var/lib/greeter".into()));
        assert!(process["env"].as_array().unwrap().contains(&"GREETING=Good day".into()));
        let greetings = "Good day, Ada!\nGood day, Grace!\n";
        if architecture == "amd64" && std::env::consts::ARCH == "x86_64" {
            assert_eq!(bundle.run(&[]), format!("{greetings}machine x86_64, user 65532\n"));
        }
        // Outside of a container, for the container would need the emulator in it.
        if architecture == "arm64" {
            let mut command = Command::new("qemu-aarch64-static");
            command.arg(bundle.root().join("usr/bin/greeter")).arg("friends.txt");
            command.current_dir(bundle.root().join("var/lib/greeter")).env("GREETING", "Good day");
            assert_eq!(checked(&mut command), format!("{greetings}machine aarch64, user 0\n"));
        }
    }
}

fn json<const N: usize>(arguments: [&str; N]) -> Value {
    serde_json::from_str(&tool::run("skopeo", arguments)).unwrap()
}

/// What `fixtures/hello/ocibake.toml` asks for, by hand.
fn expected_hello(context: &Path, architecture: &str) -> Listing {
    let content = |path: &str| fs::read(context.join(path)).unwrap();
    let tree = Tree::new()
        .file("etc/motd", content("etc/motd"))
        .file("etc/platform", content(&format!("platform/{architecture}.txt")))
        .mode(0o640)
        .owner(0, 65532)
        .file("srv/www/index.html", content("public/index.html"))
        .file("srv/www/docs/guide.txt", content("public/docs/guide.txt"))
        .symlink("srv/www/README", "docs/guide.txt")
        .plant();
    Listing::of_directory(tree.path()).at_time(0)
}

fn expected(program: &[u8]) -> Listing {
    let tree = Tree::new()
        .file("usr/bin/greeter", program)
        .mode(0o755)
        .file("var/lib/greeter/friends.txt", "Ada\nGrace\n")
        .owner(65532, 65532)
        .plant();
    Listing::of_directory(tree.path()).at_time(FILES_TIME)
}
