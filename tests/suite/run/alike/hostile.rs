//! Commands and images that mean ill: their links lead out of the root, and they reach for what is not theirs.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};

use super::{Bait, Everywhere, compiled};
use crate::support::handmade::{Handmade, symlink};
use crate::support::tree::Tree;

#[test]
fn a_path_of_a_mount_that_a_command_moves_away_is_not_followed() {
    let Some(everywhere) = Everywhere::new(Tree::new().file("source/file", "1")) else { return };
    let bait = Bait::new();
    let before = bait.state();
    let mounts = [
        "type=tmpfs",
        "type=cache",
        "type=bind,source=source",
        "type=bind,source=source/file",
        "type=secret,id=it,required=true",
        "type=ssh,required=false",
    ];
    let runs: String = mounts
        .iter()
        .map(|mount| {
            format!(
                "RUN --mount={mount},target=/made/deep/target mv /made /moved; rm -rf /made; ln -s {} /made\nRUN rm -r /made /moved || true\n",
                bait.path().display()
            )
        })
        .collect();
    let secret = bait.path().join("file");
    let secret = format!("id=it,src={}", secret.display());
    let told = everywhere.told_by(&format!("FROM base\n{runs}RUN ls / > /told\n"), &["--secret", &secret]);
    assert_eq!(told, "bin\ndev\netc\nproc\nsys\ntold\n");
    assert_eq!(bait.state(), before);
}

#[test]
fn working_directories_by_descriptors_lead_nowhere() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let bait = Bait::new();
    let up = "../".repeat(20);
    let find = format!("for up in . {up} {up}..; do ls $up{} && echo found; done; true", bait.path().display());
    let all = (3..11).map(|number| format!("/proc/self/fd/{number}"));
    for directory in all.chain(["/proc/1/fd/5".to_owned(), "/proc/1/root".to_owned()]) {
        everywhere.write(&format!("FROM base\nWORKDIR {directory}\nRUN {find}\n"));
        for within in everywhere.each() {
            let outcome = within.build(&["--progress=plain"]);
            let is_found = outcome.stderr.lines().any(|line| line.ends_with(" found"));
            assert!(!is_found, "{}: {directory}: {}", within.isolation, outcome.stderr);
        }
    }
}

#[test]
fn nothing_of_ours_is_open_in_a_command() {
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(compiled) else { return };
    let steps = "COPY program /\nRUN /program descriptors > /told && echo ended >> /told\n";
    assert_eq!(everywhere.told(steps), "ended\n");
}

#[test]
fn links_in_place_of_devices_files_and_directories_of_the_system_lead_nowhere() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let bait = Bait::new();
    let before = bait.state();
    let at = |name: &str| bait.path().join(name).display().to_string();
    let links = [
        ("dev/null", at("null")),
        ("dev/pts", at("")),
        ("dev/shm", at("shm")),
        ("dev/console", at("file")),
        ("dev/mqueue", at("shm")),
        ("dev/fd", at("deep")),
        ("etc/resolv.conf", at("resolv.conf")),
        ("etc/hosts", format!("../../../../../..{}", at("file"))),
        ("etc/hostname", at("file")),
    ];
    let entries: Vec<_> = links.iter().map(|(path, target)| symlink(path, target)).collect();
    let base = Handmade::of(&[&entries]);
    let named = format!("evil=oci-layout://{}", base.path().display());
    let nodes = || crate::support::tool::run("stat", ["-c", "%A %u:%g", "/dev/null", "/dev/zero"]);
    let machines = nodes();
    let stages = "FROM evil\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
                  RUN echo gone > /dev/null; echo x > /dev/shm/x; echo more >> /etc/hosts; echo more >> /etc/resolv.conf; \
                  test -c /dev/null && test ! -s /dev/null && echo device > /told; chmod 700 /dev/shm /dev/null /dev/zero; \
                  grep -rs bait-7c1e /dev/shm /dev/mqueue /etc >> /told; ls /dev/pts/ /dev/fd/ | grep target >> /told; true\n";
    assert_eq!(everywhere.told_by(stages, &["--build-context", &named]), "device\n");
    assert_eq!(nodes(), machines);
    assert_eq!(bait.state(), before);
}

