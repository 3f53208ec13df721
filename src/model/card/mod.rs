//! The model card: all that a program or a person needs to know to use a model. Stored as TOML beside the weights.

mod class;
mod input;
mod output;
mod purpose;
mod size;

pub use class::{ClassInfo, Colour};
pub use input::{ChannelOrder, InputRule, ZScore};
pub use output::{Activation, OutputRule};
pub use purpose::ImageKind;
pub use size::SizeRule;

use super::ModelError;
use super::unet::UNetConfig;
use crate::data::ClassLabel;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What a model says about an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A class for every pixel.
    #[default]
    Segmentation,
    /// One class for the whole image.
    Classification,
}

/// How logits become classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// One logit; its sigmoid is the probability of the positive class.
    Sigmoid,
    /// One logit per class.
    Softmax,
}

/// What a model is: read from `<weights>.toml` beside the weights, or `model.toml` in the same folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// A short name: `membranes-unet`.
    pub name: String,
    /// One paragraph for people: what it does, what it was trained on, how good it is.
    #[serde(default)]
    pub description: String,
    /// What images it was made for, in a few words: `the lumbar spine in CT`. Empty where nobody knows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub made_for: String,
    /// Pixels or whole images.
    #[serde(default)]
    pub task: Task,
    /// Channels that the network takes. A grey image feeds all channels of a network that takes several.
    pub channels: usize,
    /// How logits become classes.
    pub head: Head,
    /// Which sizes it takes.
    pub size_rule: SizeRule,
    /// Index into `classes` of the class that Dice, IoU and area speak of (ISBI: membrane). For a sigmoid head it
    /// is the class of a positive logit.
    pub positive_class: u8,
    /// How its input is made of an image.
    #[serde(default, skip_serializing_if = "InputRule::is_plain")]
    pub input: InputRule,
    /// Which output is used.
    #[serde(default, skip_serializing_if = "OutputRule::is_plain")]
    pub output: OutputRule,
    /// The classes by index. A sigmoid head has two.
    pub classes: Vec<ClassInfo>,
    /// The network that the weights belong to; none where the file holds the network itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<UNetConfig>,
}

/// One grey channel, a sigmoid, every size: what is left to be said is the name.
impl Default for ModelCard {
    fn default() -> Self {
        Self {
            name: "model".to_owned(),
            description: String::new(),
            made_for: String::new(),
            task: Task::Segmentation,
            channels: 1,
            head: Head::Sigmoid,
            size_rule: SizeRule::Any,
            positive_class: 1,
            input: InputRule::default(),
            output: OutputRule::default(),
            classes: vec![ClassInfo::new("background"), ClassInfo::new("foreground")],
            network: None,
        }
    }
}

impl ModelCard {
    /// The index of the class called `name`, if there is one.
    pub fn class_index(&self, name: &str) -> Option<u8> {
        self.classes.iter().position(|c| c.name == name).and_then(|i| u8::try_from(i).ok())
    }

    /// The model's index of the class that a data set gives an image: that of the same name (letters' case does not matter)
    /// if the model knows the name, else the data set's own index.
    ///
    /// # Errors
    /// If the model has no such class.
    pub fn class_of(&self, label: &ClassLabel) -> Result<usize, ModelError> {
        let named = |name: &std::sync::Arc<str>| {
            let name = name.to_lowercase();
            self.classes.iter().position(|class| class.name.to_lowercase() == name)
        };
        let class = label.name.as_ref().and_then(named).unwrap_or_else(|| usize::from(label.index));
        let known = self.classes.len();
        if class < known { Ok(class) } else { Err(ModelError::UnknownClass { class, known }) }
    }

