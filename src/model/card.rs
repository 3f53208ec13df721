//! The model card: all that a program or a person needs to know to use a model. Stored as TOML beside the weights.

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

/// Which image sizes the network itself takes; other sizes are brought to it inside the model and cut back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeRule {
    /// All.
    Any,
    /// Height and width are padded (by reflection) to a multiple of this.
    MultipleOf(usize),
    /// The network takes this height and width only: larger images are tiled with overlap, smaller ones padded. One
    /// number in the card is a square. For segmentation.
    #[serde(deserialize_with = "side_or_sides")]
    Tile([usize; 2]),
    /// The network takes this height and width only: images are resized to it (bilinear, antialiased), and dense
    /// logits back. One number in the card is a square.
    #[serde(deserialize_with = "side_or_sides")]
    Resize([usize; 2]),
}

impl SizeRule {
    /// Square tiles.
    pub fn tile(side: usize) -> Self {
        Self::Tile([side, side])
    }
}

fn side_or_sides<'de, D: serde::Deserializer<'de>>(from: D) -> Result<[usize; 2], D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a size is one number, or [height, width]")]
    enum Sides {
        One(usize),
        Two([usize; 2]),
    }
    Ok(match Sides::deserialize(from)? {
        Sides::One(side) => [side, side],
        Sides::Two(sides) => sides,
    })
}

/// The order in which a network takes colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV reads files.
    Bgr,
}

/// Over what a z-score takes mean and standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZScore {
    /// Over all values of an image.
    Image,
    /// Over each channel of an image by itself.
    Channel,
}

/// How a network's input is made of an image that is scaled so that its bounds are `[0, 1]`. In this order: window,
/// range, order of the channels, mean and standard deviation, z-score. The gradient flows through all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputRule {
    /// What the lower and the upper end of the bounds (or of the window) become: `[0, 1]`, `[-1, 1]`, `[0, 255]`.
    pub range: [f32; 2],
    /// The ends of a window in pixel units (Hounsfield units), to which values are clipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<[f32; 2]>,
    /// The bounds in pixel units that an image must have; with a window, −1024 to 3071 (Hounsfield units) where the card
    /// says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[f32; 2]>,
    /// The order of the colours.
    pub order: ChannelOrder,
    /// Subtracted from the range's values: one for each channel as the network takes them, one for all, or none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mean: Vec<f32>,
    /// Divided by; as many as there are means.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub std: Vec<f32>,
    /// (x − mean) / (standard deviation + 10⁻⁶), of the image itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub z_score: Option<ZScore>,
}

impl Default for InputRule {
    fn default() -> Self {
        Self {
            range: [0.0, 1.0],
            window: None,
            bounds: None,
            order: ChannelOrder::Rgb,
            mean: Vec::new(),
            std: Vec::new(),
            z_score: None,
        }
    }
}

impl InputRule {
    /// What images get whose pixels are Hounsfield units.
    const HOUNSFIELD: [f32; 2] = [-1024.0, 3071.0];

    /// Whether it changes nothing.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The bounds in pixel units that an image must have, if any will not do.
    pub fn needed_bounds(&self) -> Option<[f32; 2]> {
        self.bounds.or(self.window.map(|_| Self::HOUNSFIELD))
    }
}

/// What the network puts out at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// Logits.
    #[default]
    None,
    /// Probabilities, each on its own.
    Sigmoid,
    /// Probabilities that add up to 1 over the classes.
    Softmax,
}

/// Which of a network's outputs is used, and what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputRule {
    /// Its name in the graph; the first one if the card says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The activation that the network ends in. It is taken off a graph to get logits; where that cannot be done, logits
    /// are log-odds of the probabilities, clamped to [10⁻⁷, 1 − 10⁻⁷].
    pub activation: Activation,
    /// Of several independent outputs (multi-label), the one that is the positive class of a sigmoid head; from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<usize>,
}

impl OutputRule {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// A colour, `#rrggbb` in the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour(pub [u8; 3]);

impl TryFrom<String> for Colour {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.is_ascii());
        let part = |i: usize| digits.and_then(|d| u8::from_str_radix(&d[2 * i..2 * i + 2], 16).ok());
        match (part(0), part(1), part(2)) {
            (Some(r), Some(g), Some(b)) => Ok(Self([r, g, b])),
            _ => Err(format!("{text} is no colour; write #rrggbb")),
        }
    }
}

impl From<Colour> for String {
    fn from(Colour([r, g, b]): Colour) -> Self {
        format!("#{r:02x}{g:02x}{b:02x}")
    }
}

/// A class that a model knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassInfo {
    /// Its name, in lower case: `membrane`.
    pub name: String,
    /// The colour to show it in, if the card wishes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<Colour>,
}

impl ClassInfo {
    /// A class without a colour of its own.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), colour: None }
    }
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
        self.check_input()?;
        self.check_size()?;
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

    fn check_input(&self) -> Result<(), String> {
        let InputRule { range, window, bounds, mean, std, order, .. } = &self.input;
        for (name, ends) in [("range", Some(*range)), ("window", *window), ("bounds", *bounds)] {
            if let Some([lower, upper]) = ends
                && !(lower.is_finite() && upper.is_finite() && lower < upper)
            {
                return Err(format!("its {name} is {lower} to {upper}, and the first must be below the second"));
            }
        }
        if mean.len() != std.len() || ![0, 1, self.channels].contains(&mean.len()) {
            return Err(format!(
                "it has {} means and {} standard deviations for {} channels",
                mean.len(),
                std.len(),
                self.channels
            ));
        }
        if let Some(bad) = std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(format!("a standard deviation is {bad}, and must be above 0"));
        }
        if mean.iter().any(|m| !m.is_finite()) {
            return Err("a mean is not a finite number".to_owned());
        }
        if *order == ChannelOrder::Bgr && self.channels != 3 {
            return Err(format!("the order BGR needs 3 channels, and it takes {}", self.channels));
        }
        Ok(())
    }

    fn check_size(&self) -> Result<(), String> {
        match (self.size_rule, self.task) {
            (SizeRule::Any, _) => Ok(()),
            (SizeRule::MultipleOf(n), _) if (1..=4096).contains(&n) => Ok(()),
            (SizeRule::MultipleOf(n), _) => Err(format!("its size rule is a multiple of {n}")),
            (SizeRule::Tile(_), Task::Classification) => {
                Err("a whole image cannot be classified in tiles: resize".to_owned())
            }
            (SizeRule::Tile([h, w]) | SizeRule::Resize([h, w]), _)
                if (1..=16_384).contains(&h.min(w)) && h.max(w) <= 16_384 =>
            {
                Ok(())
            }
            (SizeRule::Tile([h, w]) | SizeRule::Resize([h, w]), _) => Err(format!("its size is {h}×{w}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            },
            output: OutputRule { name: Some("probability".into()), activation: Activation::Sigmoid, channel: Some(2) },
            classes: vec![
                ClassInfo::new("skin"),
                ClassInfo { name: "lesion".into(), colour: Some(Colour([255, 128, 0])) },
            ],
            ..ModelCard::default()
        };
        card.check().unwrap();
        let text = toml::to_string_pretty(&card).unwrap();
        assert!(text.contains("#ff8000"), "{text}");
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
            (ModelCard { size_rule: SizeRule::Resize([0, 5]), ..good }, "size is 0×5"),
        ];
        for (card, expected) in cases {
            let error = card.check().unwrap_err();
            assert!(error.contains(expected), "{error} should contain {expected}");
        }
    }
}
