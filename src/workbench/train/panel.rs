//! The panel: on the left what is going to be trained, on the right what is.

use super::draft::{TrainDraft, TrainPage};
use super::form::{checked, form_ui};
use super::live::live_ui;
use super::pictures::{Shown, Tile, groups_ui, scrolled};
use super::rows::{line, place_ui};
use super::study_page::study_ui;
use super::{TrainCommand, TrainPath, folder_of};
use crate::engine::{Preview, PreviewPicture, Request, TrainRequest};
use crate::train::{PreviewKind, Recipe};
use crate::workbench::icons::{Icon, icon_button};
use crate::workbench::library::file_name;
use crate::workbench::{Command, CommandSender, Pane, PaneContext, State, theme};
use eframe::egui::{Button, Frame, Label, RichText, Ui, vec2};
use std::path::PathBuf;

/// The width of the form, in points.
const FORM: f32 = 364.0;
/// A crop is shown at least so large, in screen pixels.
const SMALLEST_CROP: f32 = 64.0;

/// The panel of trainings.
#[derive(Default)]
pub struct TrainPanel {
    /// Where unfinished trainings were looked for.
    asked: Option<PathBuf>,
}

impl Pane for TrainPanel {
    fn title(&self) -> &str {
        "Train"
    }

    fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, context: &mut PaneContext<'_>) {
        let training = &state.training;
        self.find(state, commands);
        let mut draft = training.draft.clone();
        ui.horizontal(|ui| {
            for (page, name, tip) in [
                (TrainPage::Training, "Train a model", "A U-Net on your own data, or on synthetic membranes."),
                (TrainPage::Study, "Paper’s study", "The experiments of two papers, as one report."),
            ] {
                if ui.add(Button::selectable(draft.page == page, name)).on_hover_text(tip).clicked() {
                    draft.page = page;
                }
            }
        });
        ui.add_space(4.0);
        match draft.page {
            TrainPage::Training => training_ui(ui, &mut draft, state, commands, context),
            TrainPage::Study => scrolled(ui, "study", |ui| study_ui(ui, &mut draft.study, state, commands)),
        }
        if draft != training.draft {
            commands.send(Command::Train(TrainCommand::Draft(Box::new(draft))));
        }
    }
}

impl TrainPanel {
    /// Looks for unfinished trainings where weights are going to be written, once for each folder.
    fn find(&mut self, state: &State, commands: &CommandSender) {
        let folder = folder_of(&state.training.draft.out);
        if self.asked.as_ref() != Some(&folder) {
            self.asked = Some(folder.clone());
            commands.request(Request::Train(TrainRequest::Find(folder)));
        }
    }
}

fn training_ui(
    ui: &mut Ui,
    draft: &mut TrainDraft,
    state: &State,
    commands: &CommandSender,
    context: &mut PaneContext<'_>,
) {
    let room = ui.available_size();
    if room.x < FORM + 260.0 {
        scrolled(ui, "training", |ui| {
            right_ui(ui, draft, state, commands, context);
            ui.separator();
            recipe_ui(ui, draft, state, commands);
        });
        return;
    }
    ui.horizontal_top(|ui| {
        ui.allocate_ui(vec2(FORM, room.y), |ui| {
            ui.vertical(|ui| {
                ui.set_width(FORM);
                scrolled(ui, "recipe", |ui| recipe_ui(ui, draft, state, commands));
            });
        });
        ui.add_space(8.0);
        ui.vertical(|ui| scrolled(ui, "live", |ui| right_ui(ui, draft, state, commands, context)));
    });
}

/// The form with the files that it is kept in.
fn recipe_ui(ui: &mut Ui, draft: &mut TrainDraft, state: &State, commands: &CommandSender) {
    let choose = |path| commands.send(Command::Train(TrainCommand::Choose(path)));
    ui.horizontal(|ui| {
        if ui
            .button("Open recipe…")
            .on_hover_text("A TOML file, the same as `epsiloscope train --recipe` takes.")
            .clicked()
        {
            choose(TrainPath::OpenRecipe);
        }
        if ui.button("Save recipe…").on_hover_text("As TOML, for `epsiloscope train --recipe`.").clicked() {
            choose(TrainPath::SaveRecipe);
        }
        let changed = draft.recipe != TrainDraft::default().recipe;
        let reset = ui.add_enabled(changed, Button::new("Reset all"));
        if reset.on_hover_text("Everything as at the first start.").clicked() {
            draft.recipe = TrainDraft::default().recipe;
        }
    });
    form_ui(ui, &mut draft.recipe, state, commands);
    ui.add_space(8.0);
}

