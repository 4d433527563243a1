//! Programs that do what shells do not: many threads, other machines' calls, attributes.

use std::path::Path;
use std::process::Command;

use super::{Everywhere, compiled};
use crate::support::layout::{Layout, tar_of};
use crate::support::listing::Listing;
use crate::support::tool::{checked, require};
use crate::support::tree::Tree;

/// Makes `program` of `single_id.go`, which is static.
fn compiled_by_go(everywhere: &Everywhere, architecture: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/run/single_id.go");
    let variables = [("CGO_ENABLED", "0"), ("GOARCH", architecture), ("GOFLAGS", "-mod=mod"), ("GO111MODULE", "off")];
    let program = everywhere.context.path().join("program");
    checked(Command::new("go").args(["build", "-o"]).arg(program).arg(source).envs(variables));
}

#[test]
fn threads_that_signals_interrupt_give_ten_thousand_files_away() {
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(|_| require("go")) else { return };
    for (architecture, files) in [("amd64", 10_000), ("386", 800)] {
        compiled_by_go(&everywhere, architecture);
        let each = files / 8;
        let told = everywhere.told(&format!(
            "COPY program /\nRUN /program many {files} > /told && ls /many | wc -l >> /told && \
             stat -c '%u:%g' /many/0-0 /many/7-{} >> /told && rm -r /many\n",
            each - 1
        ));
        assert_eq!(told, format!("ok\n{files}\n1:2\n{each}:9\n"), "{architecture}");
    }
}

/// Makes `/old` of two owners and tells what it is.
const OLD: &str = r#"
.globl _start
_start:
    mov $5, %eax; mov $path, %ebx; mov $0102, %ecx; mov $0640, %edx; int $0x80
    mov %eax, %esi
    mov $4, %eax; mov %esi, %ebx; mov $path, %ecx; mov $4, %edx; int $0x80
    mov $207, %eax; mov %esi, %ebx; mov $70000, %ecx; mov $70001, %edx; int $0x80
    test %eax, %eax; jnz failed
    mov $197, %eax; mov %esi, %ebx; mov $status, %ecx; int $0x80
    test %eax, %eax; jnz failed
    mov $1, %ebx
    cmpl $70000, status+24; jne exit
    cmpl $70001, status+28; jne exit
    mov $2, %ebx
    mov $213, %eax; push %ebx; mov $1000, %ebx; int $0x80; pop %ebx
    test %eax, %eax; jnz exit
    mov $201, %eax; int $0x80
    mov $3, %ebx
    cmp $1000, %eax; jne exit
    xor %ebx, %ebx
exit:
    mov $1, %eax; int $0x80
failed:
    mov $9, %ebx; jmp exit
.data
path: .asciz "/old"
.bss
status: .space 200
"#;

#[cfg(target_arch = "x86_64")]
#[test]
fn a_static_program_of_thirty_two_bits_is_told_what_all_others_are() {
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(|_| require("as") && require("ld")) else { return };
    let at = |name: &str| everywhere.context.path().join(name).display().to_string();
    std::fs::write(at("old.s"), OLD).unwrap();
    checked(Command::new("as").args(["--32", "-o", &at("old.o"), &at("old.s")]));
    checked(Command::new("ld").args(["-m", "elf_i386", "-static", "-o", &at("old"), &at("old.o")]));
    let told = everywhere.told(
        "COPY old /bin/\nRUN old; echo $? > /told; stat -c '%a %u:%g %s' /old >> /told; head -c4 /old >> /told\n",
    );
    assert_eq!(told, "0\n640 70000:70001 4\n/old");
}

#[test]
fn a_program_that_would_use_a_ring_does_without() {
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(compiled) else { return };
    let told = everywhere.told("COPY program /\nRUN /program ring > /told\n");
    assert_eq!(told, "ring: refused\nread: done\nroot\n");
}

#[test]
fn nothing_waits_for_the_disk() {
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(compiled) else { return };
    let told = everywhere.told("COPY program /\nRUN /program syncs > /told\n");
    assert_eq!(told, "fsync: done\nfdatasync: done\nsyncfs: done\n");
}

#[test]
fn programs_that_become_another_user_make_files_of_his() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let told = everywhere.told(
        "RUN mkdir -m 1777 /tmp && mkdir /own && chown app:more /own && chmod 2770 /own && \
         su app -c 'touch /tmp/f /own/f && mkdir /own/d && ln -s x /tmp/l && id > /tmp/id' && \
         stat -c '%n %A %u:%g' /tmp/* /own/* > /told && cat /tmp/id >> /told\n",
    );
    insta::assert_snapshot!(told, @r"
    /tmp/f -rw-r--r-- 1000:1001
    /tmp/id -rw-r--r-- 1000:1001
    /tmp/l lrwxrwxrwx 1000:1001
    /own/d drwxr-sr-x 1000:2000
    /own/f -rw-r--r-- 1000:2000
    uid=1000(app) gid=1001(app) groups=1001(app),2000(more)
    ");
}

#[test]
fn an_attribute_alone_makes_a_layer() {
    let Some(everywhere) = Everywhere::new(Tree::new().file("file", "1")).filter(compiled) else { return };
    everywhere.write("FROM base\nCOPY program file /\nRUN /program attribute /file\n");
    let before = Listing::of_directory(&everywhere.context.path().join("."));
    for within in everywhere.each() {
        let layout = format!("{}/layout/", within.program.home().display());
        within.build(&["-o", &layout]).success();
        let layer = Listing::of_tar(tar_of(Layout::open(&layout).images()[0].layers.last().unwrap()));
        let changed = &layer.0[&b"file"[..]];
        assert_eq!(changed.attributes, [("user.own".to_owned(), b"x".to_vec())].into(), "{}", within.isolation);
        assert_eq!(changed.kind, before.0[&b"file"[..]].kind, "{}", within.isolation);
        let others: Vec<_> = layer.0.keys().filter(|path| *path != b"file").collect();
        assert!(
            others.iter().all(|path| ["dev", "proc", "sys"].iter().any(|name| name.as_bytes() == **path)),
            "{others:?}"
        );
    }
}

#[test]
fn the_same_size_and_time_hide_no_change() {
    let Some(everywhere) = Everywhere::new(Tree::new().file("file", "1")) else { return };
    let told = everywhere.told(
        "COPY file /\nRUN touch -r /file /r && printf 2 > /file && touch -r /r /file && rm /r\nRUN cat /file > /told\n",
    );
    assert_eq!(told, "2");
}
