//! Blocks of a deflate stream (RFC 1951, 3.2.3 to 3.2.7).

use std::sync::LazyLock;

use super::bits::BitWriter;
use super::huffman::Codes;
use super::plain::Surrounded;
use super::repeats::four_bytes;
use super::symbols::{
    Counts, DISTANCES, END_OF_BLOCK, LITERALS, LONGEST, SHORTEST, WINDOW, distance_base, distance_extra,
    distance_symbol, length_base, length_extra, length_symbol,
};

/// Bytes as they are, and behind them bytes that repeat earlier ones.
#[derive(Debug, Clone, Copy)]
pub struct Sequence {
    pub literals: u32,
    /// None if it is 0.
    pub length: u16,
    pub distance: u16,
}

/// The content of a block.
pub struct BlockContent<'a> {
    /// All that `sequences` have.
    pub counts: &'a Counts,
    pub sequences: &'a [Sequence],
    pub plain: &'a Surrounded,
    /// Where the block begins and ends in the piece.
    pub start: usize,
    pub end: usize,
}

/// Writes a block in the shortest of its three forms; several blocks, if it is longer than one can be that is stored.
pub fn write_block(out: &mut BitWriter<'_>, content: &BlockContent<'_>, is_final: bool) {
    let mut counts = content.counts.clone();
    counts.literals[END_OF_BLOCK] = 1;
    let dynamic = Coding::dynamic(&counts);
    let header = Header::new(&dynamic);
    let (dynamic_bits, fixed_bits) = (header.bits() + dynamic.bits(&counts), FIXED_CODING.bits(&counts));
    if stored_bits(content.end - content.start) < dynamic_bits.min(fixed_bits) {
        let bytes = &content.plain[WINDOW + content.start..WINDOW + content.end];
        let parts = bytes.len().div_ceil(LONGEST_STORED);
        for (number, part) in bytes.chunks(LONGEST_STORED).enumerate() {
            write_stored(out, part, is_final && number + 1 == parts);
        }
    } else if fixed_bits <= dynamic_bits {
        out.add(FIXED | u32::from(is_final), 3);
        out.flush();
        write_sequences(out, &FIXED_CODING, content);
    } else {
        out.add(DYNAMIC | u32::from(is_final), 3);
        header.write(out);
        write_sequences(out, &dynamic, content);
    }
}

/// Writes a block with `bytes`, at most 65,535, as they are.
pub fn write_stored(out: &mut BitWriter<'_>, bytes: &[u8], is_final: bool) {
    out.add(STORED | u32::from(is_final), 3);
    out.align();
    let length = bytes.len() as u16;
    out.bytes(&length.to_le_bytes());
    out.bytes(&(!length).to_le_bytes());
    out.bytes(bytes);
}

// The type of a block, above the bit that says whether it is the last.
const STORED: u32 = 0b00 << 1;
const FIXED: u32 = 0b01 << 1;
const DYNAMIC: u32 = 0b10 << 1;

const LONGEST_STORED: usize = (1 << 16) - 1;

const LONGEST_CODE: usize = 15;

/// So that four of them fit between two flushes.
const LONGEST_LITERAL: usize = 14;

/// The longest of the codes for the lengths of codes, in bits.
const LONGEST_LENGTH: usize = 7;

fn stored_bits(length: usize) -> u64 {
    (length + 5 * length.div_ceil(LONGEST_STORED).max(1)) as u64 * 8
}

/// The same for every block (3.2.6), so it is made once.
static FIXED_CODING: LazyLock<Coding> = LazyLock::new(Coding::fixed);

/// The codes of a block.
struct Coding {
    literals: Codes<LITERALS>,
    distances: Codes<DISTANCES>,
}

impl Coding {
    fn dynamic(counts: &Counts) -> Self {
        Coding {
            literals: Codes::new(&counts.literals, LONGEST_LITERAL),
            distances: Codes::new(&counts.distances, LONGEST_CODE),
        }
    }

    fn fixed() -> Self {
        let length = |symbol| match symbol {
            0..144 => 8,
            144..256 => 9,
            256..280 => 7,
            _ => 8,
        };
        Coding {
            literals: Codes::of_lengths(std::array::from_fn(length)),
            distances: Codes::of_lengths([5; DISTANCES]),
        }
    }

    /// Returns the bits that symbols take which occur so often, with what is behind them.
    fn bits(&self, counts: &Counts) -> u64 {
        let sum = |counts: &[u32], lengths: &[u8], extra: fn(usize) -> u32| {
            let symbols = counts.iter().zip(lengths).enumerate();
            symbols
                .map(|(symbol, (count, length))| u64::from(*count) * u64::from(u32::from(*length) + extra(symbol)))
                .sum::<u64>()
        };
        3 + sum(&counts.literals, &self.literals.lengths, length_extra)
            + sum(&counts.distances, &self.distances.lengths, distance_extra)
    }
}

/// How a block tells its codes (3.2.7).
struct Header {
    literals: usize,
    distances: usize,
    lengths: Vec<CodeLength>,
    codes: Codes<{ ORDER.len() }>,
    /// How many of [`ORDER`] are told.
    told: usize,
}

