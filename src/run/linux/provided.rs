//! The files that a command finds in `/etc` and that do not belong to the image.

/// The name of the machine: the one that docker gives, so that what asks for it finds the same everywhere.
pub(super) const HOST_NAME: &str = "buildkitsandbox";

/// Returns `/etc/hosts` as docker writes it, with `more` names and addresses.
pub(super) fn hosts(more: &[(String, String)]) -> Vec<u8> {
    let mut text = format!("127.0.0.1\tlocalhost {HOST_NAME}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (name, address) in more {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_added_stand_below_the_machines_own() {
        let more = [("db".to_owned(), "10.0.0.7".to_owned()), ("six".to_owned(), "fd00::1".to_owned())];
        assert_eq!(
            String::from_utf8(hosts(&more)).unwrap(),
            "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.7\tdb\nfd00::1\tsix\n"
        );
    }
}
