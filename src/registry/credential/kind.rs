//! What a registry knows its user by.

use std::fmt;

/// In place of a user name: the secret is an identity token.
pub(super) const TOKEN_USER: &str = "<token>";

/// The proof by which a registry knows its user. `Debug` does not show the secret part.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A name and a password, for the registry or its token server (RFC 7617).
    Basic {
        /// The user's name.
        user: String,
        /// The password, or a token in its place.
        password: String,
    },
    /// An OAuth2 refresh token; `user` is the one it was issued to, where that is known.
    IdentityToken {
        /// The user's name; none where nobody knows it.
        user: Option<String>,
        /// The refresh token, which a token server changes for others.
        token: String,
    },
    /// A token that the registry itself takes (docker's `registrytoken`); no token server is asked.
    RegistryToken {
        /// The token, sent as it is.
        token: String,
    },
}

impl Credential {
    /// Returns the user, for people; it is not secret.
    pub fn user(&self) -> &str {
        match self {
            Credential::Basic { user, .. } => user,
            Credential::IdentityToken { user, .. } => user.as_deref().unwrap_or(TOKEN_USER),
            Credential::RegistryToken { .. } => TOKEN_USER,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Credential::Basic { .. } => "Basic",
            Credential::IdentityToken { .. } => "IdentityToken",
            Credential::RegistryToken { .. } => "RegistryToken",
        };
        f.debug_struct(name).field("user", &self.user()).finish_non_exhaustive()
    }
}

/// The credentials for one registry: each for the repositories below a path of it, or for all of them.
#[derive(Debug, Clone, Default)]
pub struct Keyring(pub(super) Vec<(String, Credential)>);

impl Keyring {
    /// Returns the credential for a repository, or that for all of the registry if `repository` is none.
    pub fn credential(&self, repository: Option<&str>) -> Option<&Credential> {
        let repository = repository.unwrap_or_default();
        let covers = |path: &str| {
            let below = repository.strip_prefix(path);
            path.is_empty() || below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        self.0.iter().find(|(path, _)| covers(path)).map(|(_, credential)| credential)
    }
}

impl From<Credential> for Keyring {
    /// A credential for all of a registry.
    fn from(credential: Credential) -> Self {
        Keyring(vec![(String::new(), credential)])
    }
}
