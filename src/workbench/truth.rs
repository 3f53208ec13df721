//! What is true of the image, and what attacks wish in its place: the class of a model that classifies, the target of both
//! kinds of models.

use super::command::CommandSender;
use super::layout::section;
use super::state::State;
use super::theme;
use crate::data::ClassLabel;
use crate::engine::{CaseInfo, Request, TargetWish, TruthChoice};
use crate::model::{ModelCard, Task};
use eframe::egui::{ComboBox, Grid, RichText, Ui};

/// Draws the choice of the true class, for a model that classifies whole images.
pub fn truth_ui(ui: &mut Ui, case: &CaseInfo, truth: usize, state: &State, commands: &CommandSender) {
    section(ui, "Reference");
    let Some(card) = &state.model else { return };
    let given = case.class.as_ref();
    let known = given.and_then(|label| card.class_of(label).ok());
    let mut chosen = case.truth_by;
    let width = ui.available_width();
    let words = |choice: TruthChoice| match choice {
        TruthChoice::Given => match (given, known) {
            (Some(_), Some(class)) => format!("{} (data set)", state.class_title(class)),
            _ => "as in the data set".to_owned(),
        },
        TruthChoice::CleanDecision => format!("{} (the model’s own decision)", state.class_title(clean(state, truth))),
        TruthChoice::Chosen(class) => state.class_title(class),
    };
    let combo = ComboBox::from_id_salt("true class").selected_text(words(chosen)).width(width).truncate();
    let response = combo
        .show_ui(ui, |ui| {
            if known.is_some() {
                ui.selectable_value(&mut chosen, TruthChoice::Given, words(TruthChoice::Given));
            }
            ui.selectable_value(&mut chosen, TruthChoice::CleanDecision, words(TruthChoice::CleanDecision));
            ui.separator();
            for class in 0..card.classes.len() {
                ui.selectable_value(&mut chosen, TruthChoice::Chosen(class), state.class_title(class));
            }
        })
        .response;
    response.accessible_name("True class").on_hover_text("The class that the loss and every measure compare with.");
    if chosen != case.truth_by {
        commands.request(Request::Truth(chosen));
    }
    match (given, known, case.truth_by) {
        (Some(label), None, _) => {
            let text = format!("The data set says {label}, which this model does not know.");
            ui.label(RichText::new(text).color(theme::of(ui).warning));
        }
        (Some(label), Some(class), TruthChoice::Given) if other_name(card, label) => {
            let text = format!("The model has no class called {label}: matched by its number, {class}.");
            ui.label(RichText::new(text).color(theme::of(ui).warning));
        }
        (_, _, TruthChoice::CleanDecision) => {
            let text = "No label: the model’s own clean decision is the reference.";
            ui.label(text).on_hover_text("The original counts as right by definition.");
        }
        _ => {
            ui.label(theme::weak(ui, "Loss and measures compare with it."));
        }
    }
}

/// Whether a data set calls the class by a name that the model does not know; a number is no name.
fn other_name(card: &ModelCard, label: &ClassLabel) -> bool {
    let name = label.name.as_ref().map(|name| name.to_lowercase()).filter(|name| name.parse::<u32>().is_err());
    name.is_some_and(|name| card.classes.iter().all(|class| class.name.to_lowercase() != name))
}

/// The class that the model chooses for the original.
fn clean(state: &State, otherwise: usize) -> usize {
    let decision = state.frame.as_ref().and_then(|frame| frame.clean.decision);
    decision.map_or(otherwise, |decision| decision.predicted)
}

/// Draws the choice of the attack's target.
pub fn target_ui(ui: &mut Ui, case: &CaseInfo, state: &State, commands: &CommandSender) {
    let Some(card) = &state.model else { return };
    let mut chosen = case.target.clone();
    Grid::new("target").num_columns(2).spacing([12.0, 4.0]).min_col_width(72.0).show(ui, |ui| {
        let tip = "Untargeted attacks raise the loss of what is true; targeted ones lower the loss of what is wished.";
        ui.label(theme::weak(ui, "Target")).on_hover_text(tip);
        let width = ui.available_width().min(220.0);
        let combo = ComboBox::from_id_salt("target").selected_text(words(state, chosen.as_ref())).width(width);
        let response = combo
            .truncate()
            .show_ui(ui, |ui| {
                for wish in wishes(card) {
                    let text = words(state, wish.as_ref());
                    ui.selectable_value(&mut chosen, wish, text);
                }
                if let Some(TargetWish::Mask(_)) = &case.target {
                    ui.selectable_value(&mut chosen, case.target.clone(), "the loaded mask");
                }
                if card.task == Task::Segmentation {
                    ui.separator();
                    if ui.selectable_label(false, "a mask from a file…").clicked() {
                        commands.send(super::Command::ChooseTarget);
                    }
                }
            })
            .response;
        response.accessible_name("Target").on_hover_text(tip);
        ui.end_row();
    });
    if chosen != case.target {
        commands.request(Request::Target(chosen));
    }
}

/// What can be chosen of a model.
fn wishes(card: &ModelCard) -> Vec<Option<TargetWish>> {
    let classes = || 0..card.classes.len();
    let mut all = vec![None];
    match card.task {
        Task::Classification => all.extend(classes().map(|class| Some(TargetWish::Class(class)))),
        Task::Segmentation => {
            all.extend(classes().map(|class| Some(TargetWish::Erase(class))));
            all.extend(classes().map(|class| Some(TargetWish::Class(class))));
        }
    }
    all
}

/// A wish in words.
pub fn words(state: &State, wish: Option<&TargetWish>) -> String {
    let task = state.model.as_ref().map_or(Task::Segmentation, |card| card.task);
    match (wish, task) {
        (None, _) => "none".to_owned(),
        (Some(TargetWish::Class(class)), Task::Classification) => state.class_title(*class),
        (Some(TargetWish::Class(class)), Task::Segmentation) => format!("{} everywhere", state.class_title(*class)),
        (Some(TargetWish::Erase(class)), _) => format!("erase {}", state.class_title(*class)),
        (Some(TargetWish::Mask(_)), _) => "the loaded mask".to_owned(),
    }
}
