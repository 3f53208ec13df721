//! What tells an attacked image from another one of the same name: a threshold holds for one perturbation.

use serde::{Deserialize, Serialize};

/// What an image is, and what attacks on it depend on besides model and parameters. What older files do not tell is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// Fingerprint of the pixels in the file's units ([`Fnv`](crate::data::Fnv)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<String>,
    /// What 0 and 1 stand for, in the file's units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<String>,
    /// The axis along which the volume is sliced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub axis: Option<String>,
    /// What the loss compares with: which label, or the clean prediction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The part that the attack changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What the attack wishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl Identity {
    /// The columns of a table that hold it.
    pub const COLUMNS: [&str; 6] = ["pixels", "bounds", "axis", "reference", "region", "target"];
    /// What each column is called where it differs.
    const CALLED: [&str; 6] = ["image content", "bounds", "axis", "label or prediction", "region", "target"];

    fn values(&self) -> [Option<&str>; 6] {
        let all = [&self.pixels, &self.bounds, &self.axis, &self.reference, &self.region, &self.target];
        all.map(Option::as_deref)
    }

    /// The text of a column, if it is told.
    pub fn get(&self, column: &str) -> Option<&str> {
        let at = Self::COLUMNS.iter().position(|known| *known == column)?;
        self.values()[at]
    }

    /// Whether nothing is told.
    pub fn is_empty(&self) -> bool {
        self.values().iter().all(Option::is_none)
    }

    /// In what `told`, the text of columns, differs from it; what either does not tell is taken to be the same.
    pub fn differs<'a>(&self, told: impl Fn(&str) -> Option<&'a str>) -> Vec<&'static str> {
        let columns = Self::COLUMNS.into_iter().zip(Self::CALLED).zip(self.values());
        let other = |(column, own): (&str, Option<&str>)| own.zip(told(column)).is_some_and(|(own, told)| own != told);
        columns.filter(|((column, _), own)| other((column, *own))).map(|((_, called), _)| called).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_tell_is_compared() {
        let here = Identity {
            pixels: Some("a".to_owned()),
            region: Some("whole image".to_owned()),
            target: Some("none".to_owned()),
            ..Identity::default()
        };
        let there =
            Identity { region: Some("90 pixels".to_owned()), bounds: Some("0 to 255".to_owned()), ..here.clone() };
        assert_eq!(here.differs(|column| there.get(column)), ["region"]);
        assert!(here.differs(|_| None).is_empty() && Identity::default().differs(|c| here.get(c)).is_empty());
        assert!(Identity::default().is_empty() && !here.is_empty());
        // A file of before holds none of it.
        assert_eq!(serde_json::from_str::<Identity>("{}").unwrap(), Identity::default());
    }
}
