//! Which types can be converted to which, and what types have in common.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::types::Type;

/// How many types are compared before nothing is found in common, for each part that the types have, and at least. Types within
/// types within types would take as many steps as they want.
const STEPS: usize = 16;
const LEAST_STEPS: usize = 4_000;

/// The most different types that something in common is looked for.
const MOST_TYPES: usize = 64;

/// Returns the most general of `types` that all of them can be converted to, or one made of them; none if there is none. What may
/// fail for some values is taken, too, if `is_lenient`.
pub fn unify(types: &[Type], is_lenient: bool) -> Option<Type> {
    Fit::new(types.iter(), is_lenient).unify(types)
}

/// Returns whether values of the type `from` can be converted to `to`; if `is_lenient`, whether some may be.
pub fn can_convert(from: &Type, to: &Type, is_lenient: bool) -> bool {
    Fit::new([from, to].into_iter(), is_lenient).can_convert(from, to)
}

struct Fit {
    is_lenient: bool,
    left: Cell<usize>,
}

impl Fit {
    fn new<'a>(types: impl Iterator<Item = &'a Type>, is_lenient: bool) -> Fit {
        let size = types.map(Type::size).fold(0usize, usize::saturating_add);
        Fit { is_lenient, left: Cell::new(LEAST_STEPS.saturating_add(size.saturating_mul(STEPS))) }
    }

    fn spend(&self, steps: usize) -> Option<()> {
        self.left.set(self.left.get().checked_sub(steps)?);
        Some(())
    }

    fn can_convert(&self, from: &Type, to: &Type) -> bool {
        if self.spend(1).is_none() {
            return false;
        }
        match (from, to) {
            (_, Type::Any) => true,
            (Type::Any, _) => self.is_lenient,
            (Type::Bool | Type::Number, Type::String) => true,
            (Type::String, Type::Bool | Type::Number) => self.is_lenient,
            (from, to) if from == to => true,
            (Type::Object(from), Type::Object(to)) => to.iter().all(|(name, attribute)| match from.get(name) {
                Some(own) => self.can_convert(&own.value, &attribute.value),
                None => attribute.is_optional,
            }),
            (Type::Tuple(from), Type::Tuple(to)) => {
                from.len() == to.len() && from.iter().zip(to.iter()).all(|(from, to)| self.can_convert(from, to))
            }
            (Type::List(_), Type::Set(_)) if !self.is_lenient => false,
            (Type::List(from) | Type::Set(from), Type::List(to) | Type::Set(to)) => self.can_convert(from, to),
            (Type::Map(from), Type::Map(to)) => self.can_convert(from, to),
            (Type::Tuple(from), Type::List(to) | Type::Set(to)) => self.can_collect(from, to),
            (Type::Object(from), Type::Map(to)) => {
                let from: Vec<Type> = from.values().map(|attribute| attribute.value.clone()).collect();
                match self.element_type(&from, to) {
                    Some(element) => from.iter().all(|from| self.can_convert(from, &element)),
                    None => from.is_empty(),
                }
            }
            (Type::Map(from), Type::Object(to)) => {
                self.is_lenient
                    && to.values().all(|attribute| attribute.is_optional || self.can_convert(from, &attribute.value))
            }
            _ => false,
        }
    }

    /// Whether values of these types can be elements of one type, any one if `to` is that.
    fn can_collect(&self, from: &[Type], to: &Type) -> bool {
        match self.element_type(from, to) {
            Some(Type::Any) => from.iter().all(|from| *from == Type::Any),
            Some(element) => from.iter().all(|from| self.can_convert(from, &element)),
            None => from.is_empty(),
        }
    }

    fn element_type(&self, from: &[Type], to: &Type) -> Option<Type> {
        if *to == Type::Any { self.unify(from) } else { Some(to.clone()) }
    }

    fn unify(&self, types: &[Type]) -> Option<Type> {
        self.spend(types.len())?;
        let first = types.first()?;
        if types.iter().all(|other| other == first) {
            return Some(first.clone());
        }
        let count = |is: fn(&Type) -> bool| types.iter().filter(|other| is(other)).count();
        let any = count(|other| matches!(other, Type::Any));
        let maps = count(|other| matches!(other, Type::Map(_)));
        let lists = count(|other| matches!(other, Type::List(_)));
        let sets = count(|other| matches!(other, Type::Set(_)));
        let objects = count(|other| matches!(other, Type::Object(_)));
        let tuples = count(|other| matches!(other, Type::Tuple(_)));
        let all = types.len();
        let is_one_kind = [maps, lists, sets, objects, tuples].iter().any(|kind| *kind > 0 && kind + any == all);
        if is_one_kind && any > 0 {
            return Some(Type::Any);
        }
        if maps == all {
            return Some(self.unify(&elements(types))?.map());
        }
        if lists == all {
            return Some(self.unify(&elements(types))?.list());
        }
        if sets == all {
            return Some(self.unify(&elements(types))?.set());
        }
        if objects == all {
            return self.unify_objects(types);
        }
        if tuples == all {
            return self.unify_tuples(types);
        }
        if maps > 0 && maps + objects + any == all {
            if let Some(unified) = self.unify_as(types, |other| matches!(other, Type::Object(_)), Type::map) {
                return Some(unified);
            }
        } else if lists > 0 && lists + tuples + any == all {
            if let Some(unified) = self.unify_as(types, |other| matches!(other, Type::Tuple(_)), Type::list) {
                return Some(unified);
            }
        } else if objects > 0 && tuples > 0 {
            return None;
        }
        let is_common = |wanted: &&Type| types.iter().all(|other| other == *wanted || self.can_convert(other, wanted));
        self.preferred(types)?.into_iter().find(is_common).cloned()
    }

    /// Takes those that `is_loose` holds for as collections of what they have in common.
    fn unify_as(&self, types: &[Type], is_loose: fn(&Type) -> bool, collection: fn(Type) -> Type) -> Option<Type> {
        let common = self.unify(&members(types.iter().filter(|other| is_loose(other))))?;
        let as_collection = |other: &Type| if is_loose(other) { collection(common.clone()) } else { other.clone() };
        let unified = self.unify(&types.iter().map(as_collection).collect::<Vec<_>>())?;
        unified.is_collection().then_some(unified)
    }

    fn unify_objects(&self, types: &[Type]) -> Option<Type> {
        let objects: Vec<_> = types
            .iter()
            .filter_map(|other| match other {
                Type::Object(attributes) => Some(attributes),
                _ => None,
            })
            .collect();
        let first = objects.first()?;
        let is_alike = objects.iter().all(|other| first.len() == other.len() && first.keys().eq(other.keys()));
        if !is_alike {
            return Some(self.unify(&members(types.iter()))?.map());
        }
        let mut unified = BTreeMap::new();
        for name in first.keys() {
            let across: Vec<Type> = objects.iter().filter_map(|other| Some(other.get(name)?.value.clone())).collect();
            unified.insert(name.clone(), self.unify(&across)?);
        }
        let unified = Type::object(unified);
        let can_all = types.iter().all(|other| *other == unified || self.can_convert(other, &unified));
        if can_all { Some(unified) } else { Some(self.unify(&members(types.iter()))?.map()) }
    }

    fn unify_tuples(&self, types: &[Type]) -> Option<Type> {
        let tuples: Vec<_> = types
            .iter()
            .filter_map(|other| match other {
                Type::Tuple(types) => Some(types),
                _ => None,
            })
            .collect();
        let first = tuples.first()?;
        if tuples.iter().any(|other| other.len() != first.len()) {
            return Some(self.unify(&members(types.iter()))?.list());
        }
        let mut unified = Vec::new();
        for index in 0..first.len() {
            let across: Vec<Type> = tuples.iter().filter_map(|other| other.get(index).cloned()).collect();
            unified.push(self.unify(&across)?);
        }
        let unified = Type::tuple(unified);
        let can_all = types.iter().all(|other| *other == unified || self.can_convert(other, &unified));
        if can_all { Some(unified) } else { Some(self.unify(&members(types.iter()))?.list()) }
    }

    /// The types, each once, with the more general before those that they stand for.
    fn preferred<'a>(&self, types: &'a [Type]) -> Option<Vec<&'a Type>> {
        let mut distinct: Vec<&Type> = Vec::new();
        for other in types {
            if !distinct.contains(&other) {
                distinct.push(other);
                self.spend(distinct.len())?;
            }
        }
        if distinct.len() > MOST_TYPES {
            return None;
        }
        let mut ordered = Vec::new();
        while !distinct.is_empty() {
            let is_first = |own: &&&Type| !distinct.iter().any(|other| is_more_general(other, own));
            let next = distinct.iter().position(|own| is_first(&own)).unwrap_or(0);
            ordered.push(distinct.remove(next));
        }
        Some(ordered)
    }
}

