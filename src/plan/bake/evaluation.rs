//! The evaluation of bake files in HCL and JSON: variables, functions and attributes are evaluated when they are first referred to,
//! and attributes of targets, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bake_file::BuiltIn;
use super::defined_block::{DefinedBlock, KINDS};
use super::variable_block::{GivenValues, VariableBlock};
use crate::error::{Error, Result, suggestion};
use crate::plan::hcl::{
    BakePlace, EvaluationBudget, Expression, HclAttribute, HclBlock, HclBody, Scope, Surroundings, UserFunction, Value,
    is_function, is_reproducible,
};

/// How many definitions may refer to each other in a row.
const LONGEST_CHAIN: usize = 64;

/// The evaluation of some files.
pub(super) struct Evaluation<'a> {
    pub given: GivenValues<'a>,
    pub surroundings: Surroundings<'a>,
    pub budget: EvaluationBudget,
    pub scope: Scope,
    variables: BTreeMap<&'a str, VariableBlock<'a>>,
    attributes: BTreeMap<&'a str, &'a HclAttribute>,
    functions: BTreeMap<&'a str, &'a HclBlock>,
    /// The groups and targets.
    pub blocks: Vec<DefinedBlock<'a>>,
    /// The blocks of a kind and a name, once all names are known.
    pub by_name: BTreeMap<(&'static str, String), Vec<usize>>,
    /// What is known of groups and targets so far, as values.
    pub known: BTreeMap<(&'static str, String), Value>,
    built_in: BTreeSet<String>,
    /// The definitions that are being evaluated, as they refer to each other.
    open: Vec<String>,
    /// The functions that were called and that answer otherwise each time.
    pub unsteady: BTreeSet<String>,
}

impl<'a> Evaluation<'a> {
    /// Sorts what `bodies` define, of which the later ones go before the earlier.
    pub fn new(
        bodies: &'a [HclBody],
        built_in: &BuiltIn,
        given: GivenValues<'a>,
        surroundings: Surroundings<'a>,
    ) -> Result<Evaluation<'a>> {
        let mut evaluation = Evaluation {
            given,
            surroundings,
            budget: EvaluationBudget::default(),
            scope: Scope::default(),
            variables: BTreeMap::new(),
            attributes: BTreeMap::new(),
            functions: BTreeMap::new(),
            blocks: Vec::new(),
            by_name: BTreeMap::new(),
            known: BTreeMap::new(),
            built_in: built_in.keys().cloned().collect(),
            open: Vec::new(),
            unsteady: BTreeSet::new(),
        };
        evaluation
            .scope
            .variables
            .extend(built_in.iter().map(|(name, text)| (name.clone(), Value::text(text.as_str()))));
        let is_reserved = |name: &str| KINDS.contains(&name) || built_in.contains_key(name);
        for body in bodies {
            let free = body.attributes.iter().filter(|attribute| !is_reserved(&attribute.name));
            evaluation.attributes.extend(free.map(|attribute| (attribute.name.as_str(), attribute)));
            for block in &body.blocks {
                match block.kind.as_str() {
                    "variable" => {
                        let variable = VariableBlock::read(block)?;
                        if !is_reserved(variable.name) {
                            evaluation.variables.insert(variable.name, variable);
                        }
                    }
                    "function" => {
                        let name = function_name(block)?;
                        if !is_reserved(name) {
                            evaluation.functions.insert(name, block);
                        }
                    }
                    _ => evaluation.blocks.extend(DefinedBlock::read(block)?),
                }
            }
        }
        Ok(evaluation)
    }

    /// Returns whether there is a variable of this name, of the files or built in.
    pub fn is_variable(&self, name: &str) -> bool {
        self.variables.contains_key(name) || self.built_in.contains(name)
    }

    /// Evaluates all variables, and then sees whether each is as it must be.
    pub fn all_variables(&mut self) -> Result<Vec<VariableBlock<'a>>> {
        let blocks: Vec<VariableBlock<'a>> = self.variables.values().cloned().collect();
        for block in &blocks {
            self.value(block.name)?;
        }
        for block in &blocks {
            self.validate(block)?;
        }
        Ok(blocks)
    }

    /// Evaluates all functions.
    pub fn all_functions(&mut self) -> Result<()> {
        let names: Vec<&str> = self.functions.keys().copied().collect();
        for name in names {
            let place = self.functions.get(name).map(|block| block.place.clone());
            self.function(name).map_err(|error| match place {
                Some(place) => place.blame(error),
                None => error,
            })?;
        }
        Ok(())
    }

    /// Evaluates all attributes of the files themselves.
    pub fn all_attributes(&mut self) -> Result<()> {
        let names: Vec<&str> = self.attributes.keys().copied().collect();
        names.into_iter().try_for_each(|name| self.value(name).map(drop))
    }

    /// Returns the value of an expression, for which all is evaluated that it refers to.
    pub fn evaluate(&mut self, expression: &Expression) -> Result<Value> {
        self.prepare(expression)?;
        self.refer_to(expression);
        expression.evaluate(&self.scope, &self.surroundings, &self.budget)
    }

    /// Evaluates what an expression refers to. What is not there is left to the evaluation: `try` may do without.
    pub fn prepare(&mut self, expression: &Expression) -> Result<()> {
        for function in expression.functions() {
            self.function(&function.name).map_err(|error| function.place.blame(error))?;
        }
        for variable in expression.variables() {
            match KINDS.into_iter().find(|kind| *kind == variable.name) {
                Some(kind) => self.member(kind, &variable.attributes, &variable.place)?,
                None => drop(self.value(&variable.name).map_err(|error| variable.place.blame(error))?),
            }
        }
        Ok(())
    }

    /// Evaluates what is taken of a group or a target.
    fn member(&mut self, kind: &'static str, attributes: &[String], place: &BakePlace) -> Result<()> {
        let Some(name) = attributes.first() else {
            let error = place.error(format!("cannot access {kind} as a variable"));
            return Err(error.with_hint(format!("write {kind}.NAME.KEY")));
        };
        let blocks = self.by_name.get(&(kind, name.clone())).cloned().unwrap_or_default();
        let key = attributes.get(1).map(String::as_str);
        self.enter(&format!("{kind}.{name}"), place)?;
        for block in blocks {
            self.resolve(block, key).map_err(|error| place.blame(error))?;
        }
        self.open.pop();
        Ok(())
    }

    /// Lets an expression see the groups and targets that it refers to, as far as they are known.
    fn refer_to(&mut self, expression: &Expression) {
        let mut seen: BTreeMap<&'static str, BTreeMap<String, Value>> = BTreeMap::new();
        for variable in expression.variables() {
            let Some(kind) = KINDS.into_iter().find(|kind| *kind == variable.name) else { continue };
            let members = seen.entry(kind).or_default();
            let Some(name) = variable.attributes.into_iter().next() else { continue };
            if let Some(value) = self.known.get(&(kind, name.clone())) {
                members.insert(name, value.clone());
            }
        }
        for (kind, members) in seen {
            self.scope.variables.insert(kind.to_owned(), Value::object(members));
        }
    }

    /// Evaluates a variable or an attribute. Returns false if there is none of this name.
    fn value(&mut self, name: &str) -> Result<bool> {
        if self.scope.variables.contains_key(name) {
            return Ok(true);
        }
        let (attribute, variable) = (self.attributes.get(name).copied(), self.variables.get(name).cloned());
        let default = attribute.or(variable.as_ref().and_then(|variable| variable.default));
        let place = match (attribute, &variable) {
            (Some(attribute), _) => &attribute.place,
            (None, Some(variable)) => variable.place,
            (None, None) => return Ok(false),
        };
        if self.open.iter().any(|open| open == name) {
            let way: Vec<&str> = self.open.iter().map(String::as_str).skip_while(|open| *open != name).collect();
            let error = format!("variable cycle not allowed for {name}: {} -> {name}", way.join(" -> "));
            return Err(place.error(error));
        }
        self.enter(name, place)?;
        let default = default.map(|attribute| self.evaluate(&attribute.value)).transpose()?;
        let value = match (attribute, variable, default) {
            (None, Some(variable), default) => self.variable_value(&variable, default)?,
            // An attribute of a variable's name is its default.
            (Some(attribute), Some(variable), Some(value)) => {
                self.variable_value(&variable.untyped(attribute), Some(value))?
            }
            (_, _, Some(value)) => value,
            (_, _, None) => Value::text(""),
        };
        self.open.pop();
        self.scope.variables.insert(name.to_owned(), value);
        Ok(true)
    }

    /// Sees to it that a function can be called. What is not defined is left to the evaluation.
    fn function(&mut self, name: &str) -> Result<()> {
        if is_function(name) {
            if !is_reproducible(name) {
                self.unsteady.insert(name.to_owned());
            }
            return Ok(());
        }
        if self.scope.functions.contains_key(name) {
            return Ok(());
        }
        let Some(block) = self.functions.get(name).copied() else { return Ok(()) };
        let open = format!("{name}()");
        if self.open.contains(&open) {
            let way: Vec<&str> = self.open.iter().map(String::as_str).skip_while(|word| *word != open).collect();
            let error = format!("function cycle not allowed for {name}: {} -> {open}", way.join(" -> "));
            return Err(block.place.error(error));
        }
        self.enter(&open, &block.place)?;
        let function = read_function(block)?;
        let own = |variable: &str| {
            function.parameters.iter().chain(&function.variadic).any(|parameter| parameter == variable)
        };
        for called in function.result.functions() {
            if !is_function(&called.name) && !self.functions.contains_key(called.name.as_str()) {
                let error = called.place.error(format!("there is no function {}", called.name));
                return Err(near(error, &called.name, self.functions.keys().copied()));
            }
            self.function(&called.name).map_err(|error| called.place.blame(error))?;
        }
        for variable in function.result.variables().into_iter().filter(|variable| !own(&variable.name)) {
            let is_there = match KINDS.into_iter().find(|kind| *kind == variable.name) {
                Some(kind) => self.member(kind, &variable.attributes, &variable.place).map(|()| true)?,
                None => self.value(&variable.name).map_err(|error| variable.place.blame(error))?,
            };
            if !is_there {
                let error = variable.place.error(format!("there is no variable {}", variable.name));
                return Err(near(error, &variable.name, self.variables.keys().chain(self.attributes.keys()).copied()));
            }
        }
        self.open.pop();
        self.scope.functions.insert(name.to_owned(), Arc::new(function));
        Ok(())
    }

    /// Notes that something is being evaluated.
    fn enter(&mut self, name: &str, place: &BakePlace) -> Result<()> {
        if self.open.len() >= LONGEST_CHAIN {
            return Err(place.error(format!("more than {LONGEST_CHAIN} definitions refer to each other in a row")));
        }
        self.open.push(name.to_owned());
        Ok(())
    }
}

