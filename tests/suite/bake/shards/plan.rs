//! What a plan says, what is refused as one, and what is refused of one.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::{PLATFORMS, System};
use crate::support::fake_registry::FakeRegistry;
use crate::support::tool::require;

#[test]
fn a_plan_says_what_stands_on_what_and_what_bases_are() {
    if !require("git") {
        return;
    }
    let registry = FakeRegistry::new();
    let system = System::new(&registry.address(), 6);
    let outcome = system.plan(&["--shards", "3"]).success();
    let plan = system.planned();
    let (_, base) = registry.manifest("base/1").unwrap();
    let index: Value = serde_json::from_slice(&base).unwrap();
    let name = super::base_name(&registry.address());
    assert_eq!(plan["bases"][&name]["digest"], crate::support::fake_registry::digest(&base));
    assert_eq!(plan["bases"][&name]["manifests"]["linux/arm64"], index["manifests"][1]["digest"]);
    assert_eq!(plan["checkout"]["revision"], system.git(&["rev-parse", "HEAD"]).trim());
    assert_eq!(plan["checkout"]["source"], super::SOURCE);
    let created: i64 = system.git(&["log", "-1", "--format=%ct"]).trim().parse().unwrap();
    assert_eq!(plan["targets"]["t001"]["created"], created);
    let waves: BTreeSet<String> = plan["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| format!("{} {}", node["target"].as_str().unwrap(), node["wave"]))
        .collect();
    let expected = ["t000 0", "t001 1", "t002 0", "t003 0", "t004 0", "t005 1"].map(str::to_owned);
    assert_eq!(waves, expected.into());
    let tags: Vec<&str> = plan["targets"]["t000"]["release"][0]["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    assert_eq!(tags, ["v1.2.0", "1.2.0", "1.2", "1", "latest"]);
    assert_eq!(plan["targets"]["hidden"]["linked"], true);
    // Its name is the digest of the text without any space.
    let compact = fs::read_to_string(system.plan_file()).unwrap();
    let compact: String = compact.lines().map(|line| line.trim_start().replacen("\": ", "\":", 1)).collect();
    assert_eq!(outcome.stdout.trim(), crate::support::fake_registry::digest(compact.as_bytes()));
    assert_eq!(registry.count("PUT", "/many/"), 0);
}

#[test]
fn a_plan_holds_no_secret_and_needs_none() {
    let text = "target \"default\" {\n secret = [\"id=token,env=TOKEN\", \"id=file,src=nowhere\"]\n tags = [\"team/a\"]\n \
                dockerfile-inline = \"FROM scratch\\nCOPY common /\\n\"\n}";
    let system = System::without_git("registry.example", text, 0);
    let plan = |value: &str| {
        let machine = system.machine().environment("TOKEN", value);
        machine.run(["bake", "--push", "--plan", "plan.json"]).success();
        fs::read_to_string(system.plan_file()).unwrap()
    };
    let with = plan("a very secret value");
    assert!(with.contains("TOKEN") && !with.contains("a very secret value"), "{with}");
    assert_eq!(plan("another"), with);
}

#[test]
fn what_is_not_pushed_is_no_plan() {
    let target = |rest: &str| {
        let text =
            format!("target \"default\" {{\n dockerfile-inline = \"FROM scratch\\nCOPY common /\\n\"\n{rest}\n}}");
        System::without_git("registry.example", &text, 0)
    };
    let tagged = target("tags = [\"team/a\"]");
    let run = |system: &System, flags: &[&str]| {
        let outcome = system.machine().run([&["bake", "--plan", "plan.json"], flags].concat());
        assert!(!system.plan_file().exists());
        outcome
    };
    run(&tagged, &[]).failure(1).says(&["target default: it is not pushed", "give --push"]);
    run(&tagged, &["--tag", "v1"]).failure(1).says(&["give --push"]);
    run(&target("output = [\"type=local,dest=out\"]"), &["--push"]).failure(1).says(&["type=local"]);
    run(&target(""), &["--push"]).failure(1).says(&["it has no name to push it under"]);
    run(&tagged, &["--push", "-o", "all.tar"]).failure(2).says(&["--plan", "-o"]);
    run(&tagged, &["--push", "--load"]).failure(2).says(&["--load"]);
    run(&tagged, &["--push", "--shards", "0"]).failure(2).says(&["--shards"]);
    run(&tagged, &["--push", "--matrix", "jenkins"]).failure(2).says(&["jenkins", "github"]);
    let missing = tagged.machine().run(["bake", "--push", "--matrix", "github"]);
    missing.failure(2).says(&["--plan"]);
    let elsewhere = tagged.machine().run(["bake", "--shard", "1/2"]);
    elsewhere.failure(2).says(&["--plan"]);
    // A base that this machine alone has is none for others.
    let local = target("tags = [\"team/b\"]");
    let machine = local.machine();
    machine.run(["bake", "--set", "default.tags=registry.example:1/base:1"]).success();
    fs::write(
        local.path().join("docker-bake.hcl"),
        "target \"default\" {\n dockerfile-inline = \"FROM registry.example:1/base:1\\n\"\n tags = [\"team/b\"]\n}",
    )
    .unwrap();
    machine.run(["bake"]).success();
    machine.run(["bake", "--push", "--plan", "plan.json"]).failure(1).says(&["registry.example:1"]);
}

/// So many targets for two platforms, with nothing to ask a registry for.
fn wide(count: usize) -> System {
    let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let text = format!(
        "target \"default\" {{\n name = \"t${{n}}\"\n matrix = {{ n = [{}] }}\n platforms = {PLATFORMS}\n \
         dockerfile-inline = \"FROM scratch\\nCOPY common /\\n\"\n}}",
        names.join(", ")
    );
    System::without_git("registry.example", &text, 0)
}

#[test]
fn nodes_are_packed_into_as_many_jobs_as_there_may_be() {
    let system = wide(130);
    let jobs = |flags: &[&str]| system.plan(flags);
    let github = jobs(&["--matrix", "github"]).success().stdout;
    assert_eq!(github.lines().count(), 1);
    let github: Value = serde_json::from_str(&github).unwrap();
    let include = github["include"].as_array().unwrap();
    assert_eq!(include.len(), 256);
    assert_eq!((&include[0]["shard"], &include[255]["shard"]), (&json!("1/256"), &json!("256/256")));
    let named: Vec<&str> = include.iter().flat_map(|job| job["nodes"].as_str().unwrap().split(", ")).collect();
    assert_eq!(named.len(), 260);
    assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), 260, "each node once");
    assert_eq!(system.planned()["shards"], 256);
    jobs(&["--matrix", "github", "--shards", "257"]).failure(2).says(&["257 shards", "256 jobs"]);
    let gitlab = jobs(&["--matrix", "gitlab"]).success().stdout;
    assert!(gitlab.contains("\n  parallel: 200\n"), "{gitlab}");
    let few: Value = serde_json::from_str(&jobs(&["--matrix", "github", "--shards", "3"]).success().stdout).unwrap();
    assert_eq!(few["include"].as_array().unwrap().len(), 3);
    let all: Value = serde_json::from_str(&jobs(&["--matrix", "kubernetes"]).success().stdout).unwrap();
    assert_eq!(
        (&all["items"][1]["spec"]["completions"], &all["items"][1]["spec"]["completionMode"]),
        (&json!(260), &json!("Indexed"))
    );
}

