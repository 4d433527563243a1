//! Numbers of bytes as people read them.

use std::fmt;

/// The units above the byte, each 1024 of the one before.
const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes in the unit that leaves it below 1024, with two places behind the point: `1.50 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanBytes(pub u64);

impl fmt::Display for HumanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match unit(self.0) {
            None => write!(f, "{} B", self.0),
            Some((size, unit)) => write!(f, "{:.2} {unit}", self.0 as f64 / size),
        }
    }
}

/// Returns how much of `size` bytes there is, both in the unit of `size`: `12.1/29.1 MiB`.
pub fn part(bytes: u64, size: u64) -> String {
    match unit(size) {
        None => format!("{bytes}/{size} B"),
        Some((one, unit)) => format!("{:.1}/{:.1} {unit}", bytes as f64 / one, size as f64 / one),
    }
}

/// Returns a number of bytes with one place behind the point: `3.1 MiB`.
pub fn short(bytes: u64) -> String {
    match unit(bytes) {
        None => format!("{bytes} B"),
        Some((one, unit)) => format!("{:.1} {unit}", bytes as f64 / one),
    }
}

/// Returns the unit for a number of bytes, and how many bytes it has; none below 1024.
fn unit(bytes: u64) -> Option<(f64, &'static str)> {
    let power = (bytes.checked_ilog2()? / 10) as usize;
    let unit = UNITS.get(power.checked_sub(1)?)?;
    Some((1024_f64.powi(power as i32), unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_below_1024_of_its_unit() {
        for (bytes, text, brief) in [
            (0, "0 B", "0 B"),
            (1023, "1023 B", "1023 B"),
            (1024, "1.00 KiB", "1.0 KiB"),
            (3 << 19, "1.50 MiB", "1.5 MiB"),
            (u64::MAX, "16.00 EiB", "16.0 EiB"),
        ] {
            assert_eq!((HumanBytes(bytes).to_string().as_str(), short(bytes).as_str()), (text, brief));
        }
        assert_eq!(part(1 << 20, 3 << 20), "1.0/3.0 MiB");
        assert_eq!(part(10, 1000), "10/1000 B");
        assert_eq!(part(0, 0), "0/0 B");
    }
}
