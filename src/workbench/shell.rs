//! What stands around the panels: bars, sheets, notes, the window's title and the size of its type.

use super::app::App;
use super::layout::{self, Tiling};
use super::tour::Tour;
use super::{PaneContext, PanelKind, files, keys, menu, notices, status, theme};
use eframe::egui::{self, Align2, Color32, FontId, Frame, Margin, Panel, Rect, Ui};

impl App {
    pub(super) fn retitle(&mut self, context: &egui::Context) {
        let title = match &self.state.case {
            Some(case) => format!("{} — Epsiloscope", case.name),
            None => "Epsiloscope".to_owned(),
        };
        if title != self.title {
            context.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }

    /// Keeps the interface at a size at which its bars fit into the window.
    pub(super) fn limit_scale(&self, context: &egui::Context) {
        const LEAST: egui::Vec2 = egui::vec2(860.0, 540.0);
        let native = context.content_rect().size() * context.zoom_factor();
        let most = (native / LEAST).min_elem().max(0.75);
        let scale = self.state.look.ui_scale.min(most);
        if (scale - context.zoom_factor()).abs() > 1e-3 {
            context.set_zoom_factor(scale);
        }
    }

    /// Whether nothing but pictures and ε is shown.
    fn is_bare(&self) -> bool {
        let curves = self.stages.tour.as_ref().is_some_and(Tour::shows_curves);
        self.state.images_only || (self.state.look.presenter && !curves)
    }

    pub(super) fn bars_ui(&mut self, ui: &mut Ui) {
        let palette = theme::of(ui);
        let bar = |x, y| Frame::NONE.fill(palette.bar).inner_margin(Margin::symmetric(x, y));
        let bare = self.is_bare();
        if !bare {
            Panel::top("menu").frame(bar(8, 4)).show(ui, |ui| {
                let bar = menu::Bar {
                    tree: &self.tree,
                    model_file: self.state.card.file.as_deref(),
                    recent_models: &self.recent_models,
                };
                menu::bar_ui(ui, &self.state, &self.commands, &bar);
            });
            Panel::bottom("status").frame(bar(12, 0)).exact_size(28.0).show(ui, |ui| {
                status::status_ui(ui, &self.state, &self.commands);
            });
        }
        Panel::bottom("epsilon").frame(bar(12, 6)).show(ui, |ui| {
            let mut context = PaneContext { display: Some(&mut self.display), still: self.setup.still };
            self.epsilon_bar.ui(ui, &self.state, &self.commands, &mut context);
        });
        if self.state.problem.is_some() {
            Panel::bottom("problem").frame(bar(12, 6)).show(ui, |ui| {
                notices::problem_ui(ui, &self.state, &self.commands);
            });
        }
    }

    pub(super) fn center_ui(&mut self, ui: &mut Ui) {
        let palette = theme::of(ui);
        let bare = self.is_bare();
        egui::CentralPanel::default().frame(Frame::NONE.fill(palette.picture_background)).show(ui, |ui| {
            self.bottom = ui.ctx().content_rect().bottom() - ui.max_rect().bottom();
            if !std::mem::replace(&mut self.arranged, true) {
                self.tree = layout::first(ui.ctx().content_rect().size());
            }
            let mut context = PaneContext { display: Some(&mut self.display), still: self.setup.still };
            if bare {
                Frame::NONE.inner_margin(4).show(ui, |ui| {
                    self.panels.ui(PanelKind::Compare, ui, &self.state, &self.commands, &mut context);
                });
            } else if self.state.browse.enlarged && self.state.browse.set.is_some() {
                let half = ui.available_width() * 0.46;
                let frame = Frame::NONE.fill(palette.panel).inner_margin(8);
                Panel::left("large library").frame(frame).default_size(half).size_range(240.0..=half * 1.6).show(
                    ui,
                    |ui| {
                        self.panels.ui(PanelKind::Library, ui, &self.state, &self.commands, &mut context);
                    },
                );
                Frame::NONE.inner_margin(4).show(ui, |ui| {
                    self.panels.ui(PanelKind::Compare, ui, &self.state, &self.commands, &mut context);
                });
            } else {
                let mut tiling = Tiling {
                    panels: &mut self.panels,
                    state: &self.state,
                    commands: &self.commands,
                    context: &mut context,
                };
                self.tree.ui(&mut tiling, ui);
            }
        });
    }

    pub(super) fn sheets_ui(&mut self, context: &egui::Context) {
        if let Some(prompt) = &mut self.prompt
            && !prompt.ui(context, &self.state, &self.commands, self.setup.native_dialogs)
        {
            self.prompt = None;
        }
        if let Some(files) = &self.question
            && !files::which_is_label_ui(context, files, &self.commands)
        {
            self.question = None;
        }
        if self.shortcuts {
            self.shortcuts = keys::sheet_ui(context);
        }
        if self.about {
            self.about = menu::about_ui(context, &self.state);
        }
        self.closing_ui(context);
        match self.stages.shows_a_trial() {
            true => self.notes.wait(context.input(|i| i.time)),
            false => self.notes.ui(context, self.bottom),
        }
        dropping_ui(context);
    }
}

/// While files hover over the window: that they can be dropped, and what happens then.
fn dropping_ui(context: &egui::Context) {
    let hovered = context.input(|i| i.raw.hovered_files.len());
    if hovered == 0 {
        return;
    }
    let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("dropping"));
    let painter = context.layer_painter(layer);
    let rect: Rect = context.content_rect();
    painter.rect_filled(rect, 0.0, Color32::from_black_alpha(180));
    let text = if hovered == 2 { "Drop to open an image and its label" } else { "Drop to open" };
    painter.text(rect.center(), Align2::CENTER_CENTER, text, FontId::proportional(24.0), Color32::WHITE);
}
