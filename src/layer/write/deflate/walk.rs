//! The way through a deflate stream to its last block (RFC 1951), symbol by symbol but without their values.

/// Where things are in a stream, in bits from its beginning.
#[derive(Debug, PartialEq, Eq)]
pub struct Stream {
    /// The header of the last block, whose first bit says that it is the last.
    pub last_block: usize,
    pub end: usize,
}

/// Finds the last block. None if it is no valid stream.
pub fn walk(stream: &[u8]) -> Option<Stream> {
    let mut bits = Bits { bytes: stream, next: 0, buffer: 0, count: 0 };
    loop {
        let header = bits.position();
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => bits.skip_stored()?,
            1 => {
                let mut lengths = [8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                Codes::new(&lengths, &[5; 32])?.skip_block(&mut bits)?;
            }
            2 => Codes::read(&mut bits)?.skip_block(&mut bits)?,
            _ => return None,
        }
        if is_last {
            return Some(Stream { last_block: header, end: bits.position() });
        }
    }
}

/// Codes of this length and less are found by one look into a table.
const TABLE_BITS: u32 = 11;
const TABLE_SIZE: usize = 1 << TABLE_BITS;
const LONGEST_CODE: usize = 15;
const END_OF_BLOCK: u16 = 256;

/// Bits that follow the code of a length (symbols from 257) and of a distance (3.2.5).
const LENGTH_EXTRA: [u8; 31] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0, 0, 0];
const DISTANCE_EXTRA: [u8; 32] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 0, 0];
/// The order in which the lengths of code length codes are stored (3.2.7).
const CODE_LENGTH_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The two Huffman codes of a block.
struct Codes {
    symbols: Table,
    distances: Table,
}

/// What a look into a table finds: how many bits to skip (codes and what follows them), and then what comes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Step {
    bits: u8,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Symbol,
    Distance,
    End,
    /// The code is longer than the table's.
    Long,
    /// No code begins like this.
    Nothing,
}

struct Table {
    steps: Box<[Step; TABLE_SIZE]>,
    code: Code,
    meaning: fn(u16) -> Step,
}

/// A canonical Huffman code (3.2.2).
struct Code {
    /// How many codes there are of each length.
    counts: [u16; LONGEST_CODE + 1],
    /// Symbols, ordered by their codes.
    symbols: Vec<u16>,
}

impl Codes {
    /// The codes at the beginning of a block that has its own (3.2.7).
    fn read(bits: &mut Bits) -> Option<Codes> {
        let symbol_count = bits.take(5)? as usize + 257;
        let distance_count = bits.take(5)? as usize + 1;
        let mut lengths = [0; 19];
        let count = bits.take(4)? as usize + 4;
        for index in &CODE_LENGTH_ORDER[..count] {
            lengths[*index] = bits.take(3)? as u8;
        }
        let code = Code::new(&lengths)?;
        let mut all = Vec::with_capacity(symbol_count + distance_count);
        while all.len() < symbol_count + distance_count {
            let (length, times) = match code.read(bits)? {
                16 => (*all.last()?, 3 + bits.take(2)?),
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                length => (length as u8, 1),
            };
            all.extend(std::iter::repeat_n(length, times as usize));
        }
        if all.len() != symbol_count + distance_count {
            return None;
        }
        Codes::new(&all[..symbol_count], &all[symbol_count..])
    }

    fn new(symbols: &[u8], distances: &[u8]) -> Option<Codes> {
        let symbols = Table::new(Code::new(symbols)?, |symbol| match symbol {
            ..END_OF_BLOCK => Step { bits: 0, then: Then::Symbol },
            END_OF_BLOCK => Step { bits: 0, then: Then::End },
            length => Step { bits: LENGTH_EXTRA[usize::from(length - 257)], then: Then::Distance },
        });
        let distances = Table::new(Code::new(distances)?, |distance| Step {
            bits: DISTANCE_EXTRA[usize::from(distance)],
            then: Then::Symbol,
        });
        Some(Codes { symbols: symbols.combined(), distances })
    }

    /// Skips to behind the end of the block.
    fn skip_block(&self, bits: &mut Bits) -> Option<()> {
        loop {
            self.skip_usual(bits);
            // At most a code of 15 bits or a table's 11, and 13 that follow, twice: always within what is filled.
            bits.fill();
            let mut step = self.symbols.look(bits)?;
            bits.skip(step.bits)?;
            if step.then == Then::Distance {
                step = self.distances.look(bits)?;
                bits.skip(step.bits)?;
            }
            if step.then == Then::End {
                return Some(());
            }
        }
    }

    /// Skips what two looks into the tables tell all about, up to the first symbol that is not like that, or to near the
    /// end of the stream. Nearly everything is of this kind, so this loop is what a walk costs.
    fn skip_usual(&self, bits: &mut Bits) {
        let Bits { bytes, mut next, mut buffer, mut count } = *bits;
        let (symbols, distances) = (&self.symbols.steps, &self.distances.steps);
        while let Some(eight) = bytes.get(next..).and_then(|rest| rest.first_chunk()) {
            // As in `fill`: at least 56 bits, of which 11 and 5 go to the symbol and 11 and 13 to the distance at most.
            buffer |= u64::from_le_bytes(*eight) << count;
            next += (63 - count as usize) / 8;
            count |= 56;
            let symbol = symbols[buffer as usize % TABLE_SIZE];
            let mut skipped = u32::from(symbol.bits);
            if symbol.then == Then::Distance {
                let distance = distances[(buffer >> skipped) as usize % TABLE_SIZE];
                if distance.then != Then::Symbol {
                    break;
                }
                skipped += u32::from(distance.bits);
            } else if symbol.then != Then::Symbol {
                break;
            }
            buffer >>= skipped;
            count -= skipped;
        }
        (bits.next, bits.buffer, bits.count) = (next, buffer, count);
    }
}

