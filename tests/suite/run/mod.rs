//! Commands: in the sandbox, and as a Dockerfile asks for them.

mod dockerfile;
