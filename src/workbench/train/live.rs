//! A training under way: how far it is, its curves, what the network makes of the same images after each epoch.

use super::pictures::{GAP, Shown, Tile, tiles_ui};
use super::state::{LiveTraining, TrainPhase};
use super::{TrainCommand, folder_of};
use crate::engine::{Request, TrainRequest};
use crate::train::Ending;
use crate::view::palette;
use crate::workbench::compare::caption::{Key, KeyKind, keys_ui};
use crate::workbench::layout::section;
use crate::workbench::library::file_name;
use crate::workbench::status::secs_text;
use crate::workbench::{Command, CommandSender, PaneContext, State, theme};
use eframe::egui::{self, Button, Color32, ProgressBar, RichText, Role, TextStyle, Ui, Vec2, WidgetInfo, vec2};
use egui_plot::{AxisHints, Line, MarkerShape, Plot, Points};

/// The height of a plot, in points.
const PLOT: f32 = 144.0;
/// The least and the greatest side of a sample prediction, in points.
const SAMPLE: [f32; 2] = [116.0, 480.0];

/// Draws the newest training.
pub fn live_ui(
    ui: &mut Ui,
    live: &LiveTraining,
    state: &State,
    commands: &CommandSender,
    context: &mut PaneContext<'_>,
) {
    status_ui(ui, live, commands);
    if !live.losses.is_empty() || !live.records.is_empty() {
        plots_ui(ui, live);
    }
    samples_ui(ui, live, state, context);
}

/// What it does, in words.
fn words(live: &LiveTraining) -> String {
    let epochs = live.start.as_ref().map_or(0, |start| start.epochs);
    let at = format!("epoch {} of {epochs}, step {} of {}", live.epoch.max(1), live.step, live.steps());
    match &live.phase {
        TrainPhase::Preparing => "Reading the data…".to_owned(),
        TrainPhase::Running => format!("Training: {at}"),
        TrainPhase::Paused => format!("Paused: {at}"),
        TrainPhase::Ended(Ending::Finished) => format!("Finished: {} epochs", live.records.len()),
        TrainPhase::Ended(Ending::StoppedEarly) => {
            format!("Stopped early after {} epochs: the validation did not improve any more", live.records.len())
        }
        TrainPhase::Ended(Ending::Cancelled) => format!("Cancelled at {at}. The checkpoint is kept"),
        TrainPhase::Failed(_) => "Failed".to_owned(),
    }
}

fn status_ui(ui: &mut Ui, live: &LiveTraining, commands: &CommandSender) {
    let palette = theme::of(ui);
    let send = |request| commands.request(Request::Train(request));
    ui.horizontal_wrapped(|ui| {
        let colour = match live.phase {
            TrainPhase::Failed(_) => palette.bad,
            TrainPhase::Ended(Ending::Finished | Ending::StoppedEarly) => palette.good,
            TrainPhase::Paused | TrainPhase::Ended(Ending::Cancelled) => palette.warning,
            _ => palette.text,
        };
        if live.phase == TrainPhase::Preparing {
            ui.add(egui::Spinner::new().size(14.0));
        }
        ui.label(theme::semibold(words(live)).color(colour));
    });
    if let TrainPhase::Failed(why) = &live.phase {
        ui.add(egui::Label::new(RichText::new(why).color(palette.bad)).wrap());
    }
    if let Some(start) = &live.start {
        let held = match start.held_out {
            0 => "nothing held out".to_owned(),
            1 => "1 image held out".to_owned(),
            n => format!("{n} images held out"),
        };
        ui.add(
            egui::Label::new(theme::weak(ui, format!("{}; {held}. To {}", start.data, file_name(&live.out)))).wrap(),
        )
        .on_hover_text(live.out.display().to_string());
        super::panel::note_ui(ui, start.note.as_deref());
    }
    if live.is_active() {
        ui.add(ProgressBar::new(live.share()).desired_height(6.0).fill(palette.accent));
    }
    ui.horizontal_wrapped(|ui| {
        match &live.phase {
            TrainPhase::Running | TrainPhase::Paused => {
                let paused = live.phase == TrainPhase::Paused;
                let (text, tip) = if paused {
                    ("Continue training", "With the next step.")
                } else {
                    ("Pause training", "Before the next step.")
                };
                if ui.button(text).on_hover_text(tip).clicked() {
                    send(TrainRequest::Pause(!paused));
                }
                let cancel = ui.button("Cancel training");
                if cancel.on_hover_text("Ends after this step. The checkpoint is kept, and can be resumed.").clicked() {
                    send(TrainRequest::Cancel);
                }
            }
            TrainPhase::Ended(ending) => {
                let some = *ending != Ending::Cancelled || !live.records.is_empty();
                let open = ui.add_enabled(some, Button::new("Open this model"));
                let tip =
                    "Puts it into the workbench: the network of the best epoch, or of the last one without validation.";
                if open.on_hover_text(tip).clicked() {
                    commands.request(Request::OpenModel(live.out.clone()));
                }
                if *ending == Ending::Cancelled && ui.button("Resume").on_hover_text("Where it stood.").clicked() {
                    commands.send(Command::Train(TrainCommand::Resume(live.out.clone())));
                }
            }
            TrainPhase::Preparing | TrainPhase::Failed(_) => {}
        }
        if matches!(live.phase, TrainPhase::Running | TrainPhase::Paused) && live.crops_per_second > 0.0 {
            let speed = format!("{:.1} crops/s", live.crops_per_second);
            ui.label(theme::weak(ui, speed)).on_hover_text(
                "Images (crops of them) a second over the newest steps, validation included, pauses left out.",
            );
            let left = format!("{} left", secs_text(live.remaining_secs.max(0.1)));
            ui.label(theme::weak(ui, left)).on_hover_text("Until the last epoch, at this speed.");
            let rate = format!("rate {:.2e}", live.learning_rate);
            ui.label(theme::weak(ui, rate)).on_hover_text("The learning rate of the last step.");
        }
    });
    if matches!(live.phase, TrainPhase::Failed(_)) && !live.records.is_empty() {
        let folder = folder_of(&live.out);
        ui.label(theme::weak(ui, format!("A checkpoint of the last epoch is in {}.", folder.display())));
    }
}

