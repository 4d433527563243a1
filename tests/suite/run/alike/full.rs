//! A disk that is full: the step fails and says so, and once there is room the build is right.

use super::Everywhere;
use crate::support::program::Program;
use crate::support::small_disk::SmallDisk;
use crate::support::traces::assert_store_is_sound;
use crate::support::tree::Tree;

#[test]
fn a_full_disk_ends_the_step_and_leaves_a_store_that_works() {
    let disks: Vec<SmallDisk> = (0..3).filter_map(|_| SmallDisk::mount("size=24m")).collect();
    if disks.len() < 3 {
        return;
    }
    let number = std::cell::Cell::new(0);
    let on_disk = || Program::new().environment("OCIBAKE_STORE", disks[number.replace(number.get() + 1)].path());
    let Some(everywhere) = Everywhere::with(Tree::new(), on_disk) else { return };
    let steps = |size: usize| {
        format!(
            "FROM base\nRUN echo begun > /begun\nRUN dd if=/dev/zero of=/big bs=1M count={size} && echo filled > /told\n"
        )
    };
    for (within, disk) in everywhere.each().zip(&disks) {
        everywhere.write(&steps(99));
        let outcome = within.build(&[]).failure(1);
        assert!(outcome.stderr.contains("No space left on device"), "{}: {}", within.isolation, outcome.stderr);
        assert_store_is_sound(disk.path());
        disk.limit("size=99m");
    }
    assert_eq!(everywhere.told_by(&steps(20), &[]), "filled\n");
    for (within, disk) in everywhere.each().zip(&disks) {
        assert_store_is_sound(disk.path());
        let left = crate::support::tool::run(
            "find",
            [disk.path().as_os_str(), "-name".as_ref(), "big".as_ref(), "-size".as_ref(), "+90M".as_ref()],
        );
        assert_eq!(left, "", "{}", within.isolation);
    }
}
