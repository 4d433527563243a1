//! Calls of functions.

use std::borrow::Cow;

use super::convert::convert;
use super::evaluate::{Evaluator, Locals};
use super::expression::{Expression, FunctionCall};
use super::functions::{self, Arguments, Function, FunctionFailure};
use super::place::BakePlace;
use super::scope::UserFunction;
use super::types::Type;
use super::value::Value;
use crate::error::{Error, Result, suggestion};

impl Evaluator<'_> {
    /// Returns what a function gives that `call` calls.
    pub fn call(&self, call: &FunctionCall, locals: &Locals<'_>, place: &BakePlace) -> Result<Value> {
        let arguments = self.expanded(call, locals)?;
        match call.name.as_str() {
            "try" => return self.attempt(call, &arguments, locals),
            "can" => {
                expect(call, &["expression"], false, &arguments, place)?;
                return Ok(Value::Bool(arguments.iter().all(|argument| self.attempted(argument, locals).is_ok())));
            }
            "convert" => {
                expect(call, &["value", "type"], false, &arguments, place)?;
                return self.converted(&arguments, locals);
            }
            _ => {}
        }
        if let Some(function) = functions::find(&call.name) {
            return self.call_built_in(function, call, &arguments, locals, place);
        }
        match self.scope.functions.get(&call.name) {
            Some(function) => {
                let names: Vec<&str> = function.parameters.iter().map(String::as_str).collect();
                expect(call, &names, function.variadic.is_some(), &arguments, place)?;
                self.call_user(function, &arguments, locals)
            }
            None => Err(self.unknown(call)),
        }
    }

    fn call_built_in(
        &self,
        function: &Function,
        call: &FunctionCall,
        arguments: &[Expression],
        locals: &Locals<'_>,
        place: &BakePlace,
    ) -> Result<Value> {
        let names: Vec<&str> = function.parameters.iter().map(|parameter| parameter.name).collect();
        expect(call, &names, function.variadic.is_some(), arguments, place)?;
        let mut values = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.iter().enumerate() {
            let value = self.value(argument, locals)?;
            self.budget.spend_on_type(&value).map_err(|why| place.error(why))?;
            let value = function.argument(index, &value);
            values.push(value.map_err(|failure| self.blamed(call, arguments, place, failure))?);
        }
        // What a function reads is paid for as well as what it gives.
        let weight = values.iter().map(|value| value.measure().weight / 8).sum();
        self.budget.spend(weight).map_err(|why| place.error(why))?;
        let given = Arguments { values: &values, surroundings: self.surroundings, budget: self.budget };
        function.run(&given).map_err(|failure| self.blamed(call, arguments, place, failure))
    }

    fn unknown(&self, call: &FunctionCall) -> Error {
        let error = call.name_place.error(format!("there is no function `{}`", call.name));
        let mut names: Vec<&str> = functions::names().collect();
        names.extend(self.scope.functions.keys().map(String::as_str));
        match suggestion(&call.name, names) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint("a `function` block defines one"),
        }
    }

    /// The arguments, with the elements of the last one in its place if `...` stands behind it.
    fn expanded<'b>(&self, call: &'b FunctionCall, locals: &Locals<'_>) -> Result<Cow<'b, [Expression]>> {
        let Some((last, others)) = call.arguments.split_last().filter(|_| call.expands_last) else {
            return Ok(Cow::Borrowed(&call.arguments));
        };
        let value = self.value(last, locals)?;
        if value.is_null() {
            return Err(last.place.error("this is null, and has no elements to be arguments"));
        }
        let Some(elements) = value.as_elements() else {
            let name = value.kind().name();
            return Err(last.place.error(format!("`...` takes a list, a set or a tuple, but this is {name}")));
        };
        let literal = |value: &Value| Expression::literal(value.clone(), last.place.clone());
        Ok(others.iter().cloned().chain(elements.iter().map(literal)).collect())
    }

    fn call_user(&self, function: &UserFunction, arguments: &[Expression], locals: &Locals<'_>) -> Result<Value> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let value = self.value(argument, locals)?;
            if value.is_null() {
                return Err(argument.place.error("a function that a file defines does not take null"));
            }
            values.push(value);
        }
        let further = values.split_off(function.parameters.len().min(values.len()));
        let mut names: Vec<(&str, Value)> = function.parameters.iter().map(String::as_str).zip(values).collect();
        names.extend(function.variadic.as_deref().map(|name| (name, Value::tuple(further))));
        self.within(names, &Locals::None, &function.result)
    }

    /// The value of `expression`, which sees `names` beside `outer`.
    fn within(&self, mut names: Vec<(&str, Value)>, outer: &Locals<'_>, expression: &Expression) -> Result<Value> {
        match names.pop() {
            Some((name, value)) => self.within(names, &Locals::Name { name, value, outer }, expression),
            None => self.value(expression, outer),
        }
    }

    fn attempt(&self, call: &FunctionCall, arguments: &[Expression], locals: &Locals<'_>) -> Result<Value> {
        let mut failure = None;
        for argument in arguments {
            match self.attempted(argument, locals) {
                Ok(value) => return Ok(value),
                Err(error) => failure = Some(error),
            }
        }
        Err(match failure {
            Some(error) => {
                let error = Error { message: format!("`try` finds nothing that works: {}", error.message), ..error };
                call.name_place.blame(error)
            }
            None => call.name_place.error("`try` takes at least one expression"),
        })
    }

    fn converted(&self, arguments: &[Expression], locals: &Locals<'_>) -> Result<Value> {
        let [value, kind] = arguments else {
            return Ok(Value::null());
        };
        let (value, place) = (self.value(value, locals)?, &value.place);
        let kind: Type = kind.type_constraint()?;
        self.budget.spend_on_type(&value).map_err(|why| place.error(why))?;
        convert(&value, &kind).map_err(|why| place.error(format!("`convert` cannot take this: {why}")))
    }

    fn blamed(
        &self,
        call: &FunctionCall,
        arguments: &[Expression],
        place: &BakePlace,
        failure: FunctionFailure,
    ) -> Error {
        let name = &call.name;
        match failure.argument.and_then(|index| arguments.get(index).map(|argument| (index, argument))) {
            Some((index, argument)) => {
                let parameter = functions::find(name).and_then(|function| function.parameter(index));
                let what = parameter.map_or_else(String::new, |parameter| format!(" as its `{}`", parameter.name));
                argument.place.error(format!("`{name}` cannot take this{what}: {}", failure.message))
            }
            None => place.error(format!("`{name}` fails: {}", failure.message)),
        }
    }
}

/// Fails if there are too few arguments or too many.
fn expect(
    call: &FunctionCall,
    names: &[&str],
    takes_more: bool,
    arguments: &[Expression],
    place: &BakePlace,
) -> Result<()> {
    let name = &call.name;
    let many = |count: usize| if count == 1 { "argument" } else { "arguments" };
    if let Some(missing) = names.get(arguments.len()) {
        let least = if takes_more { " at least" } else { "" };
        let message = format!("`{name}` takes{least} {} {}: there is no `{missing}`", names.len(), many(names.len()));
        return Err(place.error(message));
    }
    match arguments.get(names.len()) {
        Some(further) if !takes_more => {
            Err(further.place.error(format!("`{name}` takes only {} {}", names.len(), many(names.len()))))
        }
        _ => Ok(()),
    }
}