fn plots_ui(ui: &mut Ui, live: &LiveTraining) {
    let epochs = live.start.as_ref().map_or(1, |start| start.epochs).max(1);
    let per_epoch = live.steps().max(1) as f64 / epochs as f64;
    let wide = ui.available_width() >= 380.0;
    let width = if wide { (ui.available_width() - 8.0) / 2.0 } else { ui.available_width() };
    let palette = *theme::of(ui);
    let steps: Vec<[f64; 2]> = live.losses.iter().map(|[step, loss]| [step / per_epoch, *loss]).collect();
    let means: Vec<[f64; 2]> = live.records.iter().map(|r| [r.epoch as f64, r.loss]).collect();
    let found = |of: fn(&crate::train::Validation) -> f64| -> Vec<[f64; 2]> {
        live.records.iter().filter_map(|r| Some([r.epoch as f64, of(r.validation.as_ref()?)])).collect()
    };
    let (dice, iou) = (found(|v| v.dice), found(|v| v.iou));
    ui.add_space(4.0);
    let size = vec2(width, PLOT);
    let both = |ui: &mut Ui| {
        ui.vertical(|ui| {
            ui.set_width(width);
            legend_ui(ui, "Loss", &[("each step", palette.control), ("mean of an epoch", palette.attack)]);
            let last = live.losses.last().map_or(f64::NAN, |p| p[1]);
            let name = format!("Loss over epochs, {} points, the last {last:.3}", steps.len());
            let highest = steps.iter().map(|p| p[1]).fold(0.0, f64::max);
            plot_ui(ui, "train loss", &name, size, [epochs as f64, highest * 1.05], |plot| {
                plot.line(Line::new("step", steps).color(palette.control).width(1.0).allow_hover(false));
                series(plot, "epoch", means, palette.attack, MarkerShape::Circle);
            });
        });
        ui.vertical(|ui| {
            ui.set_width(width);
            legend_ui(ui, "Validation", &[("Dice", palette.attack), ("IoU", palette.attack_second)]);
            let last = live.records.last().and_then(|r| r.validation.as_ref());
            let name = match last {
                Some(v) => format!(
                    "Validation over epochs, {} points, the last Dice {:.3}, IoU {:.3}",
                    dice.len(),
                    v.dice,
                    v.iou
                ),
                None => "Validation over epochs, no points yet".to_owned(),
            };
            if live.start.as_ref().is_some_and(|start| start.held_out == 0) {
                ui.label(theme::weak(ui, "No images are held out: choose a split to see it."));
                return;
            }
            plot_ui(ui, "train validation", &name, size, [epochs as f64, 1.04], |plot| {
                series(plot, "Dice", dice, palette.attack, MarkerShape::Circle);
                series(plot, "IoU", iou, palette.attack_second, MarkerShape::Diamond);
            });
        });
    };
    if wide {
        ui.horizontal_top(both);
    } else {
        ui.vertical(both);
    }
    let best = live.records.iter().rev().find(|r| r.improved);
    if let Some((record, v)) = best.and_then(|r| Some((r, r.validation.as_ref()?))) {
        let text = format!(
            "Best: epoch {}, Dice {:.3}, IoU {:.3}, {:.1} % wrong pixels",
            record.epoch,
            v.dice,
            v.iou,
            100.0 * v.wrong
        );
        ui.label(text)
            .on_hover_text("On the held-out images, which chose this epoch. Its weights are those that are written.");
    }
}

