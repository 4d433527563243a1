//! Platforms: an operating system and a processor by the names that Go has for them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Keyed, Keys, list, null_as_empty, optional_text};
use crate::error::{Error, Result, suggestion};

/// Operating systems and architectures by the Go names that the image-spec prescribes (config.md, `os` and
/// `architecture`).
const SYSTEMS: &[&str] = &[
    "linux",
    "windows",
    "darwin",
    "freebsd",
    "netbsd",
    "openbsd",
    "dragonfly",
    "solaris",
    "illumos",
    "aix",
    "android",
    "plan9",
    "wasip1",
    "js",
];
const ARCHITECTURES: &[&str] = &[
    "amd64", "arm64", "arm", "386", "riscv64", "ppc64le", "ppc64", "s390x", "loong64", "mips", "mipsle", "mips64",
    "mips64le", "wasm",
];

/// Far above what there is, so that a number in a name does not fill the memory.
const HIGHEST_VARIANT: u32 = 100;

/// The system and the processor that an image runs on, normalised as containerd does it: `linux/x86_64` is
/// `linux/amd64`, `linux/arm64/v8` is `linux/arm64`, `linux/arm` is `linux/arm/v7`.
///
/// The order is that of the printed form, so that platforms sort the way they read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// The processor as Go names it (`GOARCH`): `amd64`, `arm64`.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub architecture: String,
    /// The operating system as Go names it (`GOOS`): `linux`, `windows`.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub os: String,
    /// The variant of the processor, such as `v7`; none where the processor has only one, or nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_text")]
    pub variant: Option<String>,
    /// The version of the operating system that the image needs; only images for Windows have one.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "optional_text"
    )]
    pub os_version: Option<String>,
    /// The features of the operating system that the image needs, such as `win32k`.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub os_features: Vec<String>,
}

impl Keyed for Platform {
    const KEYS: Keys = Keys::Own(&[
        ("architecture", &Keys::Any),
        ("os", &Keys::Any),
        ("os.version", &Keys::Any),
        ("os.features", &Keys::Any),
        ("variant", &Keys::Any),
        ("features", &Keys::Any),
    ]);
}

