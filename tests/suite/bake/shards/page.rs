//! The files in docs/scale.md do what the page says: their steps are run here with the variables of the runners that they are for.

use std::fs;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::{SOURCE, System, TAG};
use crate::documents::page::blocks;
use crate::support::docker_registry::DockerRegistry;
use crate::support::network_door::NetworkDoor;
use crate::support::program::Program;
use crate::support::runner::{bash, has_tools, machine, yaml};
use crate::support::tool::{self, require};

/// The text of the block in docs/scale.md that begins with this line.
fn block(first: &str) -> String {
    let mut texts = blocks("docs/scale.md").into_iter().map(|block| block.text);
    texts.find(|text| text.starts_with(first)).unwrap_or_else(|| panic!("no block `{first}`"))
}

/// A checkout of its own.
fn checkout(system: &System) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    system.clone_to(place.path());
    place
}

/// The steps of a job of GitHub's that are commands.
fn steps(job: &Value) -> Vec<&str> {
    job["steps"].as_array().unwrap().iter().filter_map(|step| step["run"].as_str()).collect()
}

#[test]
fn the_matrix_of_github_is_run() {
    if !has_tools() {
        return;
    }
    let registry = DockerRegistry::in_memory();
    let system = System::new(&registry.address(), 4);
    let place = format!("{}/many", registry.address());
    let workflow = yaml(&block("# .github/workflows/release.yml"));
    let jobs = &workflow["jobs"];

    let first = checkout(&system);
    let output = first.path().join("output");
    let variables = [("REGISTRY", &*place), ("GITHUB_REF_NAME", TAG), ("GITHUB_OUTPUT", output.to_str().unwrap())];
    for step in steps(&jobs["plan"]) {
        bash(&machine(first.path(), &variables), step).success();
    }
    let output = fs::read_to_string(output).unwrap();
    let (name, matrix) = output.trim_end().split_once('=').unwrap();
    assert_eq!(jobs["plan"]["outputs"][name], "${{ steps.plan.outputs.matrix }}");
    assert_eq!(jobs["build"]["strategy"]["matrix"], "${{ fromJSON(needs.plan.outputs.matrix) }}");
    let matrix: Value = serde_json::from_str(matrix).unwrap();
    let entries = matrix["include"].as_array().unwrap();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        let place = checkout(&system);
        fs::copy(first.path().join("plan.json"), place.path().join("plan.json")).unwrap();
        for step in steps(&jobs["build"]) {
            let step = step.replace("${{ matrix.shard }}", entry["shard"].as_str().unwrap());
            bash(&machine(place.path(), &[]), &step).success();
        }
    }
    let last = tempfile::tempdir().unwrap();
    fs::copy(first.path().join("plan.json"), last.path().join("plan.json")).unwrap();
    let joined: String =
        steps(&jobs["join"]).into_iter().map(|step| bash(&machine(last.path(), &[]), step).success().stdout).collect();
    assert_eq!(joined, system.made_by_one("many"));
    assert!(fs::read_to_string(last.path().join("release.json")).unwrap().contains("ocibake.release"));
}

/// The commands of a job of GitLab's.
fn script(job: &Value) -> String {
    job["script"].as_array().unwrap().iter().map(|line| format!("{}\n", line.as_str().unwrap())).collect()
}

#[test]
fn the_parallel_jobs_of_gitlab_are_run() {
    if !has_tools() {
        return;
    }
    let registry = DockerRegistry::in_memory();
    let system = System::new(&registry.address(), 4);
    let place = format!("{}/many", registry.address());
    let parent = yaml(&block("# .gitlab-ci.yml"));
    let first = checkout(&system);
    let variables = [("REGISTRY", &*place), ("CI_COMMIT_TAG", TAG)];
    bash(&machine(first.path(), &variables), &script(&parent["plan"])).success();
    let paths: Vec<&str> =
        parent["plan"]["artifacts"]["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!(paths, ["plan.json", "shards.yml"]);
    assert_eq!(parent["build"]["trigger"]["include"][0]["artifact"], "shards.yml");

    let child = yaml(&fs::read_to_string(first.path().join("shards.yml")).unwrap());
    for job in ["build", "join"] {
        assert_eq!(child[job]["needs"][0]["job"], "plan");
        let parent_of = child[job]["needs"][0]["pipeline"].as_str().unwrap().trim_start_matches('$');
        assert_eq!(parent["build"]["variables"][parent_of], "$CI_PIPELINE_ID");
    }
    let all = child["build"]["parallel"].as_u64().unwrap();
    assert_eq!(all, 4);
    for number in 1..=all {
        let place = checkout(&system);
        fs::copy(first.path().join("plan.json"), place.path().join("plan.json")).unwrap();
        let (number, all) = (number.to_string(), all.to_string());
        let variables = [("CI_NODE_INDEX", &*number), ("CI_NODE_TOTAL", &*all)];
        bash(&machine(place.path(), &variables), &script(&child["build"])).success();
    }
    let joined = bash(&machine(first.path(), &[("CI_NODE_TOTAL", "1")]), &script(&child["join"])).success();
    assert_eq!(joined.stdout, system.made_by_one("many"));
}

/// A pod's containers, as processes with a network of their own: the directories that are mounted are below `place`.
struct Pod<'a> {
    place: tempfile::TempDir,
    spec: &'a Value,
    door: &'a NetworkDoor,
}

