//! A card that is being edited: the fields as they are typed, and the card that they say.

use crate::model::{Activation, ClassInfo, Colour, Head, ModelCard, SizeRule, Task};

/// A card with what is typed before it makes sense.
pub struct Draft {
    /// The card in use, as last heard of.
    of: ModelCard,
    /// Cards that were asked for and not heard of yet, oldest first.
    asked: Vec<ModelCard>,
    /// The card that was not taken: it is not asked for again.
    refused: Option<ModelCard>,
    /// What is chosen rather than typed.
    pub card: ModelCard,
    /// Numbers with commas.
    pub mean: String,
    /// Numbers with commas.
    pub std: String,
    /// The names of the classes, one a line.
    pub classes: String,
    /// By class: the colour that the card wishes.
    pub colours: Vec<Option<Colour>>,
}

impl Draft {
    /// Of the card in use.
    pub fn new(card: &ModelCard) -> Self {
        let numbers = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
        let names: Vec<&str> = card.classes.iter().map(|class| class.name.as_str()).collect();
        Self {
            of: card.clone(),
            asked: Vec::new(),
            refused: None,
            mean: numbers(&card.input.mean),
            std: numbers(&card.input.std),
            classes: names.join("\n"),
            colours: card.classes.iter().map(|class| class.colour).collect(),
            card: card.clone(),
        }
    }

    /// Takes note of the card in use. What is typed stays where it is the draft's own card that came into use; any other
    /// card begins a new draft.
    pub fn follow(&mut self, card: &ModelCard) {
        if self.of == *card {
            return;
        }
        match self.asked.iter().position(|asked| asked == card) {
            Some(place) => {
                self.asked.drain(..=place);
                self.of = card.clone();
            }
            None => *self = Self::new(card),
        }
    }

    /// The card as typed, or what is wrong with it.
    ///
    /// # Errors
    /// In words for people.
    pub fn read(&self) -> Result<ModelCard, String> {
        let numbers = |text: &str| -> Result<Vec<f32>, String> {
            let words = text.split([',', ' ', ';']).filter(|word| !word.is_empty());
            words.map(|word| word.parse().map_err(|_| format!("{word} is not a number"))).collect()
        };
        let mut card = self.card.clone();
        card.input.mean = numbers(&self.mean)?;
        card.input.std = numbers(&self.std)?;
        let colour = |i: usize| self.colours.get(i).copied().flatten();
        card.classes = class_names(&self.classes)
            .enumerate()
            .map(|(i, name)| ClassInfo { name: name.to_owned(), colour: colour(i) })
            .collect();
        card.check()?;
        Ok(card)
    }

    /// The card to ask for now, if it makes sense and is neither in use nor asked for.
    pub fn news(&mut self) -> Option<ModelCard> {
        let card = self.read().ok()?;
        if *self.asked.last().unwrap_or(&self.of) == card || self.refused.as_ref() == Some(&card) {
            return None;
        }
        self.refused = None;
        self.asked.push(card.clone());
        Some(card)
    }

    /// The engine did not take what was asked for.
    pub fn refuse(&mut self) {
        if let Some(last) = self.asked.pop() {
            self.refused = Some(last);
        }
        self.asked.clear();
    }

    /// Whether something was asked for that is not in use yet.
    pub fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Chooses what the model tells of an image, with a size rule that goes with it.
    pub fn set_task(&mut self, task: Task) {
        self.card.task = task;
        if let (Task::Classification, SizeRule::Tile(sides)) = (task, self.card.size_rule) {
            self.card.size_rule = SizeRule::Resize(sides);
        }
    }

    /// Chooses a head, with the activation and channel that go with it.
    pub fn set_head(&mut self, head: Head) {
        self.card.head = head;
        let output = &mut self.card.output;
        match head {
            Head::Softmax => {
                output.channel = None;
                if output.activation == Activation::Sigmoid {
                    output.activation = Activation::None;
                }
            }
            Head::Sigmoid if output.activation == Activation::Softmax => output.activation = Activation::None,
            Head::Sigmoid => {}
        }
    }
}

/// Names, one a line or with commas.
pub fn class_names(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', ',']).map(str::trim).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_stays_while_its_own_cards_come_into_use() {
        let card = ModelCard { channels: 3, ..ModelCard::default() };
        let mut draft = Draft::new(&card);
        assert_eq!(draft.news(), None);
        // Half a list is no card; a number for each channel is one.
        (draft.mean, draft.std) = ("0.5, 0.4".to_owned(), "1, 1".to_owned());
        assert!(draft.read().unwrap_err().contains("2 means") && draft.news().is_none());
        (draft.mean, draft.std) = ("0.50, 0.4, 0.3,".to_owned(), "1 1 1".to_owned());
        let first = draft.news().unwrap();
        assert_eq!(first.input.mean, [0.5, 0.4, 0.3]);
        assert!(draft.news().is_none() && draft.waits());
        draft.mean = "0.50, 0.4, 0.25,".to_owned();
        let second = draft.news().unwrap();
        draft.follow(&first);
        draft.follow(&second);
        assert_eq!(draft.mean, "0.50, 0.4, 0.25,");
        assert!(!draft.waits());
        // A card that was refused is not asked for again and again.
        draft.mean = "0, 0, 0".to_owned();
        assert!(draft.news().is_some());
        draft.refuse();
        assert!(draft.news().is_none() && !draft.waits());
        // Undo, or another model.
        draft.follow(&card);
        assert_eq!(draft.mean, "");
    }

    #[test]
    fn names_keep_their_colours() {
        let red = Colour([255, 0, 0]);
        let classes = vec![ClassInfo::new("skin"), ClassInfo { name: "lesion".to_owned(), colour: Some(red) }];
        let mut draft = Draft::new(&ModelCard { classes, ..ModelCard::default() });
        draft.classes = "skin,\n mole ".to_owned();
        let card = draft.read().unwrap();
        assert_eq!(card.classes[1], ClassInfo { name: "mole".to_owned(), colour: Some(red) });
        draft.classes = "skin".to_owned();
        assert!(draft.read().unwrap_err().contains("names 1 classes"));
    }

    #[test]
    fn choices_that_exclude_each_other_follow() {
        let card = ModelCard { size_rule: SizeRule::tile(64), ..ModelCard::default() };
        let mut draft = Draft::new(&card);
        draft.card.output.activation = Activation::Sigmoid;
        draft.card.output.channel = Some(1);
        draft.set_head(Head::Softmax);
        draft.set_task(Task::Classification);
        let card = draft.read().unwrap();
        assert_eq!((card.output.channel, card.size_rule), (None, SizeRule::Resize([64, 64])));
    }
}
