//! The way through a deflate stream to its last block (RFC 1951), symbol by symbol but without their values.

/// Where things are in a stream, in bits from its beginning.
#[derive(Debug, PartialEq, Eq)]
pub struct Stream {
    /// The header of the last block, whose first bit says that it is the last.
    pub last_block: usize,
    pub end: usize,
}

/// Finds the last block. None if it is not a valid stream.
pub fn walk(stream: &[u8]) -> Option<Stream> {
    let mut bits = Bits { bytes: stream, next: 0, buffer: 0, count: 0 };
    let mut tables = Tables::new();
    loop {
        let header = bits.position();
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => bits.skip_stored()?,
            1 => {
                let mut lengths = [8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                CodePair::new(&lengths, &[5; 32])?.skip_block(&mut bits, &mut tables)?;
            }
            2 => CodePair::read(&mut bits)?.skip_block(&mut bits, &mut tables)?,
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

/// How far ahead of the first walker the scout sets out, in bytes. Beyond the end of a block its way is in vain.
const STRETCH: usize = 3 << 9;
/// After so many bytes a scout, which begins anywhere, mostly goes from code to code as they were written.
const SETTLING: usize = 3 << 5;

/// Bits that follow the code of a length (symbols from 257) and of a distance (3.2.5).
const LENGTH_EXTRA: [u8; 31] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0, 0, 0];
const DISTANCE_EXTRA: [u8; 32] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 0, 0];
/// The order in which the lengths of code length codes are stored (3.2.7).
const CODE_LENGTH_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The two Huffman codes of a block.
struct CodePair {
    symbols: Code,
    distances: Code,
}

/// A canonical Huffman code (3.2.2).
struct Code {
    /// How many codes there are of each length.
    counts: [u16; LONGEST_CODE + 1],
    /// Symbols, ordered by their codes.
    symbols: Vec<u16>,
}

/// The table that the next bits of a block are to be looked up in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Symbol,
    Distance,
    /// The end of the block is behind.
    Nothing,
    /// The bits that are there have no meaning.
    Unknown,
}

/// On its way through the codes of a block.
#[derive(Clone, Copy)]
struct Walker<'a> {
    bits: Bits<'a>,
    due: Due,
}

impl Walker<'_> {
    /// Returns what its way depends on from here.
    fn place(&self) -> (usize, Due) {
        (self.bits.position(), self.due)
    }

    fn is_under_way(&self) -> bool {
        matches!(self.due, Due::Symbol | Due::Distance)
    }
}

/// The find of a look into the tables, packed: in the lowest bits how many bits to skip (codes and what follows them),
/// then how many of them are codes, and whether a distance is due behind them.
#[derive(Clone, Copy)]
struct Lookup(u16);

/// The table of symbols, in which a look finds a literal and what follows it if there is room for both, and behind it that
/// of distances.
struct Tables(Box<[Lookup; 2 * TABLE_SIZE]>);

impl CodePair {
    /// The codes at the beginning of a block that has its own (3.2.7).
    fn read(bits: &mut Bits) -> Option<CodePair> {
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
        CodePair::new(&all[..symbol_count], &all[symbol_count..])
    }

    fn new(symbols: &[u8], distances: &[u8]) -> Option<CodePair> {
        Some(CodePair { symbols: Code::new(symbols)?, distances: Code::new(distances)? })
    }

    /// Skips to behind the end of the block.
    ///
    /// A walker spends its time waiting for one look after the other, so two walk at a time. The scout sets out where no
    /// code may begin, but Huffman codes soon fall into step. Where it goes from a place, everyone does: if the first walker
    /// comes to a place where the scout has been, it goes on where the scout is by now. If not, the scout was in vain.
    fn skip_block(&self, bits: &mut Bits, tables: &mut Tables) -> Option<()> {
        tables.set(self);
        let mut first = Walker { bits: *bits, due: Due::Symbol };
        while first.is_under_way() {
            let start = first.bits.next + STRETCH;
            let mut scout = Walker { bits: Bits { next: start, buffer: 0, count: 0, ..*bits }, due: Due::Symbol };
            self.advance(tables, [&mut first, &mut scout], [start, start + SETTLING]);
            let meeting = scout;
            // As looks find several codes at once, the last ones before the meeting are skipped one by one. What is before
            // `next` by up to 8 bytes may be due yet, and a pair of looks goes on for up to 5.
            self.advance(tables, [&mut first, &mut scout], [meeting.bits.next - 16, usize::MAX]);
            while first.is_under_way() && first.bits.position() < meeting.bits.position() {
                self.step(&mut first);
            }
            if first.place() == meeting.place() {
                first = scout;
            }
        }
        *bits = first.bits;
        (first.due == Due::Nothing).then_some(())
    }

