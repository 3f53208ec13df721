//! The page that runs a paper's study: its data, its size, its cost before it starts, and its report.

use super::draft::{Parted, StudyDraft, StudySet};
use super::rows::{grid, kind, line, path, switched, text};
use super::state::LiveStudy;
use super::{TrainCommand, TrainPath};
use crate::engine::{Request, StudyStop, TrainRequest};
use crate::study::paper::{Scale, StudyFile, names};
use crate::workbench::{Command, CommandSender, State, theme};
use eframe::egui::{self, Button, Label, OpenUrl, ProgressBar, RichText, ScrollArea, Ui};

/// What the lines of each data set are called: its path, what is never parted, and the buttons to browse and to drop it.
const SETS: [[&str; 4]; 6] = [
    ["Data", "Kept together", "Browse for the study’s data", ""],
    ["Data 2", "Together in 2", "Browse for data set 2", "Drop data set 2"],
    ["Data 3", "Together in 3", "Browse for data set 3", "Drop data set 3"],
    ["Data 4", "Together in 4", "Browse for data set 4", "Drop data set 4"],
    ["Data 5", "Together in 5", "Browse for data set 5", "Drop data set 5"],
    ["Data 6", "Together in 6", "Browse for data set 6", "Drop data set 6"],
];

/// Draws it; changes `draft`.
pub fn study_ui(ui: &mut Ui, draft: &mut StudyDraft, state: &State, commands: &CommandSender) {
    let top = ui.cursor().top();
    let training = &state.training;
    let choose = |path| commands.send(Command::Train(TrainCommand::Choose(path)));
    let all: Vec<&'static str> = names().collect();
    let mut chosen = all.iter().position(|name| *name == draft.name).unwrap_or(0);
    ui.horizontal(|ui| {
        for (place, name) in all.iter().enumerate() {
            ui.radio_value(&mut chosen, place, *name);
        }
    });
    if let Some(name) = all.get(chosen) {
        draft.name = (*name).to_owned();
    }
    if let Ok(study) = StudyFile::named(&draft.name) {
        ui.add(Label::new(format!("{}. {}.", study.title, study.paper)).wrap());
    }
    ui.add_space(4.0);
    let width = (ui.available_width() - 180.0).clamp(120.0, 420.0);
    // Paths are wider than selectors: in a grid of their own the way back to a default stays beside what it resets.
    sets_ui(ui, draft, state, commands, width);
    grid(ui, "study paths", |ui| {
        let tip = "The folder for report.html, its tables as CSV, and checkpoints.";
        if path(ui, line("Report folder", tip), &mut draft.out, "Browse for the report’s folder", width) {
            choose(TrainPath::StudyOut);
        }
        if draft.asks_people() {
            let tip = "From where on people notice a change: thresholds.csv of a reader study, or a table of its trials. Without it the report says that nobody was asked.";
            if path(ui, line("Observers", tip), &mut draft.unseen, "Browse for thresholds of observers", width) {
                choose(TrainPath::StudyUnseen);
            }
        }
    });
    grid(ui, "study options", |ui| {
        let tip = "What the values of all masks mean, in the classes of the study. Off: as the study says.";
        text(ui, line("Label map", tip), &mut draft.label_map, "0=membrane,255=cell");
        let words = |scale: &Scale| match scale {
            Scale::Quick => {
                ("Quick", "Smaller networks and images, few epochs: only to see that it runs. Its numbers say little.")
            }
            Scale::Cpu => ("CPU", "Smaller than the paper’s: hours to days on a CPU."),
            Scale::Paper => ("Paper’s size", "As the paper says, for a GPU."),
        };
        let scales = [Scale::Quick, Scale::Cpu, Scale::Paper];
        kind(ui, line("Size", "How much of it is done."), &scales, words, &mut draft.scale, Scale::Quick);
        let unset = "as the study says";
        let tip = "Of each training, in place of what the study says for the size.";
        switched(ui, line("Epochs", tip).unset(unset), 1..=100_000, &mut draft.epochs, 30);
        let tip = "Each with trainings of its own; intervals get narrower with more. In place of what the study says for the size.";
        switched(ui, line("Seeds", tip).unset(unset), 1..=100, &mut draft.seeds, 3);
    });
    ui.add_space(4.0);
    buttons_ui(ui, draft, state, commands);
    let device = state.device.as_ref().map(|d| d.choice).unwrap_or_default();
    let of_this = |study: &LiveStudy| study.ended.is_none();
    match &training.price {
        Some((wish, price)) if *wish == draft.wish(wish.resume, device) => {
            ui.add(Label::new(format!("Cost: {price}.")).wrap());
        }
        _ if !training.study.as_ref().is_some_and(of_this) => {
            ui.label(theme::weak(ui, "Its cost is found by a few trial steps, and stated here before it starts."));
        }
        _ => {}
    }
    if let Some(problem) = &training.refused {
        let text = format!("{}: {}", problem.what, problem.why);
        ui.add(Label::new(RichText::new(text).color(theme::of(ui).bad)).wrap());
    }
    if let Some(study) = &training.study {
        ui.separator();
        // As high as the panel lets it, however far it is scrolled.
        let log = (ui.clip_rect().height() - (ui.cursor().top() - top) - 100.0).max(220.0);
        live_ui(ui, study, log, commands);
    }
}

