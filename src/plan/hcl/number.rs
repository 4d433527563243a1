//! Numbers: binary fractions of as many bits as a number has, 512 for those that are written down.

use std::cmp::Ordering;

use num_bigint::{BigInt, BigUint, Sign};

/// The bits of a number that is read from text.
const TEXT_PRECISION: u64 = 512;

/// The bits of a number that was counted.
const COUNT_PRECISION: u64 = 64;

/// The powers of two between which numbers lie. What is beyond would take long to write down.
const LARGEST_EXPONENT: i64 = 8_000;

/// The powers of ten between which numbers are read.
const LARGEST_POWER: i64 = 2_000;

/// A number: `±mantissa × 2^exponent`, rounded to so many bits, or infinite. It keeps how exact it is, for that decides how it is
/// written, and how exact a number is that is made of it.
#[derive(Debug, Clone)]
pub struct Number {
    is_negative: bool,
    magnitude: Magnitude,
    /// In bits; at least 1.
    precision: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Magnitude {
    /// The mantissa is odd, or 0 together with the exponent.
    Finite(BigUint, i64),
    Infinite,
}

/// Its digits and the power of ten that the first of them has, plus one: `0.digits × 10^point`. Zero has none.
#[derive(Debug, Clone)]
pub struct Decimal {
    /// From 0 to 9; neither the first nor the last is 0.
    pub digits: Vec<u8>,
    /// Where the decimal point is, counted from before the first digit.
    pub point: i64,
}

impl Number {
    /// Reads a decimal number, with or without a sign, a fraction and an exponent. Returns none for what is not a number, and for one
    /// that is beyond all use.
    pub fn parse(text: &str) -> Option<Number> {
        let (is_negative, text) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (decimal, power) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty()
            || digits.len() > LARGEST_POWER as usize
            || !digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let power = power.checked_sub(fraction.len() as i64)?;
        if power.abs() > LARGEST_POWER {
            return None;
        }
        let digits = BigUint::parse_bytes(digits.as_bytes(), 10)?;
        let five = BigUint::from(5u8).pow(power.unsigned_abs() as u32);
        Some(match power {
            0.. => Number::rounded(is_negative, digits * five, power, false, TEXT_PRECISION),
            _ => Number::quotient(is_negative, digits, five, power, TEXT_PRECISION),
        })
    }

    /// Returns `number` as exact as Go has its floating point numbers; none if it is not a number at all.
    pub fn from_f64(number: f64) -> Option<Number> {
        if number.is_nan() {
            return None;
        }
        if number.is_infinite() {
            return Some(Number { is_negative: number < 0.0, magnitude: Magnitude::Infinite, precision: 53 });
        }
        let bits = number.abs().to_bits();
        let (fraction, power) = (bits & ((1 << 52) - 1), (bits >> 52) as i64);
        let (mantissa, exponent) = if power == 0 { (fraction, -1074) } else { (fraction | 1 << 52, power - 1075) };
        Some(Number::rounded(number.is_sign_negative(), mantissa.into(), exponent, false, 53))
    }

    /// Returns a whole number with all of its bits.
    pub fn from_integer(number: &BigInt) -> Number {
        Number::integer(number, number.bits().max(COUNT_PRECISION))
    }

    /// Returns a whole number that is as exact as this one.
    pub fn as_exact(&self, number: &BigInt) -> Number {
        Number::integer(number, self.precision)
    }

    fn integer(number: &BigInt, precision: u64) -> Number {
        Number::rounded(number.sign() == Sign::Minus, number.magnitude().clone(), 0, false, precision)
    }

    /// Rounds to the nearest, and of two that are as near to the even one. `is_more` says that a bit less than the last of the
    /// mantissa is left out.
    fn rounded(is_negative: bool, mantissa: BigUint, exponent: i64, is_more: bool, precision: u64) -> Number {
        let (mut mantissa, mut exponent) = (mantissa, exponent);
        let excess = mantissa.bits().saturating_sub(precision);
        if excess > 0 {
            let is_half = mantissa.bit(excess - 1);
            let is_above = is_more || mantissa.trailing_zeros().is_some_and(|zeros| zeros < excess - 1);
            mantissa >>= excess;
            exponent += excess as i64;
            if is_half && (is_above || mantissa.bit(0)) {
                mantissa += 1u8;
            }
        }
        match mantissa.trailing_zeros() {
            None => exponent = 0,
            Some(zeros) => {
                mantissa >>= zeros;
                exponent += zeros as i64;
            }
        }
        let magnitude = match exponent.saturating_add(mantissa.bits() as i64) {
            large if large > LARGEST_EXPONENT => Magnitude::Infinite,
            small if small < -LARGEST_EXPONENT => Magnitude::Finite(BigUint::ZERO, 0),
            _ => Magnitude::Finite(mantissa, exponent),
        };
        Number { is_negative, magnitude, precision }
    }