impl Table {
    fn new(code: Code, meaning: fn(u16) -> Step) -> Table {
        let mut steps = Box::new([Step { bits: 0, then: Then::Long }; TABLE_SIZE]);
        let (mut next, mut index) = (0u32, 0);
        for length in 1..=TABLE_BITS {
            let count = usize::from(code.counts[length as usize]);
            for symbol in &code.symbols[index..index + count] {
                // Codes are stored from their most significant bit, everything else from its least.
                let reversed = (next.reverse_bits() >> (32 - length)) as usize;
                let step = meaning(*symbol);
                let step = Step { bits: step.bits + length as u8, ..step };
                steps[reversed..].iter_mut().step_by(1 << length).for_each(|slot| *slot = step);
                next += 1;
            }
            index += count;
            next <<= 1;
        }
        if index == code.symbols.len() {
            steps.iter_mut().filter(|step| step.then == Then::Long).for_each(|step| step.then = Then::Nothing);
        }
        Table { steps, code, meaning }
    }

    /// The same, but a look finds as many literals as there is room for, and what follows them.
    fn combined(mut self) -> Table {
        let single = self.steps.clone();
        for (index, step) in self.steps.iter_mut().enumerate() {
            while step.then == Then::Symbol && u32::from(step.bits) < TABLE_BITS {
                let following = single[index >> step.bits];
                let known = matches!(following.then, Then::Symbol | Then::Distance | Then::End);
                if !known || u32::from(step.bits + following.bits) > TABLE_BITS {
                    break;
                }
                *step = Step { bits: step.bits + following.bits, then: following.then };
            }
        }
        self
    }

    fn look(&self, bits: &mut Bits) -> Option<Step> {
        let step = self.steps[bits.peek(TABLE_BITS) as usize];
        match step.then {
            Then::Long => {
                let symbol = self.code.read(bits)?;
                Some((self.meaning)(symbol))
            }
            Then::Nothing => None,
            _ => Some(step),
        }
    }
}

impl Code {
    /// None if the lengths give more codes than there can be.
    fn new(lengths: &[u8]) -> Option<Code> {
        let mut counts = [0u16; LONGEST_CODE + 1];
        lengths.iter().for_each(|length| counts[usize::from(*length)] += 1);
        counts[0] = 0;
        let taken: u32 = (1..=LONGEST_CODE).map(|length| u32::from(counts[length]) << (LONGEST_CODE - length)).sum();
        if taken > 1 << LONGEST_CODE {
            return None;
        }
        let mut symbols: Vec<u16> = (0u16..).take(lengths.len()).filter(|at| lengths[usize::from(*at)] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        Some(Code { counts, symbols })
    }

    /// Reads one symbol, bit by bit.
    fn read(&self, bits: &mut Bits) -> Option<u16> {
        let (mut code, mut first, mut index) = (0u32, 0u32, 0u32);
        for length in 1..=LONGEST_CODE {
            code |= bits.take(1)?;
            let count = u32::from(self.counts[length]);
            if code < first + count {
                return self.symbols.get((index + code - first) as usize).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// Bits of a stream, the least significant of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The first byte that is not in `buffer`.
    next: usize,
    buffer: u64,
    count: u32,
}

impl Bits<'_> {
    fn position(&self) -> usize {
        self.next * 8 - self.count as usize
    }

    /// Fills the buffer to at least 56 bits, or with all that is left.
    fn fill(&mut self) {
        if let Some(eight) = self.bytes.get(self.next..self.next + 8).and_then(|eight| eight.try_into().ok()) {
            self.buffer |= u64::from_le_bytes(eight) << self.count;
            let taken = (63 - self.count) / 8;
            self.next += taken as usize;
            self.count += taken * 8;
            return;
        }
        while self.count <= 56 && self.next < self.bytes.len() {
            self.buffer |= u64::from(self.bytes[self.next]) << self.count;
            self.next += 1;
            self.count += 8;
        }
    }

    /// The next bits without taking them; zeros behind the end.
    fn peek(&self, count: u32) -> u64 {
        self.buffer & ((1 << count) - 1)
    }

    fn skip(&mut self, count: u8) -> Option<()> {
        self.count = self.count.checked_sub(u32::from(count))?;
        self.buffer >>= count;
        Some(())
    }

    fn take(&mut self, count: u8) -> Option<u32> {
        if self.count < u32::from(count) {
            self.fill();
        }
        let value = self.peek(u32::from(count)) as u32;
        self.skip(count)?;
        Some(value)
    }

    /// Skips a stored block's length, its complement and its content (3.2.4).
    fn skip_stored(&mut self) -> Option<()> {
        self.skip((self.count % 8) as u8)?;
        let length = self.take(16)?;
        if self.take(16)? != !length & 0xffff {
            return None;
        }
        let content = self.position() / 8 + length as usize;
        if content > self.bytes.len() {
            return None;
        }
        (self.next, self.buffer, self.count) = (content, 0, 0);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::END;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn walking_what_is_no_stream_ends_well(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = walk(&bytes);
        }
    }

    #[test]
    fn the_last_block_is_found_where_it_is() {
        // Two stored blocks (RFC 1951, 3.2.4) by hand: `a`, not the last, and `b`, the last.
        let stream = [0x00, 1, 0, 0xfe, 0xff, b'a', 0x01, 1, 0, 0xfe, 0xff, b'b'];
        assert_eq!(walk(&stream), Some(Stream { last_block: 48, end: 96 }));
        // A single block of fixed codes with nothing in it: header, then seven zero bits.
        assert_eq!(walk(&END), Some(Stream { last_block: 0, end: 10 }));
    }
}
