//! `ocibake login` and `logout`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::FakeRegistry;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{require, run};

const PASSWORD: &str = "correct horse";

#[test]
fn a_password_is_read_with_and_without_its_line_end() {
    let Some(registry) = registry() else { return };
    for (input, code) in [
        (PASSWORD.to_owned(), 0),
        (format!("{PASSWORD}\n"), 0),
        (format!("{PASSWORD}\r\n"), 0),
        (format!("{PASSWORD}\n\n"), 1),
        (format!(" {PASSWORD}"), 1),
    ] {
        let program = Program::new();
        let outcome = feed(&program, &["login", "-u", "ada", "--password-stdin", &registry.address()], &input);
        assert_eq!(outcome.code, Some(code), "{input:?}: {outcome:#?}");
        let kept = fs::read_to_string(program.docker_config().join("config.json")).unwrap_or_default();
        // printf 'ada:correct horse' | base64
        assert_eq!(kept.contains("YWRhOmNvcnJlY3QgaG9yc2U="), code == 0, "{kept}");
        assert!(!kept.contains("horse"));
    }
}

#[test]
fn credentials_are_kept_where_docker_keeps_them_and_forgotten() {
    let Some(registry) = registry() else { return };
    let program = Program::new();
    let path = program.docker_config().join("config.json");
    fs::write(&path, r#"{"psFormat": "table", "auths": {"other.example": {"auth": "eDp5"}}}"#).unwrap();
    let address = registry.address();
    let outcome = feed(&program, &["login", "--username=ada", "--password-stdin", &address], PASSWORD).success();
    outcome.says(&["logged in to", &address, path.to_str().unwrap()]);
    let config = || serde_json::from_slice::<Value>(&fs::read(&path).unwrap()).unwrap();
    let other = json!({"auth": "eDp5"});
    let expected = json!({"other.example": other, address.as_str(): {"auth": "YWRhOmNvcnJlY3QgaG9yc2U="}});
    assert_eq!(config()["auths"], expected);
    assert_eq!(config()["psFormat"], "table");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    program.run(["logout", &address]).success().says(&["logged out of", &address]);
    assert_eq!(config()["auths"], json!({"other.example": other}));
    program.run(["logout", &address]).success().says(&["not logged in to", &address]);
    program.run(["logout"]).success().says(&["not logged in to docker.io"]);
}

#[test]
fn without_docker_config_it_is_in_the_home() {
    let Some(registry) = registry() else { return };
    let home = tempfile::tempdir().unwrap();
    let program = Program::new().environment("DOCKER_CONFIG", "").environment("HOME", home.path());
    feed(&program, &["login", "-u", "ada", "--password-stdin", &registry.address()], PASSWORD).success();
    assert!(home.path().join(".docker/config.json").is_file());
}

#[test]
fn a_wrong_password_keeps_nothing() {
    let Some(registry) = registry() else { return };
    let program = Program::new();
    let outcome = feed(&program, &["login", "-u", "ada", "--password-stdin", &registry.address()], "wrong donkey");
    let outcome = outcome.failure(1).says(&["401", &registry.address()]);
    assert!(!outcome.stderr.contains("donkey"), "{outcome:?}");
    assert!(!program.docker_config().join("config.json").exists());
    let outcome = program.run(["login", "-u", "ada", "-p", "wrong donkey", &registry.address()]).failure(1);
    assert!(outcome.stderr.contains("warning:") && !outcome.stderr.contains("donkey"), "{outcome:?}");
}

#[test]
fn a_registry_may_be_given_as_a_browser_has_it() {
    let Some(registry) = registry() else { return };
    let address = registry.address();
    for given in [format!("http://{address}"), format!("https://{address}/"), format!("{address}/")] {
        let program = Program::new();
        feed(&program, &["login", "-u", "ada", "--password-stdin", &given], PASSWORD).success();
        let config = fs::read(program.docker_config().join("config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["auths"].as_object().unwrap().keys().collect::<Vec<_>>(), [&address]);
        program.run(["logout", &given]).success().says(&["logged out"]);
    }
}

/// As docker has it, whose credentials are for all of a registry.
#[test]
fn an_organisation_behind_the_registry_is_passed_over() {
    let Some(registry) = registry() else { return };
    let address = registry.address();
    let program = Program::new();
    feed(&program, &["login", "-u", "ada", "--password-stdin", &format!("{address}/org/app")], PASSWORD).success();
    let config = fs::read(program.docker_config().join("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["auths"].as_object().unwrap().keys().collect::<Vec<_>>(), [&address]);
    program.run(["logout", &format!("{address}/org")]).success().says(&["logged out of", &address]);
}

#[test]
fn docker_hub_is_what_is_meant_without_a_registry() {
    let program = Program::new();
    let config = program.docker_config().join("config.json");
    for arguments in [&["logout"][..], &["logout", "docker.io"], &["logout", "https://index.docker.io/v1/"]] {
        fs::write(&config, r#"{"auths": {"https://index.docker.io/v1/": {"auth": "eDp5"}}}"#).unwrap();
        program.run(arguments).success().says(&["logged out of docker.io"]);
        assert!(!fs::read_to_string(&config).unwrap().contains("eDp5"));
    }
}

#[test]
fn wrong_use_is_explained() {
    let program = Program::new();
    feed(&program, &["login", "127.0.0.1:1"], "").failure(2).says(&["no terminal", "--password-stdin"]);
    feed(&program, &["login", "-u", "ada", "127.0.0.1:1"], "").failure(2).says(&["no terminal", "--password-stdin"]);
    feed(&program, &["login", "-u", "ada", "--password-stdin", "127.0.0.1:1"], "\n").failure(2).says(&["empty"]);
    feed(&program, &["login", "-u", "a", "--password-stdin", "/b"], "x").failure(2).says(&["`/b` is not a registry"]);
    let both = ["login", "-p", "x", "--password-stdin", "a.example"];
    program.run(both).failure(2).says(&["--password-stdin", "Usage: ocibake login"]);
    program.run(["logout", "a", "b"]).failure(2).says(&["Usage: ocibake logout"]);
}

#[test]
fn a_terminal_is_asked_and_does_not_show_the_password() {
    if !require("script") {
        return;
    }
    let Some(registry) = registry() else { return };
    let program = Program::new();
    let ocibake = program.command(["login", &registry.address()]);
    let mut words = vec![ocibake.get_program().to_str().unwrap().to_owned()];
    words.extend(ocibake.get_args().map(|word| word.to_str().unwrap().to_owned()));
    let mut script = Command::new("script");
    script.args(["-qec", &words.join(" "), "/dev/null"]).env_clear();
    script.envs(ocibake.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    // A person types once asked; what comes earlier would be shown, or thrown away when the echo is switched off.
    for (question, line) in [("Username: ", "ada\n"), ("Password: ", "correct horse\n")] {
        while !shown.ends_with(question.as_bytes()) {
            let mut byte = [0];
            screen.read_exact(&mut byte).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&shown)));
            shown.push(byte[0]);
        }
        std::thread::sleep(std::time::Duration::from_millis(1000));
        keyboard.write_all(line.as_bytes()).unwrap();
    }
    screen.read_to_end(&mut shown).unwrap();
    let status = child.wait().unwrap();
    drop(keyboard);
    let text = String::from_utf8(shown).unwrap();
    assert!(status.success(), "{text}");
    assert!(text.contains("Username: ") && text.contains("Password: ") && text.contains("logged in"), "{text}");
    assert!(!text.contains("horse"), "{text}");
}

#[test]
fn logins_at_once_are_all_kept() {
    let program = Program::new();
    let path = program.docker_config().join("config.json");
    fs::write(&path, r#"{"zz": 1, "auths": {"other.example": {"auth": "eDp5"}}, "aa": {"z": [1.5, null], "a": "é"}}"#)
        .unwrap();
    let registries: Vec<FakeRegistry> = (0..16).map(|_| FakeRegistry::new()).collect();
    let addresses: Vec<String> = registries.iter().map(FakeRegistry::address).collect();
    let all_at_once = |arguments: &[&str]| {
        std::thread::scope(|scope| {
            for address in &addresses {
                let arguments = [arguments, &[address.as_str()]].concat();
                scope.spawn(|| feed(&program, &{ arguments }, PASSWORD).success());
            }
        });
    };
    all_at_once(&["login", "-u", "ada", "--password-stdin"]);
    let text = fs::read_to_string(&path).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    for address in addresses.iter().map(String::as_str).chain(["other.example"]) {
        assert!(config["auths"][address]["auth"].is_string(), "{address} is not in {text}");
    }
    let order = ["\"zz\"", "\"auths\"", "\"other.example\"", "\"aa\"", "\"z\"", "\"a\""];
    let places: Vec<usize> = order.iter().map(|key| text.find(key).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    all_at_once(&["logout"]);
    let config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let expected = json!({"zz": 1, "auths": {"other.example": {"auth": "eDp5"}}, "aa": {"z": [1.5, null], "a": "é"}});
    assert_eq!(config, expected);
}

#[test]
fn the_file_is_its_users_alone_and_a_link_to_it_stays_one() {
    let registry = FakeRegistry::new();
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("settings/docker");
    let program = Program::new().environment("DOCKER_CONFIG", &directory);
    let login = ["login", "-u", "ada", "--password-stdin", &registry.address()];
    feed(&program, &login, PASSWORD).success();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let path = directory.join("config.json");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing is left beside it");
    let kept = fs::read(&path).unwrap();
    // To a file that is there, and to one that is not, by way of another link.
    for target in ["there.json", "missing.json"] {
        fs::remove_file(&path).unwrap();
        symlink("link.json", &path).unwrap();
        let link = directory.join("link.json");
        let _ = fs::remove_file(&link);
        symlink(home.path().join(target), &link).unwrap();
        if target == "there.json" {
            fs::write(home.path().join(target), r#"{"b": 1}"#).unwrap();
        }
        feed(&program, &login, PASSWORD).success();
        assert!(path.is_symlink() && link.is_symlink());
        let config: Value = serde_json::from_slice(&fs::read(home.path().join(target)).unwrap()).unwrap();
        assert!(config["auths"][registry.address()]["auth"].is_string(), "{config}");
        assert_eq!(mode(&home.path().join(target)), 0o600);
    }
    assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap()["auths"].as_object().unwrap().len(), 1);
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let registry = FakeRegistry::new();
    let program = Program::new();
    let path = program.docker_config().join("config.json");
    let address = registry.address();
    mkfifo(&path);
    let login = ["login", "-u", "ada", "--password-stdin", &address];
    feed(&program, &login, PASSWORD).failure(1).says(&["config.json", "not a regular file"]);
    program.run(["logout", &address]).failure(1).says(&["config.json", "not a regular file"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    feed(&program, &login, PASSWORD).failure(1).says(&["config.json"]);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

fn mkfifo(path: &Path) {
    run("mkfifo", [path]);
}

fn registry() -> Option<DockerRegistry> {
    let there = ["docker-registry", "htpasswd"].into_iter().all(require);
    there.then(|| DockerRegistry::with_user("ada", PASSWORD))
}

fn feed(program: &Program, arguments: &[&str], input: &str) -> Outcome {
    let mut command = program.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that does not want it may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
