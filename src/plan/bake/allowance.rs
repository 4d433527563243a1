//! `--allow`: what a build may do beyond the usual.

use std::collections::BTreeSet;

use super::entry::fields;
use crate::error::{Error, Result, suggestion};

/// What is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Commands may use the network of this machine.
    pub network_host: bool,
    /// Commands may do anything.
    pub security_insecure: bool,
    /// Commands may use the usual SSH agent.
    pub ssh: bool,
    /// Local outputs may remove what they did not write.
    pub local_delete: bool,
    /// The devices that commands may use.
    pub devices: AllowedDevices,
    /// The paths that may be read, and all below them; `*` is everything.
    pub read: Vec<String>,
    /// The paths that may be written, and all below them; `*` is everything.
    pub write: Vec<String>,
    /// The names that images may be pushed under.
    pub push: Vec<String>,
    /// The names that images may be loaded under.
    pub load: Vec<String>,
}

/// Which devices commands may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedDevices {
    /// All.
    All,
    /// These.
    Some(BTreeSet<String>),
}

impl Default for AllowedDevices {
    fn default() -> Self {
        AllowedDevices::Some(BTreeSet::new())
    }
}

/// The words of `--allow`.
const WORDS: [&str; 11] = [
    "network.host",
    "security.insecure",
    "ssh",
    "buildx.local.delete",
    "device",
    "fs",
    "fs.read",
    "fs.write",
    "image",
    "image.push",
    "image.load",
];

impl Allowances {
    /// Reads the values of the flag.
    pub fn read(texts: &[String]) -> Result<Allowances> {
        let mut allowances = Allowances::default();
        for text in texts {
            allowances.add(text)?;
        }
        Ok(allowances)
    }

    fn add(&mut self, text: &str) -> Result<()> {
        let (word, value) = text.split_once('=').unwrap_or((text, ""));
        let value = value.to_owned();
        match word {
            "network.host" | "security.insecure" if text == word => self.grant(word),
            "ssh" if text == word => self.ssh = true,
            "buildx.local.delete" if text == word => self.local_delete = true,
            "device" if value.is_empty() => self.devices = AllowedDevices::All,
            "device" => {
                let name = fields(&value)?.into_iter().next().unwrap_or_default();
                if let AllowedDevices::Some(devices) = &mut self.devices {
                    devices.insert(name);
                }
            }
            "fs.read" => self.read.push(value),
            "fs.write" => self.write.push(value),
            "fs" => {
                self.read.push(value.clone());
                self.write.push(value);
            }
            "image.push" => self.push.push(value),
            "image.load" => self.load.push(value),
            "image" => {
                self.push.push(value.clone());
                self.load.push(value);
            }
            _ => {
                let error = Error::usage(format!("--allow {text}: there is nothing of this name to allow"));
                return Err(match suggestion(word, WORDS) {
                    Some(near) if near != word => error.with_hint(format!("did you mean `{near}`?")),
                    _ => error.with_hint(format!("known ones are {}", WORDS.join(", "))),
                });
            }
        }
        Ok(())
    }

    /// Allows an entitlement that the command line itself has asked for.
    pub(super) fn grant(&mut self, entitlement: &str) {
        match entitlement {
            "network.host" => self.network_host = true,
            "security.insecure" => self.security_insecure = true,
            _ => {}
        }
    }

    /// Allows files to be read that the command line itself has named.
    pub(super) fn read_files<'a>(&mut self, paths: impl IntoIterator<Item = &'a str>) {
        self.read.extend(paths.into_iter().filter(|path| !path.is_empty()).map(str::to_owned));
    }

    /// Allows files to be written that the command line itself has named.
    pub(super) fn write_files<'a>(&mut self, paths: impl IntoIterator<Item = &'a str>) {
        self.write.extend(paths.into_iter().filter(|path| !path.is_empty()).map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_allows_what_it_says() {
        let read = |texts: &[&str]| Allowances::read(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let allowed = read(&["network.host", "fs=/a", "fs.read=*", "device=x,y", "ssh", "image.push=r"]).unwrap();
        assert!(allowed.network_host && allowed.ssh && !allowed.security_insecure);
        assert_eq!((allowed.read, allowed.write), (vec!["/a".to_owned(), "*".to_owned()], vec!["/a".to_owned()]));
        assert_eq!(allowed.devices, AllowedDevices::Some(BTreeSet::from(["x".to_owned()])));
        assert_eq!(allowed.push, ["r"]);
        assert_eq!(read(&["device", "device=x"]).unwrap().devices, AllowedDevices::All);
        for text in ["network", "ssh=default", "fs.reed=a", ""] {
            assert!(read(&[text]).is_err(), "{text}");
        }
    }
}