    /// Moves both, until one is past its limit, a byte, or the first one is no longer under way.
    fn advance(&self, tables: &Tables, [first, scout]: [&mut Walker<'_>; 2], limits: [usize; 2]) {
        while first.is_under_way() {
            if scout.is_under_way() {
                [*first, *scout] = tables.skip_usual([*first, *scout], limits);
            } else {
                [*first] = tables.skip_usual([*first], [limits[0]]);
            }
            if first.bits.next > limits[0] || scout.bits.next > limits[1] {
                return;
            }
            self.step(first);
            self.step(scout);
        }
    }

    /// Skips what is due, whatever it is.
    fn step(&self, walker: &mut Walker<'_>) {
        let bits = &mut walker.bits;
        let next = match walker.due {
            Due::Symbol => match self.symbols.read(bits) {
                Some(..END_OF_BLOCK) => Some(Due::Symbol),
                Some(END_OF_BLOCK) => Some(Due::Nothing),
                Some(length) => bits.take(length_extra(length)).map(|_| Due::Distance),
                None => None,
            },
            Due::Distance => {
                let distance = self.distances.read(bits);
                distance.and_then(|distance| bits.take(distance_extra(distance))).map(|_| Due::Symbol)
            }
            Due::Nothing | Due::Unknown => return,
        };
        walker.due = next.unwrap_or(Due::Unknown);
    }
}

impl Lookup {
    /// Where the count of bits that are codes begins; the count of all bits is before it.
    const CODE: u32 = 6;
    /// A distance is due. Just where the table of distances begins.
    const DISTANCE: u16 = TABLE_SIZE as u16;
    /// The end of the block, a code that is longer than the table's, or none. Nothing is skipped, so that the next look
    /// finds it again.
    const RARE: u16 = 1 << 15;

    fn new(code: u32, extra: u8, flags: u16) -> Lookup {
        let code = code as u16;
        Lookup((code + u16::from(extra)) | (code << Lookup::CODE) | flags)
    }

    /// This and what follows it.
    fn and(self, following: Lookup) -> Lookup {
        Lookup(self.0.wrapping_add(following.0))
    }

    /// At most 24.
    fn bits(self) -> u32 {
        u32::from(self.0) % (1 << Lookup::CODE)
    }

    fn skip(self, buffer: u64) -> u64 {
        // Takes the lowest six bits of its argument, which are just the count.
        buffer.wrapping_shr(self.0.into())
    }

    fn code(self) -> u32 {
        u32::from(self.0 >> Lookup::CODE) % 16
    }

    fn next_table(self) -> usize {
        usize::from(self.0 & Lookup::DISTANCE)
    }

    fn is_literal(self) -> bool {
        self.0 & (Lookup::RARE | Lookup::DISTANCE) == 0
    }

    fn is_rare(self) -> bool {
        self.0 & Lookup::RARE != 0
    }
}

impl Tables {
    fn new() -> Tables {
        Tables(Box::new([Lookup(Lookup::RARE); 2 * TABLE_SIZE]))
    }

    fn set(&mut self, codes: &CodePair) {
        let (symbols, distances) = self.0.split_at_mut(TABLE_SIZE);
        distances.fill(Lookup(Lookup::RARE | Lookup::DISTANCE));
        codes.distances.fill(distances, |distance, code| Lookup::new(code, distance_extra(distance), 0));
        let mut single = [Lookup(Lookup::RARE); TABLE_SIZE];
        codes.symbols.fill(&mut single, |symbol, code| match symbol {
            ..END_OF_BLOCK => Lookup::new(code, 0, 0),
            END_OF_BLOCK => Lookup(Lookup::RARE),
            length => Lookup::new(code, length_extra(length), Lookup::DISTANCE),
        });
        for (index, combined) in symbols.iter_mut().enumerate() {
            let step = single[index];
            let following = single[index >> step.code()];
            let fits = step.code() + following.code() <= TABLE_BITS;
            // No branch: literals come in no order that a processor could guess.
            let pair = step.is_literal() & !following.is_rare() & fits;
            *combined = if pair { step.and(following) } else { step };
        }
    }

