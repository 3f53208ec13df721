//! An attack as a value: an entry of the catalogue and a number for each of its parameters.

use super::parameter::{Parameter, Stored};
use super::{AttackError, Entry, Norm, Reference, find};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// No attack has more parameters than this.
pub(super) const MOST_PARAMETERS: usize = 8;

/// An attack with its parameters. Small, and compared by value: two that are equal give the same result.
#[derive(Clone, Copy)]
pub struct Attack {
    entry: &'static Entry,
    values: [f64; MOST_PARAMETERS],
}

impl Attack {
    /// The attack of `entry` with the defaults of its paper.
    pub const fn new(entry: &'static Entry) -> Self {
        let mut values = [0.0; MOST_PARAMETERS];
        let mut i = 0;
        while i < entry.parameters.len() {
            values[i] = entry.parameters[i].default;
            i += 1;
        }
        Self { entry, values }
    }

    /// The attack called `name` with the defaults of its paper.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self, AttackError> {
        find(name).map(Self::new).ok_or_else(|| AttackError::Unknown(name.to_owned()))
    }

    /// The attack called `name` with `settings` such as `steps=20`, in place of the defaults.
    ///
    /// # Errors
    /// If there is no such attack or parameter, or a value is out of range.
    pub fn parse(name: &str, settings: &[impl AsRef<str>]) -> Result<Self, AttackError> {
        let mut attack = Self::named(name)?;
        for setting in settings {
            let setting = setting.as_ref();
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| attack.fault(format!("‘{setting}’ is no setting. Write NAME=VALUE, e.g. steps=20")))?;
            attack.set_text(key.trim(), value)?;
        }
        Ok(attack)
    }

    /// Its line of the catalogue.
    pub fn entry(&self) -> &'static Entry {
        self.entry
    }

    /// Its name on the command line and in files.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// Its name for people.
    pub fn title(&self) -> &'static str {
        self.entry.title
    }

    /// Its parameters with their values.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static Parameter, f64)> {
        self.entry.parameters.iter().zip(self.values)
    }

    /// The value of a parameter, if it has one of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.parameters().find(|(p, _)| p.name == name).map(|(_, value)| value)
    }

    /// The value of a parameter that the attack is known to have; 0 if it has none.
    pub(super) fn number(&self, name: &str) -> f64 {
        self.get(name).unwrap_or(0.0)
    }

    /// The same as a count.
    pub(super) fn count(&self, name: &str) -> usize {
        self.number(name).max(0.0) as usize
    }

    /// The same attack with another value for a parameter.
    ///
    /// # Errors
    /// If it has no such parameter, or the value is out of its range.
    pub fn with(mut self, name: &str, value: f64) -> Result<Self, AttackError> {
        let (index, parameter) = self.find(name)?;
        self.values[index] = parameter.check(value).map_err(|cause| self.fault(cause))?;
        Ok(self)
    }

    /// The attack with all its parameters, for people: `BIM, steps 10, step ε/10; within ε in L∞, clipped to the bounds`.
    pub fn summary(&self) -> String {
        let mut text = self.title().to_owned();
        for (p, value) in self.parameters() {
            if p.name == "step" && value == 0.0 {
                text += &format!(", step ε/{}", self.count("steps").max(1));
                continue;
            }
            let unit = if p.unit.is_empty() { String::new() } else { format!(" {}", p.unit) };
            text += &format!(", {} {}{unit}", p.name, p.text(value));
        }
        let held = match self.norm() {
            Some(Norm::Linf) => "within ε in L∞, ",
            Some(Norm::L2) => "within ε in L2, ",
            None => "",
        };
        text + "; " + held + "clipped to the bounds"
    }

    /// Whether the attack may be judged against `reference`: one that lowers the loss of the true label reads the answer,
    /// which is for the augmentation of training images only.
    ///
    /// # Errors
    /// If it may not.
    pub fn check_reference(&self, reference: Reference) -> Result<(), AttackError> {
        if self.entry.lowers_the_loss && reference == Reference::Label {
            return Err(AttackError::Undefined {
                attack: self.title(),
                cause:
                    "it lowers the loss of the true label, so that its scores say nothing about the model: it is for \
                        augmenting training images. Without a label the clean prediction is the reference, and it runs"
                        .to_owned(),
            });
        }
        Ok(())
    }

    fn set_text(&mut self, name: &str, text: &str) -> Result<(), AttackError> {
        let (index, parameter) = self.find(name)?;
        self.values[index] = parameter.parse(text).map_err(|cause| self.fault(cause))?;
        Ok(())
    }

    fn find(&self, name: &str) -> Result<(usize, &'static Parameter), AttackError> {
        self.entry.parameters.iter().enumerate().find(|(_, p)| p.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.entry.parameters.iter().map(|p| p.name).collect();
            let there =
                if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
            self.fault(format!("there is no parameter {name}; {there}"))
        })
    }

    fn fault(&self, cause: String) -> AttackError {
        AttackError::Parameter { attack: self.name().to_owned(), cause }
    }
}