#[test]
fn a_shard_that_there_is_not_is_an_error() {
    let system = wide(1);
    system.plan(&["--shards", "2"]).success();
    let run = |variables: &[(&str, &str)], words: &[&str]| {
        let machine =
            variables.iter().fold(system.machine(), |machine, (name, value)| machine.environment(name, value));
        machine.run([&["bake", "--plan", "plan.json"], words].concat())
    };
    run(&[], &["--shard", "9/8"]).failure(2).says(&["no shard 9 of 8"]);
    run(&[], &["--shard", "0/8"]).failure(2).says(&["no shard 0 of 8"]);
    run(&[], &["--shard", "three"]).failure(2).says(&["`three` is not a shard"]);
    run(&[], &["--shard"]).failure(2).says(&["nothing says which shard", "JOB_COMPLETION_INDEX"]);
    run(&[("JOB_COMPLETION_INDEX", "2")], &["--shard"]).failure(2).says(&["no shard 3 of 2"]);
    run(&[("JOB_COMPLETION_INDEX", "x")], &["--shard"]).failure(2).says(&["JOB_COMPLETION_INDEX is `x`"]);
    run(&[("CI_NODE_INDEX", "3"), ("CI_NODE_TOTAL", "2")], &["--shard"]).failure(2).says(&["no shard 3 of 2"]);
    for flag in [
        &["t0"][..],
        &["--push"],
        &["--tag", "v1"],
        &["-f", "docker-bake.hcl"],
        &["--set", "t0.args.A=b"],
        &["--print"],
    ] {
        run(&[], &[&["--shard", "1/2"], flag].concat()).failure(2).says(&["plan.json says what is built"]);
        run(&[], &[&["--join"], flag].concat()).failure(2).says(&["plan.json says what is built"]);
    }
    run(&[], &["--shard", "1/2", "--join"]).failure(2);
    run(&[], &["--shard", "1/2", "--timeout", "1m"]).failure(2);
}