    /// Moves walkers of one stream over all that looks into the tables find, until one is past its limit, at what is rare or
    /// near the end of the stream. Nearly everything is skipped here, so this loop is what a walk costs. It has no branch
    /// that depends on what is found.
    fn skip_usual<'a, const COUNT: usize>(
        &self,
        mut walkers: [Walker<'a>; COUNT],
        limits: [usize; COUNT],
    ) -> [Walker<'a>; COUNT] {
        walkers.iter_mut().for_each(|walker| walker.bits.fill());
        if walkers.iter().any(|walker| walker.bits.count < TABLE_BITS) {
            return walkers;
        }
        let look = |buffer: u64, after: Lookup| self.0[after.next_table() | (buffer as usize % TABLE_SIZE)];
        let bytes = std::array::from_fn::<_, COUNT, _>(|at| {
            let bytes = walkers[at].bits.bytes;
            bytes.get(..limits[at].saturating_add(8)).unwrap_or(bytes)
        });
        let mut next = walkers.map(|walker| walker.bits.next);
        let mut buffer = walkers.map(|walker| walker.bits.buffer);
        let mut count = walkers.map(|walker| walker.bits.count);
        let mut last = walkers.map(|walker| Lookup(if walker.due == Due::Distance { Lookup::DISTANCE } else { 0 }));
        let mut goes_on = true;
        while goes_on {
            for at in 0..COUNT {
                let Some(eight) = bytes[at].get(next[at]..).and_then(|rest| rest.first_chunk()) else {
                    goes_on = false;
                    continue;
                };
                // The bits for this look are here already: it does not wait for the next ones.
                let first = look(buffer[at], last[at]);
                // As in `fill`: at least 56 bits, of which one of two looks takes 11 and 5 at most, and the other 11 and 13.
                // That leaves 16.
                buffer[at] |= u64::from_le_bytes(*eight) << count[at];
                next[at] += (63 - count[at] as usize) / 8;
                count[at] |= 56;
                buffer[at] = first.skip(buffer[at]);
                last[at] = look(buffer[at], first);
                buffer[at] = last[at].skip(buffer[at]);
                count[at] -= first.and(last[at]).bits();
                goes_on &= !last[at].is_rare();
            }
        }
        for (at, walker) in walkers.iter_mut().enumerate() {
            walker.bits = Bits { bytes: walker.bits.bytes, next: next[at], buffer: buffer[at], count: count[at] };
            walker.due = if last[at].next_table() == 0 { Due::Symbol } else { Due::Distance };
        }
        walkers
    }
}

fn length_extra(symbol: u16) -> u8 {
    LENGTH_EXTRA[usize::from(symbol - 257)]
}

fn distance_extra(distance: u16) -> u8 {
    DISTANCE_EXTRA[usize::from(distance)]
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

    /// Puts the step of each symbol whose code is short enough wherever that code stands before other bits.
    fn fill(&self, table: &mut [Lookup], step: impl Fn(u16, u32) -> Lookup) {
        let (mut next, mut index) = (0u32, 0);
        for length in 1..=TABLE_BITS {
            let count = usize::from(self.counts[length as usize]);
            for symbol in &self.symbols[index..index + count] {
                // Codes are stored from their most significant bit, everything else from its least.
                let reversed = (next.reverse_bits() >> (32 - length)) as usize;
                let step = step(*symbol, length);
                table[reversed..].iter_mut().step_by(1 << length).for_each(|slot| *slot = step);
                next += 1;
            }
            index += count;
            next <<= 1;
        }
    }

    /// Reads one symbol.
    fn read(&self, bits: &mut Bits) -> Option<u16> {
        if bits.count < LONGEST_CODE as u32 {
            bits.fill();
        }
        let ahead = bits.buffer.reverse_bits();
        let (mut first, mut index) = (0u32, 0u32);
        for length in 1..=LONGEST_CODE {
            let code = (ahead >> (64 - length)) as u32;
            let count = u32::from(self.counts[length]);
            if code < first + count {
                bits.skip(length as u8)?;
                return self.symbols.get((index + code - first) as usize).copied();
            }
            index += count;
            first = (first + count) << 1;
        }
        None
    }
}

/// Bits of a stream, the least significant of a byte first.
#[derive(Clone, Copy)]
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
