mod label;
mod mode;
mod spec;
mod tag;
