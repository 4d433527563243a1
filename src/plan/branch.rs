//! The branch that a checkout is on, and how tags spell it.

/// The branch that is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The branch's name without `refs/heads/`.
    pub name: String,
    /// Hexadecimal, in full.
    pub commit: String,
    /// The remote has it as its default branch.
    pub is_default: bool,
}

impl Branch {
    /// Returns the branch of this name at `commit`. Where nobody says which one is the `default`, it is that called main or
    /// master.
    pub fn of(name: String, commit: &str, default: Option<&str>) -> Self {
        let is_default = default.map_or(matches!(name.as_str(), "main" | "master"), |default| default == name);
        Branch { name, commit: commit.to_owned(), is_default }
    }

    /// Returns the branch's name as a tag spells it.
    pub fn tag(&self) -> String {
        branch_tag(&self.name)
    }

    /// Returns the tag of the commit: `main-<sha7>`.
    pub fn commit_tag(&self) -> String {
        format!("{}-{}", self.tag(), self.short_commit())
    }

    /// Returns the first seven digits of the commit.
    pub fn short_commit(&self) -> String {
        self.commit.chars().take(7).collect()
    }
}

/// Returns the name of a branch with `-` for each character that no tag may hold.
pub fn branch_tag(branch: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    branch.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
}