fn near<'b>(error: Error, name: &str, names: impl IntoIterator<Item = &'b str>) -> Error {
    match suggestion(name, names) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

fn function_name(block: &HclBlock) -> Result<&str> {
    match &block.labels[..] {
        [label] => Ok(&label.text),
        _ => Err(block.place.error("a function has one name: function \"NAME\" { … }")),
    }
}

fn read_function(block: &HclBlock) -> Result<UserFunction> {
    const KEYS: [&str; 3] = ["params", "variadic_params", "result"];
    let body = &block.body;
    if let Some(other) = body.attributes.iter().find(|attribute| !KEYS.contains(&attribute.name.as_str())) {
        let error = other.place.error(format!("a function has no `{}`", other.name));
        return Err(near(error, &other.name, KEYS));
    }
    let needs = |key: &str| {
        let error = || block.place.error(format!("this function has no `{key}`"));
        body.attribute(key).ok_or_else(error).map(|attribute| &attribute.value)
    };
    let (parameters, result) = (needs("params")?, needs("result")?);
    let listed = parameters.elements().ok_or_else(|| {
        parameters.place.error("the parameters of a function are a list of names").with_hint("write params = [a, b]")
    })?;
    let name = |expression: &Expression| {
        let error = || expression.place.error("the name of a parameter is a word, without quotation marks");
        expression.keyword().map(str::to_owned).ok_or_else(error)
    };
    Ok(UserFunction {
        parameters: listed.iter().map(name).collect::<Result<_>>()?,
        variadic: body.attribute("variadic_params").map(|attribute| name(&attribute.value)).transpose()?,
        result: result.clone(),
    })
}
