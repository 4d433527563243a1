//! All tests that run the program or real servers, in one binary: a folder for each part of the program, a file for each
//! feature.
//!
//! - `plan`: what users write, as data: specs, flags, labels, modes and names.
//! - `dockerfile`: Dockerfiles: their text, their words, their checks, and what docker makes of them.
//! - `bake`: bake files: what they define, and what is printed and listed of them.
//! - `build`: from contexts, bases and steps to layers and images.
//! - `compose`: compose files: how they are read, and what is built, pushed and printed of them.
//! - `layer`: the layer engine: what it writes, what it reads and what it unpacks.
//! - `store`: where content is kept, and how documents and archives are read.
//! - `names`: images of the local store by their names.
//! - `output`: where finished images go, and how they are copied.
//! - `registry`: registries: logging in, pulling and pushing, with everything that goes wrong on the way.
//! - `release`: tags: which ones a push sets, in which order, and back again.
//! - `run`: commands, in the sandbox and as Dockerfiles ask for them.
//! - `runners`: what is there for CI services: the Action, templates, annotations.
//! - `systems`: whole systems, from the checkout to images that run.
//! - `cli`: what a person sees and types.
//! - `documents`: what README.md and docs/ show, as it is shown.
//! - `whole`: the whole program under kills, faults, floods and size.
//! - `architecture`: the order of the modules, circles of imports, the length of files, and what the documents name.
//! - `support`: what tests are made of: trees, layouts, registries and the program itself.

mod architecture;
mod bake;
mod build;
mod cli;
mod compose;
mod dockerfile;
mod documents;
mod layer;
mod names;
mod output;
mod plan;
mod registry;
mod release;
mod run;
mod runners;
mod store;
mod support;
mod systems;
mod whole;
