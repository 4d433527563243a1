//! Emulators of other machines, registered with the kernel for one sandbox alone (binfmt_misc in a user namespace).

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, read, write};
use rustix::mount::MountAttrFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use super::mounting::{make, open_new};
use super::operation::Operation;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::id_maps;
use crate::run::emulator::{Emulator, Machine};

impl Emulator {
    /// Returns what the kernel is told: the beginnings of programs, where it finds the emulator, and that it opens it at once
    /// (F), runs programs with their own rights (C, O) and passes them the name that they were called by (P).
    fn registration(&self) -> String {
        let Machine { class, order, number } = self.machine;
        let [number, kind, kind_mask] = match order {
            1 => [number.to_le_bytes(), [2, 0], [0xfe, 0xff]],
            _ => [number.to_be_bytes(), [0, 2], [0xff, 0xfe]],
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        // Two kinds are programs; the seventh byte tells of a system.
        let magic = [&[0x7f, b'E', b'L', b'F', class, order, 1, 0][..], &[0; 8], &kind, &number].concat();
        let mask = [&[0xff; 7][..], &[0], &[0xff; 8], &kind_mask, &[0xff; 2]].concat();
        let path = format!("/proc/self/fd/{}", self.program.as_raw_fd());
        format!(":emulator:M::{}:{}:{path}:POCF", hex(&magic), hex(&mask))
    }
}

/// The user namespace of a sandbox with an emulator, which is to have the same users as that of this program.
pub(super) struct UserNamespace {
    /// Written to once the users are told.
    ready: OwnedFd,
}

/// Returns the operation that registers `emulator`, and the user namespace that it needs.
pub(super) fn registering(emulator: &Emulator) -> Result<(Operation, UserNamespace)> {
    let failed = |source| Error::new(ErrorKind::Io, "cannot hand an emulator to a command").with_source(source);
    let (read, ready) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
    let program = emulator.program.try_clone().map_err(failed)?;
    let emulator = Emulator { machine: emulator.machine, program };
    let text = CString::new(emulator.registration()).map_err(|error| failed(error.into()))?;
    Ok((Operation::Emulate { program: emulator.program, text, ready: read }, UserNamespace { ready }))
}

impl UserNamespace {
    /// Gives the namespace of `process`, a descriptor that stands for its first process, the users and groups of this
    /// program's: each is in there whoever he is out here.
    pub(super) fn begin(&self, process: &OwnedFd) -> Result<()> {
        let failed = |source| Error::io("tell the users of", "a command's user namespace", source);
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).map_err(failed)?;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap_or_default().trim();
        for (name, own) in ["uid_map", "gid_map"].into_iter().zip(id_maps().map_err(failed)?) {
            let path = format!("/proc/{pid}/{name}");
            let written =
                File::options().write(true).open(path).and_then(|mut file| file.write_all(same(&own).as_bytes()));
            written.map_err(failed)?;
        }
        write(&self.ready, b"!").map(drop).map_err(|errno| failed(io::Error::from(errno)))
    }
}

/// The map of a namespace within that of the map `own` which has the same numbers.
fn same(own: &str) -> String {
    let line = |line: &str| {
        let mut numbers = line.split_ascii_whitespace();
        let (first, count) = (numbers.next()?, numbers.nth(1)?);
        Some(format!("{first} {first} {count}\n"))
    };
    own.lines().filter_map(line).collect()
}

/// Registers an emulator, as `text` says, in this process' user namespace, for as long as this process lives. Allocates
/// nothing.
pub(super) fn register(text: &CStr, ready: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut byte = [0];
    loop {
        match read(ready, &mut byte) {
            Err(Errno::INTR) => {}
            Ok(1) => break,
            Ok(_) => return Err(Errno::PIPE),
            Err(errno) => return Err(errno),
        }
    }
    let mount = make(&open_new(c"binfmt_misc")?, MountAttrFlags::empty())?;
    let register = openat(mount.as_fd(), c"register", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    write(&register, text.to_bytes())?;
    // What is registered goes with the last who has the file system.
    mem::forget(mount);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As qemu's `qemu-binfmt-conf.sh` has them.
    #[test]
    fn the_kernel_is_told_how_programs_begin() {
        let of = |architecture: &str| {
            let file = File::open("/dev/null").unwrap();
            let emulator = Emulator::new(architecture, file.into()).unwrap();
            let text = emulator.registration();
            text.split(':').skip(4).take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let zeros = "\\x00".repeat(8);
        let ones = "\\xff".repeat(8);
        assert_eq!(
            of("arm64"),
            [
                format!("\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00{zeros}\\x02\\x00\\xb7\\x00"),
                format!("\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00{ones}\\xfe\\xff\\xff\\xff"),
            ]
        );
        assert_eq!(
            of("s390x"),
            [
                format!("\\x7f\\x45\\x4c\\x46\\x02\\x02\\x01\\x00{zeros}\\x00\\x02\\x00\\x16"),
                format!("\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00{ones}\\xff\\xfe\\xff\\xff"),
            ]
        );
        assert!(Emulator::new("z80", File::open("/dev/null").unwrap().into()).is_none());
    }

    #[test]
    fn users_are_the_same_inside() {
        assert_eq!(same("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(same("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }
}