#[test]
fn users_and_working_directories_are_looked_up_in_the_image_alone() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let bait = Bait::new();
    let before = bait.state();
    let passwd = bait.path().join("passwd").display().to_string();
    std::fs::write(bait.path().join("passwd"), "of-the-machine:x:77:77::/:/bin/sh\n").unwrap();
    let after = bait.state();
    assert_ne!(before, after);
    for evil in [
        format!("ln -sf ../../../../../..{passwd} /etc/passwd"),
        format!("rm -r /etc; ln -s {} /etc", bait.path().display()),
        "rm /etc/passwd; mkfifo /etc/passwd".to_owned(),
        "ln -sf passwd /etc/passwd".to_owned(),
        "ln -sf /proc/self/environ /etc/passwd; ln -sf /dev/zero /etc/group".to_owned(),
    ] {
        everywhere.write(&format!("FROM base\nRUN {evil}\nUSER of-the-machine\nRUN id\n"));
        for within in everywhere.each() {
            let outcome = within.build(&[]).failure(1);
            let says = ["of-the-machine", "the way to /etc/passwd leads through too many links"];
            assert!(says.iter().any(|words| outcome.stderr.contains(words)), "{evil}: {}", outcome.stderr);
            assert!(!outcome.stderr.contains("uid="), "{}: {evil}: {}", within.isolation, outcome.stderr);
        }
    }
    // By its number, whatever stands there.
    let fifo = "RUN rm /etc/passwd /etc/group && mkfifo /etc/passwd /etc/group && mkdir -m 777 /free && ln -s /free /link\n\
                WORKDIR /link/work\nUSER 77:78\nRUN pwd -P > /free/told; stat -c %u:%g /free/told >> /free/told\nUSER 0\nRUN cp /free/told /told\n";
    assert_eq!(everywhere.told(fifo), "/free/work\n77:78\n");
    let away = format!("RUN ln -s {} /away\nWORKDIR /away/work\nRUN pwd -P > /told\n", bait.path().display());
    assert_eq!(everywhere.told(&away), format!("{}/work\n", bait.path().display()));
    assert_eq!(bait.state(), after);
}

#[test]
fn nothing_that_leads_out_is_granted() {
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(compiled) else { return };
    let told = everywhere.told("COPY program /\nRUN mkdir /tmp && /program outside > /told && rm -r /tmp\n");
    assert!(told.lines().count() == 18 && told.lines().all(|line| line.ends_with(": refused")), "{told}");
    // Nor by the files that programs for it would use.
    let told = everywhere.told(
        "RUN for path in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper /sys/power/state; do \
         test -e $path && (echo x > $path) 2>/dev/null && echo $path; done > /told; mkdir /root/jail && cp /bin/busybox /root/jail/ && cd / && \
         (chroot /root/jail /busybox cat ../../../../../../../../../../etc/os-release 2>/dev/null || true) >> /told; true\n",
    );
    assert_eq!(told, "");
}

#[test]
fn no_other_process_is_looked_into_or_killed() {
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(compiled) else { return };
    let mut other = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    let steps = format!(
        "COPY program /\nRUN /program reach > /told\nRUN /program kill {} >> /told; /program kill {} >> /told\n\
         RUN sleep 600 & kill -9 1; kill -TERM 1; kill -9 -1; wait; echo on >> /told\nUSER 1000\n\
         RUN sleep 600 & kill -9 -1; wait\n",
        other.id(),
        std::process::id()
    );
    let told = std::panic::catch_unwind(|| everywhere.told(&steps));
    let is_alive = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(is_alive);
    assert_eq!(told.unwrap(), "reached: 0\nkill: refused\nkill: refused\non\n");
}

#[test]
fn abstract_sockets_of_others_are_out_of_reach() {
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(compiled) else { return };
    let name = format!("ocibake-alike-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let told = everywhere.told(&format!("COPY program /\nRUN /program abstract {name} > /told\n"));
    assert_eq!(told, "its own: done\nof another: refused\n");
}

#[test]
fn a_command_without_restrictions_is_asked_for_by_whoever_builds_alone() {
    use crate::support::tool::run;
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let base = tempfile::tempdir().unwrap();
    everywhere.write("FROM base\nONBUILD RUN --security=insecure mkdir /mounted && mount -t tmpfs none /mounted && umount /mounted\n");
    let layout = format!("{}/layout/", base.path().display());
    let first = everywhere.each().next().unwrap();
    first.build(&["-o", &layout]).success();
    let named = format!("--build-context=brought=oci-layout://{}", layout.trim_end_matches('/'));
    run("test", ["-e", &format!("{layout}index.json")]);
    everywhere.write("FROM brought\nRUN echo > /last\n");
    for within in everywhere.each() {
        within.build(&[&named]).failure(1).says(&["security.insecure"]);
        let allowed = within.build(&[&named, "--allow=security.insecure"]);
        match within.isolation {
            "chroot" => drop(allowed.failure(1).says(&["without restrictions"])),
            _ => drop(allowed.success()),
        }
    }
}
