//! The fields of a card.

use super::draft::{Draft, class_names};
use crate::model::{About, Activation, ChannelOrder, Colour, Head, SizeRule, Task, ZScore};
use crate::view::palette;
use crate::workbench::theme;
use eframe::egui::{self, ComboBox, DragValue, Grid, TextEdit, Ui};

/// Of more classes than this colours are not asked for one by one.
const MOST_COLOURS: usize = 24;

/// Draws all fields that the model has.
pub fn ui(ui: &mut Ui, draft: &mut Draft, about: &About) {
    Grid::new("card").num_columns(2).spacing([12.0, 4.0]).min_col_width(72.0).show(ui, |ui| {
        what_ui(ui, draft, about);
        input_ui(ui, draft);
        size_ui(ui, draft);
        output_ui(ui, draft);
        classes_ui(ui, draft);
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

/// A box of choices over the width that is there; the new choice if another one was made.
fn choice<T: PartialEq + Copy>(ui: &mut Ui, name: &str, value: T, options: &[(T, String)]) -> Option<T> {
    let mut chosen = value;
    let text = options.iter().find(|(option, _)| *option == value).map_or("", |(_, text)| text);
    let width = ui.available_width().min(220.0);
    let combo = ComboBox::from_id_salt(("card", name)).selected_text(text).width(width).truncate().show_ui(ui, |ui| {
        for (option, text) in options {
            ui.selectable_value(&mut chosen, *option, text);
        }
    });
    combo.response.accessible_name(name);
    (chosen != value).then_some(chosen)
}

fn named<T, const N: usize>(options: [(T, &str); N]) -> [(T, String); N] {
    options.map(|(option, text)| (option, text.to_owned()))
}

fn line(ui: &mut Ui, name: &str, text: &mut String, hint: &str) {
    ui.add(TextEdit::singleline(text).desired_width(f32::INFINITY).hint_text(hint)).accessible_name(name);
}

fn what_ui(ui: &mut Ui, draft: &mut Draft, about: &About) {
    field(ui, "Name", "A short name, for titles and reports.", |ui| line(ui, "Name", &mut draft.card.name, ""));
    if draft.card.network.is_some() {
        return;
    }
    field(ui, "Task", "What the model tells: a class for every pixel, or one for the whole image.", |ui| {
        let tasks = named([(Task::Segmentation, "segmentation"), (Task::Classification, "classification")]);
        if let Some(task) = choice(ui, "Task", draft.card.task, &tasks) {
            draft.set_task(task);
        }
    });
    if about.output_names.len() > 1 {
        field(ui, "Output", "Which of the graph's outputs is used.", |ui| {
            let names = &about.output_names;
            let now = draft.card.output.name.as_ref().and_then(|n| names.iter().position(|name| name == n));
            let options: Vec<(Option<usize>, String)> = std::iter::once((None, "the first that works".to_owned()))
                .chain(names.iter().enumerate().map(|(i, name)| (Some(i), name.clone())))
                .collect();
            if let Some(chosen) = choice(ui, "Output", now, &options) {
                draft.card.output.name = chosen.map(|i| names[i].clone());
            }
        });
    }
}

fn input_ui(ui: &mut Ui, draft: &mut Draft) {
    let input = &mut draft.card.input;
    field(ui, "Scaled to", "What the lower and the upper end of the bounds (or of the window) become.", |ui| {
        ends_ui(ui, "Scaled to", &mut input.range, 0.1);
    });
    field(
        ui,
        "Window",
        "The ends of a window in the image's own units (CT: Hounsfield units), to which values are clipped. The image's bounds must be those that the card names.",
        |ui| {
            ui.horizontal(|ui| {
                let mut on = input.window.is_some();
                if ui.checkbox(&mut on, "").accessible_name("Window").changed() {
                    input.window = on.then_some([-160.0, 240.0]);
                    input.bounds = input.bounds.filter(|_| on);
                }
                match &mut input.window {
                    Some(window) => ends_ui(ui, "Window", window, 1.0),
                    None => {
                        ui.label(theme::weak(ui, "none"));
                    }
                }
            });
        },
    );
    if let Some(needed) = input.needed_bounds() {
        field(ui, "Bounds", "The bounds in the image's own units that an image must have.", |ui| {
            let mut bounds = needed;
            ends_ui(ui, "Bounds", &mut bounds, 1.0);
            if bounds != needed {
                input.bounds = Some(bounds);
            }
        });
    }
    if draft.card.channels == 3 {
        field(ui, "Colours", "The order in which the network takes them.", |ui| {
            let orders = named([(ChannelOrder::Rgb, "red, green, blue"), (ChannelOrder::Bgr, "blue, green, red")]);
            if let Some(order) = choice(ui, "Colours", input.order, &orders) {
                input.order = order;
            }
        });
    }
    let hint = if draft.card.channels == 1 { "none" } else { "none; one, or one a channel" };
    field(ui, "Mean", "Subtracted after scaling: one number, or one for each channel, with commas.", |ui| {
        line(ui, "Mean", &mut draft.mean, hint);
    });
    field(ui, "Deviation", "Divided by after that: as many numbers as there are means.", |ui| {
        line(ui, "Deviation", &mut draft.std, hint);
    });
    let input = &mut draft.card.input;
    field(ui, "Z-score", "Mean 0 and deviation 1, by the image itself. The gradient flows through it.", |ui| {
        let scores =
            named([(None, "none"), (Some(ZScore::Image), "of the image"), (Some(ZScore::Channel), "of each channel")]);
        if let Some(score) = choice(ui, "Z-score", input.z_score, &scores) {
            input.z_score = score;
        }
    });
}

/// Two ends of a range.
fn ends_ui(ui: &mut Ui, name: &str, [lower, upper]: &mut [f32; 2], speed: f64) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let drag = |value| DragValue::new(value).speed(speed).max_decimals(4).update_while_editing(false);
        ui.add(drag(lower)).accessible_name(format!("{name}, lower end"));
        ui.label(theme::weak(ui, "to"));
        ui.add(drag(upper)).accessible_name(format!("{name}, upper end"));
    });
}

