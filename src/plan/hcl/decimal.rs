//! Numbers as decimal text.

use std::fmt;

use num_bigint::BigUint;

use super::number::{Decimal, Number};

impl Decimal {
    /// Returns `mantissa × 2^exponent`.
    pub(super) fn new(mantissa: &BigUint, exponent: i64) -> Decimal {
        let whole = match exponent {
            0.. => mantissa << exponent.unsigned_abs(),
            _ => mantissa * BigUint::from(5u8).pow(exponent.unsigned_abs() as u32),
        };
        let mut digits = whole.to_radix_be(10);
        let point = digits.len() as i64 + exponent.min(0);
        digits.truncate(digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1));
        Decimal { point: if digits.is_empty() { 0 } else { point }, digits }
    }

    /// Returns the shortest number between `lower` and `upper`, which lie on both sides of this one and have their digits at the
    /// same places; the bounds themselves are between if `is_inclusive`.
    pub(super) fn between(mut self, lower: &Decimal, upper: &Decimal, is_inclusive: bool) -> Decimal {
        let at = |decimal: &Decimal, place: usize| decimal.digits.get(place).copied().unwrap_or(0);
        for place in 0..self.digits.len() {
            let (digit, low, high) = (self.digits[place], at(lower, place), at(upper, place));
            let may_fall = low != digit || (is_inclusive && place + 1 == lower.digits.len());
            let may_rise = digit != high && (is_inclusive || digit + 1 < high || place + 1 < upper.digits.len());
            match (may_fall, may_rise) {
                (true, true) => self.round(place + 1),
                (true, false) => self.cut(place + 1),
                (false, true) => self.rise(place + 1),
                (false, false) => continue,
            }
            break;
        }
        self
    }

    /// Rounds to `count` digits, and where two are as near to the even one.
    pub fn round(&mut self, count: usize) {
        if count >= self.digits.len() {
            return;
        }
        let is_even = count == 0 || self.digits[count - 1].is_multiple_of(2);
        match self.digits[count] {
            5 if count + 1 == self.digits.len() && is_even => self.cut(count),
            5.. => self.rise(count),
            _ => self.cut(count),
        }
    }

    /// Returns the digit `place` places behind the decimal point, those before it being negative.
    pub fn digit(&self, place: i64) -> char {
        let digit = usize::try_from(self.point + place).ok().and_then(|at| self.digits.get(at));
        char::from(b'0' + digit.copied().unwrap_or(0))
    }

    fn cut(&mut self, count: usize) {
        self.digits.truncate(count);
        let length = self.digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        self.digits.truncate(length);
        if length == 0 {
            self.point = 0;
        }
    }

    fn rise(&mut self, count: usize) {
        self.digits.truncate(count);
        while self.digits.last() == Some(&9) {
            self.digits.pop();
        }
        match self.digits.last_mut() {
            Some(last) => *last += 1,
            None => {
                self.digits.push(1);
                self.point += 1;
            }
        }
    }
}

impl Number {
    /// Returns it with so many digits behind the point; without a number of them, with as many as it needs.
    pub fn fixed(&self, places: Option<usize>) -> String {
        let (sign, decimal) = (if self.is_negative() { "-" } else { "" }, self.shortest());
        let Some(decimal) = decimal else {
            return self.infinity().to_owned();
        };
        let (decimal, places) = match (places, self.exact()) {
            (Some(places), Some(mut exact)) => {
                if let Ok(count) = usize::try_from(exact.point + places as i64) {
                    exact.round(count);
                } else {
                    exact.digits.clear();
                    exact.point = 0;
                }
                (exact, places as i64)
            }
            _ => {
                let places = (decimal.digits.len() as i64 - decimal.point).max(0);
                (decimal, places)
            }
        };
        let whole: String = match decimal.point {
            1.. => (-decimal.point..0).map(|place| decimal.digit(place)).collect(),
            _ => "0".to_owned(),
        };
        let fraction: String = (0..places).map(|place| decimal.digit(place)).collect();
        if places > 0 { format!("{sign}{whole}.{fraction}") } else { format!("{sign}{whole}") }
    }

    /// Returns it with one digit before the point, so many behind it, and an exponent; without a number of them, with as many as
    /// it needs.
    pub fn scientific(&self, places: Option<usize>, e: char) -> String {
        let decimal = match places {
            None => self.shortest(),
            Some(places) => self.exact().map(|mut exact| {
                exact.round(places + 1);
                exact
            }),
        };
        match decimal {
            Some(decimal) => self.scientific_of(&decimal, places, e),
            None => self.infinity().to_owned(),
        }
    }

    /// Returns it in the shorter of both forms, with so many digits in all; without a number of them, with as many as it needs.
    /// The exponent shows from `10^limit` on where no number of digits is given, and below `10^-4`.
    pub fn general(&self, count: Option<usize>, e: char, limit: i64) -> String {
        let decimal = match count {
            None => self.shortest(),
            Some(count) => self.exact().map(|mut exact| {
                exact.round(count.max(1));
                exact
            }),
        };
        let Some(decimal) = decimal else {
            return self.infinity().to_owned();
        };
        let (power, length) = (decimal.point - 1, decimal.digits.len() as i64);
        let limit = match count {
            None => limit,
            Some(count) => match count.max(1) as i64 {
                count if count > length && length >= decimal.point => length,
                count => count,
            },
        };
        if !decimal.digits.is_empty() && (power < -4 || power >= limit) {
            let places = decimal.digits.len() - 1;
            return self.scientific_of(&decimal, Some(places), e);
        }
        self.fixed(Some((length - decimal.point).max(0) as usize))
    }

    fn scientific_of(&self, decimal: &Decimal, places: Option<usize>, e: char) -> String {
        let sign = if self.is_negative() { "-" } else { "" };
        let places = places.unwrap_or(decimal.digits.len().saturating_sub(1));
        let digit = |place: usize| char::from(b'0' + decimal.digits.get(place).copied().unwrap_or(0));
        let fraction: String = (1..=places).map(digit).collect();
        let power = if decimal.digits.is_empty() { 0 } else { decimal.point - 1 };
        let dot = if places > 0 { "." } else { "" };
        let power_sign = if power < 0 { '-' } else { '+' };
        format!("{sign}{}{dot}{fraction}{e}{power_sign}{:02}", digit(0), power.abs())
    }

    fn infinity(&self) -> &'static str {
        if self.is_negative() { "-Inf" } else { "+Inf" }
    }
}

impl fmt::Display for Number {
    /// As values have it that become text: the fewest digits that tell it from others, without an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fixed(None))
    }
}
