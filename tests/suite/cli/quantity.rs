//! Sizes, durations, ports and booleans are written in one way, wherever the program takes them.

use serde_json::{Value, json};

use crate::support::tree::Tree;
use crate::support::world::{APP, World};

/// The settings in the config of the only image that is built.
#[track_caller]
fn settings(context: &Tree, flags: &[&str]) -> Value {
    let world = World::of(&context.clone().file("a", "a"));
    let images = world.program.images(world.context.path(), &[&["--platform=linux/amd64"], flags].concat());
    images[0].config["config"].clone()
}

#[test]
fn a_size_is_a_size_for_every_flag_and_variable() {
    let world = World::new(APP);
    for size in ["524288000", "500m", "500MB", "500MiB", "0.5g", "500 mb"] {
        let output = format!("type=local,dest=root,limit={size}");
        world.build(&["--platform=linux/amd64", "-o", &output]).success();
        world.program.run(["cache", "prune", "--dry-run", "--keep-size", size]).success();
        let mut command = world.program.command(["build", world.context(), "-o", "x.tar"]);
        assert!(command.env("OCIBAKE_STORE_LIMIT", size).output().unwrap().status.success(), "{size}");
    }
    let hint = "a size is a number of bytes, or of k, m, g or t";
    for size in ["500MBit", "1e3", "-1", "m"] {
        let output = format!("type=local,dest=root,limit={size}");
        world.build(&["--platform=linux/amd64", "-o", &output]).failure(2).says(&["is not a size", hint]);
        let flag = format!("--keep-size={size}");
        world.program.run(["cache", "prune", "--dry-run", &flag]).failure(2).says(&["is not a size", hint]);
    }
}

#[test]
fn a_duration_is_a_duration_for_flags_specs_and_dockerfiles() {
    let dockerfile = |duration: &str| {
        let text = format!("FROM scratch\nCOPY a /\nHEALTHCHECK --interval={duration} CMD [\"/a\"]\n");
        settings(&Tree::new().file("Dockerfile", text), &[])["Healthcheck"]["Interval"].clone()
    };
    let spec = |duration: &str| {
        let text = format!("[config]\nhealthcheck = {{ test = [\"CMD\", \"/a\"], interval = \"{duration}\" }}\n");
        settings(&Tree::new().file("ocibake.toml", text), &[])["Healthcheck"]["Interval"].clone()
    };
    let flag = |duration: &str| {
        let flags = ["--health-cmd=[\"/a\"]", &format!("--health-interval={duration}")];
        settings(&Tree::new().file("ocibake.toml", ""), &flags)["Healthcheck"]["Interval"].clone()
    };
    for (duration, nanoseconds) in [("1.5h", 5_400_000_000_000_u64), ("+1m.5s", 60_500_000_000), ("1000us", 1_000_000)]
    {
        for found in [dockerfile(duration), spec(duration), flag(duration)] {
            assert_eq!(found, json!(nanoseconds), "{duration}");
        }
        let world = World::new(APP);
        world.program.run(["cache", "prune", "--dry-run", "--unused-for", duration]).success();
    }
}

#[test]
fn a_port_is_a_port_for_flags_specs_and_dockerfiles() {
    let expected = json!({"53/udp": {}, "80/tcp": {}, "8000/tcp": {}, "8001/tcp": {}});
    let dockerfile = "FROM scratch\nCOPY a /\nEXPOSE 53/UDP 80/ 8000-8001/tcp\n";
    let spec = "[config]\nports = [\"53/UDP\", \"80/\", \"8000-8001/tcp\"]\n";
    let flags = ["--expose=53/UDP", "--expose=80/", "--expose=8000-8001/tcp"];
    assert_eq!(settings(&Tree::new().file("Dockerfile", dockerfile), &[])["ExposedPorts"], expected);
    assert_eq!(settings(&Tree::new().file("ocibake.toml", spec), &[])["ExposedPorts"], expected);
    assert_eq!(settings(&Tree::new().file("ocibake.toml", ""), &flags)["ExposedPorts"], expected);
}

#[test]
fn a_boolean_is_gos_for_flags_outputs_and_dockerfiles() {
    let dockerfile = "# check=error=F\nFROM scratch\nCOPY --link=0 a /\n";
    let world = World::of(&Tree::new().file("Dockerfile", dockerfile).file("a", "a"));
    for (truth, lie) in [("true", "false"), ("1", "0"), ("T", "F"), ("t", "f"), ("TRUE", "FALSE"), ("True", "False")] {
        let [archive, layout] = [truth, lie].map(|is_tar| format!("type=oci,dest=out-{is_tar}-{truth},tar={is_tar}"));
        world.build(&["-o", &archive, &format!("--pull={truth}")]).success();
        world.build(&["-o", &layout, &format!("--pull={lie}")]).success();
        assert!(world.path(&format!("out-{truth}-{truth}")).is_file(), "{truth}");
        assert!(world.path(&format!("out-{lie}-{truth}")).join("oci-layout").is_file(), "{lie}");
    }
    world.build(&["--pull=yes"]).failure(2).says(&["`yes` does not say when to pull"]);
}
