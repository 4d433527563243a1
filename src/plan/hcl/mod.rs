//! The language of bake files: HCL, and the JSON that stands for it.
//!
//! [`read_hcl`] and [`read_json`] bring a file into one form, an [`HclBody`] of attributes and blocks, in which every part knows
//! where it stands. An attribute's [`Expression`] says which variables and functions it refers to, so that who has the definitions
//! can bring them into an order, and is evaluated to a [`Value`] in a [`Scope`]. Values, their types and what they are converted to
//! are those of HCL (go-cty), as are the functions.

mod access;
mod body;
mod call;
mod compare;
mod constraint;
mod convert;
mod decimal;
mod evaluate;
mod expression;
mod fit;
mod functions;
mod json;
mod json_text;
mod layout;
mod number;
mod operation;
mod place;
mod read;
mod scope;
mod syntax;
mod template;
mod typed;
mod types;
mod value;

pub use body::{BlockSchema, HclAttribute, HclBlock, HclBody, HclLabel};
pub use compare::{is_equal, is_same};
pub use convert::convert;
pub use expression::{Expression, FunctionName, VariablePath};
pub use functions::{is_function, is_reproducible};
pub use json::read_json;
pub use number::Number;
pub use place::{BakePlace, BakeText};
pub use read::read_hcl;
pub use scope::{EvaluationBudget, Scope, Surroundings, UserFunction};
pub use typed::{json_value, text_value, value_json};
pub use types::{AttributeType, Type};
pub use value::{Mapping, Measure, Sequence, SequenceKind, Value};
