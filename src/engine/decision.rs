//! What classes there are in a frame: the scores of a model that classifies whole images, the Dice of each class of one that
//! tells several apart, whose word is taken for the truth, and what attacks wish in its place.

use crate::attack::Reference;
use crate::data::{Case, ClassLabel, Mask};
use crate::metric;
use crate::model::{ModelCard, ModelError, Task};
use crate::study::{Judged, Subject, Truth};
use std::sync::Arc;

/// What a model that classifies whole images says of the original and of the adversarial image.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    /// The probability of each class, of the original.
    pub clean: Arc<[f32]>,
    /// The same of the adversarial image.
    pub adversarial: Arc<[f32]>,
    /// The class that the loss and the measures compare with, by its index in the model.
    pub truth: usize,
    /// The class that the attack wishes, if it has a target.
    pub target: Option<usize>,
}

impl ClassScores {
    /// Of `judged` beside the original; `None` for a model that segments.
    pub(super) fn of(subject: &Subject, judged: &Judged) -> Option<Self> {
        let target = match subject.target {
            Some(Truth::Class(class)) => Some(class),
            _ => None,
        };
        Some(Self {
            clean: subject.clean.classified.as_ref()?.probabilities.clone(),
            adversarial: judged.classified.as_ref()?.probabilities.clone(),
            truth: subject.class?,
            target,
        })
    }
}

/// Dice of every class against the reference; `None` for a class that is in neither mask.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassDice {
    /// Of the original.
    pub clean: Arc<[Option<f64>]>,
    /// Of the adversarial image.
    pub adversarial: Arc<[Option<f64>]>,
}

impl ClassDice {
    /// Of masks of more than two classes.
    pub(super) fn of(subject: &Subject, judged: &Judged) -> Option<Self> {
        let classes = subject.model.card().classes.len();
        let dice = |found: &Mask| metric::dice_of_classes(&subject.reference, found, classes).into();
        (subject.class.is_none() && classes > 2)
            .then(|| Self { clean: dice(&subject.clean.predicted), adversarial: dice(&judged.predicted) })
    }
}

/// Whose word is taken for the class of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TruthChoice {
    /// The data set's, where it has one that the model knows; else the model's own clean decision.
    #[default]
    Given,
    /// A person's, by the class's index in the model.
    Chosen(usize),
    /// The model's own clean decision.
    CleanDecision,
}

/// What attacks are to reach, in place of only leaving the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetWish {
    /// The decision is this class; of masks, every pixel is.
    Class(usize),
    /// Of masks: no pixel is of this class any more.
    Erase(usize),
    /// Of masks: this one, of the image's size.
    Mask(Arc<Mask>),
}

impl TargetWish {
    /// For the attack on `subject`.
    pub(super) fn truth(&self, subject: &Subject) -> Result<Truth, String> {
        let card = subject.model.card();
        let known = card.classes.len();
        let of_mask = |class: usize| {
            let index = u8::try_from(class).ok().filter(|_| class < known);
            index.ok_or_else(|| {
                format!("the model knows {known} classes, counted from 0, and class {class} is wished for")
            })
        };
        Ok(match (self, card.task) {
            (Self::Class(class), Task::Classification) => Truth::Class(*class),
            (Self::Class(class), Task::Segmentation) => {
                let class = of_mask(*class)?;
                let Mask { height, width, classes } = &subject.reference;
                Truth::Mask(Mask { height: *height, width: *width, classes: vec![class; classes.len()].into() })
            }
            (Self::Erase(class), Task::Segmentation) => subject.erasing(of_mask(*class)?, None),
            (Self::Mask(mask), Task::Segmentation) => Truth::Mask((**mask).clone()),
            (Self::Erase(_) | Self::Mask(_), Task::Classification) => {
                return Err("a model that classifies whole images has no pixels to erase or to draw: wish for a class"
                    .to_owned());
            }
        })
    }

    /// Whether it means something for other images too: not a mask, which is of one image.
    pub(super) fn is_of_any_image(&self) -> bool {
        !matches!(self, Self::Mask(_))
    }

    /// Whether it can be wished of a model with this card.
    pub fn fits(&self, card: &ModelCard) -> bool {
        match self {
            Self::Class(class) => *class < card.classes.len(),
            Self::Erase(class) => card.task == Task::Segmentation && *class < card.classes.len(),
            Self::Mask(_) => card.task == Task::Segmentation,
        }
    }
}

/// `case` for a model with this card: without a class that the model does not know, which is then said in
/// [`CaseInfo::class`](super::CaseInfo::class) alone.
pub(super) fn known_class(case: Case, card: &ModelCard) -> Case {
    let class = case.class.filter(|label| card.task == Task::Segmentation || card.class_of(label).is_ok());
    Case { class, ..case }
}

/// `subject` with the truth that is chosen for it; `given` is the data set's class.
pub(super) fn with_truth(
    subject: Subject,
    choice: TruthChoice,
    given: Option<ClassLabel>,
) -> Result<Subject, ModelError> {
    if subject.class.is_none() {
        return Ok(subject);
    }
    let card = subject.model.card();
    let class = match choice {
        TruthChoice::Given => given.filter(|label| card.class_of(label).is_ok()),
        TruthChoice::CleanDecision => None,
        TruthChoice::Chosen(class) => {
            let index = u16::try_from(class).ok().filter(|_| class < card.classes.len());
            let unknown = ModelError::UnknownClass { class, known: card.classes.len() };
            Some(ClassLabel { index: index.ok_or(unknown)?, name: None })
        }
    };
    if subject.case.class == class { Ok(subject) } else { subject.reclass(class) }
}

/// Whose word the truth is, once the choice is made.
pub(super) fn given_by(subject: &Subject, choice: TruthChoice) -> TruthChoice {
    match (subject.reference_kind, choice) {
        (Reference::CleanPrediction, _) => TruthChoice::CleanDecision,
        (Reference::Label, choice) => choice,
    }
}