#[test]
fn a_file_that_is_no_plan_is_refused() {
    let system = wide(2);
    system.plan(&["--shards", "2"]).success();
    let good = fs::read_to_string(system.plan_file()).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut plan: Value = serde_json::from_str(&good).unwrap();
        change(&mut plan);
        plan.to_string()
    };
    let node = |change: &dyn Fn(&mut Vec<Value>)| changed(&|plan| change(plan["nodes"].as_array_mut().unwrap()));
    let release = |change: &dyn Fn(&mut Value)| changed(&|plan| change(&mut plan["targets"]["t0"]["release"][0]));
    let cases: Vec<(&str, String, &str)> = vec![
        ("no JSON", "plan".to_owned(), "plan.json is not valid"),
        ("nothing", String::new(), "plan.json is not valid"),
        ("something else", "{\"a\":1}".to_owned(), "plan.json is not valid"),
        ("cut off", good[..good.len() / 2].to_owned(), "plan.json is not valid"),
        ("a key twice", good.replacen("\"version\": 1,", "\"version\": 1,\"version\": 1,", 1), "appears twice"),
        ("deep", "[".repeat(100_000), "plan.json is not valid"),
        ("another version", changed(&|plan| plan["version"] = json!(2)), "has version 2"),
        ("another program", changed(&|plan| plan["program"] = json!("0.0.1")), "was made by ocibake 0.0.1"),
        ("a key too much", changed(&|plan| plan["also"] = json!(1)), "plan.json is not valid"),
        ("no nodes", node(&|nodes| nodes.clear()), "has 0 nodes"),
        ("a node too few", node(&|nodes| drop(nodes.pop())), "does not have every image"),
        ("a node twice", node(&|nodes| nodes[1] = nodes[0].clone()), "that is not an image of its targets"),
        (
            "a node of nothing",
            node(&|nodes| nodes[0]["target"] = json!("../\u{1b}[31m")),
            "that is not an image of its targets",
        ),
        ("no such image", node(&|nodes| nodes[0]["image"] = json!(7)), "that is not an image of its targets"),
        ("a place below nothing", node(&|nodes| nodes[0]["image"] = json!(-1)), "plan.json is not valid"),
        ("no platform", changed(&|plan| plan["targets"]["t0"]["platforms"] = json!([])), "it has no platform"),
        (
            "a strange platform",
            changed(&|plan| plan["targets"]["t0"]["platforms"][0] = json!("a b")),
            "is not a platform",
        ),
        ("a strange repository", release(&|own| own["repository"] = json!("a b")), "is not a name of a repository"),
        ("a tag in a repository", release(&|own| own["repository"] = json!("a:b")), "is not a name of a repository"),
        ("a strange tag", release(&|own| own["tags"][0]["name"] = json!("a/b")), "is not a tag"),
        (
            "names that go nowhere",
            changed(&|plan| plan["targets"]["t0"]["release"] = json!([])),
            "it has no name to push it under",
        ),
        ("too large", format!("{good}{}", " ".repeat(16 << 20)), "is larger than"),
    ];
    for (what, text, said) in cases {
        fs::write(system.plan_file(), text).unwrap();
        for words in [&["--shard", "1/2"][..], &["--join"]] {
            let outcome = system.machine().run([&["bake", "--plan", "plan.json"], words].concat());
            assert_eq!(outcome.code, Some(1), "{what}: {outcome:?}");
            assert!(!outcome.stderr.contains('\u{1b}'), "{what}");
            outcome.says(&[said]);
        }
    }
    let other = changed(&|plan| plan["definition"]["target"]["t2"] = plan["definition"]["target"]["t0"].take());
    fs::write(system.plan_file(), other).unwrap();
    system.shard("1/2").failure(1);
    fs::remove_file(system.plan_file()).unwrap();
    system.shard("1/2").failure(1).says(&["plan.json"]);
}
