//! Dockerfiles: their text, their words, their checks, and what docker makes of them.

mod build;
mod call;
mod corpus;
mod dockerignore;
mod epoch;
mod flags;
mod git_arguments;
mod heredoc;
mod lint;
mod lower;
mod refusal;
mod run;
mod run_flags;
mod syntax;
mod word;