/// The types of the elements of collections.
fn elements(types: &[Type]) -> Vec<Type> {
    types.iter().filter_map(Type::element).cloned().collect()
}

/// The types of all that stands within objects or tuples.
fn members<'a>(types: impl Iterator<Item = &'a Type>) -> Vec<Type> {
    let mut members = Vec::new();
    for other in types {
        match other {
            Type::Object(attributes) => members.extend(attributes.values().map(|attribute| attribute.value.clone())),
            Type::Tuple(types) => members.extend(types.iter().cloned()),
            _ => {}
        }
    }
    members
}

/// Whether `own` stands for `other`, too.
fn is_more_general(own: &Type, other: &Type) -> bool {
    match (own, other) {
        (Type::Any, _) => false,
        (_, Type::Any) => true,
        (Type::String, Type::Bool | Type::Number) => true,
        (Type::List(own), Type::List(other))
        | (Type::Set(own), Type::Set(other))
        | (Type::Map(own), Type::Map(other)) => is_more_general(own, other),
        (Type::Tuple(_) | Type::List(_), Type::Set(_)) => true,
        (Type::List(_), Type::Tuple(_)) | (Type::Map(_), Type::Object(_)) => true,
        (Type::Object(own), Type::Object(other)) => {
            let pairs = || own.values().zip(other.values());
            own.keys().eq(other.keys())
                && pairs().any(|(own, other)| is_more_general(&own.value, &other.value))
                && !pairs().any(|(own, other)| is_more_general(&other.value, &own.value))
        }
        (Type::Tuple(own), Type::Tuple(other)) => {
            let pairs = || own.iter().zip(other.iter());
            own.len() == other.len()
                && pairs().any(|(own, other)| is_more_general(own, other))
                && !pairs().any(|(own, other)| is_more_general(other, own))
        }
        _ => false,
    }
}
