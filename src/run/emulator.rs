//! Emulators of other machines.

use std::os::fd::OwnedFd;

/// A program that runs those of another machine, such as qemu's; it is linked statically.
#[derive(Debug)]
pub struct Emulator {
    /// The machine whose programs it runs.
    pub machine: Machine,
    /// The program, opened for its path alone.
    pub program: OwnedFd,
}

/// How the programs of a machine begin (the ELF specification, "ELF Header").
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// 1 with 32 bits, 2 with 64.
    pub class: u8,
    /// 1 with the lowest byte first, 2 with the highest.
    pub order: u8,
    /// The number that it has there.
    pub number: u16,
}

/// The machines by docker's words for them.
const MACHINES: [(&str, Machine); 13] = [
    ("amd64", machine(2, 1, 62)),
    ("386", machine(1, 1, 3)),
    ("arm64", machine(2, 1, 183)),
    ("arm", machine(1, 1, 40)),
    ("ppc64le", machine(2, 1, 21)),
    ("ppc64", machine(2, 2, 21)),
    ("s390x", machine(2, 2, 22)),
    ("riscv64", machine(2, 1, 243)),
    ("loong64", machine(2, 1, 258)),
    ("mips64le", machine(2, 1, 8)),
    ("mips64", machine(2, 2, 8)),
    ("mipsle", machine(1, 1, 8)),
    ("mips", machine(1, 2, 8)),
];

const fn machine(class: u8, order: u8, number: u16) -> Machine {
    Machine { class, order, number }
}

/// Returns the words for the machines whose programs are known by their first bytes.
pub fn emulated_architectures() -> impl Iterator<Item = &'static str> {
    MACHINES.iter().map(|(name, _)| *name)
}

impl Emulator {
    /// Returns `program`, an open file, as the emulator for `architecture`; none for one that is not known.
    pub fn new(architecture: &str, program: OwnedFd) -> Option<Emulator> {
        let (_, machine) = MACHINES.iter().find(|(name, _)| *name == architecture)?;
        Some(Emulator { machine: *machine, program })
    }
}
