//! Text by a pattern, as C's `printf` makes it.

use num_bigint::{BigInt, Sign};
use unicode_segmentation::UnicodeSegmentation;

use super::function::{Arguments, Function, FunctionFailure, any, string};
use crate::plan::hcl::convert::convert;
use crate::plan::hcl::number::Number;
use crate::plan::hcl::typed::value_json;
use crate::plan::hcl::types::Type;
use crate::plan::hcl::value::Value;

/// The widest that a value may be made, and the most digits that a number may have behind its point.
const WIDEST: usize = 100_000;

/// Below which power of ten `%g` writes a number without an exponent, where no number of digits is given.
const PLAIN_POWERS: i64 = 6;

pub const FUNCTIONS: &[Function] = &[
    Function::new("format", &[string("format")], |given| {
        let values: Vec<&Value> = given.values.iter().skip(1).collect();
        Ok(Value::text(format(given, &values)?))
    })
    .and_more(any("args").or_null()),
    Function::new("formatlist", &[string("format")], format_list).and_more(any("args").or_null()),
];

/// Once for every element of the lists among the arguments, which are equally long.
fn format_list(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let mut count = None;
    for (place, value) in given.values.iter().enumerate().skip(1) {
        if let Some(elements) = value.as_elements()
            && *count.get_or_insert(elements.len()) != elements.len()
        {
            return Err(FunctionFailure::of(place, "the lists must have the same length"));
        }
    }
    let mut texts = Vec::new();
    for index in 0..count.unwrap_or(1) {
        let at = |value| match Value::as_elements(value) {
            Some(elements) => elements.get(index).unwrap_or(value),
            None => value,
        };
        let values: Vec<&Value> = given.values.iter().skip(1).map(at).collect();
        let text = format(given, &values).map_err(|failure| format!("element {index}: {}", failure.message))?;
        given.expect_text(text.len())?;
        texts.push(Value::text(text));
    }
    Ok(Value::list(Type::String, texts))
}

/// What stands between a `%` and the letter that ends it.
#[derive(Debug, Clone, Copy, Default)]
struct Verb {
    has_zeros: bool,
    is_sharp: bool,
    has_plus: bool,
    has_minus: bool,
    has_space: bool,
    width: Option<usize>,
    precision: Option<usize>,
    letter: char,
}

fn format(given: &Arguments<'_>, values: &[&Value]) -> Result<String, FunctionFailure> {
    let (mut rest, mut text) = (given.text(0), String::new());
    let (mut next, mut used) = (0, 0);
    while let Some((literal, after)) = rest.split_once('%') {
        text.push_str(literal);
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let (verb, place, after) = read_verb(after)?;
        let written = &rest[literal.len()..rest.len() - after.len()];
        let place = place.unwrap_or(next);
        let Some(value) = values.get(place) else {
            return Err(format!(
                "there is no value for `{written}`: it needs number {}, but there are {}",
                place + 1,
                values.len()
            )
            .into());
        };
        given.expect_text(verb.width.unwrap_or(0).max(verb.precision.unwrap_or(0)))?;
        let formatted = verb.format(value).map_err(|why| format!("`{written}`: {why}"))?;
        text.push_str(&formatted);
        given.expect_text(formatted.len())?;
        (next, used, rest) = (place + 1, used.max(place + 1), after);
    }
    text.push_str(rest);
    if used < values.len() {
        return Err(format!("there are {} values, but the pattern uses {used}", values.len()).into());
    }
    Ok(text)
}

/// Reads what stands behind a `%`: the verb, the place of its value if that is given, and what comes then.
fn read_verb(pattern: &str) -> Result<(Verb, Option<usize>, &str), FunctionFailure> {
    let mut verb = Verb::default();
    let mut rest = pattern;
    while let Some(flag) = rest.chars().next().filter(|c| "0#+- ".contains(*c)) {
        match flag {
            '0' => verb.has_zeros = true,
            '#' => verb.is_sharp = true,
            '+' => verb.has_plus = true,
            '-' => verb.has_minus = true,
            _ => verb.has_space = true,
        }
        rest = &rest[1..];
    }
    (verb.width, rest) = read_number(rest)?;
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = read_number(after)?;
        (verb.precision, rest) = (Some(precision.unwrap_or(0)), after);
    }
    let mut place = None;
    if let Some(after) = rest.strip_prefix('[') {
        let (number, after) = read_number(after)?;
        place = number.and_then(|number| number.checked_sub(1));
        rest = after.strip_prefix(']').filter(|_| place.is_some()).ok_or("`[` needs a number from 1 up and a `]`")?;
    }
    verb.letter = rest.chars().next().ok_or("the pattern ends after a `%`")?;
    Ok((verb, place, &rest[verb.letter.len_utf8()..]))
}