/// What is going to be written, what runs, and what the network will see.
fn right_ui(
    ui: &mut Ui,
    draft: &mut TrainDraft,
    state: &State,
    commands: &CommandSender,
    context: &mut PaneContext<'_>,
) {
    let training = &state.training;
    let settings = checked(&draft.recipe);
    let caution = settings.as_ref().ok().and_then(Recipe::caution);
    let wrong = settings.err();
    ui.horizontal(|ui| {
        let tip = "The file to write (.safetensors). Card, recipe and checkpoint lie beside it.";
        // While a training runs, and after it, its own file is named with it below.
        let name = if training.live.is_some() { "Next weights" } else { "Weights" };
        ui.label(theme::weak(ui, name)).on_hover_text(tip);
        let width = (ui.available_width() - 44.0).max(80.0);
        if place_ui(ui, line("Weights", tip), &mut draft.out, "Browse for the weights", width) {
            commands.send(Command::Train(TrainCommand::Choose(TrainPath::Weights)));
        }
    });
    ui.horizontal_wrapped(|ui| {
        let ready = wrong.is_none() && !training.is_active() && !draft.out.as_os_str().is_empty();
        let start = ui.add_enabled(ready, Button::new(RichText::new("Start training").strong()));
        let tip = "Trains in the background; pictures and ε go first.";
        let why = wrong.clone().unwrap_or_else(|| "A training or study is running.".to_owned());
        if start.on_hover_text(tip).on_disabled_hover_text(why).clicked() {
            commands.send(Command::Train(TrainCommand::Start));
        }
        let preview = ui.add_enabled(wrong.is_none() && !training.previewing, Button::new("Preview crops"));
        let tip = "Reads the data and shows what the network will see in the first step, adversarial samples included; and what all of it costs.";
        if preview.on_hover_text(tip).clicked() {
            commands.send(Command::Train(TrainCommand::Preview));
        }
        if training.previewing {
            ui.spinner();
        }
    });
    // Before the start, as a preview of few crops shows nothing of it.
    note_ui(ui, caution.as_deref());
    if let Some(problem) = &training.refused {
        let text = format!("{}: {}", problem.what, problem.why);
        ui.add(Label::new(RichText::new(text).color(theme::of(ui).bad)).wrap());
    } else if let Some(note) = &training.note {
        ui.add(Label::new(theme::weak(ui, note)).wrap());
    }
    unfinished_ui(ui, state, commands);
    // Above what runs: whoever asks for it looks here.
    if let Some(preview) = &training.preview {
        preview_ui(ui, preview, draft, state, commands, context);
    }
    if let Some(live) = &training.live {
        ui.add_space(4.0);
        live_ui(ui, live, state, commands, context);
    } else {
        ui.add_space(4.0);
        ui.add(
            Label::new(theme::weak(ui, "Loss, validation and sample predictions appear here while it trains.")).wrap(),
        );
    }
    ui.add_space(8.0);
}

/// Trainings that can be gone on with.
fn unfinished_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let training = &state.training;
    let own = training.live.as_ref().map(|live| &live.out);
    let others: Vec<_> = training.unfinished.iter().filter(|found| Some(&found.out) != own).collect();
    if others.is_empty() {
        return;
    }
    ui.add_space(4.0);
    let palette = theme::of(ui);
    Frame::NONE.stroke((1.0, palette.line)).corner_radius(4).inner_margin(8).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.label(theme::semibold("Unfinished trainings"));
        for found in others {
            ui.horizontal_wrapped(|ui| {
                let name = file_name(&found.out);
                let resume = ui.add_enabled(!training.is_active(), Button::new(format!("Resume {name}")));
                if resume.on_hover_text(found.out.display().to_string()).clicked() {
                    commands.send(Command::Train(TrainCommand::Resume(found.out.clone())));
                }
                let (done, all) = found.epochs;
                ui.label(theme::weak(ui, format!("{done} of {all} epochs; {}", found.data)));
            });
        }
    });
}