fn series(plot: &mut egui_plot::PlotUi<'_>, name: &str, points: Vec<[f64; 2]>, colour: Color32, shape: MarkerShape) {
    plot.line(Line::new(name, points.clone()).color(colour).width(2.0).allow_hover(false));
    plot.points(Points::new(name, points).color(colour).shape(shape).radius(3.5).allow_hover(false));
}

fn legend_ui(ui: &mut Ui, title: &str, keys: &[(&str, Color32)]) {
    ui.horizontal(|ui| {
        ui.label(theme::semibold(title));
        for (name, colour) in keys {
            ui.label(RichText::new(format!("— {name}")).small().color(*colour));
        }
    });
}

/// An axis of epochs, and from 0 up.
fn plot_ui(
    ui: &mut Ui,
    id: &str,
    name: &str,
    size: Vec2,
    [epochs, highest]: [f64; 2],
    add: impl FnOnce(&mut egui_plot::PlotUi<'_>),
) {
    let font = TextStyle::Small.resolve(ui.style());
    let weak = theme::of(ui).weak;
    let highest = if highest.is_finite() && highest > 0.0 { highest } else { 1.0 };
    let response = Plot::new(id)
        .width(size.x)
        .height(size.y)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .show_x(false)
        .show_y(false)
        .show_crosshair(false)
        .label_formatter(|_| None)
        .grid_spacing(20.0..=60.0)
        .grid_color(theme::of(ui).line)
        .custom_x_axes(vec![
            AxisHints::new_x()
                .label(RichText::new("epochs").font(font.clone()).color(weak))
                .tick_label_font(font.clone())
                .tick_label_color(weak)
                .label_spacing(1.0..=2.0)
                .min_thickness(30.0),
        ])
        .custom_y_axes(vec![AxisHints::new_y().tick_label_font(font).tick_label_color(weak).min_thickness(30.0)])
        .show(ui, |plot| {
            plot.set_plot_bounds_x(-0.02 * epochs..=1.02 * epochs);
            plot.set_plot_bounds_y(-0.02 * highest..=highest);
            add(plot);
        });
    response.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
}

/// The side of each of `count` predictions that fill a row of `width` points.
fn side(width: f32, count: usize) -> f32 {
    let count = count.max(1) as f32;
    ((width - GAP * (count - 1.0)) / count).floor().clamp(SAMPLE[0], SAMPLE[1])
}

fn samples_ui(ui: &mut Ui, live: &LiveTraining, state: &State, context: &mut PaneContext<'_>) {
    if live.samples.is_empty() {
        return;
    }
    section(ui, &format!("Held-out images after epoch {}", live.records.len()));
    let tiles: Vec<Tile<'_>> = live
        .samples
        .iter()
        .map(|sample| Tile {
            caption: sample.name.clone(),
            name: format!("Prediction of {} after epoch {}", sample.name, live.records.len()),
            tip: sample.name.clone(),
            shown: Shown::Difference { image: &sample.image, predicted: &sample.predicted, label: &sample.label },
        })
        .collect();
    let scheme = state.look.theme;
    let key = |colour, kind, name: &str| Key { colour, kind, name: name.to_owned() };
    keys_ui(
        ui,
        &[
            key(palette::appeared(scheme), KeyKind::Area, "predicted, not in the label"),
            key(palette::vanished(scheme), KeyKind::Hatched, "in the label, not predicted"),
            key(palette::AGREED, KeyKind::Area, "both"),
        ],
    );
    tiles_ui(ui, "train sample", side(ui.available_width(), tiles.len()), &tiles, state, context);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_as_wide_as_the_panel_lets_them() {
        // Four and the room between them fill the row, within limits.
        assert_eq!(side(880.0, 4), 214.0);
        assert_eq!((side(300.0, 4), side(4000.0, 4), side(0.0, 0)), (SAMPLE[0], SAMPLE[1], SAMPLE[0]));
    }
}
