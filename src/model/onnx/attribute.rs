//! The attributes of a node: its settings that are known when the file is read.

use super::host::HostTensor;
use std::collections::HashMap;

/// One attribute.
#[derive(Clone, Debug)]
pub enum Attribute {
    /// A whole number, or a flag.
    Int(i64),
    /// A float.
    Float(f32),
    /// A text.
    Text(String),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
    /// A tensor.
    Tensor(HostTensor),
    /// Anything that no operator here reads.
    Other,
}

/// The attributes of one node by name.
#[derive(Clone, Debug, Default)]
pub struct Attributes(HashMap<String, Attribute>);

impl Attributes {
    /// Adds one.
    pub fn insert(&mut self, name: impl Into<String>, attribute: Attribute) {
        self.0.insert(name.into(), attribute);
    }

    /// The one called `name`.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    /// Whether there is one called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A whole number, if it is given.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Attribute::Int(v)) => Some(*v),
            _ => None,
        }
    }

    /// A flag; not set where it is not given.
    pub fn flag(&self, name: &str) -> bool {
        self.int(name).unwrap_or(0) != 0
    }

    /// A float, if it is given.
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.0.get(name) {
            Some(Attribute::Float(v)) => Some(*v),
            _ => None,
        }
    }

    /// A text, if it is given.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Attribute::Text(v)) => Some(v),
            _ => None,
        }
    }

    /// Whole numbers, if they are given.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.0.get(name) {
            Some(Attribute::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// Floats, if they are given.
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        match self.0.get(name) {
            Some(Attribute::Floats(v)) => Some(v),
            _ => None,
        }
    }
}
