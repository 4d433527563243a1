//! Compose files as docker compose reads them (the compose specification, and compose-go where it is silent).
//!
//! [`Project::read`] reads YAML, puts the values of variables in, follows `include` and `extends`, lays one file over the other, and
//! brings all into one form. What a service's `build:` asks for comes out as a [`ServiceBuild`]; keys that are not about
//! building are kept as they are. Every value knows the line that it was written in.

mod check;
pub mod dotenv;
mod environment;
mod extends;
mod go_time;
mod health;
mod identity;
mod include;
pub mod interpolation;
mod kinds;
mod load;
mod merge;
mod model;
mod mount;
mod node;
mod normal;
mod paths;
mod port;
mod project;
mod project_name;
mod scalar;
mod schema;
mod schema_parts;
mod service_build;
mod shape;
mod shape_check;
mod shape_reading;
mod short_form;
mod told;
mod unsaid;
mod write;
mod write_json;
mod yaml;

pub use load::{ComposeFile, ComposeReader};
pub use model::Project;
pub use node::{ComposeText, MergeMark, NodeMapping, NodeValue, TextPlace, YamlNode};
pub use paths::{clean, is_local};
pub use project::ProjectRequest;
pub use service_build::{ServiceBuild, ServiceDockerfile, image_name};
pub use told::{NamedVariable, project_json, project_yaml, raw_json, raw_variables, raw_yaml, service_line};
