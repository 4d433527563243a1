//! The alphabets of deflate (RFC 1951, 3.2.5), and how often each symbol occurs.

/// The longest distance.
pub const WINDOW: usize = 1 << 15;

/// The longest length.
pub const LONGEST: usize = 258;

/// The shortest length.
pub const SHORTEST: usize = 3;

pub const END_OF_BLOCK: usize = 256;

/// The size of the alphabet for literals, the end of a block and lengths; the last two never occur.
pub const LITERALS: usize = 288;

/// The size of the alphabet for distances; the last two never occur.
pub const DISTANCES: usize = 32;

/// How often each symbol occurs.
#[derive(Debug, Clone)]
pub struct Counts {
    pub literals: [u32; LITERALS],
    pub distances: [u32; DISTANCES],
}

impl Counts {
    pub const NONE: Counts = Counts { literals: [0; LITERALS], distances: [0; DISTANCES] };

    pub fn add(&mut self, other: &Counts) {
        self.literals.iter_mut().zip(&other.literals).for_each(|(count, more)| *count += more);
        self.distances.iter_mut().zip(&other.distances).for_each(|(count, more)| *count += more);
    }

    #[inline(always)]
    pub fn count_literal(&mut self, literal: u8) {
        self.literals[usize::from(literal)] += 1;
    }

    #[inline(always)]
    pub fn count_repeat(&mut self, length: usize, distance: usize) {
        self.literals[length_symbol(length)] += 1;
        self.distances[distance_symbol(distance)] += 1;
    }
}

#[inline(always)]
pub fn length_symbol(length: usize) -> usize {
    END_OF_BLOCK + usize::from(LENGTH_SYMBOLS[length.min(LONGEST)])
}

/// Returns the shortest of the lengths that a symbol above [`END_OF_BLOCK`] stands for.
pub fn length_base(symbol: usize) -> usize {
    usize::from(LENGTH_BASES[symbol - END_OF_BLOCK - 1])
}

/// Returns how many bits behind a symbol say which of its lengths it is; none behind literals.
pub fn length_extra(symbol: usize) -> u32 {
    match symbol {
        265..=284 => (symbol as u32 - 261) / 4,
        _ => 0,
    }
}

#[inline(always)]
pub fn distance_symbol(distance: usize) -> usize {
    let distance = (distance - 1) % WINDOW;
    if distance < 2 {
        return distance;
    }
    let magnitude = distance.ilog2();
    2 * magnitude as usize + (distance >> (magnitude - 1) & 1)
}

/// Returns the shortest of the distances that a symbol stands for.
#[inline(always)]
pub fn distance_base(symbol: usize) -> usize {
    match symbol {
        0..2 => symbol + 1,
        _ => ((2 + symbol % 2) << distance_extra(symbol)) + 1,
    }
}

/// Returns how many bits behind a symbol say which of its distances it is.
#[inline(always)]
pub fn distance_extra(symbol: usize) -> u32 {
    (symbol as u32 / 2).saturating_sub(1)
}

const LENGTH_BASES: [u16; 29] =
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];

/// By length; counted from [`END_OF_BLOCK`].
const LENGTH_SYMBOLS: [u8; LONGEST + 1] = {
    let mut symbols = [0; LONGEST + 1];
    let mut symbol = 0;
    let mut length = SHORTEST;
    while length <= LONGEST {
        if symbol < LENGTH_BASES.len() && length == LENGTH_BASES[symbol] as usize {
            symbol += 1;
        }
        symbols[length] = symbol as u8;
        length += 1;
    }
    symbols
};

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1951, 3.2.5: code, extra bits, first and last length.
    const LENGTHS: [(usize, u32, usize, usize); 29] = [
        (257, 0, 3, 3),
        (258, 0, 4, 4),
        (259, 0, 5, 5),
        (260, 0, 6, 6),
        (261, 0, 7, 7),
        (262, 0, 8, 8),
        (263, 0, 9, 9),
        (264, 0, 10, 10),
        (265, 1, 11, 12),
        (266, 1, 13, 14),
        (267, 1, 15, 16),
        (268, 1, 17, 18),
        (269, 2, 19, 22),
        (270, 2, 23, 26),
        (271, 2, 27, 30),
        (272, 2, 31, 34),
        (273, 3, 35, 42),
        (274, 3, 43, 50),
        (275, 3, 51, 58),
        (276, 3, 59, 66),
        (277, 4, 67, 82),
        (278, 4, 83, 98),
        (279, 4, 99, 114),
        (280, 4, 115, 130),
        (281, 5, 131, 162),
        (282, 5, 163, 194),
        (283, 5, 195, 226),
        (284, 5, 227, 257),
        (285, 0, 258, 258),
    ];

    /// As above, of distances.
    const DISTANCES: [(usize, u32, usize, usize); 30] = [
        (0, 0, 1, 1),
        (1, 0, 2, 2),
        (2, 0, 3, 3),
        (3, 0, 4, 4),
        (4, 1, 5, 6),
        (5, 1, 7, 8),
        (6, 2, 9, 12),
        (7, 2, 13, 16),
        (8, 3, 17, 24),
        (9, 3, 25, 32),
        (10, 4, 33, 48),
        (11, 4, 49, 64),
        (12, 5, 65, 96),
        (13, 5, 97, 128),
        (14, 6, 129, 192),
        (15, 6, 193, 256),
        (16, 7, 257, 384),
        (17, 7, 385, 512),
        (18, 8, 513, 768),
        (19, 8, 769, 1024),
        (20, 9, 1025, 1536),
        (21, 9, 1537, 2048),
        (22, 10, 2049, 3072),
        (23, 10, 3073, 4096),
        (24, 11, 4097, 6144),
        (25, 11, 6145, 8192),
        (26, 12, 8193, 12288),
        (27, 12, 12289, 16384),
        (28, 13, 16385, 24576),
        (29, 13, 24577, 32768),
    ];

    #[test]
    fn lengths_are_those_of_the_specification() {
        for (symbol, extra, first, last) in LENGTHS {
            assert_eq!((length_base(symbol), length_extra(symbol)), (first, extra), "{symbol}");
            (first..=last).for_each(|length| assert_eq!(length_symbol(length), symbol, "{length}"));
        }
    }

    #[test]
    fn distances_are_those_of_the_specification() {
        for (symbol, extra, first, last) in DISTANCES {
            assert_eq!((distance_base(symbol), distance_extra(symbol)), (first, extra), "{symbol}");
            (first..=last).for_each(|distance| assert_eq!(distance_symbol(distance), symbol, "{distance}"));
        }
    }
}
