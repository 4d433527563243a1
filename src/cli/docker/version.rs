//! `docker version` and `docker info`.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::environment::Environment;
use crate::cli::flags::value::value;
use crate::cli::format::Format;
use crate::cli::print::answer_lines;
use crate::error::Result;
use crate::store::LocalStore;

/// The version of docker whose words these are. Scripts ask whether it is new enough.
const VERSION: &str = "28.0.0";

/// The API of that version, in both spellings that docker has: of JSON and of templates.
const API_VERSION: &str = "1.48";

/// What this program is.
const NAME: &str = concat!("ocibake ", env!("CARGO_PKG_VERSION"));

/// What `docker --version` answers with, after `Docker version`.
pub const IN_ONE_LINE: &str = concat!("28.0.0, build ocibake-", env!("CARGO_PKG_VERSION"));

/// Show the version
#[derive(Debug, Args)]
pub struct VersionArguments {
    /// Show it as a Go template says, such as '{{.Client.Version}}', or json
    #[arg(short, long, value_name = "FORMAT", value_parser = value::<Format>)]
    format: Option<Format>,
}

/// Show what there is
#[derive(Debug, Args)]
pub struct InfoArguments {
    /// Show it as a Go template says, such as '{{.Driver}}', or json
    #[arg(short, long, value_name = "FORMAT", value_parser = value::<Format>)]
    format: Option<Format>,
}

/// Answers with the version: the client is the server.
pub fn version(arguments: &VersionArguments) -> Result<()> {
    let side = json!({
        "Platform": {"Name": NAME},
        "Version": VERSION,
        "ApiVersion": API_VERSION,
        "APIVersion": API_VERSION,
        "Os": "linux",
        "Arch": architecture(),
        "Experimental": true,
    });
    let told = json!({"Client": side, "Server": side});
    let lines = [
        format!("Client: {NAME}"),
        format!(" Version:           {VERSION}"),
        format!(" OS/Arch:           linux/{}", architecture()),
        String::new(),
        "Server: none, because none is needed".to_owned(),
        format!(" Version:           {VERSION}"),
    ];
    show(arguments.format.as_ref(), &told, lines)
}

/// Answers with what a script may want to know of where images are built.
pub fn info(arguments: &InfoArguments, environment: &Environment) -> Result<()> {
    let root = environment.store()?;
    let images = match environment.present_store() {
        Some(root) => LocalStore::open(root)?.names()?.len(),
        None => 0,
    };
    let told = json!({
        "ServerVersion": VERSION,
        "Driver": "ocibake",
        "OSType": "linux",
        "Architecture": machine(),
        "Images": images,
        "Containers": 0,
        "DockerRootDir": root.to_string_lossy(),
        "NCPU": std::thread::available_parallelism().map_or(1, usize::from),
    });
    let lines = [
        format!("Client: {NAME}"),
        format!(" Version:    {VERSION}"),
        String::new(),
        "Server: none, because none is needed".to_owned(),
        " Containers: 0".to_owned(),
        format!(" Images: {images}"),
        format!(" Server Version: {VERSION}"),
        " Storage Driver: ocibake".to_owned(),
        " OSType: linux".to_owned(),
        format!(" Architecture: {}", machine()),
        format!(" Docker Root Dir: {}", root.display()),
    ];
    show(arguments.format.as_ref(), &told, lines)
}

fn show(format: Option<&Format>, told: &Value, lines: impl IntoIterator<Item = String>) -> Result<()> {
    match format {
        Some(format) => answer_lines(format.lines(std::slice::from_ref(told), &[])?),
        None => answer_lines(lines),
    }
}

/// Returns the architecture as images have it.
fn architecture() -> String {
    crate::oci::Platform::host().architecture
}

/// Returns the architecture as the kernel has it.
fn machine() -> &'static str {
    std::env::consts::ARCH
}