/// A symbol of the alphabet for the lengths of codes, and the bits behind it.
struct CodeLength {
    symbol: usize,
    extra: u32,
    extra_bits: u32,
}

/// The order of the symbols of that alphabet.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

impl Header {
    fn new(coding: &Coding) -> Self {
        let used = |lengths: &[u8]| lengths.iter().rposition(|length| *length > 0).map_or(0, |last| last + 1);
        let literals = used(&coding.literals.lengths).max(END_OF_BLOCK + 1);
        let distances = used(&coding.distances.lengths).max(1);
        let both = [&coding.literals.lengths[..literals], &coding.distances.lengths[..distances]].concat();
        let lengths = code_lengths(&both);
        let mut counts = [0; ORDER.len()];
        lengths.iter().for_each(|length| counts[length.symbol] += 1);
        let codes = Codes::new(&counts, LONGEST_LENGTH);
        let told = ORDER.iter().rposition(|symbol| codes.lengths[*symbol] > 0).map_or(0, |last| last + 1).max(4);
        Header { literals, distances, lengths, codes, told }
    }

    fn bits(&self) -> u64 {
        let told = |length: &CodeLength| u64::from(self.codes.lengths[length.symbol]) + u64::from(length.extra_bits);
        14 + 3 * self.told as u64 + self.lengths.iter().map(told).sum::<u64>()
    }

    fn write(&self, out: &mut BitWriter<'_>) {
        out.add(self.literals as u32 - 257, 5);
        out.add(self.distances as u32 - 1, 5);
        out.add(self.told as u32 - 4, 4);
        for symbol in &ORDER[..self.told] {
            out.flush();
            out.add(u32::from(self.codes.lengths[*symbol]), 3);
        }
        for CodeLength { symbol, extra, extra_bits } in &self.lengths {
            out.flush();
            add_code(out, self.codes.codes[*symbol]);
            out.add(*extra, *extra_bits);
        }
        out.flush();
    }
}

/// Runs of one length are told as such.
fn code_lengths(lengths: &[u8]) -> Vec<CodeLength> {
    let mut told = Vec::with_capacity(lengths.len());
    let mut tell = |symbol, extra: usize, extra_bits| told.push(CodeLength { symbol, extra: extra as u32, extra_bits });
    for run in lengths.chunk_by(|a, b| a == b) {
        let length = usize::from(run[0]);
        let mut left = run.len();
        if length == 0 {
            while left >= 11 {
                let zeros = left.min(138);
                tell(18, zeros - 11, 7);
                left -= zeros;
            }
            if left >= 3 {
                tell(17, left - 3, 3);
                left = 0;
            }
        } else if left >= 4 {
            tell(length, 0, 0);
            left -= 1;
            while left >= 3 {
                let same = left.min(6);
                tell(16, same - 3, 2);
                left -= same;
            }
        }
        (0..left).for_each(|_| tell(length, 0, 0));
    }
    told
}

#[inline(always)]
fn add_code(out: &mut BitWriter<'_>, code: u32) {
    out.add(code >> 8, code & 0xff);
}

fn write_sequences(out: &mut BitWriter<'_>, coding: &Coding, content: &BlockContent<'_>) {
    // Of literals, and in the second half of nothing.
    let mut literal_codes = [0; 512];
    literal_codes[..256].copy_from_slice(&coding.literals.codes[..256]);
    let length_codes = length_codes(&coding.literals);
    let distance_codes = &coding.distances.codes;
    let mut at = content.start;
    for sequence in content.sequences {
        let mut left = sequence.literals as usize;
        let mut next = at;
        // Four at a time, be there so many or not: mostly there are fewer, and how many cannot be foreseen.
        loop {
            let four = four_bytes(content.plain, next);
            for nth in 0..4 {
                let literal = usize::from((four >> (8 * nth)) as u8);
                add_code(out, literal_codes[literal | usize::from(nth >= left) << 8]);
            }
            out.flush();
            if left <= 4 {
                break;
            }
            left -= 4;
            next += 4;
        }
        at += sequence.literals as usize + usize::from(sequence.length);
        if sequence.length > 0 {
            let distance = usize::from(sequence.distance);
            let symbol = distance_symbol(distance);
            add_code(out, length_codes[usize::from(sequence.length).min(LONGEST)]);
            add_code(out, distance_codes[symbol % DISTANCES]);
            out.add((distance - distance_base(symbol)) as u32, distance_extra(symbol));
            out.flush();
        }
    }
    add_code(out, coding.literals.codes[END_OF_BLOCK]);
    out.flush();
}

/// By length, with the bits behind the symbol.
fn length_codes(literals: &Codes<LITERALS>) -> [u32; LONGEST + 1] {
    let mut codes = [0; LONGEST + 1];
    for (length, code) in codes.iter_mut().enumerate().skip(SHORTEST) {
        let symbol = length_symbol(length);
        let (bits, count) = (literals.codes[symbol] >> 8, literals.codes[symbol] & 0xff);
        let extra = (length - length_base(symbol)) as u32;
        *code = (bits | extra << count) << 8 | (count + length_extra(symbol));
    }
    codes
}