fn read_number(text: &str) -> Result<(Option<usize>, &str), FunctionFailure> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return Ok((None, text));
    }
    match text[..end].parse::<usize>() {
        Ok(number) if number <= WIDEST => Ok((Some(number), &text[end..])),
        _ => Err(format!("{} is more than {WIDEST}", &text[..end]).into()),
    }
}

impl Verb {
    fn format(&self, value: &Value) -> Result<String, String> {
        if value.is_null() && self.letter != 'v' {
            return Err("the value is null".to_owned());
        }
        match self.letter {
            'v' => match value {
                Value::String(text) if !self.is_sharp => Ok(self.padded(text)),
                Value::Number(number) if !self.is_sharp => Ok(self.padded(&number.general(None, 'e', PLAIN_POWERS))),
                _ => Ok(self.padded(&value_json(value)?)),
            },
            't' => Ok(convert(value, &Type::Bool)?.as_bool().unwrap_or_default().to_string()),
            'b' | 'd' | 'o' | 'x' | 'X' => self.integer(&number_of(value)?),
            'e' | 'E' | 'f' | 'g' | 'G' => Ok(self.float(&number_of(value)?)),
            's' | 'q' => {
                let value = convert(value, &Type::String)?;
                let text = value.as_text().unwrap_or_default();
                let text: String = match self.precision {
                    Some(count @ 1..) => text.graphemes(true).take(count).collect(),
                    _ => text.to_owned(),
                };
                Ok(self.padded(&if self.letter == 'q' { value_json(&Value::text(text))? } else { text }))
            }
            letter => Err(format!("there is no `{letter}`")),
        }
    }

    fn padded(&self, text: &str) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.graphemes(true).count());
        let padding = if self.has_zeros { "0" } else { " " }.repeat(missing);
        if self.has_minus { format!("{text}{padding}") } else { format!("{padding}{text}") }
    }

    fn integer(&self, number: &Number) -> Result<String, String> {
        let number: BigInt = number.to_integer().ok_or("expected a whole number")?;
        let (base, lead) = match self.letter {
            'b' => (2, "0b"),
            'o' => (8, "0"),
            'x' => (16, "0x"),
            'X' => (16, "0X"),
            _ => (10, ""),
        };
        let digits = number.magnitude().to_str_radix(base);
        let digits = if self.letter == 'X' { digits.to_uppercase() } else { digits };
        let digits = match self.precision {
            Some(0) if number == BigInt::ZERO => String::new(),
            Some(count) => format!("{digits:0>count$}"),
            None => digits,
        };
        let lead = if self.is_sharp { lead } else { "" };
        Ok(self.signed(number.sign() == Sign::Minus, lead, &digits, self.precision.is_none()))
    }

    fn float(&self, number: &Number) -> String {
        let absolute = number.absolute();
        let digits = match self.letter {
            'e' | 'E' => absolute.scientific(Some(self.precision.unwrap_or(6)), self.letter),
            'f' => absolute.fixed(Some(self.precision.unwrap_or(6))),
            'G' => absolute.general(self.precision, 'E', PLAIN_POWERS),
            _ => absolute.general(self.precision, 'e', PLAIN_POWERS),
        };
        self.signed(number.is_negative(), "", digits.trim_start_matches('+'), !number.is_infinite())
    }

    /// Zeros go between the sign and the digits.
    fn signed(&self, is_negative: bool, lead: &str, digits: &str, takes_zeros: bool) -> String {
        let sign = match is_negative {
            true => "-",
            false if self.has_plus => "+",
            false if self.has_space => " ",
            false => "",
        };
        let missing = self.width.unwrap_or(0).saturating_sub(sign.len() + lead.len() + digits.len());
        match (self.has_minus, self.has_zeros && takes_zeros) {
            (true, _) => format!("{sign}{lead}{digits}{}", " ".repeat(missing)),
            (_, true) => format!("{sign}{lead}{}{digits}", "0".repeat(missing)),
            _ => format!("{}{sign}{lead}{digits}", " ".repeat(missing)),
        }
    }
}

fn number_of(value: &Value) -> Result<Number, String> {
    let value = convert(value, &Type::Number)?;
    value.as_number().cloned().ok_or_else(|| "expected a number".to_owned())
}
