//! Sparse files in tars (GNU tar's manual, "Storing Sparse Files"): in the old form of GNU's, type `S`, and in the pax forms 0.0,
//! 0.1 and 1.0. They are given their holes back as the tar passes by, so that nothing behind knows of them.

use std::collections::VecDeque;
use std::io::{self, Read};

use tar::Header;

use super::field::{decimal, number, record};
use super::header::is_header;
use crate::error::Error;
use crate::layer::tar::{RECORD, padded, pax_header, record as written, seal};
use crate::tree::Budget;

/// The largest map of a sparse file and the largest pax header that is looked into, in bytes; Go's reader has the same.
const LONGEST: u64 = 1 << 20;
/// How many pieces a file may have.
const MOST_PIECES: usize = 1 << 17;

/// The same tar with every sparse file as a plain one. A tar without any comes out byte for byte, and so does what stands
/// behind its end and what is not a tar: whoever reads the result tells what is wrong with it.
pub struct Filled<'b, R> {
    tar: R,
    /// The budget that the holes count against.
    budget: Option<&'b Budget>,
    /// Read and not given out yet.
    ready: Vec<u8>,
    given: usize,
    state: FilledState,
    extension: SparseExtension,
}

enum FilledState {
    /// A header comes next.
    Header,
    /// So many bytes are given out as they come.
    Copy(u64),
    File(Sparse),
    /// There is nothing more to find.
    Rest,
}

/// A file on its way.
struct Sparse {
    pieces: VecDeque<SparsePiece>,
    /// Where in the file the next byte is.
    at: u64,
    size: u64,
    /// How much padding stands behind its data.
    padding: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SparsePiece {
    offset: u64,
    size: u64,
}

/// The words of pax headers about the member behind them.
#[derive(Default)]
struct SparseExtension {
    /// How much of the tar it takes.
    stored: Option<u64>,
    sparse: Option<Marks>,
}

/// The marks that the records of the pax forms make.
#[derive(Default)]
struct Marks {
    is_1_0: bool,
    size: Option<u64>,
    /// Offsets and sizes by turns.
    map: Vec<u64>,
}

impl<'b, R: Read> Filled<'b, R> {
    pub fn new(tar: R, budget: Option<&'b Budget>) -> Self {
        Filled {
            tar,
            budget,
            ready: Vec::new(),
            given: 0,
            state: FilledState::Header,
            extension: SparseExtension::default(),
        }
    }

    /// Reads the next header and what belongs to it.
    fn advance(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.given = 0;
        self.state = FilledState::Rest;
        if !self.take(RECORD)? {
            return Ok(());
        }
        let Some(block) = self.ready.first_chunk().filter(|block| is_header(block)) else { return Ok(()) };
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        let kind = header.as_old().linkflag[0];
        let noted = number(&header.as_old().size).and_then(|size| u64::try_from(size).ok());
        let Some(noted) = noted.filter(|size| *size < 1 << 62) else { return Ok(()) };
        match kind {
            b'x' if noted <= LONGEST => return self.records(noted),
            b'x' | b'g' | b'L' | b'K' => {
                self.state = FilledState::Copy(padded(noted));
                return Ok(());
            }
            _ => {}
        }
        let SparseExtension { stored, sparse } = std::mem::take(&mut self.extension);
        let stored = stored.unwrap_or(noted);
        match (kind, sparse) {
            (b'1'..=b'6', _) => self.state = FilledState::Header,
            (b'S', _) => self.old_form(header, stored)?,
            (0 | b'0' | b'7', Some(marks)) => self.pax_form(header, marks, stored)?,
            _ => self.state = FilledState::Copy(padded(stored)),
        }
        Ok(())
    }

    /// Adds so many bytes to what is ready; false if there are fewer.
    fn take(&mut self, size: u64) -> io::Result<bool> {
        let read = self.tar.by_ref().take(size).read_to_end(&mut self.ready)?;
        Ok(read as u64 == size)
    }

