//! Shards and their join make what one machine makes.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::{System, TAG};
use crate::support::access::Access;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, digest};
use crate::support::program::Program;
use crate::support::tool::{self, require};

/// All that a registry has answered, in their order.
fn accesses(registry: &DockerRegistry) -> Vec<Access> {
    registry.requests().iter().map(|line| Access::parse(line)).collect()
}

/// The tag that a request sets, with its repository; none where it does something else.
fn set_by(request: &Access) -> Option<(&str, &str)> {
    let (repository, tag) = request.path.strip_prefix("/v2/")?.split_once("/manifests/")?;
    // A registry that takes several tags at once does so under the digest; this one takes none there.
    (request.sets_tags() && !tag.contains(':')).then_some((repository, tag))
}

/// The digest of what a registry has under `name`, as it gives it to anybody.
fn standing(registry: &DockerRegistry, name: &str, tag: &str) -> String {
    let url = format!("http://{}/v2/{name}/manifests/{tag}", registry.address());
    let accept = "Accept: application/vnd.oci.image.index.v1+json";
    digest(tool::run("curl", ["-sS", "--fail", "-H", accept, &url]).as_bytes())
}

/// Starts a share on a machine of its own.
fn start(machine: &Program, shard: &str) -> Child {
    let mut command = machine.command(["bake", "--plan", "plan.json", "--shard", shard, "--progress", "quiet"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Whether a request sets a tag that is not a result's.
fn is_release(request: &&Access) -> bool {
    set_by(request).is_some_and(|(repository, tag)| repository.starts_with("many/") && !tag.starts_with("plan-"))
}

fn results(registry: &DockerRegistry) -> usize {
    let requests = accesses(registry);
    requests.iter().filter_map(set_by).filter(|(_, tag)| tag.starts_with("plan-")).count()
}

/// Checks that all tags were set, once each, and that nothing but tags was sent from the first of them on.
#[track_caller]
fn check_tags(registry: &DockerRegistry, targets: usize) {
    let requests = accesses(registry);
    assert_eq!(requests.iter().filter(is_release).count(), 5 * targets);
    let first = requests.iter().position(|request| is_release(&request)).unwrap();
    let after: Vec<&Access> = requests[first..].iter().filter(|request| request.writes()).collect();
    assert!(after.iter().all(is_release), "{after:?}");
}

#[test]
fn three_shards_make_what_one_machine_makes() {
    if !(require("docker-registry") && require("git") && require("curl")) {
        return;
    }
    let registry = DockerRegistry::in_memory();
    let system = System::new(&registry.address(), 6);
    let one = system.made_by_one("many");
    let named = system.plan(&["--shards", "3"]).success().stdout;
    let first = std::fs::read(system.plan_file()).unwrap();
    assert_eq!(system.plan(&["--shards", "3"]).success().stdout, named);
    assert_eq!(std::fs::read(system.plan_file()).unwrap(), first, "the same makes the same plan");
    assert!(!accesses(&registry).iter().any(|request| request.path.contains("/many/")), "nothing is built");

    let machines = [system.machine(), system.machine()];
    let children: Vec<Child> =
        machines.iter().zip(["1/3", "2/3"]).map(|(machine, shard)| start(machine, shard)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let missing = ["4 of 12 nodes have no result", "t003/linux/amd64 (shard 3/3)", "no tag has been set"];
    system.join().failure(1).says(&missing);
    assert_eq!(accesses(&registry).iter().filter(is_release).count(), 0);

    let third = system.machine().environment("JOB_COMPLETION_INDEX", "2");
    let built = third.run(["bake", "--plan", "plan.json", "--shard"]).success().stdout;
    assert_eq!(built.lines().count(), 4, "{built}");
    let before = accesses(&registry).len();
    let again = system.machine().environment("CI_NODE_INDEX", "3").environment("CI_NODE_TOTAL", "3");
    assert_eq!(again.run(["bake", "--plan", "plan.json", "--shard"]).success().stdout, built);
    let asked = accesses(&registry).split_off(before);
    assert!(!asked.iter().any(Access::writes), "a look-up: {asked:?}");

    assert_eq!(system.join().success().stdout, one);
    for target in ["t000", "t001", "t002", "t003", "t004", "t005"] {
        let expected = standing(&registry, &format!("one/{target}"), TAG);
        for tag in [TAG, "1.2.0", "1.2", "1", "latest"] {
            assert_eq!(standing(&registry, &format!("many/{target}"), tag), expected, "{target}:{tag}");
        }
    }
    check_tags(&registry, 6);
    let before = accesses(&registry).len();
    assert_eq!(system.join().success().stdout, one, "a join that is repeated says the same");
    let asked = accesses(&registry).split_off(before);
    assert!(!asked.iter().any(Access::writes), "{asked:?}");
}

/// The most requests that docs/scale.md says it takes, by the first cell of their row.
fn documented(row: &str) -> usize {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scale.md")).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("| {row} | ")));
    line.and_then(|rest| rest.trim_end_matches(" |").parse().ok()).unwrap_or_else(|| panic!("no row `{row}`"))
}

#[test]
fn eighty_nodes_over_eight_shards_one_of_which_is_killed() {
    if !(require("docker-registry") && require("git") && require("curl")) {
        return;
    }
    const TARGETS: usize = 40;
    let registry = DockerRegistry::in_memory();
    let system = System::new(&registry.address(), TARGETS);
    let one = system.made_by_one("many");
    let requests = || accesses(&registry).len();
    let before = requests();
    system.plan(&["--shards", "8"]).success();
    assert!(requests() - before <= documented("a plan, for each base"));

    // Killed once it has left the first of its results, and before the last.
    let is_cut = ["1/8", "2/8", "3/8"].into_iter().any(|shard| {
        let (machine, before) = (system.machine(), results(&registry));
        let mut child = start(&machine, shard);
        while results(&registry) == before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        let was_killed = child.wait().unwrap().signal() == Some(9);
        was_killed && (1..10).contains(&(results(&registry) - before))
    });
    assert!(is_cut, "none was killed in the middle");
    system.join().failure(1).says(&["of 80 nodes have no result"]);

    let before = requests();
    let machines: Vec<(Program, String)> = (1..=8).map(|number| (system.machine(), format!("{number}/8"))).collect();
    let children: Vec<Child> = machines.iter().map(|(machine, shard)| start(machine, shard)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert!(requests() - before <= 2 * TARGETS * documented("a shard, for each node"), "{}", requests() - before);
    let before = requests();
    system.shard("5/8").success();
    assert!(requests() - before <= 10 * documented("a shard that is repeated, for each node") + 1);

    let before = requests();
    assert_eq!(system.join().success().stdout, one);
    let most = 2 * TARGETS * documented("the join, for each node") + TARGETS * documented("the join, for each target");
    // One request finds out how to speak to the registry.
    assert!(requests() - before <= most + 1, "{} requests", requests() - before);
    check_tags(&registry, TARGETS);
    for number in [0, 17, 39] {
        let at = |place: &str| standing(&registry, &format!("{place}/t{number:03}"), "latest");
        assert_eq!(at("many"), at("one"));
    }
}

#[test]
fn names_of_a_definition_are_set_together_and_other_platforms_are_the_plans() {
    if !(require("docker-registry") && require("curl")) {
        return;
    }
    let registry = DockerRegistry::in_memory();
    let address = registry.address();
    let target = |name: &str, place: &str| {
        format!(
            "target \"{name}\" {{\n tags = [\"{address}/{place}/{name}:1.0\", \"{address}/{place}/{name}:dev\", \
             \"{address}/other/{place}-{name}:1.0\"]\n dockerfile-inline = \"FROM scratch\\nARG VERSION\\nCOPY common /$VERSION\\n\"\n}}\n"
        )
    };
    let system = |place: &str| {
        let text =
            format!("{}{}group \"default\" {{ targets = [\"a\", \"b\"] }}", target("a", place), target("b", place));
        System::without_git(&address, &text, 0)
    };
    system("one").machine().run(["bake", "--push"]).success();
    let many = system("many");
    many.machine().run(["bake", "--push", "--plan", "plan.json", "--shards", "2"]).success();
    many.shard("1/2").success();
    many.shard("2/2").success();
    assert_eq!(accesses(&registry).iter().filter(is_release).count(), 0);
    let joined = many.machine().run(["bake", "--plan", "plan.json", "--join", "--image-refs", "refs"]).success().stdout;
    assert_eq!(joined.lines().count(), 6, "{joined}");
    let refs = std::fs::read_to_string(many.path().join("refs")).unwrap();
    assert_eq!(refs.lines().count(), 4, "{refs}");
    for name in ["a", "b"] {
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
        let of = |path: &str| {
            let url = format!("http://{address}/v2/{path}");
            tool::run("curl", ["-sS", "--fail", "-H", accept, &url])
        };
        let expected = of(&format!("one/{name}/manifests/1.0"));
        for path in [
            format!("many/{name}/manifests/1.0"),
            format!("many/{name}/manifests/dev"),
            format!("other/many-{name}/manifests/1.0"),
        ] {
            assert_eq!(of(&path), expected, "{path}");
        }
    }
}

#[test]
fn the_images_of_an_ocibake_toml_are_shared_too() {
    let registry = FakeRegistry::new();
    let table = r#"
platforms = ["linux/amd64", "linux/arm64"]
[image.app]
base = "target:lib"
[[image.app.layer]]
add = [{ from = "files", to = "/srv/" }]
[image.app.config]
cmd = ["/srv/000"]
[image.lib]
index = true
base = "scratch"
[[image.lib.layer]]
add = [{ from = "common", to = "/common" }]
[image.site]
dockerfile = "site"
contexts = { lib = "target:lib" }
"#;
    let system = System::without_git(&registry.address(), "", 2);
    std::fs::remove_file(system.path().join("docker-bake.hcl")).unwrap();
    std::fs::write(system.path().join("ocibake.toml"), table).unwrap();
    std::fs::write(system.path().join("site"), "FROM lib\nCOPY files/001 /site\n").unwrap();
    let one = system.made_by_one("many");
    assert_eq!(one.lines().count(), 3, "{one}");
    system.plan(&["--shards", "4"]).success();
    for shard in ["4/4", "1/4", "3/4", "2/4"] {
        system.shard(shard).success();
    }
    assert_eq!(system.join().success().stdout, one);
    let changed = table.replace("/srv/000", "/srv/001");
    std::fs::write(system.path().join("ocibake.toml"), changed).unwrap();
    system.shard("1/4").failure(1).says(&["ocibake.toml is not the file that the plan was made of"]);
}
