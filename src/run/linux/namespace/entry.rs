//! The making of a user namespace by two processes: the new one leaves that of the other, which gives it its IDs.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, geteuid, set_parent_process_death_signal, waitpid};
use rustix::thread::{CapabilitySet, capabilities};

use super::subordinate::{self, IdKind};
use crate::error::Result;
use crate::run::linux::system::{self, exit};
use crate::run::passage::RungRefusal;
use crate::tree::{IdMap, IdRange};

/// The IDs of a namespace, by who may give them.
pub(super) enum NewMap {
    /// By this process: they are all that it has itself.
    Direct(IdMap),
    /// By newuidmap and newgidmap.
    Subordinate(IdMap),
    /// By this process: they are its own.
    Single(IdMap),
}

/// Which process it is once the namespace is there.
pub(super) enum Begun<T> {
    /// The new one, in the namespace, with what it has found there.
    Inner(T),
    /// The one that made it.
    Outer(Pid),
}

/// What the new process says when it has done a part of its work: `OK`, or else what failed, and after a null byte what to
/// change.
const OK: &[u8] = b"";

/// Makes a process that goes on in a new user namespace with `map`, if `look` has no error there; else there is none.
pub(super) fn begin<T>(map: &NewMap, look: &dyn Fn() -> Result<T>) -> Result<Begun<T>, RungRefusal> {
    let failed = |errno: Errno| RungRefusal::new(format!("cannot make a pipe: {errno}"));
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(failed);
    let (go_read, go_write) = pipe()?;
    let (said_read, said_write) = pipe()?;
    // SAFETY: nothing has begun a thread yet, so that the new process has all that this one has.
    match unsafe { system::fork() }.map_err(|errno| RungRefusal::new(format!("cannot make a process: {errno}")))? {
        None => {
            drop((go_write, said_read));
            Ok(Begun::Inner(become_root(File::from(go_read), File::from(said_write), look)))
        }
        Some(child) => {
            drop((go_read, said_write));
            lead(child, map, go_write, said_read).inspect_err(|_| {
                // Without a word it ends: the pipe is closed.
                let _ = waitpid(Some(child), WaitOptions::empty());
            })?;
            Ok(Begun::Outer(child))
        }
    }
}

/// The part of the process that stays outside.
fn lead(child: Pid, map: &NewMap, go: OwnedFd, said: OwnedFd) -> Result<(), RungRefusal> {
    let (mut go, mut said) = (File::from(go), File::from(said));
    heard(&mut said)?;
    give(child, map)?;
    let gone = |_| RungRefusal::new("the process in the user namespace was killed");
    go.write_all(&[1]).map_err(gone)?;
    heard(&mut said)
}

/// The part of the process that goes in: it comes back as root of the namespace, or not at all.
fn become_root<T>(mut go: File, mut said: File, look: &dyn Fn() -> Result<T>) -> T {
    let done = system::leave_user_namespace();
    say(&mut said, done.map_err(|errno| refused("make a user namespace", errno)));
    // Where the other one has given up, or has died, there is nothing to read.
    if go.read_exact(&mut [0]).is_err() {
        exit(0);
    }
    let work = || {
        // From here on it dies with the other one, which reads what is said next.
        let bound = set_parent_process_death_signal(Some(Signal::KILL));
        bound.map_err(|errno| refused("bind the process in the user namespace to this one", errno))?;
        let private = mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC);
        private.map_err(|errno| refused("make its mounts those of the user namespace", errno))?;
        look().map_err(|error| RungRefusal::of(&error))
    };
    let worked = work();
    say(&mut said, worked)
}

/// Says how it went, and returns what came of it. Does not come back if it went wrong, or nobody is there to hear it.
fn say<T>(said: &mut File, how: Result<T, RungRefusal>) -> T {
    let words = match &how {
        Ok(_) => OK.to_vec(),
        Err(RungRefusal { reason, hint, .. }) => {
            [reason.as_bytes(), b"\0", hint.as_deref().unwrap_or_default().as_bytes()].concat()
        }
    };
    let length = (words.len() as u32).to_ne_bytes();
    let is_heard = said.write_all(&[&length[..], &words].concat()).is_ok();
    match how {
        Ok(found) if is_heard => found,
        _ => exit(0),
    }
}