    /// A pax header: what it says of a sparse file is taken out of it.
    fn records(&mut self, size: u64) -> io::Result<()> {
        if !self.take(padded(size))? {
            return Ok(());
        }
        self.state = FilledState::Header;
        let content = &self.ready[RECORD as usize..][..size as usize];
        let (mut marks, mut name, mut others) = (Marks::default(), None, Vec::new());
        let mut is_sparse = false;
        let mut rest = content;
        while !rest.is_empty() {
            let Some(((key, value), after)) = record(rest) else { return Ok(()) };
            rest = after;
            let number = || decimal(value).and_then(|number| u64::try_from(number).ok());
            let Some(mark) = key.strip_prefix(b"GNU.sparse.") else {
                if key == b"size" {
                    self.extension.stored = number();
                }
                others.push((key, value));
                continue;
            };
            is_sparse = true;
            match mark {
                b"major" => marks.is_1_0 = value == b"1",
                b"name" => name = Some(value),
                b"size" | b"realsize" => marks.size = number(),
                b"offset" | b"numbytes" => marks.map.extend(number()),
                b"map" => marks.map = value.split(|byte| *byte == b',').filter_map(whole).collect(),
                _ => {}
            }
        }
        if !is_sparse {
            return Ok(());
        }
        others.retain(|(key, _)| *key != b"size" && !(*key == b"path" && name.is_some()));
        let size = marks.size.map(|size| size.to_string());
        let own = [("size", size.as_deref().map(str::as_bytes)), ("path", name)];
        let mut records: Vec<u8> =
            own.iter().filter_map(|(key, value)| Some(written(key.as_bytes(), (*value)?))).flatten().collect();
        others.iter().for_each(|(key, value)| records.extend(written(key, value)));
        self.ready = pax_header(&records);
        self.extension.sparse = Some(marks);
        Ok(())
    }

    fn pax_form(&mut self, header: Header, marks: Marks, stored: u64) -> io::Result<()> {
        let Some(size) = marks.size else { return Err(damaged(&header)) };
        let (map, taken) = if marks.is_1_0 { self.map(&header, stored)? } else { (marks.map, 0) };
        let pieces = map.chunks(2).map(|pair| match pair {
            [offset, size] => Ok(SparsePiece { offset: *offset, size: *size }),
            _ => Err(damaged(&header)),
        });
        let pieces = pieces.collect::<io::Result<_>>()?;
        self.file(header, pieces, size, stored - taken)
    }

    /// The map of the form 1.0, which stands before the data; and how much of the tar it takes.
    fn map(&mut self, header: &Header, stored: u64) -> io::Result<(Vec<u64>, u64)> {
        let (mut numbers, mut count, mut taken) = (Vec::new(), None, 0);
        let mut line = Vec::new();
        while count.is_none_or(|count| numbers.len() < count) {
            let mut block = [0; RECORD as usize];
            taken += RECORD;
            if taken > stored.min(LONGEST) {
                return Err(damaged(header));
            }
            self.tar.read_exact(&mut block)?;
            for byte in block {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let number = whole(&std::mem::take(&mut line)).ok_or_else(|| damaged(header))?;
                match count {
                    None => count = usize::try_from(number).ok().and_then(|number| number.checked_mul(2)),
                    Some(count) if numbers.len() < count => numbers.push(number),
                    Some(_) => {}
                }
                if count == Some(numbers.len()) {
                    return Ok((numbers, taken));
                }
            }
        }
        Ok((numbers, taken))
    }

    /// The old form: four pieces in the header, then 21 in each record behind it for as long as there are more.
    fn old_form(&mut self, header: Header, stored: u64) -> io::Result<()> {
        let mut pieces = Vec::new();
        let mut add = |fields: &[u8]| {
            let pairs = fields.chunks_exact(24).filter(|pair| pair[0] != 0);
            for pair in pairs {
                let field = |part: &[u8]| number(part).and_then(|number| u64::try_from(number).ok());
                let (offset, size) = field(&pair[..12]).zip(field(&pair[12..])).ok_or_else(|| damaged(&header))?;
                pieces.push(SparsePiece { offset, size });
            }
            if pieces.len() > MOST_PIECES { Err(damaged(&header)) } else { Ok(()) }
        };
        let bytes = header.as_bytes();
        // Elsewhere these bytes are the prefix of the name.
        if !bytes[257..].starts_with(b"ustar  ") {
            return Err(damaged(&header));
        }
        add(&bytes[386..482])?;
        let mut has_more = bytes[482] == 1;
        while has_more {
            let mut block = [0; RECORD as usize];
            self.tar.read_exact(&mut block)?;
            add(&block[..504])?;
            has_more = block[504] == 1;
        }
        let size = number(&bytes[483..495]).and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| damaged(&header))?;
        self.ready = pax_header(&written(b"size", size.to_string().as_bytes()));
        let plain = header.clone();
        self.file(plain, pieces.into(), size, stored)?;
        Ok(())
    }