    /// Returns `numerator / denominator × 2^exponent`, where the denominator is not 0.
    fn quotient(is_negative: bool, numerator: BigUint, denominator: BigUint, exponent: i64, precision: u64) -> Number {
        // One bit more than are kept, and one for where the mantissas lie to each other.
        let shift = (precision + 2 + denominator.bits()).saturating_sub(numerator.bits());
        let numerator = numerator << shift;
        let quotient = &numerator / &denominator;
        let is_more = &quotient * &denominator != numerator;
        // What is left out is seen even where no bit of the quotient is.
        let (quotient, exponent) = (quotient << 1u8 | BigUint::from(u8::from(is_more)), exponent - shift as i64 - 1);
        Number::rounded(is_negative, quotient, exponent, is_more, precision)
    }

    /// Returns the sum; none for one of infinities that cancel each other.
    pub fn add(&self, other: &Number) -> Option<Number> {
        self.sum(other, self.precision.max(other.precision))
    }

    fn sum(&self, other: &Number, precision: u64) -> Option<Number> {
        let (Magnitude::Finite(own, own_exponent), Magnitude::Finite(others, other_exponent)) =
            (&self.magnitude, &other.magnitude)
        else {
            return match (self.is_infinite(), other.is_infinite()) {
                (true, true) if self.is_negative != other.is_negative => None,
                (true, _) => Some(self.clone()),
                _ => Some(other.clone()),
            };
        };
        let exponent = *own_exponent.min(other_exponent);
        let signed = |is_negative: bool, mantissa: &BigUint, from: i64| {
            let sign = if is_negative { Sign::Minus } else { Sign::Plus };
            BigInt::from_biguint(sign, mantissa << (from - exponent) as u64)
        };
        let sum = signed(self.is_negative, own, *own_exponent) + signed(other.is_negative, others, *other_exponent);
        let is_negative = match sum.sign() {
            Sign::Minus => true,
            Sign::Plus => false,
            Sign::NoSign => self.is_negative && other.is_negative,
        };
        Some(Number::rounded(is_negative, sum.into_parts().1, exponent, false, precision))
    }

    /// Returns the difference; none for one of equal infinities.
    pub fn subtract(&self, other: &Number) -> Option<Number> {
        self.add(&other.negate())
    }

    /// Returns the product; none for that of zero and an infinity.
    pub fn multiply(&self, other: &Number) -> Option<Number> {
        self.product(other, self.precision.max(other.precision))
    }

    fn product(&self, other: &Number, precision: u64) -> Option<Number> {
        let is_negative = self.is_negative != other.is_negative;
        match (&self.magnitude, &other.magnitude) {
            (Magnitude::Finite(own, own_exponent), Magnitude::Finite(others, other_exponent)) => {
                Some(Number::rounded(is_negative, own * others, own_exponent + other_exponent, false, precision))
            }
            _ if self.is_zero() || other.is_zero() => None,
            _ => Some(Number { is_negative, magnitude: Magnitude::Infinite, precision }),
        }
    }

    /// Returns the quotient, infinite for a division by zero; none for that of two zeros or two infinities.
    pub fn divide(&self, other: &Number) -> Option<Number> {
        let is_negative = self.is_negative != other.is_negative;
        let precision = self.precision.max(other.precision);
        let (Magnitude::Finite(own, own_exponent), Magnitude::Finite(others, other_exponent)) =
            (&self.magnitude, &other.magnitude)
        else {
            return match (self.is_infinite(), other.is_infinite()) {
                (true, true) => None,
                (true, _) => Some(Number { is_negative, magnitude: Magnitude::Infinite, precision }),
                _ => Some(Number { is_negative, magnitude: Magnitude::Finite(BigUint::ZERO, 0), precision }),
            };
        };
        match (self.is_zero(), other.is_zero()) {
            (true, true) => None,
            (_, true) => Some(Number { is_negative, magnitude: Magnitude::Infinite, precision }),
            _ => Some(Number::quotient(
                is_negative,
                own.clone(),
                others.clone(),
                own_exponent - other_exponent,
                precision,
            )),
        }
    }

