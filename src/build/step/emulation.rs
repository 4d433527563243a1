//! Commands for other platforms, which the kernel hands to an emulator where one is registered with it (binfmt_misc).

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::open_by_path;
use crate::oci::Platform;
use crate::plan::RunSettings;
use crate::run::Emulator;

/// Where the kernel lists the emulators.
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// Returns the emulator for commands of `platform`, of those that were given; none for this machine's own platform.
pub fn given(platform: &Platform, settings: &RunSettings) -> Result<Option<Emulator>> {
    let architecture = &platform.architecture;
    let Some(path) = settings.emulators.get(architecture) else { return Ok(None) };
    if *architecture == Platform::host().architecture {
        return Ok(None);
    }
    let program = open_by_path(CWD, path, OFlags::empty());
    let program = program.map_err(|errno| Error::io("open the emulator", path, errno.into()))?;
    Ok(Emulator::new(architecture, program))
}

/// Returns `error`, which is of a command that could not be started, with what it means for one of `platform`.
pub fn explained(error: Error, platform: &Platform, settings: &RunSettings) -> Error {
    let here = Platform::host();
    let cause = error.source.as_ref().and_then(|source| source.downcast_ref::<io::Error>());
    let errno = cause.and_then(Errno::from_io_error);
    if platform.architecture == here.architecture {
        return error;
    }
    let architecture = &platform.architecture;
    let registered = registered(platform);
    let failed = |why: String| {
        let message = format!("cannot run commands for {platform} on this machine, which is {here}: {why}");
        Error::new(ErrorKind::NotFound, message)
    };
    let given = settings.emulators.get(architecture).map(|path| Path::display(path));
    if let (Some(Errno::NOENT), Some(given)) = (errno, &given) {
        return failed(format!("cannot start the emulator {given} in the image"))
            .with_hint("it must be statically linked, like the one in the package qemu-user-static");
    }
    match (errno, registered) {
        (Some(Errno::NOEXEC), None) => failed("no emulator is registered with its kernel (binfmt_misc)".to_owned())
            .with_hint(format!(
                "install one: `apt install qemu-user-static`, or `docker run --privileged --rm tonistiigi/binfmt --install \
                {architecture}`; or give one: --emulator {architecture}=PATH; a stage that only makes files for others needs none: FROM --platform=$BUILDPLATFORM"
            )),
        (Some(Errno::NOEXEC), Some(Registered { name, is_enabled: false, .. })) => {
            failed(format!("its emulator {name} is switched off"))
                .with_hint(format!("switch it on, as root: echo 1 > {REGISTERED}/{name}"))
        }
        (Some(Errno::NOENT), Some(Registered { interpreter, is_fixed: false, .. })) => {
            failed(format!("its emulator {interpreter} is looked for in the image, which does not have it")).with_hint(format!(
                "register it with the flag F: `docker run --privileged --rm tonistiigi/binfmt --install {architecture}`"
            ))
        }
        _ => error,
    }
}

/// What the kernel says of an emulator that is registered with it.
#[derive(Debug, PartialEq, Eq)]
struct Registered {
    name: String,
    interpreter: String,
    is_enabled: bool,
    /// It was opened when it was registered, and is found whatever the root is.
    is_fixed: bool,
}

impl Registered {
    /// Reads what the kernel lists as `name`.
    fn read(name: &str, text: &str) -> Self {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        Registered {
            name: name.to_owned(),
            interpreter: field("interpreter").to_owned(),
            is_enabled: text.lines().next() == Some("enabled"),
            is_fixed: field("flags:").contains('F'),
        }
    }
}

/// The emulator that is registered for `platform` under the name that qemu's packages give it.
fn registered(platform: &Platform) -> Option<Registered> {
    let name = format!("qemu-{}", machine(platform));
    let text = fs::read_to_string(format!("{REGISTERED}/{name}")).ok()?;
    Some(Registered::read(&name, &text))
}

/// qemu's word for an architecture.
fn machine(platform: &Platform) -> &str {
    match platform.architecture.as_str() {
        "amd64" => "x86_64",
        "386" => "i386",
        "arm64" => "aarch64",
        "mips64le" => "mips64el",
        "mipsle" => "mipsel",
        "loong64" => "loongarch64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel writes it (fs/binfmt_misc.c, `entry_status`).
    #[test]
    fn what_the_kernel_lists_is_read() {
        let text = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\nmagic 7f454c46\n";
        let emulator = Registered::read("qemu-aarch64", text);
        assert_eq!(emulator.interpreter, "/usr/bin/qemu-aarch64-static");
        assert!(emulator.is_enabled && emulator.is_fixed);
        let emulator = Registered::read("qemu-arm", "disabled\ninterpreter /usr/bin/qemu-arm\nflags: \noffset 0\n");
        assert!(!emulator.is_enabled && !emulator.is_fixed);
    }

    #[test]
    fn other_errors_and_this_machines_stay_as_they_are() {
        let error = |errno: Errno| Error::input("x").with_source(io::Error::from(errno));
        let of = |errno, platform: &str| {
            explained(error(errno), &platform.parse().unwrap(), &RunSettings::default()).message
        };
        assert_eq!(of(Errno::NOEXEC, &Platform::host().to_string()), "x");
        assert_eq!(of(Errno::ACCESS, "linux/s390x"), "x");
        assert_eq!(explained(Error::input("x"), &"linux/s390x".parse().unwrap(), &RunSettings::default()).message, "x");
    }
}
