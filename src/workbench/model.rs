//! The model in the inspector: what its file holds, what was guessed, and an editor of its card. A new card is used at once, so
//! that the clean prediction tells whether it is right, and saved beside the model.

use super::command::CommandSender;
use super::layout::section;
use super::state::State;
use super::theme;
use crate::engine::Request;
use crate::model::{About, Activation, ChannelOrder, Head, ModelCard, SizeRule, ZScore};
use eframe::egui::{self, Button, CollapsingHeader, ComboBox, DragValue, Grid, RichText, TextEdit, Ui};

/// The card that is being edited.
#[derive(Default)]
pub struct ModelPanel {
    draft: Option<Draft>,
}

/// A card with what is typed before it makes sense.
struct Draft {
    /// The card in use that it began as.
    of: ModelCard,
    card: ModelCard,
    mean: String,
    std: String,
    classes: String,
}

impl Draft {
    fn new(card: &ModelCard) -> Self {
        let numbers = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
        let names: Vec<&str> = card.classes.iter().map(|class| class.name.as_str()).collect();
        Self {
            of: card.clone(),
            mean: numbers(&card.input.mean),
            std: numbers(&card.input.std),
            classes: names.join(", "),
            card: card.clone(),
        }
    }

    /// The card as typed, or what is wrong with it.
    fn read(&self) -> Result<ModelCard, String> {
        let numbers = |text: &str| -> Result<Vec<f32>, String> {
            let words = text.split([',', ' ']).filter(|word| !word.is_empty());
            words.map(|word| word.parse().map_err(|_| format!("{word} is not a number"))).collect()
        };
        let mut card = self.card.clone();
        card.input.mean = numbers(&self.mean)?;
        card.input.std = numbers(&self.std)?;
        let names = self.classes.split(',').map(str::trim).filter(|name| !name.is_empty());
        card.classes = names
            .enumerate()
            .map(|(i, name)| crate::model::ClassInfo {
                name: name.to_owned(),
                colour: self.of.classes.get(i).and_then(|class| class.colour),
            })
            .collect();
        card.check()?;
        Ok(card)
    }
}

impl ModelPanel {
    /// Draws the section, if there is a model.
    pub fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender) {
        let (Some(card), Some(about)) = (&state.model, &state.model_about) else { return };
        section(ui, "Model");
        ui.label(&card.name);
        if !card.description.is_empty() {
            ui.label(theme::weak(ui, &card.description));
        }
        facts_ui(ui, card, about);
        for note in &about.facts.notes {
            ui.label(RichText::new(note).color(theme::of(ui).warning));
        }
        let guessed = !about.facts.guessed.is_empty();
        if guessed {
            let text = "No card lies beside this model. Guessed, to be confirmed or corrected below:";
            ui.label(RichText::new(text).color(theme::of(ui).warning));
            for guess in &about.facts.guessed {
                ui.label(format!("• {guess}"));
            }
        }
        if about.facts.path.is_some() {
            CollapsingHeader::new("Card").id_salt("card").default_open(false).show(ui, |ui| {
                self.card_ui(ui, card, guessed, commands);
            });
        }
    }

    fn card_ui(&mut self, ui: &mut Ui, card: &ModelCard, guessed: bool, commands: &CommandSender) {
        if self.draft.as_ref().is_none_or(|draft| draft.of != *card) {
            self.draft = Some(Draft::new(card));
        }
        let Some(draft) = &mut self.draft else { return };
        Grid::new("card").num_columns(2).spacing([12.0, 4.0]).min_col_width(72.0).show(ui, |ui| {
            input_ui(ui, draft);
            output_ui(ui, draft);
        });
        let read = draft.read();
        if let Err(why) = &read {
            ui.label(RichText::new(why).color(theme::of(ui).warning));
        }
        let mut revert = false;
        ui.horizontal(|ui| {
            let changed = read.as_ref().is_ok_and(|wished| guessed || *wished != draft.of);
            let save = ui.add_enabled(changed, Button::new("Use and save"));
            let tip = "Predicts anew with this card, and writes it beside the model (.toml) if the model takes it.";
            if save.on_hover_text(tip).clicked()
                && let Ok(wished) = read
            {
                commands.request(Request::Card(Box::new(wished)));
            }
            revert = ui.button("Revert").clicked();
        });
        if revert {
            self.draft = None;
        }
    }
}

fn facts_ui(ui: &mut Ui, card: &ModelCard, about: &About) {
    Grid::new("model facts").num_columns(2).spacing([12.0, 4.0]).min_col_width(72.0).show(ui, |ui| {
        let lines = about.description().into_iter().chain(card.description_lines().into_iter().skip(1));
        for (name, value) in lines {
            let mut title = name.to_owned();
            title[..1].make_ascii_uppercase();
            let name = ui.label(theme::weak(ui, title));
            ui.add(egui::Label::new(value).wrap()).labelled_by(name.id);
            ui.end_row();
        }
    });
}

fn field<R>(ui: &mut Ui, name: &str, tip: &str, value: impl FnOnce(&mut Ui) -> R) {
    let label = ui.label(theme::weak(ui, name));
    if !tip.is_empty() {
        label.on_hover_text(tip);
    }
    value(ui);
    ui.end_row();
}

