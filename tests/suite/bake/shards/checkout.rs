//! A shard builds what was planned, or says what is another here.

use std::fs;

use super::System;
use crate::support::fake_registry::FakeRegistry;
use crate::support::tool::require;

#[test]
fn another_commit_and_changes_are_told() {
    if !require("git") {
        return;
    }
    let registry = FakeRegistry::new();
    let system = System::new(&registry.address(), 2);
    system.plan(&["--shards", "2"]).success();
    let planned = system.git(&["rev-parse", "HEAD"]).trim().to_owned();
    let file = system.path().join("files/000");
    fs::write(&file, "changed").unwrap();
    system.shard("1/2").failure(1).says(&[&planned, "with changes"]);
    system.git(&["commit", "--quiet", "-a", "-m", "two"]);
    let own = system.git(&["rev-parse", "HEAD"]).trim().to_owned();
    system.shard("1/2").failure(1).says(&[&planned, &own]);
    fs::remove_dir_all(system.path().join(".git")).unwrap();
    system.shard("1/2").failure(1).says(&[&planned, "no known commit"]);
    assert_eq!(registry.count("PUT", "/many/"), 0);
}

#[test]
fn another_definition_dockerfile_or_time_is_told() {
    let registry = FakeRegistry::new();
    let place = format!("{}/team/a:1", registry.address());
    let text = format!("target \"default\" {{ tags = [\"{place}\"] }}");
    let system = System::without_git(&registry.address(), &text, 0);
    let dockerfile = system.path().join("Dockerfile");
    fs::write(&dockerfile, "FROM scratch\nCOPY common /\n").unwrap();
    system.machine().run(["bake", "--push", "--plan", "plan.json", "--shards", "1"]).success();
    fs::write(system.path().join("docker-bake.hcl"), format!("{text} ")).unwrap();
    system.shard("1/1").failure(1).says(&["docker-bake.hcl is not the file that the plan was made of"]);
    fs::remove_file(system.path().join("docker-bake.hcl")).unwrap();
    system.shard("1/1").failure(1).says(&["docker-bake.hcl", "there is none"]);
    fs::write(system.path().join("docker-bake.hcl"), &text).unwrap();
    fs::write(&dockerfile, "FROM scratch\nCOPY common /other\n").unwrap();
    system.shard("1/1").failure(1).says(&["target default: the Dockerfile is"]);
    fs::write(&dockerfile, "FROM scratch\nCOPY common /\n").unwrap();
    let machine = system.machine().environment("SOURCE_DATE_EPOCH", "1000000000");
    let outcome = machine.run(["bake", "--plan", "plan.json", "--shard", "1/1"]).failure(1);
    outcome.says(&["target default: the time is `1000000000` here, and `0` in the plan"]);
    assert_eq!(registry.requests().iter().filter(|request| request.method == "PUT").count(), 0);
    system.shard("1/1").success();
    system.join().success();
}

#[test]
fn a_base_that_moves_meanwhile_stays_what_it_was() {
    if !require("git") {
        return;
    }
    let registry = FakeRegistry::new();
    let system = System::new(&registry.address(), 2);
    let one = system.made_by_one("many");
    system.plan(&["--shards", "2"]).success();
    let (_, before) = registry.manifest("base/1").unwrap();
    let other = System::without_git(&registry.address(), "", 0);
    fs::write(other.path().join("Dockerfile"), "FROM scratch\nCOPY common /new\n").unwrap();
    let name = super::base_name(&registry.address());
    let flags = ["build", "--platform", "linux/amd64,linux/arm64", "--push", "-t", &name, "."];
    other.machine().run(flags).success();
    assert_ne!(registry.manifest("base/1").unwrap().1, before);
    system.shard("1/2").success();
    system.shard("2/2").success();
    assert_eq!(system.join().success().stdout, one);
}

#[test]
fn what_a_target_wants_is_allowed_where_it_is_built() {
    let registry = FakeRegistry::new();
    let text = format!(
        "target \"default\" {{\n entitlements = [\"security.insecure\"]\n tags = [\"{}/team/a:1\"]\n dockerfile-inline = \"FROM scratch\\nCOPY common /\\n\"\n}}",
        registry.address()
    );
    let system = System::without_git(&registry.address(), &text, 0);
    let plan = ["bake", "--push", "--plan", "plan.json", "--shards", "1"];
    system.machine().run(plan).failure(1).says(&["--allow=security.insecure"]);
    system.machine().run([&plan[..], &["--allow=security.insecure"]].concat()).success();
    system.shard("1/1").failure(1).says(&["--allow=security.insecure"]);
    system.machine().run(["bake", "--plan", "plan.json", "--shard", "1/1", "--allow=security.insecure"]).success();
}