/// The data sets: of one study one, of the other several, each with what is never parted in it.
fn sets_ui(ui: &mut Ui, draft: &mut StudyDraft, state: &State, commands: &CommandSender, width: f32) {
    let words = |parted: &Parted| match parted {
        Parted::AsTheStudy => ("as the study says", "advu-net: slices; inverse-fgsm: patients or volumes."),
        Parted::Groups => ("patients or volumes", "None of them is on both sides."),
        Parted::Slices => {
            ("slices", "Slices of one volume may be on both sides: what is found is too good for new volumes.")
        }
    };
    let all = [Parted::AsTheStudy, Parted::Groups, Parted::Slices];
    let several = draft.takes_several();
    let count = if several { draft.more.len() + 1 } else { 1 };
    let mut dropped = None;
    for (place, &[name, parted, browse, drop]) in SETS.iter().enumerate().take(count) {
        let more = place.checked_sub(1).and_then(|place| draft.more.get_mut(place));
        let (data, kept) = match more {
            Some(set) => (&mut set.data, &mut set.parted),
            None => (&mut draft.data, &mut draft.parted),
        };
        grid(ui, name, |ui| {
            let tip = "A folder with images and masks, or a stack with its mask beside it; or synthetic:lumbar-ct, a made-up CT.";
            if path(ui, line(name, tip), data, browse, width) {
                commands.send(Command::Train(TrainCommand::Choose(TrainPath::StudyData(place))));
            }
        });
        grid(ui, parted, |ui| {
            let tip = "What is never parted between training and held-out images.";
            kind(ui, line(parted, tip), &all, words, kept, Parted::AsTheStudy);
        });
        if place > 0 && ui.small_button(drop).clicked() {
            dropped = Some(place - 1);
        }
    }
    if let Some(place) = dropped {
        draft.more.remove(place);
    }
    ui.horizontal_wrapped(|ui| {
        if several && count < SETS.len() && ui.button("Add a data set").clicked() {
            draft.more.push(StudySet::default());
        }
        let set = state.browse.set.as_ref().filter(|set| set.masks() > 0);
        let open = ui.add_enabled(set.is_some(), Button::new("Use the open data set"));
        if let Some(set) = set.filter(|_| open.on_hover_text("With its masks.").clicked()) {
            // Into the first line that is empty, else into the first.
            let empty = (0..count).find(|&place| draft.path_mut(place).is_some_and(|path| path.as_os_str().is_empty()));
            if let Some(path) = draft.path_mut(empty.unwrap_or(0)) {
                path.clone_from(&set.path);
            }
        }
    });
    ui.add_space(4.0);
}

