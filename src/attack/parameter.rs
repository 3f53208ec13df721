//! What a parameter of an attack is: enough for a panel, a flag, a file and a test that know nothing of the attack.

use serde::Serialize;

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any number of the range.
    Number,
    /// Whole numbers of the range.
    Count,
    /// Yes (1) or no (0).
    Switch,
    /// One of these, by its index.
    Choice(&'static [&'static str]),
}

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// The name in flags, files and CSV columns: `steps`.
    pub name: &'static str,
    /// What it does, in a sentence without a full stop.
    pub description: &'static str,
    /// The unit for people, empty for plain numbers: `× ε`, `px`.
    pub unit: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// The smallest and the largest value.
    pub range: (f64, f64),
    /// The default, from the paper.
    pub default: f64,
}

impl Parameter {
    /// A number between `range.0` and `range.1`.
    pub const fn number(
        name: &'static str,
        unit: &'static str,
        range: (f64, f64),
        default: f64,
        description: &'static str,
    ) -> Self {
        Self { name, description, unit, kind: Kind::Number, range, default }
    }

    /// A whole number between `range.0` and `range.1`.
    pub const fn count(name: &'static str, range: (f64, f64), default: f64, description: &'static str) -> Self {
        Self { name, description, unit: "", kind: Kind::Count, range, default }
    }

    /// One of `names`; the default by its index.
    pub const fn choice(
        name: &'static str,
        names: &'static [&'static str],
        default: usize,
        description: &'static str,
    ) -> Self {
        let range = (0.0, names.len() as f64 - 1.0);
        Self { name, description, unit: "", kind: Kind::Choice(names), range, default: default as f64 }
    }

    /// The seed of an attack's random choices.
    pub const fn seed() -> Self {
        Self::count("seed", (0.0, 4_294_967_295.0), 0.0, "The seed of its random choices; the same gives the same")
    }

    /// The name for people, with the letter of the papers where they have one: `Random start`, `τ`.
    pub fn label(&self) -> String {
        let letter = match self.name {
            "alpha" => "α",
            "kappa" => "κ",
            "momentum" => "Momentum μ",
            "rho" => "ρ",
            "tau" => "τ",
            "c" => "c",
            _ => "",
        };
        if !letter.is_empty() {
            return letter.to_owned();
        }
        let words = self.name.replace('-', " ");
        let mut letters = words.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }

    /// `value` for people, with the signs of the papers: `L∞` for `linf`.
    pub fn shown(&self, value: f64) -> String {
        match self.text(value).as_str() {
            "linf" => "L∞".to_owned(),
            "l2" => "L2".to_owned(),
            text => text.to_owned(),
        }
    }

    /// Whether `value` may be set.
    ///
    /// # Errors
    /// What would be allowed, if it may not.
    pub fn check(&self, value: f64) -> Result<f64, String> {
        let whole = matches!(self.kind, Kind::Number) || value.fract() == 0.0;
        if whole && (self.range.0..=self.range.1).contains(&value) {
            Ok(value)
        } else {
            Err(format!("{} = {value} is not {}", self.name, self.allowed()))
        }
    }

    /// The value that `text` means.
    ///
    /// # Errors
    /// What would be allowed, if it means none.
    pub fn parse(&self, text: &str) -> Result<f64, String> {
        let text = text.trim();
        let fault = || format!("{} = {text} is not {}", self.name, self.allowed());
        match self.kind {
            Kind::Switch if text == "yes" => Ok(1.0),
            Kind::Switch if text == "no" => Ok(0.0),
            Kind::Choice(names) => names.iter().position(|n| *n == text).map(|i| i as f64).ok_or_else(fault),
            _ => {
                let value = match text.split_once('/') {
                    Some((a, b)) => a.trim().parse::<f64>().ok().zip(b.trim().parse::<f64>().ok()).map(|(a, b)| a / b),
                    None => text.parse::<f64>().ok(),
                };
                self.check(value.ok_or_else(fault)?)
            }
        }
    }

    /// `value` for people and files.
    pub fn text(&self, value: f64) -> String {
        match self.kind {
            Kind::Choice(names) => names.get(value as usize).copied().unwrap_or("?").to_owned(),
            Kind::Switch => if value == 0.0 { "no" } else { "yes" }.to_owned(),
            Kind::Number | Kind::Count => value.to_string(),
        }
    }

    /// `value` as a file stores it: a name, a boolean or a number.
    pub(super) fn stored(&self, value: f64) -> Stored {
        match self.kind {
            Kind::Choice(_) => Stored::Text(self.text(value)),
            Kind::Switch => Stored::Switch(value != 0.0),
            Kind::Number => Stored::Number(value),
            Kind::Count => Stored::Count(value as u64),
        }
    }

    /// The values that may be set, in words.
    pub fn allowed(&self) -> String {
        let (lower, upper) = self.range;
        match self.kind {
            Kind::Number => format!("a number from {lower} to {upper}"),
            Kind::Count => format!("a whole number from {lower} to {upper}"),
            Kind::Switch => "yes or no".to_owned(),
            Kind::Choice(names) => format!("one of {}", names.join(", ")),
        }
    }
}

/// A value in a file.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Stored {
    Switch(bool),
    Count(u64),
    Number(f64),
    Text(String),
}

impl Stored {
    /// The text that [`Parameter::parse`] reads.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Switch(yes) => if *yes { "yes" } else { "no" }.to_owned(),
            Self::Count(n) => n.to_string(),
            Self::Number(v) => v.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}
