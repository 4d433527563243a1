//! The kinds of single values.

/// Kinds of single values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Text.
    pub const TEXT: Kinds = Kinds(1);
    /// A whole number.
    pub const INTEGER: Kinds = Kinds(2);
    /// Any number.
    pub const NUMBER: Kinds = Kinds(2 | 4);
    /// A truth.
    pub const BOOLEAN: Kinds = Kinds(8);
    /// Nothing.
    pub const NULL: Kinds = Kinds(16);
    /// A list or a mapping, which is not a single value.
    pub const MORE: Kinds = Kinds(32);

    /// Returns these and `other`.
    pub const fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Returns whether `other` are among these.
    pub const fn have(self, other: Kinds) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns what they are, for errors.
    pub fn wanted(self) -> String {
        let kinds = [
            (Kinds::TEXT, "text"),
            (Kinds::NUMBER, "a number"),
            (Kinds::INTEGER, "a whole number"),
            (Kinds::BOOLEAN, "true or false"),
        ];
        let is_said = |kind: Kinds| self.have(kind) && !(kind == Kinds::INTEGER && self.have(Kinds::NUMBER));
        let all: Vec<&str> = kinds.into_iter().filter(|(kind, _)| is_said(*kind)).map(|(_, name)| name).collect();
        all.join(" or ")
    }
}