fn buttons_ui(ui: &mut Ui, draft: &StudyDraft, state: &State, commands: &CommandSender) {
    let training = &state.training;
    let device = state.device.as_ref().map(|d| d.choice).unwrap_or_default();
    let named = !draft.data.as_os_str().is_empty() && !draft.out.as_os_str().is_empty();
    let idle = !training.is_active() && !training.pricing;
    let priced = training.price.as_ref().is_some_and(|(wish, _)| *wish == draft.wish(wish.resume, device));
    ui.horizontal_wrapped(|ui| {
        let cost = ui.add_enabled(named && idle, Button::new("Find the cost"));
        let tip = "Reads the data and takes a few steps of a training, on this device.";
        if cost.on_hover_text(tip).on_disabled_hover_text("Name the data and the folder first.").clicked() {
            commands.send(Command::Train(TrainCommand::Price));
        }
        let start = ui.add_enabled(priced && idle, Button::new(theme::semibold("Start study")));
        let tip = "Trains in the background, one after the other; pictures and ε go first.";
        if start.on_hover_text(tip).on_disabled_hover_text("Find its cost first.").clicked() {
            commands.send(Command::Train(TrainCommand::Study { resume: false }));
        }
        let resume = ui.add_enabled(named && idle, Button::new("Resume study"));
        let tip = "Goes on with the study that the folder holds, with the same data and size.";
        if resume.on_hover_text(tip).clicked() {
            commands.send(Command::Train(TrainCommand::Study { resume: true }));
        }
        if training.pricing {
            ui.spinner();
        }
    });
}

fn live_ui(ui: &mut Ui, study: &LiveStudy, log: f32, commands: &CommandSender) {
    let palette = theme::of(ui);
    let send = |request| commands.request(Request::Train(request));
    let name = &study.wish.name;
    match &study.ended {
        None => {
            let state = if study.paused { "paused" } else { "running" };
            ui.label(theme::semibold(format!(
                "{name}: {state}, {:.0} % done{}",
                100.0 * study.share,
                study.left_text()
            )));
            ui.add(ProgressBar::new(study.share as f32).desired_height(6.0).fill(palette.accent));
            ui.horizontal(|ui| {
                if ui.button(if study.paused { "Continue study" } else { "Pause study" }).clicked() {
                    send(TrainRequest::Pause(!study.paused));
                }
                let cancel = ui.button("Cancel study");
                if cancel
                    .on_hover_text("Ends after this step. What is done stays, and the study can be resumed.")
                    .clicked()
                {
                    send(TrainRequest::Cancel);
                }
            });
        }
        Some(Ok(report)) => {
            ui.label(theme::semibold(format!("{name}: finished")).color(palette.good));
            ui.horizontal_wrapped(|ui| {
                let open = ui.button("Open the report");
                if open.on_hover_text(report.display().to_string()).clicked() {
                    let path = std::path::absolute(report).unwrap_or_else(|_| report.clone());
                    ui.ctx().open_url(OpenUrl::new_tab(format!("file://{}", path.display())));
                }
                ui.label(theme::weak(ui, report.display().to_string()));
            });
        }
        Some(Err(StudyStop::Cancelled)) => {
            let text = format!("{name}: cancelled. What is done stays; Resume study goes on");
            ui.label(theme::semibold(text).color(palette.warning));
        }
        Some(Err(StudyStop::Failed(problem))) => {
            ui.label(theme::semibold(format!("{name}: failed")).color(palette.bad));
            ui.add(Label::new(RichText::new(&problem.why).color(palette.bad)).wrap());
        }
    }
    ScrollArea::vertical().id_salt("study lines").max_height(log).stick_to_bottom(true).show(ui, |ui| {
        ui.set_width(ui.available_width());
        for said in &study.lines {
            ui.add(Label::new(theme::weak(ui, said).text_style(egui::TextStyle::Small)).wrap());
        }
    });
}
