//! Changes of permissions, as chmod has them.

use std::fmt;

use crate::error::{Error, Result};
use crate::oci::Encode;

const READ: u32 = 0o444;
const WRITE: u32 = 0o222;
const EXECUTE: u32 = 0o111;
const SET_ID: u32 = 0o6000;
const STICKY: u32 = 0o1000;
const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHER: u32 = 0o1007;
const ALL: u32 = 0o7777;

/// A change of permissions, octal or symbolic, as chmod(1) and docker's `--chmod` take it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mode(ModeChange);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ModeChange {
    Octal(u32),
    Symbolic(Vec<Action>),
}

/// One operator with its operand, for the bits of those in front of it: `u=rwX,go=rX` has two, `u-x+r` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Action {
    /// The bits that the clause's `u`, `g`, `o` and `a` name.
    affected: u32,
    operator: Operator,
    operand: Operand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operand {
    /// `X` is `search`: execution for directories and for what somebody may execute already.
    Bits { bits: u32, search: bool },
    /// The read, write and execute bits that the named class has now.
    Copy { class: u32 },
}

impl Encode for Mode {
    fn encode(&self, to: &mut Vec<u8>) {
        match &self.0 {
            ModeChange::Octal(bits) => (0u8, bits).encode(to),
            ModeChange::Symbolic(actions) => (1u8, actions).encode(to),
        }
    }
}

impl Encode for Action {
    fn encode(&self, to: &mut Vec<u8>) {
        let Action { affected, operator, operand } = self;
        let operator = match operator {
            Operator::Add => 0u8,
            Operator::Remove => 1,
            Operator::Set => 2,
        };
        (affected, &operator).encode(to);
        match operand {
            Operand::Bits { bits, search } => (0u8, bits, search).encode(to),
            Operand::Copy { class } => (1u8, class).encode(to),
        }
    }
}

/// A text that [`Mode::parse`] reads as the same.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ModeChange::Octal(bits) => write!(f, "{bits:04o}"),
            ModeChange::Symbolic(actions) => {
                let texts: Vec<String> = actions.iter().map(Action::text).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

impl Mode {
    /// Reads `0755` and `755` up to `07777`, or chmod's clauses, as in `u=rwX,go=rX`, `a+x`, `+t` and `g=u`.
    pub fn parse(text: &str) -> Result<Mode> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return octal(text).map(|bits| Mode(ModeChange::Octal(bits)));
        }
        let mut actions = Vec::new();
        for clause in text.split(',') {
            parse_clause(clause, &mut actions).ok_or_else(|| malformed(text, clause))?;
        }
        Ok(Mode(ModeChange::Symbolic(actions)))
    }

    /// Returns the low 12 bits of an object's mode after the change.
    ///
    /// - Symbolic clauses do what POSIX and GNU chmod do under umask 0. So the set-id bits of a directory stay unless
    ///   the clause names them with `s`.
    /// - An octal mode is meant for files. A directory that is changed along with them gets the search bit wherever
    ///   the mode has the read bit (docker's `--chmod=0644` leaves directories that nobody can enter), never a set-id
    ///   bit, and the sticky bit as given.
    pub fn apply(&self, current: u32, is_directory: bool) -> u32 {
        match &self.0 {
            ModeChange::Octal(bits) if is_directory => (bits & !SET_ID) | ((bits & READ) >> 2),
            ModeChange::Octal(bits) => *bits,
            ModeChange::Symbolic(actions) => {
                actions.iter().fold(current & ALL, |mode, action| action.apply(mode, is_directory))
            }
        }
    }

    /// Does as [`apply`](Mode::apply) does, but for an octal mode, which is that of directories too, bit for bit: so
    /// `--chmod` of a Dockerfile has it.
    pub fn apply_alike(&self, current: u32, is_directory: bool) -> u32 {
        match &self.0 {
            ModeChange::Octal(bits) => *bits,
            ModeChange::Symbolic(_) => self.apply(current, is_directory),
        }
    }

    /// Returns the mode of a directory that is made on the way to what gets this mode, whose own would be `usual`: so
    /// `--chmod` of a Dockerfile has it.
    pub fn of_made_directory(&self, usual: u32) -> u32 {
        match &self.0 {
            ModeChange::Octal(bits) => *bits,
            ModeChange::Symbolic(_) => usual,
        }
    }
}