impl Platform {
    /// Returns a platform without version and features of its operating system.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        Platform {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.map(str::to_owned),
            os_version: None,
            os_features: Vec::new(),
        }
    }

    /// Returns the platform that this program was compiled for; containers are always linux.
    pub fn host() -> Self {
        let (architecture, variant) = normalise(std::env::consts::ARCH, None);
        Platform::new("linux", &architecture, variant.as_deref())
    }

    /// Returns whether its layers and its paths are those of Windows.
    pub fn is_windows(&self) -> bool {
        self.os == "windows"
    }

    /// Returns the same with what it leaves out: `listed`, as the index lists it, says it in its stead, and else it is what
    /// all images were when they did not say, linux/amd64.
    pub fn completed(self, listed: Option<&Platform>) -> Platform {
        let or = |own: String, listed: Option<&String>, usual: &str| match own.is_empty() {
            true => listed.filter(|listed| !listed.is_empty()).cloned().unwrap_or_else(|| usual.to_owned()),
            false => own,
        };
        let variant = if self.architecture.is_empty() { listed.and_then(|it| it.variant.clone()) } else { None };
        Platform {
            os: or(self.os, listed.map(|it| &it.os), "linux"),
            architecture: or(self.architecture, listed.map(|it| &it.architecture), "amd64"),
            variant: self.variant.or(variant),
            ..self
        }
    }

    /// Reads what an index says of an image; none if that does not name an architecture, by which alone one can choose.
    pub(super) fn deserialize_stated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let platform: Option<Platform> = Option::deserialize(deserializer)?;
        let stated = platform.filter(|platform| !platform.architecture.is_empty());
        Ok(stated.map(|platform| platform.completed(None)))
    }

    /// Returns the same in the spelling that names have once they are read: what an image says of itself may be another.
    pub fn normalised(&self) -> Platform {
        let (architecture, variant) = normalise(&self.architecture, self.variant.as_deref());
        Platform { architecture, variant, ..self.clone() }
    }

    /// Returns what an image says of itself that was asked for this platform and stands on one for `base`: as BuildKit
    /// has it, the system and processor that were asked for; and the base's variant, version and features, where those
    /// are the base's and nothing else was asked for.
    pub fn standing_on(&self, base: &Platform) -> Platform {
        let (own, base) = (self.normalised(), base.normalised());
        if (&own.os, &own.architecture) != (&base.os, &base.architecture) {
            return own;
        }
        Platform {
            variant: own.variant.or(base.variant),
            os_version: own.os_version.or(base.os_version),
            os_features: if own.os_features.is_empty() { base.os_features } else { own.os_features },
            os: own.os,
            architecture: own.architecture,
        }
    }

    /// Returns how well an image for `other` does where this platform is wanted: 0 for the same, more for a lesser one that
    /// runs there too, none if it does not run. As containerd has it: arm takes lower variants, amd64 lower ones and then
    /// 386, arm64 then arm. `os.version` and `os.features` do not count.
    pub fn fit(&self, other: &Platform) -> Option<usize> {
        let same = |one: &Platform| {
            let (one, other) = (one.normalised(), other.normalised());
            (one.os, one.architecture, one.variant) == (other.os, other.architecture, other.variant)
        };
        self.lesser().iter().position(same)
    }

    /// This one, and those whose images run on it, the best first.
    fn lesser(&self) -> Vec<Platform> {
        let own = self.normalised();
        let of = |architecture: &str, variant: Option<String>| Platform::new(&own.os, architecture, variant.as_deref());
        let down = |architecture: &'static str, from: u32, to: u32| {
            (to..from).rev().map(move |version| of(architecture, Some(format!("v{version}"))))
        };
        let version = own.variant.as_deref().and_then(|variant| variant.strip_prefix('v')?.parse::<u32>().ok());
        let version = version.unwrap_or(0).min(HIGHEST_VARIANT);
        let mut all = vec![own.clone()];
        match own.architecture.as_str() {
            "amd64" => all.extend(down("amd64", version, 1).chain([of("386", None)])),
            "arm" => all.extend(down("arm", version, 5)),
            "arm64" => all.extend(down("arm64", version, 8).chain(down("arm", 9, 5))),
            _ => {}
        }
        all
    }

    /// Returns the target triple of compilers, with `libc` as its last part (`musl`, `gnu`); none where no such triple exists.
    pub fn triple(&self, libc: &str) -> Option<String> {
        if self.os != "linux" {
            return None;
        }
        let (processor, abi) = match (self.architecture.as_str(), self.variant.as_deref()) {
            ("amd64", _) => ("x86_64", ""),
            ("arm64", _) => ("aarch64", ""),
            ("arm", Some("v7")) => ("armv7", "eabihf"),
            ("arm", Some("v6")) => ("arm", "eabihf"),
            ("arm", Some("v5")) => ("armv5te", "eabi"),
            ("386", _) => ("i686", ""),
            ("riscv64", _) => ("riscv64gc", ""),
            ("ppc64le", _) => ("powerpc64le", ""),
            ("s390x", _) => ("s390x", ""),
            ("loong64", _) => ("loongarch64", ""),
            _ => return None,
        };
        Some(format!("{processor}-unknown-linux-{libc}{abi}"))
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// `os/arch[/variant]`, or an architecture alone, which means linux.
    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [architecture] if architecture != "linux" => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] if !variant.is_empty() => (os, architecture, Some(variant)),
            _ => {
                return Err(Error::input(format!("`{text}` is not a platform"))
                    .with_hint("a platform is `os/arch[/variant]`, as in linux/amd64 or linux/arm/v7"));
            }
        };
        let os = os.to_lowercase();
        let (architecture, variant) = normalise(architecture, variant);
        known("operating system", &os, SYSTEMS, text)?;
        known("architecture", &architecture, ARCHITECTURES, text)?;
        if let Some(variant) = &variant
            && !variant.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'.')
        {
            return Err(Error::input(format!("`{variant}` in the platform `{text}` is not a variant")));
        }
        Ok(Platform::new(&os, &architecture, variant.as_deref()))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if let Some(variant) = &self.variant {
            write!(f, "/{variant}")?;
        }
        Ok(())
    }
}

fn normalise(architecture: &str, variant: Option<&str>) -> (String, Option<String>) {
    let (architecture, variant) = (architecture.to_lowercase(), variant.map(str::to_lowercase));
    let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
        ("amd64" | "x86_64" | "x86-64", None | Some("v1")) => ("amd64", None),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("arm64" | "aarch64", None | Some("8" | "v8")) => ("arm64", None),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", None) | ("arm", None | Some("7")) => ("arm", Some("v7")),
        ("armel", None) | ("arm", Some("6")) => ("arm", Some("v6")),
        ("arm", Some("5")) => ("arm", Some("v5")),
        ("i386" | "i486" | "i586" | "i686" | "x86", variant) => ("386", variant),
        (other, variant) => (other, variant),
    };
    (architecture.to_owned(), variant.map(str::to_owned))
}

fn known(what: &str, word: &str, all: &[&str], platform: &str) -> Result<()> {
    if all.contains(&word) {
        return Ok(());
    }
    let error = Error::input(format!("unknown {what} `{word}` in the platform `{platform}`"));
    Err(match suggestion(word, all.iter().copied()) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint(format!("known ones are {}", all.join(", "))),
    })
}
