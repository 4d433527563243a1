//! `docker context`: the places of docker's daemons, of which there is none.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::cli::flags::value::value;
use crate::cli::format::Format;
use crate::cli::print::{answer, answer_json, answer_lines};
use crate::error::Result;

/// Show where images are built, which is always here
#[derive(Debug, Args)]
pub struct ContextArguments {
    #[command(subcommand)]
    command: ContextCommand,
}

#[derive(Debug, Subcommand)]
enum ContextCommand {
    Create(ContextNameArguments),
    Inspect(ContextInspectArguments),
    #[command(alias = "list")]
    Ls(ContextListArguments),
    #[command(alias = "remove")]
    Rm(ContextNameArguments),
    Show,
    Update(ContextNameArguments),
    Use(ContextNameArguments),
}

/// Accept a name for this place
#[derive(Debug, Args)]
struct ContextNameArguments {
    #[arg(value_name = "CONTEXT", required = true)]
    names: Vec<String>,
    #[arg(long, hide = true)]
    description: Option<String>,
    #[arg(long, hide = true)]
    docker: Option<String>,
    #[arg(long, hide = true)]
    from: Option<String>,
    #[arg(short, long, hide = true)]
    force: bool,
}

/// Show this place
#[derive(Debug, Args)]
struct ContextInspectArguments {
    #[arg(hide = true)]
    names: Vec<String>,
    /// Show it as a Go template says, or json
    #[arg(short, long, value_name = "FORMAT", value_parser = value::<Format>)]
    format: Option<Format>,
}

/// List this place
#[derive(Debug, Args)]
struct ContextListArguments {
    /// Show it as a Go template says, such as '{{.Name}}', or 'table …', or json
    #[arg(long, value_name = "FORMAT", value_parser = value::<Format>)]
    format: Option<Format>,
    /// Show only the name
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ContextRow {
    name: &'static str,
    description: &'static str,
    docker_endpoint: &'static str,
    current: bool,
    error: &'static str,
}

/// The name of this place.
const NAME: &str = "default";

/// Answers as docker does. What is given a name is this place again.
pub fn run(arguments: &ContextArguments) -> Result<()> {
    match &arguments.command {
        ContextCommand::Create(arguments)
        | ContextCommand::Rm(arguments)
        | ContextCommand::Update(arguments)
        | ContextCommand::Use(arguments) => arguments.names.iter().try_for_each(|name| answer(name)),
        ContextCommand::Show => answer(NAME),
        ContextCommand::Inspect(arguments) => {
            let told = [json!({"Name": NAME, "Metadata": {}, "Endpoints": {"docker": {"Host": ""}}})];
            match &arguments.format {
                Some(format) => answer_lines(format.lines(&told, &[])?),
                None => answer_json(&told),
            }
        }
        ContextCommand::Ls(arguments) if arguments.quiet => answer(NAME),
        ContextCommand::Ls(arguments) => {
            let row = ContextRow {
                name: NAME,
                description: "This machine, without a daemon",
                docker_endpoint: "none",
                current: true,
                error: "",
            };
            let usual = || Format::table(&["Name", "Description", "DockerEndpoint", "Error"]);
            let titles = [("DockerEndpoint", "DOCKER ENDPOINT")];
            answer_lines(arguments.format.clone().unwrap_or_else(usual).lines(&[row], &titles)?)
        }
    }
}