    /// The name of class `index`.
    pub fn class_name(&self, index: usize) -> Cow<'_, str> {
        self.classes.get(index).map_or_else(|| format!("class {index}").into(), |class| class.name.as_str().into())
    }

    /// Whether its classes have numbers in place of names.
    pub fn is_nameless(&self) -> bool {
        self.classes.iter().enumerate().all(|(index, class)| class.name == format!("class {index}"))
    }

    /// The outputs that the head reads: one logit, or one for each class.
    pub fn outputs(&self) -> usize {
        match self.head {
            Head::Sigmoid => 1,
            Head::Softmax => self.classes.len(),
        }
    }

    /// What contradicts itself, if something does.
    ///
    /// # Errors
    /// In words that go on from "the card of NAME cannot be used:".
    pub fn check(&self) -> Result<(), String> {
        let n = self.channels;
        if !(1..=4096).contains(&n) {
            return Err(format!("it takes {n} channels"));
        }
        let (classes, most) = match (self.head, self.task) {
            (Head::Sigmoid, _) => (2..=2, "2 classes, as a sigmoid head has"),
            (Head::Softmax, Task::Segmentation) => (2..=255, "2 to 255 classes"),
            (Head::Softmax, Task::Classification) => (2..=100_000, "at least 2 classes"),
        };
        if !classes.contains(&self.classes.len()) {
            return Err(format!("it names {} classes, and must name {most}", self.classes.len()));
        }
        if usize::from(self.positive_class) >= self.classes.len() {
            return Err(format!(
                "its positive class is {}, and it names {} classes (the first is 0)",
                self.positive_class,
                self.classes.len()
            ));
        }
        self.input.check(self.channels)?;
        self.size_rule.check(self.task)?;
        if self.network.is_some() && (self.input.layout.is_some() || self.output.layout.is_some()) {
            return Err("a layout is of ONNX graphs, and it describes a U-Net of this program".to_owned());
        }
        match (self.head, self.output.activation, self.output.channel) {
            (Head::Softmax, _, Some(_)) => Err("only a sigmoid head has an output channel".to_owned()),
            (Head::Softmax, Activation::Sigmoid, _) => {
                Err("a softmax head does not follow from sigmoids: name one output channel, and the sigmoid head"
                    .to_owned())
            }
            (Head::Sigmoid, Activation::Softmax, _) => {
                Err("a sigmoid head does not follow from a softmax: use the softmax head".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Layout;

    #[test]
    fn a_card_survives_its_file() {
        let card = ModelCard {
            channels: 3,
            size_rule: SizeRule::Resize([224, 320]),
            input: InputRule {
                range: [-1.0, 1.0],
                order: ChannelOrder::Bgr,
                mean: vec![0.5; 3],
                std: vec![0.2; 3],
                z_score: Some(ZScore::Channel),
                window: Some([-160.0, 240.0]),
                bounds: None,
                layout: Some(Layout::Nhwc),
            },
            output: OutputRule {
                name: Some("probability".into()),
                activation: Activation::Sigmoid,
                channel: Some(2),
                layout: Some(Layout::Nchw),
            },
            classes: vec![
                ClassInfo::new("skin"),
                ClassInfo { name: "lesion".into(), colour: Some(Colour([255, 128, 0])) },
            ],
            ..ModelCard::default()
        };
        card.check().unwrap();
        let text = toml::to_string_pretty(&card).unwrap();
        assert!(text.contains("#ff8000") && text.contains("layout = \"nhwc\""), "{text}");
        assert_eq!(toml::from_str::<ModelCard>(&text).unwrap(), card);
        assert_eq!(card.input.needed_bounds(), Some([-1024.0, 3071.0]));
    }

    #[test]
    fn one_number_is_a_square() {
        let text = "name='a'\nchannels=1\nhead='sigmoid'\npositive_class=1\nclasses=[{name='a'},{name='b'}]\n[size_rule]\ntile=224";
        assert_eq!(toml::from_str::<ModelCard>(text).unwrap().size_rule, SizeRule::tile(224));
        let any = text.replace("[size_rule]\ntile=224", "size_rule='any'");
        assert_eq!(toml::from_str::<ModelCard>(&any).unwrap().size_rule, SizeRule::Any);
        let typo = format!("{text}\n[input]\nmeans=[0.5]");
        assert!(toml::from_str::<ModelCard>(&typo).unwrap_err().to_string().contains("means"));
    }

    #[test]
    fn contradictions_are_found() {
        let good = ModelCard::default();
        let input = |input: InputRule| ModelCard { input, ..ModelCard::default() };
        let cases = [
            (ModelCard { positive_class: 2, ..good.clone() }, "positive class is 2"),
            (ModelCard { classes: vec![ClassInfo::new("one")], ..good.clone() }, "names 1 classes"),
            (input(InputRule { range: [1.0, 0.0], ..InputRule::default() }), "range is 1 to 0"),
            (input(InputRule { mean: vec![0.0; 2], std: vec![1.0; 2], ..InputRule::default() }), "2 means"),
            (input(InputRule { mean: vec![0.0], std: vec![0.0], ..InputRule::default() }), "deviation is 0"),
            (input(InputRule { order: ChannelOrder::Bgr, ..InputRule::default() }), "BGR needs 3"),
            (
                ModelCard { task: Task::Classification, size_rule: SizeRule::tile(8), ..good.clone() },
                "cannot be classified in tiles",
            ),
            (
                ModelCard {
                    network: Some(UNetConfig::new(4, 1)),
                    ..input(InputRule { layout: Some(Layout::Nhwc), ..InputRule::default() })
                },
                "a layout is of ONNX graphs",
            ),
            (ModelCard { size_rule: SizeRule::Resize([0, 5]), ..good }, "size is 0×5"),
        ];
        for (card, expected) in cases {
            let error = card.check().unwrap_err();
            assert!(error.contains(expected), "{error} should contain {expected}");
        }
    }
}
