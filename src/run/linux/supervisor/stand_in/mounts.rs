//! The mounts that a command is shown: its root, and what is served to it.

use std::os::unix::ffi::OsStrExt;

/// A line of `mountinfo` (proc(5)), as far as it is used.
struct MountLine<'a> {
    device: &'a [u8],
    root: &'a [u8],
    point: Vec<u8>,
    options: &'a [u8],
    system: &'a [u8],
    source: &'a [u8],
    own_options: &'a [u8],
}

/// Returns what `mounts` holds for a command whose root is the directory `root`, or `mountinfo` if it `is_long`, where this
/// program's own `mountinfo` is `all`.
pub(super) fn shown(all: &[u8], root: &[u8], is_long: bool) -> Vec<u8> {
    let lines: Vec<MountLine<'_>> = all.split(|byte| *byte == b'\n').filter_map(parse).collect();
    let mut shown: Vec<(Vec<u8>, &MountLine<'_>)> = Vec::new();
    // Later ones lie above earlier ones.
    let below = lines.iter().filter(|line| is_within(root, &line.point)).max_by_key(|line| line.point.len());
    shown.extend(below.map(|line| (b"/".to_vec(), line)));
    let is_served = |line: &&MountLine<'_>| {
        line.point == b"/proc" && line.system == b"proc"
            || line.point == b"/sys" && line.system == b"sysfs"
            || is_within(&line.point, b"/sys/fs/cgroup") && line.system.starts_with(b"cgroup")
    };
    shown.extend(lines.iter().filter(is_served).map(|line| (line.point.clone(), line)));
    let mut text = Vec::new();
    for (number, (point, line)) in shown.iter().enumerate() {
        let is_root = number == 0;
        let (root, own): (&[u8], &[u8]) = if is_root { (b"/", b"rw") } else { (line.root, line.own_options) };
        let options: &[u8] = if is_root { b"rw,relatime" } else { line.options };
        let point = escaped(point);
        let parts: Vec<&[u8]> = if is_long {
            let (id, parent) = (&*format!("{}", number + 1), if is_root { "0" } else { "1" });
            let parts = [id.as_bytes(), parent.as_bytes(), line.device, root, &point, options, b"-"];
            text.extend(parts.join(&b' '));
            text.push(b' ');
            vec![line.system, line.source, own]
        } else {
            vec![line.source, &point, line.system, options, b"0 0"]
        };
        text.extend(parts.join(&b' '));
        text.push(b'\n');
    }
    text
}

fn parse(line: &[u8]) -> Option<MountLine<'_>> {
    let mut fields = line.split(|byte| *byte == b' ').skip(2);
    let (device, root, point, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let (system, source, own_options) = (fields.next()?, fields.next()?, fields.next()?);
    Some(MountLine { device, root, point: unescaped(point), options, system, source, own_options })
}

fn is_within(path: &[u8], directory: &[u8]) -> bool {
    std::path::Path::new(std::ffi::OsStr::from_bytes(path)).starts_with(std::ffi::OsStr::from_bytes(directory))
}

/// Without the octal numbers that stand for characters which divide fields.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &after[3..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

fn escaped(text: &[u8]) -> Vec<u8> {
    let escaped = |byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        byte => vec![*byte],
    };
    text.iter().flat_map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[u8] = b"20 1 0:30 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/secret\n\
        21 20 0:31 / /proc rw,nosuid - proc proc rw\n\
        22 20 0:31 /sys /proc/sys ro,nosuid - proc proc rw\n\
        23 20 0:32 / /sys ro,nosuid - sysfs sysfs ro\n\
        24 23 0:33 /../x /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate\n\
        25 20 8:1 /vol /var/my\\040store rw - ext4 /dev/sda1 rw\n\
        26 20 8:2 / /home rw - ext4 /dev/sda2 rw\n";

    #[test]
    fn a_command_is_shown_its_root_and_what_is_served() {
        let text = |root: &[u8], is_long| String::from_utf8(shown(ALL, root, is_long)).unwrap();
        assert_eq!(
            text(b"/var/my store/root", false),
            "/dev/sda1 / ext4 rw,relatime 0 0\nproc /proc proc rw,nosuid 0 0\nsysfs /sys sysfs ro,nosuid 0 0\n\
            cgroup /sys/fs/cgroup cgroup2 ro 0 0\n"
        );
        assert_eq!(
            text(b"/var/other", true),
            "1 0 0:30 / / rw,relatime - overlay overlay rw\n2 1 0:31 / /proc rw,nosuid - proc proc rw\n\
            3 1 0:32 / /sys ro,nosuid - sysfs sysfs ro\n4 1 0:33 /../x /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate\n"
        );
    }

    #[test]
    fn names_are_written_as_they_were() {
        assert_eq!(unescaped(b"a\\040b\\134c\\9"), b"a b\\c\\9");
        assert_eq!(escaped(b"a b\\c"), b"a\\040b\\134c");
    }
}
