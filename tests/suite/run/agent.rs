//! `--mount=type=ssh`: the user's SSH agent, for the user of the command.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::dockerfile::Bench;
use crate::support::tool::{require, run};
use crate::support::tree::Tree;

/// Sends a message of each type that its arguments name, and tells the types of the answers.
const CLIENT: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int count, char **arguments) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, getenv("SSH_AUTH_SOCK"), sizeof address.sun_path - 1);
    int agent = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(agent, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        return 1;
    }
    for (int at = 1; at < count; at++) {
        // A byte behind the type that nobody minds.
        unsigned char request[6] = {0, 0, 0, 2, atoi(arguments[at]), 77}, answer[5];
        if (write(agent, request, 6) != 6 || read(agent, answer, 5) != 5) return 2;
        int rest = answer[2] * 256 + answer[3] - 1;
        for (; rest > 0; rest--) read(agent, request, 1);
        printf("%d ", answer[4]);
    }
    return 0;
}
"#;

/// An agent that answers each message with one of the next type and four bytes more. Returns the types that it is asked for.
fn agent(path: &Path) -> Arc<Mutex<Vec<u8>>> {
    let (listener, asked) = (UnixListener::bind(path).unwrap(), Arc::new(Mutex::new(Vec::new())));
    let noted = asked.clone();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut request = [0; 6];
            while client.read_exact(&mut request).is_ok() {
                assert_eq!((&request[..4], request[5]), (&[0, 0, 0, 2][..], 77));
                noted.lock().unwrap().push(request[4]);
                client.write_all(&[0, 0, 0, 5, request[4] + 1, 0, 0, 0, 0]).unwrap();
            }
        }
    });
    asked
}

fn bench() -> Option<Bench> {
    let bench = Bench::new(Tree::new())?;
    if !require("gcc") {
        return None;
    }
    let source = bench.path("client.c");
    fs::write(&source, CLIENT).unwrap();
    let to = bench.context.path().join("client");
    run("gcc", ["-w".as_ref(), "-static".as_ref(), "-o".as_ref(), to.as_os_str(), source.as_os_str()]);
    Some(bench)
}

#[test]
fn the_socket_is_whose_the_mount_says_and_only_signs() {
    let Some(bench) = bench() else { return };
    let asked = agent(&bench.path("agent"));
    let steps = "COPY client /bin/\nRUN mkdir -m 777 /free\nUSER 1000:1001\n\
                 RUN --mount=type=ssh,uid=1000,gid=1001,mode=0640 \
                 { client 11 13 17 18 19 22 27 11; client 13; stat -c '%F %a %u:%g' $SSH_AUTH_SOCK; } > /free/told\n";
    bench.build(steps, &["--ssh=default=agent", "-o", "type=local,dest=root"]).success();
    let told = fs::read_to_string(bench.path("root/free/told")).unwrap();
    assert_eq!(told, "12 14 5 5 5 5 5 12 14 socket 640 1000:1001\n");
    // Nothing else has come to the agent.
    assert_eq!(*asked.lock().unwrap(), [11, 13, 11, 13]);
}

#[test]
fn others_than_its_owner_cannot_connect() {
    let Some(bench) = bench() else { return };
    let asked = agent(&bench.path("agent"));
    let steps = "COPY client /bin/\nUSER 1000\nRUN --mount=type=ssh client 11\n";
    let outcome = bench.build(steps, &["--ssh=default=agent"]).failure(1);
    outcome.says(&["connect: Permission denied", "ended with exit code 1"]);
    assert!(asked.lock().unwrap().is_empty());
    let steps = "COPY client /bin/\nRUN --mount=type=ssh client 11 && client 11\n";
    bench.build(steps, &["--ssh=default=agent"]).success();
    assert_eq!(*asked.lock().unwrap(), [11, 11]);
}

#[test]
fn keys_are_given_by_an_agent_of_the_builds_own() {
    let Some(bench) = bench() else { return };
    if !require("ssh-keygen") || !require("ssh-agent") {
        return;
    }
    let key = bench.path("key");
    run("ssh-keygen", ["-q".as_ref(), "-N".as_ref(), "".as_ref(), "-f".as_ref(), key.as_os_str()]);
    // 12 is what an agent answers to who asks for its keys.
    let steps = "COPY client /bin/\nRUN --mount=type=ssh,id=work client 11 > /told\n";
    let root = bench.path("root");
    bench.build(steps, &["--ssh=work=key", "-o", "type=local,dest=root"]).success();
    assert_eq!(fs::read_to_string(root.join("told")).unwrap(), "12 ");
    let found = std::process::Command::new("grep").args(["-rl", "PRIVATE KEY"]).arg(bench.program.store()).output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "", "the store has the key");
    // With the build the agent has ended.
    let key = key.to_str().unwrap().as_bytes();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    assert!(!lines.into_iter().any(|line| line.windows(key.len()).any(|part| part == key)));
    fs::write(bench.path("none"), "no key\n").unwrap();
    let outcome = bench.build(steps, &["--ssh=work=none"]).failure(1);
    outcome.says(&["--ssh: the keys of `work` cannot be added to an agent", "none"]);
}