    /// Returns what is left of a division to a whole number; the number itself for a division by zero.
    pub fn modulo(&self, other: &Number) -> Option<Number> {
        if self.is_infinite() || other.is_infinite() {
            return self.multiply(other);
        }
        if other.is_zero() {
            return Some(self.clone());
        }
        let wholes = self.as_exact(&self.divide(other)?.truncated()?);
        self.sum(&wholes.product(other, self.precision)?.negate(), self.precision)
    }

    /// Returns the number with the other sign.
    pub fn negate(&self) -> Number {
        Number { is_negative: !self.is_negative, ..self.clone() }
    }

    /// Returns the number without its sign.
    pub fn absolute(&self) -> Number {
        Number { is_negative: false, ..self.clone() }
    }

    /// Returns whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.magnitude == Magnitude::Finite(BigUint::ZERO, 0)
    }

    /// Returns whether it is infinite.
    pub fn is_infinite(&self) -> bool {
        self.magnitude == Magnitude::Infinite
    }

    /// Returns whether it is below zero, or the zero that is.
    pub fn is_negative(&self) -> bool {
        self.is_negative
    }

    /// Returns the whole number that it is; none if it is none.
    pub fn to_integer(&self) -> Option<BigInt> {
        match &self.magnitude {
            Magnitude::Finite(_, exponent) if *exponent >= 0 => self.truncated(),
            _ => None,
        }
    }

    /// Returns it as an index or a count; none if it is not a whole number, or too large.
    pub fn to_i64(&self) -> Option<i64> {
        self.to_integer()?.try_into().ok()
    }

    /// Returns the whole number between it and zero that is the nearest; none for an infinity.
    pub fn truncated(&self) -> Option<BigInt> {
        let Magnitude::Finite(mantissa, exponent) = &self.magnitude else {
            return None;
        };
        let whole =
            if *exponent < 0 { mantissa >> exponent.unsigned_abs() } else { mantissa << exponent.unsigned_abs() };
        Some(BigInt::from_biguint(if self.is_negative { Sign::Minus } else { Sign::Plus }, whole))
    }

    /// Returns the number as near as Go has its floating point numbers.
    pub fn to_f64(&self) -> f64 {
        let sign = if self.is_negative { -1.0 } else { 1.0 };
        if self.is_infinite() {
            return sign * f64::INFINITY;
        }
        // The text of a number is nearer than half a step of the floating point number, for it has more bits.
        sign * self.absolute().to_string().parse::<f64>().unwrap_or_default()
    }

    /// Returns it exactly; none for an infinity.
    pub fn exact(&self) -> Option<Decimal> {
        match &self.magnitude {
            Magnitude::Finite(mantissa, exponent) => Some(Decimal::new(mantissa, *exponent)),
            Magnitude::Infinite => None,
        }
    }

    /// Returns the fewest digits that only this number of its exactness has; none for an infinity.
    pub fn shortest(&self) -> Option<Decimal> {
        let Magnitude::Finite(mantissa, exponent) = &self.magnitude else {
            return None;
        };
        let decimal = Decimal::new(mantissa, *exponent);
        let bits = mantissa.bits();
        if decimal.digits.is_empty() || (*exponent >= 0 && bits + exponent.unsigned_abs() <= self.precision) {
            return Some(decimal);
        }
        // The bounds lie half of the last bit below and above.
        let shift = (self.precision + 1).saturating_sub(bits);
        let (mantissa, exponent) = (mantissa << shift, exponent - shift as i64);
        let (lower, upper) = (Decimal::new(&(&mantissa - 1u8), exponent), Decimal::new(&(&mantissa + 1u8), exponent));
        Some(decimal.between(&lower, &upper, !mantissa.bit(1)))
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Number {
        Number::rounded(number < 0, number.unsigned_abs().into(), 0, false, COUNT_PRECISION)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Number {
        Number::rounded(false, number.into(), 0, false, COUNT_PRECISION)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        let sign = |number: &Number| match number.is_negative {
            _ if number.is_zero() => 0,
            true => -1,
            false => 1,
        };
        let magnitude = || match (&self.magnitude, &other.magnitude) {
            (Magnitude::Infinite, Magnitude::Infinite) => Ordering::Equal,
            (Magnitude::Infinite, _) => Ordering::Greater,
            (_, Magnitude::Infinite) => Ordering::Less,
            (Magnitude::Finite(own, own_exponent), Magnitude::Finite(others, other_exponent)) => {
                let exponent = own_exponent.min(other_exponent);
                (own << (own_exponent - exponent) as u64).cmp(&(others << (other_exponent - exponent) as u64))
            }
        };
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => magnitude(),
            _ => magnitude().reverse(),
        })
    }
}
