//! A program for two platforms, from its source to a container that runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::container::{Bundle, require_runtime};
use crate::support::docker_registry::DockerRegistry;
use crate::support::listing::Listing;
use crate::support::program::Program;
use crate::support::tool::{checked, require};
use crate::support::tree::Tree;

const PLATFORMS: [(&str, &str); 2] = [("amd64", "gcc"), ("arm64", "aarch64-linux-gnu-gcc")];

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
        assert_eq!(process["args"], serde_json::json!(["/usr/bin/greeter", "friends.txt"]));
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

fn expected(program: &[u8]) -> Listing {
    let tree = Tree::new()
        .file("usr/bin/greeter", program)
        .mode(0o755)
        .file("var/lib/greeter/friends.txt", "Ada\nGrace\n")
        .owner(65532, 65532)
        .plant();
    Listing::of_directory(tree.path()).at_time(0)
}