/// Waits for what the new process says.
fn heard(said: &mut File) -> Result<(), RungRefusal> {
    let mut read = || -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        said.read_exact(&mut length)?;
        let mut words = vec![0; u32::from_ne_bytes(length) as usize];
        said.read_exact(&mut words).map(|()| words)
    };
    let words = read().map_err(|_| RungRefusal::new("the process in the user namespace was killed"))?;
    if words == OK {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&words);
    let (reason, hint) = words.split_once('\0').unwrap_or((&words, ""));
    let refusal = RungRefusal::new(reason);
    Err(if hint.is_empty() { refusal } else { refusal.with_hint(hint) })
}

/// Gives the namespace of `child` its IDs.
fn give(child: Pid, map: &NewMap) -> Result<(), RungRefusal> {
    let place = format!("/proc/{}", child.as_raw_nonzero());
    let place = Path::new(&place);
    match map {
        NewMap::Subordinate(map) => {
            subordinate::write(IdKind::Users, child, &map.users)?;
            subordinate::write(IdKind::Groups, child, &map.groups)
        }
        NewMap::Direct(map) => write_both(place, map).map_err(explained),
        NewMap::Single(map) => {
            // Who may not set groups may give himself one alone. Those that the process has, it keeps.
            write(&place.join("setgroups"), "deny")?;
            write_both(place, map).map_err(explained)
        }
    }
}

/// Names what root lacks to be root of a namespace, too.
fn explained(refusal: RungRefusal) -> RungRefusal {
    let may = capabilities(None).is_ok_and(|own| own.effective.contains(CapabilitySet::SETFCAP));
    if may || !geteuid().is_root() {
        return refusal;
    }
    refusal.with_hint(
        "root needs CAP_SETFCAP for that: give it to the container, as docker does by default, or use \
        another user there",
    )
}

fn write_both(place: &Path, map: &IdMap) -> Result<(), RungRefusal> {
    let words = |ranges: &[IdRange]| ranges.iter().map(|range| range.words() + "\n").collect::<String>();
    write(&place.join("uid_map"), &words(&map.users))?;
    write(&place.join("gid_map"), &words(&map.groups))
}

/// The kernel takes a map in one piece.
fn write(path: &Path, words: &str) -> Result<(), RungRefusal> {
    fs::OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(words.as_bytes())).map_err(
        |error| {
            let name = path.file_name().unwrap_or_default().display();
            let errno = error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
            refused(&format!("write the {name} of a user namespace"), errno)
        },
    )
}

const APPARMOR: &str = "kernel.apparmor_restrict_unprivileged_userns";

/// Returns what it means that `step` failed with `errno`.
fn refused(step: &str, errno: Errno) -> RungRefusal {
    let refusal = RungRefusal::new(format!("cannot {step}: {}", io::Error::from(errno)));
    let setting = |name: &str| fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/")));
    let is = |name: &str, value: &str| setting(name).is_ok_and(|text| text.trim() == value);
    match errno {
        Errno::NOSPC => refusal.with_hint(
            "no more user namespaces may be made: raise the limit, as with `sudo sysctl user.max_user_namespaces=15000`, \
             here and, in a container, outside of it",
        ),
        // A filter may answer that, too.
        Errno::INVAL | Errno::NOSYS if !Path::new("/proc/self/ns/user").exists() => refusal.with_hint("the kernel has no user namespaces (CONFIG_USER_NS)"),
        Errno::PERM | Errno::ACCESS if is(APPARMOR, "1") => refusal.with_hint(format!(
            "AppArmor keeps programs without a profile from doing anything in a user namespace, as on Ubuntu since \
                24.04: `sudo sysctl {APPARMOR}=0`, or give the program a profile with the rule `userns,`"
        )),
        Errno::PERM | Errno::ACCESS if is("kernel.unprivileged_userns_clone", "0") => {
            refusal.with_hint("`sudo sysctl kernel.unprivileged_userns_clone=1` lets users make user namespaces")
        }
        Errno::PERM | Errno::ACCESS | Errno::NOSYS => refusal.with_hint(
            "a container's seccomp profile may be what refuses it: with docker, `--security-opt seccomp=unconfined`; or a \
             security module",
        ),
        _ => refusal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_heard_as_it_was_said() {
        for refusal in [RungRefusal::new("why"), RungRefusal::new("why").with_hint("what to do")] {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            let words = [refusal.reason.as_bytes(), b"\0", refusal.hint.as_deref().unwrap_or_default().as_bytes()];
            let words = words.concat();
            let message = [&(words.len() as u32).to_ne_bytes()[..], &words].concat();
            File::from(write).write_all(&message).unwrap();
            let mut said = File::from(read);
            assert_eq!(heard(&mut said), Err(refusal));
            assert!(heard(&mut said).unwrap_err().reason.contains("was killed"));
        }
    }
}