fn choice<T: PartialEq + Copy>(ui: &mut Ui, name: &str, value: &mut T, options: &[(T, &str)]) {
    let chosen = options.iter().find(|(option, _)| option == value).map_or("", |(_, text)| text);
    let combo = ComboBox::from_id_salt(("card", name)).selected_text(chosen).show_ui(ui, |ui| {
        for (option, text) in options {
            ui.selectable_value(value, *option, *text);
        }
    });
    combo.response.accessible_name(name);
}

fn input_ui(ui: &mut Ui, draft: &mut Draft) {
    let input = &mut draft.card.input;
    field(ui, "Scaled to", "What the lower and the upper end of the bounds become.", |ui| {
        ui.horizontal(|ui| {
            let [lower, upper] = &mut input.range;
            ui.add(DragValue::new(lower).speed(0.1)).accessible_name("Lower end");
            ui.label("to");
            ui.add(DragValue::new(upper).speed(0.1)).accessible_name("Upper end");
        });
    });
    if draft.card.channels == 3 {
        field(ui, "Colours", "The order in which the network takes them.", |ui| {
            let orders = [(ChannelOrder::Rgb, "red, green, blue"), (ChannelOrder::Bgr, "blue, green, red")];
            choice(ui, "Colours", &mut input.order, &orders);
        });
    }
    let text = |ui: &mut Ui, name: &str, text: &mut String| {
        ui.add(TextEdit::singleline(text).desired_width(f32::INFINITY).hint_text("none")).accessible_name(name);
    };
    field(ui, "Mean", "Subtracted: one number, or one for each channel, with commas.", |ui| {
        text(ui, "Mean", &mut draft.mean);
    });
    field(ui, "Deviation", "Divided by: as many as there are means.", |ui| text(ui, "Deviation", &mut draft.std));
    field(ui, "Z-score", "Mean 0 and deviation 1, by the image itself.", |ui| {
        let scores =
            [(None, "none"), (Some(ZScore::Image), "of the image"), (Some(ZScore::Channel), "of each channel")];
        choice(ui, "Z-score", &mut input.z_score, &scores);
    });
    field(ui, "Sizes", "How images of other sizes than the network takes are brought to it.", |ui| {
        size_ui(ui, &mut draft.card.size_rule);
    });
}

fn size_ui(ui: &mut Ui, rule: &mut SizeRule) {
    let [height, width] = match *rule {
        SizeRule::Tile(size) | SizeRule::Resize(size) => size,
        SizeRule::MultipleOf(n) => [n.max(32), n.max(32)],
        SizeRule::Any => [256, 256],
    };
    let multiple = match *rule {
        SizeRule::MultipleOf(n) => n,
        _ => 16,
    };
    let rules = [
        (SizeRule::Any, "any"),
        (SizeRule::MultipleOf(multiple), "padded to a multiple of"),
        (SizeRule::Tile([height, width]), "in tiles of"),
        (SizeRule::Resize([height, width]), "resized to"),
    ];
    ui.horizontal_wrapped(|ui| {
        choice(ui, "Sizes", rule, &rules);
        let side = |ui: &mut Ui, name: &str, value: &mut usize| {
            ui.add(DragValue::new(value).range(1..=16_384)).accessible_name(name);
        };
        match rule {
            SizeRule::Any => {}
            SizeRule::MultipleOf(n) => side(ui, "Multiple", n),
            SizeRule::Tile([height, width]) | SizeRule::Resize([height, width]) => {
                side(ui, "Width", width);
                ui.label("×");
                side(ui, "Height", height);
            }
        }
    });
}

fn output_ui(ui: &mut Ui, draft: &mut Draft) {
    let card = &mut draft.card;
    if card.network.is_none() {
        field(ui, "Head", "How logits become classes.", |ui| {
            let heads = [(Head::Sigmoid, "one logit, sigmoid"), (Head::Softmax, "a logit per class, softmax")];
            choice(ui, "Head", &mut card.head, &heads);
        });
        field(ui, "Ends in", "The final activation of the network, which is taken off to get logits.", |ui| {
            let ends =
                [(Activation::None, "logits"), (Activation::Sigmoid, "a sigmoid"), (Activation::Softmax, "a softmax")];
            choice(ui, "Ends in", &mut card.output.activation, &ends);
        });
    }
    field(ui, "Classes", "Their names in the order of the outputs, with commas; a sigmoid has two.", |ui| {
        let edit = TextEdit::multiline(&mut draft.classes).desired_rows(1).desired_width(f32::INFINITY);
        ui.add(edit).accessible_name("Classes");
    });
    let names: Vec<String> = draft.classes.split(',').map(|name| name.trim().to_owned()).collect();
    field(ui, "Measured", "The class that Dice and IoU speak of.", |ui| {
        let options: Vec<(u8, &str)> = (0u8..=254).zip(names.iter().map(String::as_str)).collect();
        choice(ui, "Measured", &mut card.positive_class, &options);
    });
}