fn size_ui(ui: &mut Ui, draft: &mut Draft) {
    let rule = draft.card.size_rule;
    let sides = match rule {
        SizeRule::Tile(sides) | SizeRule::Resize(sides) => sides,
        SizeRule::MultipleOf(n) => [n.max(32); 2],
        SizeRule::Any => [256; 2],
    };
    let multiple = if let SizeRule::MultipleOf(n) = rule { n } else { 16 };
    let mut rules = vec![
        (SizeRule::Any, "any".to_owned()),
        (SizeRule::MultipleOf(multiple), "padded to a multiple of".to_owned()),
        (SizeRule::Resize(sides), "resized to".to_owned()),
    ];
    if draft.card.task == Task::Segmentation {
        rules.insert(2, (SizeRule::Tile(sides), "in tiles of".to_owned()));
    }
    field(ui, "Sizes", "How images of other sizes than the network takes are brought to it.", |ui| {
        ui.vertical(|ui| {
            if let Some(chosen) = choice(ui, "Sizes", rule, &rules) {
                draft.card.size_rule = chosen;
            }
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                let side = |ui: &mut Ui, name: &str, value: &mut usize| {
                    let drag = DragValue::new(value).range(1..=16_384).update_while_editing(false);
                    ui.add(drag).accessible_name(name);
                };
                match &mut draft.card.size_rule {
                    SizeRule::Any => {}
                    SizeRule::MultipleOf(n) => side(ui, "Multiple", n),
                    SizeRule::Tile([height, width]) | SizeRule::Resize([height, width]) => {
                        side(ui, "Width", width);
                        ui.label(theme::weak(ui, "×"));
                        side(ui, "Height", height);
                        ui.label(theme::weak(ui, "px"));
                    }
                }
            });
        });
    });
}