impl PartialEq for Attack {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.values == other.values
    }
}

/// Its name, with the parameters that are not the defaults: `pgd(steps=20)`. The id of its rows in tests and tables.
impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed: Vec<String> = self
            .parameters()
            .filter(|(p, value)| p.default != *value)
            .map(|(p, value)| format!("{}={}", p.name, p.text(value)))
            .collect();
        f.write_str(self.name())?;
        if changed.is_empty() { Ok(()) } else { write!(f, "({})", changed.join(", ")) }
    }
}

impl fmt::Debug for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// As a file holds it.
#[derive(Serialize, Deserialize)]
struct File {
    method: String,
    #[serde(default)]
    parameters: BTreeMap<String, Stored>,
}

impl Serialize for Attack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parameters = self.parameters().map(|(p, value)| (p.name.to_owned(), p.stored(value))).collect();
        File { method: self.name().to_owned(), parameters }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Attack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = File::deserialize(deserializer)?;
        let mut attack = Self::named(&file.method).map_err(D::Error::custom)?;
        for (name, value) in &file.parameters {
            attack.set_text(name, &value.text()).map_err(D::Error::custom)?;
        }
        Ok(attack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::CATALOG;

    #[test]
    fn every_attack_comes_back_from_a_file_and_from_flags() {
        for entry in CATALOG {
            let mut attack = Attack::new(entry);
            assert!(entry.parameters.len() <= MOST_PARAMETERS, "{}", entry.name);
            for p in entry.parameters {
                assert!(p.check(p.default).is_ok(), "{}: {}", entry.name, p.name);
                let other = if p.default == p.range.0 { p.range.1 } else { p.range.0 };
                attack = attack.with(p.name, other).unwrap();
            }
            let text = serde_json::to_string(&attack).unwrap();
            assert_eq!(serde_json::from_str::<Attack>(&text).unwrap(), attack, "{text}");
            let flags: Vec<String> = attack.parameters().map(|(p, v)| format!("{}={}", p.name, p.text(v))).collect();
            assert_eq!(Attack::parse(entry.name, &flags).unwrap(), attack);
        }
    }

    #[test]
    fn a_step_that_the_steps_decide_is_told_as_its_length() {
        let summary = |settings: &[&str]| Attack::parse("bim", settings).unwrap().summary();
        assert_eq!(summary(&[]), "BIM, steps 10, step ε/10; within ε in L∞, clipped to the bounds");
        assert_eq!(
            summary(&["steps=4", "step=0.5"]),
            "BIM, steps 4, step 0.5 × ε; within ε in L∞, clipped to the bounds"
        );
    }

    #[test]
    fn faults_say_what_would_work() {
        let said = |name: &str, flag: &str| Attack::parse(name, &[flag]).unwrap_err().to_string();
        assert!(said("bim", "steps=0").contains("whole number from 1"));
        assert!(said("bim", "stride=2").contains("it has steps"));
        assert!(said("bim", "steps").contains("NAME=VALUE"));
        assert!(said("magic", "steps=2").contains("no attack magic"));
        assert!(said("pgd", "norm=l7").contains("one of linf, l2"));
        assert!(serde_json::from_str::<Attack>(r#"{"method":"bim","parameters":{"steps":-1}}"#).is_err());
    }
}
