//! What commands must not learn: files of the machine, credentials of registries, what other steps were given.

use std::fs;
use std::net::TcpListener;
use std::thread;

use super::{Bait, Everywhere};
use crate::support::program::Program;
use crate::support::tool::run;
use crate::support::tree::Tree;

/// What is looked for, in two parts, so that the command that looks does not have it.
const SECRET: [&str; 2] = ["hidden-", "5e1f0c"];

fn secret() -> String {
    SECRET.concat()
}

/// Whether it is anywhere that a command can read: in files, however they are reached, and in what processes have.
fn search(also: &[String]) -> String {
    let [first, second] = SECRET;
    let also = also.join(" ");
    format!(
        "word={first}; word=${{word}}{second}; found=0; \
         for way in '' /proc/[0-9]*/root /proc/[0-9]*/cwd/../../../../../..; do test -d \"$way/\" || continue; \
         for file in {also}; do cat \"$way$file\" 2>/dev/null | grep -q $word && found=1; done; done; \
         for process in /proc/[0-9]*; do \
         for fd in $process/fd/*; do test -f $fd && timeout 1 cat $fd 2>/dev/null | grep -q $word && found=2; done; \
         for name in environ cmdline maps mountinfo; do test -r $process/$name && cat $process/$name 2>/dev/null | grep -q $word && found=3; done; done; \
         grep -rs $word /dev/shm /etc /home /root /run /tmp /var | grep -q . && found=4; \
         find / -xdev -type f -size -100k ! -path '/proc/*' ! -path '/sys/*' -exec grep -l $word {{}} + 2>/dev/null | grep . && found=5; \
         echo $found"
    )
}

#[test]
fn files_of_the_machine_and_credentials_are_not_read() {
    let credentials = || {
        let program = Program::new().environment("REGISTRY_PASSWORD", secret());
        let config = format!("{{\"auths\":{{\"registry.example\":{{\"auth\":\"{}\"}}}}}}", secret());
        fs::write(program.docker_config().join("config.json"), config).unwrap();
        fs::write(program.home().join("netrc"), secret()).unwrap();
        program
    };
    let Some(everywhere) = Everywhere::with(Tree::new().file("left-out", secret()).file("taken", "1"), credentials)
    else {
        return;
    };
    let bait = Bait::new();
    fs::write(bait.path().join("file"), secret()).unwrap();
    fs::write(everywhere.context.path().join(".dockerignore"), "left-out\n").unwrap();
    let given = bait.path().join("given");
    fs::write(&given, secret()).unwrap();
    let mut also = vec![format!("{}/file", bait.path().display())];
    also.push(format!("{}/left-out", everywhere.context.path().display()));
    for program in &everywhere.programs {
        also.push(format!("{}/config.json", program.docker_config().display()));
        also.push(format!("{}/netrc", program.home().display()));
    }
    let script = search(&also);
    // A secret that the build knows, and that the step was not given; and the step before it was.
    let flag = format!("--secret=id=it,src={}", given.display());
    let steps = format!(
        "RUN --mount=type=secret,id=it grep -c {} /run/secrets/it > /told\n\
         RUN --mount=type=secret,id=it,env=IT test -n \"$IT\"\n\
         RUN --mount=type=bind,target=/context ls /context | grep -v Dockerfile >> /told; {script} >> /told\nUSER 1000\nRUN {script} > /tmp/told 2>/dev/null; true\n",
        SECRET[0]
    );
    let told = everywhere.told_by(&format!("FROM base\nRUN mkdir -m 1777 /tmp\n{steps}"), &[&flag]);
    assert_eq!(told, "1\nbusybox\ngroup\npasswd\ntaken\n0\n");
    for within in everywhere.each() {
        let root = within.root(&[&flag]);
        assert_eq!(fs::read_to_string(root.join("tmp/told")).unwrap(), "0\n", "{}", within.isolation);
        // Nor is it in what the build leaves.
        let left =
            std::process::Command::new("grep").args(["-rl", &secret()]).arg(within.program.store()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "{}", within.isolation);
    }
}

/// Lets commands wait for each other: who connects is held until as many are there as are waited for.
fn meeting(of: usize, rounds: usize) -> (u16, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let meeting = thread::spawn(move || {
        for _ in 0..rounds {
            let all: Vec<_> = (0..of).map(|_| listener.accept().unwrap().0).collect();
            drop(all);
        }
    });
    (port, meeting)
}

#[test]
fn what_another_step_was_given_is_not_found_while_it_runs() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let given = tempfile::NamedTempFile::new().unwrap();
    fs::write(given.path(), secret()).unwrap();
    let flag = format!("--secret=id=it,src={}", given.path().display());
    for within in everywhere.each() {
        let (port, met) = meeting(2, 2);
        let meet = format!("nc 127.0.0.1 {port} < /dev/null");
        let also: Vec<String> = ["unpacked", "tmp", "copies"]
            .iter()
            .map(|name| format!("{}/{name}/*/*/run/secrets/it", within.program.store().display()))
            .chain(["/run/secrets/it".to_owned()])
            .collect();
        everywhere.write(&format!(
            "FROM base AS one\n\
             RUN --mount=type=secret,id=it --mount=type=secret,id=it,env=IT sh -c \"test -n \\\"$IT\\\"; {meet}; {meet}; test -s /run/secrets/it; : $(cat /run/secrets/it)\"\n\
             FROM base AS two\nRUN {meet}; {} > /told; {meet}\n\
             FROM base\nCOPY --from=two /told /told\nCOPY --from=one /etc/group /one\n",
            search(&also)
        ));
        let told = within.told(&[&flag, "--jobs=2"]);
        assert_eq!(told, "0\n", "{}", within.isolation);
        met.join().unwrap();
        let left =
            run("sh", ["-c", "! grep -rl \"$1\" \"$2\"", "sh", &secret(), within.program.store().to_str().unwrap()]);
        assert_eq!(left, "", "{}", within.isolation);
    }
}
