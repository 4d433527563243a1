//! The members of a layer's tar as others wrote them (POSIX.1-2017, pax, "ustar Interchange Format"; GNU's long names):
//! read with suspicion, for they decide what is written where.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::Header;

use super::content::FileContent;
use super::field::{decimal, decoded, number, record, time};
use super::header::is_header;
use super::sparse::Filled;
use crate::error::{Error, Result};
use crate::layer::kept::KEPT_PREFIX;
use crate::layer::tar::{LARGEST_ID, RECORD, padded};
use crate::net::percent_decoded;
use crate::tree::{
    Attributes, Budget, Entry, Kind, Time,
    path::{LONGEST_NAME, LONGEST_PATH},
};

/// One entry of a layer as it stands in its tar. None of the names in its path is empty, `.` or `..`.
pub type Member = Entry<Extent>;

/// Where the content of a file lies in a tar: its `size` bytes begin `offset` bytes into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The place of the first byte, in bytes from the beginning of the tar.
    pub offset: u64,
    /// The length in bytes.
    pub size: u64,
}

/// A callback that is given a file of a tar, and its content, of which it may leave as much as it likes.
pub(super) type TakeContent<'a> = dyn FnMut(&Member, &mut FileContent<'_>) -> Result<()> + 'a;

/// The largest pax header or long name; Go's reader has the same limit.
const LONGEST_HEADER: u64 = 1 << 20;

/// Attributes that tell of the machine they were read on: SELinux labels, signatures that the kernel checks, and what
/// overlay file systems and sandboxes note. In an image that somebody else made, the last could redirect a later mount.
const LEFT_OUT: [&[u8]; 7] = [
    b"security.selinux",
    b"security.ima",
    b"security.evm",
    b"system.nfs4_acl",
    b"trusted.overlay.",
    b"user.overlay.",
    KEPT_PREFIX,
];

/// The pax records that are heeded, beside those of extended attributes.
const KEYS: [&[u8]; 6] = [b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"];
/// The beginnings of the records of extended attributes: as GNU and Go write them, and as libarchive does.
const XATTRS: [&[u8]; 2] = [b"SCHILY.xattr.", b"LIBARCHIVE.xattr."];
/// The most that an extended attribute takes beside its own bytes, in bytes.
const XATTR_MEMORY: u64 = 128;

/// Reads all members of `tar`, which errors call `name`, up to the end of the archive; what follows that is left unread.
/// pax records outrank GNU's long names, and these the header's fields. Global pax headers are passed over, as docker and
/// containerd do. Each file is given to `take` as it comes by.
pub(super) fn members(tar: impl Read, name: &str, budget: &Budget, take: &mut TakeContent<'_>) -> Result<Vec<Member>> {
    let mut reader = HeaderReader { tar: Filled::new(tar, Some(budget)), at: 0, name, budget };
    let mut members = Vec::new();
    let mut extension = Extension::default();
    while let Some(header) = reader.header()? {
        let size = reader.size(&header, &extension)?;
        match header.as_old().linkflag[0] {
            b'x' => reader.records(size, &mut extension)?,
            b'L' => extension.long_name = Some(reader.name(size)?),
            b'K' => extension.long_target = Some(reader.name(size)?),
            b'g' => reader.skip(padded(size))?,
            _ => {
                let member = reader.member(&header, std::mem::take(&mut extension), size)?;
                reader.content(&member, size, take)?;
                members.push(member);
            }
        }
    }
    Ok(members)
}

/// The headers that stand before another and are about its member.
#[derive(Default)]
struct Extension {
    long_name: Option<Vec<u8>>,
    long_target: Option<Vec<u8>>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
}

struct HeaderReader<'a, R> {
    tar: R,
    at: u64,
    name: &'a str,
    budget: &'a Budget,
}

