//! Paths as Dockerfiles for Windows write them, read as BuildKit reads them (its `system.NormalizePath`).

use crate::error::{Error, Result};
use crate::tree::pattern::from_root;

/// The shell of commands in shell form unless `SHELL` says otherwise.
pub const SHELL: [&str; 3] = ["cmd", "/S", "/C"];

/// The working directory of an image of nothing.
pub const ROOT: &str = "\\";

/// Returns the drive that `path` names, as it is written, and the rest with `/` between its parts. Fails for any drive
/// but C:, for C: alone, and for the path of a network.
pub fn split(path: &str) -> Result<(&str, String)> {
    let refuse = |what: &str| {
        Err(Error::input(format!("the path `{path}` {what}"))
            .with_hint(r"a path in an image for Windows is like C:\app, \app or app"))
    };
    let (drive, rest) = match path.find(':') {
        Some(colon) => path.split_at(colon + 1),
        None => ("", path),
    };
    let rest = rest.replace('\\', "/");
    match drive {
        _ if drive.is_empty() && rest.starts_with("//") => refuse("is a network path"),
        "" => Ok((drive, rest)),
        "c:" | "C:" if rest.is_empty() => refuse("is a drive, not a directory on it"),
        "c:" | "C:" => Ok((drive, rest)),
        _ => refuse("is not on the drive C:"),
    }
}

/// Returns the directory that `WORKDIR` of `path` makes of the working directory `from`: with `\` between its parts,
/// and a drive where one is written. Fails where [`split`] does.
pub fn workdir(from: &str, path: &str) -> Result<String> {
    let ((old, from), (drive, path)) = (split(from)?, split(path)?);
    let is_whole = path.starts_with('/');
    let all = if is_whole { from_root(&path) } else { from_root(&format!("{from}/{path}")) };
    let drive = if drive.is_empty() && !is_whole { old } else { drive };
    Ok(format!("{drive}\\{}", all.replace('/', "\\")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_directories_follow_one_another() {
        for (from, path, expected) in [
            ("\\", r"C:\app", r"C:\app"),
            ("\\", "app", r"\app"),
            (r"C:\app", "sub/dir", r"C:\app\sub\dir"),
            (r"C:\app", r"..\other\", r"C:\other"),
            (r"C:\app", "/srv", r"\srv"),
            (r"\app", "c:sub", r"c:\app\sub"),
            ("", ".", "\\"),
        ] {
            assert_eq!(workdir(from, path).unwrap(), expected, "{path} in {from}");
        }
    }

    #[test]
    fn what_no_image_has_is_refused() {
        for path in ["C:", "c:", r"D:\app", "d:x", r"\\server\share", "//server/share", "ab:c"] {
            assert!(split(path).is_err(), "{path}");
        }
    }
}
