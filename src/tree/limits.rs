//! What the layers of an image, archives and steps may ask of the machine that reads them.

use std::sync::atomic::AtomicU64;

use crate::error::{Error, Result};
use crate::sync::take;

/// How much all layers of an image may hold together, or an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of the tars, in bytes.
    pub size: u64,
    /// The number of entries in all tars.
    pub entries: u64,
    /// The length of paths, links and extended attributes, in bytes: what is kept in memory of an entry grows with
    /// them.
    pub text: u64,
}

/// Layers of programs and data unpack to some 2 to 5 times their size, logs to 20; a hundred times as much is
/// a bomb, or a file full of zeros.
const RATIO: u64 = 100;

/// A size below this is not a bomb's, however well it was compressed: a disk image with nothing on it, for one.
const FLOOR: u64 = 4 << 30;

/// The largest images have some hundred thousand files. At most 700 bytes of memory are taken for one.
pub const ENTRIES: u64 = 2_000_000;

/// Two million paths of the usual 60 bytes, and as much again.
pub const TEXT: u64 = 256 << 20;

/// The hint where a limit is exceeded that nothing honest comes near.
pub const BOMB: &str = "hardly anything real has as much; it may be a bomb";

impl Limits {
    /// Returns those of all that the steps of a build change, which is kept in memory until the layers are written: as much
    /// as the largest image may have. Steps that stages share count once; what the files hold is on disk, and not counted.
    pub fn of_build() -> Self {
        Limits { size: u64::MAX, entries: ENTRIES, text: TEXT }
    }

    /// Returns those of an archive that has `size` bytes as it is, compressed: 4 GiB or 100 times as much.
    pub fn of_archive(size: u64) -> Self {
        Limits { size: size.saturating_mul(RATIO).max(FLOOR), entries: ENTRIES, text: TEXT }
    }
}

/// The rest of the limits while layers, archives or steps are read, all of them side by side.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    whole: Whole,
    size: AtomicU64,
    entries: AtomicU64,
    text: AtomicU64,
}

/// The thing that the limits are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// All layers of an image.
    Image,
    /// One whose content is unpacked.
    Archive,
    /// One of images, whose layers are digested.
    Layers,
    /// All that the steps of a build change.
    Build,
}

impl Budget {
    /// Returns a budget of which nothing is spent yet; `whole` names it in errors.
    pub fn new(limits: Limits, whole: Whole) -> Self {
        Budget { limits, whole, size: limits.size.into(), entries: limits.entries.into(), text: limits.text.into() }
    }

    /// Accounts for so many bytes of a tar.
    pub fn size(&self, bytes: u64) -> Result<()> {
        if take(&self.size, bytes) { Ok(()) } else { Err(self.too_large()) }
    }

    /// Fails early where so many bytes of a tar are sure to be too many.
    pub fn foresee(&self, bytes: u64) -> Result<()> {
        if bytes <= self.limits.size { Ok(()) } else { Err(self.too_large()) }
    }

    /// Accounts for an entry with so many bytes of path and link.
    pub fn entry(&self, text: u64) -> Result<()> {
        if !take(&self.entries, 1) {
            let most = self.limits.entries;
            let whole = self.whole();
            return Err(Error::input(format!("there are more than {most} entries in {whole}")).with_hint(BOMB));
        }
        self.text(text)
    }

    /// Accounts for so many bytes of pax records and long names, or of what keeping them takes.
    pub fn text(&self, bytes: u64) -> Result<()> {
        if take(&self.text, bytes) {
            return Ok(());
        }
        let most = self.limits.text;
        let message =
            format!("the paths, links and extended attributes of {} have more than {most} bytes", self.whole());
        Err(Error::input(message).with_hint(BOMB))
    }

    /// Returns whether it is that of an archive.
    pub fn is_of_archive(&self) -> bool {
        self.whole == Whole::Archive
    }

    fn too_large(&self) -> Error {
        let most = self.limits.size;
        match self.whole {
            Whole::Image => Error::input(format!("the layers of the image unpack to more than {most} bytes"))
                .with_hint(
                    "it may be a bomb; if it is meant to be so large, raise the limit of the output, as in \
                    type=local,dest=DIR,limit=50g",
                ),
            Whole::Archive => Error::input(format!("the archive unpacks to more than {most} bytes"))
                .with_hint("it may be a bomb; if it is meant to be so large, unpack it yourself first"),
            Whole::Layers => Error::input(format!("the layers in the archive unpack to more than {most} bytes"))
                .with_hint("it may be a bomb: where does the archive come from?"),
            Whole::Build => Error::input(format!("what the build copies has more than {most} bytes")),
        }
    }

    fn whole(&self) -> &'static str {
        match self.whole {
            Whole::Image => "the image",
            Whole::Archive | Whole::Layers => "the archive",
            Whole::Build => "the build's steps",
        }
    }
}