    /// Gives out `header` as that of a plain file of `size` bytes, whose data comes next.
    fn file(&mut self, mut header: Header, pieces: VecDeque<SparsePiece>, size: u64, stored: u64) -> io::Result<()> {
        let mut end = 0;
        let mut data = 0u64;
        for piece in &pieces {
            let next = piece.offset.checked_add(piece.size).filter(|next| *next <= size && piece.offset >= end);
            end = next.ok_or_else(|| damaged(&header))?;
            data += piece.size;
        }
        if data != stored || pieces.len() > MOST_PIECES || size >= 1 << 62 {
            return Err(damaged(&header));
        }
        if let Some(budget) = self.budget {
            budget.foresee(size).and_then(|()| budget.size(size - data)).map_err(io::Error::other)?;
        }
        let is_old = header.as_old().linkflag[0] == b'S';
        header.as_old_mut().linkflag[0] = b'0';
        header.as_old_mut().size = *b"00000000000\0"; // the pax record counts
        seal(&mut header);
        match is_old {
            true => self.ready.extend_from_slice(header.as_bytes()),
            false => self.ready = header.as_bytes().to_vec(),
        }
        self.state = FilledState::File(Sparse { pieces, at: 0, size, padding: padded(stored) - stored });
        Ok(())
    }
}

impl<R: Read> Read for Filled<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let ready = &self.ready[self.given..];
            if !ready.is_empty() || buffer.is_empty() {
                let count = ready.len().min(buffer.len());
                buffer[..count].copy_from_slice(&ready[..count]);
                self.given += count;
                return Ok(count);
            }
            match &mut self.state {
                FilledState::Rest => return self.tar.read(buffer),
                FilledState::Copy(0) | FilledState::Header => self.advance()?,
                FilledState::Copy(left) => {
                    let most = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let count = self.tar.read(&mut buffer[..most])?;
                    *left -= count as u64;
                    return Ok(count);
                }
                FilledState::File(file) => {
                    let count = file.read(&mut self.tar, buffer)?;
                    if count > 0 {
                        return Ok(count);
                    }
                    let padding = file.padding;
                    self.ready = vec![0; (padded(file.size) - file.size) as usize];
                    self.given = 0;
                    io::copy(&mut self.tar.by_ref().take(padding), &mut io::sink())?;
                    self.state = FilledState::Header;
                }
            }
        }
    }
}

impl Sparse {
    /// Reads on; 0 at its end.
    fn read(&mut self, tar: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let up_to = |end: u64, at: u64| usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        while self.pieces.front().is_some_and(|piece| piece.offset + piece.size <= self.at) {
            self.pieces.pop_front();
        }
        let count = match self.pieces.front() {
            Some(piece) if piece.offset <= self.at => {
                let most = up_to(piece.offset + piece.size, self.at);
                let count = tar.read(&mut buffer[..most])?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                count
            }
            next => {
                let hole = up_to(next.map_or(self.size, |piece| piece.offset), self.at);
                buffer[..hole].fill(0);
                hole
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

fn whole(digits: &[u8]) -> Option<u64> {
    decimal(digits).and_then(|number| u64::try_from(number).ok())
}

fn damaged(header: &Header) -> io::Error {
    let name = header.path_bytes();
    io::Error::other(Error::input(format!("the map of the sparse file {} is damaged", name.escape_ascii())))
}
