//! The types of values.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What kind of value something is or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Any type: that of a `null` which nothing else is known of, and of a variable that takes everything.
    Any,
    /// `true` or `false`.
    Bool,
    /// Any number.
    Number,
    /// Text.
    String,
    /// Values of one type in their order.
    List(Arc<Type>),
    /// Values of one type, each of them once.
    Set(Arc<Type>),
    /// Values of one type by their names.
    Map(Arc<Type>),
    /// Values of these types in this order.
    Tuple(Arc<[Type]>),
    /// Values of these types by these names.
    Object(Arc<BTreeMap<String, AttributeType>>),
}

/// The type of one attribute of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeType {
    /// Its type.
    pub value: Type,
    /// Whether it may be absent, and is `null` then.
    pub is_optional: bool,
}

impl Type {
    /// Returns the type of lists of this type.
    pub fn list(self) -> Type {
        Type::List(Arc::new(self))
    }

    /// Returns the type of sets of this type.
    pub fn set(self) -> Type {
        Type::Set(Arc::new(self))
    }

    /// Returns the type of maps of this type.
    pub fn map(self) -> Type {
        Type::Map(Arc::new(self))
    }

    /// Returns the type of tuples of `types`.
    pub fn tuple(types: impl IntoIterator<Item = Type>) -> Type {
        Type::Tuple(types.into_iter().collect())
    }

    /// Returns the type of objects that have all of `attributes`.
    pub fn object(attributes: impl IntoIterator<Item = (String, Type)>) -> Type {
        let with = |(name, value)| (name, AttributeType { value, is_optional: false });
        Type::Object(Arc::new(attributes.into_iter().map(with).collect()))
    }

    /// Returns whether it is `bool`, `number` or `string`.
    pub fn is_primitive(&self) -> bool {
        matches!(self, Type::Bool | Type::Number | Type::String)
    }

    /// Returns whether it is a list, a set or a map.
    pub fn is_collection(&self) -> bool {
        matches!(self, Type::List(_) | Type::Set(_) | Type::Map(_))
    }

    /// Returns the type of the elements of a list, a set or a map.
    pub fn element(&self) -> Option<&Type> {
        match self {
            Type::List(element) | Type::Set(element) | Type::Map(element) => Some(element),
            _ => None,
        }
    }

    /// Returns how many types it is made of, itself included.
    pub fn size(&self) -> usize {
        match self {
            Type::Any | Type::Bool | Type::Number | Type::String => 1,
            Type::List(element) | Type::Set(element) | Type::Map(element) => 1 + element.size(),
            Type::Tuple(types) => types.iter().map(Type::size).fold(1, usize::saturating_add),
            Type::Object(attributes) => {
                attributes.values().map(|attribute| attribute.value.size()).fold(1, usize::saturating_add)
            }
        }
    }

    /// Returns whether it leaves any type open.
    pub fn has_any(&self) -> bool {
        match self {
            Type::Any => true,
            Type::Bool | Type::Number | Type::String => false,
            Type::List(element) | Type::Set(element) | Type::Map(element) => element.has_any(),
            Type::Tuple(types) => types.iter().any(Type::has_any),
            Type::Object(attributes) => attributes.values().any(|attribute| attribute.value.has_any()),
        }
    }

    /// Returns the type without word of what may be absent.
    pub fn without_optional(&self) -> Type {
        match self {
            Type::Any | Type::Bool | Type::Number | Type::String => self.clone(),
            Type::List(element) => element.without_optional().list(),
            Type::Set(element) => element.without_optional().set(),
            Type::Map(element) => element.without_optional().map(),
            Type::Tuple(types) => Type::tuple(types.iter().map(Type::without_optional)),
            Type::Object(attributes) => Type::object(
                attributes.iter().map(|(name, attribute)| (name.clone(), attribute.value.without_optional())),
            ),
        }
    }

    /// Returns what it is called in messages and in lists of variables, as in `list of string`.
    pub fn name(&self) -> String {
        self.named("dynamic")
    }

    /// Returns what it is called where it says what is wanted: `any` for any type, as in `list of any single type`.
    pub fn constraint_name(&self) -> String {
        match self {
            Type::Any => "any type".to_owned(),
            _ => self.named("any single type"),
        }
    }

    fn named(&self, any: &str) -> String {
        match self {
            Type::Any => any.to_owned(),
            Type::Bool => "bool".to_owned(),
            Type::Number => "number".to_owned(),
            Type::String => "string".to_owned(),
            Type::List(element) => format!("list of {}", element.named(any)),
            Type::Set(element) => format!("set of {}", element.named(any)),
            Type::Map(element) => format!("map of {}", element.named(any)),
            Type::Tuple(_) => "tuple".to_owned(),
            Type::Object(_) => "object".to_owned(),
        }
    }
}
