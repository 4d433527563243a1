//! The capabilities that a command has.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

/// What docker leaves to root.
pub(super) const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// What is left of it in a chroot: a second one leads out of the first, and nothing there keeps devices from being used.
pub(super) const IN_CHROOT: CapabilitySet =
    DEFAULT.difference(CapabilitySet::SYS_CHROOT).difference(CapabilitySet::MKNOD);

/// What this program needs itself to run a command in a chroot, with their names.
pub(super) const NEEDED_FOR_CHROOT: [(CapabilitySet, &str); 9] = [
    (CapabilitySet::CHOWN, "CAP_CHOWN"),
    (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
    (CapabilitySet::FOWNER, "CAP_FOWNER"),
    (CapabilitySet::KILL, "CAP_KILL"),
    (CapabilitySet::MKNOD, "CAP_MKNOD"),
    (CapabilitySet::SETGID, "CAP_SETGID"),
    (CapabilitySet::SETPCAP, "CAP_SETPCAP"),
    (CapabilitySet::SETUID, "CAP_SETUID"),
    (CapabilitySet::SYS_CHROOT, "CAP_SYS_CHROOT"),
];

/// Takes all capabilities but `kept` from what programs can ever get.
pub(super) fn bound(kept: CapabilitySet) -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            // The kernel has no more.
            Err(Errno::INVAL) => break,
            done => done?,
        }
    }
    Ok(())
}

/// Leaves `kept` to this process, and nothing for programs to inherit: what they have their bounds, their user and their
/// files say.
pub(super) fn set(kept: CapabilitySet) -> Result<(), Errno> {
    // A kernel from before ambient capabilities has none to clear.
    match clear_ambient_capability_set() {
        Err(Errno::INVAL) | Ok(()) => {}
        Err(errno) => return Err(errno),
    }
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)
}