impl<'a> Pod<'a> {
    fn new(job: &'a Value, plan: &str, door: &'a NetworkDoor) -> Self {
        let place = tempfile::tempdir().unwrap();
        for directory in ["work", "plan"] {
            fs::create_dir(place.path().join(directory)).unwrap();
        }
        fs::write(place.path().join("plan/plan.json"), plan).unwrap();
        Pod { place, spec: &job["spec"]["template"]["spec"], door }
    }

    /// Starts a container, with the variables that the cluster adds.
    fn start(&self, container: &Value, variables: &[(&str, &str)]) -> (Program, Child) {
        let place = self.place.path().display();
        let here =
            |text: &str| text.replace("/work", &format!("{place}/work")).replace("/plan/", &format!("{place}/plan/"));
        let words: Vec<String> =
            container["command"].as_array().unwrap().iter().map(|word| here(word.as_str().unwrap())).collect();
        let mut machine = machine(&self.place.path().join("work"), variables);
        for variable in container["env"].as_array().unwrap() {
            let (name, value) = (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
            if !matches!(name, "OCIBAKE_STORE" | "DOCKER_CONFIG") {
                machine = machine.environment(name, value);
            }
        }
        let starter = self.door.starter();
        let starter: Vec<&str> = starter.iter().map(String::as_str).collect();
        let mut command = match words[0].as_str() {
            "ocibake" => machine.command_under(&starter, &words[1..]),
            _ => {
                let words = words.iter().map(String::as_str);
                machine.command_under(&starter.into_iter().chain(words).collect::<Vec<_>>(), [""; 0])
            }
        };
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        (machine, child)
    }
}

fn ended(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_indexed_job_of_kubernetes_is_run() {
    if !(has_tools() && require("kubectl")) {
        return;
    }
    let registry = DockerRegistry::in_memory();
    let Some(door) = NetworkDoor::to(&registry.address()) else { return };
    let devices = door.starter().into_iter().chain(["cat".to_owned(), "/proc/net/dev".to_owned()]);
    let devices = tool::run("env", devices);
    assert_eq!(devices.lines().skip(2).map(|line| line.trim().split(':').next().unwrap()).collect::<Vec<_>>(), ["lo"]);
    let system = System::new(&registry.address(), 4);
    let place = format!("{}/many", registry.address());
    let first = checkout(&system);
    let commands = block("ocibake bake --tag v1.2.0 --registry \"$REGISTRY\"");
    bash(&machine(first.path(), &[("REGISTRY", &place)]), commands.lines().next().unwrap()).success();
    fs::write(first.path().join("kustomization.yaml"), block("# kustomization.yaml")).unwrap();
    let text = tool::run("kubectl", ["kustomize", first.path().to_str().unwrap()]);
    let objects: Vec<Value> = text.split("\n---\n").map(yaml).collect();
    let of = |kind: &str, is_meant: &dyn Fn(&Value) -> bool| {
        objects.iter().find(|object| object["kind"] == kind && is_meant(object)).unwrap()
    };
    let is_indexed = |object: &Value| object["spec"]["completionMode"] == "Indexed";
    let (shards, join) = (of("Job", &is_indexed), of("Job", &|object| !is_indexed(object)));
    let plan = of("ConfigMap", &|_| true)["data"]["plan.json"].as_str().unwrap();
    assert_eq!(plan, fs::read_to_string(first.path().join("plan.json")).unwrap());
    let pod = &shards["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "registry.example/tools/ocibake:1");
    assert_eq!(pod["initContainers"][0]["image"], "docker.io/alpine/git:v2.49.1");
    assert_eq!(pod["restartPolicy"], "Never");

    let waiting = Pod::new(join, plan, &door);
    let (_joiner, joining) = waiting.start(&waiting.spec["containers"][0], &[]);
    let pods: Vec<Pod<'_>> =
        (0..shards["spec"]["completions"].as_u64().unwrap()).map(|_| Pod::new(shards, plan, &door)).collect();
    assert_eq!(pods.len(), 4);
    let rewrite = format!("url.{}.insteadOf", system.path().display());
    let git = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", &*rewrite), ("GIT_CONFIG_VALUE_0", SOURCE)];
    let mut running = Vec::new();
    for (index, pod) in pods.iter().enumerate() {
        let (_cloner, cloning) = pod.start(&pod.spec["initContainers"][0], &git);
        ended(cloning);
        running.push(pod.start(&pod.spec["containers"][0], &[("JOB_COMPLETION_INDEX", &index.to_string())]));
    }
    running.into_iter().for_each(|(_machine, child)| drop(ended(child)));
    assert_eq!(ended(joining), system.made_by_one("many"));
}