fn output_ui(ui: &mut Ui, draft: &mut Draft) {
    if draft.card.network.is_some() {
        return;
    }
    field(ui, "Head", "How logits become classes.", |ui| {
        let heads = named([(Head::Sigmoid, "one logit, sigmoid"), (Head::Softmax, "a logit per class, softmax")]);
        if let Some(head) = choice(ui, "Head", draft.card.head, &heads) {
            draft.set_head(head);
        }
    });
    field(
        ui,
        "Ends in",
        "The final activation of the network. It is taken off to get logits where that can be done.",
        |ui| {
            let ends = match draft.card.head {
                Head::Sigmoid => named([(Activation::None, "logits"), (Activation::Sigmoid, "a sigmoid")]),
                Head::Softmax => named([(Activation::None, "logits"), (Activation::Softmax, "a softmax")]),
            };
            if let Some(activation) = choice(ui, "Ends in", draft.card.output.activation, &ends) {
                draft.card.output.activation = activation;
            }
        },
    );
    if draft.card.head == Head::Sigmoid {
        field(ui, "Channel", "Of several independent outputs (multi-label), the one that is used; from 0.", |ui| {
            ui.horizontal(|ui| {
                let channel = &mut draft.card.output.channel;
                let mut on = channel.is_some();
                if ui.checkbox(&mut on, "").accessible_name("One channel of several").changed() {
                    *channel = on.then_some(0);
                }
                match channel {
                    Some(channel) => {
                        let drag = DragValue::new(channel).range(0..=4096).update_while_editing(false);
                        ui.add(drag).accessible_name("Channel");
                    }
                    None => {
                        ui.label(theme::weak(ui, "the only one"));
                    }
                }
            });
        });
    }
}

fn classes_ui(ui: &mut Ui, draft: &mut Draft) {
    let tip = "Their names in the order of the outputs, one a line or with commas. A sigmoid has two.";
    field(ui, "Classes", tip, |ui| {
        egui::ScrollArea::vertical().id_salt("class names").max_height(132.0).show(ui, |ui| {
            let rows = draft.classes.lines().count().clamp(2, 64);
            let edit = TextEdit::multiline(&mut draft.classes).desired_rows(rows).desired_width(f32::INFINITY);
            ui.add(edit).accessible_name("Classes");
        });
    });
    let names: Vec<String> = class_names(&draft.classes).map(str::to_owned).collect();
    if draft.card.task == Task::Segmentation && names.len() <= MOST_COLOURS {
        colours_ui(ui, draft, &names);
    }
    if draft.card.task == Task::Segmentation || draft.card.head == Head::Sigmoid {
        let tip = match draft.card.task {
            Task::Segmentation => "The class that Dice and IoU speak of; of a sigmoid, the class of a positive logit.",
            Task::Classification => "The class of a positive logit.",
        };
        field(ui, "Measured", tip, |ui| {
            let options: Vec<(u8, String)> = (0u8..=254).zip(names).collect();
            if let Some(class) = choice(ui, "Measured", draft.card.positive_class, &options) {
                draft.card.positive_class = class;
            }
        });
    }
}

/// The colours of the classes that pictures show in colour: all but the background, or the positive one of two.
fn colours_ui(ui: &mut Ui, draft: &mut Draft, names: &[String]) {
    draft.colours.resize(names.len(), None);
    let positive = usize::from(draft.card.positive_class);
    let [usual_positive, usual @ ..] = palette::class_colours(|_| None, positive);
    field(ui, "In colour", "The colour of each class in pictures.", |ui| {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            for (i, (name, colour)) in names.iter().zip(&mut draft.colours).enumerate() {
                let usual = match names.len() {
                    2 if i == positive => usual_positive,
                    n if n > 2 && i > 0 => usual[(i - 1) % usual.len()],
                    _ => continue,
                };
                let mut shown = colour.map_or(usual, |Colour(rgb)| rgb);
                let button = ui.color_edit_button_srgb(&mut shown).accessible_name(format!("Colour of {name}"));
                if button.on_hover_text(name).changed() {
                    *colour = Some(Colour(shown));
                }
            }
        });
    });
}