impl Action {
    fn text(&self) -> String {
        let classes = |affected: u32| {
            ['u', 'g', 'o'].into_iter().filter(move |c| class_bits(*c).is_some_and(|bits| bits & affected != 0))
        };
        let sign = match self.operator {
            Operator::Add => '+',
            Operator::Remove => '-',
            Operator::Set => '=',
        };
        let operand: String = match self.operand {
            Operand::Copy { class } => classes(class).collect(),
            Operand::Bits { bits, search } => {
                let letters = [('r', READ), ('w', WRITE), ('x', EXECUTE), ('s', SET_ID), ('t', STICKY)];
                let named = letters.into_iter().filter(|(_, bit)| bits & bit != 0).map(|(letter, _)| letter);
                named.chain(search.then_some('X')).collect()
            }
        };
        format!("{}{sign}{operand}", classes(self.affected).collect::<String>())
    }

    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let named = match self.operand {
            Operand::Bits { bits, search: true } if is_directory || mode & EXECUTE != 0 => bits | EXECUTE,
            Operand::Bits { bits, .. } => bits,
            Operand::Copy { class } => {
                [READ, WRITE, EXECUTE].into_iter().filter(|permission| mode & class & permission != 0).sum()
            }
        };
        let value = named & self.affected;
        match self.operator {
            Operator::Add => mode | value,
            Operator::Remove => mode & !value,
            Operator::Set => {
                let kept = if is_directory { SET_ID & !value } else { 0 };
                (mode & (!self.affected | kept)) | value
            }
        }
    }
}

fn octal(text: &str) -> Result<u32> {
    let is_octal = text.bytes().all(|c| matches!(c, b'0'..=b'7'));
    u32::from_str_radix(text, 8).ok().filter(|bits| is_octal && *bits <= ALL).ok_or_else(|| malformed(text, text))
}

/// `[ugoa]*([-+=]([rwxXst]*|[ugo]))+`
fn parse_clause(clause: &str, actions: &mut Vec<Action>) -> Option<()> {
    let operators = |c: char| matches!(c, '+' | '-' | '=');
    let (who, mut rest) = clause.split_at(clause.find(operators)?);
    let mut affected = if who.is_empty() { ALL } else { 0 };
    for class in who.chars() {
        affected |= if class == 'a' { ALL } else { class_bits(class)? };
    }
    while let Some(sign) = rest.chars().next() {
        let operator = match sign {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            _ => Operator::Set,
        };
        let after = &rest[sign.len_utf8()..];
        let (operand, next) = after.split_at(after.find(operators).unwrap_or(after.len()));
        actions.push(Action { affected, operator, operand: parse_operand(operand)? });
        rest = next;
    }
    Some(())
}

fn parse_operand(text: &str) -> Option<Operand> {
    let mut letters = text.chars();
    if let (Some(letter), None) = (letters.next(), letters.next())
        && let Some(class) = class_bits(letter)
    {
        return Some(Operand::Copy { class });
    }
    let (mut bits, mut search) = (0, false);
    for letter in text.chars() {
        match letter {
            'r' => bits |= READ,
            'w' => bits |= WRITE,
            'x' => bits |= EXECUTE,
            'X' => search = true,
            's' => bits |= SET_ID,
            't' => bits |= STICKY,
            _ => return None,
        }
    }
    Some(Operand::Bits { bits, search })
}

fn class_bits(class: char) -> Option<u32> {
    match class {
        'u' => Some(USER),
        'g' => Some(GROUP),
        'o' => Some(OTHER),
        _ => None,
    }
}

fn malformed(text: &str, part: &str) -> Error {
    let message = match text == part {
        true => format!("`{text}` is not a mode"),
        false => format!("`{part}` in `{text}` is not a mode"),
    };
    Error::input(message)
        .with_hint("a mode is octal, as in `0755`, or made of chmod's clauses, as in `u=rwX,go=rX` or `a+x`")
}
