//! `ocibake login` and `ocibake logout`: the credentials of registries.

use std::io::{IsTerminal, Read};

use clap::Args;

use super::environment::Environment;
use super::print::{self, tell};
use super::progress::Reporter;
use crate::error::{Error, Result};
use crate::registry::Credential;

const DEFAULT_REGISTRY: &str = "docker.io";

/// Log in to a registry; the credentials are kept where docker keeps them
#[derive(Debug, Args)]
pub struct LoginArguments {
    /// Host, and port if needed, such as registry.example or 127.0.0.1:5000; what follows a slash is ignored, as with docker
    #[arg(value_name = "REGISTRY", default_value = DEFAULT_REGISTRY)]
    registry: String,
    /// User name; asked for if it is left out
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    /// Password or token, which every user of this machine can see: better use --password-stdin
    #[arg(short, long, value_name = "PASSWORD", conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password or token from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

/// Forget the credentials of a registry
#[derive(Debug, Args)]
pub struct LogoutArguments {
    /// Registry to log out of
    #[arg(value_name = "REGISTRY", default_value = DEFAULT_REGISTRY)]
    registry: String,
}

/// Runs `ocibake login`. Nothing is kept unless the registry lets the user in.
pub fn login(arguments: &LoginArguments, environment: &Environment) -> Result<()> {
    let registry = host(&arguments.registry)?;
    let user = match &arguments.username {
        Some(user) => user.clone(),
        None => ask("Username: ", false)?,
    };
    let password = match &arguments.password {
        Some(password) => {
            tell("warning: other users can see a password on the command line; use --password-stdin");
            password.clone()
        }
        None if arguments.password_stdin => read_password()?,
        None => ask("Password: ", true)?,
    };
    if user.is_empty() || password.is_empty() {
        return Err(Error::usage("user name and password must not be empty"));
    }
    let credential = Credential::Basic { user, password };
    let reporter = Reporter::aside();
    environment
        .client(arguments.insecure, 1)
        .client()?
        .check(registry, &credential, &|event| reporter.report(event))?;
    reporter.finish();
    let keeper = environment.credentials().store(registry, &credential)?;
    tell(&format!("logged in to {registry}; the credentials are kept in {keeper}"));
    Ok(())
}

/// Runs `ocibake logout`.
pub fn logout(arguments: &LogoutArguments, environment: &Environment) -> Result<()> {
    let registry = host(&arguments.registry)?;
    if environment.credentials().erase(registry)? {
        tell(&format!("logged out of {registry}"));
    } else {
        tell(&format!("not logged in to {registry}"));
    }
    Ok(())
}

/// `host[:port]`, for whoever gives an address as a browser has it, or a name of which it is the beginning: credentials are
/// kept for all of a registry, as docker keeps them.
fn host(registry: &str) -> Result<&str> {
    let host = registry.strip_prefix("https://").or_else(|| registry.strip_prefix("http://")).unwrap_or(registry);
    let host = host.split('/').next().unwrap_or_default();
    match host {
        "index.docker.io" | "registry-1.docker.io" => Ok(DEFAULT_REGISTRY),
        _ if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Err(Error::usage(format!("`{registry}` is not a registry"))
                .with_hint("it must be a host and, if needed, a port, as in registry.example or 127.0.0.1:5000"))
        }
        _ => Ok(host),
    }
}

fn read_password() -> Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|source| Error::io("read the password from", "standard input", source))?;
    // One line end belongs to `echo`, not to the password.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn ask(prompt: &'static str, hidden: bool) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::usage("user name or password is missing, and there is no terminal to ask on")
            .with_hint("give -u USER and --password-stdin"));
    }
    let failed = |source| Error::io("read from", "the terminal", source);
    if hidden {
        return rpassword::prompt_password(prompt).map_err(failed);
    }
    print::ask(prompt);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(failed)?;
    Ok(line.trim().to_owned())
}