/// Says what people should know: who is held out where the data set's own split leaves that open, what a memory budget changes.
pub(super) fn note_ui(ui: &mut Ui, note: Option<&str>) {
    let Some(note) = note else { return };
    let mut letters = note.chars();
    let text: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    ui.add(Label::new(RichText::new(text).color(theme::of(ui).warning)).wrap());
}

fn preview_ui(
    ui: &mut Ui,
    preview: &Preview,
    draft: &TrainDraft,
    state: &State,
    commands: &CommandSender,
    context: &mut PaneContext<'_>,
) {
    ui.add_space(4.0);
    ui.horizontal(|ui| {
        if icon_button(ui, Icon::Close, "Close the preview", "Close the preview", true).clicked() {
            commands.send(Command::Train(TrainCommand::ClosePreview));
        }
        ui.label(theme::semibold("What the network will see"));
        if preview.recipe != draft.recipe {
            ui.label(RichText::new("Of the recipe before the last change").small().color(theme::of(ui).warning));
        }
    });
    let parameters = preview.parameters as f64 / 1e6;
    let text = format!(
        "{}; {} held out; {} steps an epoch; {parameters:.2} million weights; {} in all",
        preview.data, preview.held_out, preview.steps_per_epoch, preview.cost
    );
    ui.add(Label::new(theme::weak(ui, text)).wrap());
    note_ui(ui, preview.note.as_deref());
    ui.add_space(4.0);
    let groups: Vec<Vec<Tile<'_>>> = preview.crops.iter().map(tiles).collect();
    let pixels = preview.crops.first().map_or(1, |crop| crop.image.width.max(1)) as f32;
    let side = crop_side(pixels, ui.pixels_per_point(), ui.available_width());
    groups_ui(ui, "train crop", side, &groups, state, context);
    ui.separator();
}

/// The side in points at which a crop of `pixels` is as large as on the screen, or a whole multiple of it if that is tiny; three
/// must stand beside one another in `width`.
fn crop_side(pixels: f32, pixels_per_point: f32, width: f32) -> f32 {
    let magnified = pixels * (SMALLEST_CROP / pixels).ceil();
    (magnified / pixels_per_point).min((width - 8.0) / 3.0)
}

/// A crop with its target beside it; of an adversarial sample the crop that it was made of comes first.
fn tiles(crop: &PreviewPicture) -> Vec<Tile<'_>> {
    let number = crop.crop + 1;
    let tile = |caption: &str, what: &str, tip: &str, shown| Tile {
        caption: caption.to_owned(),
        name: format!("{what} {number} of the first step"),
        tip: tip.to_owned(),
        shown,
    };
    let target = tile("target", "Target of crop", "What is to be predicted.", Shown::Label(&crop.target));
    let clean = |image| tile(&format!("crop {number}"), "Crop", "As the data give it, augmented.", Shown::Image(image));
    let Some(original) = &crop.clean else { return vec![clean(&crop.image), target] };
    let (caption, tip) = match crop.kind {
        PreviewKind::Replaced => ("sample, instead", "An adversarial sample, learned in place of its crop."),
        PreviewKind::Adversarial => ("sample, own term", "An adversarial sample with a term of its own in the loss."),
        PreviewKind::Appended | PreviewKind::Crop => {
            ("sample, added", "An adversarial sample, learned beside its crop.")
        }
    };
    vec![clean(original), tile(caption, "Sample of crop", tip, Shown::Image(&crop.image)), target]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_are_shown_pixel_by_pixel() {
        assert_eq!(crop_side(128.0, 1.0, 900.0), 128.0);
        assert_eq!(crop_side(128.0, 2.0, 900.0), 64.0);
        assert_eq!(crop_side(16.0, 1.0, 900.0), 64.0);
        // Three of them and the room between them stay within the panel.
        assert!(3.0 * crop_side(512.0, 1.0, 620.0) + 4.0 < 620.0);
    }
}