impl<R: Read> HeaderReader<'_, R> {
    /// The next header; none at the end, which is an empty record, or no record at all.
    fn header(&mut self) -> Result<Option<Header>> {
        let mut record = [0; RECORD as usize];
        let mut filled = 0;
        while filled < record.len() {
            match self.tar.read(&mut record[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.cut_short()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.at += RECORD;
        if record.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if !is_header(&record) {
            return Err(self.wrong(&format!("the header at byte {} has a wrong checksum", self.at - RECORD)));
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&record);
        Ok(Some(header))
    }

    /// How many bytes of content follow `header`. Links, directories and devices have none, whatever they say: so Go's
    /// reader has it, by which docker and containerd read.
    fn size(&self, header: &Header, extension: &Extension) -> Result<u64> {
        let kind = header.as_old().linkflag[0];
        if matches!(kind, b'1'..=b'6') {
            return Ok(0);
        }
        let is_extension = matches!(kind, b'x' | b'g' | b'L' | b'K');
        let noted = extension.records.get(&b"size"[..]).filter(|_| !is_extension);
        let size = match noted {
            Some(digits) => decimal(digits),
            None => number(&header.as_old().size),
        };
        let size = size.and_then(|size| u64::try_from(size).ok()).filter(|size| *size < 1 << 62);
        let size = size.ok_or_else(|| self.wrong(&format!("{} has an impossible size", shown(header))))?;
        if size > LONGEST_HEADER && is_extension {
            return Err(self.wrong(&format!("a header has {size} bytes, more than the limit of {LONGEST_HEADER}")));
        }
        self.budget.foresee(size)?;
        Ok(size)
    }

    /// The content of a header's extension, and the padding behind it.
    fn bytes(&mut self, size: u64) -> Result<Vec<u8>> {
        self.budget.text(size)?;
        let mut bytes = vec![0; size as usize]; // at most LONGEST_HEADER
        self.tar.read_exact(&mut bytes).map_err(|error| self.failed(error))?;
        self.at += size;
        self.skip(padded(size) - size)?;
        Ok(bytes)
    }

    fn name(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut name = self.bytes(size)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    /// pax records: `length key=value` and a newline, where the length is that of the whole record.
    fn records(&mut self, size: u64, extension: &mut Extension) -> Result<()> {
        let bytes = self.bytes(size)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (record, after) = record(rest).ok_or_else(|| self.wrong("a pax header is damaged"))?;
            rest = after;
            let is_xattr = XATTRS.iter().any(|prefix| record.0.starts_with(prefix));
            if is_xattr {
                self.budget.text(XATTR_MEMORY)?;
            } else if !KEYS.contains(&record.0) {
                continue;
            }
            extension.records.insert(record.0.to_vec(), record.1.to_vec());
        }
        Ok(())
    }

    fn member(&mut self, header: &Header, extension: Extension, size: u64) -> Result<Member> {
        let Extension { long_name, long_target, mut records } = extension;
        // An empty record takes nothing back, as Go's reader has it.
        let mut text = |key: &[u8]| records.remove(key).filter(|value| !value.is_empty());
        let name = text(b"path").or(long_name).unwrap_or_else(|| header.path_bytes().into_owned());
        let field = |header: &Header| header.link_name_bytes().map(|name| name.into_owned()).unwrap_or_default();
        let target = text(b"linkpath").or(long_target).unwrap_or_else(|| field(header));
        let path = self.clean(&name)?;
        let attributes = self.attributes(header, &path, &mut records)?;
        let offset = self.at;
        let kind = match header.as_old().linkflag[0] {
            // A directory, before there was a type for it (POSIX, "ustar", on the trailing slash).
            0 if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => Kind::File(Extent { offset, size }),
            b'1' => Kind::HardLink { target: self.clean(&target)? },
            b'2' => Kind::Symlink { target: self.target(&path, target)? },
            b'3' => self.device(header, &path, |major, minor| Kind::CharacterDevice { major, minor })?,
            b'4' => self.device(header, &path, |major, minor| Kind::BlockDevice { major, minor })?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                let what = format!("{} has the type `{}`", path.escape_ascii(), other.escape_ascii());
                return Err(self.wrong(&format!("{what}, which is not known")));
            }
        };
        let text = |kind: &Kind<Extent>| match kind {
            Kind::Symlink { target } | Kind::HardLink { target } => target.len(),
            _ => 0,
        };
        self.budget.entry((path.len() + text(&kind)) as u64)?;
        Ok(Entry { path, kind, attributes })
    }

    /// Gives the content of `member` to `take` if it is a file, and goes on to what stands behind its `size` bytes.
    fn content(&mut self, member: &Member, size: u64, take: &mut TakeContent<'_>) -> Result<()> {
        if !matches!(member.kind, Kind::File(_)) {
            return self.skip(padded(size));
        }
        let failed = |error| failed(self.name, error);
        let mut content = FileContent::new(&mut self.tar, size, &failed);
        take(member, &mut content)?;
        let taken = size - content.left();
        self.at += taken;
        self.skip(padded(size) - taken)
    }

    fn attributes(&self, header: &Header, path: &[u8], records: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Attributes> {
        let old = header.as_old();
        let wrong = |what: &str| self.wrong(&format!("{} has an invalid {what}", path.escape_ascii()));
        let mut id = |key: &str, field: &[u8]| {
            let noted = records.remove(key.as_bytes()).filter(|value| !value.is_empty());
            let id = noted.map_or_else(|| number(field), |digits| decimal(&digits));
            // The last number stands for "leave it as it is" where owners are set.
            id.and_then(|id| u32::try_from(id).ok()).filter(|id| *id != u32::MAX).ok_or_else(|| wrong(key))
        };
        let (user, group) = (id("uid", &old.uid)?, id("gid", &old.gid)?);
        let noted = records.remove(&b"mtime"[..]).filter(|value| !value.is_empty());
        let modified = match noted {
            Some(text) => time(&text),
            None => number(&old.mtime).and_then(|seconds| i64::try_from(seconds).ok()).map(Time::of_seconds),
        };
        let modified = modified.ok_or_else(|| wrong("time"))?;
        let mode = number(&old.mode).ok_or_else(|| wrong("mode"))? as u32 & 0o7777;
        let mut xattrs = BTreeMap::new();
        for (key, value) in std::mem::take(records) {
            let (name, value) = if let Some(name) = key.strip_prefix(XATTRS[0]) {
                (name.to_vec(), value)
            } else if let Some(name) = key.strip_prefix(XATTRS[1]) {
                (percent_decoded(name), decoded(&value).ok_or_else(|| wrong("extended attribute"))?)
            } else {
                continue;
            };
            if name.is_empty() || name.contains(&0) {
                return Err(wrong("extended attribute"));
            }
            if !LEFT_OUT.iter().any(|left_out| name.starts_with(left_out)) {
                xattrs.insert(name, value);
            }
        }
        Ok(Attributes { mode, user, group, modified, xattrs })
    }

    fn device(&self, header: &Header, path: &[u8], device: fn(u32, u32) -> Kind<Extent>) -> Result<Kind<Extent>> {
        // The same place in ustar's and GNU's headers.
        let bytes = header.as_bytes();
        // Larger ones neither Linux knows nor a plain header holds.
        let fits = |number: &u32| u64::from(*number) <= LARGEST_ID;
        let field = |range| number(&bytes[range]).and_then(|number| u32::try_from(number).ok()).filter(fits);
        match (field(329..337), field(337..345)) {
            (Some(major), Some(minor)) => Ok(device(major, minor)),
            _ => Err(self.wrong(&format!("{} has an invalid device number", path.escape_ascii()))),
        }
    }

    /// The target of a symlink, which is never followed but must be one that can be written.
    fn target(&self, path: &[u8], target: Vec<u8>) -> Result<Vec<u8>> {
        if target.is_empty() || target.contains(&0) || target.len() > LONGEST_PATH {
            return Err(self.wrong(&format!("{} is a link with an invalid target", path.escape_ascii())));
        }
        Ok(target)
    }

    /// `path` below the root, without slashes before and behind it and without what means nothing. `..` goes up as far as
    /// the root and no further, whatever stands there, as docker and umoci have it with layers: Bazel writes `./../name`. An
    /// archive with a name that would leave it is refused, as BuildKit does.
    fn clean(&self, path: &[u8]) -> Result<Vec<u8>> {
        let mut names: Vec<&[u8]> = Vec::new();
        for name in path.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." if names.pop().is_none() && self.budget.is_of_archive() => {
                    let message = format!("{} has `..` in it, which could lead out of the root", path.escape_ascii());
                    return Err(self.wrong(&message).with_hint(HOSTILE));
                }
                b".." => {}
                name => names.push(name),
            }
        }
        let clean = names.join(&b'/');
        let wrong = |what: &str| self.wrong(&format!("{} {what}", clean.escape_ascii()));
        if clean.len() > LONGEST_PATH {
            let start = clean[..40].escape_ascii();
            return Err(self.wrong(&format!("the path {start}… is longer than {LONGEST_PATH} bytes")));
        }
        if let Some(name) = names.iter().find(|name| name.len() > LONGEST_NAME) {
            let start = name[..40].escape_ascii();
            return Err(self.wrong(&format!("the name {start}… is longer than {LONGEST_NAME} bytes")));
        }
        if clean.contains(&0) {
            return Err(wrong("has a NUL in it").with_hint(HOSTILE));
        }
        Ok(clean)
    }

    fn skip(&mut self, size: u64) -> Result<()> {
        let skipped = io::copy(&mut self.tar.by_ref().take(size), &mut io::sink());
        if skipped.map_err(|error| self.failed(error))? < size {
            return Err(self.cut_short());
        }
        self.at += size;
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        failed(self.name, error)
    }

    fn cut_short(&self) -> Error {
        cut_short(self.name)
    }

    fn wrong(&self, what: &str) -> Error {
        wrong(self.name, what)
    }
}

fn failed(name: &str, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none_or(|own| !own.is::<Error>()) {
        return cut_short(name);
    }
    Error::from_read("read", name, error)
}

fn cut_short(name: &str) -> Error {
    wrong(name, "its tar ends in the middle of an entry")
}

fn wrong(name: &str, what: &str) -> Error {
    Error::input(format!("{name}: {what}"))
}

const HOSTILE: &str = "no tool makes such a tar by accident: do not trust it";

fn shown(header: &Header) -> String {
    header.path_bytes().escape_ascii().to_string()
}
