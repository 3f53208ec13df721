//! What a campaign is to measure.

use super::CampaignSet;
use crate::attack::{Attack, AttackError};
use crate::model::Model;
use crate::study::report::{Criterion, ReportError};
use crate::study::{SeenWanted, Subject, Truth};
use std::sync::Arc;

/// A model with the name that rows give it.
#[derive(Clone)]
pub struct CampaignModel {
    /// For people: its file without folder and ending, or the card's name.
    pub name: String,
    /// A fingerprint of its file, so that rows of other weights are not taken for these.
    pub id: String,
    /// The model.
    pub model: Arc<dyn Model>,
}

/// What attacks wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// That what is true is lost.
    Untargeted,
    /// Of classes, the second most probable one on the original; of masks, that the positive class is gone.
    Nearest,
    /// One class, by its index in the model: of the whole image, or of every pixel.
    Class(usize),
    /// That this class is gone from the mask.
    Erase(u8),
}

impl Wish {
    /// For keys and people.
    pub fn name(&self) -> String {
        match self {
            Self::Untargeted => "none".to_owned(),
            Self::Nearest => "nearest".to_owned(),
            Self::Class(class) => format!("class:{class}"),
            Self::Erase(class) => format!("erase:{class}"),
        }
    }

    /// The target of `subject`.
    pub fn target(&self, subject: &Subject) -> Option<Truth> {
        let positive = subject.model.card().positive_class;
        match (self, &subject.clean.classified) {
            (Self::Untargeted, _) => None,
            (Self::Class(class), Some(_)) => Some(Truth::Class(*class)),
            (Self::Class(class), None) => {
                let mut mask = subject.reference.clone();
                let class = u8::try_from(*class).unwrap_or(crate::data::IGNORE);
                mask.classes = vec![class; mask.classes.len()].into();
                Some(Truth::Mask(mask))
            }
            (Self::Nearest, Some(found)) => {
                let truth = subject.class.unwrap_or(found.predicted);
                let others = found.logits.iter().enumerate().filter(|(class, _)| *class != truth);
                others.max_by(|a, b| a.1.total_cmp(b.1)).map(|(class, _)| Truth::Class(class))
            }
            (Self::Nearest, None) => Some(subject.erasing(positive, None)),
            (Self::Erase(class), _) => Some(subject.erasing(*class, None)),
        }
    }
}

/// What a campaign is to measure.
pub struct CampaignPlan {
    /// The images.
    pub sets: Vec<CampaignSet>,
    /// The models, all of one task; each is attacked, and judges what was made on the others.
    pub models: Vec<CampaignModel>,
    /// The attacks. One that knows a seed is run with each of `seeds`.
    pub attacks: Vec<Attack>,
    /// Seeds of attacks and of the control.
    pub seeds: Vec<u64>,
    /// ε as fractions of the bounds' width, above 0.
    pub epsilons: Vec<f64>,
    /// ε are multiples of each attack's [`axis_unit`](Attack::axis_unit): of an L2 norm √(number of values of the image).
    pub relative: bool,
    /// What counts as failing.
    pub criterion: Criterion,
    /// What is measured of the images as a screen shows them; nothing if none.
    pub seen: Option<SeenWanted>,
    /// What attacks wish.
    pub wish: Wish,
    /// The part of each image that attacks and control may change, as [`Region::parse`](crate::data::Region::parse) reads it.
    pub region: Option<String>,
    /// An image is left alone once it is as the attack wants it.
    pub stop_early: bool,
    /// Memory that gradients of one batch may take, which picks how many images run together.
    pub budget_bytes: u64,
    /// Where it is computed, for people.
    pub device: String,
}

impl CampaignPlan {
    /// The attacks with their seeds, in the order of the table.
    ///
    /// # Errors
    /// If a seed is out of range.
    pub fn attacks(&self) -> Result<Vec<(Attack, u64)>, AttackError> {
        let mut all = Vec::new();
        for &attack in &self.attacks {
            let seeded = attack.get("seed").is_some();
            for &seed in self.seeds.iter().take(if seeded { usize::MAX } else { 1 }) {
                all.push((if seeded { attack.with("seed", seed as f64)? } else { attack }, seed));
            }
        }
        Ok(all)
    }

    /// Pairs of an image and an attack on a model: what progress counts.
    ///
    /// # Errors
    /// As [`Self::attacks`].
    pub fn steps(&self) -> Result<usize, ReportError> {
        let images: usize = self.sets.iter().map(|set| set.entries.len()).sum();
        Ok(images * self.attacks()?.len() * self.models.len())
    }
}
